//! `queue retry`: moves dead letters back to their outbox, and schedules captured pushes for
//! another decision.

use anyhow::bail;
use clap::Args;

use super::{
    Which, each_of, entries, is_configured,
    pick::{Prefer, pick},
    summary,
};
use crate::{
    cli::{Common, Completion, own_state, terminal::Terminal},
    config::Config,
    proposal::command,
    push::PushId,
    state::{
        State, contents,
        dead::PutBack,
        journal::{Action, Queue, Record},
        queue::{QueueEntry, QueuePlace},
    },
    text,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct RetryArgs {
    #[command(flatten)]
    which: Which,
    /// With --all, retry only those of this destination (`inbox`: captured pushes)
    #[arg(long, value_name = "NAME", requires = "all")]
    destination: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RetryArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = own_state(&config)?;
    let mut put_back = 0;
    let mut failed = 0;
    let mut take =
        |entry: anyhow::Result<QueueEntry>| match entry.and_then(|entry| retry(&config, &state, &entry)) {
            Ok(()) => put_back += 1,
            Err(err) => {
                failed += 1;
                terminal.error(&err);
            }
        };
    if args.which.all {
        each_of(
            &config,
            &state,
            &[QueuePlace::Failed, QueuePlace::Dead],
            args.destination.as_deref(),
            |letter| {
                take(Ok(letter));
                Ok(())
            },
        )?;
    } else {
        let places = QueuePlace::ALL;
        pick(&state, &places, &args.which.ids, Prefer::Dead)?.into_iter().for_each(take);
    }
    state.dead_letters().sweep()?;
    if args.json {
        terminal.json(serde_json::json!({ "put_back": put_back, "failed": failed }))?;
    } else if put_back > 0 {
        terminal.say(format_args!(
            "{} put back; `{}` sends the queue now",
            entries(put_back),
            command("deliver")
        ))?;
    } else if failed == 0 {
        terminal.say("no dead letters to put back, and no pushes whose policy failed")?;
    }
    Ok(if failed == 0 { Completion::Done } else { Completion::Found })
}

/// Schedules a captured push for an immediate decision.
fn decide_again(state: &State, entry: &QueueEntry, push: PushId) -> anyhow::Result<()> {
    let reason = state.reason(entry);
    if entry.place == QueuePlace::Failed && !state.failed().retry(push)? {
        bail!("`{}` no longer exists: it has been decided or dropped", entry.id());
    }
    state.postponed().forget(push)?;
    state.journal().note([Record::Queue(Queue {
        action: Action::PutBack,
        from: (&*entry.from).into(),
        was_dead: false,
        push: Some(push),
        markers: Vec::new(),
        why: reason.map(|reason| reason.why).unwrap_or_default().into(),
    })]);
    Ok(())
}

fn retry(config: &Config, state: &State, entry: &QueueEntry) -> anyhow::Result<()> {
    let id = entry.id();
    if let (QueuePlace::Inbox | QueuePlace::Failed, Some(push)) = (entry.place, entry.push()) {
        return decide_again(state, entry, push);
    }
    if entry.place != QueuePlace::Dead {
        bail!(
            "`{id}` is not a dead letter, it is still queued in {}; `{}` sends it now",
            summary::place(entry),
            command("deliver")
        );
    }
    if entry.is_stray() {
        bail!(
            "`{id}` is not a file of gitea-lightstep: its name `{}` contains no destination; move it away by \
             hand",
            text::line(&entry.name)
        );
    }
    let from = text::line(&entry.from);
    let drop = command(&format!("queue drop --dead {id}"));
    if !is_configured(config, &entry.from) {
        bail!(
            "`{id}` stays a dead letter: destination `{from}` is not configured, so nothing would send it; \
             configure it first, or run `{drop}`"
        );
    }
    // Read these now: once the entry is back, a delivery may send and remove it at any moment.
    let markers = if entry.is_capture() { Vec::new() } else { contents::marker_ids(&state.path_of(entry)) };
    let why = state.dead_letters().why(&entry.name).map(|why| why.why).unwrap_or_default();
    match state.put_back(entry)? {
        PutBack::Waits => {}
        PutBack::IsTaken => bail!(
            "`{id}` stays a dead letter: the same push is already queued for `{from}`; once that is \
             delivered, `{drop}` removes the dead letter"
        ),
        PutBack::IsGone => {
            bail!("`{id}` is no longer a dead letter: another process has put it back or dropped it")
        }
    }
    state.journal().note([Record::Queue(Queue {
        action: Action::PutBack,
        from: (&*entry.from).into(),
        was_dead: true,
        push: entry.only_push(),
        markers,
        why: why.into(),
    })]);
    Ok(())
}
