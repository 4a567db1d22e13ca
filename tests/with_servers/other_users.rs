//! Files and processes of other users: `doctor` reports them, and root neither runs nor trusts them.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown, lchown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{
    BINARY, Sandbox, assert_root,
    backend::Backend,
    clinic::Clinic,
    estate::Estate,
    giteas::{Running, dry_run, json},
    host::{Who, proposed_for, walk},
    recorder::Recorder,
    spool::Ground,
    wait_until,
};

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

/// Starts a program as the stranger, under this name.
fn of_stranger(estate: &Estate, program: &Path, name: &str, words: &[&str]) -> Running {
    let mut command = estate.command(program);
    Running::run(command.uid(STRANGER).gid(STRANGER), name, words, &[])
}

#[test]
fn journal_of_another_user_is_reported_in_advance() {
    assert_root();
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("foreign", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    spool.drain();
    chown(spool.state(), Some(12345), None).expect("another owner");
    let status = spool.healthy(&["status"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.stdout.contains("cannot be written: `"), "{}", status.stdout);
    assert!(status.stdout.contains("belongs to `root`; run `chown 12345 "), "{}", status.stdout);
}

#[test]
fn token_file_readable_by_a_foreign_group_is_refused() {
    assert_root();
    let sandbox = Sandbox::new();
    sandbox.commit("Secret", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "headers = { authorization = { file = \"token\" } }\n");
    sandbox.write_secret("token", "s3cr3t");
    let path = sandbox.path("token");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
    for (user, group, is_read) in [(0, 4343, false), (4242, 4343, false), (0, 4242, true)] {
        chown(&path, Some(user), Some(group)).expect("a new owner");
        let script = "chown -R 4242:4242 \"$1/state\"; chmod 755 \"$1\"; \
                      exec setpriv --reuid 4242 --regid 4242 --groups 4343 \"$0\" deliver --config \"$1/config.toml\"";
        let mut shell = sandbox.command("sh", &sandbox.path(""));
        let ran = sandbox.run(shell.args(["-c", script, BINARY]).arg(sandbox.path("")), b"");
        let entry = sandbox.deliveries().pop().unwrap_or_else(|| panic!("{ran:?}"));
        assert_eq!(entry["outcome"] == "delivered", is_read, "{user}:{group}: {entry} {ran:?}");
        if !is_read {
            let why = entry["why"].as_str().expect("text");
            let as_root = format!("{}chown :4242 ", proposed_for(None));
            let fix = if user == 0 { &*as_root } else { "chmod 600 " };
            let report = format!("the group `4343` may read it (mode 0640); run `{fix}");
            assert!(why.contains(&report), "{why}");
        }
    }
}

#[test]
fn hook_and_state_of_root_are_reported() {
    assert_root();
    let clinic = Clinic::installed();
    let wrapper = clinic.hooks().join("gitea-lightstep");
    chown(&wrapper, Some(0), None).expect("change the owner");
    clinic.finds("hooks", "`root` owns it instead of Gitea's user", &["--no-push"]);
    clinic.host.give_to_run_user(&wrapper);
    fs::create_dir(clinic.host.place("srv/var/state/inbox")).expect("create a directory as root");
    clinic.finds("state", "`srv/var/state/inbox` belongs to `root`", &["--no-push"]);
}

/// A user whom hooks do not run as learns only that, and how to run it. Anything else could take the
/// installation away from the hook.
#[test]
fn doctor_of_another_user_proposes_nothing_else() {
    assert_root();
    let clinic = Clinic::installed();
    let doctor = |uid: u32, args: &[&str]| {
        let mut run = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
        run.uid(uid)
            .gid(uid)
            .args(["doctor", "--config", &clinic.host.text("srv/etc/config.toml")])
            .args(args);
        clinic.host.sandbox.run(&mut run, b"")
    };
    let (app_ini, root) = (clinic.host.text("etc/app.ini"), clinic.host.text("gitea/repositories"));
    let user = &clinic.host.user.name;
    let stranger = STRANGER.to_string();
    for args in [
        &["--gitea-config", &app_ini][..],
        &["--gitea-config", &app_ini, "--run-user", &stranger],
        &["--root", &root],
        &["--root", &root, "--run-user", &stranger],
        &["--gitea-config", "/nowhere"],
        &[],
    ] {
        let ran = doctor(STRANGER, args);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let lines: Vec<&str> = ran.stdout.lines().collect();
        let ["found  user", why, fix, "", "1 finding"] = &lines[..] else { panic!("{args:?}: {ran:?}") };
        assert!(
            why.contains(&format!("`{user}`")) && why.ends_with("nothing was checked"),
            "{args:?}: {why}"
        );
        assert!(fix.contains(&format!("-> run `{}", proposed_for(Some(user)))), "{args:?}: {fix}");
    }
    clinic.mode("srv/etc/config.toml", 0o600);
    let ran = doctor(STRANGER, &[]);
    assert!(
        ran.stdout.contains(&format!("-> run `{}", proposed_for(None))) && ran.stdout.contains("1 finding"),
        "{ran:?}"
    );
    let json: Value = serde_json::from_str(&doctor(STRANGER, &["--json"]).stdout).expect("JSON");
    assert_eq!((&json["findings"], &json["checks"][0]["name"]), (&1.into(), &"user".into()));
    // Root names the wrong user.
    clinic.mode("srv/etc/config.toml", 0o644);
    let ran = doctor(0, &["--gitea-config", &app_ini, "--run-user", &stranger]);
    assert!(ran.stdout.contains("found  user") && !ran.stdout.contains("chown"), "{ran:?}");
}

/// A user who may not read the state is shown the command for the one who may.
#[test]
fn unreadable_state_is_read_by_its_owner() {
    assert_root();
    let clinic = Clinic::installed();
    clinic.host.push().succeeded();
    let user = &clinic.host.user.name;
    for args in [&["status"][..], &["queue", "list"], &["log", "--last", "1"], &["explain", "acme/shop"]] {
        let mut run = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
        run.uid(STRANGER)
            .gid(STRANGER)
            .args(args)
            .args(["--config", &clinic.host.text("srv/etc/config.toml")]);
        let ran = clinic.host.sandbox.run(&mut run, b"");
        assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
        let fix = format!("; run `{}", proposed_for(Some(user)));
        assert!(ran.stderr.contains(&fix) && ran.stderr.contains(&args.join(" ")), "{args:?}: {ran:?}");
    }
}

/// Root, who may not write to the state directory, can paste what is proposed.
#[test]
fn commands_proposed_to_root_work() {
    assert_root();
    let clinic = Clinic::installed();
    clinic.host.push().succeeded();
    let run = |words: &str| {
        let line = format!("{words} --config {}", clinic.host.sandbox.path("c.toml").display());
        let mut shell = clinic.host.command(Who::Root, "sh");
        let path = format!(
            "{}:{}",
            clinic.host.sandbox.path("binary").display(),
            std::env::var("PATH").expect("PATH")
        );
        clinic.host.sandbox.run(shell.env("PATH", path).args(["-c", &line]), b"")
    };
    symlink(clinic.host.place("srv/etc/config.toml"), clinic.host.sandbox.path("c.toml")).expect("a link");
    let user = &clinic.host.user.name;
    let refused = run("gitea-lightstep queue retry --all");
    let proposed = refused.stderr.split('`').find(|span| span.starts_with("runuser")).expect("a command");
    let expected = format!("runuser -u {user} -- gitea-lightstep queue retry --all --config ");
    assert!(proposed.starts_with(&expected), "{refused:?}");
    let mut shell = clinic.host.command(Who::Root, "sh");
    let path =
        format!("{}:{}", clinic.host.sandbox.path("binary").display(), std::env::var("PATH").expect("PATH"));
    let ran = clinic.host.sandbox.run(shell.env("PATH", path).args(["-c", proposed]), b"");
    assert!(ran.stdout.contains("no dead letters to put back"), "{ran:?}");
    // `doctor` runs as Gitea's user, and root reads what it says.
    clinic.host.write("srv/etc/scripts/site.rhai", "fn decide(update) { throw \"why\" }");
    clinic.mode("srv/etc/scripts/site.rhai", 0o644);
    clinic.host.push().succeeded();
    let ran = clinic.run(Who::Root, "doctor", &["--no-push"]);
    let retry = ran.stdout.split('`').find(|span| span.contains("queue retry --all")).expect("a command");
    assert!(retry.starts_with(&format!("runuser -u {user} -- ")), "{ran:?}");
    let mut shell = clinic.host.command(Who::Root, "sh");
    let ran = clinic.host.sandbox.run(shell.args(["-c", retry]), b"");
    assert!(ran.succeeded().stdout.starts_with("1 entry put back; "), "{ran:?}");
    let shown = run("gitea-lightstep queue show none");
    assert!(shown.stderr.contains("`gitea-lightstep queue list --config"), "{shown:?}");
}

#[test]
fn fixes_for_a_state_directory_of_root_are_safe() {
    assert_root();
    let clinic = Clinic::installed();
    let state = clinic.host.place("srv/var/state");
    for path in walk(&state) {
        lchown(path, Some(0), Some(0)).expect("change the owner");
    }
    clinic.heals("belongs to `root`");
    // A delivery that the last rehearsal started may still write there.
    wait_until("the state is removed", || fs::remove_dir_all(&state).is_ok());
    clinic.heals("and Gitea's user may not create it in");
    // `doctor` does not propose to close or give away a directory that others use too.
    clinic.host.write("srv/shared/of-others", "");
    let config = fs::read_to_string(clinic.host.place("srv/etc/config.toml")).expect("the configuration");
    clinic.host.write("srv/etc/config.toml", &config.replace("srv/var/state", "srv/shared"));
    let ran = clinic.run(Who::Root, "doctor", &["--no-push"]);
    assert!(ran.stdout.contains("contains something that gitea-lightstep did not create"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("chown") && !ran.stdout.contains("chmod"), "{}", ran.stdout);
}

#[test]
fn scripts_of_other_users_are_reported() {
    assert_root();
    let clinic = Clinic::installed();
    clinic.host.write("srv/etc/scripts/acme.rhai", "fn enrich(marker, update) { marker }\n");
    clinic.mode("srv/etc/scripts/acme.rhai", 0o644);
    assert_eq!(clinic.findings(&["--no-push"]), []);
    chown(clinic.host.place("srv/etc/scripts/acme.rhai"), Some(12_345), None).expect("change the owner");
    clinic.finds("files", "scripts/acme.rhai` belongs to `12345", &["--no-push"]);
    chown(clinic.host.place("srv/etc/scripts/acme.rhai"), Some(0), None).expect("change the owner");
    clinic.mode("srv/etc/scripts/acme.rhai", 0o600);
    let found = clinic.findings(&["--no-push"]);
    assert!(
        found.iter().any(|(check, said)| check == "files" && said.contains("cannot be read by")),
        "{found:#?}"
    );
    clinic.mode("srv/etc/scripts/acme.rhai", 0o644);
    chown(clinic.host.place("srv/etc/scripts"), Some(12_345), None).expect("change the owner");
    clinic.finds("files", "scripts` belongs to `12345", &["--no-push"]);
}

#[test]
fn without_gitea_no_change_of_owner_is_proposed() {
    assert_root();
    let clinic = Clinic::installed();
    let log = clinic.host.sandbox.path("tmp/ran");
    clinic.configure(&format!(
        "headers = {{ authorization = {{ command = [\"sh\", \"-c\", \"id -u >>'{}'; echo token\"] }} }}",
        log.display()
    ));
    clinic.host.give_to_run_user(&clinic.host.place("srv/etc/config.toml"));
    let doctor = |args: &[&str]| {
        let mut run = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
        run.args(args).args(["--config", &clinic.host.text("srv/etc/config.toml")]);
        clinic.host.sandbox.run(&mut run, b"")
    };
    let ran = doctor(&["doctor", "--gitea-config", "/nowhere/app.ini"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("were not checked"), "{}", ran.stdout);
    for command in ["chown", "chmod", "chgrp", "install -d"] {
        assert!(!ran.stdout.contains(command), "{}", ran.stdout);
    }
    // Gitea's user can write this configuration, so root must not run the commands in it.
    for args in [&["check"][..], &["deliver"], &["status"], &["connect"]] {
        let ran = doctor(args);
        assert_eq!(ran.code, Some(1), "{args:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("so root does not run the command in the configuration"), "{args:?}: {said}");
    }
    assert!(!log.exists(), "{}", fs::read_to_string(&log).unwrap_or_default());
    assert_eq!(clinic.findings(&["--no-push"]), []);
    let who = fs::read_to_string(&log).expect("the log of the program");
    assert!(who.lines().all(|uid| uid == clinic.host.user.uid.to_string()), "{who}");
}

#[test]
fn app_ini_writable_by_another_user_is_refused() {
    assert_root();
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
    assert_root();
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
    fs::copy(BINARY, trap.dir.join("binary")).expect("a copy");
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

/// Other processes of the machine are seen too, so the tests that start such processes run one after the
/// other.
#[test]
fn processes_of_other_users_are_not_believed() {
    assert_root();
    crate::install_in_image::process_of_another_user_is_not_used_to_find_gitea();
    let estate = Estate::new();
    let trap = Trap::set(&estate);
    let ini = trap.ini().display().to_string();
    let real = estate.path("app.ini").display().to_string();
    let yes = Path::new("/usr/bin/yes");
    for name in ["gitea", "/usr/bin/gitea", "gitea-1.27.0-linux-amd64", "forgejo", "gitea\nUid:\t0"] {
        let _running = of_stranger(&estate, yes, name, &["web", "--config", &ini]);
        trap.refused(&[], "found no Gitea");
    }
    {
        let _running = of_stranger(&estate, yes, "gitea", &["web", "--config", &ini]);
        trap.refused(&[], "belongs to `12345");
    }
    // A process of another user is ignored even if it uses Gitea's own file.
    {
        let _running = of_stranger(&estate, yes, "gitea", &["web", "--config", &real]);
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
fn app_ini_names_the_user_that_root_becomes() {
    assert_root();
    let estate = Estate::new();
    let ini = fs::read_to_string(estate.path("app.ini")).expect("app.ini");
    for (run_user, why) in [
        ("RUN_USER = root", "is root, but Gitea does not run as root; name its user with --run-user"),
        ("RUN_USER = who", "`RUN_USER` in `"),
    ] {
        fs::write(estate.path("app.ini"), ini.replace("RUN_USER = nobody", run_user)).expect("written");
        let ran = estate.install(&[]);
        assert_eq!(ran.code, Some(1), "{run_user}");
        assert!(ran.stderr.contains(why), "{run_user}: {}", ran.stderr);
    }
    // Without RUN_USER, the owner of the repositories is used.
    fs::write(estate.path("app.ini"), ini.replace("RUN_USER = nobody\n", "")).expect("written");
    assert_eq!(json(&estate.install(&["--json"]))["run_user"], "nobody");
}

#[test]
fn state_of_root_is_not_purged() {
    assert_root();
    let estate = Estate::new();
    estate.sandbox.write("state/journal/2026-11.jsonl", "");
    let mut lightstep: Command = estate.lightstep(&["uninstall", "--purge"]);
    let ran = estate.sandbox.run(lightstep.args(estate.options()), b"");
    assert!(ran.stderr.contains("belongs to `root`"), "{}", ran.stderr);
}
