//! Checks the push options that ask for a deployment. A misspelt or contradictory option would
//! otherwise be ignored, and the pusher would believe in a deployment that was not recorded.

use crate::{
    push::{PushOptions, Source, UpdateSource},
    text::{self, Hinted, did_you_mean},
};

/// Push option that names the environment of a deployment.
pub(super) const DEPLOY: &str = "deploy";
/// Push option that names the service of a deployment.
pub(super) const SERVICE: &str = "deploy.service";
/// Push option for the start of the deployment: RFC 3339, or seconds since 1970.
pub(super) const STARTED: &str = "deploy.started";
/// Push option for its end, in the same formats. Defaults to the time of the push.
pub(super) const FINISHED: &str = "deploy.finished";
/// Push option for `deployment.id`.
pub(super) const ID: &str = "deploy.id";
/// Push option for `deployment.status`.
pub(super) const STATUS: &str = "deploy.status";
/// Push option for a trace that the marker links to. It can be repeated.
pub(super) const TRACEPARENT: &str = "traceparent";

/// Option in which `mark` passes the kind of the marker that it asks for.
pub(super) const MARK_KIND: &str = "mark.kind";
/// Option in which `mark` passes the version, for the case that no script sets one.
pub(super) const MARK_VERSION: &str = "mark.version";
/// Option in which `mark` passes the title, for the case that no script sets one.
pub(super) const MARK_TITLE: &str = "mark.title";

/// Options that only `mark` may set.
const OF_COMMAND: [&str; 3] = [MARK_KIND, MARK_VERSION, MARK_TITLE];

/// Options of a deployment. Each has one value.
const OF_DEPLOYMENTS: [&str; 6] = [DEPLOY, SERVICE, STARTED, FINISHED, ID, STATUS];

/// Maximum number of complaints about the options of one push.
const MAX_COMPLAINTS: usize = 3;

/// Returns the value of an option that only `mark` may set. What a push says there does not count.
pub(super) fn of_command<'s>(source: &'s Source, key: &str) -> Option<&'s str> {
    source.options.get(key).filter(|value| source.found_by == UpdateSource::Command && !value.is_empty())
}

/// Returns what is wrong with the options of a push, in words for the pusher. `is_used` tells if a
/// script of the policy mentions an option; such a name is not misspelt.
pub(super) fn complaints(source: &Source, is_used: impl Fn(&str) -> bool) -> Vec<String> {
    let options = &source.options;
    let mut said: Vec<String> = Vec::new();
    let mut add = |complaint: String| {
        if said.len() < MAX_COMPLAINTS && !said.contains(&complaint) {
            said.push(complaint);
        }
    };
    for (key, _) in options.iter() {
        if let Some(meant) = meant_by(key).filter(|_| !is_used(key)) {
            add(format!("the push option `{}` is unknown; {}", text::line(key), did_you_mean(meant)));
        }
    }
    if source.found_by != UpdateSource::Command
        && let Some(key) = OF_COMMAND.iter().find(|key| options.values(key).next().is_some())
    {
        add(format!("the push option `{key}` has no effect; only the command `mark` sets it"));
    }
    for (key, fix) in [(DEPLOY, "no environment; push with -o deploy=ENV"), (SERVICE, NO_SERVICE)] {
        if options.values(key).next().is_some() && options.values(key).all(str::is_empty) {
            add(format!("no deployment: the push option `{key}` names {fix}"));
        }
    }
    for key in OF_DEPLOYMENTS {
        if let Some(complaint) = contradiction(options, key) {
            add(format!("no deployment: {complaint}"));
        }
    }
    said
}

const NO_SERVICE: &str = "no service; push with -o deploy.service=NAME";

/// Returns why the push options do not ask for a deployment to `environment`, although one of them
/// names it: an option has several values.
pub(super) fn refusal(options: &PushOptions, environment: &str) -> Option<String> {
    options.values(DEPLOY).find(|named| *named == environment)?;
    OF_DEPLOYMENTS.iter().find_map(|key| contradiction(options, key))
}

/// Returns why an environment does not exist at this site, if the site has a closed list.
pub(super) fn unknown_environment(known: Option<&[String]>, environment: &str) -> Option<String> {
    let known = known.filter(|known| !known.iter().any(|known| known == environment))?;
    let message = format!("this site has no environment `{}`", text::line(environment));
    // A name that differs only in case is nearer than any other.
    let same = known.iter().find(|known| known.to_lowercase() == environment.to_lowercase());
    Some(match same {
        Some(same) => format!("{message}; {}", did_you_mean(same)),
        None => Hinted::unknown(message, environment, known.iter().map(String::as_str)).to_string(),
    })
}

/// Returns what is wrong with an option that has more than one value.
fn contradiction(options: &PushOptions, key: &str) -> Option<String> {
    let first = options.values(key).next()?;
    let second = options.values(key).find(|value| *value != first)?;
    let [first, second] = [first, second].map(|value| match value {
        "" => "nothing".to_string(),
        value => format!("`{}`", text::line(value)),
    });
    let fix = if key == DEPLOY { "push once for each environment" } else { "give one" };
    Some(format!("the push option `{key}` has two values, {first} and {second}; {fix}"))
}

/// Returns the known option that differs from `key` only in case or by one letter.
fn meant_by(key: &str) -> Option<&'static str> {
    let known = || OF_DEPLOYMENTS.into_iter().chain([TRACEPARENT]);
    // A longer key cannot be that similar, and comparing takes time in the square of the length.
    if key.len() > 2 * TRACEPARENT.len() * 4 || known().any(|known| known == key) {
        return None;
    }
    let lower = key.to_lowercase();
    let is_alike = |known: &&str| strsim::osa_distance(&lower, known) <= 1;
    known().find(|known| *known == lower).or_else(|| known().find(is_alike))
}

#[cfg(test)]
mod tests;
