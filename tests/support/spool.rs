//! What a crash is tried on: a repository that is only read, and as many state directories as wanted.
//! No `git push` is run for them: the hook is handed its standard input.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use fastrand::Rng;
use tempfile::TempDir;

use super::{
    BINARY, Sandbox,
    backend::{Backend, Key, Say, key},
};

const ZERO: &str = "0000000000000000000000000000000000000000";

/// The repository, and the place for state directories: in memory if the machine has such a place,
/// because a schedule waits for the disk many times.
pub struct Ground {
    sandbox: Sandbox,
    /// Commits, oldest first.
    commits: Vec<String>,
    /// An annotated tag of the last commit.
    tag: String,
    spools: TempDir,
}

/// A push: what the hook is handed, and which markers the built-in policy makes of it.
#[derive(Clone, Debug)]
pub struct Push {
    pub pusher: String,
    pub stdin: String,
    pub deploy: Option<&'static str>,
    pub markers: BTreeSet<Key>,
}

/// How a process ended.
#[must_use]
#[derive(Debug)]
pub struct Ended {
    /// `None` if it was killed.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ground {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let commits: Vec<_> = (0..6)
            .map(|nth| sandbox.commit(&format!("Commit {nth}"), &[("file", &nth.to_string())]))
            .collect();
        sandbox.git(&["tag", "-a", "-m", "A tag", "annotated"]);
        let tag = sandbox.git(&["rev-parse", "annotated"]);
        let clone = sandbox.path("clone").display().to_string();
        sandbox
            .git_in(&sandbox.bare(), &["fetch", "-q", &clone, "main:main", "annotated:refs/tags/annotated"]);
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let spools = tempfile::Builder::new().prefix("gitea-lightstep-test-").tempdir_in(dir);
        Self { sandbox, commits, tag, spools: spools.expect("a directory") }
    }

    /// Returns a push like most: the default branch, a version tag and a deployment.
    pub fn typical(&self, nth: usize) -> Push {
        let mut push = Push::by(nth, Some("prod"));
        push.update(&self.commits[0], &self.commits[1], &self.commits[1], "refs/heads/main");
        push.update(ZERO, &self.tag, &self.commits[5], &format!("refs/tags/v1.{nth}.0"));
        push
    }

    /// Returns any push; its refs need not be there, for the hook believes its standard input.
    pub fn any(&self, nth: usize, rng: &mut Rng) -> Push {
        let mut push = Push::by(nth, *rng.choice(&[None, None, Some("prod"), Some("staging")]).expect("one"));
        for update in 0..rng.usize(1..=5) {
            let old = if rng.bool() { ZERO } else { &self.commits[rng.usize(..self.commits.len())] };
            let commit = &self.commits[rng.usize(..self.commits.len())];
            match rng.u8(..8) {
                0 => push.update(old, ZERO, ZERO, &format!("refs/heads/gone-{update}")),
                1 => push.update(old, commit, commit, &format!("refs/notes/n{update}")),
                2 => push.update(ZERO, &self.tag, &self.commits[5], &format!("refs/tags/v2.{update}.0")),
                3 | 4 => push.update(old, commit, commit, &format!("refs/tags/v3.{update}.0")),
                5 | 6 => push.update(old, commit, commit, &format!("refs/heads/topic-{update}")),
                _ if push.stdin.contains("refs/heads/main\n") => {}
                _ => push.update(old, commit, commit, "refs/heads/main"),
            }
        }
        push
    }

    /// Returns a command in the sandbox's environment. It has no directory of its own: given one, the standard
    /// library would copy this process to start it, which takes longer than all that the program does.
    fn command(&self, program: &str) -> Command {
        let there = self.sandbox.command(program, &self.sandbox.bare());
        let mut command = Command::new(program);
        command.env_clear().envs(there.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Makes a state directory that delivers to `backend`.
    pub fn spool<'a>(&'a self, name: &str, backend: &'a Backend) -> Spool<'a> {
        let dir = self.spools.path().join(name);
        fs::create_dir(&dir).expect("a directory");
        let spool = Spool { ground: self, backend, dir, merge_at: 64, policy_time: "20s" };
        spool.configure("");
        spool
    }
}

impl Push {
    fn by(nth: usize, deploy: Option<&'static str>) -> Self {
        Self { pusher: format!("pusher-{nth}"), stdin: String::new(), deploy, markers: BTreeSet::new() }
    }

    fn update(&mut self, old: &str, new: &str, commit: &str, ref_name: &str) {
        self.stdin.push_str(&format!("{old} {new} {ref_name}\n"));
        // What the built-in policy says, in other words.
        let (kind, short) = if let Some(tag) = ref_name.strip_prefix("refs/tags/") {
            (Some("release"), tag)
        } else if let Some(branch) = ref_name.strip_prefix("refs/heads/") {
            ((branch == "main").then_some("change"), branch)
        } else {
            return;
        };
        if new == ZERO {
            return;
        }
        self.markers.extend(kind.map(|kind| key(&self.pusher, kind, "", short, commit)));
        self.markers.extend(self.deploy.map(|to| key(&self.pusher, "deployment", to, short, commit)));
    }
}

/// One state directory, with its configuration and its back end.
pub struct Spool<'a> {
    ground: &'a Ground,
    pub backend: &'a Backend,
    dir: PathBuf,
    merge_at: usize,
    policy_time: &'static str,
}

impl Spool<'_> {
    /// Writes the configuration, with `more` in `[delivery]`.
    pub fn configure(&self, more: &str) {
        let text = format!(
            "state_dir = \"state\"\n[reply]\nto_pusher = \"nothing\"\n[policy.limits]\ntime = \"{}\"\n\
             [[destination]]\nname = \"collector\"\nkind = \"otlp\"\nendpoint = \"{}\"\ncompression = \"none\"\n\
             [delivery]\n{more}\n[spool]\nmerge_at = {}\n",
            self.policy_time,
            self.backend.endpoint(),
            self.merge_at
        );
        fs::write(self.config(), text).expect("the configuration");
    }

    /// Gives the policy of a push so long, and its hook as much more.
    pub fn with_policy_time(mut self, time: &'static str) -> Self {
        self.policy_time = time;
        self.configure("");
        self
    }

    /// Has two files that wait become one, as otherwise many do.
    pub fn merging(mut self) -> Self {
        self.merge_at = 2;
        self.configure("");
        self
    }

    /// Runs the hook with a fault, to its end.
    pub fn hook(&self, push: &Push, fault: &str) -> Ended {
        self.begin_hook(push, fault).end()
    }

    /// Starts the hook with a fault.
    pub fn begin_hook(&self, push: &Push, fault: &str) -> Running {
        let mut command = self.ground.command(&faulty());
        command
            .arg("hook")
            .arg("--config")
            .arg(self.config())
            .env("GIT_DIR", self.ground.sandbox.bare())
            .env("GITEA_PUSHER_NAME", &push.pusher);
        if let Some(to) = push.deploy {
            command.env("GIT_PUSH_OPTION_COUNT", "1").env("GIT_PUSH_OPTION_0", format!("deploy={to}"));
        }
        command.stdin(fs::File::open(self.stdin(push)).expect("standard input"));
        self.begin(&mut command, fault)
    }

    /// Writes what the hook is handed. A file does not make it wait for whoever writes, and there is no pipe to
    /// break when it dies.
    fn stdin(&self, push: &Push) -> PathBuf {
        let path = self.dir.join(format!("{}.stdin", push.pusher));
        fs::write(&path, &push.stdin).expect("standard input");
        path
    }

    /// Runs a shell script that may mount what it likes on the state directory, with the standard inputs of
    /// `pushes` beside it; `None` if this user may not mount. It gets the program that starts no other, the
    /// configuration, the directory and `arg`.
    pub fn with_own_mounts(&self, script: &str, pushes: &[Push], arg: &str) -> Option<Ended> {
        let is_root = rustix::process::geteuid().is_root();
        let flags = if is_root { "-m" } else { "-rm" };
        let unshare = || self.ground.sandbox.command("unshare", &self.ground.sandbox.bare());
        let may = self.begin(unshare().args([flags, "true"]), "").end().code == Some(0);
        if !may && !is_root {
            return None;
        }
        pushes.iter().for_each(|push| drop(self.stdin(push)));
        fs::create_dir(self.state()).expect("a directory");
        let mut command = unshare();
        command.args([flags, "sh", "-ec", script, &faulty()]).arg(self.config()).arg(&self.dir).arg(arg);
        command.env("GIT_DIR", ".").env("GIT_PUSH_OPTION_COUNT", "1").env("GIT_PUSH_OPTION_0", "deploy=prod");
        Some(self.begin(&mut command, "").end())
    }

    /// Runs `deliver` with a fault, to its end.
    pub fn deliver(&self, fault: &str) -> Ended {
        self.begin_deliver(fault).end()
    }

    /// Starts `deliver` with a fault.
    pub fn begin_deliver(&self, fault: &str) -> Running {
        let mut command = self.ground.command(&faulty());
        command.arg("deliver").arg("--config").arg(self.config()).stdin(Stdio::null());
        self.begin(&mut command, fault)
    }

    /// Runs any command with a fault, to its end.
    pub fn faulty(&self, args: &[&str], fault: &str) -> Ended {
        let mut command = self.ground.command(&faulty());
        command.args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        self.begin(&mut command, fault).end()
    }

    /// Runs a command of the program itself, without any fault.
    pub fn healthy(&self, args: &[&str]) -> Ended {
        let mut command = self.ground.command(BINARY);
        command.args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        self.begin(&mut command, "").end()
    }

    fn begin(&self, command: &mut Command, fault: &str) -> Running {
        let _ = fs::remove_file(self.report());
        command
            .env("GITEA_LIGHTSTEP_FAULT", fault)
            .env("GITEA_LIGHTSTEP_FAULT_REPORT", self.report())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running(command.spawn().expect("the program starts"))
    }

    fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// Returns the directory that holds the state, the configuration, and what else a test needs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn report(&self) -> PathBuf {
        self.dir.join("report")
    }

    /// Returns the step at which the last fault struck, `None` if the process ended before it.
    pub fn struck(&self) -> Option<String> {
        fs::read_to_string(self.report()).ok()
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Returns the files of a directory of the state with their content, without those that begin with a dot.
    pub fn files(&self, dir: &str) -> BTreeMap<String, String> {
        let Ok(entries) = fs::read_dir(self.state().join(dir)) else { return BTreeMap::new() };
        let mut files = BTreeMap::new();
        for entry in entries {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_str().expect("text").to_string();
            if !name.starts_with('.') {
                files.insert(name, fs::read_to_string(&path).expect("a file"));
            }
        }
        files
    }

    /// Returns the files under the state directory that nobody lists.
    pub fn hidden(&self) -> Vec<String> {
        let mut hidden = Vec::new();
        let mut dirs = vec![self.state()];
        while let Some(dir) = dirs.pop() {
            for path in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
                let is_hidden =
                    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if path.is_dir() {
                    dirs.push(path);
                } else if is_hidden {
                    let name = path.strip_prefix(self.state()).expect("below");
                    hidden.push(name.to_str().expect("text").to_string());
                }
            }
        }
        hidden.sort();
        hidden
    }

    /// Returns whether the hook that ended last had accepted its push: the capture has its name. What the
    /// state holds is no measure of that alone, for a capture may have gone too early.
    pub fn has_accepted(&self, push: &Push) -> bool {
        self.struck().is_none_or(|struck| struck.ends_with("\naccepted")) || self.holds(push)
    }

    /// Returns whether the state holds anything of a push.
    pub fn holds(&self, push: &Push) -> bool {
        let said = format!("\"{}\"", push.pusher);
        ["inbox", OUTBOX, "dead"].iter().any(|dir| self.files(dir).values().any(|file| file.contains(&said)))
    }

    /// Delivers everything, with nothing in the way any more.
    #[track_caller]
    pub fn drain(&self) {
        self.backend.say([]);
        let ended = self.healthy(&["deliver"]);
        assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
        assert_eq!(self.files("inbox"), BTreeMap::new(), "captures stay: {ended:?}\n{}", self.told());
        assert_eq!(self.files(OUTBOX), BTreeMap::new(), "markers stay: {ended:?}\n{}", self.told());
    }

    /// Drains, and asserts what [`Self::holds_its_promise`] does.
    #[track_caller]
    pub fn holds_after_drain(&self, accepted: &[Push]) {
        self.drain();
        self.holds_its_promise(accepted);
    }

    /// Asserts that every marker of the accepted pushes has arrived under one id, or is a dead letter because
    /// the back end refused it for good, and that nothing else has.
    #[track_caller]
    pub fn holds_its_promise(&self, accepted: &[Push]) {
        self.holds_its_promise_beside(accepted, &[]);
    }

    /// Asserts the same, but nothing of what a person `dropped`: some of it may have arrived before.
    #[track_caller]
    pub fn holds_its_promise_beside(&self, accepted: &[Push], dropped: &[Push]) {
        let ids = self.backend.ids();
        let taken = [Say::Yes, Say::YesButOne];
        let (logs, traces) = (self.backend.ids_told(false, &taken), self.backend.ids_told(true, &taken));
        let refused: BTreeSet<_> = [false, true]
            .into_iter()
            .flat_map(|is_traces| self.backend.ids_told(is_traces, &[Say::Never]))
            .collect();
        let letters: String = self
            .files("dead")
            .into_iter()
            .filter(|(name, _)| !name.ends_with(".why.json"))
            .map(|f| f.1)
            .collect();
        for push in accepted {
            for key in &push.markers {
                let Some(ids) = ids.get(key) else { panic!("lost: {key}\n{}", self.told()) };
                assert_eq!(ids.len(), 1, "{key} came under several ids\n{}", self.told());
                let id = ids.first().expect("one");
                let has_arrived = logs.contains(id) && (!key.contains(" deployment ") || traces.contains(id));
                let is_dead = letters.contains(id.as_str());
                let is_refused = is_dead && refused.contains(id);
                assert!(has_arrived || is_refused, "neither arrived nor refused: {key}\n{}", self.told());
            }
        }
        let made: BTreeSet<_> = accepted.iter().chain(dropped).flat_map(|push| &push.markers).collect();
        for key in ids.keys() {
            assert!(made.contains(key), "nobody made {key}\n{}", self.told());
        }
    }

    /// Returns how many lines of the journal cannot be read.
    pub fn torn_lines(&self) -> usize {
        let files = self.files("journal");
        files.values().flat_map(|text| text.lines()).filter(|line| !is_whole(line)).count()
    }

    /// Returns how many lines of the journal can be read.
    pub fn whole_lines(&self) -> usize {
        let files = self.files("journal");
        files.values().flat_map(|text| text.lines()).filter(|line| is_whole(line)).count()
    }

    /// Returns everything that helps to understand a failure.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for dir in ["inbox", OUTBOX, "dead", "journal"] {
            for (name, text) in self.files(dir) {
                told.push_str(&format!("== {dir}/{name}\n{text}\n"));
            }
        }
        for heard in self.backend.heard() {
            told.push_str(&format!("== request: {heard:?}\n"));
        }
        told
    }

    /// Removes the directory; a spool that a test fails with is kept for as long as the ground.
    pub fn clear(self) {
        fs::remove_dir_all(&self.dir).expect("the directory goes");
    }
}

/// Where the markers for the one destination lie.
pub const OUTBOX: &str = "outbox/collector/new";

/// A process that runs.
pub struct Running(Child);

impl Running {
    pub fn end(self) -> Ended {
        let Output { status, stdout, stderr } = self.0.wait_with_output().expect("the program ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Ended {
    pub fn is_killed(&self) -> bool {
        self.code.is_none()
    }

    /// Asserts what holds for every hook: it does not fail the push, says nothing on stdout, and at most one
    /// line, which is ours. One that was killed has said nothing either.
    #[track_caller]
    pub fn was_a_good_hook(&self) {
        assert!(matches!(self.code, Some(0) | None), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.lines().count() <= 1, "{self:?}");
        assert!(self.stderr.lines().all(|line| line.starts_with("gitea-lightstep: ")), "{self:?}");
        assert!(!self.stderr.contains("panic"), "{self:?}");
    }

    /// Asserts what holds for every `deliver`.
    #[track_caller]
    pub fn was_a_good_delivery(&self) {
        assert!(matches!(self.code, Some(0 | 1) | None), "{self:?}");
        assert!(!self.stderr.contains("panic"), "{self:?}");
    }
}

fn is_whole(line: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(line).is_ok()
}

/// The program with a fault in it, which cargo puts beside the program.
pub fn faulty() -> String {
    let path = Path::new(BINARY).with_file_name("examples").join("faulty");
    assert!(path.exists(), "{} is missing: cargo build --example faulty", path.display());
    path.display().to_string()
}
