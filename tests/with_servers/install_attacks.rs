//! install.sh run by root, while Gitea's user or a third user has planted links and files.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use crate::support::{
    BINARY, Ran, SHELLS, TIMER_OPTIONS, assert_root,
    host::{Host, Who},
};

/// Runs `install --system` without install.sh, which rejects some paths itself.
fn install_system(host: &Host, args: &[&str]) -> Ran {
    let mut command = host.command(Who::Root, BINARY);
    command.args(["install", "--system"]).args(args);
    for (option, name) in
        [("--prefix", "srv/usr"), ("--config", "srv/etc/config.toml"), ("--state-dir", "srv/var/state")]
    {
        if !args.contains(&option) {
            command.args([option, &host.text(name)]);
        }
    }
    if !args.iter().any(|arg| TIMER_OPTIONS.contains(arg)) {
        command.arg("--no-timer");
    }
    host.sandbox.run(&mut command, b"")
}

/// Returns the files of root that nobody may change.
fn of_root(host: &Host) -> Vec<(PathBuf, String)> {
    host.listing(true).into_iter().filter(|(path, _)| path.starts_with("of-root")).collect()
}

#[test]
fn root_does_not_follow_links_of_the_run_user() {
    assert_root();
    for shell in SHELLS {
        let host = Host::new();
        let binary = host.stand_in("one/gitea-lightstep", "one");
        for dir in ["srv/usr/bin", "srv/etc", "srv/var", "of-root"] {
            fs::create_dir_all(host.place(dir)).expect("a directory");
        }
        fs::write(host.place("of-root/passwd"), "root\n").expect("written");
        host.give_to_run_user(&host.place("srv"));
        for link in ["srv/usr/bin/gitea-lightstep", "srv/etc/config.toml"] {
            symlink(host.place("of-root/passwd"), host.place(link)).expect("a link");
        }
        symlink(host.place("of-root"), host.place("srv/var/state")).expect("a link");
        let before = of_root(&host);
        let ran = host.install(Who::Root, shell, &["--binary", &binary]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("needs attention"),
            "an invalid configuration needs attention: {}",
            ran.stderr
        );
        assert_eq!(of_root(&host), before);

        for link in ["srv/etc/config.toml", "srv/var/state"] {
            fs::remove_file(host.place(link)).expect("the link can be removed");
        }
        let ran = host.install(Who::Root, shell, &["--binary", &binary]);
        assert!(ran.succeeded().stderr.contains("may write to"), "{}", ran.stderr);
        assert_eq!(of_root(&host), before);
        let installed = host.place("srv/usr/bin/gitea-lightstep").symlink_metadata().expect("metadata");
        assert_eq!(installed.uid(), host.user.uid);
    }
}

#[test]
fn root_does_not_run_files_of_the_run_user() {
    assert_root();
    for shell in SHELLS {
        let host = Host::new();
        host.give_to_run_user(&host.place("srv"));
        host.install(Who::RunUser, shell, &["--binary", &host.stand_in("one/gitea-lightstep", "one")])
            .succeeded();
        // An attacker with the rights of Gitea's user replaced the binary and waits for root to run
        // it.
        let log = host.sandbox.path("tmp/who");
        let real = host.real_binary();
        let trap = format!("#!/bin/sh\nid -u >>'{}'\nexec '{}' \"$@\"\n", log.display(), real.display());
        let installed = host.place("srv/usr/bin/gitea-lightstep");
        fs::write(&installed, trap).expect("written");
        let two = host.stand_in("two/gitea-lightstep", "two");
        let ran = host.install(Who::Root, shell, &["--binary", &two, "--dry-run"]);
        assert!(ran.succeeded().stdout.contains("(replaced)"), "{}", ran.stdout);
        let ran = host.install(Who::Root, shell, &["--uninstall"]);
        ran.succeeded();
        let who = fs::read_to_string(&log).expect("the program ran and wrote its log");
        assert!(who.lines().all(|uid| uid == host.user.uid.to_string()), "{who}");
    }
}

#[test]
fn root_does_not_write_through_directories_that_links_lead_to() {
    assert_root();
    // The user can point these links elsewhere at any time, also between a check and a write.
    for (link, args) in [
        ("srv/prefix", &["--prefix"][..]),
        ("srv/config", &["--config"]),
        ("srv/cron", &["--cron-dir"]),
        ("srv/units", &["--systemd-dir"]),
        ("srv/a/b", &["--prefix"]),
    ] {
        let host = Host::new();
        let binary = host.stand_in("one/gitea-lightstep", "one");
        for dir in ["of-root/bin", "srv/a"] {
            fs::create_dir_all(host.place(dir)).expect("a directory");
        }
        host.give_to_run_user(&host.place("srv"));
        symlink(host.place("of-root"), host.place(link)).expect("a link");
        let before = of_root(&host);
        let path = if args[0] == "--config" { format!("{link}/config.toml") } else { link.to_string() };
        let ran = host.install(Who::Root, SHELLS[0], &["--binary", &binary, args[0], &host.text(&path)]);
        assert_eq!(ran.code, Some(1), "{link}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("Permission denied"), "{link}: {}", ran.stderr);
        assert_eq!(of_root(&host), before, "{link}");
    }
}

#[test]
fn root_removes_nothing_through_links_and_unsafe_directories() {
    assert_root();
    for shell in SHELLS {
        let host = Host::new();
        host.install(Who::Root, shell, &["--binary", &host.real_binary().display().to_string()]).succeeded();
        let installed = host.place("srv/usr/bin/gitea-lightstep");
        let bin = installed.parent().expect("a directory");
        let log = host.sandbox.path("tmp/who");
        let mode = |mode| fs::set_permissions(bin, fs::Permissions::from_mode(mode)).expect("permissions");

        // An ACL shows as the write bit of the group, whatever group that is.
        mode(0o775);
        let ran = host.install(Who::Root, shell, &["--uninstall"]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("so root does not run it"), "{}", ran.stderr);
        mode(0o755);

        fs::rename(&installed, bin.join("moved")).expect("renamed");
        host.sandbox.executable("trap", &format!("#!/bin/sh\nid -u >>'{}'\n", log.display()));
        symlink(host.sandbox.path("trap"), &installed).expect("a link");
        let ran = host.install(Who::Root, shell, &["--uninstall"]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("is a link"), "{}", ran.stderr);
        assert!(!log.exists(), "root ran it");
    }
}

#[test]
fn control_characters_do_not_reach_files_of_root() {
    assert_root();
    for (option, name) in [
        ("--root", "gitea/repositories\n* * * * * root touch x"),
        ("--git", "gitea/git\nExecStartPre=+touch x"),
        ("--gitea-config", "etc/app.ini\r* * * * *"),
        ("--config", "srv/etc/config\n.toml"),
        ("--prefix", "srv/\u{1b}[2J"),
        ("--state-dir", "srv/var/state\t"),
    ] {
        let host = Host::new();
        if option == "--root" {
            fs::create_dir(host.place(name)).expect("a directory");
            host.give_to_run_user(&host.place(name));
        } else {
            fs::copy(host.app_ini(), host.place(name)).ok();
        }
        let before = host.listing(true);
        let (value, cron_dir, app_ini) =
            (host.text(name), host.text("srv/cron"), host.app_ini().display().to_string());
        let mut args = vec![option, &*value, "--cron-dir", &*cron_dir];
        if !["--root", "--gitea-config"].contains(&option) {
            args.extend(["--gitea-config", &*app_ini]);
        }
        let ran = install_system(&host, &args);
        assert_eq!(ran.code, Some(1), "{option}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("contains a control character"), "{option}: {}", ran.stderr);
        assert_eq!(host.listing(true), before, "{option}");
    }
}

#[test]
fn state_dir_of_the_run_user_adds_no_line_to_a_unit() {
    assert_root();
    for name in ["state\nExecStartPre=+touch /x", "state\r", "state\"\nUser=root", "state\\"] {
        let host = Host::new();
        // The other places have a quote in their names.
        let state_dir = host.sandbox.path("tmp").join(name);
        fs::create_dir_all(&state_dir).expect("a directory");
        host.give_to_run_user(&host.sandbox.path("tmp"));
        let text = format!("state_dir = {:?}\n", state_dir.to_str().expect("text"));
        host.write("srv/etc/config.toml", &text);
        host.give_to_run_user(&host.place("srv/etc"));
        let units = host.text("srv/units");
        let binary = host.stand_in("one/gitea-lightstep", "one");
        let ran =
            host.install(Who::Root, SHELLS[0], &["--binary", &binary, "--systemd-dir", &units, "--no-hook"]);
        let unit = Path::new(&units).join("gitea-lightstep-deliver.service");
        let unit = fs::read_to_string(unit).unwrap_or_else(|err| panic!("{name:?}: {err} {ran:?}"));
        assert!(unit.contains("\nProtectSystem=full\n"), "{unit}");
        assert!(
            !unit.contains("ExecStartPre") && !unit.contains("User=root") && !unit.contains('\r'),
            "{unit}"
        );
    }
}

#[test]
fn app_ini_does_not_choose_the_group() {
    assert_root();
    let host = Host::new();
    let text = fs::read_to_string(host.app_ini()).expect("app.ini");
    let line = format!("RUN_USER = {}\n", host.user.name);
    assert!(text.contains(&line), "{text}");
    for value in [format!("{}:0", host.user.uid), format!("{}:{}", host.user.uid, host.user.gid)] {
        fs::write(host.app_ini(), text.replace(&line, &format!("RUN_USER = {value}\n"))).expect("written");
        let ran =
            host.install(Who::Root, SHELLS[0], &["--binary", &host.stand_in("one/gitea-lightstep", "one")]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(&format!("there is no user `{value}`")), "{}", ran.stderr);
    }
}
