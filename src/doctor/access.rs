//! Checks owners and modes: who can read secrets, who can write files that others run, and if the
//! hook can access the files it needs.
//!
//! `doctor` runs as Gitea's user, so the hook can read the same files as `doctor`. If that user is
//! not known, owners are not judged: advice for the wrong user could take the state away from the
//! hook.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::report::Check;
use crate::{
    config::Config,
    install::{self, RunUser},
    policy, proposal,
    secret::SecretSource,
    state::State,
    sys::users,
    text,
};

const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;

/// Maximum number of findings on scripts that are listed.
const MAX_NAMED: usize = 5;

/// Checks the state directory and its first level. Without a known user, only the path is reported.
pub fn state(config: &Config, user: Option<&RunUser>) -> Check {
    let dir = &config.state_dir;
    let mut check = Check::new("state").saw(text::path(dir));
    let Some(user) = user else { return check };
    let us = user.uid();
    let at = match fs::symlink_metadata(dir) {
        Ok(at) => at,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            may_be_made(dir, us, &mut check);
            return check;
        }
        Err(err) => {
            check.found(
                format!("failed to examine the state directory `{}`: {err}", text::path(dir)),
                format!(
                    "let Gitea's user enter every directory above it; `namei -l {}` shows their modes",
                    text::shell(dir)
                ),
            );
            return check;
        }
    };
    if at.is_symlink() {
        check.found(
            format!("the state directory `{}` is a symbolic link", text::path(dir)),
            "set `state_dir` to the directory itself",
        );
    }
    if at.is_dir()
        && let Some(other) = State::at(dir).holds_others()
    {
        // The directory is shared, so its owner and its modes must not be changed.
        check.found(
            format!(
                "the state directory `{}` contains something that gitea-lightstep did not create: `{}`",
                text::path(dir),
                text::path(&other)
            ),
            format!(
                "set `state_dir` to a directory for gitea-lightstep only, then run `{}`",
                proposal::command("install")
            ),
        );
        return check;
    }
    for path in [dir.clone()]
        .into_iter()
        .chain(["inbox", "failed", "outbox", "dead", "journal"].map(|name| dir.join(name)))
    {
        let Ok(at) = fs::symlink_metadata(&path) else { continue };
        let (shown, pasted) = (text::path(&path), text::shell(&path));
        if at.uid() != us {
            let fix = if at.uid() == 0 || users::user_name(at.uid()).is_none() {
                proposal::as_root(&format!("chown -R {} {}", users::user_word(us), text::shell(dir)))
            } else {
                // It may be in use by another installation.
                format!("set `state_dir` to a directory of {}", users::user(us))
            };
            check.found(
                format!(
                    "`{shown}` belongs to {}, but the hook runs as {}",
                    users::user(at.uid()),
                    users::user(us)
                ),
                fix,
            );
        } else if access(&path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
            check.found(
                format!("`{shown}` cannot be written by its owner"),
                proposal::on_file(&path, &format!("chmod 700 {pasted}")),
            );
        } else if at.mode() & 0o077 != 0 {
            check.found(
                format!(
                    "`{shown}` has the mode {:04o}: other users can see who pushed what",
                    at.mode() & 0o7777
                ),
                proposal::on_file(&path, &format!("chmod 700 {pasted}")),
            );
        }
    }
    if let Err(exposed) = install::check(dir, user)
        && exposed.part() != dir
    {
        check.found(format!("{exposed}: other users can replace the state"), exposed.fix());
    }
    check
}

fn may_be_made(dir: &Path, us: u32, check: &mut Check) {
    let there = dir.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("/"));
    if access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        check.found(
            format!(
                "the state directory `{}` does not exist, and Gitea's user may not create it in `{}`",
                text::path(dir),
                text::path(there)
            ),
            proposal::as_root(&format!("install -d -m 700 -o {} {}", users::user_word(us), text::shell(dir))),
        );
    }
}

/// Checks the configuration, the scripts and the directories above secret files. `expected` names
/// scripts that may be writable by a group, by their paths below the script directory.
pub fn configuration(config: &Config, user: Option<&RunUser>, expected: &BTreeSet<String>) -> Check {
    let mut look = AccessCheck { user, told: BTreeSet::new(), check: Check::new("files") };
    let mut seen = Vec::new();
    if let Some(path) = &config.path {
        seen.push(text::path(path));
        look.at(path, "change where markers go");
    }
    let mut scripts = Vec::new();
    if let Some(dir) = &config.scripts {
        seen.push(text::path(dir));
        look.at(dir, "change policies");
        // What cannot be listed, `check` reports.
        scripts = policy::scripts_below(dir, |_, _| ());
        let is_expected = |script: &PathBuf| {
            script.strip_prefix(dir).is_ok_and(|name| expected.contains(&*name.to_string_lossy()))
        };
        scripts.retain(|script| !(is_expected(script) && is_for_its_group_alone(script)));
    }
    scripts.extend(render_scripts(config));
    let before = look.check.findings.len();
    for script in &scripts {
        look.at(script, "change this script");
        look.is_readable(script);
    }
    let more = look.check.findings.len().saturating_sub(before + MAX_NAMED);
    if more > 0 {
        look.check.findings.truncate(before + MAX_NAMED);
        look.check.found(
            format!("{} of this kind not shown", text::count(more, "finding")),
            format!("fix those that are shown, and run `{}` again", proposal::command("doctor")),
        );
    }
    // The modes of secret files are checked when they are read.
    for path in secret_files(config) {
        seen.push(text::path(&path));
        look.above(&path, "replace this secret");
    }
    look.check.saw(seen.join(", "))
}

/// A check of files on behalf of Gitea's user, if that user is known.
struct AccessCheck<'a> {
    user: Option<&'a RunUser>,
    /// Paths that were reported already, because many files share a directory.
    told: BTreeSet<PathBuf>,
    check: Check,
}

impl AccessCheck<'_> {
    /// Reports other users who can change a file or directory, or replace it.
    fn at(&mut self, path: &Path, what: &str) {
        // A missing or unreadable file is reported by the code that uses it.
        let Ok(at) = fs::metadata(path) else { return };
        let bits = GROUP_MAY_WRITE | OTHERS_MAY_WRITE;
        if at.mode() & bits != 0 {
            self.told.insert(path.into());
            self.check.found(
                format!(
                    "`{}` has the mode {:04o}: other users can {what}",
                    text::path(path),
                    at.mode() & 0o7777
                ),
                proposal::on_file(
                    path,
                    &format!("chmod {:04o} {}", at.mode() & 0o7777 & !bits, text::shell(path)),
                ),
            );
        }
        self.exposed(path, what);
    }

    /// Reports only other users who can replace a file, through the directories above it.
    fn above(&mut self, path: &Path, what: &str) {
        self.told.insert(path.into());
        self.exposed(path, what);
    }

    fn exposed(&mut self, path: &Path, what: &str) {
        let Some(exposed) = self.user.and_then(|user| install::check(path, user).err()) else { return };
        if !exposed.is_unseen() && self.told.insert(exposed.part().into()) {
            self.check.found(format!("{exposed}: other users can {what}"), exposed.fix());
        }
    }

    /// Reports a file that exists and that the hook cannot read.
    fn is_readable(&mut self, path: &Path) {
        let Some(user) = self.user else { return };
        if fs::File::open(path).is_err_and(|err| err.kind() == ErrorKind::PermissionDenied) {
            self.check.found(
                format!(
                    "`{}` cannot be read by `{user}`, the user that runs hooks, so no policy can decide",
                    text::path(path)
                ),
                proposal::as_root_all(&[
                    format!("chgrp {} {}", users::group_word(user.gid()), text::shell(path)),
                    format!("chmod g+r {}", text::shell(path)),
                ]),
            );
        }
    }
}

fn render_scripts(config: &Config) -> impl Iterator<Item = PathBuf> {
    config.destinations.iter().filter_map(|to| Some(to.target.scripted()?.render.path()?.to_path_buf()))
}

/// Returns true if users outside the file's owner and group cannot write it.
fn is_for_its_group_alone(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|at| at.mode() & OTHERS_MAY_WRITE == 0)
}

fn secret_files(config: &Config) -> Vec<PathBuf> {
    let of_source = |source: &SecretSource| match source {
        SecretSource::File(path) => Some(path.clone()),
        _ => None,
    };
    let mut files: Vec<PathBuf> = config.secrets().filter_map(of_source).collect();
    files.sort();
    files.dedup();
    files
}

/// Checks the program that hooks start.
pub fn binary(binary: &Path, user: &RunUser) -> Check {
    let (shown, pasted) = (text::path(binary), text::shell(binary));
    let mut check = Check::new("binary").saw(format!("{shown}, {}", env!("CARGO_PKG_VERSION")));
    let at = match fs::metadata(binary) {
        Ok(at) => at,
        Err(err) => {
            check.found(
                format!("hooks start `{shown}`, which cannot be examined: {err}"),
                "install it again with install.sh; until then, pushes create no markers",
            );
            return check;
        }
    };
    if is_noexec(binary) {
        check.found(
            format!("`{shown}` is on a file system that is mounted noexec, so hooks cannot start it"),
            "install it elsewhere with the option --prefix of install.sh, or mount that file system with exec",
        );
    } else if access(binary, Access::EXEC_OK).is_err() {
        check.found(
            format!("`{shown}` has the mode {:04o}: Gitea's user may not run it", at.mode() & 0o7777),
            proposal::on_file(binary, &format!("chmod 755 {pasted}")),
        );
    }
    if at.mode() & (GROUP_MAY_WRITE | OTHERS_MAY_WRITE) != 0 {
        check.found(
            format!(
                "`{shown}` has the mode {:04o}: other users can replace what every push runs",
                at.mode() & 0o7777
            ),
            proposal::on_file(binary, &format!("chmod go-w {pasted}")),
        );
    } else if let Err(exposed) = install::check(binary, user)
        && !exposed.is_unseen()
    {
        check.found(format!("{exposed}: other users can replace what every push runs"), exposed.fix());
    }
    check
}

/// Returns true if the file system of `path` does not allow execution.
pub(super) fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|at| at.f_flag.contains(StatVfsMountFlags::NOEXEC))
}
