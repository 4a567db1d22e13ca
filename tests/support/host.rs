//! A machine with a Gitea on it, as install.sh finds one: everything in a directory whose name has spaces and quotes in
//! it, the repositories with the user that Gitea runs as.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use super::{BINARY, Ran, Sandbox, manifest_dir};

/// The user that Gitea runs as, where the tests run as root.
const RUN_USER: &str = "nobody";

/// What runs install.sh: the shells of Debian and of Gitea's images.
pub const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "ash"]];

/// Files beyond this are told apart by their length and their times.
const MAX_CONTENT: u64 = 1 << 20;

/// A user by name and ids.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// Who runs install.sh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Root,
    RunUser,
}

impl Who {
    /// Returns everybody that there can be: without root, nobody becomes another user.
    pub fn everybody() -> &'static [Self] {
        if is_root() { &[Self::Root, Self::RunUser] } else { &[Self::RunUser] }
    }
}

/// The machine.
pub struct Host {
    pub sandbox: Sandbox,
    pub user: User,
}

/// Returns whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Host {
    /// Makes the machine, with one repository, `acme/shop`.
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let host = Self { sandbox, user: User::that_gitea_runs_as() };
        let mode = |path: &Path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
        };
        mode(&host.sandbox.path(""));
        fs::remove_file(host.sandbox.bare().join("hooks/post-receive.d/gitea-lightstep"))
            .expect("the sandbox's own hook");
        // Nobody needs git's samples, and there are many.
        for sample in walk(&host.sandbox.bare().join("hooks"))
            .iter()
            .filter(|path| path.extension() == Some("sample".as_ref()))
        {
            fs::remove_file(sample).expect("a sample");
        }
        for dir in ["gitea/repositories", "gitea/home", "srv", "etc"] {
            fs::create_dir_all(host.place(dir)).expect("a directory");
        }
        fs::rename(host.sandbox.path("git/acme"), host.place("gitea/repositories/acme"))
            .expect("the repositories");
        let bare = host.bare().display().to_string();
        host.sandbox.git(&["remote", "set-url", "origin", &bare]);
        host.write_app_ini();
        for mine in [
            host.place("gitea"),
            host.sandbox.path("clone"),
            host.sandbox.path("home"),
            host.sandbox.path("tmp"),
        ] {
            host.give_to_run_user(&mine);
        }
        host
    }

    /// Returns a path on the machine.
    pub fn place(&self, name: &str) -> PathBuf {
        self.sandbox.path("it's a \"place\"").join(name)
    }

    /// Returns the repository.
    pub fn bare(&self) -> PathBuf {
        self.place("gitea/repositories/acme/shop.git")
    }

    /// Returns Gitea's configuration.
    pub fn app_ini(&self) -> PathBuf {
        self.place("etc/app.ini")
    }

    fn write_app_ini(&self) {
        let git = which("git");
        let text = format!(
            "RUN_USER = {user}\nWORK_PATH = {work}\n[server]\nAPP_DATA_PATH = {work}\n[repository]\nROOT = {root}\n\
             [git]\nPATH = {git}\nHOME_PATH = {home}\n",
            user = self.user.name,
            work = self.place("gitea").display(),
            root = self.place("gitea/repositories").display(),
            home = self.place("gitea/home").display(),
            git = git.display(),
        );
        fs::write(self.app_ini(), text).expect("app.ini");
    }

    /// Writes a file on the machine, which keeps its owner and mode if it is there.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.place(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// Gives a file, or a directory with all that is in it, to the user that Gitea runs as.
    pub fn give_to_run_user(&self, path: &Path) {
        if is_root() {
            for path in walk(path) {
                std::os::unix::fs::lchown(&path, Some(self.user.uid), Some(self.user.gid))
                    .expect("a new owner");
            }
        }
    }

    /// Returns a command in the sandbox's environment, as this user.
    pub fn command(&self, who: Who, program: &str) -> Command {
        let mut command = self.sandbox.command(program, &self.sandbox.path(""));
        if who == Who::RunUser && is_root() {
            command.uid(self.user.uid).gid(self.user.gid);
        }
        command
    }

    /// Runs a copy of install.sh.
    pub fn script(&self, who: Who, shell: &[&str], script: &Path, args: &[&str]) -> Ran {
        let mut command = self.command(who, shell[0]);
        command.args(&shell[1..]).arg(script).args(args);
        self.sandbox.run(&mut command, b"")
    }

    /// Runs install.sh with everything in its place on this machine.
    pub fn install(&self, who: Who, shell: &[&str], args: &[&str]) -> Ran {
        let places = self.places();
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        self.script(who, shell, &manifest_dir().join("install.sh"), &[&places, args].concat())
    }

    /// Returns the options that say where everything is.
    pub fn places(&self) -> Vec<String> {
        let options = [
            ("--prefix", "srv/usr"),
            ("--config", "srv/etc/config.toml"),
            ("--state-dir", "srv/var/state"),
            ("--gitea-config", "etc/app.ini"),
        ];
        options.iter().flat_map(|(option, name)| [(*option).to_string(), self.text(name)]).collect()
    }

    /// Returns a path on the machine as text.
    pub fn text(&self, name: &str) -> String {
        self.place(name).display().to_string()
    }

    /// Makes a program of a few lines that is the binary under test, so that there are many of them which differ: a copy
    /// of the real one is a hundred megabytes.
    pub fn stand_in(&self, name: &str, remark: &str) -> String {
        let real = self.real_binary();
        let text = format!("#!/bin/sh\n# {remark}\nexec '{}' \"$@\"\n", real.display());
        let path = self.sandbox.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        path.display().to_string()
    }

    /// Returns the binary under test at a path that the user Gitea runs as can reach.
    pub fn real_binary(&self) -> PathBuf {
        let path = self.sandbox.path("binary");
        if !path.exists() {
            fs::hard_link(BINARY, &path)
                .or_else(|_| fs::copy(BINARY, &path).map(|_| ()))
                .expect("the binary");
        }
        path
    }

    /// Pushes a new commit as the user that Gitea runs as, and returns what the pusher read.
    pub fn push(&self) -> Ran {
        let git = |args: &[&str]| {
            let mut command = self.command(Who::RunUser, "git");
            command.current_dir(self.sandbox.path("clone")).args(args);
            self.sandbox.run(&mut command, b"")
        };
        git(&["commit", "-q", "--allow-empty", "-m", "Something"]).succeeded();
        git(&["push", "-q", "origin", "HEAD:main"])
    }

    /// Returns everything on the machine: each path with its kind, mode, owner and content. With `has_times`, also when it
    /// was last changed: who changes nothing leaves it as it was.
    pub fn listing(&self, has_times: bool) -> BTreeMap<PathBuf, String> {
        let place = self.place("");
        let describe = |path: PathBuf| {
            let metadata = path.symlink_metadata().expect("metadata");
            let content = if metadata.is_symlink() {
                fs::read_link(&path).expect("a link").display().to_string()
            } else if metadata.is_file() && metadata.len() <= MAX_CONTENT {
                String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned()
            } else if metadata.is_file() {
                format!("{} bytes", metadata.len())
            } else {
                String::new()
            };
            let mut text = format!("{:o} {}:{} {content}", metadata.mode(), metadata.uid(), metadata.gid());
            if has_times {
                text.push_str(&format!(" {}.{}", metadata.mtime(), metadata.mtime_nsec()));
            }
            (path.strip_prefix(&place).expect("below the place").to_path_buf(), text)
        };
        walk(&place).into_iter().map(describe).collect()
    }

    /// Puts everything on the machine aside, under a name.
    pub fn save(&self, name: &str) {
        self.copy(&self.place(""), &self.sandbox.path(name));
    }

    /// Takes back what was put aside.
    pub fn restore(&self, name: &str) {
        fs::remove_dir_all(self.place("")).expect("what is there goes");
        self.copy(&self.sandbox.path(name), &self.place(""));
    }

    fn copy(&self, from: &Path, to: &Path) {
        let mut cp = self.command(Who::everybody()[0], "cp");
        self.sandbox.run(cp.arg("-a").arg(from).arg(to), b"").succeeded();
    }
}

impl User {
    /// Returns the user that Gitea runs as here: ourselves, unless that is root.
    fn that_gitea_runs_as() -> Self {
        let passwd = fs::read_to_string("/etc/passwd").expect("the users");
        let uid = rustix::process::geteuid().as_raw();
        let parse = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            Some(Self {
                name: (*fields.first()?).into(),
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
            })
        };
        let is_meant = |user: &Self| if is_root() { user.name == RUN_USER } else { user.uid == uid };
        passwd.lines().filter_map(parse).find(is_meant).expect("a user in /etc/passwd")
    }
}

/// Returns a path and everything below it; links are not followed.
pub fn walk(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_path_buf()];
    let mut next = 0;
    while next < found.len() {
        if found[next].symlink_metadata().expect("metadata").is_dir() {
            let entries = fs::read_dir(&found[next]).expect("a directory");
            let entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
            found.extend(entries);
        }
        next += 1;
    }
    found
}

/// Finds a program in PATH.
pub fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("PATH");
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|dir: PathBuf| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no {name} here: tests/run installs what the tests need"))
}
