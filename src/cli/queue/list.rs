//! `queue list`: prints one line for each entry.

use clap::Args;

use super::{each_of, summary::EntrySummary};
use crate::{
    cli::{Common, Completion, terminal::Terminal},
    proposal,
    state::{State, Strays, queue::QueuePlace},
    sys::time,
    text,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// List only dead letters
    #[arg(long)]
    dead: bool,
    /// List only entries for this destination
    ///
    /// `inbox` stands for captured pushes, `unassigned` for markers without a destination.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Print each entry as a line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let places: &[QueuePlace] = if args.dead { &[QueuePlace::Dead] } else { &QueuePlace::ALL };
    let now = time::now();
    let mut count = 0;
    each_of(&config, &state, places, args.destination.as_deref(), |entry| {
        // The entry was delivered in the meantime.
        let Some(told) = EntrySummary::of(&state, entry)? else { return Ok(()) };
        count += 1;
        if args.json {
            terminal.json(serde_json::to_string(&told.json())?)?;
        } else {
            terminal.row(told.line(now))?;
        }
        Ok(())
    })?;
    if count == 0 && !args.json {
        terminal.say(if args.dead { "no dead letters" } else { "no queued entries and no dead letters" })?;
    }
    if let Some(strays) = Strays::find(&config) {
        terminal.message(format_args!(
            "there are more files in `{}`, which is not the configured state directory; `{}` shows them",
            text::path(strays.state.dir()),
            proposal::command("status")
        ));
    }
    Ok(Completion::Done)
}
