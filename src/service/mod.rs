//! The services of a repository, as defined by the site's configuration and the repository's own
//! file. Also determines each service's version, and the environments that a ref deploys to.

mod claim;
pub(crate) mod version_file;

use std::rc::Rc;

pub use claim::{is_key_of_name, is_said_by_push, looks_like, refusal};

use crate::{
    config::{
        Config, EnvironmentRule, LinkTemplate, Namespace, ServiceRule, TagPattern, VersionRule, own_services,
    },
    facts::{FactError, Facts, MessageRules, PullRequestPages, TagNames, TaggedService, TicketProjects},
    glob::is_match,
    push::{RepositoryIdentity, Update},
    text::{self, Hinted},
};
use version_file::VersionFileError;

/// File in which a repository defines its own services, read at the pushed commit.
pub const OWN_FILE: &str = ".gitea/lightstep.toml";

/// A service of a repository, merged from all of its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// Team or person responsible for it.
    pub owner: Option<String>,
    /// Links by name, such as a dashboard.
    pub links: Vec<(String, LinkTemplate)>,
    /// Projects whose tickets count. `None` for those of the site.
    pub tickets: Option<Vec<String>>,
    namespace: Option<Namespace>,
    paths: Vec<String>,
    environments: Vec<EnvironmentRule>,
    version: Option<VersionRule>,
    tags: Vec<TagPattern>,
}

/// The services of a repository at one commit.
#[derive(Clone, Debug, Default)]
pub struct Services {
    list: Vec<Rc<Service>>,
    trouble: Option<String>,
    refusal: Option<String>,
}

impl Services {
    /// Returns the services that the site defines, and the repository's own if the site allows
    /// them. Rules with the same name form one service. The site's settings take precedence, and
    /// the repository's file can only add to them.
    ///
    /// Rules of the repository are ignored if the site assigns the name to another repository.
    ///
    /// The version tags and the messages of the update are read by these services and the
    /// configuration from now on, and its signatures are verified with the configured keys.
    pub fn of(config: &Config, facts: &Facts) -> Self {
        let services = Self::read(config, facts);
        facts.name_tags(services.tag_names(config));
        facts.read_messages_by(MessageRules {
            projects: config.tickets.clone().map_or(TicketProjects::Any, TicketProjects::Only),
            pages: PullRequestPages::of(facts.push().source(), config.public_url.as_deref()),
        });
        facts.verify_signatures_with(&config.signature_keys);
        services
    }

    /// Returns how the version tags of the repository are named.
    pub fn tag_names(&self, config: &Config) -> TagNames {
        let tagged = |service: &Rc<Service>| TaggedService {
            name: service.name.clone(),
            patterns: service.tags.clone(),
            paths: service.paths.clone(),
        };
        TagNames { services: self.list.iter().map(tagged).collect(), no_services: config.no_services.clone() }
    }

    fn read(config: &Config, facts: &Facts) -> Self {
        let repository = &facts.push().source().repository;
        let mut services = Self::default();
        for rule in config.services.iter().filter(|rule| is_of(rule, repository)) {
            services.add(rule);
        }
        let n_of_site = services.list.len();
        let may = config.repository_services.iter().any(|pattern| is_named(pattern, repository));
        if !may || repository.is_wiki {
            return services;
        }
        let own = match facts.file(OWN_FILE) {
            Ok(Some(own)) => own,
            Ok(None) => return services,
            Err(err) => {
                // If the commit itself is missing, the decider reports that.
                services.trouble = facts.target().is_ok().then(|| err.to_string());
                return services;
            }
        };
        match own_services(OWN_FILE, &own) {
            Ok(rules) => {
                for mut rule in rules {
                    if let Some(why) = refusal(config, repository, &rule.name) {
                        let why = format!("{OWN_FILE}:{}: {why}", rule.line);
                        services.trouble = Some(why.clone());
                        services.refusal = Some(why);
                        continue;
                    }
                    if let Some(known) =
                        services.list[..n_of_site].iter().find(|service| service.name == rule.name)
                    {
                        // A repository cannot change the paths of a service that the site defines.
                        rule.paths.clone_from(&known.paths);
                    }
                    services.add(&rule);
                }
            }
            Err(problem) => services.trouble = Some(problem.to_string()),
        }
        services
    }

    fn add(&mut self, rule: &ServiceRule) {
        let Some(known) = self.list.iter_mut().find(|service| service.name == rule.name) else {
            self.list.push(Rc::new(Service::new(rule)));
            return;
        };
        let known = Rc::make_mut(known);
        // Several rules can each add paths. A rule without paths covers the whole repository.
        if rule.paths.is_empty() || known.paths.is_empty() {
            known.paths.clear();
        } else {
            known.paths.extend_from_slice(&rule.paths);
        }
        known.tags.extend_from_slice(&rule.tags);
        known.owner = known.owner.take().or_else(|| rule.owner.clone());
        known.namespace = known.namespace.take().or_else(|| rule.namespace.clone());
        known.tickets = known.tickets.take().or_else(|| rule.tickets.clone());
        known.version = known.version.take().or_else(|| rule.version.clone());
        if known.environments.is_empty() {
            known.environments.clone_from(&rule.environments);
        }
        for link in &rule.links {
            if !known.links.iter().any(|(name, _)| *name == link.0) {
                known.links.push(link.clone());
            }
        }
    }

    /// Returns the problem with the repository's own file.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Returns why a name in the repository's own file is ignored, if the site assigns that name to
    /// another repository.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Returns all services. If there are none, the repository is one service with the repository's
    /// name.
    pub fn all(&self) -> &[Rc<Service>] {
        &self.list
    }

    /// Returns the service with this name.
    pub fn named(&self, name: &str) -> Option<&Rc<Service>> {
        self.list.iter().find(|service| service.name == name)
    }

    /// Returns the environments that a push to this ref deploys to, without duplicates, in the
    /// order of the services.
    pub fn environments_of(&self, update: &Update) -> Vec<&str> {
        let mut names = Vec::new();
        for environment in self.list.iter().flat_map(|service| &service.environments) {
            if !names.contains(&environment.name.as_str()) && deploys(environment, update) {
                names.push(environment.name.as_str());
            }
        }
        names
    }

    /// Returns the services that a push to this ref deploys to the environment.
    pub fn deployed_by(&self, update: &Update, environment: &str) -> Vec<Rc<Service>> {
        let is_deployed = |service: &&Rc<Service>| {
            service.environments.iter().any(|known| known.name == environment && deploys(known, update))
        };
        self.list.iter().filter(is_deployed).cloned().collect()
    }

    /// Returns an error message if no service runs in this environment. A service that does not
    /// list its environments may run in any.
    pub fn complaint_about_environment(&self, environment: &str) -> Option<String> {
        if self.list.is_empty() || self.list.iter().any(|service| service.may_run_in(environment)) {
            return None;
        }
        let mut known: Vec<&str> = self
            .list
            .iter()
            .flat_map(|service| &service.environments)
            .map(|environment| environment.name.as_str())
            .collect();
        known.sort_unstable();
        known.dedup();
        Some(unknown("has the environment", environment, &known))
    }

    /// Returns an error message if services are configured and none has this name.
    pub fn complaint_about_name(&self, name: &str) -> Option<String> {
        let known: Vec<&str> = self.list.iter().map(|service| service.name.as_str()).collect();
        (!known.is_empty() && !known.contains(&name)).then(|| unknown("is called", name, &known))
    }
}

/// Returns the error message for an unknown name.
fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let message = format!("no service of this repository {what} `{}`", text::line(word));
    Hinted::unknown(message, word, known.iter().copied()).to_string()
}

impl Service {
    fn new(rule: &ServiceRule) -> Self {
        Self {
            name: rule.name.clone(),
            owner: rule.owner.clone(),
            links: rule.links.clone(),
            namespace: rule.namespace.clone(),
            paths: rule.paths.clone(),
            environments: rule.environments.clone(),
            version: rule.version.clone(),
            tags: rule.tags.clone(),
            tickets: rule.tickets.clone(),
        }
    }

    /// Returns the patterns for its paths. Without patterns the service is the whole repository.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Returns true if the service runs in this environment, or does not list its environments.
    pub fn may_run_in(&self, environment: &str) -> bool {
        self.environments.is_empty() || self.environments.iter().any(|known| known.name == environment)
    }

    /// Returns the rule for the version, if there is one.
    pub fn version_rule(&self) -> Option<&VersionRule> {
        self.version.as_ref()
    }

    /// Reads the version at the update's commit by the service's version rule. Returns `None`
    /// without a rule, or if the rule finds no version.
    ///
    /// # Errors
    /// If the version cannot be read where the rule says.
    pub fn version(&self, facts: &Facts) -> Result<Option<String>, FactError> {
        match &self.version {
            None | Some(VersionRule::Commit) => Ok(None),
            Some(VersionRule::Tag) => Ok(facts.release_of(&self.name)?.map(|tag| tag.version().to_string())),
            Some(VersionRule::Describe) => {
                Ok(facts.describe_service(&self.name)?.map(|found| found.to_string()))
            }
            Some(VersionRule::Option(key)) => {
                let said = facts.push().source().options.get(key).map(str::trim);
                Ok(said.filter(|said| !said.is_empty()).map(version_file::shown))
            }
            Some(VersionRule::File { path, key }) => {
                let Some(content) = facts.file_to_parse(path)? else {
                    return Err(FactError::new(format!(
                        "cannot read the version of `{}`: there is no `{path}` at this commit",
                        self.name
                    )));
                };
                let other = |path: &str| facts.file_to_parse(path);
                version_file::read(path, key.as_deref(), &content, &other).map(Some).map_err(
                    |why| match why {
                        VersionFileError::Unread(err) => err,
                        why => FactError::new(format!(
                            "cannot read the version of `{}` from `{path}`: {why}",
                            self.name
                        )),
                    },
                )
            }
        }
    }
}

/// The version of a service at an update's commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `service.version`.
    pub name: String,
    /// True if it comes from a release tag.
    pub is_of_release: bool,
}

/// Returns the version of the service `name`. It is the first of these that exists: the version of
/// the update's own tag, that of another tag on the commit if `at_commit` is set, the version from
/// the service's rule, and the full commit id. Adds the problems it meets to `troubles`.
pub fn version_of(
    facts: &Facts,
    name: &str,
    rule: Option<&Service>,
    at_commit: bool,
    troubles: &mut Vec<String>,
) -> Version {
    let mut known = |read: Result<Option<String>, FactError>| {
        read.unwrap_or_else(|err| {
            troubles.push(err.to_string());
            None
        })
    };
    let of_release = match facts.version_tag() {
        Some(tag) => Some(tag.version().to_string()),
        None if at_commit => {
            known(facts.release_of(name).map(|tag| tag.map(|tag| tag.version().to_string())))
        }
        None => None,
    };
    if let Some(name) = of_release {
        return Version { name, is_of_release: true };
    }
    let of_rule = rule.and_then(|rule| {
        rule.version(facts).unwrap_or_else(|err| {
            troubles.push(format!("{err}; the commit ID is used instead"));
            None
        })
    });
    let of_commit = || facts.commit_id().ok().flatten().unwrap_or(facts.update().raw_new_id()).to_string();
    Version { name: of_rule.unwrap_or_else(of_commit), is_of_release: false }
}

/// Returns the `service.namespace` of a service, `None` if it has none.
pub fn namespace<'a>(
    config: &'a Config,
    rule: Option<&'a Service>,
    repository: &'a RepositoryIdentity,
) -> Option<&'a str> {
    rule.and_then(|rule| rule.namespace.as_ref()).unwrap_or(&config.namespace).of(repository)
}

/// Returns true if a `[[service]]` rule applies to the repository.
pub fn is_of(rule: &ServiceRule, repository: &RepositoryIdentity) -> bool {
    is_named(&rule.repository, repository)
}

/// Returns true if the pattern matches the repository's full name. Case is ignored.
fn is_named(pattern: &str, repository: &RepositoryIdentity) -> bool {
    is_match(pattern, repository.full_name().to_lowercase().as_bytes())
}

/// Returns true if a push to this ref deploys to the environment.
fn deploys(environment: &EnvironmentRule, update: &Update) -> bool {
    let name = update.ref_name().as_bstr();
    environment.refs.iter().any(|pattern| {
        if pattern.starts_with("refs/") {
            return is_match(pattern, name);
        }
        let short = name.strip_prefix(b"refs/heads/").or_else(|| name.strip_prefix(b"refs/tags/"));
        short.is_some_and(|short| is_match(pattern, short))
    })
}
