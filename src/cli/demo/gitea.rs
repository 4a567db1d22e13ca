//! The server's side as Gitea has it: a bare repository with the delegate and its `post-receive.d`,
//! and the environment of an SSH push (reference/gitea-observed.md).

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bstr::ByteSlice as _;
use rustix::fs::{Access, access};

use super::git::Git;

const DELEGATE: &str = include_str!("delegate.sh");
const GITEA: &str = include_str!("gitea.sh");

/// The wrapper as it is installed, but for its two paths.
const WRAPPER: &str = include_str!("../../../hooks/gitea-lightstep");

/// Who pushes, by the login.
pub(super) const PUSHER: &str = "ann";

/// The owner of every repository here.
pub(super) const OWNER: &str = "acme";

/// A bare repository of the server.
pub(super) struct Bare {
    name: String,
    path: PathBuf,
}

impl Bare {
    /// Makes `OWNER/NAME.git` below `root`, as it is before anybody adds a hook of their own.
    pub fn make(git: &Git, root: &Path, name: &str) -> anyhow::Result<Self> {
        let path = root.join(OWNER).join(format!("{name}.git"));
        make_dir(&path)?;
        git.run(&path, ["init", "--quiet", "--bare", "--template="])?;
        git.run(&path, ["symbolic-ref", "HEAD", "refs/heads/main"])?;
        git.run(&path, ["config", "receive.advertisePushOptions", "true"])?;
        // git must not tidy up in the middle of a measurement.
        git.run(&path, ["config", "receive.autogc", "false"])?;
        let bare = Self { name: name.into(), path };
        make_dir(&bare.hooks().join("post-receive.d"))?;
        write_program(&bare.hooks().join("post-receive"), DELEGATE.as_bytes())?;
        write_program(&bare.hooks().join("post-receive.d/gitea"), GITEA.as_bytes())?;
        Ok(bare)
    }

    /// Puts our hook beside Gitea's, the way it is installed.
    pub fn install(&self, binary: &Path, config: &Path) -> anyhow::Result<()> {
        let wrapper = wrapper(binary, config);
        write_program(&self.hooks().join("post-receive.d/gitea-lightstep"), &wrapper)
    }

    /// Returns what Gitea tells the hooks of an SSH push.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let name = &self.name;
        vec![
            ("GITEA_DEPLOY_KEY_ID", "0".into()),
            ("GITEA_KEY_ID", "1".into()),
            ("GITEA_PR_ID", "0".into()),
            ("GITEA_PUSHER_EMAIL", format!("{PUSHER}@example.com")),
            ("GITEA_PUSHER_ID", "2".into()),
            ("GITEA_PUSHER_NAME", PUSHER.into()),
            ("GITEA_REPO_ID", "7".into()),
            ("GITEA_REPO_IS_WIKI", "false".into()),
            ("GITEA_REPO_NAME", name.clone()),
            ("GITEA_REPO_USER_NAME", OWNER.into()),
            ("GITEA_ROOT_URL", "https://git.example.com/".into()),
            ("SSH_ORIGINAL_COMMAND", format!("git-receive-pack '/{OWNER}/{name}.git'")),
        ]
    }

    /// Returns its name without its owner's.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn hooks(&self) -> PathBuf {
        self.path.join("hooks")
    }
}

/// Fills the two paths into the wrapper.
fn wrapper(binary: &Path, config: &Path) -> Vec<u8> {
    let mut filled = Vec::new();
    for line in WRAPPER.lines() {
        if line.starts_with("bin=") {
            filled.extend_from_slice(b"bin=");
            filled.extend(quoted(binary));
        } else if line.starts_with("config=") {
            filled.extend_from_slice(b"config=");
            filled.extend(quoted(config));
        } else {
            filled.extend_from_slice(line.as_bytes());
        }
        filled.push(b'\n');
    }
    filled
}

/// Quotes a path for a shell: nothing in it is special but the quote itself.
fn quoted(path: &Path) -> Vec<u8> {
    [b"'", path.as_os_str().as_bytes().replace("'", r"'\''").as_slice(), b"'"].concat()
}

pub(super) fn make_dir(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))
}

fn write_program(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("failed to write `{}`", path.display()))?;
    // git passes over a hook that cannot be run, and the demo would have nothing to show.
    if access(path, Access::EXEC_OK).is_err() {
        bail!(
            "failed to make `{}` a program: its file system may be mounted noexec; \
             set TMPDIR to a directory on another one",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_takes_paths_that_a_shell_would_trip_over() {
        let filled = wrapper(Path::new("/opt/it's here/$bin"), Path::new("/etc/a\nb.toml"));
        let filled = String::from_utf8(filled).expect("text");
        assert!(filled.contains("\nbin='/opt/it'\\''s here/$bin'\n"), "{filled}");
        assert!(filled.contains("\nconfig='/etc/a\nb.toml'\n"), "{filled}");
        assert_eq!(filled.matches("bin=").count(), 1);
        assert_eq!(filled.matches("config=").count(), 1);
    }
}
