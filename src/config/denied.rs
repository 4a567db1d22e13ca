//! Explains why this user may not read a file.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::{getegid, geteuid};

use crate::{
    proposal::called_as,
    sys::users,
    text::{self, Hinted},
};

/// Group members may read the file.
const GROUP_READS: u32 = 0o040;

/// Returns the file's owner and mode, and the command with which root lets this user read it. If the
/// file has a group already, that may be the hook's, which would lose the file.
pub fn why_denied(path: &Path) -> Hinted {
    let shown = text::path(path);
    let us = geteuid().as_raw();
    let reader = text::line(users::user_word(us));
    let (message, hint) = match fs::metadata(path) {
        Ok(at) => {
            let message = format!(
                "the user `{reader}` may not read `{shown}`: it belongs to `{}` and has the mode {:04o}",
                text::line(users::user_word(at.uid())),
                at.mode() & 0o7777
            );
            let (group, path, mode) =
                (getegid().as_raw(), text::shell(path), (at.mode() & 0o700) | GROUP_READS);
            let fix = format!("as root: `chgrp {group} {path} && chmod {mode:o} {path}`");
            let has_group = at.mode() & GROUP_READS != 0 && at.gid() != 0;
            // A process that root started became Gitea's user.
            let is_giteas_user = called_as().reader != us;
            let hint = if has_group && !is_giteas_user {
                let group = users::group_word(at.gid());
                format!(
                    "run this as a user of the group `{group}` or root; only if Gitea runs as `{reader}`, run {fix}"
                )
            } else {
                format!("run {fix}")
            };
            (message, hint)
        }
        Err(_) => (
            format!("the user `{reader}` may not enter a directory above `{shown}`"),
            format!("`namei -l {}` shows their owners and modes", text::shell(path)),
        ),
    };
    Hinted { message, hint: Some(hint) }
}
