//! `scan`: finds the ref changes that no hook captured.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;

use super::{
    Common, Completion,
    gitea::{GiteaArgs, Worker},
    hook_owner,
    named_repository::NamedRepository,
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config, delivery,
    install::{self, Newcomers, RepositoriesRoot, Walking},
    proposal,
    push::Update,
    scan::{Scan, ScanReport},
    state::{LastScan, State, StateError, ref_log::ScanLock},
    sys::time::{self, Deadline},
    text,
};

/// Option that a hook passes first when it has repositories scanned in the background.
pub(super) const WANTED: &str = "--wanted";

/// Maximum time for which a scan in the background waits for another one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Maximum time for which a scan of a person or a timer waits.
const BRIEFLY: Duration = Duration::from_secs(5);

/// Interval between two attempts to start.
const TICK: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    /// Scan only these: path of a bare repository, or present or former OWNER/NAME
    #[arg(value_name = "REPO")]
    repos: Vec<String>,
    #[command(flatten)]
    gitea: GiteaArgs,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Scan the repositories that hooks want scanned, as the background process that a hook starts
    #[arg(long, hide = true, conflicts_with_all = ["json", "repos"])]
    wanted: bool,
}

pub(super) fn run(args: &ScanArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    if args.wanted {
        return scan_wanted(common);
    }
    let words = || {
        let mut words: Vec<OsString> = vec!["scan".into()];
        words.extend(args.repos.iter().map(Into::into));
        words.extend(args.json.then(|| "--json".into()));
        words
    };
    if args.repos.is_empty() {
        let place = match args.gitea.worker(common, || {
            let config = config::find(common.config.as_deref());
            let config = config.map(std::path::absolute).transpose()?;
            let named = config.into_iter().flat_map(|config| ["--config".into(), config.into_os_string()]);
            Ok(words().into_iter().chain(named).collect())
        })? {
            Worker::This(gitea) => gitea.place,
            Worker::Other(ending) => return Ok(ending),
        };
        return scan(args, common, terminal, Some(&place));
    }
    match args.gitea.as_gitea_user(common, words)? {
        Some(ending) => Ok(ending),
        None => scan(args, common, terminal, None),
    }
}

/// Scans the repositories of `place`, or else those that the arguments name.
fn scan(
    args: &ScanArgs,
    common: &Common,
    terminal: &Terminal,
    place: Option<&RepositoriesRoot>,
) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = super::own_or_new_state(&config)?;
    // One that a hook started ends within a moment.
    let Some(lock) = lock_within(&state, BRIEFLY)? else {
        terminal.note("another scan is running; it finds the same changes");
        return Ok(Completion::Done);
    };
    // This scan sees these repositories too, if it is one of all repositories.
    if place.is_some() {
        state.wanted_scans().take()?;
    }
    let scan = Scan::begin(&state, &hook_page)?;
    let report = match place {
        Some(place) => scan_all(scan, place, !args.json && terminal.is_watched())?,
        None => scan_some(scan, &args.repos, &state)?,
    };
    if place.is_some() {
        let (repositories, failed) = (report.repositories, report.failed.len());
        state.note_scan(&LastScan { time: time::now(), repositories, failed })?;
    }
    let delivery = if report.changes.is_empty() { Ok(()) } else { delivery::detach(&config) };
    drop(lock);
    let newcomers = match place {
        Some(place) if !report.appeared.is_empty() => install::cover_newcomers(place, &report.appeared),
        _ => Newcomers::default(),
    };
    if args.json {
        terminal.json(json(&report, &newcomers))?;
    } else {
        print(&report, &newcomers, terminal)?;
    }
    delivery.context("the changes are captured, but the delivery was not started")?;
    let is_whole = report.failed.is_empty() && newcomers.failed.is_empty();
    Ok(if is_whole { Completion::Done } else { Completion::Found })
}

/// Waits for the present scan, and then scans the repositories that hooks want scanned by then.
fn scan_wanted(common: &Common) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = super::own_state(&config)?;
    let wanted = state.wanted_scans();
    let Some(next) = wanted.be_next()? else { return Ok(Completion::Done) };
    // The next scan of all repositories finds the same.
    let Some(_lock) = lock_within(&state, PATIENCE)? else { return Ok(Completion::Done) };
    // Who wants a scan from here on needs another one.
    drop(next);
    let mut scan = Scan::begin(&state, &hook_page)?;
    wanted.take()?.iter().for_each(|dir| scan.visit(dir));
    if !scan.end(false)?.changes.is_empty() {
        delivery::detach(&config)?;
    }
    Ok(Completion::Done)
}

/// Takes the lock of the scans, or returns `None` if another process keeps it for longer than `time`.
fn lock_within(state: &State, time: Duration) -> Result<Option<ScanLock>, StateError> {
    let deadline = Deadline::after(time);
    loop {
        match state.ref_log().lock_scans()? {
            None if !deadline.is_over() => thread::sleep(TICK),
            lock => return Ok(lock),
        }
    }
}

/// Returns the script of a repository's Git Hooks page, if it is a policy.
fn hook_page(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(hook_owner::PAGE)).filter(|page| hook_owner::is_page(page))
}

fn scan_all(mut scan: Scan<'_>, place: &RepositoriesRoot, is_watched: bool) -> anyhow::Result<ScanReport> {
    let walking = Walking::default();
    let how_far = || {
        let (done, of) = walking.now();
        HowFar { done, of, what: "repositories".into() }
    };
    // The hook's path has no symbolic links.
    let root = fs::canonicalize(place.root()).unwrap_or_else(|_| place.root().into());
    let mut work = || {
        let mut unopened = Vec::new();
        install::each_repository(place, &walking, |opened| match opened {
            // A repository that could not be made, or is not made yet.
            Ok(dir) if !dir.join("HEAD").exists() => {}
            Ok(dir) => match dir.strip_prefix(place.root()) {
                Ok(below) => scan.visit(&root.join(below)),
                Err(_) => scan.visit(dir),
            },
            Err(err) => unopened.push(err.to_string()),
        })?;
        scan.visit_known()?;
        anyhow::Ok(unopened)
    };
    let unopened = if is_watched { while_working(how_far, work)? } else { work()? };
    let mut report = scan.end(true)?;
    report.failed.extend(unopened.into_iter().map(|why| (root.clone(), why)));
    Ok(report)
}

fn scan_some(mut scan: Scan<'_>, repos: &[String], state: &State) -> anyhow::Result<ScanReport> {
    let journal = state.journal();
    for repo in repos {
        let named = NamedRepository::find(repo, None, Some(&journal))?;
        let dir = named.dir()?.as_path();
        scan.visit(&fs::canonicalize(dir).unwrap_or_else(|_| dir.into()));
    }
    Ok(scan.end(false)?)
}

fn print(report: &ScanReport, newcomers: &Newcomers, terminal: &Terminal) -> anyhow::Result<()> {
    for change in &report.changes {
        let repository = text::line(change.repository.full_name());
        let name = text::line(change.update.ref_name().to_text());
        terminal.row(format_args!(
            "{:8} {repository}  {name}  {}",
            movement(&change.update),
            target(&change.update)
        ))?;
    }
    for (from, to) in &report.renamed {
        terminal.say(format_args!("renamed  {} to {}", text::path(from), text::path(to)))?;
    }
    for dir in &report.made_again {
        terminal.say(format_args!("replaced {}", text::path(dir)))?;
    }
    for dir in &report.gone {
        terminal.say(format_args!("gone     {}", text::path(dir)))?;
    }
    for dir in &newcomers.covered {
        terminal.say(format_args!("covered  {}", text::path(dir)))?;
    }
    for (dir, why) in &report.failed {
        terminal.message(format_args!("failed to scan `{}`: {why}", text::path(dir)));
    }
    for (dir, why) in &newcomers.failed {
        terminal.message(format_args!("failed to put the hook into `{}`: {why}", text::path(dir)));
    }
    if let [first, others @ ..] = &report.deferred[..] {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        terminal.note(format_args!(
            "`{}`{more} changed during the scan; the next scan looks again",
            text::path(first)
        ));
    }
    let scanned = text::count(report.repositories, "repository");
    let found = match report.changes.len() {
        0 => format!("scanned {scanned}, and found no change that a hook missed"),
        changes => format!(
            "scanned {scanned}, and captured {}; `{}` shows what becomes of them",
            text::count(changes, "change"),
            proposal::command("log --last 10")
        ),
    };
    terminal.say(found)?;
    if report.first_seen > 0 {
        terminal.say(format_args!(
            "first look at {}: their refs are known from now on",
            text::count(report.first_seen, "repository")
        ))?;
    }
    Ok(())
}

fn json(report: &ScanReport, newcomers: &Newcomers) -> serde_json::Value {
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| text::path(path).to_string()).collect::<Vec<_>>();
    let changes = report.changes.iter().map(|change| {
        serde_json::json!({
            "repository": change.repository.full_name(),
            "ref": change.update.ref_name().to_text(),
            "old_id": change.update.raw_old_id(),
            "new_id": change.update.raw_new_id(),
        })
    });
    let renamed = report.renamed.iter().map(|(from, to)| {
        serde_json::json!({ "from": text::path(from).to_string(), "to": text::path(to).to_string() })
    });
    let failed = |failed: &[(PathBuf, String)]| {
        let failed = failed
            .iter()
            .map(|(dir, why)| serde_json::json!({ "git_dir": text::path(dir).to_string(), "why": why }));
        failed.collect::<Vec<_>>()
    };
    serde_json::json!({
        "repositories": report.repositories,
        "first_seen": report.first_seen,
        "changes": changes.collect::<Vec<_>>(),
        "renamed": renamed.collect::<Vec<_>>(),
        "made_again": paths(&report.made_again),
        "gone": paths(&report.gone),
        "deferred": paths(&report.deferred),
        "failed": failed(&report.failed),
        "covered": paths(&newcomers.covered),
        "uncovered": failed(&newcomers.failed),
    })
}

fn movement(update: &Update) -> &'static str {
    if update.is_created() {
        "created"
    } else if update.is_deleted() {
        "deleted"
    } else {
        "moved"
    }
}

/// Returns the new object, or for a deletion the old one.
fn target(update: &Update) -> String {
    update.new_id().or(update.old_id()).map_or_else(String::new, |id| id.short())
}
