//! The demo's temporary directory. Before it is removed, the demo waits for every process that was
//! started in it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
use tempfile::TempDir;

use super::git::{FinishedPush, typed};
use crate::{
    install::{Git, HookCommand},
    scratch::{BareRepo, ScratchGit, make_dir, ssh_variables},
    state::State,
    text,
};

/// Directories of the server's repositories and of the clones.
const REPOSITORIES: &str = "repositories";
const CLONES: &str = "clones";

/// Owner of all repositories in the demo.
const OWNER: &str = "acme";

/// Login of the pusher.
const PUSHER: &str = "ann";

/// Time limit for a delivery process after its push. It normally gives up earlier, after the
/// `linger` time below.
const PATIENCE: Duration = Duration::from_secs(30);

/// The temporary directory, and git with a home in it.
pub(super) struct Sandbox {
    dir: TempDir,
    git: ScratchGit,
    is_kept: bool,
}

/// A pusher's clone.
pub(super) struct Clone<'a> {
    git: &'a ScratchGit,
    path: PathBuf,
}

impl Sandbox {
    /// Creates the directory.
    pub fn make(is_kept: bool) -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let git = Git::all(Path::new("git"), &path).into_iter().next();
        let git = git.context("failed to find `git` on the PATH; the demo needs it")?;
        let mut dir = tempfile::Builder::new()
            .prefix("gitea-lightstep-demo-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .context("failed to create a temporary directory")?;
        dir.disable_cleanup(is_kept);
        let home = dir.path().join("home");
        make_dir(&home)?;
        // Make the detached deliveries children of this process when their hook exits, so that it
        // can wait for them. If the kernel refuses, they end shortly after this process.
        let _ = set_child_subreaper(Some(getpid()));
        Ok(Self { git: ScratchGit::new(git, &home), dir, is_kept })
    }

    /// Writes a configuration that sends markers to `endpoint`.
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
        fs::write(&path, content).with_context(|| format!("failed to write `{}`", path.display()))
    }

    /// Creates a bare repository as Gitea does.
    pub fn bare(&self, name: &str) -> anyhow::Result<BareRepo> {
        let path = self.dir().join(REPOSITORIES).join(OWNER).join(format!("{name}.git"));
        let bare = BareRepo::init(&self.git, path, &["--template="])?;
        for args in [
            ["symbolic-ref", "HEAD", "refs/heads/main"],
            ["config", "receive.advertisePushOptions", "true"],
            // Automatic maintenance must not run during a measurement.
            ["config", "receive.autogc", "false"],
        ] {
            self.git.output(bare.path(), &args, &[])?;
        }
        bare.add_giteas_hooks().context("failed to add a hook; TMPDIR chooses another directory")?;
        Ok(bare)
    }

    /// Adds our hook to a repository.
    pub fn install(&self, bare: &BareRepo) -> anyhow::Result<()> {
        let binary = std::env::current_exe().context("failed to find this program's own file")?;
        bare.add_wrapper(&HookCommand::new(binary, self.config(), None)?)
    }

    /// Returns a repository's address as seen from a clone. It is relative, because the path of the
    /// temporary directory may not be valid UTF-8.
    pub fn address(name: &str) -> String {
        format!("../../{REPOSITORIES}/{OWNER}/{name}.git")
    }

    /// Creates a repository to commit in.
    pub fn clone(&self, name: &str) -> anyhow::Result<Clone<'_>> {
        let clone = Clone { git: &self.git, path: self.dir().join(CLONES).join(name) };
        make_dir(&clone.path)?;
        clone.run(&["init", "--quiet", "--template="])?;
        clone.run(&["symbolic-ref", "HEAD", "refs/heads/main"])?;
        for (key, value) in [
            ("user.name", "Ann Archer"),
            ("user.email", &format!("{PUSHER}@example.com")),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ] {
            clone.run(&["config", key, value])?;
        }
        Ok(clone)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> PathBuf {
        self.dir().join("config.toml")
    }

    pub fn state(&self) -> State {
        State::at(&self.dir().join("state"))
    }

    /// Waits until every delivery process that a push left behind has ended. This reaps all
    /// children of the process, so no other thread may be waiting for one.
    pub fn wait_for_deliveries(&self) -> anyhow::Result<()> {
        let (tell, ended) = mpsc::channel();
        thread::Builder::new()
            .name("children".into())
            .spawn(move || {
                // The only possible error is that there are no more children.
                while wait(WaitOptions::empty()).is_ok() {}
                // Sending fails if the time limit was reached and the receiver is gone.
                let _ = tell.send(());
            })
            .context("failed to start a thread")?;
        ended
            .recv_timeout(PATIENCE)
            .map_err(|_| anyhow!("the delivery did not end within {} s", PATIENCE.as_secs()))
    }

    /// Waits for all deliveries, and removes the directory unless it is kept or still in use.
    pub fn leave(mut self) -> anyhow::Result<()> {
        let waited = self.wait_for_deliveries();
        if waited.is_err() || self.is_kept {
            self.dir.disable_cleanup(true);
            return waited;
        }
        let path = self.dir().to_path_buf();
        self.dir.close().with_context(|| format!("failed to remove `{}`", path.display()))
    }
}

impl Clone<'_> {
    /// Runs git in the clone.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        self.git.output(&self.path, args, &[]).map(drop)
    }

    /// Appends a line to a file, and commits it.
    pub fn commit(&self, title: &str) -> anyhow::Result<()> {
        let path = self.path.join("NEWS");
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{title}"))
            .with_context(|| format!("failed to write `{}`", path.display()))?;
        self.run(&["add", "--all"])?;
        self.run(&["commit", "--quiet", "-m", title])
    }

    /// Pushes to the repository `name`, with the variables that Gitea sets for an SSH push.
    pub fn push(&self, args: &[&str], name: &str) -> anyhow::Result<FinishedPush> {
        let mut variables = ssh_variables(OWNER, name, PUSHER);
        variables.extend([
            ("GITEA_DEPLOY_KEY_ID", "0".into()),
            ("GITEA_KEY_ID", "1".into()),
            ("GITEA_PR_ID", "0".into()),
            ("GITEA_PUSHER_EMAIL", format!("{PUSHER}@example.com")),
            ("GITEA_PUSHER_ID", "2".into()),
            ("GITEA_REPO_ID", "7".into()),
            ("GITEA_ROOT_URL", "https://git.example.com/".into()),
        ]);
        let began = Instant::now();
        let output = self.git.run(&self.path, args, &variables)?;
        let ended = Instant::now();
        // git pads lines from the server with spaces, to overwrite earlier text on the line.
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<_> = said.lines().map(|line| text::line(line.trim_end())).collect();
        ensure!(output.is_success, "`{}` failed: {}", typed(args), said.join(" "));
        Ok(FinishedPush { began, ended, said })
    }
}
