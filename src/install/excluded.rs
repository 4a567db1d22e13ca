//! Recognises repositories in which an administrator switched our hook off.

use std::path::Path;

use super::{block::HOOK, dirfd, entries::Entries};

/// Maximum size of a repository's configuration that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Returns true if the configuration of a repository sets `hook.gitea-lightstep.enabled` to false, as
/// `uninstall --repository` proposes.
pub fn is_excluded(git_dir: &Path) -> bool {
    let entries = dirfd::read_file(&git_dir.join("config"), MAX_FILE).ok().map(|text| Entries::read(&text));
    let Some(Ok(entries)) = entries else { return false };
    let last = entries.iter().rfind(|entry| entry.is("hook", Some(HOOK), "enabled"));
    // These are git's words for false (git-config(1)).
    last.is_some_and(|entry| {
        ["false", "no", "off", "0"].iter().any(|word| entry.value.eq_ignore_ascii_case(word.as_bytes()))
    })
}
