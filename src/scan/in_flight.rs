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

use crate::sys::fault::{self, Step};

/// The directory of processes (proc(5)).
const PROC: &str = "/proc";

/// Maximum number of bytes of a command line that are read.
const MAX_COMMAND: usize = 64 << 10;

/// Returns the working directories of all processes that carry out a push. For git and hooks, this
/// is the repository.
///
/// # Errors
/// If the processes cannot be listed.
pub(super) fn pushed_to() -> io::Result<HashSet<PathBuf>> {
    let proc = Path::new(PROC);
    fault::point(Step::List, proc)?;
    let own_name = env::current_exe().ok().and_then(|path| path.file_name().map(ToOwned::to_owned));
    let own_name = own_name.as_deref().map(|name| name.as_encoded_bytes().to_vec());
    let mut dirs = HashSet::new();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let process = proc.join(name);
        // A process may end at any moment, and those of others cannot be examined.
        let Ok(mut command) = fs::read(process.join("cmdline")) else { continue };
        command.truncate(MAX_COMMAND);
        if is_of_push(&command, own_name.as_deref())
            && let Ok(dir) = fs::read_link(process.join("cwd"))
        {
            dirs.insert(dir);
        }
    }
    Ok(dirs)
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
    use super::is_of_push;

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
