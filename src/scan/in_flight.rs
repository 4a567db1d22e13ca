//! Finds the repositories that are being pushed to, from the running processes.
//!
//! A push changes its refs, then runs the hook, and git waits for the hook. So no hook will
//! capture a change any more if no such process is left.

use std::{
    collections::HashSet,
    env, fs, io,
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;
use rustix::process::geteuid;

use crate::sys::fault::{self, Step};

/// The directory of processes (proc(5)).
const PROC: &str = "/proc";

/// Maximum number of bytes of a command line that are read.
const MAX_COMMAND: usize = 64 << 10;

/// The repositories that are being pushed to.
#[derive(Debug, Default)]
pub(super) struct PushedTo {
    /// Working directories of the processes that carry out a push. For git and hooks, this is the
    /// repository.
    dirs: HashSet<PathBuf>,
    /// True if the system hides the directory of such a process of this user, as it does with those of
    /// a Gitea that has capabilities (proc(5)).
    has_hidden: bool,
}

impl PushedTo {
    /// Returns true if the repository in `dir` may be pushed to right now.
    pub fn contains(&self, dir: &Path) -> bool {
        self.has_hidden || self.dirs.contains(dir)
    }
}

/// Finds the processes that carry out a push.
///
/// # Errors
/// If the processes cannot be listed.
pub(super) fn pushed_to() -> io::Result<PushedTo> {
    let proc = Path::new(PROC);
    fault::point(Step::List, proc)?;
    let own_name = env::current_exe().ok().and_then(|path| path.file_name().map(ToOwned::to_owned));
    let own_name = own_name.as_deref().map(|name| name.as_encoded_bytes().to_vec());
    let mut found = PushedTo::default();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let process = proc.join(name);
        // A process may end at any moment.
        let Ok(mut command) = fs::read(process.join("cmdline")) else { continue };
        command.truncate(MAX_COMMAND);
        if !is_of_push(&command, own_name.as_deref()) {
            continue;
        }
        match fs::read_link(process.join("cwd")) {
            Ok(dir) => {
                found.dirs.insert(dir);
            }
            // Processes of other users do not push to these repositories.
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                let status = fs::read_to_string(process.join("status")).unwrap_or_default();
                found.has_hidden |= user_of(&status) == Some(geteuid().as_raw());
            }
            Err(_) => {}
        }
    }
    Ok(found)
}

/// Returns the real user ID of a process from its status.
fn user_of(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().next()?.parse().ok()
}

/// Returns true for the command line of git, of a shell or of a program that carries out a push:
/// `git receive-pack`, Gitea's delegate and its own hook, and this program as the hook.
fn is_of_push(command: &[u8], own_name: Option<&[u8]>) -> bool {
    let is_hook = || {
        let name = own_name.unwrap_or(b"gitea-lightstep");
        command.find(name).is_some_and(|at| {
            let after = &command[at + name.len()..];
            // The arguments end in NUL. In a command of the shell, they are divided by spaces.
            (after.starts_with(b"\0hook\0") || after.contains_str(" hook "))
                // git also runs this one when nothing is pushed.
                && !after.contains_str("hook\0--reference-transaction\0")
                && !after.contains_str(" hook --reference-transaction ")
        })
    };
    command.contains_str("receive-pack") || command.contains_str("post-receive") || is_hook()
}

#[cfg(test)]
mod tests {
    use super::{PushedTo, is_of_push, user_of};

    #[test]
    fn hidden_push_may_be_to_any_repository() {
        let status = "Name:\tgit\nUmask:\t0022\nUid:\t1000\t1001\t1001\t1001\nGid:\t7\t7\t7\t7\n";
        assert_eq!((user_of(status), user_of("Name:\tgit\n")), (Some(1000), None));
        let dir = std::path::Path::new("/srv/acme/shop.git");
        assert!(!PushedTo::default().contains(dir));
        assert!(PushedTo { has_hidden: true, ..PushedTo::default() }.contains(dir));
    }

    #[test]
    fn processes_of_a_push_are_recognised() {
        for (command, expected) in [
            ("git\0receive-pack\0--stateless-rpc\0.\0", true),
            ("git-receive-pack\0/srv/acme/shop.git\0", true),
            ("bash\0hooks/post-receive\0", true),
            ("/usr/local/bin/gitea\0hook\0--config=/etc/gitea/app.ini\0post-receive\0", true),
            ("/usr/local/bin/gitea-lightstep\0hook\0--config\0/etc/c.toml\0", true),
            ("sh\0-c\0test ! -x /b/gitea-lightstep || /b/gitea-lightstep hook --config /c; :\0", true),
            (
                "sh\0-c\0test \"$1$GITEA_REPO_ID\" != committed || test ! -x '/b/gitea-lightstep' || \
                 '/b/gitea-lightstep' hook --reference-transaction --config '/c' >/dev/null 2>&1; : \"$@\"\0",
                false,
            ),
            ("/bin/sh\0hooks/reference-transaction\0committed\0", false),
            ("/b/gitea-lightstep\0hook\0--reference-transaction\0--config\0/c\0", false),
            ("/usr/local/bin/gitea-lightstep\0deliver\0--detached\0", false),
            ("/usr/local/bin/gitea-lightstep\0scan\0", false),
            ("git\0cat-file\0--batch\0", false),
            ("git\0upload-pack\0.\0", false),
            ("", false),
        ] {
            assert_eq!(is_of_push(command.as_bytes(), Some(b"gitea-lightstep")), expected, "{command:?}");
        }
    }
}
