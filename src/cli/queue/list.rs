//! `queue list`: one line an entry, however many there are.

use clap::Args;

use super::{each_of, told::Told};
use crate::{
    cli::{Common, Ending, terminal::Terminal},
    state::{State, queue::Place},
    time::Timestamp,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only dead letters
    #[arg(long)]
    dead: bool,
    /// Only what is for this destination; `inbox` for captured pushes, `unassigned` for what has no destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Print a line of JSON an entry
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let places: &[Place] =
        if args.dead { &[Place::Dead] } else { &[Place::Inbox, Place::Outbox, Place::Dead] };
    let now = Timestamp::now();
    let mut count = 0;
    each_of(&config, &state, places, args.destination.as_deref(), |entry| {
        // What was delivered meanwhile is no entry any more.
        let Some(told) = Told::of(&state, entry)? else { return Ok(()) };
        count += 1;
        if args.json {
            terminal.answer(serde_json::to_string(&told.json())?)?;
        } else {
            terminal.answer(told.line(now))?;
        }
        Ok(())
    })?;
    if count == 0 && !args.json {
        terminal.say(if args.dead { "no dead letter" } else { "nothing waits, and nothing is dead" })?;
    }
    Ok(Ending::Done)
}
