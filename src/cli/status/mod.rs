//! `status`: shows the backlog, the state of each destination, and the dead letters.

mod gather;
mod metrics;

use std::{path::PathBuf, thread, time::Duration};

use clap::Args;

use super::{
    Common, Completion,
    age::{age, ago},
    output,
    terminal::Terminal,
    when::local,
};
use crate::{
    config,
    proposal::command,
    state::State,
    sys::time::{self, Timestamp},
    text,
};
use gather::{Backlog, InstallationStatus, Undecided, place_of};

/// Interval of `--watch`.
const TICK: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[expect(rustdoc::broken_intra_doc_links, reason = "the help names a table of the configuration")]
pub(super) struct StatusArgs {
    /// Report entries older than TIME, such as 15m (default: [status] older_than)
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    older_than: Option<Duration>,
    /// Show the status again every two seconds, until interrupted
    #[arg(long, conflicts_with_all = ["json", "openmetrics"])]
    watch: bool,
    /// Print the status as JSON
    #[arg(long, conflicts_with = "openmetrics")]
    json: bool,
    /// Print the status as OpenMetrics text, for node_exporter's textfile collector
    #[arg(long)]
    openmetrics: bool,
    /// Write the metrics to FILE atomically
    #[arg(long, value_name = "FILE", requires = "openmetrics")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &StatusArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let older_than = args.older_than.unwrap_or(config.older_than);
    loop {
        let now = time::now();
        let status = InstallationStatus::gather(&config, &state, older_than, now)?;
        if args.openmetrics {
            let text = metrics::text(&status);
            match &args.output {
                Some(path) => output::write(path, &text)?,
                None => terminal.document(text.trim_end())?,
            }
        } else if args.json {
            terminal.json(serde_json::to_string_pretty(&status)?)?;
        } else {
            if args.watch {
                terminal.clear()?;
                terminal.row(format_args!("time         {}", local(now)))?;
            }
            print(&status, config.destinations.is_empty(), older_than, now, terminal)?;
        }
        if !args.watch {
            return Ok(if status.needs_a_person { Completion::Found } else { Completion::Done });
        }
        thread::sleep(TICK);
    }
}

fn print(
    status: &InstallationStatus,
    has_no_destination: bool,
    older_than: Duration,
    now: Timestamp,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    terminal.row(format_args!("state        {}", status.state_dir))?;
    if !status.state_exists {
        terminal.row(
            "             does not exist: no push was captured yet, or `state_dir` of the configuration is wrong",
        )?;
    }
    terminal
        .row(format_args!("config       {}", status.config.as_deref().unwrap_or("none, all defaults")))?;
    if let Some(default) = &status.default_state {
        terminal.row(format_args!(
            "elsewhere    {} in {}, which is not the configured state directory; {}",
            text::count(default.captures + default.others, "file"),
            default.state_dir,
            if default.others == 0 {
                format!("`{}` moves them to the configured one", command("deliver"))
            } else {
                format!(
                    "`{}` moves captured pushes to the configured one; to send the rest, run it with a \
                     configuration that names that directory",
                    command("deliver")
                )
            }
        ))?;
    }
    terminal.row(format_args!("inbox        {}", waiting(&status.inbox, now)))?;
    too_old(&status.inbox, None, older_than, now, terminal)?;
    undecided(&status.postponed, terminal)?;
    if status.failed.pushes > 0 {
        terminal.row(format_args!(
            "failed       the policy failed on {}; retried when a script or the configuration changes",
            text::count(status.failed.pushes, "push")
        ))?;
        undecided(&status.failed, terminal)?;
    }
    if has_no_destination {
        terminal.row("destination  none is configured; markers wait until one is")?;
    }
    for destination in &status.destinations {
        let abandoned =
            if destination.is_abandoned() { "; it is not configured, so nothing sends them" } else { "" };
        terminal.row(format_args!(
            "{}  {}{abandoned}",
            terminal.bold(&format!("{:<11}", text::line(&destination.name))),
            waiting(&destination.waiting, now)
        ))?;
        too_old(&destination.waiting, Some(&destination.name), older_than, now, terminal)?;
        if let Some(success) = destination.last_success {
            terminal.row(format_args!("             last delivery {}", ago(success, now)))?;
        }
        for alone in &destination.alone {
            terminal.row(format_args!("             {} waits alone: {}", alone.id, alone.why))?;
        }
        if let Some(err) = &destination.last_error {
            terminal.row(format_args!("             last error    {}: {}", ago(err.time, now), err.why))?;
        }
    }
    let dead = &status.dead_letters;
    terminal.row(format_args!(
        "dead letters {}",
        if dead.files == 0 { "none".into() } else { dead.files.to_string() }
    ))?;
    for letter in &dead.newest {
        terminal.row(format_args!("             {} from {}: {}", letter.id, letter.from, letter.why))?;
    }
    if dead.files > dead.newest.len() {
        terminal.row(format_args!(
            "             and {} older; `{}` shows all",
            dead.files - dead.newest.len(),
            command("queue list --dead")
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
    terminal.row(format_args!("journal      {journal}"))?;
    if let Some(gap) = &status.journal_gap {
        let since = gap.since.map(|since| format!(" since {}", ago(since, now))).unwrap_or_default();
        terminal.row(format_args!("             cannot be written{since}: {}", text::line(&gap.why)))?;
    }
    if let Some(scan) = &status.scan {
        let failed = match scan.failed {
            0 => String::new(),
            n => format!(", but {n} could not be scanned; `{}` shows why", command("scan")),
        };
        let repositories = text::count(scan.repositories, "repository");
        terminal.row(format_args!("scan         {repositories} {}{failed}", ago(scan.time, now)))?;
    }
    if let Some(api) = &status.gitea_api {
        let answered = match (api.last_success, &api.last_error) {
            (Some(time), _) => format!("answered {}", ago(time, now)),
            (None, Some(_)) => "never answered".into(),
            (None, None) => "not asked yet".into(),
        };
        terminal.row(format_args!("gitea api    {answered}"))?;
        if let Some(err) = &api.last_error {
            terminal.row(format_args!("             last error    {}: {}", ago(err.time, now), err.why))?;
        }
    }
    for (nth, cause) in status.causes.iter().enumerate() {
        let label = if nth == 0 { "needs you" } else { "" };
        terminal.row(format_args!("{}  {cause}", terminal.red(&format!("{label:<11}"))))?;
    }
    Ok(())
}

/// Lists captured pushes that could not be decided, with the reasons.
fn undecided(undecided: &Undecided, terminal: &Terminal) -> anyhow::Result<()> {
    for push in undecided.newest.iter().rev() {
        terminal.row(format_args!("             {}: {}", push.id, push.why))?;
    }
    let others = undecided.pushes - undecided.newest.len();
    if others > 0 {
        terminal
            .answer(format_args!("             and {others} older; `{}` shows all", command("queue list")))?;
    }
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

/// Reports the entry that has waited too long.
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
        terminal.row(format_args!(
            "             too old: {id} in {} has waited {}, more than {}{others}",
            place_of(destination),
            age(oldest, now),
            config::duration_text(older_than)
        ))?;
    }
    Ok(())
}
