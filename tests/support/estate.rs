//! A Gitea installation on disk, for the tests of `install`: app.ini, git's home directory and
//! repositories. When root runs the tests, all of it belongs to another user.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{BINARY, Ran, Sandbox, host::is_root};

/// User ID that Gitea runs as when root runs the tests: the user `nobody`.
const NOBODY: u32 = 65534;

/// Stand-in for the hook that Gitea puts next to our wrapper.
const GITEAS: &str = "#!/bin/sh\ncat >/dev/null\n";

/// Stand-in for Gitea's delegate script, which runs the files of `<hook>.d`.
const DELEGATE: &str = "#!/bin/sh\ndata=$(cat)\nfor hook in \"${GIT_DIR}/hooks/$(basename \"$0\").d\"/*; do\n    \
                        test -x \"$hook\" && test -f \"$hook\" || continue\n    echo \"$data\" | \"$hook\" || exit\ndone\n";

pub struct Estate {
    pub sandbox: Sandbox,
}

/// All paths below a directory.
pub type Tree = BTreeMap<PathBuf, Seen>;

/// The metadata and content of one path.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// File type and permissions.
    pub mode: u32,
    pub uid: u32,
    /// Modification time in seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Content of a file, or target of a symbolic link.
    pub content: Vec<u8>,
}

/// Asserts that two trees are equal, and lists the differences if they are not.
#[track_caller]
pub fn assert_same(before: &Tree, after: &Tree, what: &str) {
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let differs = |path: &&&PathBuf| before.get(**path) != after.get(**path);
    let report = |path: &PathBuf| {
        let how = match (before.get(path), after.get(path)) {
            (None, _) => "came",
            (_, None) => "is gone",
            (Some(before), Some(after)) if before.content != after.content => "has another content",
            (Some(before), Some(after)) if before.modified != after.modified => "was written",
            _ => "has another mode or owner",
        };
        format!("{} {how}", path.display())
    };
    let differences: Vec<_> = paths.iter().filter(differs).map(|path| report(path)).collect();
    assert_eq!(differences, [""; 0], "{what}");
}

impl Estate {
    /// Creates the installation with one repository that accepts pushes, `acme/shop`.
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let estate = Self { sandbox };
        fs::remove_file(estate.wrapper("acme/shop.git")).expect("remove the sandbox's own hook");
        for dir in ["bin", "data/home"] {
            fs::create_dir_all(estate.path(dir)).expect("a directory");
        }
        estate.repository("acme/shop.git");
        estate.place_binary("bin/gitea-lightstep", BINARY);
        estate.app_ini("");
        estate.git_that_says("2.47.3");
        estate.sandbox.commit("One", &[]);
        estate.hand_over();
        estate
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    pub fn home(&self) -> PathBuf {
        self.path("data/home")
    }

    pub fn git_config(&self) -> PathBuf {
        self.home().join(".gitconfig")
    }

    /// Returns the path of a repository's wrapper.
    pub fn wrapper(&self, repository: &str) -> PathBuf {
        self.path("git").join(repository).join("hooks/post-receive.d/gitea-lightstep")
    }

    /// Writes app.ini like Gitea's, followed by `more`.
    pub fn app_ini(&self, more: &str) {
        let user = self.user();
        let text = format!(
            "APP_NAME = Gitea: Git with a cup of tea\nRUN_USER = {user}\nWORK_PATH = {work}\n[server]\nAPP_DATA_PATH = data\n\
             [repository]\nROOT = {work}/git\n[security]\nSECRET_KEY = `hush;hush`\n{more}",
            work = self.path("").display().to_string().trim_end_matches('/'),
        );
        self.sandbox.write("app.ini", text);
    }

    /// Places a program where every user can execute it.
    pub fn place_binary(&self, name: &str, program: &str) {
        let place = self.path(name);
        fs::create_dir_all(place.parent().expect("a parent")).expect("a directory");
        // A copy would be 100 MB.
        if fs::hard_link(program, &place).is_err() {
            fs::copy(program, &place).expect("a copy");
        }
    }

    /// Creates the hooks and HEAD of a repository as Gitea lays them out. It cannot receive pushes.
    pub fn repository(&self, name: &str) -> PathBuf {
        let dir = self.path("git").join(name);
        for hook in ["pre-receive", "update", "post-receive", "proc-receive"] {
            self.sandbox.executable(&format!("git/{name}/hooks/{hook}"), DELEGATE);
            self.sandbox.executable(&format!("git/{name}/hooks/{hook}.d/gitea"), GITEAS);
        }
        fs::write(dir.join("HEAD"), "ref: refs/heads/main\n").expect("a file");
        dir
    }

    /// Rewrites the hooks of Gitea in a repository, like `gitea admin regenerate hooks`.
    pub fn regenerate(&self, name: &str) {
        for hook in ["pre-receive", "update", "post-receive", "proc-receive"] {
            let dir = format!("git/{name}/hooks/{hook}.d");
            for file in [format!("git/{name}/hooks/{hook}"), format!("{dir}/gitea")] {
                let _ = fs::remove_file(self.path(&file));
            }
            self.sandbox.executable(&format!("git/{name}/hooks/{hook}"), DELEGATE);
            self.sandbox.executable(&format!("{dir}/gitea"), GITEAS);
            fs::set_permissions(self.path(&dir), fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        self.hand_over();
    }

    /// Gives everything to the user that Gitea runs as, and lets all users enter the directory.
    pub fn hand_over(&self) {
        fs::set_permissions(self.path(""), fs::Permissions::from_mode(0o755)).expect("permissions");
        if is_root() {
            for path in everything_below(&self.path("")).into_iter().chain([self.path("")]) {
                // The binary may be a hard link to the one under test.
                if !path.starts_with(self.path("bin")) {
                    lchown(path, Some(NOBODY), Some(NOBODY)).expect("change the owner");
                }
            }
        }
    }

    /// Makes a path read-only for Gitea's user: root takes it, other users remove write permission.
    pub fn take_from_user(&self, path: &Path) {
        if is_root() {
            chown(path, Some(0), Some(0)).expect("change the owner");
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).expect("permissions");
    }

    pub fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path(name)).expect("a link");
    }

    /// Returns the name of the user that Gitea runs as.
    pub fn user(&self) -> String {
        if is_root() {
            return "nobody".into();
        }
        let mut id = self.sandbox.command("id", &self.path(""));
        self.sandbox.run(id.arg("-un"), b"").succeeded().stdout.trim().to_string()
    }

    /// Returns the ID of the user that Gitea runs as.
    pub fn uid(&self) -> u32 {
        fs::metadata(self.home()).expect("metadata").uid()
    }

    /// Returns a command that runs as Gitea's user, with git's home directory.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.sandbox.command(&program.as_ref().display().to_string(), &self.path(""));
        command.env_remove("GIT_CONFIG_GLOBAL").env("HOME", self.home());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Returns the gitea-lightstep command, run as the user that runs the tests, possibly root.
    pub fn lightstep(&self, args: &[&str]) -> Command {
        let mut command =
            self.sandbox.command(&self.path("bin/gitea-lightstep").display().to_string(), Path::new("/"));
        command.args(args);
        command
    }

    /// Returns the options that select this installation.
    pub fn options(&self) -> [String; 4] {
        let path = |name: &str| self.path(name).display().to_string();
        ["--gitea-config".into(), path("app.ini"), "--config".into(), path("config.toml")]
    }

    /// Returns a git that does not support config hooks; the machine's own git may support them.
    pub fn older_git(&self) -> String {
        self.path("bin/git-2.47.3").display().to_string()
    }

    /// Adds the older git to these arguments, unless they already name a git.
    pub fn with_git(&self, args: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        if !args.iter().any(|arg| arg == "--git") {
            args.extend(["--git".into(), self.older_git()]);
        }
        args
    }

    pub fn install(&self, args: &[&str]) -> Ran {
        self.run("install", args)
    }

    pub fn uninstall(&self, args: &[&str]) -> Ran {
        self.run("uninstall", args)
    }

    fn run(&self, command: &str, args: &[&str]) -> Ran {
        let mut lightstep = self.lightstep(&[command]);
        self.sandbox.run(lightstep.args(self.options()).args(self.with_git(args)), b"")
    }

    /// Creates a wrapper for git that reports this version.
    pub fn git_that_says(&self, version: &str) -> String {
        let name = format!("bin/git-{version}");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = version ]; then echo 'git version {version}'; else exec git \"$@\"; fi\n"
        );
        self.sandbox.executable(&name, &script);
        self.path(&name).display().to_string()
    }

    /// Makes an empty commit in the clone as Gitea's user.
    pub fn commit(&self, message: &str) {
        let mut git = self.command("git");
        git.current_dir(self.path("clone")).args(["commit", "-q", "--allow-empty", "-m", message]);
        self.sandbox.run(&mut git, b"").succeeded();
    }

    /// Pushes to `acme/shop` as Gitea's user.
    pub fn push(&self, args: &[&str]) -> Ran {
        let mut git = self.command("git");
        self.sandbox.run(git.current_dir(self.path("clone")).arg("push").arg("origin").args(args), b"")
    }

    /// Scans all repositories as Gitea's user.
    pub fn scan(&self, args: &[&str]) -> Ran {
        let mut lightstep = self.command(self.path("bin/gitea-lightstep"));
        self.sandbox.run(lightstep.arg("scan").args(args).args(self.options()), b"")
    }

    /// Scans all repositories as Gitea's user, and returns the outcome.
    #[track_caller]
    pub fn scanned(&self) -> Value {
        serde_json::from_str(&self.scan(&["--json"]).succeeded().stdout).expect("JSON")
    }

    /// Runs git in `acme/shop` as Gitea does for its pages: as its user, without the variables of a push.
    pub fn git_for_pages(&self, git: &str, args: &[&str], stdin: &[u8]) -> Ran {
        let mut command = self.command(git);
        without_gitea(&mut command);
        self.sandbox.run(command.current_dir(self.sandbox.bare()).args(args), stdin)
    }

    /// Returns the names of the refs that were decided, each as often as that happened.
    pub fn decided(&self) -> Vec<String> {
        let decisions = self.sandbox.decisions();
        decisions.iter().map(|decision| decision["ref"].as_str().expect("a ref").to_string()).collect()
    }

    /// Returns all paths below a directory of the installation.
    pub fn seen(&self, dir: &str) -> Tree {
        let dir = self.path(dir);
        let see = |path: PathBuf| {
            let metadata = path.symlink_metadata().expect("metadata");
            let content = if metadata.is_symlink() {
                fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec()
            } else if metadata.is_file() {
                fs::read(&path).expect("a file")
            } else {
                Vec::new()
            };
            let seen = Seen {
                mode: metadata.mode(),
                uid: metadata.uid(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                content,
            };
            (path.strip_prefix(&dir).expect("a path below the directory").to_path_buf(), seen)
        };
        everything_below(&dir).into_iter().map(see).collect()
    }

    /// Restores a directory to an earlier tree, except for the modification times.
    pub fn restore(&self, dir: &str, tree: &Tree) {
        let dir = self.path(dir);
        let mut now = everything_below(&dir);
        // Sorted in reverse, files come before the directory that contains them.
        now.sort();
        for path in now
            .into_iter()
            .rev()
            .filter(|path| !tree.contains_key(path.strip_prefix(&dir).expect("a path below the directory")))
        {
            let kind = path.symlink_metadata().expect("metadata");
            if kind.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.expect("removed");
        }
        for (name, seen) in tree {
            let path = dir.join(name);
            if seen.mode & 0o170_000 == 0o040_000 {
                fs::create_dir_all(&path).expect("a directory");
            } else if fs::read(&path).ok().as_ref() != Some(&seen.content) {
                let _ = fs::remove_file(&path);
                fs::write(&path, &seen.content).expect("a file");
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(seen.mode & 0o7777)).expect("permissions");
            if is_root() {
                chown(&path, Some(seen.uid), Some(seen.uid)).expect("an owner");
            }
        }
    }

    /// Returns all paths below a directory without modification times.
    pub fn lasting(&self, dir: &str) -> Tree {
        let mut seen = self.seen(dir);
        seen.values_mut().for_each(|seen| seen.modified = (0, 0));
        seen
    }
}

/// Removes the variables of a push from the environment of a command.
pub fn without_gitea(command: &mut Command) {
    let names: Vec<_> = command.get_envs().map(|(name, _)| name.to_os_string()).collect();
    for name in names.iter().filter(|name| name.as_encoded_bytes().starts_with(b"GITEA_")) {
        command.env_remove(name);
    }
}

fn everything_below(dir: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                dirs.push(entry.path());
            }
            paths.push(entry.path());
        }
    }
    paths
}
