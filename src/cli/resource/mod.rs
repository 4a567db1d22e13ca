//! `resource`: prints the identity that a build or a deployment of a commit reports, so that its
//! telemetry matches our markers. It needs only a checkout and sends no requests.

mod format;

use std::rc::Rc;

use anyhow::{Context as _, bail};
use clap::Args;

use self::format::{Format, Identity};
use super::{Common, Completion, Verbosity, named_repository::NamedRepository, terminal::Terminal};
use crate::{
    config::{self, Config, VersionRule},
    facts::{Facts, Repository},
    marker::{Kind, Signal, SpanId, TraceId, Traceparent, name},
    push::{self, ObjectId, Push, PushId, RefKind, RefName, Source, Update},
    service::{self, OWN_FILE, Service, Services, Version, version_of},
    state::State,
    sys::time,
    text,
};

#[derive(Debug, Args)]
pub(super) struct ResourceArgs {
    /// Path of a clone, of a directory in it, or of a bare repository; or OWNER/NAME
    #[arg(value_name = "REPO")]
    repo: String,
    /// Branch, tag, (abbreviated) commit id, or another revision such as HEAD~2
    #[arg(value_name = "REV", default_value = "HEAD")]
    rev: String,
    /// Name the service (required if the repository has several)
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Name the environment that it runs in
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Make the commit's span the parent of the build's spans
    ///
    /// Only for a back end that gets all markers as spans (`spans = "all"`). By default, this
    /// follows the configuration. Without one, the span is printed as a link, because a parent that
    /// no back end has breaks the trace.
    #[arg(long)]
    as_parent: bool,
    /// Choose the output format
    #[arg(long, value_enum, default_value_t = Format::Shell)]
    format: Format,
    /// Same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Treat it as this repository (default: from its `origin`, else its path)
    #[arg(long, value_name = "OWNER/NAME", value_parser = super::repository)]
    repository: Option<push::RepositoryIdentity>,
    #[command(flatten)]
    pub verbosity: Verbosity,
    /// Version to use instead of the known one.
    #[arg(skip)]
    version: Option<String>,
}

impl ResourceArgs {
    /// Asks for the identity of a deployment.
    pub fn of_deployment(
        repo: String,
        rev: String,
        environment: Option<String>,
        service: Option<String>,
        version: Option<String>,
    ) -> Self {
        Self {
            repo,
            rev,
            service,
            environment,
            as_parent: false,
            format: Format::Shell,
            json: false,
            repository: None,
            verbosity: Verbosity { verbose: false },
            version,
        }
    }
}

pub(super) fn run(args: &ResourceArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let (config, is_site) = config(common, terminal)?;
    let (identity, is_certain) = identify(args, &config, is_site, terminal)?;
    let format = if args.json { Format::Json } else { args.format };
    let text = identity.in_format(format)?;
    // A Kubernetes patch contains JSON strings, so JSON's escaping suits it too.
    match format {
        Format::Json | Format::Kubernetes => terminal.json(text)?,
        Format::Shell | Format::Dotenv | Format::Docker => terminal.answer(text)?,
    }
    // A version rule that could not read its source is reported as a finding; the identity is still
    // printed.
    Ok(if is_certain { Completion::Done } else { Completion::Found })
}

/// Returns the variables that `resource` prints for the site's `config`.
///
/// # Errors
/// If the commit or its service is not known.
pub(super) fn variables(
    args: &ResourceArgs,
    config: &Config,
    terminal: &Terminal,
) -> anyhow::Result<[(&'static str, String); 2]> {
    identify(args, config, true, terminal).map(|(identity, _)| identity.variables())
}

/// Returns the identity, and false if a version rule could not read its source.
fn identify(
    args: &ResourceArgs,
    config: &Config,
    is_site: bool,
    terminal: &Terminal,
) -> anyhow::Result<(Identity, bool)> {
    let journal = is_site.then(|| State::at(&config.state_dir).journal());
    let named = NamedRepository::find(&args.repo, args.repository.as_ref(), journal.as_ref())?;
    let git_dir = named.dir()?.clone();
    let repository = Repository::open(&git_dir)?;
    let (ref_name, id) = named.resolve(&repository, &args.rev)?;
    let is_head = repository.resolve("HEAD").is_ok_and(|(_, head)| head == id);
    if is_head && named.is_dirty() {
        terminal.message(format_args!(
            "the work tree has changes that are not committed, so what you build from it is not {}",
            id.short()
        ));
    }
    let known = args.repository.clone().unwrap_or_else(|| named.identity());
    let names = known.clone();
    let push = push_of(Source::unknown(git_dir, known), ref_name, id)?;
    let repository = Rc::new(repository);
    let facts = Facts::new(Rc::new(push), 0, Ok(repository.clone()));
    let commit = facts.commit_id()?.context("the tag points to a tree or a file, not to a commit")?;
    let services = Services::of(config, &facts);
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
    // A given version makes the service's rule superfluous, with its problems.
    let asked_rule = rule.filter(|_| args.version.is_none());
    let mut version = version_of(&facts, &service, asked_rule, true, &mut troubles);
    if let Some(given) = args.version.clone() {
        version = Version { is_of_release: version.is_of_release && version.name == given, name: given };
    }
    troubles.iter().for_each(|trouble| terminal.message(trouble));
    if !version.is_of_release && args.version.is_none() {
        let warning = doubt(&repository, rule)?;
        warning.into_iter().for_each(|warning| terminal.message(warning));
    }
    let trace_id = TraceId::of(commit);
    let (kind, span_id) = if version.is_of_release {
        (Kind::Release, SpanId::of_release(trace_id, &service, &version.name))
    } else {
        (Kind::Change, SpanId::of_change(trace_id, &service))
    };
    let is_sent = || config.destinations.iter().any(|to| to.target.takes(kind, Signal::Traces));
    let is_parent = args.as_parent || (is_site && is_sent());
    let mut attributes = vec![
        (name::SERVICE_NAME, service),
        (name::SERVICE_VERSION, version.name),
        (name::HEAD_REVISION, commit.to_string()),
        (name::REPOSITORY, names.name.clone()),
    ];
    let namespace = service::namespace(config, rule, &names).map(ToString::to_string);
    attributes.extend(namespace.map(|namespace| (name::SERVICE_NAMESPACE, namespace)));
    attributes.extend(args.environment.clone().map(|environment| (name::ENVIRONMENT, environment)));
    let identity = Identity { attributes, traceparent: Traceparent { trace_id, span_id }, is_parent };
    Ok((identity, troubles.is_empty()))
}

/// Loads the configuration, if there is one. A build usually has none, and then only the
/// repository's own file defines services. The result is true if it is that of the site.
fn config(common: &Common, terminal: &Terminal) -> anyhow::Result<(Config, bool)> {
    let path = config::find(common.config.as_deref());
    if let Some(path) = path {
        terminal.detail(format_args!("using the configuration {}", path.display()));
        let config = config::load(Some(&path)).context("failed to load the configuration")?;
        return Ok((config, true));
    }
    terminal.message(format_args!(
        "found no configuration, using {OWN_FILE} of the repository; names and versions differ from the \
         server's if its configuration has a [[service]] for this repository"
    ));
    Ok((Config { repository_services: vec!["**".into()], ..Config::default() }, false))
}

/// Returns a warning if the server may know a version that this clone does not have.
fn doubt(repository: &Repository, rule: Option<&Service>) -> anyhow::Result<Option<String>> {
    let cure = "fetch the history and the tags (in actions/checkout, `fetch-depth: 0`)";
    let version = rule.and_then(Service::version_rule);
    if let Some(VersionRule::Option(option)) = version {
        return Ok(Some(format!(
            "the server takes the version from the push option `{}`, which a clone does not have; set \
             service.version by hand",
            text::line(option)
        )));
    }
    if !repository.is_shallow() {
        return Ok(None);
    }
    Ok(if repository.has_tags()? {
        matches!(version, Some(VersionRule::Describe))
            .then(|| format!("the clone is shallow, so its version may differ from the server's; {cure}"))
    } else {
        Some(format!(
            "the clone is shallow and has no tags, so its version differs from the server's if the commit \
             has a version tag; {cure}"
        ))
    })
}

/// Returns the name of the repository's only service, which is the repository's name if none is
/// declared.
fn only_one(services: &Services, repository: &push::RepositoryIdentity) -> anyhow::Result<String> {
    match services.all() {
        [] => Ok(repository.name.clone()),
        [one] => Ok(one.name.clone()),
        several => {
            let names: Vec<String> = several.iter().map(|service| text::line(&service.name)).collect();
            bail!("the repository has several services; name one with --service: `{}`", names.join("`, `"))
        }
    }
}

/// Returns a push of this commit, so that the services are resolved as on the server.
fn push_of(source: Source, ref_name: Option<RefName>, id: ObjectId) -> anyhow::Result<Push> {
    let is_own = |name: &RefName| matches!(name.kind(), RefKind::Branch(_) | RefKind::Tag(_));
    let detached = || RefName::new(b"refs/heads/detached").context("a name");
    let ref_name = ref_name.filter(is_own).map_or_else(detached, Ok)?;
    let update = Update::new(ref_name, ObjectId::null(id), id).context("the id is all zeros")?;
    let now = time::now();
    let push_id = PushId::derived(now, &source.repository.full_name(), std::slice::from_ref(&update));
    Ok(Push::new(push_id, now, source, vec![update]))
}
