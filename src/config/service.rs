//! `[[service]]` tables, which map repositories and paths to services. They are in the site's
//! configuration, and in files of those repositories that the site allows to define their own.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    link::LinkTemplate,
    problem::ConfigProblem,
    reader::ConfigReader,
    resolved::{EnvironmentRule, ServiceRule, VersionRule},
    spanned::Spanned,
    tag_pattern::TagPattern,
};
use crate::{
    document::{DocumentFormat, EXTENSIONS, MAX_KEY},
    glob,
    text::{self, Hinted},
};

/// Maximum number of services in a repository's own file.
const MAX_OWN: usize = 64;

/// Maximum number of patterns in a list of paths or refs.
const MAX_PATTERNS: usize = 256;

/// Maximum number of environments, and of links, per service.
const MAX_ENVIRONMENTS: usize = 64;
const MAX_LINKS: usize = 64;

/// Maximum length of the name of a service, environment or owner in a repository's own file, in
/// characters.
const MAX_NAME: usize = 256;

/// A `[[service]]`: a part of one or more repositories, with its own versions and environments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    repository: Option<Spanned<String>>,
    #[serde(default)]
    paths: Vec<Spanned<String>>,
    name: Spanned<String>,
    #[serde(default)]
    environments: BTreeMap<Spanned<String>, RefPatterns>,
    owner: Option<Spanned<String>>,
    namespace: Option<Spanned<String>>,
    #[serde(default)]
    links: BTreeMap<Spanned<String>, Spanned<String>>,
    version: Option<Spanned<VersionFile>>,
    tags: Option<Spanned<TagPatterns>>,
    tickets: Option<Vec<Spanned<String>>>,
}

/// One pattern for tags or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a pattern such as \"checkout-v{version}\", or an array of them")]
enum TagPatterns {
    One(String),
    Many(Vec<String>),
}

/// One pattern or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a branch or a tag, or an array of them")]
enum RefPatterns {
    One(String),
    Many(Vec<String>),
}

/// The source of a service's version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected \"tag\", \"describe\", \"commit\", { file = \"Cargo.toml\" } or { option = \"version\" }"
)]
enum VersionFile {
    Word(VersionWord),
    File(VersionInFile),
    Option(VersionInOption),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum VersionWord {
    Tag,
    Describe,
    Commit,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VersionInFile {
    file: String,
    key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VersionInOption {
    option: String,
}

impl ConfigReader<'_> {
    /// Resolves a `[[service]]` of the configuration. Its environments must be among `known`, if
    /// the site has a closed list.
    pub fn service(&mut self, file: ServiceFile, known: Option<&[String]>) -> Option<ServiceRule> {
        let Some(repository) = file.repository.as_ref().map(|pattern| pattern.get_ref().to_lowercase())
        else {
            self.complain(&file.name, "a service needs `repository`, such as \"acme/shop\" or \"acme/*\"");
            return None;
        };
        if let (Some(flaw), Some(pattern)) = (glob::flaw(&repository), &file.repository) {
            self.complain(pattern, flaw);
        }
        if let Some(known) = known {
            let is_known = |name: &str| known.iter().any(|known| known == name);
            for name in file.environments.keys().filter(|name| !is_known(name.get_ref().trim())) {
                let message = format!("`environments` of the site does not list `{}`", name.get_ref());
                let known = known.iter().map(String::as_str);
                self.complain(name, Hinted::unknown(message, name.get_ref(), known));
            }
        }
        Some(self.rule(file, repository))
    }

    fn rule(&mut self, file: ServiceFile, repository: String) -> ServiceRule {
        if file.name.get_ref().trim().is_empty() {
            self.complain(&file.name, "a service needs a name");
        }
        let line = self.line(file.name.span().start);
        let counts = [
            ("paths", file.paths.len(), MAX_PATTERNS),
            ("environments", file.environments.len(), MAX_ENVIRONMENTS),
            ("links", file.links.len(), MAX_LINKS),
        ];
        for (what, found, limit) in counts.into_iter().filter(|(_, found, limit)| found > limit) {
            self.complain(
                &file.name,
                format!("the service has {found} {what}, the limit is {limit}; remove some"),
            );
        }
        for path in file.paths.iter().take(MAX_PATTERNS) {
            if let Some(flaw) = glob::flaw(path.get_ref()) {
                self.complain(path, flaw);
            }
        }
        let mut environments = Vec::new();
        for (name, refs) in file.environments.into_iter().take(MAX_ENVIRONMENTS) {
            if name.get_ref().trim().is_empty() {
                self.complain(&name, "an environment needs a name");
            }
            let refs = match refs {
                RefPatterns::One(pattern) => vec![pattern],
                RefPatterns::Many(patterns) => patterns,
            };
            if refs.len() > MAX_PATTERNS {
                let found = refs.len();
                let message =
                    format!("the environment has {found} refs, the limit is {MAX_PATTERNS}; remove some");
                self.complain(&name, message);
            }
            if let Some(flaw) = refs.iter().take(MAX_PATTERNS).find_map(|pattern| glob::flaw(pattern)) {
                self.complain(&name, flaw);
            }
            environments.push(EnvironmentRule { name: name.get_ref().trim().to_string(), refs });
        }
        let mut links = Vec::new();
        for (name, link) in file.links.into_iter().take(MAX_LINKS) {
            let is_word = !name.get_ref().is_empty()
                && name.get_ref().len() <= 64
                && name
                    .get_ref()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
            if !is_word {
                self.complain(
                    &name,
                    "the name of a link must be 1 to 64 characters from a-z, 0-9, `_` and `-`",
                );
            }
            match LinkTemplate::parse(link.get_ref()) {
                Ok(template) => links.push((name.into_inner(), template)),
                Err(why) => self.complain(&link, why),
            }
        }
        ServiceRule {
            line,
            repository,
            paths: file.paths.into_iter().map(Spanned::into_inner).collect(),
            name: file.name.into_inner(),
            environments,
            owner: file.owner.map(Spanned::into_inner),
            namespace: file.namespace.as_ref().and_then(|text| self.namespace(text)),
            links,
            version: file.version.as_ref().and_then(|version| self.version(version)),
            tags: file.tags.as_ref().map(|tags| self.tags(tags)).unwrap_or_default(),
            tickets: file.tickets.map(|keys| self.tickets(keys)),
        }
    }

    fn tags(&mut self, tags: &Spanned<TagPatterns>) -> Vec<TagPattern> {
        let patterns = match tags.get_ref() {
            TagPatterns::One(pattern) => std::slice::from_ref(pattern),
            TagPatterns::Many(patterns) => patterns,
        };
        if patterns.len() > MAX_PATTERNS {
            let found = patterns.len();
            self.complain(
                tags,
                format!("the service has {found} tags, the limit is {MAX_PATTERNS}; remove some"),
            );
        }
        let mut read = Vec::new();
        for pattern in patterns.iter().take(MAX_PATTERNS) {
            match TagPattern::parse(pattern) {
                Ok(pattern) => read.push(pattern),
                Err(why) => self.complain(tags, format!("`{}`: {why}", text::line(pattern))),
            }
        }
        read
    }

    /// Checks the keys of projects, and returns them in capitals.
    pub fn tickets(&mut self, keys: Vec<Spanned<String>>) -> Vec<String> {
        if let (Some(first), true) = (keys.first(), keys.len() > MAX_PATTERNS) {
            let message =
                format!("{} projects are listed, the limit is {MAX_PATTERNS}; remove some", keys.len());
            self.complain(first, message);
        }
        let mut projects = Vec::new();
        for key in keys.into_iter().take(MAX_PATTERNS) {
            let project = key.get_ref().to_ascii_uppercase();
            let is_project = project.starts_with(|c: char| c.is_ascii_uppercase())
                && project.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if is_project {
                projects.push(project);
            } else {
                let shown = text::line(key.get_ref());
                let message = format!(
                    "`{shown}` is not the key of a project; write \"ACME\" for tickets such as ACME-7"
                );
                self.complain(&key, message);
            }
        }
        projects
    }

    fn version(&mut self, version: &Spanned<VersionFile>) -> Option<VersionRule> {
        let rule = match version.get_ref() {
            VersionFile::Word(VersionWord::Tag) => VersionRule::Tag,
            VersionFile::Word(VersionWord::Describe) => VersionRule::Describe,
            VersionFile::Word(VersionWord::Commit) => VersionRule::Commit,
            VersionFile::Option(VersionInOption { option }) => VersionRule::Option(option.clone()),
            VersionFile::File(VersionInFile { file, key }) => {
                let is_path = !file.is_empty()
                    && file.split('/').all(|part| !matches!(part, "" | "." | ".."))
                    && file.len() <= 4096;
                if !is_path {
                    let message =
                        "expected the path of a file in the repository, such as \"services/pay/Cargo.toml\"";
                    self.complain(version, message);
                    return None;
                }
                if let Some(flaw) = key.as_deref().and_then(|key| flaw_of_key(file, key)) {
                    self.complain(version, flaw);
                    return None;
                }
                VersionRule::File { path: file.clone(), key: key.clone() }
            }
        };
        Some(rule)
    }
}

/// Returns why a version file cannot have this key.
fn flaw_of_key(file: &str, key: &str) -> Option<String> {
    let parts = key.split('.').count();
    if DocumentFormat::of(file).is_none() {
        let file = text::line(file);
        return Some(format!(
            "`{file}` has no keys, its first line is the version; remove `key`, or name a file with keys: \
             {EXTENSIONS}"
        ));
    }
    if key.trim().is_empty() {
        return Some("`key` is empty; remove it, or write it like \"image.tag\"".into());
    }
    (parts > MAX_KEY).then(|| format!("`key` has {parts} parts, the limit is {MAX_KEY}"))
}

/// Resolves services from a file other than the configuration. A service without `repository`
/// belongs to every repository.
///
/// # Errors
/// With every problem in them.
pub fn service_rules(
    path: &Path,
    source: &str,
    services: Vec<ServiceFile>,
) -> Result<Vec<ServiceRule>, Vec<ConfigProblem>> {
    let mut reading = ConfigReader::of(path, source);
    let mut rules = Vec::new();
    for service in services {
        let repository = service.repository.as_ref().map(|pattern| pattern.get_ref().to_lowercase());
        rules.push(reading.rule(service, repository.unwrap_or_else(|| "*/*".into())));
    }
    let problems = reading.into_problems();
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// Reads the services that a repository defines in its own file. The content is untrusted, so names
/// are made safe to show.
///
/// # Errors
/// With the first problem. A file with a problem defines no services.
pub fn own_services(path: &str, source: &str) -> Result<Vec<ServiceRule>, ConfigProblem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OwnFile {
        #[serde(default)]
        service: Vec<ServiceFile>,
    }
    let path = Path::new(path);
    let file: OwnFile = toml::from_str(source).map_err(|err| ConfigProblem::from_toml(path, source, &err))?;
    if file.service.len() > MAX_OWN {
        let message = format!("the file defines {} services, the limit is {MAX_OWN}", file.service.len());
        return Err(ConfigProblem::with_file(path, message));
    }
    let mut reading = ConfigReader::of(path, source);
    let mut rules = Vec::new();
    for service in file.service {
        if let Some(repository) = &service.repository {
            reading
                .complain(repository, "a repository may define only its own services; remove `repository`");
        }
        let mut rule = reading.rule(service, String::new());
        let shown = |name: &str| text::name(name.as_bytes(), MAX_NAME);
        rule.name = shown(&rule.name);
        rule.owner = rule.owner.as_deref().map(shown);
        rule.environments.iter_mut().for_each(|environment| environment.name = shown(&environment.name));
        rules.push(rule);
    }
    match reading.into_problems().into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(rules),
    }
}

#[cfg(test)]
mod tests;
