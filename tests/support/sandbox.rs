//! A directory with everything in it: a bare repository laid out as Gitea lays it out, a clone to
//! push from, a configuration, and an environment in which nothing of the machine's is left.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_gitea-lightstep");

/// What runs the files of `post-receive.d`, as Gitea's delegate does.
const DELEGATE: &str = include_str!("../../src/cli/demo/delegate.sh");

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Sandbox {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a command did.
#[derive(Debug)]
#[must_use = "assert what it printed or how it ended"]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Sandbox {
    /// Makes the sandbox with a SHA-1 repository.
    pub fn new() -> Self {
        Self::with_object_format("sha1")
    }

    /// Makes the sandbox with a repository of either object format.
    pub fn with_object_format(format: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("gitea-lightstep-test-").tempdir().expect("a directory");
        let sandbox = Self { dir, env: gitea_environment() };
        for dir in ["home", "tmp", "git/acme"] {
            fs::create_dir_all(sandbox.path(dir)).expect("a directory");
        }
        let format = format!("--object-format={format}");
        sandbox.git_in(&sandbox.path(""), &["init", "-q", "--bare", &format, "git/acme/shop.git"]);
        sandbox.git_in(&sandbox.bare(), &["config", "receive.advertisePushOptions", "true"]);
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

    /// Returns a path in the sandbox.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the bare repository.
    pub fn bare(&self) -> PathBuf {
        self.path("git/acme/shop.git")
    }

    /// Returns the state directory.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Sets a variable of the environment in which git and the hook run.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(there, _)| there != name);
        self.env.push((name.into(), value.into()));
    }

    /// Takes away every variable that begins with `prefix`.
    pub fn unset(&mut self, prefix: &str) {
        self.env.retain(|(name, _)| !name.starts_with(prefix));
    }

    /// Writes the configuration: state directory, patient limits for a slow machine, then `more`.
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

    /// Configures one OTLP destination and whatever else.
    pub fn deliver_to(&self, endpoint: &str, more: &str) {
        self.configure(&format!(
            "[[destination]]\nname = \"collector\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n{more}"
        ));
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Makes a directory that belongs to another user, as only root can, and configures it as the state.
    pub fn hand_over(&self, name: &str, user: u32) -> u32 {
        fs::create_dir_all(self.path(name)).expect("a directory");
        std::os::unix::fs::chown(self.path(name), Some(user), None).expect("a new owner");
        self.configure("");
        user
    }

    /// Writes an executable file.
    pub fn executable(&self, name: &str, content: &str) {
        self.write(name, content);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    /// Runs git in the clone; it must succeed. Returns what it printed, without the last newline.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.path("clone"), args)
    }

    /// Runs git in a directory; it must succeed.
    #[track_caller]
    pub fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let ran = self.run(self.git_command(dir).args(args), b"");
        assert_eq!(ran.code, Some(0), "git {args:?}\n{}", ran.stderr);
        ran.stdout.trim_end().to_string()
    }

    /// Makes a commit with these files and returns its id.
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

    /// Runs the hook as git would, with the updates on standard input.
    pub fn hook(&self, stdin: &[u8]) -> Ran {
        self.hook_with(&["--config", &self.path("config.toml").display().to_string()], stdin)
    }

    /// Runs the hook with these arguments.
    pub fn hook_with(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let mut command = self.command(BINARY, &self.bare());
        self.run(command.arg("hook").args(args).env("GIT_DIR", "."), stdin)
    }

    /// Runs one of the other commands with the sandbox's configuration.
    pub fn binary(&self, args: &[&str]) -> Ran {
        let mut command = self.command(BINARY, &self.path(""));
        self.run(command.args(args).arg("--config").arg(self.path("config.toml")), b"")
    }

    /// Runs `check`, which has to find something, and returns that as messages tell it: place, what is wrong, what
    /// to do.
    #[track_caller]
    pub fn problems(&self) -> Vec<String> {
        let ran = self.binary(&["check", "--json"]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let told = |problem: &Value| {
            let mut line = problem["file"].as_str().expect("a file").to_string();
            for place in ["line", "column"] {
                line.extend(problem[place].as_u64().map(|at| format!(":{at}")));
            }
            line.push_str(&format!(": {}", problem["message"].as_str().expect("text")));
            line.extend(problem["fix"].as_str().map(|fix| format!("; {fix}")));
            line
        };
        answer["problems"].as_array().expect("a list").iter().map(told).collect()
    }

    fn git_command(&self, dir: &Path) -> Command {
        self.command("git", dir)
    }

    /// Returns a command in the sandbox's environment.
    pub fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .env("PATH", std::env::var_os("PATH").expect("PATH"))
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

    /// Runs a command with this standard input.
    pub fn run(&self, command: &mut Command, stdin: &[u8]) -> Ran {
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let Output { status, stdout, stderr } = std::thread::scope(|scope| {
            // A program that does not read its input must not hang the test.
            scope.spawn(move || pipe.write_all(stdin));
            child.wait_with_output().expect("the program ends")
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

    /// Returns the journal's decisions.
    pub fn decisions(&self) -> Vec<Value> {
        self.journal().into_iter().filter(|entry| entry["record"] == "decision").collect()
    }

    /// Returns the journal's deliveries.
    pub fn deliveries(&self) -> Vec<Value> {
        self.journal().into_iter().filter(|entry| entry["record"] == "delivery").collect()
    }

    /// Ends a process by its id and waits until it is gone.
    pub fn end(&self, pid: &str) {
        let mut kill = self.command("kill", &self.path(""));
        self.run(kill.args(["-KILL", pid]), b"").succeeded();
        let stat = PathBuf::from("/proc").join(pid).join("stat");
        // Whoever adopted it may not have asked for its status yet.
        wait_until("the process has ended", || {
            fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
        });
    }

    /// Returns what the journal says went wrong.
    pub fn troubles(&self) -> Vec<String> {
        let entries = self.journal().into_iter().filter(|entry| entry["record"] == "trouble");
        entries.map(|entry| entry["what"].as_str().expect("text").to_string()).collect()
    }

    /// Returns the names of the files in a directory of the state; one that is not there is empty.
    pub fn files(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.state().join(dir))
            .map(|entries| {
                entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    /// Returns the markers that wait for a destination, as they lie in the outbox.
    pub fn waiting(&self, destination: &str) -> Vec<Value> {
        let dir = format!("outbox/{destination}/new");
        let read =
            |name: &String| fs::read_to_string(self.state().join(&dir).join(name)).expect("the outbox");
        let files: Vec<String> = self.files(&dir).iter().map(read).collect();
        let lines = files.iter().flat_map(|file| file.lines().skip(1));
        lines.map(|line| serde_json::from_str(line).expect("a marker")).collect()
    }

    /// Returns every byte under the state directory, to look for what must not be there.
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
                        // A delivery that is at work has moved it, and what was in it lies where it is now.
                        Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                        Err(err) => panic!("{}: {err}", path.display()),
                    }
                }
            }
        }
        text
    }

    /// Returns everything in the sandbox: each path with its mode, when it was last changed, and its content. Who only
    /// looks leaves it as it was.
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

    /// Finds a process that a hook left behind in this sandbox.
    pub fn deliverer(&self) -> Option<PathBuf> {
        self.deliverers().pop()
    }

    /// Finds all processes that hooks left behind in this sandbox.
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

    /// Waits until every process that a hook left behind has ended, also one that has not begun.
    pub fn wait_for_deliverers_to_end(&self) {
        wait_until("no process is left behind", || self.deliverer().is_none());
    }

    /// Waits until no process delivers from this sandbox any more.
    pub fn wait_for_delivery_to_end(&self) {
        let Ok(entries) = fs::read_dir(self.state().join("outbox")) else { return };
        for lock in
            entries.map(|entry| entry.expect("an entry").path().join("lock")).filter(|lock| lock.exists())
        {
            let lock = fs::File::open(lock).expect("the lock");
            wait_until("the delivery ends", || lock.try_lock().is_ok());
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A process that writes into a directory which is being removed leaves litter behind.
        self.wait_for_delivery_to_end();
    }
}

impl Ran {
    /// Returns the lines that the pusher saw from the server.
    pub fn remote(&self) -> Vec<&str> {
        self.stderr.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim_end).collect()
    }

    /// Returns the lines of a hook that ran without git between.
    pub fn remote_or_own(&self) -> Vec<&str> {
        self.stderr.lines().map(|line| line.strip_prefix("remote: ").unwrap_or(line)).collect()
    }

    /// Asserts that a push or a command succeeded.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that a command worked, whether or not it found something to look at.
    #[track_caller]
    pub fn succeeded_or_found(&self) -> &Self {
        assert!(matches!(self.code, Some(0 | 1)), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that a hook ended well and said nothing.
    #[track_caller]
    pub fn said_nothing(&self) -> &Self {
        self.succeeded();
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), ("", ""));
        self
    }
}

/// Waits for a condition, and fails when it does not come.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns where the package is.
pub fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns what Gitea sets for a push over SSH, and a secret of its own that is none of our business.
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
