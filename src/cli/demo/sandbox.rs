//! The throw-away directory that everything happens in, and its end: no process that was started in
//! it outlives it.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};

use super::{
    git::Git,
    gitea::{Bare, OWNER, PUSHER, make_dir},
};
use crate::state::State;

/// Where the server keeps its repositories, and people their clones.
const REPOSITORIES: &str = "repositories";
const CLONES: &str = "clones";

/// How long a delivery process may go on after its push. It gives up by itself before that: see
/// `linger` below.
const PATIENCE: Duration = Duration::from_secs(30);

/// The directory.
pub(super) struct Sandbox {
    dir: PathBuf,
    git: Git,
    /// Whether the directory is left alone when this goes.
    stays: bool,
}

/// Somebody's clone.
pub(super) struct Clone {
    path: PathBuf,
}

impl Sandbox {
    /// Makes the directory, after a look at git.
    pub fn make(is_kept: bool) -> anyhow::Result<Self> {
        let parent =
            std::path::absolute(std::env::temp_dir()).context("failed to find the temporary directory")?;
        let dir = parent.join(format!("gitea-lightstep-demo-{:016x}", fastrand::u64(..)));
        let home = dir.join("home");
        let git = Git::find(&home)?;
        // Under a name that is there already, this fails: nobody else's directory is used or removed.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("failed to make `{}`", dir.display()))?;
        let sandbox = Self { dir, git, stays: is_kept };
        make_dir(&home)?;
        // The detached deliveries become our children when their hook is gone, so that we can wait for
        // them. Where the kernel cannot do that, they end a little after us.
        let _ = set_child_subreaper(Some(getpid()));
        Ok(sandbox)
    }

    /// Writes the configuration: markers go to `endpoint`.
    pub fn configure(&self, endpoint: &str) -> anyhow::Result<()> {
        let path = self.config();
        let content = format!(
            r#"state_dir = "state"

[[destination]]
name = "receiver"
kind = "otlp"
endpoint = "{endpoint}"

[delivery]
timeout = "5s"
linger = "10s"

[reply]
trace_link = "https://jaeger.example.com/trace/{{trace_id}}"
"#
        );
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("failed to write `{}`", path.display()))
    }

    /// Makes a bare repository as Gitea does.
    pub fn bare(&self, name: &str) -> anyhow::Result<Bare> {
        Bare::make(&self.git, &self.dir.join(REPOSITORIES), name)
    }

    /// Returns where a clone finds a repository of the server. It is relative, because the temporary
    /// directory may have a name that no argument can hold as text.
    pub fn address(bare: &Bare) -> String {
        format!("../../{REPOSITORIES}/{OWNER}/{}.git", bare.name())
    }

    /// Makes a repository to work in.
    pub fn clone(&self, name: &str) -> anyhow::Result<Clone> {
        let path = self.dir.join(CLONES).join(name);
        make_dir(&path)?;
        self.git.run(&path, ["init", "--quiet", "--template="])?;
        self.git.run(&path, ["symbolic-ref", "HEAD", "refs/heads/main"])?;
        for (key, value) in [
            ("user.name", "Ann Archer"),
            ("user.email", &format!("{PUSHER}@example.com")),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ] {
            self.git.run(&path, ["config", key, value])?;
        }
        Ok(Clone { path })
    }

    pub fn git(&self) -> &Git {
        &self.git
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    pub fn state(&self) -> State {
        State::at(&self.dir.join("state"))
    }

    /// Waits until every delivery process that a push left behind has ended. No child of ours may be
    /// running that somebody else waits for.
    pub fn wait_for_deliveries(&self) -> anyhow::Result<()> {
        let (tell, ended) = mpsc::channel();
        thread::Builder::new()
            .name("children".into())
            .spawn(move || {
                // The one error is that there is no child any more.
                while wait(WaitOptions::empty()).is_ok() {}
                // If nobody listens, the time was up.
                let _ = tell.send(());
            })
            .context("failed to start a thread")?;
        ended
            .recv_timeout(PATIENCE)
            .map_err(|_| anyhow!("failed to see the delivery end within {} s", PATIENCE.as_secs()))
    }

    /// Ends everything in the directory, and removes it unless it is to be kept.
    pub fn leave(mut self) -> anyhow::Result<()> {
        let left = self.wait_for_deliveries().and_then(|()| self.remove());
        self.stays = true;
        left
    }

    fn remove(&self) -> anyhow::Result<()> {
        if self.stays {
            return Ok(());
        }
        match fs::remove_dir_all(&self.dir) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                Err(err).with_context(|| format!("failed to remove `{}`", self.dir.display()))
            }
            _ => Ok(()),
        }
    }
}

/// For the ways out that do not come by [`Sandbox::leave`].
impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.stays && self.wait_for_deliveries().is_ok() {
            // Something else went wrong before, and that is what is told.
            let _ = self.remove();
        }
    }
}

impl Clone {
    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes a file, so that there is something to commit.
    pub fn change(&self, line: &str) -> anyhow::Result<()> {
        let path = self.path.join("NEWS");
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{line}"))
            .with_context(|| format!("failed to write `{}`", path.display()))
    }
}
