//! A temporary server-side repository, laid out like Gitea's, and the git that works on it. `demo`
//! shows pushes to such repositories, and `doctor` tries one.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bstr::ByteSlice as _;
use rustix::fs::{Access, access};

use crate::{
    install::{self, Git, HookCommand, NAME, ProgramOutput},
    text,
};

/// Stand-in for Gitea's `post-receive`, which runs the files of `post-receive.d`.
pub const DELEGATE: &[u8] = include_bytes!("delegate.sh");

/// Time limit for each git command.
const PATIENCE: Duration = Duration::from_secs(30);

/// A git that reads the configuration of one home directory, and not the system's.
#[derive(Debug)]
pub struct ScratchGit {
    git: Git,
    home: PathBuf,
}

impl ScratchGit {
    /// Uses this git with this home directory.
    pub fn new(git: Git, home: &Path) -> Self {
        Self { git, home: home.into() }
    }

    /// Runs git in `dir` with additional variables. A push to a local path starts the server side
    /// itself, as sshd does for Gitea, and its hooks inherit them.
    ///
    /// # Errors
    /// If git cannot be run, or does not end in time.
    pub fn run(
        &self,
        dir: &Path,
        args: &[&str],
        variables: &[(&str, String)],
    ) -> anyhow::Result<ProgramOutput> {
        let mut command = install::bare(self.git.program());
        command
            .args(args)
            .current_dir(dir)
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs(variables.iter().map(|(name, value)| (name, value)));
        install::run(&mut command, PATIENCE)
            .with_context(|| format!("failed to run `{}`", text::path(self.git.program())))
    }

    /// Runs git as [`Self::run`] does, and returns its standard output.
    ///
    /// # Errors
    /// If git cannot be run or fails.
    pub fn output(&self, dir: &Path, args: &[&str], variables: &[(&str, String)]) -> anyhow::Result<String> {
        let said = self.run(dir, args, variables)?;
        ensure!(said.is_success, "`git {}` failed: {}", args.join(" "), text::line(said.stderr.trim_ascii()));
        Ok(said.stdout.trim_ascii().to_str_lossy().into_owned())
    }
}

/// A bare repository on the server.
pub struct BareRepo {
    path: PathBuf,
}

impl BareRepo {
    /// Creates the repository with `git init` and these options.
    ///
    /// # Errors
    /// If git fails, or the directory cannot be created.
    pub fn init(git: &ScratchGit, path: PathBuf, options: &[&str]) -> anyhow::Result<Self> {
        make_dir(&path)?;
        git.output(&path, &[&["init", "--quiet", "--bare"], options].concat(), &[])?;
        Ok(Self { path })
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an executable file below `hooks`.
    ///
    /// # Errors
    /// If it cannot be written, or the file system does not allow programs.
    pub fn add_hook(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join("hooks").join(name);
        if let Some(dir) = path.parent() {
            make_dir(dir)?;
        }
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("failed to write `{}`", text::path(&path)))?;
        // git skips a hook that is not executable, and the push would then show nothing.
        ensure!(
            access(&path, Access::EXEC_OK).is_ok(),
            "failed to make `{}` executable: its file system may be mounted noexec",
            text::path(&path)
        );
        Ok(())
    }

    /// Adds Gitea's own hooks, without the server behind them.
    ///
    /// # Errors
    /// As [`Self::add_hook`].
    pub fn add_giteas_hooks(&self) -> anyhow::Result<()> {
        self.add_hook("post-receive", DELEGATE)?;
        self.add_hook("post-receive.d/gitea", include_bytes!("gitea.sh"))
    }

    /// Adds our hook beside Gitea's, as an installation does. A wrapper that is there already stays,
    /// because it comes from the template of new repositories.
    ///
    /// # Errors
    /// As [`Self::add_hook`].
    pub fn add_wrapper(&self, command: &HookCommand) -> anyhow::Result<()> {
        let name = format!("post-receive.d/{NAME}");
        if self.path.join("hooks").join(&name).exists() {
            Ok(())
        } else {
            self.add_hook(&name, &command.wrapper())
        }
    }
}

/// Returns the variables that Gitea sets for the hooks of every push over SSH
/// (reference/gitea-observed.md).
pub fn ssh_variables(owner: &str, name: &str, pusher: &str) -> Vec<(&'static str, String)> {
    vec![
        ("GITEA_REPO_USER_NAME", owner.into()),
        ("GITEA_REPO_NAME", name.into()),
        ("GITEA_REPO_IS_WIKI", "false".into()),
        ("GITEA_PUSHER_NAME", pusher.into()),
        ("SSH_ORIGINAL_COMMAND", format!("git-receive-pack '/{owner}/{name}.git'")),
    ]
}

/// Creates a directory and its parents.
///
/// # Errors
/// If it cannot be created.
pub fn make_dir(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to create `{}`", text::path(dir)))
}
