//! `try`: runs a policy over the history of a repository. It writes neither to the state nor to the
//! repository.

mod compare;
mod report;
mod table;
mod tags;

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::bail;
use clap::{Args, builder::NonEmptyStringValueParser};

use self::compare::Comparison;
pub(super) use self::report::{TrialReport, extent, short};
use super::{
    Common, Completion, Verbosity, named_repository::NamedRepository, past::PastPushes, terminal::Terminal,
};
use crate::{
    config::Config,
    decide::{Decider, InMemoryHistory, Verdict},
    facts::{self, Facts, HistoryRange, Past, Repository},
    policy::{Import, ScriptLocations},
    push::{self, Pusher, RefKind, Source},
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
    // History does not tell who pushed.
    let config = Config { trust: Vec::new(), ..common.load()? };
    let journal = State::at(&config.state_dir).journal();
    let named = NamedRepository::find(&args.repo, args.repository.as_ref(), Some(&journal))?;
    let git_dir = named.dir()?.clone();
    let known = args.repository.clone().unwrap_or_else(|| named.identity());
    let repository = Rc::new(Repository::open(&git_dir)?.with_cache(facts::CACHE));
    let last = if args.all { usize::MAX } else { args.last.max(1) };
    let branch = args.branch.as_ref().map(|branch| branch.as_str().into());
    let history = repository.history(branch, &HistoryRange::newest(last))?;
    if history.is_empty() {
        bail!("there is nothing to try: `{}` has neither commits nor tags", text::line(&args.repo));
    }
    let mut source = Source::unknown(git_dir, known);
    source.pusher = args.pusher.clone().map(|name| Pusher { name, id: None });
    let stage = Trial(PastPushes { config: &config, repository, source, history });
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
struct Trial<'a>(PastPushes<'a>);

impl Trial<'_> {
    fn account(
        &self,
        args: &TryArgs,
        tried: &ScriptLocations,
        terminal: &Terminal,
    ) -> anyhow::Result<Completion> {
        let Self(pushes) = self;
        let memory = InMemoryHistory::default();
        let mut decider = pushes.decider(tried, &memory)?;
        let mut account = TrialReport::new(args.json, terminal, pushes.config.scripts.as_deref());
        pushes.play(args.json, terminal, |past| {
            let verdict = pushes.judge(&mut decider, past)?;
            remember(&memory, &verdict);
            account.add(past, &verdict)?;
            Ok(verdict.markers.len())
        })?;
        let hints = [self.hint_about_pusher(&decider), self.hint_about_tags()];
        account.end(&pushes.source, &pushes.history, hints.into_iter().flatten())
    }

    /// Returns a line about a policy that reads who pushed, which is unknown.
    fn hint_about_pusher(&self, decider: &Decider<'_>) -> Option<String> {
        let policy = decider.policy().filter(|_| self.0.source.pusher.is_none())?;
        // The policy found and read these files a moment ago.
        let imported =
            |import: &Import| fs::read_to_string(&import.file).is_ok_and(|text| text.contains(".pusher"));
        (policy.reads_key("pusher") || policy.imports().iter().any(imported)).then(|| {
            "the policy reads `pusher`, which is `()` here; --as USER tries it as if USER had pushed".into()
        })
    }

    /// Returns a line about tags that are not read as versions.
    fn hint_about_tags(&self) -> Option<String> {
        let tag = |past: Past| match past.update.ref_name().kind() {
            RefKind::Tag(tag) => Some(tag.to_string()),
            RefKind::Branch(_) | RefKind::Other => None,
        };
        let Self(pushes) = self;
        let tags: Vec<String> = pushes.history.iter().filter_map(tag).collect();
        let newest = pushes.push(pushes.history.last()?);
        let facts = Facts::new(Rc::new(newest), 0, Ok(pushes.repository.clone()));
        tags::hint(&tags, &Services::of(pushes.config, &facts).tag_names(pushes.config))
    }

    fn compare(
        &self,
        args: &TryArgs,
        scripts: [&ScriptLocations; 2],
        terminal: &Terminal,
    ) -> anyhow::Result<Completion> {
        // Both policies see the deployments of the new one as history, so that every difference
        // comes from the policies.
        let Self(pushes) = self;
        let memory = InMemoryHistory::default();
        let [mut old, mut new] = [pushes.decider(scripts[0], &memory)?, pushes.decider(scripts[1], &memory)?];
        let mut comparison = Comparison::new(args.json, terminal, pushes.config.scripts.as_deref());
        pushes.play(args.json, terminal, |past| {
            let verdicts = [pushes.judge(&mut old, past)?, pushes.judge(&mut new, past)?];
            remember(&memory, &verdicts[1]);
            comparison.add(past, &verdicts)
        })?;
        comparison.end(&pushes.source.repository, &pushes.history)
    }
}

fn remember(memory: &InMemoryHistory, verdict: &Verdict) {
    for (place, deployed) in verdict.markers.iter().filter_map(|made| made.deployed.clone()) {
        memory.remember(place, deployed);
    }
}
