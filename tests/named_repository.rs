//! `REPO` and `REV` mean the same in every command: a path, a present or former name; whatever git
//! understands.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use serde_json::Value;

use crate::support::{
    BINARY, Ran, Sandbox,
    host::{is_root, walk},
};

/// A repository that was renamed between two pushes, a clone and a link to it.
struct Renamed {
    sandbox: Sandbox,
    commits: Vec<String>,
}

impl Renamed {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let mut commits = vec![sandbox.commit("One", &[("deep/er/file", "1")])];
        sandbox.git(&["tag", "-a", "-m", "v1", "v1.0.0"]);
        sandbox.push(&["main", "v1.0.0"]).succeeded();
        for name in ["Two", "Three"] {
            commits.push(sandbox.commit(name, &[]));
        }
        sandbox.rename("git/acme/store.git");
        let mut renamed = Self { sandbox, commits };
        renamed.sandbox.set("GITEA_REPO_NAME", "store");
        renamed.sandbox.push(&["main"]).succeeded();
        symlink(renamed.sandbox.path("git/acme/store.git"), renamed.sandbox.path("link")).expect("a link");
        // A directory whose path looks like the name of another repository.
        fs::create_dir_all(renamed.sandbox.path("work/acme/shop")).expect("a directory");
        renamed
    }

    /// Runs a command in a directory of the sandbox.
    fn run(&self, dir: &str, args: &[&str]) -> Ran {
        let mut command = self.sandbox.command(BINARY, &self.sandbox.path(dir));
        command.args(args).arg("--config").arg(self.sandbox.path("config.toml"));
        self.sandbox.run(&mut command, b"")
    }

    /// Returns each way to name the repository, with the directory in which it is one.
    fn names(&self) -> Vec<(&'static str, String)> {
        let text = |path: &str| self.sandbox.path(path).display().to_string();
        vec![
            ("work", "acme/store".into()),
            ("work", "acme/shop".into()),
            ("work", "ACME/Shop".into()),
            ("work", "acme/shop.git".into()),
            ("work", text("git/acme/store.git")),
            ("work", text("git/acme/store.git/")),
            ("work", text("git/../link")),
            ("", "git/acme/store.git".into()),
            ("git/acme/store.git", ".".into()),
            ("git/acme/store.git/refs", ".".into()),
            ("clone/deep/er", ".".into()),
            ("clone", "deep/er".into()),
        ]
    }
}

#[test]
fn a_repository_has_the_same_names_in_each_command() {
    let renamed = Renamed::new();
    let id =
        renamed.sandbox.journal().iter().find_map(|entry| entry["push"].as_str().map(ToString::to_string));
    let id = id.expect("a push");
    let last = |ran: &Ran| -> Value {
        let text = &ran.succeeded_or_found().stdout;
        let last = text.lines().last().unwrap_or_else(|| panic!("{ran:?}"));
        // A list has a document on each line.
        serde_json::from_str(last).or_else(|_| serde_json::from_str(text)).expect("JSON")
    };
    for (dir, name) in renamed.names() {
        let is_clone = dir.starts_with("clone");
        let case = format!("{name} in {dir}");
        let explained = renamed.run(dir, &["explain", &name, "--json"]);
        let explained: Value = serde_json::from_str(&explained.succeeded().stdout).expect("JSON");
        assert_eq!(explained["repository"], "acme/store", "{case}");
        assert_eq!(explained["matches"], 1, "{case}");
        let logged = renamed.run(dir, &["log", "--repo", &name, "--outcome", "marked"]);
        assert_eq!(logged.succeeded().stdout.lines().count(), 3, "{case}: {logged:?}");
        let tried = last(&renamed.run(dir, &["try", &name, "--json"]));
        assert_eq!(tried["repository"], "acme/store", "{case}");
        let resource = last(&renamed.run(dir, &["resource", &name, "--json"]));
        let head = &resource["attributes"]["vcs.ref.head.revision"];
        assert!(is_clone || *head == renamed.commits[2], "{case}: {head}");
        assert_eq!(resource["attributes"]["service.name"], "store", "{case}");
        let test = renamed.run(dir, &["test", "--from", &id, "--git-dir", &name]);
        assert!(test.succeeded().stdout.contains("[[test]]"), "{case}: {test:?}");
    }
    for command in ["try", "resource"] {
        let ran = renamed.run("work", &[command, "acme/none"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("there is no directory `acme/none`, and no repository"), "{ran:?}");
    }
}

#[test]
fn a_revision_is_what_git_understands() {
    let renamed = Renamed::new();
    let commits = &renamed.commits;
    let bare = renamed.sandbox.path("git/acme/store.git");
    // git refuses to work for root in a repository of another user.
    if is_root() {
        fs::set_permissions(renamed.sandbox.path(""), fs::Permissions::from_mode(0o755))
            .expect("permissions");
        for path in walk(&bare) {
            std::os::unix::fs::lchown(path, Some(65_534), Some(65_534)).expect("another owner");
        }
    }
    for (rev, commit, updates) in [
        ("HEAD", 2, 2),
        ("@", 2, 2),
        ("main", 2, 2),
        ("heads/main", 2, 2),
        ("refs/heads/main", 2, 2),
        ("HEAD~2", 0, 2),
        ("HEAD~1", 1, 1),
        ("main^", 1, 1),
        ("v1.0.0", 0, 1),
        ("v1.0.0^{}", 0, 2),
        ("tags/v1.0.0", 0, 1),
        ("v1.0.0-2-gSHORT", 2, 1),
        (":/Three", 2, 1),
        ("SHORT", 2, 1),
    ] {
        let rev = rev.replace("SHORT", &commits[2][..7]);
        let safe = format!("safe.directory={}", bare.display());
        let git = renamed.sandbox.git_in(&bare, &["-c", &safe, "rev-list", "-1", &rev]);
        assert_eq!(git, commits[commit], "{rev}");
        for name in ["acme/store", "acme/shop", &bare.display().to_string()] {
            let ran = renamed.run("work", &["resource", name, &rev, "--json"]);
            let resource: Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
            assert_eq!(resource["attributes"]["vcs.ref.head.revision"], git, "{rev} {name}");
            let ran = renamed.run("work", &["explain", name, &rev, "--json"]);
            let explained: Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
            assert_eq!(
                explained["updates"].as_array().map(Vec::len),
                Some(updates),
                "{rev} {name}: {explained:#}"
            );
        }
    }
    for rev in ["HEAD~9", "nothing", "x~1", "v9^{}"] {
        let ran = renamed.run("work", &["explain", "acme/store", rev]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.starts_with("no matching update in acme/store"), "{rev}: {ran:?}");
    }
    assert!(Path::new(&bare).exists());
}
