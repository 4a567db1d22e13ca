//! Explains why this user may not read a file.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::{getegid, geteuid};

use crate::{
    sys::users,
    text::{self, Hinted},
};

/// Returns the file's owner and mode, and the command with which root lets this user read it.
pub fn why_denied(path: &Path) -> Hinted {
    let shown = text::path(path);
    let reader = text::line(users::user_word(geteuid().as_raw()));
    let (message, hint) = match fs::metadata(path) {
        Ok(at) => (
            format!(
                "the user `{reader}` may not read `{shown}`: it belongs to `{}` and has the mode {:04o}",
                text::line(users::user_word(at.uid())),
                at.mode() & 0o7777
            ),
            format!(
                "run as root: `chgrp {} {1} && chmod {2:o} {1}`",
                getegid().as_raw(),
                text::shell(path),
                (at.mode() & 0o700) | 0o040
            ),
        ),
        Err(_) => (
            format!("the user `{reader}` may not enter a directory above `{shown}`"),
            format!("`namei -l {}` shows their owners and modes", text::shell(path)),
        ),
    };
    Hinted { message, hint: Some(hint) }
}
