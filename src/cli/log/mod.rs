//! `log`: prints the journal, filtered.

mod line;
mod pager;
mod verify;

use std::{collections::VecDeque, path::PathBuf, thread, time::Duration};

use clap::{Args, builder::PossibleValuesParser};
use jiff::tz::TimeZone;

use self::{
    line::{EarlierRecords, LinePrinter, OUTCOMES},
    pager::Pager,
};
use super::{
    Common, Completion, Verbosity, named_repository::NamedRepository, repository_names::RepositoryNames,
    seen_names::SeenNames, terminal::Terminal, when,
};
use crate::{
    marker::Kind,
    state::{
        JournalPosition, State,
        journal::{DecisionRecord, JournalEntry, Record},
    },
    sys::time::Timestamp,
    text,
};

/// Interval between looks for new lines with `--follow`.
const TICK: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Show only markers of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Show only this repository: present or former OWNER/NAME, or a path
    #[arg(long, value_name = "REPO")]
    repo: Option<String>,
    /// Show only markers of this kind: change, release, deployment or rollback
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
    /// Show only markers of this environment
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Show only pushes by this user
    #[arg(long, value_name = "USER")]
    pusher: Option<String>,
    /// Show only records with this outcome, the word after the time
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(OUTCOMES), hide_possible_values = true)]
    outcome: Option<String>,
    /// Show only records since TIME: 2026-11-22T10:00:00Z, 10:24, yesterday or an age (2h)
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Show only records before this time, in the same formats
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,
    /// Show only the last N of these records
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Wait for new records and print them, until interrupted
    #[arg(long)]
    follow: bool,
    /// Verify that no line was changed, removed, added or moved
    #[arg(long, conflicts_with_all = ["service", "repo", "kind", "environment", "pusher", "outcome", "since", "until", "last", "follow", "utc"])]
    verify: bool,
    /// Compare with the heads in FILE, an export of what the back end has, in any format
    #[arg(long, value_name = "FILE", requires = "verify")]
    against: Option<PathBuf>,
    /// Show times in UTC instead of this machine's zone
    #[arg(long, conflicts_with = "json")]
    utc: bool,
    /// Print the journal's JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub verbosity: Verbosity,
}

pub(super) fn run(args: &LogArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    if args.verify {
        return verify::run(&state, args.against.as_deref(), args.json, terminal);
    }
    let journal = state.journal();
    let repository =
        args.repo.as_ref().map(|repo| NamedRepository::find(repo, None, Some(&journal))).transpose()?;
    let repository = repository.map(|repository| repository.names);
    let pager = (!args.json && !args.follow).then(Pager::start).flatten();
    let mut printer = LogPrinter {
        args,
        terminal,
        repository,
        lines: LinePrinter {
            zone: if args.utc { TimeZone::UTC } else { TimeZone::system() },
            terminal,
            has_places: terminal.is_verbose(),
        },
        earlier: EarlierRecords::default(),
        seen: SeenNames::default(),
        held: VecDeque::new(),
        broken: 0,
    };
    let mut position = JournalPosition::default();
    journal.each_line_since(&mut position, |line| printer.take(line))?;
    let printed = printer.release();
    drop(pager);
    printed?;
    printer.report();
    if !args.follow {
        return Ok(Completion::Done);
    }
    loop {
        thread::sleep(TICK);
        journal.each_line_since(&mut position, |line| printer.take(line))?;
        printer.release()?;
    }
}

/// Prints the wanted records.
struct LogPrinter<'a> {
    args: &'a LogArgs,
    terminal: &'a Terminal,
    repository: Option<RepositoryNames>,
    lines: LinePrinter<'a>,
    earlier: EarlierRecords,
    seen: SeenNames,
    /// Lines that may be the last ones, with `--last`.
    held: VecDeque<String>,
    /// Number of lines that cannot be parsed.
    broken: usize,
}

impl LogPrinter<'_> {
    fn take(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let Some(entry) = JournalEntry::read(line) else {
            self.broken += 1;
            return Ok(());
        };
        self.earlier.note(&entry);
        self.seen.note(&entry);
        let is_shown =
            self.args.json || self.terminal.is_verbose() || !matches!(entry.record, Record::Push(_));
        if !is_shown || !self.wants(&entry) {
            return Ok(());
        }
        let shown = if self.args.json {
            // With the members of the hash chain.
            String::from_utf8_lossy(line).into_owned()
        } else {
            self.lines.line(&entry, &self.earlier)
        };
        let Some(last) = self.args.last else { return self.print(&shown) };
        self.held.push_back(shown);
        if self.held.len() > last {
            self.held.pop_front();
        }
        Ok(())
    }

    /// Prints the lines that were held back.
    fn release(&mut self) -> anyhow::Result<()> {
        while let Some(line) = self.held.pop_front() {
            self.print(&line)?;
        }
        Ok(())
    }

    fn print(&self, line: &str) -> anyhow::Result<()> {
        Ok(if self.args.json { self.terminal.json(line) } else { self.terminal.row(line) }?)
    }

    /// Reports lines that could not be read, and filters with a name that the journal does not have.
    fn report(&self) {
        if self.broken > 0 {
            let lines = text::count(self.broken, "line");
            self.terminal.message(format_args!("{lines} of the journal could not be read"));
        }
        if let Some(repo) = &self.args.repo
            && let Some(names) = &self.repository
            && let Some(unknown) = self.seen.unknown_repository(repo, names)
        {
            self.terminal.message(unknown);
        }
        if let Some(service) = &self.args.service
            && let Some(unknown) = self.seen.unknown_service(service)
        {
            self.terminal.message(unknown);
        }
    }

    fn wants(&self, entry: &JournalEntry<'_>) -> bool {
        let args = self.args;
        if args.since.is_some_and(|since| entry.time < since)
            || args.until.is_some_and(|until| entry.time >= until)
            || args.outcome.as_ref().is_some_and(|outcome| *outcome != line::outcome(&entry.record))
        {
            return false;
        }
        let is_any = args.service.is_none() && args.kind.is_none() && args.environment.is_none();
        match &entry.record {
            Record::Decision(decision) => {
                self.wants_repository(Some(&decision.repository))
                    && self.wants_pusher(self.earlier.pusher(decision))
                    && (is_any || args.wants_a_marker_of(decision))
            }
            Record::Push(push) => {
                is_any
                    && self.wants_repository(Some(&push.repository))
                    && self.wants_pusher(push.pusher.as_ref().map(|pusher| pusher.name.as_str()))
            }
            Record::Trouble(trouble) => {
                is_any && args.pusher.is_none() && self.wants_repository(trouble.repository.as_deref())
            }
            Record::Delivery(_) | Record::Queue(_) | Record::Pruned(_) => {
                is_any && args.pusher.is_none() && args.repo.is_none()
            }
        }
    }

    fn wants_repository(&self, repository: Option<&str>) -> bool {
        self.repository.as_ref().is_none_or(|wanted| repository.is_some_and(|it| wanted.has(it)))
    }

    fn wants_pusher(&self, pusher: Option<&str>) -> bool {
        self.args
            .pusher
            .as_ref()
            .is_none_or(|wanted| pusher.is_some_and(|pusher| pusher.eq_ignore_ascii_case(wanted)))
    }
}

impl LogArgs {
    fn wants_a_marker_of(&self, decision: &DecisionRecord<'_>) -> bool {
        decision.markers.iter().any(|marker| {
            self.service.as_ref().is_none_or(|service| *service == marker.service)
                && self.kind.is_none_or(|kind| kind == marker.kind)
                && self
                    .environment
                    .as_deref()
                    .is_none_or(|wanted| marker.environment.as_deref() == Some(wanted))
        })
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::parse(name).ok_or_else(|| "expected change, release, deployment or rollback".to_string())
}

/// Returns the line of a record as plain text, without what other records say.
pub(super) fn plain_line(entry: &JournalEntry<'_>, terminal: &Terminal) -> String {
    LinePrinter { zone: TimeZone::system(), terminal, has_places: true }
        .line(entry, &EarlierRecords::default())
}
