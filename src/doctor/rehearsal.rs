//! Pushes to a temporary repository through the installed hook, which finds problems that reading
//! the files cannot.
//!
//! The push goes to a ref that no policy is asked about ([`REHEARSAL`]). It leaves a line in the
//! journal and creates no marker.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use rustix::process::geteuid;

use super::report::Check;
use crate::{
    decide::REHEARSAL,
    install::{Git, HookCommand, ProgramOutput},
    proposal,
    push::{ObjectId, PushId},
    scratch::{BareRepo, DELEGATE, ScratchGit, ssh_variables},
    state::{State, journal::Record},
    sys::regular_file,
    text,
};

/// Maximum size of Gitea's own hook, in bytes.
const MAX_DELEGATE: u64 = 1 << 20;

/// Owner of the temporary repository.
const OWNER: &str = "gitea-lightstep";

/// The inputs of a rehearsal.
pub struct Rehearsal<'a> {
    /// The git that Gitea runs.
    pub git: &'a Git,
    /// Home directory that Gitea sets for git, if there is a Gitea.
    pub home: Option<&'a Path>,
    /// Directory of Gitea's repositories. The temporary one is created there, to be on the same
    /// file system.
    pub root: &'a Path,
    /// Repository whose post-receive hook is copied, if there is one.
    pub like: Option<&'a Path>,
    /// Command of the hook files, if hooks are installed as files.
    pub wrapper: Option<&'a HookCommand>,
}

impl Rehearsal<'_> {
    /// Pushes, and checks that the journal has a record of the push.
    pub fn check(&self, state: &State) -> Check {
        let mut check = Check::new("rehearsal");
        let home = self.home.map(|home| format!("HOME={} ", text::shell(home))).unwrap_or_default();
        let settings = format!(
            "sh -c {}",
            text::shell(Path::new(&format!(
                "{home}{} config --list --show-origin",
                text::shell(self.git.program())
            )))
        );
        match self.play() {
            Err(err) => check.found(
                format!("failed to try a push to a throw-away repository: {err:#}"),
                format!("fix that, and run `{}` again", proposal::command("doctor")),
            ),
            Ok(played) => played.judge(state, &settings, &mut check),
        }
        check
    }

    fn play(&self) -> anyhow::Result<RehearsalResult> {
        let dir = tempfile::Builder::new()
            .prefix(".gitea-lightstep-doctor-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(self.root)
            .with_context(|| format!("failed to make a directory in `{}`", self.root.display()))?;
        let git = ScratchGit::new(self.git.clone(), self.home.unwrap_or(dir.path()));
        // Without options, git copies the hooks of the template.
        let bare = BareRepo::init(&git, dir.path().join("doctor.git"), &[])?;
        let real = self.like.map(|like| like.join("hooks/post-receive"));
        let real = real.and_then(|real| regular_file::read_at_most(&real, MAX_DELEGATE).ok());
        bare.add_hook("post-receive", real.as_deref().unwrap_or(DELEGATE))?;
        self.wrapper.map_or(Ok(()), |command| bare.add_wrapper(command))?;

        let mut variables = ssh_variables(OWNER, "doctor", "doctor");
        variables.extend([
            ("GIT_AUTHOR_NAME", "gitea-lightstep doctor".into()),
            ("GIT_AUTHOR_EMAIL", "doctor@localhost".into()),
            ("GIT_COMMITTER_NAME", "gitea-lightstep doctor".into()),
            ("GIT_COMMITTER_EMAIL", "doctor@localhost".into()),
        ]);
        let tree = git.output(bare.path(), &["mktree"], &[])?;
        // A unique message makes a unique commit, so that its journal line can be identified.
        let message = format!("Rehearsal {}", PushId::now());
        let commit = git.output(bare.path(), &["commit-tree", "-m", &message, &tree], &variables)?;
        let commit: ObjectId = commit.parse().map_err(|_| anyhow!("git created no commit"))?;
        let began = Instant::now();
        let push = ["push", "--quiet", ".", &format!("{commit}:{REHEARSAL}doctor")];
        let said = git.run(bare.path(), &push, &variables)?;
        Ok(RehearsalResult { commit, took: began.elapsed(), said })
    }
}

/// The result of the push, as git reported it.
struct RehearsalResult {
    commit: ObjectId,
    took: Duration,
    said: ProgramOutput,
}

impl RehearsalResult {
    fn judge(&self, state: &State, settings: &str, check: &mut Check) {
        let said = text::line(self.said.stderr.trim_ascii());
        if !self.said.is_success {
            return check.found(
                format!("a real push to a throw-away repository fails: {said}"),
                format!(
                    "the cause is git or a hook that is not ours; `{}` shows git's settings",
                    proposal::as_user(geteuid().as_raw(), settings)
                ),
            );
        }
        match self.find(state) {
            Ok(true) => {
                check.seen = format!(
                    "a real push to a throw-away repository was handled; it took {} ms",
                    self.took.as_millis()
                );
            }
            Ok(false) => check.found(
                match &*said {
                    "" => "a real push to a throw-away repository reached no hook: it is not in the journal"
                        .to_string(),
                    said => format!(
                        "a real push to a throw-away repository is not in the journal; the pusher saw: \
                         {said}"
                    ),
                },
                format!("fix the other findings, then run `{}`", proposal::command("install")),
            ),
            Err(err) => check.found(
                format!("failed to look for the push in the journal: {err}"),
                "make the journal readable",
            ),
        }
        if !said.is_empty() && check.is_well() {
            check
                .found(format!("every pusher sees this: {said}"), "a hook prints it; find and fix that hook");
        }
    }

    /// Returns true if the journal contains the commit.
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
