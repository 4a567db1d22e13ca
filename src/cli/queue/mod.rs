//! `queue`: lists, shows, retries and drops the entries of the spool and the dead letters.

mod discard;
mod list;
mod pick;
mod retry;
mod show;
mod summary;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{Common, Completion, terminal::Terminal};
use crate::{
    config::{Config, INBOX, UNASSIGNED},
    state::{
        State,
        queue::{IdPrefix, QueueEntry, QueuePlace},
    },
    text::{self, Hinted},
};

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List queued entries and dead letters, one per line
    List(list::ListArgs),
    /// Show the full content of an entry
    Show(show::ShowArgs),
    /// Put dead letters back into the queue, and decide captured pushes again
    Retry(retry::RetryArgs),
    /// Remove entries permanently
    Drop(discard::DropArgs),
}

pub(super) fn run(
    command: &QueueCommand,
    common: &Common,
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    match command {
        QueueCommand::List(args) => list::run(args, common, terminal),
        QueueCommand::Show(args) => show::run(args, common, terminal),
        QueueCommand::Retry(args) => retry::run(args, common, terminal),
        QueueCommand::Drop(args) => discard::run(args, common, terminal),
    }
}

/// Which entries are meant: some by their ids, or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The id of an entry, or its first digits (can be repeated)
    #[arg(value_name = "ID")]
    ids: Vec<IdPrefix>,
    /// All dead letters; with `retry`, also all pushes whose policy failed
    #[arg(long)]
    all: bool,
}

/// Calls `with` for each entry of the destination `from`, or for all entries.
///
/// # Errors
/// If the state cannot be read, `with` fails, or the destination does not exist.
fn each_of(
    config: &Config,
    state: &State,
    places: &[QueuePlace],
    from: Option<&str>,
    mut with: impl FnMut(QueueEntry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut is_known = from.is_none_or(|from| is_configured(config, from));
    state.each_entry(places, |entry| {
        if from.is_none_or(|from| entry.from == from) {
            is_known = true;
            with(entry)?;
        }
        anyhow::Ok(())
    })?;
    if let Some(from) = from.filter(|_| !is_known) {
        let outboxes = state.outboxes()?;
        if !outboxes.iter().any(|outbox| outbox == from) {
            let configured = config.destinations.iter().map(|destination| &*destination.name);
            let known = configured.chain(outboxes.iter().map(|outbox| &**outbox)).chain([INBOX]);
            let unknown = format!("destination `{}` is not configured and has no entries", text::line(from));
            bail!(Hinted::near(unknown, from, known));
        }
    }
    Ok(())
}

/// Returns true if a configured destination or the deliverer itself takes entries of this name.
fn is_configured(config: &Config, from: &str) -> bool {
    [INBOX, UNASSIGNED].contains(&from)
        || config.destinations.iter().any(|destination| destination.name == from)
}

/// Returns a count such as `1 entry` or `2 entries`.
fn entries(n: usize) -> String {
    if n == 1 { "1 entry".into() } else { format!("{n} entries") }
}

/// Returns a count such as `1 dead letter` or `2 dead letters`.
fn letters(n: usize) -> String {
    text::count(n, "dead letter")
}
