//! How `install` finds Gitea and treats unusual names and paths, and what `uninstall --purge`
//! removes.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown, lchown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    Ran,
    estate::{Estate, assert_same, is_root},
    terminal::on_terminal,
    wait_until,
};

/// A process that looks like a running Gitea.
struct Running(Child);

impl Running {
    /// Starts a program under Gitea's name. It blocks until its output is read.
    fn start(estate: &Estate, words: &[&str], env: &[(&str, String)]) -> Self {
        let mut yes = estate.command("yes");
        Self::run(&mut yes, "/opt/gitea/gitea", words, env)
    }

    /// Starts the program as another user, under this name.
    fn of_stranger(estate: &Estate, program: &Path, name: &str, words: &[&str]) -> Self {
        let mut yes = estate.command(program);
        Self::run(yes.uid(STRANGER).gid(STRANGER), name, words, &[])
    }

    fn run(yes: &mut Command, name: &str, words: &[&str], env: &[(&str, String)]) -> Self {
        let child = yes
            .arg0(name)
            .args(words)
            // With POSIXLY_CORRECT, `yes` does not parse the words after the first as options.
            .env("POSIXLY_CORRECT", "1")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the process");
        let cmdline = format!("/proc/{}/cmdline", child.id());
        wait_until("the process has its name", || {
            fs::read(&cmdline).is_ok_and(|read| read.starts_with(format!("{name}\0").as_bytes()))
        });
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// ID of a user who is neither root nor Gitea's user.
const STRANGER: u32 = 12_345;

/// A directory of another user, with an app.ini that names Gitea's user, and a git that logs which
/// user runs it.
struct Trap<'a> {
    estate: &'a Estate,
    dir: PathBuf,
}

impl<'a> Trap<'a> {
    fn set(estate: &'a Estate) -> Self {
        let trap = Self { estate, dir: estate.path("theirs") };
        estate.sandbox.write("tmp/ran", "");
        fs::set_permissions(trap.log(), fs::Permissions::from_mode(0o666)).expect("permissions");
        estate.sandbox.executable(
            "theirs/git",
            &format!("#!/bin/sh\nid -u >>'{}'\nexec git \"$@\"\n", trap.log().display()),
        );
        let ini = fs::read_to_string(estate.path("app.ini")).expect("app.ini");
        let git = trap.dir.join("git").display().to_string();
        estate.sandbox.write("theirs/app.ini", format!("{ini}[git]\nPATH = {git}\n"));
        trap.own(&trap.dir);
        trap.own(&trap.dir.join("git"));
        trap.own(&trap.ini());
        trap
    }

    fn log(&self) -> PathBuf {
        self.estate.path("tmp/ran")
    }

    fn ini(&self) -> PathBuf {
        self.dir.join("app.ini")
    }

    fn own(&self, path: &Path) {
        lchown(path, Some(STRANGER), Some(STRANGER)).expect("change the owner");
    }

    /// Runs the commands as root, and asserts that they refuse for this reason before they run any
    /// of the other user's programs.
    #[track_caller]
    fn refused(&self, words: &[&str], why: &str) {
        self.refused_by(&["install", "uninstall", "doctor"], words, why);
    }

    #[track_caller]
    fn refused_by(&self, commands: &[&str], words: &[&str], why: &str) {
        for command in commands {
            let mut lightstep = self.estate.lightstep(&[*command, "--config"]);
            lightstep.arg(self.estate.path("config.toml")).args(words);
            lightstep.env("TMPDIR", &self.dir).current_dir(&self.dir);
            let ran = self.estate.sandbox.run(&mut lightstep, b"");
            assert_eq!(ran.code, Some(1), "{command} {words:?}: {}{}", ran.stdout, ran.stderr);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(why), "{command} {words:?}: {said}");
            assert_eq!(fs::read_to_string(self.log()).expect("the log"), "", "{command} {words:?}");
        }
    }
}

fn dry_run(estate: &Estate, words: &[&str]) -> Ran {
    let mut install = estate.lightstep(&["install", "--dry-run", "--json", "--config"]);
    install.arg(estate.path("config.toml")).args(words);
    estate.sandbox.run(&mut install, b"")
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {}{}", ran.stdout, ran.stderr))
}

// This is one test, because the search sees all processes of the machine.
#[test]
fn gitea_is_found_by_its_process() {
    let estate = Estate::new();
    let ini = estate.path("app.ini").display().to_string();
    let found = |words: &[&str]| json(&dry_run(&estate, words))["gitea_config"].as_str().map(String::from);
    if is_root() {
        strangers_are_not_believed();
    }
    {
        let _running = Running::start(&estate, &["web", "--config", &ini], &[]);
        assert_eq!(found(&[]), Some(ini.clone()));
    }
    for name in
        ["gitea-1.27.0-linux-amd64", "/opt/gitea/gitea-1.27.0", "./gitea-linux-amd64", "forgejo-11.0.1"]
    {
        let mut yes = estate.command("yes");
        let _running = Running::run(&mut yes, name, &["web", "--config", &ini], &[]);
        assert_eq!(found(&[]), Some(ini.clone()), "{name}");
    }
    {
        let _running = Running::start(&estate, &["web", "--config", &ini], &[]);
        // A second process with the same file, even under another path, is the same Gitea.
        estate.link("app.ini", "also.ini");
        let _again = Running::start(&estate, &["web", "-c", "also.ini"], &[]);
        assert!(found(&[]).is_some_and(|found| found == ini || found.ends_with("also.ini")));
        // A process without the `web` subcommand is ignored.
        let _serv = Running::start(&estate, &["serv", "key-1", "--config=/elsewhere/app.ini"], &[]);
        assert!(found(&[]).is_some());
        // With two different Giteas, the user has to choose.
        estate.sandbox.write("second/conf/app.ini", fs::read(&ini).expect("app.ini"));
        let custom = estate.path("second").display().to_string();
        let _second = Running::start(&estate, &["web"], &[("GITEA_CUSTOM", custom.clone())]);
        let ran = dry_run(&estate, &[]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("found more than one Gitea: `"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("`{custom}/conf/app.ini`; choose one with --gitea-config")),
            "{}",
            ran.stderr
        );
        assert_eq!(found(&["--gitea-config", &ini]), Some(ini.clone()));
    }

    // Without a setting in app.ini, the process provides its work path, its user and its git.
    let work = estate.path("work");
    estate.sandbox.write(
        "work/custom/conf/app.ini",
        format!("[repository]\nROOT = {}\n", estate.path("git").display()),
    );
    let newer = estate.git_that_says("2.54.1");
    fs::create_dir_all(estate.path("tools")).expect("a directory");
    fs::rename(newer, estate.path("tools/git")).expect("renamed");
    estate.hand_over();
    let path = format!("{}:/usr/bin:/bin", estate.path("tools").display());
    let work_dir = ("GITEA_WORK_DIR", work.display().to_string());
    let _running = Running::start(&estate, &["web"], &[work_dir, ("PATH", path)]);
    let said = json(&dry_run(&estate, &[]));
    assert_eq!(said["gitea_config"], work.join("custom/conf/app.ini").display().to_string());
    assert_eq!(said["home"], work.join("data/home").display().to_string());
    assert_eq!((&said["git"], &said["way"]), (&"2.54.1".into(), &"config_hook".into()));
    // A Gitea that has never started does not have a git home. `install` creates it with Gitea's
    // user as owner.
    let mut install = estate.lightstep(&["install", "--config"]);
    estate.sandbox.run(install.arg(estate.path("config.toml")), b"").succeeded();
    let config = fs::read_to_string(work.join("data/home/.gitconfig")).expect("the file");
    assert!(config.contains("[hook \"gitea-lightstep\"]"));
    assert!(estate.seen("work").values().all(|seen| seen.uid == estate.uid()));
}

/// Starts processes with which another user could make root run a program as Gitea's user.
fn strangers_are_not_believed() {
    let estate = Estate::new();
    let trap = Trap::set(&estate);
    let ini = trap.ini().display().to_string();
    let real = estate.path("app.ini").display().to_string();
    let yes = Path::new("/usr/bin/yes");
    for name in ["gitea", "/usr/bin/gitea", "gitea-1.27.0-linux-amd64", "forgejo", "gitea\nUid:\t0"] {
        let _running = Running::of_stranger(&estate, yes, name, &["web", "--config", &ini]);
        trap.refused(&[], "found no Gitea");
    }
    {
        let _running = Running::of_stranger(&estate, yes, "gitea", &["web", "--config", &ini]);
        trap.refused(&[], "belongs to `12345");
    }
    // A process of another user is ignored even if it uses Gitea's own file.
    {
        let _running = Running::of_stranger(&estate, yes, "gitea", &["web", "--config", &real]);
        trap.refused(&[], "it runs as `12345");
    }
    // So is a program that every user can modify.
    let loose = estate.path("loose/yes");
    estate.place_binary("loose/yes", "/usr/bin/yes");
    fs::remove_file(&loose).expect("remove the link to /usr/bin/yes");
    fs::copy("/usr/bin/yes", &loose).expect("a copy");
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o777)).expect("permissions");
    {
        let mut command = estate.command(&loose);
        let _running = Running::run(&mut command, "gitea", &["web", "--config", &real], &[]);
        trap.refused(&[], "loose/yes` has the mode 0777");
    }
}

#[test]
fn app_ini_writable_by_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let estate = Estate::new();
    let trap = Trap::set(&estate);
    let named = |path: &Path| ["--gitea-config".to_string(), path.display().to_string()];
    let refused = |path: &Path, why: &str| {
        let words = named(path);
        trap.refused(&[&words[0], &words[1]], why);
    };
    refused(&trap.ini(), "theirs`, on the way to `");
    // Write permission on the file or its directory is refused like ownership.
    let ini = fs::read_to_string(trap.ini()).expect("app.ini");
    estate.sandbox.write("open/app.ini", &ini);
    let open = estate.path("open/app.ini");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).expect("permissions");
    refused(&open, "open/app.ini` has the mode 0666");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o664)).expect("permissions");
    chown(&open, Some(0), Some(100)).expect("change the group");
    refused(&open, "chmod go-w '");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("permissions");
    fs::set_permissions(estate.path("open"), fs::Permissions::from_mode(0o777)).expect("permissions");
    refused(&open, "on the way to");
    trap.own(&estate.path("open"));
    fs::set_permissions(estate.path("open"), fs::Permissions::from_mode(0o755)).expect("permissions");
    refused(&open, "open`, on the way to");
    // A symbolic link of another user, and our own link through another user's directory.
    estate.sandbox.write("safe/app.ini", &ini);
    let safe = estate.path("safe/app.ini");
    fs::create_dir(estate.path("sticky")).expect("a directory");
    fs::set_permissions(estate.path("sticky"), fs::Permissions::from_mode(0o1777)).expect("permissions");
    symlink(&safe, estate.path("sticky/app.ini")).expect("a link");
    trap.own(&estate.path("sticky/app.ini"));
    refused(&estate.path("sticky/app.ini"), "sticky/app.ini` belongs to `12345");
    symlink(&safe, trap.dir.join("link.ini")).expect("a link");
    symlink(trap.dir.join("link.ini"), estate.path("ours.ini")).expect("a link");
    refused(&estate.path("ours.ini"), "theirs`, on the way to");
    symlink("../theirs/../safe/app.ini", estate.path("safe/up.ini")).expect("a link");
    refused(&estate.path("safe/up.ini"), "theirs`, on the way to");
    // The app.ini may be safe, and its git may still be another user's.
    let words = named(&safe);
    trap.refused_by(&["install", "doctor"], &[&words[0], &words[1]], "theirs`, on the way to `");
    // The file must belong to root or to the user that it names.
    let text = fs::read_to_string(estate.path("app.ini")).expect("app.ini").replace("nobody", "daemon");
    estate.sandbox.write("daemon.ini", text);
    chown(estate.path("daemon.ini"), Some(estate.uid()), None).expect("change the owner");
    refused(&estate.path("daemon.ini"), "belongs to `nobody`, who is neither root nor `daemon`");
    // The same rules apply to the repository root.
    let theirs = trap.dir.join("git-root");
    symlink(estate.path("git"), &theirs).expect("a link");
    trap.refused(&["--root", &theirs.display().to_string()], "theirs`, on the way to");
    // The permissions in Gitea's images and packages are accepted.
    for (owner, group, mode) in [(estate.uid(), estate.uid(), 0o600), (0, 0, 0o664)] {
        let path = estate.path("app.ini");
        chown(&path, Some(owner), Some(group)).expect("an owner");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        let words = named(&path);
        let said = json(&dry_run(&estate, &[&words[0], &words[1], "--git", &estate.older_git()]));
        assert_eq!(said["run_user"], "nobody");
    }
}

#[test]
fn files_of_other_users_are_refused_for_the_hook() {
    if !is_root() {
        return;
    }
    let estate = Estate::new();
    let trap = Trap::set(&estate);
    let refused = |words: &[&str], why: &str| {
        let ran = estate.install(words);
        assert_eq!(ran.code, Some(1), "{words:?}: {}", ran.stdout);
        assert!(ran.stderr.contains(why), "{words:?}: {}", ran.stderr);
        assert!(!estate.wrapper("acme/shop.git").exists(), "{words:?}");
    };
    let git = trap.dir.join("git").display().to_string();
    refused(&["--git", &git], "theirs`, on the way to `");
    fs::copy(env!("CARGO_BIN_EXE_gitea-lightstep"), trap.dir.join("binary")).expect("a copy");
    let binary = trap.dir.join("binary").display().to_string();
    refused(&["--binary", &binary], "theirs`, on the way to `");
    assert_eq!(fs::read_to_string(trap.log()).expect("the log"), "");
    // GITEA_LIGHTSTEP_CONFIG in the caller's environment must not make root read commands from
    // another user's file.
    fs::copy(estate.path("config.toml"), trap.dir.join("config.toml")).expect("a copy");
    let mut install = estate.lightstep(&["install", "--gitea-config"]);
    install.arg(estate.path("app.ini")).args(["--git", &estate.older_git()]);
    install.env("GITEA_LIGHTSTEP_CONFIG", trap.dir.join("config.toml"));
    let ran = estate.sandbox.run(&mut install, b"");
    assert!(ran.code == Some(1) && ran.stderr.contains("theirs`, on the way to `"), "{}", ran.stderr);
    // `install` skips an unsafe git that is earlier in `PATH`.
    let mut install = estate.lightstep(&["install"]);
    let path = format!("{}:{}", trap.dir.display(), std::env::var("PATH").expect("a PATH"));
    install.args(estate.options()).env("PATH", path);
    estate.sandbox.run(&mut install, b"").succeeded();
    assert_eq!(fs::read_to_string(trap.log()).expect("the log"), "");
}

#[test]
fn repository_root_is_sufficient_without_app_ini() {
    let estate = Estate::new();
    let root = estate.path("git").display().to_string();
    let config = estate.path("config.toml").display().to_string();
    let run = |words: &[&str]| {
        let mut lightstep = estate.lightstep(words);
        estate.sandbox.run(lightstep.args(["--root", &root, "--config", &config]), b"")
    };
    let before = estate.lasting("");
    let newer = estate.git_that_says("2.55.0");
    let said = json(&run(&["install", "--json", "--git", &newer]));
    assert_eq!(
        (&said["way"], &said["repositories"]["changed"], &said["git_config"]),
        (&"files".into(), &1.into(), &Value::Null)
    );
    assert!(estate.wrapper("acme/shop.git").exists());
    estate.commit("Two");
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    run(&["uninstall"]).succeeded();
    let _ = fs::remove_file(newer);
    let hooks = |mut seen: crate::support::estate::Tree| {
        seen.retain(|path, _| path.starts_with("git") && path.to_string_lossy().contains("/hooks"));
        seen
    };
    assert_same(&hooks(before), &hooks(estate.lasting("")), "in the end");
    let ran = estate
        .sandbox
        .run(&mut estate.lightstep(&["install", "--root", "/nonexistent", "--config", &config]), b"");
    assert!(
        ran.stderr.contains("`/nonexistent` cannot be inspected: No such file or directory"),
        "{}",
        ran.stderr
    );
}

#[test]
fn single_repositories_get_a_wrapper() {
    let estate = Estate::new();
    estate.repository("acme/other.git");
    estate.repository("acme/shop.wiki.git");
    estate.hand_over();
    let newer = estate.git_that_says("2.55.0");
    // Gitea's repository names are lower case on disk. This works with any version of git.
    let ran = estate.install(&["--git", &newer, "--repository", "Acme/Shop", "--repository", "acme/none"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("found no repository `acme/none` in `"), "{}", ran.stderr);
    assert!(estate.wrapper("acme/shop.git").exists());
    assert!(!estate.wrapper("acme/other.git").exists() && !estate.wrapper("acme/shop.wiki.git").exists());
    assert!(!estate.git_config().exists());
    estate.uninstall(&["--repository", "acme/shop"]).succeeded();
    assert!(!estate.wrapper("acme/shop.git").exists());
    for wrong in ["acme", "acme/", "/shop", "acme/shop/x", "acme/..", "../shop"] {
        assert_eq!(estate.install(&["--repository", wrong]).code, Some(2), "{wrong}");
    }
}

#[test]
fn paths_may_contain_shell_characters_but_not_line_breaks() {
    let estate = Estate::new();
    let odd = "bin/it's a \"$HOME\" `id`; \\ #";
    estate.place_binary(&format!("{odd}/gitea-lightstep"), env!("CARGO_BIN_EXE_gitea-lightstep"));
    let config = estate.path(&format!("{odd}/config.toml"));
    fs::copy(estate.path("config.toml"), &config).expect("a copy");
    fs::write(
        &config,
        format!("state_dir = \"{}\"\n[policy.limits]\ntime = \"20s\"\n", estate.sandbox.state().display()),
    )
    .expect("written");
    let binary = estate.path(&format!("{odd}/gitea-lightstep"));
    let ini = estate.path("app.ini");
    let run = |words: &[&str]| {
        let mut lightstep = estate.lightstep(&words[..1]);
        lightstep.arg("--gitea-config").arg(&ini).arg("--config").arg(&config);
        if words[0] == "install" {
            lightstep.arg("--binary").arg(&binary).args(estate.with_git(&words[1..]));
        }
        estate.sandbox.run(&mut lightstep, b"")
    };
    run(&["install"]).succeeded();
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    run(&["uninstall"]).succeeded();
    // With a config hook, git runs the command in a shell.
    run(&["install", "--git", &estate.git_that_says("2.55.0")]).succeeded();
    let mut get = estate.command("git");
    let command = estate.sandbox.run(get.args(["config", "--get", "hook.gitea-lightstep.command"]), b"");
    let mut shell = estate.command("sh");
    shell
        .arg("-c")
        .arg(command.succeeded().stdout.trim_end())
        .env("GIT_DIR", ".")
        .current_dir(estate.sandbox.bare());
    let head = estate
        .sandbox
        .run(estate.command("git").current_dir(estate.path("clone")).args(["rev-parse", "HEAD"]), b"");
    let update = format!("{} {} refs/heads/main\n", "0".repeat(40), head.stdout.trim());
    assert_eq!(estate.sandbox.run(&mut shell, update.as_bytes()).succeeded().stderr.lines().count(), 1);
    run(&["uninstall"]).succeeded();

    let mut install = estate.lightstep(&["install", "--config", "/with\na newline"]);
    let ran = estate.sandbox.run(install.arg("--gitea-config").arg(&ini), b"");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("`/with\\na newline` cannot be used in a hook"), "{}", ran.stderr);
}

#[test]
fn files_inaccessible_to_giteas_user_are_not_installed() {
    let estate = Estate::new();
    let before = estate.lasting("git");
    let refused = |words: &[&str], why: &str| {
        let ran = estate.install(words);
        assert_eq!(ran.code, Some(1), "{words:?}");
        assert!(ran.stderr.contains(why), "{words:?}: {}", ran.stderr);
    };
    refused(
        &["--binary", "/nonexistent/gitea-lightstep"],
        "`/nonexistent/gitea-lightstep` cannot be executed by `",
    );
    refused(
        &["--git", "/nonexistent/git"],
        "`/nonexistent/git` cannot be inspected: No such file or directory",
    );
    estate.sandbox.executable("bin/nogit", "#!/bin/sh\nprintf 'not \\033[31mgit\\n'\n");
    let nogit = estate.path("bin/nogit").display().to_string();
    refused(&["--git", &nogit], "expected it to print `git version 2.…`, found `not \\u{1b}[31mgit`");
    let closed = estate.path("config.toml");
    estate.take_from_user(&closed);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).expect("permissions");
    refused(&[], "config.toml` cannot be read by `");
    assert_same(&before, &estate.lasting("git"), "the wrapper is still installed");
    let mut install = estate.lightstep(&["install", "--gitea-config"]);
    let ran = estate.sandbox.run(install.arg(estate.path("app.ini")), b"");
    if !Path::new("/etc/gitea-lightstep/config.toml").exists() {
        assert!(ran.stderr.contains("found no configuration for the hook"), "{}", ran.stderr);
    }
}

#[test]
fn purge_removes_only_the_state() {
    let estate = Estate::new();
    let state = estate.sandbox.state();
    estate.install(&[]).succeeded();
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    estate.sandbox.wait_for_deliverers_to_end();
    let kept = estate.lasting("state");

    let ran = estate.uninstall(&["--purge"]);
    assert_eq!(ran.code, Some(2));
    let why = "holds 1 entry that is not delivered and 0 dead letters, which --purge would permanently \
               remove; confirm with --yes";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(estate.wrapper("acme/shop.git").exists(), "the wrapper is still installed");
    // On a terminal it asks, and `n` cancels.
    let ini = estate.path("app.ini").display().to_string();
    let words = ["uninstall", "--purge", "--gitea-config", &ini];
    let asked = on_terminal(&estate.sandbox, &words, "n");
    assert_eq!(asked.code, Some(1));
    assert!(asked.stdout.contains("permanently remove them and the journal? [y/N] "), "{}", asked.stdout);
    assert!(asked.stdout.ends_with("gitea-lightstep: nothing was changed\r\n"), "{}", asked.stdout);
    let dry = estate.uninstall(&["--purge", "--dry-run"]);
    assert!(dry.succeeded().stdout.contains("would be removed"), "{}", dry.stdout);
    assert_same(&kept, &estate.lasting("state"), "a dry run");

    // Files of other programs are not removed, and the state directory must not be a symbolic link.
    estate.sandbox.write("state/notes.txt", "mine");
    estate.hand_over();
    let ran = estate.uninstall(&["--purge", "--yes"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("notes.txt` was not created by gitea-lightstep"), "{}", ran.stderr);
    assert!(state.join("journal").exists());
    fs::remove_file(state.join("notes.txt")).expect("removed");
    fs::rename(&state, estate.path("real")).expect("renamed");
    estate.link("real", "state");
    estate.hand_over();
    let ran = estate.uninstall(&["--purge", "--yes"]);
    assert!(ran.stderr.contains("/state` is a symbolic link"), "{}", ran.stderr);
    assert!(estate.path("real/journal").exists());
    fs::remove_file(&state).expect("removed");
    fs::rename(estate.path("real"), &state).expect("renamed");
    // A symbolic link inside is removed, but not its target.
    estate.sandbox.write("precious/file", "mine");
    estate.link("../precious", "state/postponed");
    for name in ["connect.json", "connect.lock"] {
        estate.sandbox.write(&format!("state/{name}"), "[]");
    }
    estate.hand_over();
    let ran = estate.uninstall(&["--purge", "--yes", "--json"]);
    assert_eq!(json(ran.succeeded())["purged"]["gone"], true);
    assert!(!state.exists() && estate.path("precious/file").exists());
    // The process of Gitea's user has another directory and environment, so relative paths and the
    // variable are resolved first.
    for (words, variable) in [(&["--config", "config.toml"][..], ""), (&[], "config.toml")] {
        estate.sandbox.write("state/journal/2026-11.jsonl", "");
        estate.hand_over();
        let mut lightstep = estate.lightstep(&["uninstall", "--purge", "--gitea-config", "app.ini"]);
        lightstep.current_dir(estate.path("")).env("GITEA_LIGHTSTEP_CONFIG", variable);
        estate.sandbox.run(lightstep.args(words), b"").succeeded();
        assert!(!state.exists(), "{words:?}");
    }
    let again = estate.uninstall(&["--purge"]);
    assert!(again.succeeded().stdout.contains("did not exist"), "{}", again.stdout);
    if is_root() {
        estate.sandbox.write("state/journal/2026-11.jsonl", "");
        let mut lightstep: Command = estate.lightstep(&["uninstall", "--purge"]);
        let ran = estate.sandbox.run(lightstep.args(estate.options()), b"");
        assert!(ran.stderr.contains("belongs to the user with the id 0"), "{}", ran.stderr);
    }
}
