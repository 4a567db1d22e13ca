//! `queue drop`: removes entries for good, and notes each in the journal first.

use std::collections::{HashMap, hash_map};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{
    Which, each_of, entries, letters,
    pick::{Prefer, pick},
    told::Told,
};
use crate::{
    cli::{Common, Ending, own_state, terminal::Terminal},
    config::Config,
    delivery,
    state::{
        State, contents,
        journal::{Action, Queue, Record},
        outbox::Lock,
        queue::{Entry, Place, Taken},
    },
    text,
    time::Timestamp,
};

/// How many entries are shown before it is asked whether they are meant.
const MAX_SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(in crate::cli) struct DropArgs {
    #[command(flatten)]
    which: Which,
    /// With --all: only those of this destination; of `inbox`, captured pushes
    #[arg(long, value_name = "NAME", requires = "all")]
    destination: Option<String>,
    /// Only dead letters; with --all it must be said
    #[arg(long)]
    dead: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DropArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    if args.which.all && !args.dead {
        terminal.message(
            "--all drops dead letters only, and --dead must say so; what waits is dropped by its ids",
        );
        return Ok(Ending::Misused);
    }
    let config = common.load()?;
    let state = own_state(&config, "queue drop")?;
    let from = args.destination.as_deref();
    let mut dropping = Dropping { config: &config, state: &state, locks: HashMap::new() };
    let mut tally = Tally::default();
    if args.which.all {
        let mut count = 0;
        each_of(&config, &state, &[Place::Dead], from, |_| {
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
        each_of(&config, &state, &[Place::Dead], from, |letter| {
            tally.add(dropping.take(&letter), terminal);
            Ok(())
        })?;
    } else {
        let places: &[Place] =
            if args.dead { &[Place::Dead] } else { &[Place::Inbox, Place::Outbox, Place::Dead] };
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
        terminal.answer(serde_json::json!({ "dropped": tally.dropped, "failed": tally.failed }))?;
    } else if tally.dropped > 0 || tally.failed == 0 {
        terminal.say(format_args!("{} dropped for good", entries(tally.dropped)))?;
    }
    Ok(if tally.failed == 0 { Ending::Done } else { Ending::Found })
}

/// Asks, unless that was answered before.
fn is_meant(args: &DropArgs, what: &str, terminal: &Terminal) -> Result<(), Ending> {
    if args.yes {
        return Ok(());
    }
    match terminal.asks(format_args!("drop {what} for good?")) {
        Some(true) => Ok(()),
        Some(false) => {
            terminal.message("nothing was dropped");
            Err(Ending::Found)
        }
        None => {
            terminal.message(format_args!("this would drop {what} for good; say --yes if that is meant"));
            Err(Ending::Misused)
        }
    }
}

fn show(state: &State, picked: &[Entry], terminal: &Terminal) -> anyhow::Result<()> {
    let now = Timestamp::now();
    for entry in picked.iter().take(MAX_SHOWN) {
        if let Some(told) = Told::of(state, entry.clone())? {
            terminal.note(told.line(now));
        }
    }
    if picked.len() > MAX_SHOWN {
        terminal.note(format_args!("and {} more", picked.len() - MAX_SHOWN));
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    dropped: usize,
    failed: usize,
}

impl Tally {
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

/// Dropping, with the right to deliver from each outbox that something is dropped from: so nothing is dropped
/// that is on its way at that moment.
struct Dropping<'a> {
    config: &'a Config,
    state: &'a State,
    /// By destination: the right, `None` if somebody else has it, and since when.
    locks: HashMap<String, (Option<Lock>, Timestamp)>,
}

impl Dropping<'_> {
    fn take(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let id = entry.id();
        let state = self.state;
        let lock = if entry.place == Place::Outbox { self.lock(&entry.from)? } else { None };
        let path = state.path_of(entry);
        let note = || {
            let is_dead = entry.place == Place::Dead;
            let why = is_dead.then(|| state.dead_letters().why(&entry.name)).flatten();
            state.journal().append([Record::Queue(Queue {
                action: Action::Dropped,
                from: (&*entry.from).into(),
                was_dead: is_dead,
                push: entry.only_push(),
                markers: if entry.is_capture() { Vec::new() } else { contents::marker_ids(&path) },
                why: why.map(|why| why.why).unwrap_or_default().into(),
            })])
        };
        match state.drop_entry(entry, lock, note).with_context(|| format!("`{id}` is not dropped"))? {
            Taken::Dropped => Ok(()),
            Taken::IsBusy if entry.place == Place::Outbox => bail!(
                "`{id}` is not dropped: a delivery to `{}` is at work; end it, or try again when it has ended",
                text::line(&entry.from)
            ),
            Taken::IsBusy => {
                bail!("`{id}` is not dropped: a push or a delivery works on it; try again when it has ended")
            }
            Taken::IsGone => {
                bail!("`{id}` is not there any more: it was delivered, decided or dropped meanwhile")
            }
        }
    }

    fn lock(&mut self, destination: &str) -> anyhow::Result<Option<&Lock>> {
        let (lock, _) = match self.locks.entry(destination.to_string()) {
            hash_map::Entry::Occupied(held) => held.into_mut(),
            hash_map::Entry::Vacant(free) => {
                let now = Timestamp::now();
                free.insert((self.state.outbox(destination).try_lock()?, now))
            }
        };
        Ok(lock.as_ref())
    }

    /// Lets the outboxes go. A push that landed while one was held may have found it held and left, so what
    /// has come since then is sent.
    fn end(self) -> anyhow::Result<()> {
        let mut has_come = false;
        for (destination, (lock, since)) in self.locks {
            if lock.is_some() {
                drop(lock);
                // A file has its time a little before it has its name.
                let since = since.checked_sub(std::time::Duration::from_secs(2)).unwrap_or(since);
                has_come |= self.state.has_come_since(&destination, since)?;
            }
        }
        if has_come && !self.config.destinations.is_empty() {
            delivery::detach(self.config).context("failed to start the delivery of what came meanwhile")?;
        }
        Ok(())
    }
}
