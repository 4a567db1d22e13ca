//! `deliver`: sends what is waiting in the spool.

use std::time::Duration;

use clap::Args;

use super::{
    Common, Completion,
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config::{self, Config},
    delivery::{self, Drained, Moment, Progress, RetryLimit},
    proposal,
    state::{
        State,
        journal::{Record, Trouble},
    },
    sys::time::Deadline,
    text,
};

/// Option that the hook passes first when it starts `deliver` in the background.
pub(super) const DETACHED: &str = "--detached";

/// Default duration of `--follow`, without `--for`.
const FOLLOW: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(super) struct DeliverArgs {
    /// Retry with back-off until the spool is empty or the time is up
    #[arg(long)]
    follow: bool,
    /// Stop --follow after TIME, such as 30s (default: 1h)
    #[arg(long = "for", value_name = "TIME", requires = "follow", value_parser = config::duration)]
    time: Option<Duration>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Run as the background process that a hook starts
    #[arg(long, hide = true, conflicts_with_all = ["follow", "json"])]
    detached: bool,
    /// Decide the captured push in this file of the inbox, as the process that `deliver` starts for it
    #[arg(long, hide = true, value_name = "NAME", conflicts_with_all = ["follow", "json", "detached"])]
    decide: Option<String>,
    /// Decide the captured push in this file of the failed pushes
    #[arg(long, hide = true, value_name = "NAME", conflicts_with_all = ["follow", "json", "detached", "decide"])]
    decide_failed: Option<String>,
    /// Process that waits for the result
    #[arg(long, hide = true, value_name = "PID", default_value_t = 0)]
    parent: i32,
    /// Do not ask Gitea's API, which did not answer for another push a moment ago
    #[arg(long, hide = true)]
    gitea_rests: bool,
}

pub(super) fn run(args: &DeliverArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    if let Some(name) = args.decide.as_ref().or(args.decide_failed.as_ref()) {
        let state = State::at(&config.state_dir);
        return Ok(Completion::Status(delivery::decide_one(
            &config,
            &state,
            name,
            args.decide.is_none(),
            args.parent,
            args.gitea_rests,
        )?));
    }
    if args.detached {
        detached(&config, &State::at(&config.state_dir));
        return Ok(Completion::Done);
    }
    let state = super::own_or_new_state(&config)?;
    if let Err(err) = state.adopt(&config) {
        terminal.message(format_args!("captured pushes stay in the default state directory: {err}"));
    }
    let patience = if args.follow {
        RetryLimit::Until(Deadline::after(args.time.unwrap_or(FOLLOW)))
    } else {
        RetryLimit::Once
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
        let Drained { delivered, dead, dropped, left, busy, undecided, failed } = drained;
        terminal.json(serde_json::json!({
            "delivered": delivered, "dead": dead, "dropped": dropped, "left": left, "busy": busy,
            "undecided": undecided, "failed": failed
        }))?;
    } else {
        terminal.say(summary(&config, drained))?;
    }
    let Drained { left, dead, dropped, undecided, failed, .. } = drained;
    let is_clear = [left, dead, dropped, undecided, failed].iter().all(|count| *count == 0);
    Ok(if is_clear { Completion::Done } else { Completion::Found })
}

fn summary(config: &Config, drained: Drained) -> String {
    if config.destinations.is_empty() {
        return format!(
            "no destination is configured, so {} in the spool; add [lightstep] or a [[destination]] to the \
             configuration",
            waits(drained.left)
        );
    }
    let why = format!("`{}` says why", proposal::command("status"));
    let mut told = format!("{} delivered", text::count(drained.delivered, "marker"));
    if drained.dead > 0 {
        told.push_str(&format!(", {} refused permanently", text::count(drained.dead, "marker")));
    }
    if drained.dropped > 0 {
        told.push_str(&format!(", {} dropped to make room", text::count(drained.dropped, "marker")));
    }
    if drained.left > 0 {
        told.push_str(&format!(", {} in the spool; {why}", waits(drained.left)));
    }
    if drained.busy > 0 {
        told.push_str(", another process is delivering");
    }
    if drained.undecided > 0 {
        let pushes = text::count(drained.undecided, "push");
        told.push_str(&format!(", {pushes} not decided yet; {why}"));
    }
    if drained.failed > 0 {
        let pushes = text::count(drained.failed, "push");
        told.push_str(&format!(", the policy failed on {pushes}; {why}"));
    }
    told
}

fn waits(files: usize) -> String {
    format!("{} {}", text::count(files, "file"), if files == 1 { "waits" } else { "wait" })
}

/// Delivers in the background process that a hook leaves behind. Errors go to the journal, because
/// its output is discarded.
fn detached(config: &Config, state: &State) {
    // Captures that cannot be moved stay where they are. `status` shows them, and the next delivery
    // tries again.
    let _ = state.adopt(config);
    let patience = RetryLimit::Linger(config.delivery.linger);
    if let Err(err) = delivery::drain(config, state, patience, &Progress::default()) {
        let what = format!("the delivery stopped; the next push restarts it: {err}").into();
        state.journal().note([Record::Trouble(Trouble { push: None, repository: None, what })]);
    }
}
