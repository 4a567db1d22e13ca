//! The services of a repository: what the site's configuration and the repository's own file call what, and which of them
//! an update touches.

mod file_version;

use std::rc::Rc;

use crate::{
    config::{Config, EnvironmentRule, LinkTemplate, ServiceRule, VersionRule, own_services},
    facts::{ChangedPaths, FactError, Facts},
    push::{Repository, Update},
    text,
};

/// Where a repository defines services of its own, at the commit that is pushed.
pub const OWN_FILE: &str = ".gitea/lightstep.toml";

/// A service of a repository, with all that its rules say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where to look, by name.
    pub links: Vec<(String, LinkTemplate)>,
    paths: Vec<String>,
    environments: Vec<EnvironmentRule>,
    version: Option<VersionRule>,
}

/// The services of a repository at one commit.
#[derive(Clone, Debug, Default)]
pub struct Services {
    list: Vec<Rc<Service>>,
    trouble: Option<String>,
}

impl Services {
    /// Returns the services that the site and, where the site lets it, the repository itself define. Rules of one name are one
    /// service. What the site says stands; the repository's file adds what the site leaves open.
    ///
    /// A service of the name that the site gives to another repository is none: markers of that one are not made here.
    pub fn of(config: &Config, facts: &Facts) -> Self {
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
                // Of a commit that is not there nothing is read at all; whoever needs it says so.
                services.trouble = facts.target().is_ok().then(|| err.to_string());
                return services;
            }
        };
        match own_services(OWN_FILE, &own) {
            Ok(rules) => {
                for mut rule in rules {
                    let is_ours = services.list[..n_of_site].iter().any(|service| service.name == rule.name);
                    if !is_ours && config.services.iter().any(|other| other.name == rule.name) {
                        let name = text::line(&rule.name);
                        services.trouble = Some(format!(
                            "{OWN_FILE}:{}: the site gives the name `{name}` to another repository's service",
                            rule.line
                        ));
                        continue;
                    }
                    if let Some(known) =
                        services.list[..n_of_site].iter().find(|service| service.name == rule.name)
                    {
                        // A repository does not say what belongs to a service of the site.
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
        // Two rules may say which paths are one service's; without paths it is the whole repository.
        if rule.paths.is_empty() || known.paths.is_empty() {
            known.paths.clear();
        } else {
            known.paths.extend_from_slice(&rule.paths);
        }
        known.owner = known.owner.take().or_else(|| rule.owner.clone());
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

    /// Returns what is wrong with the repository's own file.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Returns all of them; none if nobody defines any, and the repository is one service of its own name.
    pub fn all(&self) -> &[Rc<Service>] {
        &self.list
    }

    /// Returns the service of this name.
    pub fn named(&self, name: &str) -> Option<&Rc<Service>> {
        self.list.iter().find(|service| service.name == name)
    }

    /// Returns the environments that a push to this ref deploys to, each once, in the order of the services.
    pub fn environments_of(&self, update: &Update) -> Vec<&str> {
        let mut names = Vec::new();
        for environment in self.list.iter().flat_map(|service| &service.environments) {
            if !names.contains(&environment.name.as_str()) && deploys(environment, update) {
                names.push(environment.name.as_str());
            }
        }
        names
    }

    /// Returns the services that a push to this ref deploys to an environment.
    pub fn deployed_by(&self, update: &Update, environment: &str) -> Vec<Rc<Service>> {
        let is_deployed = |service: &&Rc<Service>| {
            service.environments.iter().any(|known| known.name == environment && deploys(known, update))
        };
        self.list.iter().filter(is_deployed).cloned().collect()
    }

    /// Returns what is wrong with an environment that none of the services has, though all of them say which they have.
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

    /// Returns what is wrong with the name of a service that there is not, though somebody defines services.
    pub fn complaint_about_name(&self, name: &str) -> Option<String> {
        let known: Vec<&str> = self.list.iter().map(|service| service.name.as_str()).collect();
        (!known.is_empty() && !known.contains(&name)).then(|| unknown("is called", name, &known))
    }
}

/// Returns the complaint about a word that stands for no service, with the one that was most likely meant.
fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let shown = text::line(word);
    match text::nearest(word, known.iter().copied()) {
        Some(near) => format!("no service of this repository {what} `{shown}`, did you mean `{near}`?"),
        None => format!("no service of this repository {what} `{shown}`, only `{}`", known.join("`, `")),
    }
}

impl Service {
    fn new(rule: &ServiceRule) -> Self {
        Self {
            name: rule.name.clone(),
            owner: rule.owner.clone(),
            links: rule.links.clone(),
            paths: rule.paths.clone(),
            environments: rule.environments.clone(),
            version: rule.version.clone(),
        }
    }

    /// Returns the wildcards over its paths; none stands for the whole repository.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Returns whether any of these paths is one of the service. When they are too many, a marker too many is better than one
    /// lost.
    pub fn is_touched_by(&self, changed: &ChangedPaths) -> bool {
        self.paths.is_empty()
            || changed.is_truncated
            || changed.paths.iter().any(|path| self.paths.iter().any(|glob| matches(glob, path)))
    }

    /// Returns whether it runs in this environment, as far as anybody says where it runs.
    pub fn may_run_in(&self, environment: &str) -> bool {
        self.environments.is_empty() || self.environments.iter().any(|known| known.name == environment)
    }

    /// Returns the version that its rule reads at the update's commit, `None` if there is no rule or nothing is there.
    ///
    /// # Errors
    /// With what is wrong with the place where the rule looks.
    pub fn version(&self, facts: &Facts) -> Result<Option<String>, FactError> {
        match &self.version {
            None | Some(VersionRule::Commit) => Ok(None),
            Some(VersionRule::Tag) => Ok(facts.release_of(&self.name)?.map(|tag| tag.version().to_string())),
            Some(VersionRule::Describe) => {
                Ok(facts.describe_service(&self.name)?.map(|found| found.to_string()))
            }
            Some(VersionRule::Option(key)) => {
                let said = facts.push().source().options.get(key).map(str::trim);
                Ok(said.filter(|said| !said.is_empty()).map(file_version::shown))
            }
            Some(VersionRule::File { path, key }) => {
                let Some(content) = facts.file(path)? else {
                    return Err(FactError::new(format!(
                        "the version of `{}` is to be read in `{path}`, which is not there",
                        self.name
                    )));
                };
                let version = file_version::read(path, key.as_deref(), &content).map_err(|why| {
                    FactError::new(format!("no version of `{}` in `{path}`: {why}", self.name))
                })?;
                Ok(Some(version))
            }
        }
    }
}

/// The version of a service at an update's commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `service.version`.
    pub name: String,
    /// Whether it is that of a release tag.
    pub is_of_release: bool,
}

/// Returns the version of the service `name`: that of the tag which the update is of; `at_commit`, that of another tag of the commit; else
/// what its rule reads; else the commit's full id. What is wrong on the way is added to `troubles`.
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
    let of_rule = rule.and_then(|rule| known(rule.version(facts)));
    let of_commit = || facts.commit_id().ok().flatten().unwrap_or(facts.update().raw_new_id()).to_string();
    Version { name: of_rule.unwrap_or_else(of_commit), is_of_release: false }
}

/// Returns whether a `[[service]]` names the repository.
pub fn is_of(rule: &ServiceRule, repository: &Repository) -> bool {
    is_named(&rule.repository, repository)
}

/// Returns whether a wildcard stands for the repository, in whose name case makes no difference.
fn is_named(pattern: &str, repository: &Repository) -> bool {
    matches(pattern, repository.full_name().to_lowercase().as_bytes())
}

/// Returns whether a push to this ref deploys to the environment.
fn deploys(environment: &EnvironmentRule, update: &Update) -> bool {
    let name = update.ref_name().as_bstr();
    environment.refs.iter().any(|pattern| {
        if pattern.starts_with("refs/") {
            return matches(pattern, name);
        }
        let short = name.strip_prefix(b"refs/heads/").or_else(|| name.strip_prefix(b"refs/tags/"));
        short.is_some_and(|short| matches(pattern, short))
    })
}

fn matches(pattern: &str, text: &[u8]) -> bool {
    gix_glob::wildmatch(pattern.into(), text.into(), gix_glob::wildmatch::Mode::NO_MATCH_SLASH_LITERAL)
}
