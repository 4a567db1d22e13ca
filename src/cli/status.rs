//! `status`: what waits, how each destination stands, and the dead letters.

use clap::Args;
use serde::Serialize;

use super::{Common, Ending, terminal::Terminal};
use crate::{
    config::UNASSIGNED,
    push::PushId,
    state::{Outbox, State, dead::DeadLetter, standing::Standing},
    text,
    time::Timestamp,
};

/// How many dead letters are shown one by one.
const MAX_SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print the status as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Status {
    state_dir: String,
    config: Option<String>,
    inbox: Backlog,
    destinations: Vec<DestinationStatus>,
    dead_letters: Vec<Dead>,
}

#[derive(Serialize)]
struct Backlog {
    files: usize,
    oldest: Option<Timestamp>,
}

#[derive(Serialize)]
struct DestinationStatus {
    name: String,
    waiting: Backlog,
    last_success: Option<Timestamp>,
    last_error: Option<LastError>,
}

#[derive(Serialize)]
struct LastError {
    time: Timestamp,
    why: String,
}

#[derive(Serialize)]
struct Dead {
    name: String,
    from: String,
    why: String,
}

pub(super) fn run(args: &StatusArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let mut names: Vec<&str> =
        config.destinations.iter().map(|destination| destination.name.as_str()).collect();
    let unassigned = state.outbox(UNASSIGNED).list()?;
    if !unassigned.is_empty() {
        names.push(UNASSIGNED);
    }
    let status = Status {
        state_dir: state.dir().display().to_string(),
        config: config.path.as_ref().map(|path| path.display().to_string()),
        inbox: backlog(&state.inbox().list()?),
        destinations: names
            .into_iter()
            .map(|name| of_destination(&state.outbox(name)))
            .collect::<Result<_, _>>()?,
        dead_letters: state.dead_letters().list()?.into_iter().map(Dead::from).collect(),
    };
    if args.json {
        terminal.answer(serde_json::to_string_pretty(&status)?)?;
    } else {
        print(&status, config.destinations.is_empty(), terminal)?;
    }
    Ok(if status.needs_a_person() { Ending::Found } else { Ending::Done })
}

impl Status {
    /// Returns whether somebody should look: markers are lost to a destination, or do not get there.
    fn needs_a_person(&self) -> bool {
        !self.dead_letters.is_empty() || self.destinations.iter().any(DestinationStatus::is_failing)
    }
}

impl DestinationStatus {
    fn is_failing(&self) -> bool {
        self.last_error.as_ref().is_some_and(|err| self.last_success.is_none_or(|success| success < err.time))
    }
}

impl From<DeadLetter> for Dead {
    fn from(letter: DeadLetter) -> Self {
        let (from, why) = letter.why.map_or_else(
            || ("unknown".to_string(), "the reason cannot be read".to_string()),
            |why| (why.from, text::line(why.why)),
        );
        Self { name: letter.name, from, why }
    }
}

fn of_destination(outbox: &Outbox) -> anyhow::Result<DestinationStatus> {
    let standing = Standing::read(outbox);
    Ok(DestinationStatus {
        name: outbox.destination().to_string(),
        waiting: backlog(&outbox.list()?),
        last_success: standing.last_success,
        last_error: standing.last_error.map(|(time, why)| LastError { time, why: text::line(why) }),
    })
}

/// Names sort by the time of the push, and a push's id tells it.
fn backlog(names: &[String]) -> Backlog {
    let oldest = names.first().and_then(|name| Outbox::push_of(name)).and_then(PushId::time);
    Backlog { files: names.len(), oldest }
}

fn print(status: &Status, has_no_destination: bool, terminal: &Terminal) -> anyhow::Result<()> {
    let now = Timestamp::now();
    terminal.answer(format_args!("state        {}", status.state_dir))?;
    terminal
        .answer(format_args!("config       {}", status.config.as_deref().unwrap_or("none, all defaults")))?;
    terminal.answer(format_args!("inbox        {}", waiting(&status.inbox, now)))?;
    if has_no_destination {
        terminal.answer("destination  none is set; markers wait until the configuration has one")?;
    }
    for destination in &status.destinations {
        terminal.answer(format_args!(
            "{}  {}",
            terminal.bold(&format!("{:<11}", destination.name)),
            waiting(&destination.waiting, now)
        ))?;
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
        if dead.is_empty() { "none".into() } else { dead.len().to_string() }
    ))?;
    for letter in dead.iter().take(MAX_SHOWN) {
        terminal.answer(format_args!("             {}: {}", letter.name, letter.why))?;
    }
    if dead.len() > MAX_SHOWN {
        terminal.answer(format_args!(
            "             and {} more in {}/dead",
            dead.len() - MAX_SHOWN,
            status.state_dir
        ))?;
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

fn ago(time: Timestamp, now: Timestamp) -> String {
    match now.duration_since(time).as_secs() {
        seconds if seconds < 1 => "just now".to_string(),
        seconds if seconds < 120 => format!("{seconds} s ago"),
        seconds if seconds < 7200 => format!("{} min ago", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}
