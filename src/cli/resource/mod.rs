//! `resource`: what a build or a deploy of a commit says of itself, so that its telemetry and our markers have one identity.
//! It asks nobody: a checkout is enough.

mod format;

use std::{path::PathBuf, rc::Rc};

use anyhow::{Context as _, bail};
use clap::Args;

use self::format::{Format, Identity};
use super::{Common, Ending, terminal::Terminal};
use crate::{
    config::{self, Config},
    facts::{Facts, Repository},
    marker::{SpanId, TraceId, Traceparent, name},
    policy::Kind,
    push::{self, ObjectId, Push, PushId, RefKind, RefName, Source, Update},
    service::{OWN_FILE, Services, version_of},
    text,
    time::Timestamp,
};

#[derive(Debug, Args)]
pub(super) struct ResourceArgs {
    /// The repository: a clone, a checkout or a bare one
    #[arg(value_name = "REPO")]
    path: PathBuf,
    /// A branch, a tag, or a commit's id or its beginning
    #[arg(value_name = "REV", default_value = "HEAD")]
    rev: String,
    /// Of this service; needed where a repository has several
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Where it runs or is deployed to
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Shell)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Take it for this repository; otherwise its `origin` says it, or its path
    #[arg(long, value_name = "OWNER/NAME", value_parser = super::repository)]
    repository: Option<push::Repository>,
}

pub(super) fn run(args: &ResourceArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = config(common, terminal)?;
    let git_dir = Repository::locate(&args.path)?;
    let repository = Repository::open(&git_dir)?;
    let (ref_name, id) = repository.resolve(&args.rev)?;
    let known = args.repository.clone().or_else(|| repository.origin());
    let known = known.unwrap_or_else(|| push::Repository::of_dir(&git_dir));
    let names = known.clone();
    let push = push_of(Source::unknown(git_dir, known), ref_name, id)?;
    let facts = Facts::new(Rc::new(push), 0, Ok(Rc::new(repository)));
    let commit = facts.commit_id()?.context("the tag names no commit, but a tree or a file")?;
    let services = Services::of(&config, &facts);
    if let Some(trouble) = services.trouble() {
        terminal.message(trouble);
    }
    let of_tag = facts.version_tag().and_then(|tag| tag.service().map(ToString::to_string));
    let service = match args.service.clone().or(of_tag) {
        Some(name) => name,
        None => only_one(&services, &names)?,
    };
    let rule = services.named(&service).map(|rule| &**rule);
    if let Some(environment) = &args.environment
        && rule.is_some_and(|rule| !rule.may_run_in(environment))
    {
        bail!(
            "{}",
            services.complaint_about_environment(environment).unwrap_or_else(|| {
                format!("`{}` does not run in `{}`", text::line(&service), text::line(environment))
            })
        );
    }
    let mut troubles = Vec::new();
    let version = version_of(&facts, &service, rule, true, &mut troubles);
    troubles.iter().for_each(|trouble| terminal.message(trouble));
    let trace_id = TraceId::of(commit);
    let kind = if version.is_of_release { Kind::Release } else { Kind::Change };
    let span_id = SpanId::of_commit(trace_id, &service, kind);
    let mut attributes = vec![
        (name::SERVICE_NAME, service),
        (name::SERVICE_VERSION, version.name),
        (name::HEAD_REVISION, commit.to_string()),
        (name::REPOSITORY, names.name),
    ];
    attributes.extend(args.environment.clone().map(|environment| (name::ENVIRONMENT, environment)));
    let identity = Identity { attributes, traceparent: Traceparent { trace_id, span_id } };
    let format = if args.json { Format::Json } else { args.format };
    terminal.answer(identity.in_format(format)?)?;
    // What a rule was to read and could not is something that somebody should look at; the identity stands.
    Ok(if troubles.is_empty() { Ending::Done } else { Ending::Found })
}

/// Returns the configuration, if there is one: a build has none, and then the repository's own file has the only word.
fn config(common: &Common, terminal: &Terminal) -> anyhow::Result<Config> {
    let path = config::find(common.config.as_deref());
    if let Some(path) = path {
        terminal.detail(format_args!("the configuration is {}", path.display()));
        return config::load(Some(&path)).context("the configuration is wrong");
    }
    terminal.detail(format_args!("there is no configuration, so {OWN_FILE} of the repository counts"));
    Ok(Config { repository_services: vec!["**".into()], ..Config::default() })
}

/// Returns the service that a repository is, if it is one.
fn only_one(services: &Services, repository: &push::Repository) -> anyhow::Result<String> {
    match services.all() {
        [] => Ok(repository.name.clone()),
        [one] => Ok(one.name.clone()),
        several => {
            let names: Vec<String> = several.iter().map(|service| text::line(&service.name)).collect();
            bail!("the repository has several services; name one with --service: `{}`", names.join("`, `"))
        }
    }
}

/// Returns a push that brought what is meant, so that it is judged as the server would.
fn push_of(source: Source, ref_name: Option<RefName>, id: ObjectId) -> anyhow::Result<Push> {
    let is_own = |name: &RefName| matches!(name.kind(), RefKind::Branch(_) | RefKind::Tag(_));
    let detached = || RefName::new(b"refs/heads/detached").context("a name");
    let ref_name = ref_name.filter(is_own).map_or_else(detached, Ok)?;
    let update = Update::new(ref_name, ObjectId::null(id), id).context("the id is all zeros")?;
    let now = Timestamp::now();
    let push_id = PushId::derived(now, &source.repository.full_name(), &update);
    Ok(Push::new(push_id, now, source, vec![update]))
}
