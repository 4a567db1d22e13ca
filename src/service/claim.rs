//! Service names that the site has assigned to repositories. No other repository may mark such a
//! service, no matter if the name comes from a tag, a push option, the repository's own file or
//! script, or the repository's name.
//!
//! Names that look alike in a back end count as equal. The comparison ignores case, surrounding
//! space and punctuation, Unicode compatibility forms, common lookalike letters, and a version or
//! environment after `@`.

use unicode_normalization::UnicodeNormalization as _;

use super::is_of;
use crate::{
    config::{Config, ServiceRule},
    facts::{Facts, is_version},
    glob::is_match,
    push::{RepositoryIdentity, Update},
    text,
};

/// Returns why `repository` may not mark a service called `name`, or `None` if it may.
pub fn refusal(config: &Config, repository: &RepositoryIdentity, name: &str) -> Option<String> {
    let of_repository = |rule: &&ServiceRule| is_of(rule, repository);
    // In the common case the repository owns the name, and no names need to be folded.
    if config.services.iter().filter(of_repository).any(|rule| rule.name == name) {
        return None;
    }
    let shown = text::line(name);
    if name.contains(|c| text::is_hidden(c) && c != text::AS_EMOJI) {
        return Some(format!("the service name `{shown}` has invisible characters; remove them"));
    }
    if config.services.is_empty() {
        return None;
    }
    let folded = Folded::of(name);
    let mut owners = config.services.iter().filter(|rule| folded.is_claimed_by(rule)).peekable();
    owners.peek()?;
    if owners.any(|rule| of_repository(&rule)) {
        return None;
    }
    Some(format!(
        "the service `{shown}` belongs to another repository; use another name, or ask the administrator \
         for a `[[service]]` that assigns it to this repository"
    ))
}

/// Returns true if `name` occurs in the push itself. A script that returns such a name may only be
/// passing on what the pusher chose.
pub fn is_said_by_push(facts: &Facts, name: &str) -> bool {
    let folded = Folded::of(name).name;
    let is_it = |said: &str| Folded::of(said).name == folded;
    let source = facts.push().source();
    let commit = facts.commit().ok().flatten();
    source.options.iter().any(|(_, value)| is_it(value))
        || is_said_by_ref(facts.update(), &is_it)
        || is_it(&source.repository.name)
        || commit.is_some_and(|commit| commit.trailers.iter().any(|(_, value)| is_it(value)))
}

/// Returns true if `name` matches a wildcard pattern, or looks as if it did.
pub fn looks_like(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let folded = Folded::of(name).name;
    is_match(&pattern, name.to_lowercase().as_bytes())
        || is_match(&pattern, folded.as_bytes())
        || folded == Folded::of(&pattern).name
}

/// Returns true if back ends read an attribute with this key as the service name.
pub fn is_key_of_name(key: &str) -> bool {
    const KEYS: [&str; 6] =
        ["service", "service.name", "service_name", "servicename", "component", "lightstep.component_name"];
    let key = plain(key);
    KEYS.contains(&key.as_str())
}

fn is_said_by_ref(update: &Update, is_it: &dyn Fn(&str) -> bool) -> bool {
    let name = update.ref_name().to_text();
    name.split('/').any(is_it) || name.char_indices().any(|(at, c)| c == '/' && is_it(&name[at + 1..]))
}

/// A service name, normalized for comparison.
struct Folded {
    name: String,
    /// Owner and rest of an `owner/name`. Back ends show `service.namespace` in front of a name in
    /// this form.
    scoped: Option<(String, String)>,
}

impl Folded {
    fn of(name: &str) -> Self {
        let mut name = plain(name);
        // Back ends show the names `payments@9.9.9` and `payments/v9.9.9` as a version of payments.
        while let Some((before, version)) = name.rsplit_once(['/', '@'])
            && !before.is_empty()
            && is_version(version)
        {
            name = plain(before);
        }
        if let Some((before, _)) = name.split_once('@') {
            name = plain(before);
        }
        let scoped = name.split_once('/').map(|(owner, rest)| (owner.to_string(), rest.to_string()));
        Self { name, scoped }
    }

    fn is_claimed_by(&self, rule: &ServiceRule) -> bool {
        let claimed = Self::of(&rule.name).name;
        // A rule that applies to all repositories assigns its name to each of them.
        claimed == self.name
            || self.scoped.as_ref().is_some_and(|(owner, rest)| {
                let owner_pattern = rule.repository.split('/').next().unwrap_or_default();
                claimed == *rest && is_match(owner_pattern, owner.as_bytes())
            })
    }
}

/// Normalizes a name: removes everything that readers do not see as a difference.
fn plain(name: &str) -> String {
    let is_edge = |c: char| c.is_whitespace() || "@/\\:;,.'\"`".contains(c);
    if name.is_ascii() {
        return one_space(name.trim_matches(is_edge).to_ascii_lowercase());
    }
    let folded: String = name
        .nfkc()
        .filter(|c| !text::is_hidden(*c))
        .flat_map(char::to_lowercase)
        .map(|c| FOREIGN.chars().position(|foreign| foreign == c).map_or(c, |at| LATIN[at].into()))
        .nfkc()
        .collect();
    one_space(folded.trim_matches(is_edge).to_string())
}

fn one_space(name: String) -> String {
    if !name.contains(char::is_whitespace) {
        return name;
    }
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lower-case Cyrillic, Greek, Armenian and Latin letters that look like ASCII letters.
const FOREIGN: &str = "асԁеһіјкӏмнорԛѕтуѵԝхьαειικνορτυχγօսոցհıɑɡɩ";

/// ASCII letter for each letter of [`FOREIGN`], in the same order.
const LATIN: &[u8] = b"acdehijklmhopqstyvwxbaeiikvoptuxyoungiagi";
