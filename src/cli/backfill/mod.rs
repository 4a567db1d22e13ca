//! `backfill`: marks what a repository's history contains and no hook saw.
//!
//! Each past ref change is a separate push, with an ID that is computed from it. Up to [`MAX_PAST`]
//! of them are captured in one file of the inbox. The deciders settle it like any captured push, so the
//! limits on scripts, the order of the writes and the recovery after a crash are theirs. The next file
//! is written when the last one is settled, because a deployment is compared with the one before it.
//! The journal tells the next run what is done.

mod known;
mod limits;
mod pace;
mod report;

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    path::Path,
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::bail;
use clap::Args;

use self::{
    known::{KnownRepository, KnownUpdates, Passed},
    pace::{Pace, Rate},
    report::BackfillReport,
};
use super::{
    Common, Completion, Verbosity,
    gitea::{GITEA, GiteaArgs},
    named_repository::NamedRepository,
    own_or_new_state,
    past::PastPushes,
    progress::{HowFar, while_working},
    terminal::Terminal,
    trial::TrialReport,
    when,
};
use crate::{
    decide::{LayeredHistory, Outcome, Verdict},
    delivery,
    facts::{self, HistoryRange, Past, Repository},
    policy::ScriptLocations,
    push::{PushId, Source},
    state::{
        JournalPosition, MAX_PAST, State,
        journal::{DecisionRecord, JournalEntry, Record},
    },
    sys::{
        signals,
        time::{self, Timestamp},
    },
    text,
};

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    /// Path of a bare repository or a clone; or present or former OWNER/NAME
    #[arg(value_name = "REPO")]
    repo: String,
    /// Mark only commits and tags since TIME: 2026-11-22, yesterday or an age (2h)
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Mark only commits and tags before this time, in the same formats
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,
    /// Show what would be marked, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Hand at most N markers per second to the destinations
    #[arg(long, value_name = "N/s", default_value_t = Rate::DEFAULT)]
    rate: Rate,
    /// Mark the commits of this branch (default: the branch of HEAD)
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub verbosity: Verbosity,
    #[command(flatten, next_help_heading = GITEA)]
    gitea: GiteaArgs,
}

impl BackfillArgs {
    /// Returns the arguments for the process that root starts as Gitea's user.
    fn words(&self) -> Vec<OsString> {
        let repo = fs::canonicalize(&self.repo).map_or_else(|_| self.repo.clone().into(), Into::into);
        let mut words: Vec<OsString> = vec!["backfill".into(), repo];
        let times = [("--since", self.since), ("--until", self.until)];
        for (option, time) in times.into_iter().filter_map(|(option, time)| Some((option, time?))) {
            words.extend([option.into(), time.to_string().into()]);
        }
        words.extend(["--rate".into(), self.rate.per_second().to_string().into()]);
        if let Some(branch) = &self.branch {
            words.push(format!("--branch={branch}").into());
        }
        let flags =
            [("--dry-run", self.dry_run), ("--json", self.json), ("--verbose", self.verbosity.verbose)];
        words.extend(flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag.into()));
        words
    }
}

pub(super) fn run(args: &BackfillArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    if let Some(ended) = args.gitea.as_gitea_user(common, || args.words())? {
        return Ok(ended);
    }
    let config = common.load()?;
    let state = if args.dry_run { State::at(&config.state_dir) } else { own_or_new_state(&config)? };
    let lock = if args.dry_run { None } else { Some(state.lock_backfill()?) };
    if matches!(lock, Some(None)) {
        bail!("another `backfill` is running; wait until it ends");
    }
    if !args.dry_run {
        signals::note_stops();
        // An earlier run may have left a batch.
        delivery::decide_waiting(&config, &state)?;
    }
    let named = NamedRepository::find(&args.repo, None, Some(&state.journal()))?;
    let git_dir = named.dir()?.clone();
    let mut known = KnownRepository::read(&state, &named)?;
    let source = known.source(Source::unknown(git_dir.clone(), named.identity()));
    let repository = Rc::new(Repository::open(&git_dir)?.with_cache(facts::CACHE));
    let range = HistoryRange { last: usize::MAX, since: args.since, until: args.until };
    let history = repository.history(args.branch.as_ref().map(|branch| branch.as_str().into()), &range)?;
    if history.is_empty() {
        bail!(
            "there is nothing to mark: `{}` has neither commits nor tags in that time",
            text::line(&args.repo)
        );
    }
    known.updates.cover(&history);
    let pushes = PastPushes { config: &config, repository, source, history };
    let now = time::now();
    let oldest = pushes.history.iter().find(|past| known.updates.passed(past, now).is_none());
    for warning in oldest.iter().flat_map(|past| limits::warnings(&config, past.time, now)) {
        terminal.message(warning);
    }
    let hook_page = known.newest.as_ref().and_then(|push| push.hook_page.as_deref());
    let hook_page = hook_page.map(Path::new).filter(|page| page.exists());
    if args.dry_run {
        let scripts = ScriptLocations {
            dir: config.scripts.clone(),
            hook_page: hook_page.map(Path::to_path_buf),
            draft: None,
        };
        return dry_run(args, &pushes, &scripts, &known.updates, &state, terminal);
    }
    let backfill = Backfill { hook_page, pushes: &pushes, state: &state, rate: args.rate };
    let report = backfill.play(known.updates, known.end, !args.json && terminal.is_watched())?;
    report.end(args.json, terminal, &pushes.source.repository, &pushes.history)
}

/// Shows what would be marked.
fn dry_run(
    args: &BackfillArgs,
    pushes: &PastPushes<'_>,
    scripts: &ScriptLocations,
    known: &KnownUpdates,
    state: &State,
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    let stored = state.memory().only_to_look();
    let memory = LayeredHistory::over(&stored);
    let mut decider = pushes.decider(scripts, &memory)?;
    let mut report = TrialReport::new(args.json, terminal, pushes.config.scripts.as_deref());
    let now = time::now();
    pushes.play(args.json, terminal, |past| {
        let verdict = match known.passed(past, now) {
            Some(passed) => Verdict::without(0, Outcome::Skipped(passed.why().into())),
            None => pushes.judge(&mut decider, past)?,
        };
        for (place, deployed) in verdict.markers.iter().filter_map(|made| made.deployed.clone()) {
            memory.remember(place, deployed);
        }
        report.add(past, &verdict)?;
        Ok(verdict.markers.len())
    })?;
    report.end(&pushes.source, &pushes.history, std::iter::empty())
}

/// The inputs of a run, except what is known.
struct Backfill<'a> {
    pushes: &'a PastPushes<'a>,
    state: &'a State,
    hook_page: Option<&'a Path>,
    rate: Rate,
}

impl Backfill<'_> {
    /// Captures what is not known, batch by batch, and shows the progress. Stops between two batches
    /// after a signal.
    fn play(
        &self,
        mut known: KnownUpdates,
        mut end: JournalPosition,
        is_watched: bool,
    ) -> anyhow::Result<BackfillReport> {
        let (done, markers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let of = self.pushes.history.len();
        let how_far = || {
            let what = format!("commits and tags, {}", text::count(markers.load(Relaxed), "marker"));
            HowFar { done: done.load(Relaxed), of, what }
        };
        let mut report = BackfillReport::default();
        let mut pace = Pace::new(self.rate);
        let mut work = || -> anyhow::Result<()> {
            let now = time::now();
            let most = MAX_PAST.min(self.rate.per_second());
            let mut batch = Vec::new();
            let mut history = self.pushes.history.iter();
            while signals::stop().is_none() && report.postponed.is_none() {
                let next = history.next();
                let is_end = next.is_none();
                if let Some(past) = next {
                    match known.passed(&past, now) {
                        Some(passed) => report.pass(&past, passed),
                        None => batch.push(past),
                    }
                }
                if batch.len() == most || is_end {
                    let made = self.settle(&batch, &mut end, &mut known, &mut report)?;
                    batch.clear();
                    done.store(report.done, Relaxed);
                    markers.store(report.markers(), Relaxed);
                    pace.wait_after(made);
                }
                if is_end {
                    break;
                }
            }
            Ok(())
        };
        if is_watched { while_working(how_far, work) } else { work() }?;
        Ok(report)
    }

    /// Captures a batch, has it decided, and starts a delivery. Returns the number of markers.
    fn settle(
        &self,
        batch: &[Past],
        end: &mut JournalPosition,
        known: &mut KnownUpdates,
        report: &mut BackfillReport,
    ) -> anyhow::Result<usize> {
        let Self { pushes, state, hook_page, .. } = self;
        if batch.is_empty() {
            return Ok(0);
        }
        let captured = PushId::now();
        state.inbox().capture_past(captured, &pushes.source, *hook_page, batch)?;
        report.postponed = delivery::decide_push(pushes.config, state, captured)?;
        // A power cut must not bring back what is decided.
        state.inbox().sync_names();
        let mut waits: HashMap<PushId, &Past> =
            batch.iter().map(|past| (pushes.push(past.clone()).id(), past)).collect();
        let mut markers = 0;
        state.journal().each_line_since(end, |line| {
            let Some(Record::Decision(decision)) = JournalEntry::read(line).map(|entry| entry.record) else {
                return Ok(());
            };
            match waits.remove(&decision.push) {
                Some(past) => markers += report.add(past, &decision, pushes.config),
                None => note_push(known, pushes, &decision),
            }
            Ok(())
        })?;
        if report.postponed.is_none() {
            report.lose(waits.len());
            if let Some(gap) = state.journal_gap().filter(|_| !waits.is_empty()) {
                bail!(
                    "the journal cannot be written, and without it the next run would mark everything again: {}",
                    text::line(&gap.why)
                );
            }
        }
        if markers > 0 && !pushes.config.destinations.is_empty() {
            // The next batch, the next push or `deliver` starts one otherwise.
            let _ = delivery::detach(pushes.config);
        }
        Ok(markers)
    }
}

/// Notes a push that was decided during the run, so that it is not marked again.
fn note_push(known: &mut KnownUpdates, pushes: &PastPushes<'_>, decision: &DecisionRecord<'_>) {
    if decision.repository.eq_ignore_ascii_case(&pushes.source.repository.full_name()) {
        known.add(decision.ref_name.as_bytes(), decision.new_id, Passed::Marked);
    }
}
