//! State directories for the crash tests, which share one read-only repository. No test runs
//! `git push` here: the hook gets its standard input from a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use fastrand::Rng;
use tempfile::TempDir;

use super::{
    BINARY, Sandbox,
    backend::{Backend, Key, Say, key},
    cut::{Log, Recorded, Tree},
    wait_until,
};

const ZERO: &str = "0000000000000000000000000000000000000000";

/// The shared repository, and the parent directory of all state directories. The parent is in
/// memory if the machine has `/dev/shm`, because each schedule waits for fsync many times.
pub struct Ground {
    pub sandbox: Sandbox,
    /// Commits, oldest first.
    commits: Vec<String>,
    /// An annotated tag of the last commit.
    tag: String,
    spools: TempDir,
}

/// A push: the input of the hook, and the markers that the built-in policy makes from it.
#[derive(Clone, Debug)]
pub struct Push {
    pub pusher: String,
    pub stdin: String,
    pub deploy: Option<&'static str>,
    pub markers: BTreeSet<Key>,
    /// The refs that the push would deploy, each with its commit.
    pub deployed: Vec<(String, String)>,
}

/// The result of a process.
#[must_use]
#[derive(Debug)]
pub struct Ended {
    /// Exit status, `None` if the process was killed.
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

    /// Returns a push to the default branch with a version tag and a deployment.
    pub fn typical(&self, nth: usize) -> Push {
        let mut push = Push::by(nth, Some("prod"));
        push.update(&self.commits[0], &self.commits[5], &self.commits[5], "refs/heads/main");
        push.update(ZERO, &self.tag, &self.commits[5], &format!("refs/tags/v1.{nth}.0"));
        push
    }

    /// Returns a push that deploys two services, one by the branch and one by the tag that names it.
    pub fn of_two_services(&self, nth: usize) -> Push {
        let mut push = Push::by(nth, None);
        push.update(&self.commits[0], &self.commits[5], &self.commits[5], "refs/heads/main");
        push.update(ZERO, &self.tag, &self.commits[5], "refs/tags/checkout/v1.0.0");
        push.deploy = Some("prod");
        for short in ["main", "checkout/v1.0.0"] {
            push.markers.insert(key(&push.pusher, "deployment", "prod", short, &self.commits[5]));
        }
        push
    }

    /// Returns a push to the default branch: one marker and no deployment.
    pub fn plain(&self, nth: usize) -> Push {
        let mut push = Push::by(nth, None);
        push.update(&self.commits[0], &self.commits[1], &self.commits[1], "refs/heads/main");
        push
    }

    /// Returns a push that moves the default branch by one commit and makes a version tag. Unlike the
    /// others, it also changes the refs.
    pub fn landed(&self, nth: usize) -> Push {
        let mut push = Push::by(nth, None);
        let (old, new) = (&self.commits[nth], &self.commits[nth + 1]);
        push.update(old, new, new, "refs/heads/main");
        push.update(ZERO, new, new, &format!("refs/tags/v1.{nth}.0"));
        self.set_ref("refs/heads/main", new);
        self.set_ref(&format!("refs/tags/v1.{nth}.0"), new);
        push
    }

    /// Sets the default branch to the first commit.
    pub fn begin_landing(&self) {
        self.set_ref("refs/heads/main", &self.commits[0]);
    }

    /// Makes a version tag of the first commit, as Gitea's pages do. Returns it as the push that a scan
    /// captures.
    pub fn unseen(&self, tag: &str) -> Push {
        let mut push = Push { pusher: String::new(), ..Push::by(0, None) };
        let (name, commit) = (format!("refs/tags/{tag}"), &self.commits[0]);
        push.update(ZERO, commit, commit, &name);
        self.set_ref(&name, commit);
        push
    }

    fn set_ref(&self, name: &str, id: &str) {
        self.sandbox.git_in(&self.sandbox.bare(), &["update-ref", name, id]);
    }

    /// Returns a random push. Its refs need not exist, because the hook trusts its standard input.
    pub fn any(&self, nth: usize, rng: &mut Rng) -> Push {
        let mut push =
            Push::by(nth, *rng.choice(&[None, None, Some("prod"), Some("staging")]).expect("an environment"));
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

    /// Returns a command in the sandbox's environment, without a working directory. With one, the
    /// standard library forks this large test process, which takes longer than the program runs.
    fn command(&self, program: &str) -> Command {
        let there = self.sandbox.command(program, &self.sandbox.bare());
        let mut command = Command::new(program);
        command.env_clear().envs(there.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Creates a state directory whose destination is `backend`.
    pub fn spool<'a>(&'a self, name: &str, backend: &'a Backend) -> Spool<'a> {
        let dir = self.spools.path().join(name);
        fs::create_dir(&dir).expect("a directory");
        let spool = Spool {
            ground: self,
            backend,
            dir,
            merge_at: 64,
            policy_time: "20s",
            clock: String::new(),
            records: false,
        };
        spool.configure("");
        spool
    }
}

impl Push {
    fn by(nth: usize, deploy: Option<&'static str>) -> Self {
        Self {
            pusher: format!("pusher-{nth}"),
            stdin: String::new(),
            deploy,
            markers: BTreeSet::new(),
            deployed: Vec::new(),
        }
    }

    fn update(&mut self, old: &str, new: &str, commit: &str, ref_name: &str) {
        self.stdin.push_str(&format!("{old} {new} {ref_name}\n"));
        // The markers of the built-in policy, computed independently.
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
        let Some(to) = self.deploy else { return };
        // One commit of the push is deployed, and by the best of its refs.
        self.deployed.push((short.to_string(), commit.to_string()));
        let version = |short: &str| -> Vec<u32> {
            let numbers = short.strip_prefix('v').into_iter().flat_map(|version| version.split('.'));
            numbers.filter_map(|number| number.parse().ok()).collect()
        };
        let first_of_equals = self.deployed.iter().rev();
        let best = first_of_equals.max_by_key(|(short, _)| (version(short), short == "main"));
        self.markers.retain(|key| !key.contains(" deployment "));
        if let Some((short, commit)) = best
            && self.deployed.iter().all(|(_, other)| other == commit)
        {
            self.markers.insert(key(&self.pusher, "deployment", to, short, commit));
        }
    }
}

/// A state directory with its configuration and back end.
pub struct Spool<'a> {
    ground: &'a Ground,
    pub backend: &'a Backend,
    dir: PathBuf,
    merge_at: usize,
    policy_time: &'static str,
    /// Clock of the faulty program in seconds since 1970; the real time if empty.
    clock: String,
    /// True if processes with fault points record their changes to the state.
    records: bool,
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

    /// Sets the time limit of the policy, which also extends that of the hook.
    pub fn with_policy_time(mut self, time: &'static str) -> Self {
        self.set_policy_time(time);
        self
    }

    /// Sets the policy's time limit, like [`Self::with_policy_time`].
    pub fn set_policy_time(&mut self, time: &'static str) {
        self.policy_time = time;
        self.configure("");
    }

    /// Writes the site's script, or removes it.
    pub fn set_policy(&self, script: Option<&str>) {
        let path = self.dir.join("scripts/site.rhai");
        match script {
            Some(script) => {
                fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
                fs::write(path, script).expect("the script");
            }
            None => fs::remove_file(path).expect("the script"),
        }
    }

    /// Makes processes with fault points record their changes to the state.
    pub fn recording(mut self) -> Self {
        self.records = true;
        self
    }

    /// Appends the record of the last process to `log`.
    pub fn add_to(&self, log: &mut Log) {
        let text = fs::read_to_string(self.record()).expect("the record");
        let mut steps: Vec<Recorded> =
            text.lines().map(|line| serde_json::from_str(line).expect("a step")).collect();
        // The final state comes from the disk, because the process records only what precedes a
        // step.
        let state = format!("{}/", self.state().display());
        for step in &mut steps {
            step.path = step.path.strip_prefix(&state).unwrap_or(&step.path).into();
            if Path::new(&step.path) == self.state() {
                step.path.clear();
            }
        }
        log.add(steps, tree(&self.state()));
    }

    fn record(&self) -> PathBuf {
        self.dir.join("record")
    }

    /// Sets the clock of the faulty program.
    pub fn at_clock(mut self, clock: &str) -> Self {
        self.clock = clock.into();
        self
    }

    /// Lowers the merge threshold from 64 queued files to two.
    pub fn merging(mut self) -> Self {
        self.set_merging();
        self
    }

    /// Lowers the merge threshold, like [`Self::merging`].
    pub fn set_merging(&mut self) {
        self.merge_at = 2;
        self.configure("");
    }

    /// Runs the hook with a fault and waits for it to exit.
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

    /// Writes the hook's standard input to a file. The hook never waits for a file, and a file does
    /// not cause a broken pipe when the hook dies.
    pub fn stdin(&self, push: &Push) -> PathBuf {
        let path = self.dir.join(format!("{}.stdin", push.pusher));
        fs::write(&path, &push.stdin).expect("standard input");
        path
    }

    /// Runs `deliver` with a fault and waits for it to exit.
    pub fn deliver(&self, fault: &str) -> Ended {
        self.begin_deliver(fault).end()
    }

    /// Scans all repositories, with the program that starts no delivery.
    #[track_caller]
    pub fn scan(&self) {
        let root = self.ground.sandbox.path("git").display().to_string();
        let ended = self.faulty(&["scan", "--root", &root, "--run-user", "root"], "");
        // It fails because there is no delivery, or because a snapshot is damaged.
        assert!(matches!(ended.code, Some(0 | 1)) && !ended.stdout.is_empty(), "{ended:?}");
    }

    /// Starts `deliver` with a fault.
    pub fn begin_deliver(&self, fault: &str) -> Running {
        let mut command = self.ground.command(&faulty());
        command.arg("deliver").arg("--config").arg(self.config()).stdin(Stdio::null());
        self.begin(&mut command, fault)
    }

    /// Runs any subcommand with a fault and waits for it to exit.
    pub fn faulty(&self, args: &[&str], fault: &str) -> Ended {
        let mut command = self.ground.command(&faulty());
        command.args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        self.begin(&mut command, fault).end()
    }

    /// Runs a subcommand of the real program, without a fault.
    pub fn healthy(&self, args: &[&str]) -> Ended {
        let mut command = self.ground.command(BINARY);
        command.args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        self.begin(&mut command, "").end()
    }

    /// Runs a subcommand of the real program, and kills it after `seconds`; it then has no exit
    /// status.
    pub fn healthy_within(&self, seconds: u32, args: &[&str]) -> Ended {
        let mut command = self.ground.command("timeout");
        command
            .args(["-s", "KILL", &seconds.to_string(), BINARY])
            .args(args)
            .arg("--config")
            .arg(self.config());
        self.begin(command.stdin(Stdio::null()), "").end()
    }

    pub fn begin(&self, command: &mut Command, fault: &str) -> Running {
        let _ = fs::remove_file(self.report());
        let _ = fs::remove_file(self.trace());
        let _ = fs::remove_file(self.record());
        if self.records {
            command
                .env("GITEA_LIGHTSTEP_FAULT_RECORD", self.record())
                .env("GITEA_LIGHTSTEP_FAULT_RECORD_OF", self.state());
        }
        command
            .env("GITEA_LIGHTSTEP_FAULT", fault)
            .env("GITEA_LIGHTSTEP_FAULT_REPORT", self.report())
            .env("GITEA_LIGHTSTEP_FAULT_TRACE", self.trace())
            .env("GITEA_LIGHTSTEP_FAULT_CLOCK", &self.clock)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let is_hook = command.get_args().next().is_some_and(|arg| arg == "hook");
        Running(command.spawn().expect("start the program"), (!is_hook).then(|| self.config()))
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// Returns the directory that contains the state, the configuration and other files of the
    /// test.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn report(&self) -> PathBuf {
        self.dir.join("report")
    }

    /// Returns the step at which the last fault occurred, `None` if the process exited before it.
    pub fn struck(&self) -> Option<String> {
        fs::read_to_string(self.report()).ok()
    }

    fn trace(&self) -> PathBuf {
        self.dir.join("trace")
    }

    /// Returns the steps of the last process with fault points: the operation, and its path
    /// relative to the state.
    pub fn steps(&self) -> Vec<(String, String)> {
        let state = format!("{}/", self.state().display());
        let trace = fs::read_to_string(self.trace()).unwrap_or_default();
        let steps = trace.lines().filter_map(|line| line.split_once(' '));
        steps.map(|(step, path)| (step.into(), path.strip_prefix(&state).unwrap_or(path).into())).collect()
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Returns the files in a directory of the state by name, without hidden files.
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

    /// Returns the files in a directory of the state as bytes, for content that is not UTF-8.
    pub fn bytes(&self, dir: &str) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = fs::read_dir(self.state().join(dir)) else { return Vec::new() };
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let named = paths.map(|path| {
            let name = path.file_name().expect("a name").to_str().expect("text").to_string();
            (name, fs::read(&path).expect("a file"))
        });
        named.filter(|(name, _)| !name.starts_with('.')).collect()
    }

    /// Describes the state like [`Self::described`], for files that are not UTF-8.
    pub fn told_bytes(&self) -> String {
        let mut described = String::new();
        for dir in ["inbox", OUTBOX, "dead", "journal"] {
            for (name, content) in self.bytes(dir) {
                described.push_str(&format!("== {dir}/{name}\n{}\n", String::from_utf8_lossy(&content)));
            }
        }
        described
    }

    /// Returns the hidden files under the state directory.
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
                    let name = path.strip_prefix(self.state()).expect("a path below the directory");
                    hidden.push(name.to_str().expect("text").to_string());
                }
            }
        }
        hidden.sort();
        hidden
    }

    /// Returns true if the last hook accepted its push, which means that the capture got its final
    /// name. The fault report is needed because a capture may have been removed too early.
    pub fn has_accepted(&self, push: &Push) -> bool {
        self.struck().is_none_or(|struck| struck.ends_with("\naccepted")) || self.holds(push)
    }

    /// Returns true if the state contains anything of a push.
    pub fn holds(&self, push: &Push) -> bool {
        let said = format!("\"{}\"", push.pusher);
        ["inbox", "failed", OUTBOX, "dead"]
            .iter()
            .any(|dir| self.files(dir).values().any(|file| file.contains(&said)))
    }

    /// Delivers everything to a back end that accepts all requests.
    #[track_caller]
    pub fn drain(&self) {
        self.backend.say([]);
        let ended = self.healthy(&["deliver"]);
        assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
        for dir in ["inbox", "failed"] {
            assert_eq!(self.files(dir), BTreeMap::new(), "captures are left: {ended:?}\n{}", self.describe());
        }
        assert_eq!(self.files(OUTBOX), BTreeMap::new(), "markers are left: {ended:?}\n{}", self.describe());
    }

    /// Calls [`Self::drain`] and then [`Self::holds_its_promise`].
    #[track_caller]
    pub fn holds_after_drain(&self, accepted: &[Push]) {
        self.drain();
        self.holds_its_promise(accepted);
    }

    /// Asserts that every marker of the accepted pushes arrived under one ID, or is a dead letter
    /// because the back end rejected it permanently, and that nothing else arrived.
    #[track_caller]
    pub fn holds_its_promise(&self, accepted: &[Push]) {
        self.holds_its_promise_beside(accepted, &[]);
    }

    /// Asserts the same, but allows the markers of `dropped` pushes to be missing.
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
                let Some(ids) = ids.get(key) else { panic!("lost: {key}\n{}", self.describe()) };
                assert_eq!(ids.len(), 1, "{key} arrived under several IDs\n{}", self.describe());
                let id = ids.first().expect("an id");
                let has_arrived = logs.contains(id) && (!key.contains(" deployment ") || traces.contains(id));
                let is_dead = letters.contains(id.as_str());
                let is_refused = is_dead && refused.contains(id);
                assert!(
                    has_arrived || is_refused,
                    "neither delivered nor refused: {key}\n{}",
                    self.describe()
                );
            }
        }
        let made: BTreeSet<_> = accepted.iter().chain(dropped).flat_map(|push| &push.markers).collect();
        for key in ids.keys() {
            assert!(made.contains(key), "no push made {key}\n{}", self.describe());
        }
    }

    /// Asserts that the journal's hash chain is whole.
    #[track_caller]
    pub fn verifies(&self) {
        let ended = self.healthy(&["log", "--verify"]);
        assert_eq!(ended.code, Some(0), "{ended:?}\n{}", self.describe());
    }

    /// Returns the number of journal lines that are not valid JSON.
    pub fn torn_lines(&self) -> usize {
        let files = self.files("journal");
        files.values().flat_map(|text| text.lines()).filter(|line| !is_whole(line)).count()
    }

    /// Returns the number of journal lines that are valid JSON.
    pub fn whole_lines(&self) -> usize {
        let files = self.files("journal");
        files.values().flat_map(|text| text.lines()).filter(|line| is_whole(line)).count()
    }

    /// Describes the state and the requests, for failure messages.
    pub fn describe(&self) -> String {
        let mut described = String::new();
        for dir in ["inbox", "failed", OUTBOX, "dead", "journal"] {
            for (name, text) in self.files(dir) {
                described.push_str(&format!("== {dir}/{name}\n{text}\n"));
            }
        }
        for heard in self.backend.heard() {
            described.push_str(&format!("== request: {heard:?}\n"));
        }
        described
    }

    /// Removes the directory. The directory of a failed test stays until its [`Ground`] is dropped.
    pub fn clear(self) {
        fs::remove_dir_all(&self.dir).expect("remove the directory");
    }
}

/// Returns the tree below a directory, in the form that the faulty program records.
fn tree(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        for path in fs::read_dir(next).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            let inode = path.symlink_metadata().expect("a file").ino();
            let name = path
                .strip_prefix(dir)
                .expect("a path below the directory")
                .to_str()
                .expect("text")
                .to_string();
            let digits = |content: Vec<u8>| content.iter().map(|byte| format!("{byte:02x}")).collect();
            let content = (!path.is_dir()).then(|| digits(fs::read(&path).expect("a file")));
            if path.is_dir() {
                dirs.push(path);
            }
            tree.insert(name, (inode, content));
        }
    }
    tree
}

/// Returns a state file in format 1. It had no checksums, and a marker's push and source were among
/// its attributes.
pub fn unsealed(text: &str) -> String {
    let seal = regex_lite::Regex::new(r#","(stdin_)?crc32":"[0-9a-f]{8}""#).expect("an expression");
    let format = regex_lite::Regex::new(r#""format":[23]"#).expect("an expression");
    let text = seal.replace_all(text, "");
    let text = format.replace_all(&text, "\"format\":1");
    text.split('\n')
        .map(|line| old_marker(line).unwrap_or_else(|| line.into()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns a line in the form from before markers had `push` and `source`, if it is a marker.
fn old_marker(line: &str) -> Option<String> {
    let mut marker: serde_json::Value = serde_json::from_str(line).ok()?;
    let (id, fields) = (marker["id"].clone(), marker.as_object_mut()?);
    let (push, source) = (fields.remove("push")?, fields.remove("source")?);
    let attributes = fields.get_mut("attributes")?.as_object_mut()?;
    attributes.insert("gitea_lightstep.marker.id".into(), id);
    attributes.insert("gitea_lightstep.push.id".into(), push);
    for (field, name) in [
        ("owner", "vcs.owner.name"),
        ("repository", "vcs.repository.name"),
        ("repository_url", "vcs.repository.url.full"),
        ("ref_name", "vcs.ref.head.name"),
        ("commit", "vcs.ref.head.revision"),
        ("pusher", "user.name"),
    ] {
        if let Some(text) = source.get(field) {
            attributes.insert(name.into(), text.clone());
        }
    }
    Some(marker.to_string())
}

/// Directory of the queued markers for the only destination.
pub const OUTBOX: &str = "outbox/collector/new";

/// A running process, and the configuration that its deciders use.
pub struct Running(Child, Option<PathBuf>);

impl Running {
    /// Kills the process.
    pub fn kill(mut self) {
        self.0.kill().expect("kill the process");
        self.0.wait().expect("wait for the process");
        if let Some(config) = self.1 {
            wait_until("the processes that it started end too", || !is_deciding(&config));
        }
    }

    pub fn end(self) -> Ended {
        let Output { status, stdout, stderr } = self.0.wait_with_output().expect("wait for the program");
        if let Some(config) = self.1.filter(|_| status.code().is_none()) {
            wait_until("the processes that it started end too", || !is_deciding(&config));
        }
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// Returns true if a decider with this configuration is running.
fn is_deciding(config: &Path) -> bool {
    let config = config.to_str().expect("text");
    fs::read_dir("/proc").expect("the processes").flatten().any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("--decide") && line.contains(config)
    })
}

impl Ended {
    pub fn is_killed(&self) -> bool {
        self.code.is_none()
    }

    /// Asserts what holds for every hook: it does not fail the push, prints nothing to stdout, and
    /// prints at most one line to stderr. This holds for a killed hook too.
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

/// Returns the path of the faulty program, which cargo builds as an example.
pub fn faulty() -> String {
    let path = Path::new(BINARY).with_file_name("examples").join("faulty");
    assert!(path.exists(), "{} is missing: cargo build --example faulty", path.display());
    path.display().to_string()
}
