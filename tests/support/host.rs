//! A machine with Gitea, for the tests of install.sh. Its files are in a directory whose name
//! contains spaces and quotes. The repositories belong to the user that Gitea runs as.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use super::{BINARY, Ran, Sandbox};

/// The user that Gitea runs as when root runs the tests.
const RUN_USER: &str = "nobody";

/// A user's name and IDs.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// The user that runs install.sh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Root,
    RunUser,
}

impl Who {
    /// Returns the users that the tests can run as. Only root can switch to another user.
    pub fn everybody() -> &'static [Self] {
        if is_root() { &[Self::Root, Self::RunUser] } else { &[Self::RunUser] }
    }
}

/// Returns how a command begins that a message proposes to a user who needs root, or another user.
pub fn proposed_for(user: Option<&str>) -> String {
    let dirs = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/bin"];
    match user {
        _ if !dirs.iter().any(|dir| Path::new(dir).join("sudo").exists()) => "su -c '".into(),
        Some(user) => format!("sudo -u {user} "),
        None => "sudo ".into(),
    }
}

/// A simulated machine; all its files are inside the sandbox.
pub struct Host {
    pub sandbox: Sandbox,
    pub user: User,
}

/// Returns true if the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Host {
    /// Creates the machine with one repository, `acme/shop`.
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let host = Self { sandbox, user: User::that_gitea_runs_as() };
        let mode = |path: &Path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
        };
        mode(&host.sandbox.path(""));
        fs::remove_file(host.sandbox.bare().join("hooks/post-receive.d/gitea-lightstep"))
            .expect("the sandbox's own hook");
        // Git creates many sample hooks, which would slow down every listing and copy.
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

    /// Returns the path of the repository.
    pub fn bare(&self) -> PathBuf {
        self.place("gitea/repositories/acme/shop.git")
    }

    /// Returns the path of Gitea's configuration.
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

    /// Writes a file on the machine. An existing file keeps its owner and mode.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.place(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// Gives a file or a directory tree to the user that Gitea runs as.
    pub fn give_to_run_user(&self, path: &Path) {
        if is_root() {
            for path in walk(path) {
                std::os::unix::fs::lchown(&path, Some(self.user.uid), Some(self.user.gid))
                    .expect("change the owner");
            }
        }
    }

    /// Returns a command that runs in the sandbox's environment as this user.
    pub fn command(&self, who: Who, program: &str) -> Command {
        let mut command = self.sandbox.command(program, &self.sandbox.path(""));
        if who == Who::RunUser && is_root() {
            command.uid(self.user.uid).gid(self.user.gid);
        }
        command
    }

    /// Returns a path on the machine as text.
    pub fn text(&self, name: &str) -> String {
        self.place(name).display().to_string()
    }

    /// Returns a link to the binary under test that the user Gitea runs as can execute.
    pub fn real_binary(&self) -> PathBuf {
        self.linked(BINARY)
    }

    /// Returns a link to a program that the user Gitea runs as can execute.
    pub fn linked(&self, program: &str) -> PathBuf {
        let name = Path::new(program).file_name().expect("a name");
        let path = self.sandbox.path("binary").join(name);
        if !path.exists() {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::hard_link(program, &path)
                .or_else(|_| fs::copy(program, &path).map(|_| ()))
                .expect("the binary");
        }
        path
    }

    /// Pushes a new commit as the user that Gitea runs as.
    pub fn push(&self) -> Ran {
        let git = |args: &[&str]| {
            let mut command = self.command(Who::RunUser, "git");
            command.current_dir(self.sandbox.path("clone")).args(args);
            self.sandbox.run(&mut command, b"")
        };
        git(&["commit", "-q", "--allow-empty", "-m", "Something"]).succeeded();
        git(&["push", "-q", "origin", "HEAD:main"])
    }
}

impl User {
    /// Returns the user that Gitea runs as: the current user, or [`RUN_USER`] if that is root.
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

/// Returns a path and all paths below it, without following symbolic links.
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

/// Finds a program in `PATH` or the sbin directories.
pub fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("PATH");
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|dir: PathBuf| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run tests/run once to install it"))
}
