//! `queue retry`: puts dead letters back to where they came from.

use anyhow::bail;
use clap::Args;

use super::{
    Which, each_of, is_configured, letters,
    pick::{Prefer, pick},
    told,
};
use crate::{
    cli::{Common, Ending, own_state, terminal::Terminal},
    config::Config,
    state::{
        State, contents,
        dead::PutBack,
        journal::{Action, Queue, Record},
        queue::{Entry, Place},
    },
    text,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct RetryArgs {
    #[command(flatten)]
    which: Which,
    /// With --all: only those of this destination; of `inbox`, captured pushes
    #[arg(long, value_name = "NAME", requires = "all")]
    destination: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RetryArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let state = own_state(&config, "queue retry")?;
    let mut put_back = 0;
    let mut failed = 0;
    let mut take = |entry: anyhow::Result<Entry>| match entry.and_then(|entry| retry(&config, &state, &entry))
    {
        Ok(()) => put_back += 1,
        Err(err) => {
            failed += 1;
            terminal.error(&err);
        }
    };
    if args.which.all {
        each_of(&config, &state, &[Place::Dead], args.destination.as_deref(), |letter| {
            take(Ok(letter));
            Ok(())
        })?;
    } else {
        let places = [Place::Inbox, Place::Outbox, Place::Dead];
        pick(&state, &places, &args.which.ids, Prefer::Dead)?.into_iter().for_each(take);
    }
    state.dead_letters().sweep()?;
    if args.json {
        terminal.answer(serde_json::json!({ "put_back": put_back, "failed": failed }))?;
    } else if put_back > 0 {
        terminal.say(format_args!(
            "{} put back; `gitea-lightstep deliver` sends what waits",
            letters(put_back)
        ))?;
    } else if failed == 0 {
        terminal.say("there is no dead letter to put back")?;
    }
    Ok(if failed == 0 { Ending::Done } else { Ending::Found })
}

fn retry(config: &Config, state: &State, entry: &Entry) -> anyhow::Result<()> {
    let id = entry.id();
    if entry.place != Place::Dead {
        bail!(
            "`{id}` is no dead letter, it waits in the {} already; `gitea-lightstep deliver` sends it now",
            told::place(entry)
        );
    }
    if entry.is_stray() {
        bail!(
            "`{id}` is not ours, its name `{}` does not tell where it came from; move it away by hand",
            text::line(&entry.name)
        );
    }
    let from = text::line(&entry.from);
    if !is_configured(config, &entry.from) {
        bail!(
            "`{id}` stays a dead letter: no destination `{from}` is configured, so nothing would send it; \
             configure one of that name first, or drop it"
        );
    }
    // Before it is back: a delivery may have sent it and removed it the moment after.
    let markers = if entry.is_capture() { Vec::new() } else { contents::marker_ids(&state.path_of(entry)) };
    let why = state.dead_letters().why(&entry.name).map(|why| why.why).unwrap_or_default();
    match state.put_back(entry)? {
        PutBack::Waits => {}
        PutBack::IsTaken => bail!(
            "`{id}` stays a dead letter: the same push waits for `{from}` already; once that is delivered, \
             `gitea-lightstep queue drop --dead {id}` removes what is left here"
        ),
        PutBack::IsGone => {
            bail!("`{id}` is no dead letter any more, somebody else has put it back or dropped it")
        }
    }
    state.journal().append([Record::Queue(Queue {
        action: Action::PutBack,
        from: (&*entry.from).into(),
        was_dead: true,
        push: entry.only_push(),
        markers,
        why: why.into(),
    })])?;
    Ok(())
}
