//! `try`: a policy over the real history of a real repository. It writes nothing, neither into the state nor into
//! the repository.

mod account;
mod compare;
mod table;

use std::{
    io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::{Context as _, bail};
use clap::Args;

use self::{account::Account, compare::Comparison};
use super::{
    Common, Ending,
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config::Config,
    decide::{Budget, Decider, Passing, Verdict},
    facts::{self, History, Past, Repository},
    policy::Scripts,
    push::{self, Push, PushId, Source},
    text,
};

/// How many pushes are tried unless somebody wants more.
const LAST: usize = 200;

#[derive(Debug, Args)]
pub(super) struct TryArgs {
    /// A bare repository, or a clone with its files
    #[arg(value_name = "REPO")]
    path: PathBuf,
    /// Only the newest N pushes: commits of the branch and tags together
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: usize,
    /// Every push that there was
    #[arg(long, conflicts_with = "last")]
    all: bool,
    /// The branch whose commits are tried, instead of the one that HEAD names
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Try this script alone over the built-in policy, instead of the configured ones
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Show only what changes from the policy FILE to the one that is tried; without FILE, from the configured one
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    against: Option<Option<PathBuf>>,
    /// Take it for this repository, which says whose scripts and services are meant; otherwise the path says it
    #[arg(long, value_name = "OWNER/NAME", value_parser = super::repository)]
    repository: Option<push::Repository>,
    /// Print an object for each push, one a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TryArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let git_dir = Repository::locate(&args.path)?;
    let known = args.repository.clone().unwrap_or_else(|| push::Repository::of_dir(&git_dir));
    let repository = Rc::new(Repository::open(&git_dir)?.with_cache(facts::CACHE));
    let last = if args.all { usize::MAX } else { args.last.max(1) };
    let branch = args.branch.as_ref().map(|branch| branch.as_str().into());
    let history = repository.history(branch, last)?;
    if history.past.is_empty() {
        bail!("there is nothing to try: `{}` has neither commits nor tags", args.path.display());
    }
    let stage = Stage { config: &config, repository, source: Source::unknown(git_dir, known), history };
    let configured = Scripts { dir: config.scripts.clone(), ..Scripts::default() };
    let only = |file: &Path| {
        let beside = || file.parent().filter(|dir| dir.is_dir()).map(Path::to_path_buf);
        Scripts {
            dir: config.scripts.clone().or_else(beside),
            draft: Some(file.into()),
            ..Scripts::default()
        }
    };
    let tried = args.policy.as_deref().map_or_else(|| configured.clone(), only);
    match &args.against {
        None => stage.account(args, &tried, terminal),
        Some(against) => {
            let old = against.as_deref().map_or(configured, only);
            stage.compare(args, [&old, &tried], terminal)
        }
    }
}

/// What is tried, but for the policy.
struct Stage<'a> {
    config: &'a Config,
    repository: Rc<Repository>,
    source: Source,
    history: History,
}

impl Stage<'_> {
    fn account(&self, args: &TryArgs, tried: &Scripts, terminal: &Terminal) -> anyhow::Result<Ending> {
        let memory = Passing::default();
        let mut decider = self.decider(tried, &memory)?;
        let mut account = Account::new(args.json, terminal, self.config.scripts.as_deref());
        self.play(args, terminal, |past| {
            let verdict = self.judge(&mut decider, past)?;
            remember(&memory, &verdict);
            account.add(past, &verdict)?;
            Ok(verdict.markers.len())
        })?;
        account.end(&self.source.repository, &self.history)
    }

    fn compare(&self, args: &TryArgs, scripts: [&Scripts; 2], terminal: &Terminal) -> anyhow::Result<Ending> {
        // Both are measured from what the new policy says was deployed: then every difference is one of the policies.
        let memory = Passing::default();
        let [mut old, mut new] = [self.decider(scripts[0], &memory)?, self.decider(scripts[1], &memory)?];
        let mut comparison = Comparison::new(args.json, terminal, self.config.scripts.as_deref());
        self.play(args, terminal, |past| {
            let verdicts = [self.judge(&mut old, past)?, self.judge(&mut new, past)?];
            remember(&memory, &verdicts[1]);
            comparison.add(past, &verdicts)
        })?;
        comparison.end(&self.source.repository, &self.history)
    }

    /// Has every push of the past judged, and shows how far that is. `judge` returns how many markers it found.
    fn play(
        &self,
        args: &TryArgs,
        terminal: &Terminal,
        mut judge: impl FnMut(&Past) -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        let (done, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let pushes = self.history.past.len();
        let how_far = || HowFar {
            done: done.load(Relaxed),
            of: pushes,
            what: format!("pushes tried, {}", text::count(found.load(Relaxed), "marker")),
        };
        let mut work = || {
            for past in &self.history.past {
                found.fetch_add(judge(past)?, Relaxed);
                done.fetch_add(1, Relaxed);
            }
            Ok(())
        };
        if !args.json && terminal.is_watched() { while_working(how_far, work) } else { work() }
    }

    fn decider<'a>(&'a self, scripts: &Scripts, memory: &'a Passing) -> anyhow::Result<Decider<'a>> {
        let first = self.history.past.first().context("there is nothing to try")?;
        Ok(Decider::over(self.config, self.repository.clone(), scripts, self.push(first), memory)?)
    }

    fn judge(&self, decider: &mut Decider<'_>, past: &Past) -> io::Result<Verdict> {
        decider.turn_to(self.push(past));
        let mut decided = decider.decide(0..1, Budget::Update);
        decided.verdicts.pop().ok_or_else(|| io::Error::other("a push of one update was not decided"))
    }

    /// Returns the push that this ref change might have been.
    fn push(&self, past: &Past) -> Push {
        let id = PushId::derived(past.time, &self.source.repository.full_name(), &past.update);
        Push::new(id, past.time, self.source.clone(), vec![past.update.clone()])
    }
}

fn remember(memory: &Passing, verdict: &Verdict) {
    for (place, deployed) in verdict.markers.iter().filter_map(|made| made.deployed.clone()) {
        memory.remember(place, deployed);
    }
}
