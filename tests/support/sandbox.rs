//! A temporary directory for one test: a bare repository laid out like Gitea's, a clone to push
//! from, a configuration, and an environment that inherits only `PATH` from the machine.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_gitea-lightstep");

/// The delegate script that runs the files of `post-receive.d`, as Gitea's does.
const DELEGATE: &str = include_str!("../../src/scratch/delegate.sh");

/// Maximum time to wait for a condition that must become true.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Sandbox {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// Returns this process's `PATH`, with the binary under test in it as after an installation.
fn search_path() -> OsString {
    let path = std::env::var_os("PATH").expect("PATH");
    let beside = Path::new(BINARY).parent().expect("a directory").to_path_buf();
    std::env::join_paths([beside].into_iter().chain(std::env::split_paths(&path)))
        .expect("no colon in a directory")
}

/// The result of a finished command.
#[derive(Debug)]
#[must_use = "assert what it printed or how it ended"]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Sandbox {
    /// Creates a sandbox with a SHA-1 repository.
    pub fn new() -> Self {
        Self::with_object_format("sha1")
    }

    /// Creates a sandbox whose repository uses the given object format.
    pub fn with_object_format(format: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("gitea-lightstep-test-").tempdir().expect("a directory");
        let sandbox = Self { dir, env: gitea_environment() };
        for dir in ["home", "tmp", "git/acme"] {
            fs::create_dir_all(sandbox.path(dir)).expect("a directory");
        }
        let format = format!("--object-format={format}");
        sandbox.git_in(&sandbox.path(""), &["init", "-q", "--bare", &format, "git/acme/shop.git"]);
        sandbox.git_in(&sandbox.bare(), &["config", "receive.advertisePushOptions", "true"]);
        // The first branch of an empty repository is its default branch. The tests are about others.
        let tree = sandbox.git_in(&sandbox.bare(), &["mktree"]);
        let root = sandbox.git_in(&sandbox.bare(), &["commit-tree", "-m", "Older", &tree]);
        sandbox.git_in(&sandbox.bare(), &["update-ref", "refs/heads/older", &root]);
        sandbox.git_in(&sandbox.path(""), &["init", "-q", &format, "clone"]);
        sandbox.git(&["remote", "add", "origin", &sandbox.bare().display().to_string()]);
        sandbox.executable("git/acme/shop.git/hooks/post-receive", DELEGATE);
        let wrapper = fs::read_to_string(manifest_dir().join("hooks/gitea-lightstep")).expect("the wrapper");
        let wrapper =
            wrapper.replace("bin=/usr/local/bin/gitea-lightstep", &format!("bin={BINARY}")).replace(
                "config=/etc/gitea-lightstep/config.toml",
                &format!("config={}", sandbox.path("config.toml").display()),
            );
        sandbox.executable("git/acme/shop.git/hooks/post-receive.d/gitea-lightstep", &wrapper);
        sandbox.configure("");
        sandbox
    }

    /// Returns the path of `name` in the sandbox.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the path of the bare repository.
    pub fn bare(&self) -> PathBuf {
        self.path("git/acme/shop.git")
    }

    /// Removes the branch that the bare repository has from the start.
    pub fn make_empty(&self) {
        self.git_in(&self.bare(), &["update-ref", "-d", "refs/heads/older"]);
    }

    /// Moves the bare repository, as Gitea does for a rename. [`Self::bare`] is its old path.
    pub fn rename(&self, name: &str) {
        let to = self.path(name);
        fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
        fs::rename(self.bare(), &to).expect("renamed");
        self.git(&["remote", "set-url", "origin", &to.display().to_string()]);
    }

    /// Returns the path of the state directory.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Sets an environment variable for git, the hook and the other commands.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(there, _)| there != name);
        self.env.push((name.into(), value.into()));
    }

    /// Removes every environment variable whose name starts with `prefix`.
    pub fn unset(&mut self, prefix: &str) {
        self.env.retain(|(name, _)| !name.starts_with(prefix));
    }

    /// Writes the configuration: the state directory, limits for slow machines, then `more`.
    pub fn configure(&self, more: &str) {
        let mut text = String::from("state_dir = \"state\"\n");
        if !more.contains("[policy.limits]") {
            text.push_str("[policy.limits]\ntime = \"20s\"\n");
        }
        if !more.contains("[delivery]") {
            text.push_str("[delivery]\nlinger = \"1s\"\n");
        }
        fs::write(self.path("config.toml"), text + more).expect("the configuration");
    }

    /// Writes the configuration like [`Self::configure`], with top-level keys before it.
    pub fn configure_first(&self, top_level: &str, more: &str) {
        self.configure(more);
        let text = fs::read_to_string(self.path("config.toml")).expect("the configuration");
        fs::write(self.path("config.toml"), format!("{top_level}\n{text}")).expect("the configuration");
    }

    /// Configures one OTLP destination, followed by `more`.
    pub fn deliver_to(&self, endpoint: &str, more: &str) {
        self.configure(&format!(
            "[[destination]]\nname = \"collector\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n{more}"
        ));
    }

    /// Writes a file and creates its parent directories.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Writes a file with mode 0600, which files with secrets must have.
    pub fn write_secret(&self, name: &str, content: impl AsRef<[u8]>) {
        self.write(name, content);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).expect("permissions");
    }

    /// Creates a directory, gives it to another user (which needs root), and writes a
    /// configuration.
    pub fn hand_over(&self, name: &str, user: u32) -> u32 {
        fs::create_dir_all(self.path(name)).expect("a directory");
        std::os::unix::fs::chown(self.path(name), Some(user), None).expect("change the owner");
        self.configure("");
        user
    }

    /// Writes an executable file.
    pub fn executable(&self, name: &str, content: &str) {
        self.write(name, content);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    /// Runs git in the clone and returns its output without the last newline. Panics if git fails.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.path("clone"), args)
    }

    /// Runs git in a directory, like [`Self::git`].
    #[track_caller]
    pub fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let ran = self.run(self.git_command(dir).args(args), b"");
        assert_eq!(ran.code, Some(0), "git {args:?}\n{}", ran.stderr);
        ran.stdout.trim_end().to_string()
    }

    /// Commits these files and returns the commit ID.
    #[track_caller]
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            self.write(&format!("clone/{name}"), content);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes from the clone to the bare repository.
    pub fn push(&self, args: &[&str]) -> Ran {
        self.run(self.git_command(&self.path("clone")).arg("push").arg("origin").args(args), b"")
    }

    /// Runs the hook like git does, with the updates on standard input.
    pub fn hook(&self, stdin: &[u8]) -> Ran {
        self.hook_with(&["--config", &self.path("config.toml").display().to_string()], stdin)
    }

    /// Runs the hook with these arguments instead of the default ones.
    pub fn hook_with(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let mut command = self.command(BINARY, &self.bare());
        self.run(command.arg("hook").args(args).env("GIT_DIR", "."), stdin)
    }

    /// Runs another subcommand with the sandbox's configuration. Proposed commands repeat that option,
    /// which is left out of the result.
    pub fn binary(&self, args: &[&str]) -> Ran {
        let mut command = self.command(BINARY, &self.path(""));
        let ran = self.run(command.args(args).arg("--config").arg(self.path("config.toml")), b"");
        Ran { stdout: self.without_config(&ran.stdout), stderr: self.without_config(&ran.stderr), ..ran }
    }

    /// Leaves the option with the configuration out of a text.
    pub fn without_config(&self, text: &str) -> String {
        text.replace(&format!(" --config {}", self.path("config.toml").display()), "")
    }

    /// Runs `check` and returns one line for each problem: its position, the message and the fix.
    /// Panics if `check` finds nothing.
    #[track_caller]
    pub fn problems(&self) -> Vec<String> {
        let ran = self.binary(&["check", "--json"]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let report = |problem: &Value| {
            let mut line = problem["file"].as_str().expect("a file").to_string();
            for place in ["line", "column"] {
                line.extend(problem[place].as_u64().map(|at| format!(":{at}")));
            }
            line.push_str(&format!(": {}", problem["message"].as_str().expect("text")));
            line.extend(problem["fix"].as_str().map(|fix| format!("; {fix}")));
            line
        };
        answer["problems"].as_array().expect("a list").iter().map(report).collect()
    }

    fn git_command(&self, dir: &Path) -> Command {
        self.command("git", dir)
    }

    /// Returns a command in the sandbox's environment.
    pub fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .env("PATH", search_path())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        let config = [
            ("init.defaultBranch", "main"),
            ("user.name", "Ann Author"),
            ("user.email", "ann@example.org"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("advice.detachedHead", "false"),
        ];
        command.env("GIT_CONFIG_COUNT", config.len().to_string());
        for (nth, (key, value)) in config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{nth}"), key).env(format!("GIT_CONFIG_VALUE_{nth}"), value);
        }
        command
    }

    /// Runs a command with this standard input, and waits for it to exit.
    pub fn run(&self, command: &mut Command, stdin: &[u8]) -> Ran {
        let start = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = loop {
            match command.spawn() {
                // Another thread started a process while this program was written, and that process
                // still has the file open.
                Err(err) if err.kind() == io::ErrorKind::ExecutableFileBusy => {
                    assert!(start.elapsed() < PATIENCE, "{command:?} is still open for writing");
                    thread::yield_now();
                }
                spawned => break spawned.expect("start the program"),
            }
        };
        let mut pipe = child.stdin.take().expect("a pipe");
        let Output { status, stdout, stderr } = thread::scope(|scope| {
            // A program that does not read its input must not hang the test.
            scope.spawn(move || pipe.write_all(stdin));
            child.wait_with_output().expect("wait for the program")
        });
        let took = start.elapsed();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr), took }
    }

    /// Returns the journal, oldest entry first.
    pub fn journal(&self) -> Vec<Value> {
        let mut files: Vec<_> = fs::read_dir(self.state().join("journal"))
            .map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect())
            .unwrap_or_default();
        files.sort();
        let read = |path: &PathBuf| fs::read_to_string(path).expect("the journal");
        let text: String = files.iter().map(read).collect();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Returns the journal entries that record decisions.
    pub fn decisions(&self) -> Vec<Value> {
        self.journal().into_iter().filter(|entry| entry["record"] == "decision").collect()
    }

    /// Returns the journal entries that record deliveries.
    pub fn deliveries(&self) -> Vec<Value> {
        self.journal().into_iter().filter(|entry| entry["record"] == "delivery").collect()
    }

    /// Kills a running process by its ID and waits until it has exited.
    pub fn end(&self, pid: &str) {
        assert!(self.end_if_running(pid), "process {pid} is not running");
    }

    /// Kills a process by its ID and waits until it has exited. Returns false if it had exited
    /// before.
    pub fn end_if_running(&self, pid: &str) -> bool {
        let was_running = signal(pid, Signal::KILL);
        let stat = PathBuf::from("/proc").join(pid).join("stat");
        // The process stays a zombie until its new parent calls wait().
        wait_until("the process exits", || {
            fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
        });
        was_running
    }

    /// Returns the text of each journal entry that records a problem.
    pub fn troubles(&self) -> Vec<String> {
        let entries = self.journal().into_iter().filter(|entry| entry["record"] == "trouble");
        entries.map(|entry| entry["what"].as_str().expect("text").to_string()).collect()
    }

    /// Returns the sorted file names in a directory of the state; a missing directory is empty.
    pub fn files(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.state().join(dir))
            .map(|entries| {
                entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    /// Returns the markers queued for a destination, without their checksums.
    pub fn waiting(&self, destination: &str) -> Vec<Value> {
        let dir = format!("outbox/{destination}/new");
        let read =
            |name: &String| fs::read_to_string(self.state().join(&dir).join(name)).expect("the outbox");
        let files: Vec<String> = self.files(&dir).iter().map(read).collect();
        let lines = files.iter().flat_map(|file| file.lines().skip(1));
        let marker = |line| {
            let mut marker: Value = serde_json::from_str(line).expect("a marker");
            marker.as_object_mut().expect("an object").remove("crc32");
            marker
        };
        lines.map(marker).collect()
    }

    /// Returns the content of all files under the state directory, to search it for secrets.
    pub fn everything_written(&self) -> String {
        let mut text = String::new();
        let mut dirs = vec![self.state()];
        while let Some(dir) = dirs.pop() {
            for path in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    match fs::read(&path) {
                        Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
                        // A running deliverer moved the file. Its content is read at its new path.
                        Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                        Err(err) => panic!("{}: {err}", path.display()),
                    }
                }
            }
        }
        text
    }

    /// Returns each path in the sandbox with its mode, modification time and content, to check that
    /// a command changed nothing.
    pub fn tree(&self) -> BTreeMap<PathBuf, (u32, SystemTime, Vec<u8>)> {
        let mut tree = BTreeMap::new();
        let mut dirs = vec![self.path("")];
        while let Some(dir) = dirs.pop() {
            for path in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
                let metadata = path.symlink_metadata().expect("metadata");
                let content = if metadata.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
                let modified = metadata.modified().expect("a time");
                tree.insert(path.clone(), (metadata.permissions().mode(), modified, content));
                if metadata.is_dir() {
                    dirs.push(path);
                }
            }
        }
        tree
    }

    /// Returns the `/proc` directory of a background deliverer of this sandbox, if one is running.
    pub fn deliverer(&self) -> Option<PathBuf> {
        self.deliverers().pop()
    }

    /// Returns the `/proc` directories of all background deliverers of this sandbox.
    pub fn deliverers(&self) -> Vec<PathBuf> {
        let config = self.path("config.toml").display().to_string();
        let is_one = |process: &PathBuf| {
            let cmdline = fs::read(process.join("cmdline")).unwrap_or_default();
            let cmdline = String::from_utf8_lossy(&cmdline).into_owned();
            cmdline.contains("\0deliver\0--detached\0") && cmdline.contains(&config)
        };
        let processes = fs::read_dir("/proc").expect("/proc");
        processes.map(|entry| entry.expect("an entry").path()).filter(is_one).collect()
    }

    /// Removes the markers that wait for a destination.
    pub fn clear_outbox(&self) {
        self.wait_for_deliverers_to_end();
        let _ = fs::remove_dir_all(self.state().join("outbox"));
    }

    /// Removes the state directory, once no background deliverer can write to it any more.
    pub fn clear_state(&self) {
        self.wait_for_deliverers_to_end();
        let _ = fs::remove_dir_all(self.state());
    }

    /// Waits until no background deliverer of this sandbox is running. It also waits for those that
    /// have not taken their lock yet.
    pub fn wait_for_deliverers_to_end(&self) {
        wait_until("no delivery process is running", || self.deliverer().is_none());
    }

    /// Waits until no process holds the delivery lock of an outbox.
    pub fn wait_for_delivery_to_end(&self) {
        let Ok(entries) = fs::read_dir(self.state().join("outbox")) else { return };
        for lock in
            entries.map(|entry| entry.expect("an entry").path().join("lock")).filter(|lock| lock.exists())
        {
            let lock = fs::File::open(lock).expect("the lock");
            wait_until("the delivery releases its lock", || lock.try_lock().is_ok());
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A deliverer that writes while the directory is removed would leave files behind.
        self.wait_for_delivery_to_end();
    }
}

impl Ran {
    /// Returns the lines that git showed the pusher with the prefix `remote: `.
    pub fn remote(&self) -> Vec<&str> {
        self.stderr.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim_end).collect()
    }

    /// Returns the stderr lines, with git's prefix `remote: ` removed. For hooks that ran without
    /// git.
    pub fn remote_or_own(&self) -> Vec<&str> {
        self.stderr.lines().map(|line| line.strip_prefix("remote: ").unwrap_or(line)).collect()
    }

    /// Asserts that the command exited with status 0.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the command exited with status 0, or 1 if it reports findings.
    #[track_caller]
    pub fn succeeded_or_found(&self) -> &Self {
        assert!(matches!(self.code, Some(0 | 1)), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the hook exited with status 0 and printed nothing.
    #[track_caller]
    pub fn said_nothing(&self) -> &Self {
        self.succeeded();
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), ("", ""));
        self
    }
}

/// Sends a signal to a process. Returns false if the process does not exist.
pub fn signal(pid: &str, signal: Signal) -> bool {
    let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a process ID");
    kill_process(pid, signal).is_ok()
}

/// Waits until a condition is true, and panics after [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "timed out after {PATIENCE:?}; waited until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the directory of Cargo.toml.
pub fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the variables that Gitea sets for a push over SSH, and one unrelated secret.
fn gitea_environment() -> Vec<(String, String)> {
    let set = [
        ("GITEA_REPO_NAME", "shop"),
        ("GITEA_REPO_USER_NAME", "acme"),
        ("GITEA_REPO_ID", "42"),
        ("GITEA_REPO_IS_WIKI", "false"),
        ("GITEA_PUSHER_NAME", "ann"),
        ("GITEA_PUSHER_ID", "7"),
        ("GITEA_PUSHER_EMAIL", "ann@example.org"),
        ("GITEA_KEY_ID", "3"),
        ("GITEA_DEPLOY_KEY_ID", "0"),
        ("GITEA_PR_ID", "0"),
        ("GITEA_ROOT_URL", "https://git.example.com/"),
        ("SSH_ORIGINAL_COMMAND", "git-receive-pack '/acme/shop.git'"),
        ("GITEA__database__PASSWD", "hush-hush"),
    ];
    set.map(|(name, value)| (name.to_string(), value.to_string())).to_vec()
}
