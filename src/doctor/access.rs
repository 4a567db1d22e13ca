//! Owners and modes: who may read what is secret, who may write what others run, and whether the hook gets at what it
//! needs.
//!
//! `doctor` runs as Gitea's user, so what it cannot read, the hook cannot read either.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, StatVfsMountFlags, access, statvfs},
    process::geteuid,
};

use super::report::Check;
use crate::{
    config::{Config, Destination},
    secret::SecretSource,
};

const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_READ: u32 = 0o004;
const OTHERS_MAY_WRITE: u32 = 0o002;

/// Looks at the state directory and everything in its first level.
pub fn state(config: &Config) -> Check {
    let dir = &config.state_dir;
    let mut check = Check::new("state").saw(dir.display().to_string());
    let at = match fs::symlink_metadata(dir) {
        Ok(at) => at,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            may_be_made(dir, &mut check);
            return check;
        }
        Err(err) => {
            check.found(
                format!("the state directory `{}` cannot be looked at: {err}", dir.display()),
                "let Gitea's user into every directory above it: `namei -l` shows which one it is",
            );
            return check;
        }
    };
    if at.is_symlink() {
        check.found(
            format!("the state directory `{}` is a symbolic link", dir.display()),
            "name the directory itself with `state_dir`",
        );
    }
    let us = geteuid().as_raw();
    for path in
        [dir.clone()].into_iter().chain(["inbox", "outbox", "dead", "journal"].map(|name| dir.join(name)))
    {
        let Ok(at) = fs::symlink_metadata(&path) else { continue };
        let shown = path.display();
        if at.uid() != us {
            check.found(
                format!("`{shown}` belongs to the user {}, and the hook runs as {us}", at.uid()),
                format!("chown -R {us} '{}'", dir.display()),
            );
        } else if access(&path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
            check.found(format!("`{shown}` cannot be written by its owner"), format!("chmod 700 '{shown}'"));
        } else if at.mode() & 0o077 != 0 {
            check.found(
                format!("`{shown}` has the mode {:04o}: others may see who pushed what", at.mode() & 0o7777),
                format!("chmod 700 '{shown}'"),
            );
        }
    }
    check
}

fn may_be_made(dir: &Path, check: &mut Check) {
    let there = dir.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("/"));
    if access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        check.found(
            format!(
                "there is no state directory `{}`, and Gitea's user may not make it in `{}`",
                dir.display(),
                there.display()
            ),
            format!("install -d -m 700 -o {} '{}'", geteuid().as_raw(), dir.display()),
        );
    }
}

/// Looks at the configuration and the files that hold its secrets.
pub fn configuration(config: &Config) -> Check {
    let mut check = Check::new("files");
    let mut seen = Vec::new();
    if let Some(path) = &config.path {
        seen.push(path.display().to_string());
        others_may_not(path, OTHERS_MAY_WRITE | GROUP_MAY_WRITE, "say where markers go", &mut check);
    }
    if let Some(dir) = &config.scripts {
        seen.push(dir.display().to_string());
        others_may_not(dir, OTHERS_MAY_WRITE | GROUP_MAY_WRITE, "write policies", &mut check);
    }
    for path in secret_files(config) {
        seen.push(path.display().to_string());
        others_may_not(
            &path,
            OTHERS_MAY_READ | OTHERS_MAY_WRITE | GROUP_MAY_WRITE,
            "read or change the secret",
            &mut check,
        );
    }
    check.seen = seen.join(", ");
    check
}

fn secret_files(config: &Config) -> Vec<PathBuf> {
    let secrets = config.destinations.iter().flat_map(Destination::secrets);
    let mut files: Vec<PathBuf> = secrets
        .filter_map(|(_, source)| match source {
            SecretSource::File(path) => Some(path.clone()),
            _ => None,
        })
        .collect();
    files.extend(config.lightstep_api.as_ref().and_then(|api| match &api.key {
        SecretSource::File(path) => Some(path.clone()),
        _ => None,
    }));
    files.sort();
    files.dedup();
    files
}

fn others_may_not(path: &Path, bits: u32, what: &str, check: &mut Check) {
    // What is not there or cannot be read is told where it is used.
    let Ok(at) = fs::metadata(path) else { return };
    if at.mode() & bits != 0 {
        let wanted = at.mode() & 0o7777 & !bits;
        check.found(
            format!("`{}` has the mode {:04o}: others may {what}", path.display(), at.mode() & 0o7777),
            format!("chmod {wanted:04o} '{}'", path.display()),
        );
    }
}

/// Looks at the program that hooks start.
pub fn binary(binary: &Path) -> Check {
    let mut check = Check::new("binary").saw(format!("{}, {}", binary.display(), env!("CARGO_PKG_VERSION")));
    let shown = binary.display();
    let at = match fs::metadata(binary) {
        Ok(at) => at,
        Err(err) => {
            check.found(
                format!("hooks start `{shown}`, which cannot be looked at: {err}"),
                "install it again with install.sh; until then pushes go on without markers",
            );
            return check;
        }
    };
    if is_noexec(binary) {
        check.found(
            format!("`{shown}` is on a file system that is mounted noexec, so nothing starts it"),
            "install it elsewhere with `install.sh --prefix DIR`, or mount that file system with exec",
        );
    } else if access(binary, Access::EXEC_OK).is_err() {
        check.found(
            format!("`{shown}` has the mode {:04o}: Gitea's user may not run it", at.mode() & 0o7777),
            format!("chmod 755 '{shown}'"),
        );
    }
    if at.mode() & (GROUP_MAY_WRITE | OTHERS_MAY_WRITE) != 0 {
        check.found(
            format!(
                "`{shown}` has the mode {:04o}: others may replace what every push runs",
                at.mode() & 0o7777
            ),
            format!("chmod go-w '{shown}'"),
        );
    }
    check
}

/// Returns whether nothing can be started from where `path` lies.
pub(super) fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|at| at.f_flag.contains(StatVfsMountFlags::NOEXEC))
}
