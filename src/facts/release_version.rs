//! A version as release tools write it, and its place in the order of versions.
//!
//! Three numbers are read as semantic versions (semver.org 2.0.0). Two, four or more numbers,
//! numbers with leading zeros (calver.org) and Python's suffixes (PEP 440) are versions too.

use std::{cmp::Ordering, fmt};

/// Maximum number of numbers before the suffix.
const MAX_NUMBERS: usize = 8;

/// Maximum length of a number, in digits, so that it fits into `u64`.
const MAX_DIGITS: usize = 18;

/// Words that begin the suffix of a pre-release, in lower case.
const PRE_RELEASES: [&str; 25] = [
    "a",
    "alpha",
    "b",
    "beta",
    "c",
    "canary",
    "cr",
    "dev",
    "ea",
    "edge",
    "experimental",
    "incubating",
    "m",
    "milestone",
    "next",
    "nightly",
    "pre",
    "prerelease",
    "preview",
    "rc",
    "snapshot",
    "test",
    "testing",
    "unstable",
    "wip",
];

/// Words that begin the suffix of a correction to a final version.
const CORRECTIONS: [&str; 10] = ["fix", "hotfix", "p", "patch", "pl", "post", "r", "rev", "sp", "update"];

/// Words that do not change the order.
const FINALS: [&str; 5] = ["final", "ga", "lts", "release", "stable"];

/// The text of a version, without a leading `v`, and its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseVersion {
    text: String,
    numbers: Vec<u64>,
    stage: Stage,
    suffix: Vec<Part>,
}

/// Stages of one version, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// PEP 440 orders `.dev1` before `a1`.
    Development,
    PreRelease,
    Final,
    Correction,
}

/// A part of the suffix. Numbers come before words, as in semantic versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl ReleaseVersion {
    /// Parses a version, with or without a leading `v`. Returns `None` for text of any other form,
    /// and for a single number, which is a year or the name of a series.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (main, build) = match text.split_once('+') {
            Some((main, build)) => (main, Some(build)),
            None => (text, None),
        };
        if build.is_some_and(|build| !is_suffix(build)) {
            return None;
        }
        let (numbers, rest) = leading_numbers(main, '.')?;
        let (stage, suffix) = match rest.chars().next() {
            None => (Stage::Final, ""),
            Some('-') => (stage_after_hyphen(main, &numbers, &rest[1..]), &rest[1..]),
            // A single letter stands for any number, as in `1.2.x`.
            Some('.' | '_') if rest.len() == 2 => return None,
            Some('.' | '_') => (stage_of(&rest[1..])?, &rest[1..]),
            Some(_) => (stage_of(rest)?, rest),
        };
        if numbers.len() < 2 || (!rest.is_empty() && !is_suffix(suffix)) {
            return None;
        }
        Some(Self { text: text.into(), numbers, stage, suffix: parts(suffix) })
    }

    /// Parses numbers that are joined by underscores, as in `7_1_2`. Two would be a coincidence.
    pub fn with_underscores(text: &str) -> Option<Self> {
        let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (numbers, rest) = leading_numbers(bare, '_')?;
        (numbers.len() > 2 && rest.is_empty()).then(|| Self {
            text: bare.into(),
            numbers,
            stage: Stage::Final,
            suffix: Vec::new(),
        })
    }

    /// Takes any text as a version, because a pattern of the configuration says so. If its form is
    /// unknown, the order is that of the numbers and words in it, and it is final.
    pub fn any(text: &str) -> Self {
        match Self::parse(text).or_else(|| Self::with_underscores(text)) {
            // The pattern says where the version begins.
            Some(known) => Self { text: text.into(), ..known },
            None => Self { text: text.into(), numbers: Vec::new(), stage: Stage::Final, suffix: parts(text) },
        }
    }

    /// Returns true for a pre-release, such as `1.2.3-rc.1`, `1.2.3rc1` and `1.2.3.dev4`.
    pub fn is_prerelease(&self) -> bool {
        self.stage < Stage::Final
    }

    /// Returns the text, without its `v`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.numbers.len().max(other.numbers.len());
        // `1.2` and `1.2.0` are the same version.
        let number = |version: &Self, nth: usize| version.numbers.get(nth).copied().unwrap_or(0);
        (0..longest)
            .map(|nth| number(self, nth).cmp(&number(other, nth)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
            .then_with(|| self.stage.cmp(&other.stage))
            .then_with(|| self.suffix.cmp(&other.suffix))
            // The order must agree with `Eq`.
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Reads the numbers at the start, and returns them with the rest. Returns `None` if there is none,
/// or if they are too many or too large.
fn leading_numbers(text: &str, separator: char) -> Option<(Vec<u64>, &str)> {
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if end == 0 || end > MAX_DIGITS || numbers.len() == MAX_NUMBERS {
            return None;
        }
        numbers.push(rest[..end].parse().ok()?);
        rest = &rest[end..];
        match rest.strip_prefix(separator) {
            Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
            _ => return Some((numbers, rest)),
        }
    }
}

/// Returns true if every identifier between the dots has letters, digits, hyphens and underscores.
fn is_suffix(text: &str) -> bool {
    let is_identifier = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.split('.').all(is_identifier)
}

/// Returns the stage of a suffix that begins with a known word.
fn stage_of(suffix: &str) -> Option<Stage> {
    let end = suffix.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(suffix.len());
    let word = suffix[..end].to_ascii_lowercase();
    let word = word.as_str();
    if word == "dev" {
        Some(Stage::Development)
    } else if word.len() == 1 && end == suffix.len() {
        // A single letter is a correction, as in OpenSSL's 1.0.2u.
        Some(Stage::Correction)
    } else if PRE_RELEASES.contains(&word) {
        Some(Stage::PreRelease)
    } else if FINALS.contains(&word) {
        Some(Stage::Final)
    } else {
        CORRECTIONS.contains(&word).then_some(Stage::Correction)
    }
}

/// Returns the stage of a suffix after a hyphen. In a semantic version it is always a pre-release.
fn stage_after_hyphen(main: &str, numbers: &[u64], suffix: &str) -> Stage {
    let has_leading_zero =
        main.split(['.', '-']).take(numbers.len()).any(|number| number.len() > 1 && number.starts_with('0'));
    if numbers.len() == 3 && !has_leading_zero {
        return Stage::PreRelease;
    }
    // Others count their packages with it, as in 2021.01.07-1.
    let is_number = suffix.bytes().all(|byte| byte.is_ascii_digit());
    stage_of(suffix).unwrap_or(if is_number { Stage::Correction } else { Stage::PreRelease })
}

/// Splits a suffix into its numbers and words, so that `rc10` comes after `rc2`.
fn parts(suffix: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = suffix;
    while let Some(first) = rest.chars().next() {
        let kind = |c: char| (c.is_ascii_digit(), c.is_alphanumeric());
        let end = rest.find(|c: char| kind(c) != kind(first)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        match part.parse() {
            Ok(number) if part.len() <= MAX_DIGITS => parts.push(Part::Number(number)),
            _ if first.is_alphanumeric() => parts.push(Part::Word(part.to_ascii_lowercase())),
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests;
