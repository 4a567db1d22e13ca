//! `deliver`: sends what waits in the spool.

use std::time::Duration;

use clap::Args;

use super::{
    Common, Ending,
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config::{self, Config},
    delivery::{self, Drained, Moment, Patience, Progress},
    state::{
        State,
        journal::{Record, Trouble},
    },
    text,
    time::Deadline,
};

/// What the hook calls `deliver` with, as its first argument.
pub(super) const DETACHED: &str = "--detached";

/// How long `--follow` goes on when `--for` does not say.
const FOLLOW: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(super) struct DeliverArgs {
    /// Go on, with backoff, until the spool is empty or the time is over
    #[arg(long)]
    follow: bool,
    /// How long --follow goes on, such as 30s
    #[arg(long = "for", value_name = "TIME", requires = "follow", value_parser = config::duration)]
    time: Option<Duration>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Run as the process that a hook leaves behind
    #[arg(long, hide = true, conflicts_with_all = ["follow", "json"])]
    detached: bool,
}

pub(super) fn run(args: &DeliverArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    if args.detached {
        detached(&config, &State::at(&config.state_dir));
        return Ok(Ending::Done);
    }
    let state = super::own_state(&config, "deliver")?;
    let patience = if args.follow {
        Patience::Until(Deadline::after(args.time.unwrap_or(FOLLOW)))
    } else {
        Patience::Once
    };
    let progress = Progress::default();
    let drain = || delivery::drain(&config, &state, patience, &progress);
    let is_watched = !args.json && terminal.is_watched();
    let how_far = || {
        let Moment { delivered, files, left } = progress.now();
        let what = format!("files sent, {}", text::count(delivered, "marker"));
        HowFar { done: files.saturating_sub(left), of: files, what }
    };
    let drained = if is_watched { while_working(how_far, drain) } else { drain() }?;
    if args.json {
        let Drained { delivered, dead, dropped, left, busy } = drained;
        terminal.answer(serde_json::json!({
            "delivered": delivered, "dead": dead, "dropped": dropped, "left": left, "busy": busy
        }))?;
    } else {
        terminal.say(told(&config, drained))?;
    }
    Ok(if drained.left == 0 && drained.dead == 0 && drained.dropped == 0 {
        Ending::Done
    } else {
        Ending::Found
    })
}

fn told(config: &Config, drained: Drained) -> String {
    if config.destinations.is_empty() {
        return format!(
            "no destination is set, so {} in the spool; add [lightstep] or a [[destination]] to the configuration",
            waits(drained.left)
        );
    }
    let mut told = format!("{} delivered", text::count(drained.delivered, "marker"));
    if drained.dead > 0 {
        told.push_str(&format!(", {} refused for good", text::count(drained.dead, "marker")));
    }
    if drained.dropped > 0 {
        told.push_str(&format!(", {} dropped to make room", text::count(drained.dropped, "marker")));
    }
    if drained.left > 0 {
        told.push_str(&format!(", {} still; `gitea-lightstep status` says why", waits(drained.left)));
    }
    if drained.busy > 0 {
        told.push_str(", another process is at it");
    }
    told
}

fn waits(files: usize) -> String {
    format!("{} {}", text::count(files, "file"), if files == 1 { "waits" } else { "wait" })
}

/// Nobody reads what a detached process prints; the journal is its only voice.
fn detached(config: &Config, state: &State) {
    let patience = Patience::Linger(config.delivery.linger);
    if let Err(err) = delivery::drain(config, state, patience, &Progress::default()) {
        let what = format!("the delivery stopped, the next push starts it again: {err}").into();
        // If the journal cannot be written either, nobody is left to be told.
        let _ = state.journal().append([Record::Trouble(Trouble { push: None, repository: None, what })]);
    }
}
