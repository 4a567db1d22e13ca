//! The config hook for git's event `reference-transaction`, with a git that runs it (2.54 or newer).
//! Whatever is missing, git must neither fail nor print anything.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
};

use serde_json::Value;

use crate::support::{
    Ran, assert_root,
    estate::{Estate, without_gitea},
    sid, wait_until,
};

/// A Gitea with both config hooks and one pushed commit, whose repositories were scanned once.
struct ScannedGitea {
    estate: Estate,
    git: PathBuf,
}

impl ScannedGitea {
    fn new() -> Self {
        let gitea = Self { estate: Estate::new(), git: sid::git() };
        gitea.estate.install(&["--git", &gitea.git.display().to_string()]).succeeded();
        gitea.push().succeeded();
        assert_eq!(gitea.estate.scanned()["first_seen"], 1);
        gitea
    }

    /// Pushes a commit.
    fn push(&self) -> Ran {
        self.estate.commit("Something");
        let mut git = self.estate.command(&self.git);
        self.estate
            .sandbox
            .run(git.current_dir(self.estate.path("clone")).args(["push", "origin", "main"]), b"")
    }

    /// Runs git in the repository as Gitea does for its pages.
    fn git(&self, args: &[&str], stdin: &[u8]) -> Ran {
        self.estate.git_for_pages(&self.git.display().to_string(), args, stdin)
    }
}

#[test]
fn ref_change_without_a_push_is_decided_at_once() {
    let gitea = ScannedGitea::new();
    gitea.git(&["tag", "v1.0.0", "main"], b"").said_nothing();
    wait_until("the tag is decided", || gitea.estate.decided().len() == 2);
    gitea.git(&["branch", "topic", "main"], b"").said_nothing();
    wait_until("the branch is decided", || gitea.estate.decided().len() == 3);
    gitea.git(&["branch", "-m", "topic", "renamed"], b"").said_nothing();
    wait_until("the branches are decided", || gitea.estate.decided().len() == 5);
    assert_eq!(gitea.push().succeeded().remote().len(), 1);
    assert_eq!(gitea.estate.scanned()["changes"], serde_json::json!([]));
    let mut decided = gitea.estate.decided();
    decided.sort();
    assert_eq!(
        decided,
        [
            "refs/heads/main",
            "refs/heads/main",
            "refs/heads/renamed",
            "refs/heads/topic",
            "refs/heads/topic",
            "refs/tags/v1.0.0"
        ]
    );
    assert_eq!(gitea.estate.sandbox.troubles(), [""; 0]);

    // A new run changes nothing, and each kind of hook can be left out and removed.
    let named = gitea.git.display().to_string();
    let install = |args: &[&str]| {
        let ran = gitea.estate.install(&[&["--git", &*named, "--json"], args].concat());
        serde_json::from_str::<Value>(&ran.succeeded().stdout).expect("JSON")
    };
    let config = || fs::read_to_string(gitea.estate.git_config()).expect("Gitea's .gitconfig");
    let outcome = install(&[]);
    assert_eq!((&outcome["ref_hook"], &outcome["git_config"]["changed"]), (&true.into(), &false.into()));
    let whole = config();
    let outcome = install(&["--no-ref-hook"]);
    assert_eq!((&outcome["ref_hook"], &outcome["git_config"]["changed"]), (&false.into(), &true.into()));
    assert!(!config().contains("gitea-lightstep-refs"), "{}", config());
    gitea.git(&["tag", "v1.1.0", "main"], b"").said_nothing();
    assert_eq!(gitea.estate.scanned()["changes"][0]["ref"], "refs/tags/v1.1.0");
    // This is the block of a version without the second hook.
    assert_eq!(install(&["--dry-run"])["git_config"]["changed"], true);
    install(&[]);
    assert_eq!(config(), whole);
    gitea.estate.uninstall(&["--git", &named]).succeeded();
    assert!(!gitea.estate.git_config().exists());
}

#[test]
fn transaction_of_many_refs_is_not_disturbed() {
    let gitea = ScannedGitea::new();
    let main = gitea.git(&["rev-parse", "main"], b"").succeeded().stdout.trim().to_string();
    let mut lines = String::new();
    for nth in 0..10_000 {
        writeln!(lines, "create refs/heads/many/{nth} {main}").expect("written");
    }
    gitea.git(&["update-ref", "--stdin"], lines.as_bytes()).said_nothing();
    wait_until("the changes are captured", || {
        !gitea.estate.sandbox.files("inbox").is_empty() || gitea.estate.decided().len() > 1
    });
    // The binary is gone when git has much to say.
    fs::remove_file(gitea.estate.path("bin/gitea-lightstep")).expect("the binary");
    let lines = lines.replace("create", "delete").replace(&format!(" {main}"), "");
    gitea.git(&["update-ref", "--stdin"], lines.as_bytes()).said_nothing();
}

#[test]
fn git_does_not_notice_what_is_missing() {
    assert_root();
    let gitea = ScannedGitea::new();
    let estate = &gitea.estate;
    let (binary, config, state) =
        (estate.path("bin/gitea-lightstep"), estate.path("config.toml"), estate.sandbox.state());
    let mut nth = 0;
    let mut is_quiet = |what: &str| {
        nth += 1;
        let (tag, branch) = (format!("v2.{nth}.0"), format!("b{nth}"));
        for args in [
            &["tag", &*tag, "main"][..],
            &["branch", &branch, "main"],
            &["branch", "-m", &branch, &format!("{branch}-renamed")],
            &["tag", "-d", &tag],
        ] {
            let ran = gitea.git(args, b"");
            assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{what}: git {args:?}");
        }
        let ran = gitea.push();
        assert_eq!(ran.code, Some(0), "{what}: {}", ran.stderr);
    };
    let mode = |path: &PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    };

    let text = fs::read_to_string(&config).expect("the configuration");
    for (what, broken) in [("broken", "state_dir = ["), ("without a state directory", "unknown = 1\n")] {
        fs::write(&config, broken).expect("written");
        is_quiet(&format!("configuration {what}"));
    }
    fs::write(&config, text).expect("written");
    chown(&config, Some(0), Some(0)).expect("an owner");
    mode(&config, 0o600);
    is_quiet("configuration of root");
    fs::remove_file(&config).expect("the configuration");
    is_quiet("no configuration");
    estate.sandbox.configure("");
    mode(&config, 0o644);

    chown(&state, Some(0), Some(0)).expect("an owner");
    is_quiet("state directory of root");
    chown(&state, Some(estate.uid()), Some(estate.uid())).expect("an owner");
    mode(&state.join("refs"), 0o500);
    is_quiet("directory that cannot be written");
    mode(&state.join("refs"), 0o700);

    for stub in [
        "#!/bin/sh\necho out; echo err >&2; exit 3\n",
        "#!/bin/sh\nkill -KILL $$\n",
        "#!/nonexistent\n",
        "\x7fELF",
    ] {
        fs::remove_file(&binary).expect("the binary");
        estate.sandbox.executable("bin/gitea-lightstep", stub);
        is_quiet(stub);
    }
    mode(&binary, 0o644);
    is_quiet("binary that is not executable");
    fs::remove_file(&binary).expect("the binary");
    is_quiet("no binary");
}

/// Fills the file system of the state and runs git there as Gitea's user.
const FULL: &str = r#"
    state=$1 user=$2 git=$3
    cp -a "$state" "$state.saved"
    mount -t tmpfs -o size=1m,mode=700,uid="$user",gid="$user" state "$state"
    cp -a "$state.saved/." "$state"
    dd if=/dev/zero of="$state/filler" bs=4096 2>/dev/null || :
    as_user() { setpriv --reuid "$user" --regid "$user" --clear-groups "$git" "$@"; }
    as_user tag v3.0.0 main
    as_user branch full main
    as_user branch -m full still-full
    as_user tag -d v3.0.0 >/dev/null
"#;

#[test]
fn git_does_not_notice_a_full_disk() {
    assert_root();
    let gitea = ScannedGitea::new();
    let estate = &gitea.estate;
    let mut command = estate.sandbox.command("unshare", &estate.sandbox.bare());
    without_gitea(&mut command);
    command.env_remove("GIT_CONFIG_GLOBAL").env("HOME", estate.home());
    command.args(["-m", "sh", "-ec", FULL, "sh"]).arg(estate.sandbox.state());
    command.arg(estate.uid().to_string()).arg(&gitea.git);
    estate.sandbox.run(&mut command, b"").said_nothing();
}
