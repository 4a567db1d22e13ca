//! `[[service]]`: which paths of which repositories are which services, and what else is known of one. The site
//! writes it into the configuration; where the site lets it, a repository into a file of its own.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use toml::Spanned;

use super::{link::LinkTemplate, load::Reading, problem::Problem};
use crate::text;

/// How many services a repository's own file may define.
const MAX_OWN: usize = 64;

/// How long a name may be in a repository's own file, in characters: of a service, an environment, an owner.
const MAX_NAME: usize = 256;

/// One `[[service]]` as written: for whoever has such tables in a file of their own, see [`service_rules`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    repository: Option<Spanned<String>>,
    #[serde(default)]
    paths: Vec<String>,
    name: Spanned<String>,
    #[serde(default)]
    environments: BTreeMap<Spanned<String>, RefPatterns>,
    owner: Option<Spanned<String>>,
    #[serde(default)]
    links: BTreeMap<Spanned<String>, Spanned<String>>,
    version: Option<Spanned<VersionFile>>,
}

/// One pattern or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected the name of a branch or a tag, or an array of them")]
enum RefPatterns {
    One(String),
    Many(Vec<String>),
}

/// Where a version is read, as written.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"tag\", \"describe\", \"commit\", { file = \"Cargo.toml\" } or { option = \"version\" }"
)]
enum VersionFile {
    Word(VersionWord),
    File(VersionInFile),
    Option(VersionInOption),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VersionWord {
    Tag,
    Describe,
    Commit,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionInFile {
    file: String,
    key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionInOption {
    option: String,
}

/// One `[[service]]`: what is called what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRule {
    /// Wildcards over `owner/name`, in lower case.
    pub repository: String,
    /// Wildcards over paths; none stands for the whole repository.
    pub paths: Vec<String>,
    /// `service.name`.
    pub name: String,
    /// Where it runs; none stands for anywhere.
    pub environments: Vec<EnvironmentRule>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where to look, by the names that people gave.
    pub links: Vec<(String, LinkTemplate)>,
    /// Where its version is read when no tag says it, `None` if the rule does not say.
    pub version: Option<VersionRule>,
    /// The line of the file that names it.
    pub line: usize,
}

/// An environment of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentRule {
    /// `deployment.environment.name`.
    pub name: String,
    /// Wildcards over the refs that deploy to it, whole (`refs/heads/main`) or short (`main`); none if only a push option
    /// or a script says that something goes there.
    pub refs: Vec<String>,
}

/// Where the version of a service is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionRule {
    /// The version tag of the commit itself, if it has one.
    Tag,
    /// The nearest tag in history and the distance from it.
    Describe,
    /// The full id of the commit.
    Commit,
    /// A file at the commit: its path, and which key of it.
    File {
        /// The path in the repository.
        path: String,
        /// The key, with dots between tables; `None` for the one that files of this name have their version in.
        key: Option<String>,
    },
    /// What the pusher says with `-o KEY=VERSION`.
    Option(String),
}

impl Reading<'_> {
    /// Reads a `[[service]]` of the configuration.
    pub fn service(&mut self, file: ServiceFile) -> Option<ServiceRule> {
        let Some(repository) = file.repository.as_ref().map(|pattern| pattern.get_ref().to_lowercase())
        else {
            self.complain(&file.name, "a service needs `repository`, such as \"acme/shop\" or \"acme/*\"");
            return None;
        };
        Some(self.rule(file, repository))
    }

    fn rule(&mut self, file: ServiceFile, repository: String) -> ServiceRule {
        if file.name.get_ref().trim().is_empty() {
            self.complain(&file.name, "a service needs a name");
        }
        let line = self.line(file.name.span().start);
        let mut environments = Vec::new();
        for (name, refs) in file.environments {
            if name.get_ref().trim().is_empty() {
                self.complain(&name, "an environment needs a name");
            }
            let refs = match refs {
                RefPatterns::One(pattern) => vec![pattern],
                RefPatterns::Many(patterns) => patterns,
            };
            environments.push(EnvironmentRule { name: name.into_inner(), refs });
        }
        let mut links = Vec::new();
        for (name, link) in file.links {
            let is_word = !name.get_ref().is_empty()
                && name.get_ref().len() <= 64
                && name
                    .get_ref()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
            if !is_word {
                self.complain(&name, "the name of a link has 1 to 64 of a-z, 0-9, `_` and `-`");
            }
            match LinkTemplate::parse(link.get_ref()) {
                Ok(template) => links.push((name.into_inner(), template)),
                Err(why) => self.complain(&link, &why),
            }
        }
        ServiceRule {
            line,
            repository,
            paths: file.paths,
            name: file.name.into_inner(),
            environments,
            owner: file.owner.map(Spanned::into_inner),
            links,
            version: file.version.as_ref().and_then(|version| self.version(version)),
        }
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
                VersionRule::File { path: file.clone(), key: key.clone() }
            }
        };
        Some(rule)
    }
}

/// Reads the services of another file than the configuration. Those that name no repository are of every one.
///
/// # Errors
/// With everything that is wrong with them.
pub fn service_rules(
    path: &Path,
    source: &str,
    services: Vec<ServiceFile>,
) -> Result<Vec<ServiceRule>, Vec<Problem>> {
    let mut reading = Reading { path, source, problems: Vec::new() };
    let mut rules = Vec::new();
    for service in services {
        let repository = service.repository.as_ref().map(|pattern| pattern.get_ref().to_lowercase());
        rules.push(reading.rule(service, repository.unwrap_or_else(|| "*/*".into())));
    }
    if reading.problems.is_empty() { Ok(rules) } else { Err(reading.problems) }
}

/// Reads the services that a repository defines in a file of its own. Its names are a stranger's: they are made fit to
/// be shown.
///
/// # Errors
/// With the first thing that is wrong, if anything is: then the file defines nothing.
pub fn own_services(path: &str, source: &str) -> Result<Vec<ServiceRule>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OwnFile {
        #[serde(default)]
        service: Vec<ServiceFile>,
    }
    let path = Path::new(path);
    let file: OwnFile = toml::from_str(source).map_err(|err| Problem::from_toml(path, source, &err))?;
    if file.service.len() > MAX_OWN {
        let message = format!("it defines {} services, the limit is {MAX_OWN}", file.service.len());
        return Err(Problem::with_file(path, message));
    }
    let mut reading = Reading { path, source, problems: Vec::new() };
    let mut rules = Vec::new();
    for service in file.service {
        if let Some(repository) = &service.repository {
            reading
                .complain(repository, "a repository defines services of itself alone; take `repository` out");
        }
        let mut rule = reading.rule(service, String::new());
        let shown = |name: &str| text::name(name.as_bytes(), MAX_NAME);
        rule.name = shown(&rule.name);
        rule.owner = rule.owner.as_deref().map(shown);
        rule.environments.iter_mut().for_each(|environment| environment.name = shown(&environment.name));
        rules.push(rule);
    }
    match reading.problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(rules),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(source: &str) -> Result<Vec<ServiceRule>, String> {
        own_services(".gitea/lightstep.toml", source).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_repository_defines_services_of_itself() {
        let rules = own(r#"
            [[service]]
            name = "pay"
            paths = ["pay/**"]
            version = { file = "pay/Cargo.toml" }
            environments = { staging = "main", production = ["deploy/production", "v*"], lab = [] }
        "#)
        .expect("valid");
        assert_eq!(rules[0].name, "pay");
        assert_eq!(rules[0].version, Some(VersionRule::File { path: "pay/Cargo.toml".into(), key: None }));
        let refs = |name| rules[0].environments.iter().find(|e| e.name == name).map(|e| e.refs.len());
        assert_eq!([refs("staging"), refs("production"), refs("lab")], [Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (source, expected) in [
            (
                "[[service]]\nname = \"a\"\nrepository = \"x/y\"",
                "toml:3:14: a repository defines services of itself",
            ),
            ("[[service]]\nname = \"\"", "toml:2:8: a service needs a name"),
            ("[[service]]\nname = \"a\"\nversion = \"latest\"", "toml:3:11: expected \"tag\", \"describe\""),
            (
                "[[service]]\nname = \"a\"\nversion = { file = \"../x\" }",
                "toml:3:11: expected the path of a file",
            ),
            ("[[service]]\nname = \"a\"\nowned = \"b\"", "did you mean `owner`?"),
            (
                "[[service]]\nname = \"a\"\nlinks = { r = \"https://x/{servce}\" }",
                "did you mean `{service}`?",
            ),
            ("[lightstep]", "unknown field `lightstep`"),
        ] {
            let said = own(source).expect_err(source);
            assert!(said.contains(expected), "{source}\n{said}");
        }
    }
}
