//! A real push to a throw-away repository through the hook as it is installed: what no look at files can show.
//!
//! It goes to a ref of which no policy is asked ([`REHEARSAL`]), so it leaves a line in the journal and no marker.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use bstr::ByteSlice as _;

use super::report::Check;
use crate::{
    decide::REHEARSAL,
    install::{Git, HookCommand, NAME, Said, bare, run},
    push::{ObjectId, PushId},
    state::{State, journal::Record},
    text,
};

/// What runs the files of `post-receive.d`, should there be no repository yet to take Gitea's own from.
const DELEGATE: &[u8] = include_bytes!("../cli/demo/delegate.sh");

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the throw-away repository is called.
const REPOSITORY: (&str, &str) = ("gitea-lightstep", "doctor");

/// What a rehearsal is played with.
pub struct Rehearsal<'a> {
    /// The git that Gitea runs.
    pub git: &'a Git,
    /// Its home when Gitea runs it, if there is a Gitea.
    pub home: Option<&'a Path>,
    /// Where Gitea keeps its repositories: the throw-away one is on the same file system.
    pub root: &'a Path,
    /// A repository whose hooks it is given, if there is one.
    pub like: Option<&'a Path>,
    /// What the hooks start, where they are files.
    pub wrapper: Option<&'a HookCommand>,
}

impl Rehearsal<'_> {
    /// Pushes, and looks into the journal for what came of it.
    pub fn check(&self, state: &State) -> Check {
        let mut check = Check::new("rehearsal");
        match self.play() {
            Err(err) => check.found(
                format!("a push to a throw-away repository could not be tried: {err:#}"),
                "mend that, and run `gitea-lightstep doctor` again",
            ),
            Ok(played) => played.judge(state, &mut check),
        }
        check
    }

    fn play(&self) -> anyhow::Result<Played> {
        let dir = tempfile::Builder::new()
            .prefix(".gitea-lightstep-doctor-")
            .tempdir_in(self.root)
            .with_context(|| format!("failed to make a directory in `{}`", self.root.display()))?;
        let bare = dir.path().join("doctor.git");
        self.git_in(dir.path(), &["init", "--quiet", "--bare", "doctor.git"])?;
        self.put_hooks(&bare)?;
        let tree = self.git_in(&bare, &["mktree"])?;
        // Of its own each time, so that the journal's line is that of this push.
        let message = format!("Rehearsal {}", PushId::now());
        let commit = self.git_in(&bare, &["commit-tree", "-m", &message, &tree])?;
        let commit: ObjectId = commit.parse().map_err(|_| anyhow!("git made no commit"))?;
        let began = Instant::now();
        let said = self.run(&bare, &["push", "--quiet", ".", &format!("{commit}:{REHEARSAL}doctor")])?;
        Ok(Played { commit, took: began.elapsed(), said })
    }

    /// Gives the repository what `git init` did not bring by the template.
    fn put_hooks(&self, bare: &Path) -> anyhow::Result<()> {
        let hooks = bare.join("hooks");
        let files = hooks.join("post-receive.d");
        fs::create_dir_all(&files).with_context(|| format!("failed to make `{}`", files.display()))?;
        let real = self.like.map(|like| like.join("hooks/post-receive"));
        let delegate = real.and_then(|real| fs::read(real).ok()).unwrap_or_else(|| DELEGATE.to_vec());
        write_program(&hooks.join("post-receive"), &delegate)?;
        let wrapper = files.join(NAME);
        match self.wrapper {
            Some(command) if !wrapper.exists() => write_program(&wrapper, &command.wrapper()),
            _ => Ok(()),
        }
    }

    fn git_in(&self, dir: &Path, words: &[&str]) -> anyhow::Result<String> {
        let said = self.run(dir, words)?;
        ensure!(said.is_success, "`git {}`: {}", words[0], text::line(said.stderr.trim_ascii()));
        Ok(said.stdout.trim_ascii().to_str_lossy().into_owned())
    }

    /// Runs git as Gitea does, for a push that came in by SSH.
    fn run(&self, dir: &Path, words: &[&str]) -> anyhow::Result<Said> {
        let mut command = bare(self.git.program());
        command
            .args(words)
            .env("HOME", self.home.unwrap_or(dir))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs([
                ("GIT_AUTHOR_NAME", "gitea-lightstep doctor"),
                ("GIT_AUTHOR_EMAIL", "doctor@localhost"),
                ("GIT_COMMITTER_NAME", "gitea-lightstep doctor"),
                ("GIT_COMMITTER_EMAIL", "doctor@localhost"),
                ("GITEA_REPO_USER_NAME", REPOSITORY.0),
                ("GITEA_REPO_NAME", REPOSITORY.1),
                ("GITEA_REPO_IS_WIKI", "false"),
                ("GITEA_PUSHER_NAME", "doctor"),
                ("SSH_ORIGINAL_COMMAND", "git-receive-pack 'gitea-lightstep/doctor.git'"),
            ])
            .current_dir(dir);
        run(&mut command, PATIENCE)
            .with_context(|| format!("failed to run `{}`", self.git.program().display()))
    }
}

/// What came of the push, as git told it.
struct Played {
    commit: ObjectId,
    took: Duration,
    said: Said,
}

impl Played {
    fn judge(&self, state: &State, check: &mut Check) {
        let said = text::line(self.said.stderr.trim_ascii());
        if !self.said.is_success {
            return check.found(
                format!("a push fails, with or without a marker: {said}"),
                "this is git or a hook of somebody else's; look at `git config --list --show-origin` with Gitea's HOME",
            );
        }
        match self.find(state) {
            Ok(true) => {
                check.seen = format!("a real push to a throw-away repository was taken; it took {} ms", self.took.as_millis());
            }
            Ok(false) => check.found(
                match &*said {
                    "" => "a real push to a throw-away repository reached no hook: the journal knows nothing of it".to_string(),
                    said => format!("a real push to a throw-away repository is not in the journal; the pusher read: {said}"),
                },
                "mend what else is found here, then `gitea-lightstep install`",
            ),
            Err(err) => check.found(format!("whether a push was taken is not known: {err}"), "make the journal readable"),
        }
        if !said.is_empty() && check.is_well() {
            check.found(
                format!("every pusher reads this: {said}"),
                "it comes from a hook, and nobody asked for it",
            );
        }
    }

    /// Returns whether the journal knows the commit.
    fn find(&self, state: &State) -> anyhow::Result<bool> {
        let mut is_there = false;
        state.journal().read(|entry| {
            if let Record::Decision(decision) = entry.record {
                is_there |= decision.new_id == self.commit;
            }
            Ok(())
        })?;
        Ok(is_there)
    }
}

fn write_program(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("failed to write `{}`", path.display()))
}
