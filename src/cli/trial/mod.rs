//! `try`: runs a policy over the history of a repository. It writes neither to the state nor to the
//! repository.

mod compare;
mod report;
mod table;
mod tags;

use std::{
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::{Context as _, bail};
use clap::{Args, builder::NonEmptyStringValueParser};

use self::{compare::Comparison, report::TrialReport};
use super::{
    Common, Completion, Verbosity,
    named_repository::NamedRepository,
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config::Config,
    decide::{Budget, Decider, InMemoryHistory, Verdict},
    facts::{self, Facts, History, Past, Repository},
    policy::{Import, ScriptLocations},
    push::{self, Push, PushId, Pusher, RefKind, Source},
    service::Services,
    state::State,
    text,
};

/// Default number of pushes to try.
const LAST: usize = 200;

#[derive(Debug, Args)]
pub(super) struct TryArgs {
    /// Path of a bare repository or a clone; or present or former OWNER/NAME
    #[arg(value_name = "REPO")]
    repo: String,
    /// Try only the newest N pushes: commits of the branch and tags together
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: usize,
    /// Try all pushes
    #[arg(long, conflicts_with = "last")]
    all: bool,
    /// Try the commits of this branch (default: the branch of HEAD)
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Try only this script and the built-in policy, not the configured scripts
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Show only the differences from the policy in FILE (default: the configured one)
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    against: Option<Option<PathBuf>>,
    /// Use the scripts and services of this repository (default: from the path)
    #[arg(long, value_name = "OWNER/NAME", value_parser = super::repository)]
    repository: Option<push::RepositoryIdentity>,
    /// Try as if USER had pushed everything
    ///
    /// History does not record who pushed, so `pusher` is otherwise `()`.
    #[arg(long = "as", value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pusher: Option<String>,
    /// Print each result as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub verbosity: Verbosity,
}

pub(super) fn run(args: &TryArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let journal = State::at(&config.state_dir).journal();
    let named = NamedRepository::find(&args.repo, args.repository.as_ref(), Some(&journal))?;
    let git_dir = named.dir()?.clone();
    let known = args.repository.clone().unwrap_or_else(|| named.identity());
    let repository = Rc::new(Repository::open(&git_dir)?.with_cache(facts::CACHE));
    let last = if args.all { usize::MAX } else { args.last.max(1) };
    let branch = args.branch.as_ref().map(|branch| branch.as_str().into());
    let history = repository.history(branch, last)?;
    if history.past.is_empty() {
        bail!("there is nothing to try: `{}` has neither commits nor tags", text::line(&args.repo));
    }
    let mut source = Source::unknown(git_dir, known);
    source.pusher = args.pusher.clone().map(|name| Pusher { name, id: None });
    let stage = TrialInputs { config: &config, repository, source, history };
    let configured = ScriptLocations { dir: config.scripts.clone(), ..ScriptLocations::default() };
    let only = |file: &Path| {
        let beside = || file.parent().filter(|dir| dir.is_dir()).map(Path::to_path_buf);
        ScriptLocations {
            dir: config.scripts.clone().or_else(beside),
            draft: Some(file.into()),
            ..ScriptLocations::default()
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

/// The inputs of a trial, except the policy.
struct TrialInputs<'a> {
    config: &'a Config,
    repository: Rc<Repository>,
    source: Source,
    history: History,
}

impl TrialInputs<'_> {
    fn account(
        &self,
        args: &TryArgs,
        tried: &ScriptLocations,
        terminal: &Terminal,
    ) -> anyhow::Result<Completion> {
        let memory = InMemoryHistory::default();
        let mut decider = self.decider(tried, &memory)?;
        let mut account = TrialReport::new(args.json, terminal, self.config.scripts.as_deref());
        self.play(args, terminal, |past| {
            let verdict = self.judge(&mut decider, past)?;
            remember(&memory, &verdict);
            account.add(past, &verdict)?;
            Ok(verdict.markers.len())
        })?;
        let hints = [self.hint_about_pusher(&decider), self.hint_about_tags()];
        account.end(&self.source, &self.history, hints.into_iter().flatten())
    }

    /// Returns a line about a policy that reads who pushed, which is unknown.
    fn hint_about_pusher(&self, decider: &Decider<'_>) -> Option<String> {
        let policy = decider.policy().filter(|_| self.source.pusher.is_none())?;
        // The policy found and read these files a moment ago.
        let imported =
            |import: &Import| fs::read_to_string(&import.file).is_ok_and(|text| text.contains(".pusher"));
        (policy.reads_key("pusher") || policy.imports().iter().any(imported)).then(|| {
            "the policy reads `pusher`, which is `()` here; --as USER tries it as if USER had pushed".into()
        })
    }

    /// Returns a line about tags that are not read as versions.
    fn hint_about_tags(&self) -> Option<String> {
        let tag = |past: &Past| match past.update.ref_name().kind() {
            RefKind::Tag(tag) => Some(tag.to_string()),
            RefKind::Branch(_) | RefKind::Other => None,
        };
        let tags: Vec<String> = self.history.past.iter().filter_map(tag).collect();
        let newest = self.push(self.history.past.last()?);
        let facts = Facts::new(Rc::new(newest), 0, Ok(self.repository.clone()));
        tags::hint(&tags, &Services::of(self.config, &facts).tag_names(self.config))
    }

    fn compare(
        &self,
        args: &TryArgs,
        scripts: [&ScriptLocations; 2],
        terminal: &Terminal,
    ) -> anyhow::Result<Completion> {
        // Both policies see the deployments of the new one as history, so that every difference
        // comes from the policies.
        let memory = InMemoryHistory::default();
        let [mut old, mut new] = [self.decider(scripts[0], &memory)?, self.decider(scripts[1], &memory)?];
        let mut comparison = Comparison::new(args.json, terminal, self.config.scripts.as_deref());
        self.play(args, terminal, |past| {
            let verdicts = [self.judge(&mut old, past)?, self.judge(&mut new, past)?];
            remember(&memory, &verdicts[1]);
            comparison.add(past, &verdicts)
        })?;
        comparison.end(&self.source.repository, &self.history)
    }

    /// Calls `judge` for every past push and shows the progress. `judge` returns the number of
    /// markers or changes that it found.
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

    fn decider<'a>(
        &'a self,
        scripts: &ScriptLocations,
        memory: &'a InMemoryHistory,
    ) -> anyhow::Result<Decider<'a>> {
        let first = self.history.past.first().context("there is nothing to try")?;
        Ok(Decider::over(self.config, self.repository.clone(), scripts, self.push(first), memory)?
            .listening())
    }

    fn judge(&self, decider: &mut Decider<'_>, past: &Past) -> io::Result<Verdict> {
        decider.turn_to(self.push(past));
        let verdict = decider.decide(0, Budget::Update);
        verdict.ok_or_else(|| io::Error::other("a push of one update was not decided"))
    }

    /// Returns a push that could have made this ref change.
    fn push(&self, past: &Past) -> Push {
        let id = PushId::derived(
            past.time,
            &self.source.repository.full_name(),
            std::slice::from_ref(&past.update),
        );
        Push::new(id, past.time, self.source.clone(), vec![past.update.clone()])
    }
}

fn remember(memory: &InMemoryHistory, verdict: &Verdict) {
    for (place, deployed) in verdict.markers.iter().filter_map(|made| made.deployed.clone()) {
        memory.remember(place, deployed);
    }
}
