//! Finds patterns of services that can never match, and what their author probably meant.

use crate::text;

/// The reason that a pattern never matches, and a pattern to paste in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NeverMatches {
    pub why: String,
    pub fix: String,
    /// True if the pattern can match outside of Gitea.
    pub is_gitea_only: bool,
}

impl NeverMatches {
    fn new(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { why: why.into(), fix: fix.into(), is_gitea_only: false }
    }

    /// Returns a reason with the pattern that was probably meant.
    fn meant(why: impl Into<String>, pattern: &str) -> Self {
        Self::new(why, format!("write \"{}\"", text::line(pattern)))
    }
}

/// Characters that make a pattern more than a name.
const WILDCARDS: [char; 4] = ['*', '?', '[', '\\'];

/// Names of files without an extension, in lower case.
const FILES: [&str; 12] = [
    "artisan",
    "build",
    "codeowners",
    "configure",
    "console",
    "go.mod",
    "gradlew",
    "install",
    "mvnw",
    "run",
    "version",
    "workspace",
];

/// Returns why a pattern for paths never matches a path of a repository.
pub(super) fn path_never_matches(pattern: &str) -> Option<NeverMatches> {
    if pattern.contains("://") {
        return Some(NeverMatches::new(
            "a path is not a URL",
            "write the path inside the repository, such as \"services/checkout/**\"",
        ));
    }
    if let Some(found) = shape(pattern) {
        return Some(found);
    }
    let tidy = tidied(pattern);
    if pattern.contains('\\') && !pattern.contains('/') {
        let meant = pattern.replace('\\', "/");
        return Some(NeverMatches::meant("`\\` escapes the character after it, and paths have `/`", &meant));
    }
    if tidy.is_empty() {
        return Some(NeverMatches::new(
            "it names the whole repository, which is the default",
            "remove `paths`",
        ));
    }
    if tidy != pattern {
        let why = "paths start at the top of the repository, without `/`, `./`, `../` or `//`";
        return Some(NeverMatches::meant(why, &with_contents(&tidy)));
    }
    if pattern.ends_with('/') || is_directory(pattern) {
        let why = "it is compared with paths of files, so the name of a directory matches nothing in it";
        return Some(NeverMatches::meant(why, &with_contents(pattern)));
    }
    None
}

/// Returns why a pattern for repositories never matches `owner/name`.
pub(super) fn repository_never_matches(pattern: &str) -> Option<NeverMatches> {
    let is_remote = pattern.contains("://") || (pattern.contains('@') && pattern.contains(':'));
    if is_remote {
        let parts: Vec<&str> = pattern.trim_end_matches('/').rsplit(['/', ':']).take(2).collect();
        let meant = match parts[..] {
            [name, owner] if !owner.is_empty() => format!("{owner}/{}", without_git(name)),
            _ => "acme/shop".into(),
        };
        return Some(NeverMatches::meant("it is compared with `owner/name`, not with a URL", &meant));
    }
    if let Some(found) = shape(pattern) {
        return Some(found);
    }
    let tidy = without_git(pattern.trim_start_matches("./").trim_matches('/'));
    if tidy.contains("**") {
        return None;
    }
    if pattern.ends_with('/') && !tidy.contains('/') && !tidy.is_empty() {
        return Some(NeverMatches::meant("a repository has a name after its owner", &format!("{tidy}/*")));
    }
    if tidy.split('/').count() > 2 || tidy.contains("//") {
        let parts: Vec<&str> = tidy.split('/').filter(|part| !part.is_empty()).collect();
        let meant = parts.get(parts.len().saturating_sub(2)..).unwrap_or_default().join("/");
        return Some(NeverMatches::meant("it is compared with `owner/name`, which has one `/`", &meant));
    }
    if !tidy.contains('/') {
        let meant = if tidy.is_empty() || tidy == "*" { "*/*".into() } else { format!("*/{tidy}") };
        let why =
            "it has no owner, and every repository of Gitea has one (outside of Gitea, it may have none)";
        return Some(NeverMatches { is_gitea_only: true, ..NeverMatches::meant(why, &meant) });
    }
    (tidy != pattern).then(|| {
        NeverMatches::meant("it is compared with `owner/name`, without `/` or `.git` around it", tidy)
    })
}

/// Returns why a pattern for refs never matches a branch or a tag.
pub(super) fn ref_never_matches(pattern: &str) -> Option<NeverMatches> {
    if pattern.contains("://") {
        return Some(NeverMatches::new(
            "a ref is not a URL",
            "write the name of a branch or a tag, such as \"main\" or \"v*\"",
        ));
    }
    if let Some(found) = shape(pattern) {
        return Some(found);
    }
    let tidy = tidied(pattern);
    if pattern.ends_with('/') && !tidy.is_empty() {
        let meant = format!("{}**", tidy.trim_end_matches('/').to_string() + "/");
        return Some(NeverMatches::meant("no branch or tag has a name that ends with `/`", &meant));
    }
    if tidy != pattern {
        return Some(NeverMatches::meant(
            "no branch or tag has a name with `./`, `../`, `//` or a `/` in front",
            &tidy,
        ));
    }
    if pattern.starts_with("heads/") || pattern.starts_with("tags/") {
        return Some(NeverMatches::meant(
            "it is compared with the short name, as in `main`, or with the full one, as in `refs/heads/main`",
            &format!("refs/{pattern}"),
        ));
    }
    if let Some(rest) = pattern.strip_prefix("refs/")
        && let Some((kind, name)) = rest.split_once('/').or(Some((rest, "")))
        && !kind.contains(WILDCARDS)
        && !matches!(kind, "heads" | "tags")
    {
        let meant = match kind {
            "remotes" => name.split_once('/').map_or(name, |(_, name)| name),
            _ => rest,
        };
        let why = "only branches (`refs/heads/`) and tags (`refs/tags/`) deploy";
        return Some(NeverMatches::meant(why, &format!("refs/heads/{meant}")));
    }
    None
}

/// Returns what is wrong with any kind of pattern.
fn shape(pattern: &str) -> Option<NeverMatches> {
    if pattern.trim().is_empty() {
        return Some(NeverMatches::new("it is empty", "remove it"));
    }
    if pattern.trim() != pattern {
        return Some(NeverMatches::meant("it has spaces around it", pattern.trim()));
    }
    if pattern.starts_with('!') {
        let why = "`!` does not exclude here, it is an ordinary character";
        return Some(NeverMatches::new(why, "remove it, and list only what belongs to the service"));
    }
    None
}

/// Returns a path without the parts that no path in git has.
fn tidied(pattern: &str) -> String {
    let ends = pattern.ends_with('/') && pattern.len() > 1;
    let parts = pattern.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
    let mut tidy = parts.collect::<Vec<_>>().join("/");
    if ends && !tidy.is_empty() {
        tidy.push('/');
    }
    tidy
}

/// Returns the pattern for everything in a directory, if the pattern is the name of one.
fn with_contents(pattern: &str) -> String {
    match pattern.strip_suffix('/') {
        Some(dir) => format!("{dir}/**"),
        None if is_directory(pattern) => format!("{pattern}/**"),
        None => pattern.into(),
    }
}

/// Returns true if the last part of a pattern is probably the name of a directory: it has neither a
/// wildcard nor an extension, and is not a usual name of a file.
fn is_directory(pattern: &str) -> bool {
    let name = pattern.rsplit('/').next().unwrap_or_default();
    let is_extension = |extension: &str| {
        (1..=8).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && extension.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    let lower = name.to_ascii_lowercase();
    let is_file = name.starts_with('.')
        || lower.ends_with("file")
        || FILES.contains(&&*lower)
        || name.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-'))
        || name.rsplit_once('.').is_some_and(|(_, extension)| is_extension(extension));
    !name.is_empty() && !name.contains(WILDCARDS) && !is_file
}

fn without_git(name: &str) -> &str {
    name.strip_suffix(".git").unwrap_or(name)
}

#[cfg(test)]
mod tests;
