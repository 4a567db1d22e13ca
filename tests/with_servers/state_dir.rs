//! The state directory of a push whose hook cannot read the configuration, and the recovery of such
//! captures.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    Ran, SHELLS, assert_root,
    host::{Host, Who, is_root},
};

/// A machine with our hook, whose configuration becomes unreadable.
struct Broken {
    host: Host,
    binary: PathBuf,
    config: PathBuf,
}

impl Broken {
    fn new() -> Self {
        let host = Host::new();
        let (prefix, config) = (host.place("srv/usr"), host.place("srv/etc/config.toml"));
        Self::installed(host, &prefix, config)
    }

    /// Installs to paths without spaces, so that a shebang line can name the binary, and the binary
    /// finds its configuration next to it.
    fn beside_the_binary() -> Self {
        let host = Host::new();
        let prefix = host.sandbox.path("usr");
        fs::create_dir(&prefix).expect("a directory");
        if !is_root() {
            host.give_to_run_user(&prefix);
        }
        let config = prefix.join("bin/config.toml");
        Self::installed(host, &prefix, config)
    }

    fn installed(host: Host, prefix: &Path, config: PathBuf) -> Self {
        let who = Who::everybody()[0];
        let binary = host.real_binary().display().to_string();
        let text = |path: &Path| path.display().to_string();
        let options = ["--binary", &binary, "--prefix", &text(prefix), "--config", &text(&config)];
        host.install(who, SHELLS[0], &options).succeeded();
        let broken = Self { host, binary: prefix.join("bin/gitea-lightstep"), config };
        broken.configure(&broken.right());
        broken
    }

    fn right(&self) -> String {
        format!("state_dir = {:?}\n[policy.limits]\ntime = \"20s\"\n", self.host.text("srv/var/state"))
    }

    fn configure(&self, text: &str) {
        fs::write(&self.config, text).expect("the configuration");
        fs::set_permissions(&self.config, fs::Permissions::from_mode(0o644)).expect("permissions");
    }

    /// Breaks the configuration in this way, calls `act`, and restores it.
    fn while_broken(&self, how: &str, act: impl FnOnce()) {
        let aside = self.host.place("aside.toml");
        match how {
            "closed" => {
                fs::set_permissions(&self.config, fs::Permissions::from_mode(0o000)).expect("permissions");
            }
            "directory" | "loop" | "pipe" => {
                fs::rename(&self.config, &aside).expect("renamed");
                match how {
                    "directory" => fs::create_dir(&self.config).expect("a directory"),
                    "loop" => symlink(&self.config, &self.config).expect("a link"),
                    _ => {
                        let made = Command::new("mkfifo").arg(&self.config).status();
                        assert!(made.expect("mkfifo starts").success());
                    }
                }
            }
            text => self.configure(text),
        }
        act();
        if aside.exists() {
            if how == "directory" { fs::remove_dir(&self.config) } else { fs::remove_file(&self.config) }
                .expect("it goes");
            fs::rename(aside, &self.config).expect("renamed");
        }
        self.configure(&self.right());
    }

    fn lightstep(&self, args: &[&str]) -> Command {
        let mut command = self.host.command(Who::RunUser, &self.binary.display().to_string());
        command.args(args).arg("--config").arg(&self.config);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.host.sandbox.run(&mut self.lightstep(args), b"")
    }

    /// Writes a script to Gitea's Git Hooks page.
    fn page(&self) -> PathBuf {
        let page = self.host.bare().join("hooks/post-receive.d/post-receive");
        let text = format!("#!{} hook\nfn enrich(marker, update) {{ marker }}\n", self.binary.display());
        fs::write(&page, text).expect("a page");
        fs::set_permissions(&page, fs::Permissions::from_mode(0o755)).expect("permissions");
        self.host.give_to_run_user(&page);
        page
    }

    fn files(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.host.place(dir)).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    /// Asserts that a push with a broken configuration is captured in the inbox, and becomes a
    /// marker later.
    fn is_found(&self, how: &str, push: impl FnOnce()) {
        let before = self.files("srv/var/state/outbox/unassigned/new").len();
        self.while_broken(how, push);
        assert_eq!(self.files("srv/var/state/inbox").len(), 1, "{how}");
        // Without a destination, the marker stays in the spool.
        assert_eq!(self.run(&["deliver"]).code, Some(1), "{how}");
        assert_eq!(self.files("srv/var/state/inbox"), [""; 0], "{how}");
        assert_eq!(self.files("srv/var/state/outbox/unassigned/new").len(), before + 1, "{how}");
    }
}

/// Configurations that cannot be read, or that do not name the state directory.
const WAYS: [&str; 6] =
    ["closed", "directory", "loop", "pipe", "state_dir = \"/var/lib/unterminated", "\u{0}\u{0}\u{0}"];

#[test]
fn wrapper_passes_the_state_directory() {
    let broken = Broken::new();
    for how in WAYS.iter().chain(&["state_dri = \"/elsewhere\"\n"]) {
        broken.is_found(how, || {
            broken.host.push().succeeded();
        });
    }
}

#[test]
fn page_reads_the_state_directory_from_the_wrapper() {
    let broken = Broken::beside_the_binary();
    broken.page();
    for how in WAYS {
        broken.is_found(how, || {
            broken.host.push().succeeded();
        });
    }
}

#[test]
fn page_reads_the_state_directory_from_the_config_hook() {
    let broken = Broken::new();
    let host = &broken.host;
    host.push().succeeded();
    host.sandbox.executable(
        "newer-git",
        "#!/bin/sh\n[ \"$1\" = version ] && echo git version 2.55.0 && exit\nexec git \"$@\"\n",
    );
    let mut install = host.command(Who::everybody()[0], &broken.binary.display().to_string());
    install.args(["install", "--config"]).arg(&broken.config);
    install.args(["--gitea-config", &host.text("etc/app.ini"), "--git"]).arg(host.sandbox.path("newer-git"));
    host.sandbox.run(&mut install, b"").succeeded();
    let git = |args: &[&str]| {
        let mut git = host.command(Who::RunUser, "git");
        let ran = host.sandbox.run(git.current_dir(host.sandbox.path("clone")).args(args), b"");
        ran.succeeded().stdout.trim_end().to_string()
    };
    let command =
        git(&["config", "--file", &host.text("gitea/home/.gitconfig"), "hook.gitea-lightstep.command"]);
    let update = format!("{} {} refs/heads/main\n", "0".repeat(40), git(&["rev-parse", "HEAD"]));
    // Like git, which runs it in a shell in the repository.
    let take = |words: &[&str]| {
        let mut hook = host.command(Who::RunUser, words[0]);
        hook.args(&words[1..]).env("GIT_DIR", ".").env("HOME", host.place("gitea/home"));
        host.sandbox.run(hook.current_dir(host.bare()), update.as_bytes()).succeeded();
    };
    broken.is_found("closed", || take(&["sh", "-c", &command]));
    let page = broken.page().display().to_string();
    broken.is_found("closed", || take(&[&broken.binary.display().to_string(), "hook", &page]));
}

/// Runs a command with other directories mounted as `/var/lib`, and optionally as `/etc`.
fn in_its_own_place(broken: &Broken, command: &Command, etc: Option<&Path>) -> Ran {
    let host = &broken.host;
    let script = "mount --bind \"$1\" /var/lib && { [ -z \"$2\" ] || mount --bind \"$2\" /etc; } && shift 2 && \
                  exec setpriv --reuid \"$1\" --regid \"$2\" --clear-groups -- \"${@:3}\"";
    let mut unshare = host.sandbox.command("unshare", &host.sandbox.path(""));
    unshare.args(["-m", "bash", "-c", script, "bash"]).arg(host.place("varlib"));
    unshare.arg(etc.unwrap_or(Path::new(""))).arg(host.user.uid.to_string()).arg(host.user.gid.to_string());
    unshare.arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        unshare.current_dir(dir);
    }
    host.sandbox.run(&mut unshare, b"")
}

#[test]
fn captures_of_an_older_hook_in_the_default_directory_are_imported() {
    assert_root();
    let broken = Broken::new();
    let host = &broken.host;
    let default = host.place("varlib/gitea-lightstep");
    fs::create_dir_all(&default).expect("a directory");
    fs::set_permissions(&default, fs::Permissions::from_mode(0o700)).expect("permissions");
    host.give_to_run_user(&default);
    // A wrapper from a version without --state-dir.
    let wrapper = host.bare().join("hooks/post-receive.d/gitea-lightstep");
    let text = fs::read_to_string(&wrapper).expect("the wrapper");
    let older: String = text
        .replace(" --state-dir \"$state\"", "")
        .lines()
        .filter(|line| !line.starts_with("state="))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(older, text);
    fs::write(&wrapper, older).expect("written");
    let push = || {
        let mut commit = host.command(Who::RunUser, "git");
        commit.current_dir(host.sandbox.path("clone")).args([
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "Something",
        ]);
        host.sandbox.run(&mut commit, b"").succeeded();
        let mut git = host.command(Who::RunUser, "git");
        git.current_dir(host.sandbox.path("clone")).args(["push", "-q", "origin", "HEAD:main"]);
        in_its_own_place(&broken, &git, None).succeeded();
    };
    let run = |args: &[&str], etc: Option<&Path>| in_its_own_place(&broken, &broken.lightstep(args), etc);
    broken.while_broken("closed", push);
    broken.while_broken("directory", push);
    let captured = broken.files("varlib/gitea-lightstep/inbox");
    assert_eq!(captured.len(), 2);

    let ran = run(&["status"], None);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("elsewhere    2 files in /var/lib/gitea-lightstep, which is not the configured"),
        "{}",
        ran.stdout
    );
    let listed = run(&["queue", "list"], None);
    assert!(
        listed.stderr.contains("there are more files in `/var/lib/gitea-lightstep`"),
        "{}",
        listed.stderr
    );
    // Captures that belong to another configuration are left alone.
    let etc = host.place("other-etc");
    fs::create_dir_all(etc.join("gitea-lightstep")).expect("a directory");
    for name in ["passwd", "group"] {
        fs::copy(Path::new("/etc").join(name), etc.join(name)).expect("a copy");
    }
    fs::write(etc.join("gitea-lightstep/config.toml"), "[reply]\nto_pusher = \"nothing\"\n")
        .expect("written");
    assert_eq!(run(&["deliver"], Some(&etc)).code, Some(0));
    assert_eq!(broken.files("varlib/gitea-lightstep/inbox").len(), 2);
    assert_eq!(run(&["status"], Some(&etc)).code, Some(0));

    // One capture is in both places, because the machine died before the first copy was removed.
    fs::create_dir_all(host.place("srv/var/state/inbox")).expect("a directory");
    let copy = host.place("srv/var/state/inbox").join(&captured[0]);
    fs::copy(host.place("varlib/gitea-lightstep/inbox").join(&captured[0]), &copy).expect("a copy");
    fs::set_permissions(host.place("srv/var/state/inbox"), fs::Permissions::from_mode(0o700))
        .expect("permissions");
    host.give_to_run_user(&host.place("srv/var/state"));
    for _ in 0..2 {
        assert_eq!(run(&["deliver"], None).code, Some(1));
        assert_eq!(broken.files("varlib/gitea-lightstep/inbox"), [""; 0]);
        assert_eq!(broken.files("srv/var/state/inbox"), [""; 0]);
        assert_eq!(broken.files("srv/var/state/outbox/unassigned/new").len(), 2);
    }
    assert_eq!(run(&["status"], None).code, Some(0));
    let log = run(&["log"], None);
    assert!(
        log.stdout.contains("moved 2 captured pushes here from `/var/lib/gitea-lightstep`"),
        "{}",
        log.stdout
    );
    // A capture of another user is not taken over.
    chown(&default, Some(12_345), None).expect("a stranger's");
    fs::copy(&wrapper, default.join("inbox").join(&captured[0])).expect("a file");
    fs::set_permissions(&default, fs::Permissions::from_mode(0o755)).expect("permissions");
    assert_eq!(run(&["deliver"], None).code, Some(1));
    assert_eq!(broken.files("srv/var/state/inbox"), [""; 0]);
}
