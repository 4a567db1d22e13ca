//! `queue`: looks into the spool and the dead letters, and acts on them.

mod discard;
mod list;
mod pick;
mod retry;
mod show;
mod told;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{Common, Ending, terminal::Terminal};
use crate::{
    config::{Config, INBOX, UNASSIGNED},
    state::{
        State,
        queue::{Entry, IdPrefix, Place},
    },
    text,
};

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// Show what waits and what is dead, one line an entry
    List(list::ListArgs),
    /// Show everything that is in an entry
    Show(show::ShowArgs),
    /// Put dead letters back to where they came from
    Retry(retry::RetryArgs),
    /// Remove entries for good
    Drop(discard::DropArgs),
}

pub(super) fn run(command: &QueueCommand, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
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
    /// The id of an entry, or enough digits of its beginning (can be repeated)
    #[arg(value_name = "ID")]
    ids: Vec<IdPrefix>,
    /// Every dead letter
    #[arg(long)]
    all: bool,
}

/// Calls `with` for every entry of `from`, or of everything.
///
/// # Errors
/// If the state cannot be read, `with` fails, or there is no such destination.
fn each_of(
    config: &Config,
    state: &State,
    places: &[Place],
    from: Option<&str>,
    mut with: impl FnMut(Entry) -> anyhow::Result<()>,
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
            let meant = text::nearest(from, known)
                .map(|meant| format!("; did you mean `{}`?", text::line(meant)))
                .unwrap_or_default();
            bail!("there is no destination `{}`, and nothing of one{meant}", text::line(from));
        }
    }
    Ok(())
}

/// Returns whether somebody will take what waits under this name.
fn is_configured(config: &Config, from: &str) -> bool {
    [INBOX, UNASSIGNED].contains(&from)
        || config.destinations.iter().any(|destination| destination.name == from)
}

/// Returns `1 entry`, `2 entries`.
fn entries(n: usize) -> String {
    if n == 1 { "1 entry".into() } else { format!("{n} entries") }
}

/// Returns `1 dead letter`, `2 dead letters`.
fn letters(n: usize) -> String {
    text::count(n, "dead letter")
}
