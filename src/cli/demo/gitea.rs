//! The server's side as Gitea has it: a bare repository with the delegate and its `post-receive.d`,
//! and the environment of an SSH push (reference/gitea-observed.md).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::fs::{Access, access};

use super::git::Git;
use crate::install::{HookCommand, NAME};

const DELEGATE: &str = include_str!("delegate.sh");
const GITEA: &str = include_str!("gitea.sh");

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
        let command = HookCommand::new(binary.into(), config.into())?;
        write_program(&self.hooks().join("post-receive.d").join(NAME), &command.wrapper())
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
