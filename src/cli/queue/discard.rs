//! `queue drop`: removes entries permanently, after recording each in the journal.

use std::collections::{HashMap, hash_map};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{
    Which, each_of, entries, letters,
    pick::{Prefer, pick},
    summary::EntrySummary,
};
use crate::{
    cli::{Common, Completion, own_state, terminal::Terminal},
    config::Config,
    delivery,
    state::{
        State, contents,
        journal::{Action, Queue, Record},
        outbox::Lock,
        queue::{QueueEntry, QueuePlace, Taken},
    },
    sys::time::{self, Timestamp},
    text,
};

/// Maximum number of entries shown before the confirmation.
const MAX_SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(in crate::cli) struct DropArgs {
    #[command(flatten)]
    which: Which,
    /// With --all, drop only those of this destination (`inbox`: captured pushes)
    #[arg(long, value_name = "NAME", requires = "all")]
    destination: Option<String>,
    /// Drop only dead letters (required with --all)
    #[arg(long)]
    dead: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DropArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    if args.which.all && !args.dead {
        terminal.message(
            "--all drops dead letters only and needs --dead; to drop queued entries, name their ids",
        );
        return Ok(Completion::Misused);
    }
    let config = common.load()?;
    let state = own_state(&config)?;
    let from = args.destination.as_deref();
    let mut dropping = Dropping { config: &config, state: &state, locks: HashMap::new() };
    let mut tally = DropCounts::default();
    if args.which.all {
        let mut count = 0;
        each_of(&config, &state, &[QueuePlace::Dead], from, |_| {
            count += 1;
            Ok(())
        })?;
        let of = from.map(|from| format!(" of `{}`", text::line(from))).unwrap_or_default();
        if count > 0 {
            match is_meant(args, &format!("{}{of}", letters(count)), terminal) {
                Ok(()) => {}
                Err(ending) => return Ok(ending),
            }
        }
        each_of(&config, &state, &[QueuePlace::Dead], from, |letter| {
            tally.add(dropping.take(&letter), terminal);
            Ok(())
        })?;
    } else {
        let places: &[QueuePlace] = if args.dead { &[QueuePlace::Dead] } else { &QueuePlace::ALL };
        let mut picked = Vec::new();
        for entry in pick(&state, places, &args.which.ids, Prefer::Neither)? {
            match entry {
                Ok(entry) => picked.push(entry),
                Err(err) => tally.add(Err(err), terminal),
            }
        }
        if !picked.is_empty() {
            if !args.yes {
                show(&state, &picked, terminal)?;
            }
            match is_meant(args, &entries(picked.len()), terminal) {
                Ok(()) => {}
                Err(ending) => return Ok(ending),
            }
        }
        for entry in &picked {
            tally.add(dropping.take(entry), terminal);
        }
    }
    dropping.end()?;
    state.dead_letters().sweep()?;
    if args.json {
        terminal.json(serde_json::json!({ "dropped": tally.dropped, "failed": tally.failed }))?;
    } else if tally.dropped > 0 || tally.failed == 0 {
        terminal.say(format_args!("{} dropped", entries(tally.dropped)))?;
    }
    Ok(if tally.failed == 0 { Completion::Done } else { Completion::Found })
}

/// Asks for confirmation, unless `--yes` was given.
fn is_meant(args: &DropArgs, what: &str, terminal: &Terminal) -> Result<(), Completion> {
    if args.yes {
        return Ok(());
    }
    match terminal.asks(format_args!("permanently drop {what}?")) {
        Some(true) => Ok(()),
        Some(false) => {
            terminal.message("nothing was dropped");
            Err(Completion::Found)
        }
        None => {
            terminal.message(format_args!("this would permanently drop {what}; confirm with --yes"));
            Err(Completion::Misused)
        }
    }
}

fn show(state: &State, picked: &[QueueEntry], terminal: &Terminal) -> anyhow::Result<()> {
    let now = time::now();
    for entry in picked.iter().take(MAX_SHOWN) {
        if let Some(told) = EntrySummary::of(state, entry.clone())? {
            terminal.note(told.line(now));
        }
    }
    if picked.len() > MAX_SHOWN {
        terminal.note(format_args!("and {} more", picked.len() - MAX_SHOWN));
    }
    Ok(())
}

#[derive(Default)]
struct DropCounts {
    dropped: usize,
    failed: usize,
}

impl DropCounts {
    fn add(&mut self, dropped: anyhow::Result<()>, terminal: &Terminal) {
        match dropped {
            Ok(()) => self.dropped += 1,
            Err(err) => {
                self.failed += 1;
                terminal.error(&err);
            }
        }
    }
}

/// Drops entries. The delivery lock of each affected outbox is held meanwhile, so that no entry is
/// dropped while it is being sent.
struct Dropping<'a> {
    config: &'a Config,
    state: &'a State,
    /// Lock for each destination, `None` if another process holds it, with the time of the attempt.
    locks: HashMap<String, (Option<Lock>, Timestamp)>,
}

impl Dropping<'_> {
    fn take(&mut self, entry: &QueueEntry) -> anyhow::Result<()> {
        let id = entry.id();
        let state = self.state;
        let lock = if entry.place == QueuePlace::Outbox { self.lock(&entry.from)? } else { None };
        let path = state.path_of(entry);
        let note = || {
            let reason = state.reason(entry);
            state.journal().note([Record::Queue(Queue {
                action: Action::Dropped,
                from: (&*entry.from).into(),
                was_dead: entry.place == QueuePlace::Dead,
                push: entry.only_push(),
                markers: if entry.is_capture() { Vec::new() } else { contents::marker_ids(&path) },
                why: reason.map(|reason| reason.why).unwrap_or_default().into(),
            })]);
        };
        match state.drop_entry(entry, lock, note).with_context(|| format!("failed to drop `{id}`"))? {
            Taken::Dropped => Ok(()),
            Taken::IsBusy if entry.place == QueuePlace::Outbox => bail!(
                "failed to drop `{id}`: a delivery to `{}` is running; stop it, or retry when it has \
                 finished",
                text::line(&entry.from)
            ),
            Taken::IsBusy => {
                bail!(
                    "failed to drop `{id}`: a push or a delivery is using it; retry when that has \
                       finished"
                )
            }
            Taken::IsGone => {
                bail!("`{id}` no longer exists: it has been delivered, decided or dropped")
            }
        }
    }

    fn lock(&mut self, destination: &str) -> anyhow::Result<Option<&Lock>> {
        let (lock, _) = match self.locks.entry(destination.to_string()) {
            hash_map::Entry::Occupied(held) => held.into_mut(),
            hash_map::Entry::Vacant(free) => {
                let now = time::now();
                free.insert((self.state.outbox(destination).try_lock()?, now))
            }
        };
        Ok(lock.as_ref())
    }

    /// Releases the outbox locks. A deliverer that found an outbox locked has given up, so this
    /// starts another if markers arrived since the lock was taken.
    fn end(self) -> anyhow::Result<()> {
        let mut has_come = false;
        for (destination, (lock, since)) in self.locks {
            if lock.is_some() {
                drop(lock);
                // A file's modification time is slightly older than its name.
                let since = since.checked_sub(std::time::Duration::from_secs(2)).unwrap_or(since);
                has_come |= self.state.has_come_since(&destination, since)?;
            }
        }
        if has_come && !self.config.destinations.is_empty() {
            delivery::detach(self.config).context("failed to start the delivery of new markers")?;
        }
        Ok(())
    }
}
