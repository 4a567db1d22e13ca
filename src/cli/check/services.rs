//! Checks the services of the configuration: ones that repeat an earlier one, and patterns that can
//! never match.

use std::fs;

use super::{
    never::{NeverMatches, path_never_matches, ref_never_matches, repository_never_matches},
    problem::Problem,
};
use crate::{
    config::{Config, ConfigProblem, ServiceRule},
    text,
};

/// The problems of the services, and the warnings.
#[derive(Debug, Default)]
pub(super) struct ServiceFindings {
    pub problems: Vec<Problem>,
    pub warnings: Vec<String>,
}

impl ServiceFindings {
    pub fn of(config: &Config) -> Self {
        let file = config.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let mut findings = Self::default();
        for (nth, rule) in config.services.iter().enumerate() {
            let before = config.services.get(..nth).unwrap_or_default();
            if let Some(other) = before.iter().find(|other| shadows(other, rule)) {
                let message = format!(
                    "the service `{}` of `{}` is already defined in line {}",
                    rule.name, rule.repository, other.line
                );
                let fix = "the first one gets each path; remove this one, or give it another name";
                findings.problems.push(Problem::at_line(file.clone(), rule.line, message).fixed_by(fix));
            }
        }
        // The configuration was parsed, so it can be read and has a bounded size.
        let source =
            config.path.as_deref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        for rule in &config.services {
            let near = service_at(&source, rule.line);
            let mut add = |what: &str, pattern: &str, found: Option<NeverMatches>| {
                if let Some(found) = found {
                    findings.add(&file, (&source, near, rule.line), (what, pattern), found);
                }
            };
            add("repository", &rule.repository, repository_never_matches(&rule.repository));
            rule.paths.iter().for_each(|path| add("paths", path, path_never_matches(path)));
            for environment in &rule.environments {
                let what = format!("environments.{}", environment.name);
                environment.refs.iter().for_each(|pattern| add(&what, pattern, ref_never_matches(pattern)));
            }
        }
        for pattern in &config.repository_services {
            if let Some(found) = repository_never_matches(pattern) {
                findings.add(&file, (&source, 0, 1), ("repository_services", pattern), found);
            }
        }
        findings
    }

    /// Adds a pattern that never matches. `near` is the source, the byte where its table begins and
    /// the line to show if the pattern is not found there.
    fn add(
        &mut self,
        file: &str,
        near: (&str, usize, usize),
        (what, pattern): (&str, &str),
        found: NeverMatches,
    ) {
        let (source, start, line) = near;
        let message = format!("`{}` of `{what}` never matches: {}", text::line(pattern), found.why);
        let problem = match place_of(source, start, pattern) {
            Some((line, column, end)) => Problem {
                column: Some(column),
                end_column: Some(end),
                ..Problem::at_line(file.into(), line, message)
            },
            None => Problem::at_line(file.into(), line, message),
        };
        match found.is_gitea_only {
            true => self.warnings.push(format!("{}; {}", problem.brief(), found.fix)),
            false => self.problems.push(problem.fixed_by(found.fix)),
        }
    }
}

/// Returns the byte at which the table of the service that is named in this line begins.
fn service_at(source: &str, line: usize) -> usize {
    let ends = source.match_indices('\n').nth(line.saturating_sub(1)).map_or(source.len(), |(at, _)| at);
    source.get(..ends).and_then(|before| before.rfind("[[service]]")).unwrap_or_default()
}

/// Returns the line, the first column and the column after the end of the quoted pattern. Case is
/// ignored, because patterns for repositories are kept in lower case.
fn place_of(source: &str, start: usize, pattern: &str) -> Option<(usize, usize, usize)> {
    let text = source.get(start..)?.to_ascii_lowercase();
    let pattern = pattern.to_ascii_lowercase();
    let at = [format!("\"{pattern}\""), format!("'{pattern}'")]
        .iter()
        .filter_map(|quoted| text.find(quoted))
        .min()?;
    let (line, column) = ConfigProblem::position(source, start + at);
    Some((line, column, column + pattern.chars().count() + 2))
}

/// Returns true if `other` is the same service as `rule` and covers all of its paths.
fn shadows(other: &ServiceRule, rule: &ServiceRule) -> bool {
    let has_paths = other.paths.is_empty() || rule.paths.iter().all(|path| other.paths.contains(path));
    other.name == rule.name
        && other.repository == rule.repository
        && has_paths
        && (other.paths.is_empty() || !rule.paths.is_empty())
}
