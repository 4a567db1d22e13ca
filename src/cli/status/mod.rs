//! `status`: what waits, how each destination stands, and the dead letters.

mod gather;
mod metrics;

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    Common, Ending,
    age::{age, ago},
    output,
    terminal::Terminal,
};
use crate::{config, state::State, text, time::Timestamp};
use gather::{Backlog, Status, place_of};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// How long something may wait, such as 15m; otherwise what [status] older_than says
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    older_than: Option<Duration>,
    /// Print the status as JSON
    #[arg(long, conflicts_with = "openmetrics")]
    json: bool,
    /// Print the status as OpenMetrics text, such as node_exporter's textfile collector reads
    #[arg(long)]
    openmetrics: bool,
    /// Write the metrics to FILE, as a whole or not at all
    #[arg(long, value_name = "FILE", requires = "openmetrics")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &StatusArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let older_than = args.older_than.unwrap_or(config.older_than);
    let now = Timestamp::now();
    let status = Status::gather(&config, &state, older_than, now)?;
    if args.openmetrics {
        let text = metrics::text(&status);
        match &args.output {
            Some(path) => output::write(path, &text)?,
            None => terminal.answer(text.trim_end())?,
        }
    } else if args.json {
        terminal.answer(serde_json::to_string_pretty(&status)?)?;
    } else {
        print(&status, config.destinations.is_empty(), older_than, now, terminal)?;
    }
    Ok(if status.needs_a_person { Ending::Found } else { Ending::Done })
}

fn print(
    status: &Status,
    has_no_destination: bool,
    older_than: Duration,
    now: Timestamp,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    terminal.answer(format_args!("state        {}", status.state_dir))?;
    terminal
        .answer(format_args!("config       {}", status.config.as_deref().unwrap_or("none, all defaults")))?;
    terminal.answer(format_args!("inbox        {}", waiting(&status.inbox, now)))?;
    too_old(&status.inbox, None, older_than, now, terminal)?;
    if has_no_destination {
        terminal.answer("destination  none is set; markers wait until the configuration has one")?;
    }
    for destination in &status.destinations {
        let abandoned =
            if destination.is_abandoned() { "; it is not configured, so nothing sends them" } else { "" };
        terminal.answer(format_args!(
            "{}  {}{abandoned}",
            terminal.bold(&format!("{:<11}", text::line(&destination.name))),
            waiting(&destination.waiting, now)
        ))?;
        too_old(&destination.waiting, Some(&destination.name), older_than, now, terminal)?;
        if let Some(success) = destination.last_success {
            terminal.answer(format_args!("             last delivery {}", ago(success, now)))?;
        }
        if let Some(err) = &destination.last_error {
            terminal.answer(format_args!(
                "             last error    {}: {}",
                ago(err.time, now),
                err.why
            ))?;
        }
    }
    let dead = &status.dead_letters;
    terminal.answer(format_args!(
        "dead letters {}",
        if dead.files == 0 { "none".into() } else { dead.files.to_string() }
    ))?;
    for letter in &dead.newest {
        terminal.answer(format_args!("             {} from {}: {}", letter.id, letter.from, letter.why))?;
    }
    if dead.files > dead.newest.len() {
        terminal.answer(format_args!(
            "             and {} older; `gitea-lightstep queue list --dead` shows all",
            dead.files - dead.newest.len()
        ))?;
    }
    let journal = match status.journal.last_write {
        None => "empty".to_string(),
        Some(written) => format!(
            "{}, {} KiB, last written {}",
            text::count(status.journal.files, "file"),
            status.journal.bytes.div_ceil(1024),
            ago(written, now)
        ),
    };
    terminal.answer(format_args!("journal      {journal}"))?;
    Ok(())
}

fn waiting(backlog: &Backlog, now: Timestamp) -> String {
    match (backlog.files, backlog.oldest) {
        (0, _) => "empty".to_string(),
        (n, Some(oldest)) => {
            format!("{} waiting, the oldest from {}", text::count(n, "file"), ago(oldest, now))
        }
        (n, None) => format!("{} waiting", text::count(n, "file")),
    }
}

/// Names the entry that has waited too long.
fn too_old(
    backlog: &Backlog,
    destination: Option<&str>,
    older_than: Duration,
    now: Timestamp,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    if let (1.., Some(oldest), Some(id)) = (backlog.too_old, backlog.oldest, &backlog.oldest_id) {
        let others = match backlog.too_old - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        terminal.answer(format_args!(
            "             too old: {id} in {} has waited {}, more than {}{others}",
            place_of(destination),
            age(oldest, now),
            config::duration_text(older_than)
        ))?;
    }
    Ok(())
}
