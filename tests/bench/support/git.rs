//! Runs git with its default settings, isolated from the machine's configuration, environment and
//! hooks.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Variables that Gitea sets for a push over HTTP; every variant gets the same.
const GITEA: [(&str, &str); 11] = [
    ("GITEA_PUSHER_EMAIL", "boss@example.org"),
    ("GITEA_PUSHER_ID", "1"),
    ("GITEA_PUSHER_NAME", "boss"),
    ("GITEA_REPO_ID", "1"),
    ("GITEA_REPO_IS_WIKI", "false"),
    ("GITEA_REPO_NAME", "shop"),
    ("GITEA_REPO_USER_NAME", "acme"),
    ("GITEA_ROOT_URL", "https://git.example.com/"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("SSH_ORIGINAL_COMMAND", "receive-pack"),
];

/// Settings that prevent git from starting background processes.
const QUIET: [(&str, &str); 3] =
    [("gc.auto", "0"), ("receive.autogc", "false"), ("maintenance.auto", "false")];

/// Git with its own home directory.
pub struct Git {
    home: PathBuf,
}

impl Git {
    /// Creates the home directory in `dir`.
    pub fn new(dir: &Path) -> Self {
        let home = dir.join("home");
        fs::create_dir(&home).expect("the directory is new");
        Self { home }
    }

    /// Returns a command in `dir` with the environment of a hook in Gitea.
    pub fn command(&self, program: impl AsRef<OsStr>, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .env_clear()
            .envs(GITEA)
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            .env("HOME", &self.home)
            .env("TMPDIR", &self.home)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        command
    }

    /// Runs git in `dir` and returns its output. Panics if git fails.
    pub fn run(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.command("git", dir).args(args).output().expect("git is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {} failed: {stderr}", args.join(" "));
        String::from_utf8_lossy(&output.stdout).trim_end().to_string()
    }

    /// Creates a bare repository like Gitea does, without hooks.
    pub fn bare(&self, dir: &Path) {
        fs::create_dir_all(dir).expect("the directory is new");
        self.run(dir, &["init", "--quiet", "--bare", "--template=", "--initial-branch=main"]);
        self.quiet(dir);
        fs::create_dir(dir.join("hooks")).expect("the template is empty");
    }

    /// Creates a clone that pushes to `bare`.
    pub fn work_tree(&self, dir: &Path, bare: &Path) {
        fs::create_dir_all(dir).expect("the directory is new");
        self.run(dir, &["init", "--quiet", "--template=", "--initial-branch=main"]);
        self.quiet(dir);
        self.run(dir, &["remote", "add", "origin", bare.to_str().expect("a temporary path is UTF-8")]);
    }

    /// Makes a small commit in a work tree.
    pub fn commit(&self, dir: &Path, nth: usize) {
        fs::write(dir.join(format!("file-{}", nth % 20)), format!("change {nth}\n"))
            .expect("the file can be written");
        self.run(dir, &["add", "."]);
        self.run(dir, &["commit", "--quiet", "-m", &format!("feat: change {nth}")]);
    }

    /// Creates a bare repository whose `main` has `count` commits in one pack, and returns their
    /// IDs.
    pub fn packed_history(&self, dir: &Path, count: usize) -> Vec<String> {
        let mut stream = String::new();
        for nth in 0..count {
            let (message, content) =
                (format!("feat: change {nth}\n\nWhy it was made.\n"), format!("change {nth}\n"));
            stream.push_str(&format!(
                "commit refs/heads/main\ncommitter Ada <ada@example.org> {} +0000\ndata {}\n{message}\nM 100644 inline src/file-{}\ndata {}\n{content}\n",
                1_700_000_000 + nth * 60,
                message.len(),
                nth % 20,
                content.len(),
            ));
        }
        self.import(dir, &stream);
        self.run(dir, &["rev-list", "main"]).lines().map(ToString::to_string).collect()
    }

    /// Creates a bare repository with one pack from a `git fast-import` stream.
    pub fn import(&self, dir: &Path, stream: &str) {
        self.bare(dir);
        let mut import = self.command("git", dir);
        import.args(["fast-import", "--quiet"]).stdin(Stdio::piped());
        let mut import = import.spawn().expect("git is installed");
        let mut stdin = import.stdin.take().expect("stdin is piped");
        stdin.write_all(stream.as_bytes()).expect("git fast-import reads the whole stream");
        drop(stdin);
        assert!(import.wait().expect("git fast-import is a child").success(), "git fast-import failed");
        self.run(dir, &["repack", "--quiet", "-a", "-d"]);
    }

    fn quiet(&self, dir: &Path) {
        for (key, value) in QUIET {
            self.run(dir, &["config", key, value]);
        }
    }
}
