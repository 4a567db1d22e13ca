//! install.sh under dash and busybox ash, as root and as Gitea's user: installation, repeated runs
//! and removal.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use crate::support::{
    BINARY, SHELLS, assert_root,
    host::{Host, Who, is_root, which},
    manifest_dir,
};

/// Creates a machine on which this user can install.
fn host_for(who: Who) -> Host {
    let host = Host::new();
    if who == Who::RunUser {
        host.give_to_run_user(&host.place("srv"));
    }
    host
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

fn owner_of(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().expect("metadata");
    (metadata.uid(), metadata.gid())
}

#[test]
fn installed_hook_works_and_can_be_removed() {
    for shell in SHELLS {
        for &who in Who::everybody() {
            let host = host_for(who);
            let before = host.listing(false);
            let binary = host.real_binary().display().to_string();
            unchanged(&host, who, shell, &["--binary", &binary, "--dry-run"], "would install");

            let ran = host.install(who, shell, &["--binary", &binary]);
            assert!(ran.succeeded().stdout.contains("(new)"), "{}", ran.stdout);
            let [installed, config, state] =
                ["srv/usr/bin/gitea-lightstep", "srv/etc/config.toml", "srv/var/state"]
                    .map(|name| host.place(name));
            let run_user = (host.user.uid, host.user.gid);
            let us = if who == Who::Root { (0, 0) } else { run_user };
            assert_eq!((mode_of(&installed), owner_of(&installed)), (0o755, us), "{who:?}");
            assert_eq!((mode_of(&config), owner_of(&config)), (0o640, (us.0, run_user.1)), "{who:?}");
            assert_eq!((mode_of(&state), owner_of(&state)), (0o700, run_user), "{who:?}");
            assert!(fs::read(&installed).expect("it") == fs::read(BINARY).expect("it"));
            unchanged(&host, who, shell, &["--binary", &binary], "(unchanged)");
            unchanged(&host, who, shell, &["--uninstall", "--purge", "--yes", "--dry-run"], "would remove");

            host.install(who, shell, &["--uninstall", "--purge", "--yes"]).succeeded();
            assert_eq!(host.listing(false), before, "{shell:?} {who:?}");

            host.install(who, shell, &["--binary", &binary]).succeeded();
            let push = host.push();
            assert_eq!(push.succeeded().remote().len(), 1, "{}", push.stderr);
            let waiting = state.join("outbox/unassigned/new");
            assert_eq!(fs::read_dir(waiting).expect("the outbox").count(), 1, "{shell:?} {who:?}");

            let ran = host.install(who, shell, &["--uninstall"]);
            assert!(ran.succeeded().stdout.contains("kept"), "{}", ran.stdout);
            assert!(config.exists() && state.exists() && !installed.exists());
            assert_eq!(host.push().succeeded().remote(), [""; 0]);
        }
    }
}

/// Runs install.sh and asserts that it changes nothing, including modification times.
#[track_caller]
fn unchanged(host: &Host, who: Who, shell: &[&str], args: &[&str], says: &str) {
    let before = host.listing(true);
    let ran = host.install(who, shell, args);
    assert!(ran.succeeded().stdout.contains(says), "{args:?}: {}", ran.stdout);
    assert_eq!(host.listing(true), before, "{shell:?} {who:?} {args:?}: {}", ran.stdout);
}

/// Runs install.sh and asserts that it fails with this reason and changes nothing.
#[track_caller]
fn refused(host: &Host, args: &[&str], code: i32, why: &str) {
    let before = host.listing(false);
    for shell in SHELLS {
        let ran = host.install(Who::everybody()[0], shell, args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
        assert_eq!(host.listing(false), before, "{shell:?} {args:?}: {}", ran.stderr);
    }
}

#[test]
fn usage_errors_are_reported() {
    let host = Host::new();
    let binary = host.stand_in("one/gitea-lightstep", "one");
    for (args, why) in [
        (&["--bogus"][..], "unknown option --bogus"),
        (&["repository.git"], "unknown option repository.git"),
        (&["--config"], "--config needs a value"),
        (&["--config="], "--config needs a value"),
        (&["--timer=yes"], "--timer is unknown or does not take a value"),
        (&["--prefix", "two\nlines"], "--prefix: the path must not contain a newline"),
        (&["--sha256", "beef"], "expected 64 hexadecimal digits, found 4"),
        (&["--sha256", "not hexadecimal"], "expected 64 hexadecimal digits"),
        (&["--run-user", "two words"], "expected a user name or UID:GID"),
        (&["--purge"], "require --uninstall"),
        (&["--from-source", "--binary", &binary], "cannot be used together"),
        (&["--cron-dir", "a", "--systemd-dir", "b"], "cannot be used together"),
        (&["--no-timer=yes"], "--no-timer is unknown or does not take a value"),
        (&["--root", "/srv"], "cannot be used together"),
    ] {
        refused(&host, args, 2, why);
    }
    let ran = host.install(Who::everybody()[0], SHELLS[0], &["--help"]);
    assert!(ran.succeeded().stdout.starts_with("Usage: install.sh"), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.len() <= 80), "{}", ran.stdout);
}

#[test]
fn wrong_binary_is_not_installed() {
    let host = host_for(Who::everybody()[0]);
    let binary = host.stand_in("one/gitea-lightstep", "one");
    let mut sha256sum = host.command(Who::everybody()[0], "sha256sum");
    let sum = host.sandbox.run(sha256sum.arg(&binary), b"").succeeded().stdout[..64].to_string();
    let other = sum.replace(|c: char| c.is_ascii_digit(), "0");
    refused(&host, &["--binary", &binary, "--sha256", &other], 1, &format!("its SHA-256 is {sum}"));

    let wrong = |name: &str, text: &str, mode: u32| {
        host.sandbox.write(name, text);
        fs::set_permissions(host.sandbox.path(name), fs::Permissions::from_mode(mode)).expect("permissions");
        host.sandbox.path(name).display().to_string()
    };
    for (binary, why) in [
        (wrong("wrong/broken", "\x7fELF, and then nothing\n", 0o755), "does not run here"),
        (wrong("wrong/closed", "#!/bin/sh\n", 0o644), "is not executable"),
        (wrong("wrong/another", "#!/bin/sh\necho git version 2.47\n", 0o755), "is not gitea-lightstep"),
        (host.sandbox.path("nowhere").display().to_string(), "does not exist or is not a file"),
        (host.sandbox.path("wrong").display().to_string(), "does not exist or is not a file"),
    ] {
        refused(&host, &["--binary", &binary], 1, why);
    }
    host.install(Who::everybody()[0], SHELLS[1], &["--binary", &binary, "--sha256", &sum.to_uppercase()])
        .succeeded();
}

#[test]
fn foreign_files_are_left_alone() {
    let host = host_for(Who::everybody()[0]);
    let binary = host.stand_in("one/gitea-lightstep", "one");
    for dir in ["srv/cron", "srv/units", "srv/usr/bin/gitea-lightstep", "dir/config.toml", "theirs"] {
        fs::create_dir_all(host.place(dir)).expect("a directory");
    }
    refused(&host, &["--binary", &binary], 1, "gitea-lightstep` is a directory");
    fs::remove_dir(host.place("srv/usr/bin/gitea-lightstep")).expect("the directory can be removed");
    for file in ["srv/cron/gitea-lightstep", "srv/units/gitea-lightstep-deliver.timer"] {
        fs::write(host.place(file), "# of the administrator's\n").expect("written");
    }
    refused(
        &host,
        &["--binary", &binary, "--cron-dir", &host.text("srv/cron")],
        1,
        "was not written by install.sh",
    );
    refused(
        &host,
        &["--binary", &binary, "--systemd-dir", &host.text("srv/units")],
        1,
        "was not written by install.sh",
    );
    if is_root() {
        refused(&host, &["--binary", &binary, "--state-dir", &host.text("theirs")], 1, "belongs to `root`,");
        refused(
            &host,
            &["--binary", &binary, "--run-user", "nobody-of-this-name"],
            1,
            "there is no user `nobody-of-this-name`",
        );
    }
}

#[test]
fn signal_that_ends_the_new_binary_is_not_its_failure() {
    let who = Who::RunUser;
    for (shell, command) in SHELLS.iter().cycle().zip(["--version", "check"]) {
        let host = host_for(who);
        let binary = host.stand_in("one/gitea-lightstep", "one");
        let text = fs::read_to_string(&binary).expect("the stand-in");
        // install.sh runs `--version` itself, before anything is installed.
        let stops = format!(
            "case $0 in */usr/bin/*) [ \"$1\" != {command} ] || {{ kill -INT $PPID; exit 130; }} ;; esac\nexec"
        );
        fs::write(&binary, text.replacen("exec", &stops, 1)).expect("written");
        let before = host.listing(false);
        let ran = host.install(who, shell, &["--binary", &binary]);
        assert_eq!(ran.code, Some(130), "{command}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("stopped by SIGINT while trying to check"), "{command}: {}", ran.stderr);
        assert_eq!(host.listing(false), before, "{command}: {}", ran.stderr);
    }
}

#[test]
fn what_was_not_done_is_not_undone() {
    let who = Who::everybody()[0];
    // Another file, or a link that leads nowhere, is in the place of a directory.
    for place in ["srv/usr", "srv/usr/bin", "srv/etc", "srv/var"] {
        for is_link in [false, true] {
            let host = host_for(who);
            let path = host.place(place);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            if is_link {
                symlink("/nowhere", &path).expect("a link");
            } else {
                fs::write(&path, "").expect("a file");
            }
            host.give_to_run_user(&host.place("srv"));
            let before = host.listing(false);
            let ran = host.install(who, SHELLS[0], &["--binary", &host.real_binary().display().to_string()]);
            assert_eq!(ran.code, Some(1), "{place}: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stderr.contains("` is not a directory; "), "{place}: {}", ran.stderr);
            assert!(!ran.stderr.contains("failed to undo"), "{place}: {}", ran.stderr);
            assert_eq!(host.listing(false), before, "{place}: {}", ran.stderr);
        }
    }
    // A removal that is refused leaves the hook in Gitea.
    let host = host_for(who);
    host.install(who, SHELLS[0], &["--binary", &host.real_binary().display().to_string()]).succeeded();
    for broken in ["x = [", "nonsense = 1\n"] {
        let config = host.place("srv/etc/config.toml");
        fs::write(&config, broken).expect("written");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("permissions");
        refused(
            &host,
            &["--uninstall", "--purge", "--yes"],
            1,
            "failed to check whether the hook is in Gitea",
        );
        let ran = host.install(who, SHELLS[1], &["--uninstall", "--purge", "--yes"]);
        assert!(!ran.stderr.contains("failed to undo"), "{broken}: {}", ran.stderr);
    }
}

#[test]
fn upgrade_replaces_only_the_binary() {
    for (who, shell) in Who::everybody().iter().zip(SHELLS) {
        let host = host_for(*who);
        host.install(*who, shell, &["--binary", &host.stand_in("one/gitea-lightstep", "one")]).succeeded();
        let installed = host.place("srv/usr/bin/gitea-lightstep");
        let running = fs::File::open(&installed).expect("the installed binary can be opened");
        // The administrator moves the state directory and edits the configuration.
        let elsewhere = host.place("srv/var/elsewhere");
        fs::rename(host.place("srv/var/state"), &elsewhere).expect("renamed");
        let elsewhere_quoted = format!("{:?}", elsewhere.display().to_string());
        let config = format!("# mine\nstate_dir = {elsewhere_quoted}\n[reply]\nto_pusher = \"nothing\"\n");
        fs::write(host.place("srv/etc/config.toml"), &config).expect("written");

        let two = host.stand_in("two/gitea-lightstep", "two");
        let ran = host.install(*who, shell, &["--binary", &two]);
        assert!(ran.succeeded().stdout.contains("(replaced)"), "{}", ran.stdout);
        assert!(ran.stderr.contains("--state-dir applies only to a new configuration"), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(&installed).expect("it"), fs::read_to_string(&two).expect("it"));
        assert_eq!(std::io::read_to_string(&running).expect("it").lines().nth(1), Some("# one"));
        assert_eq!(fs::read_to_string(host.place("srv/etc/config.toml")).expect("it"), config);
        assert!(
            elsewhere.exists() && !host.place("srv/var/state").exists(),
            "the state directory is the one in the configuration"
        );
        assert_eq!(host.push().succeeded().remote(), [""; 0]);
        assert!(elsewhere.join("outbox/unassigned/new").exists());
    }
}

#[test]
fn binary_that_rejects_the_configuration_is_rolled_back() {
    let host = host_for(Who::everybody()[0]);
    let who = Who::everybody()[0];
    host.install(who, SHELLS[0], &["--binary", &host.stand_in("one/gitea-lightstep", "one")]).succeeded();
    let two = host.stand_in("two/gitea-lightstep", "two");
    let text = fs::read_to_string(&two).expect("it");
    fs::write(&two, text.replace("exec", "[ \"$1\" != check ] || { echo 'no key `linger`'; exit 1; }\nexec"))
        .expect("written");
    refused(&host, &["--binary", &two], 1, "rejects");

    // If the previous binary did not accept the configuration either, install.sh does not restore
    // it.
    let config = format!("nonsense = 1\nstate_dir = {:?}\n", host.text("srv/var/state"));
    fs::write(host.place("srv/etc/config.toml"), config).expect("written");
    let ran = host.install(who, SHELLS[1], &["--binary", &host.stand_in("three/gitea-lightstep", "three")]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("(replaced)") && ran.stderr.contains("needs attention"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert!(ran.stderr.contains("nonsense"), "{}", ran.stderr);
}

#[test]
fn backlog_is_not_purged_without_confirmation() {
    let who = Who::everybody()[0];
    let host = host_for(who);
    host.install(who, SHELLS[0], &["--binary", &host.stand_in("one/gitea-lightstep", "one")]).succeeded();
    host.push().succeeded();
    refused(&host, &["--uninstall", "--purge"], 1, "confirm with --yes");
    host.install(who, SHELLS[1], &["--uninstall", "--purge", "--yes"]).succeeded();
    assert!(!host.place("srv/var").exists());
}

#[test]
fn purge_works_alone() {
    for (&who, shell) in Who::everybody().iter().zip(SHELLS) {
        let host = host_for(who);
        let binary = host.real_binary().display().to_string();
        let state = host.place("srv/var/state");
        let config = host.place("srv/etc/config.toml");
        // (the configuration is there, the hook is left alone)
        for (has_config, options) in
            [(true, &[][..]), (false, &[]), (true, &["--no-hook"]), (false, &["--no-hook"])]
        {
            let case = format!("{who:?} {has_config} {options:?}");
            host.install(who, shell, &["--binary", &binary]).succeeded();
            host.push().succeeded();
            host.install(who, shell, &["--uninstall"]).succeeded();
            assert!(config.exists() && state.join("outbox/unassigned/new").exists(), "{case}");
            if !has_config {
                fs::remove_file(&config).expect("removed");
            }
            let purge = [&["--uninstall", "--purge", "--binary", &binary], options].concat();
            let asked = host.install(who, shell, &purge);
            assert_eq!(asked.code, Some(1), "{case}: {}", asked.stderr);
            assert!(asked.stderr.contains("holds 1 entry"), "{case}: {}", asked.stderr);
            assert!(asked.stderr.contains("confirm with --yes"), "{case}: {}", asked.stderr);
            assert!(state.join("outbox/unassigned/new").exists(), "{case}");
            let dry = host.install(who, shell, &[&purge[..], &["--yes", "--dry-run"]].concat());
            assert!(dry.succeeded().stdout.contains("srv/var/state"), "{case}: {}", dry.stdout);
            host.install(who, shell, &[&purge[..], &["--yes"]].concat()).succeeded();
            assert!(!state.exists() && !config.exists(), "{case}");
            host.install(who, shell, &[&purge[..], &["--yes"]].concat()).succeeded();
        }
        // Gitea is gone, too.
        host.install(who, shell, &["--binary", &binary]).succeeded();
        host.install(who, shell, &["--uninstall"]).succeeded();
        let app_ini = fs::read(host.app_ini()).expect("app.ini");
        fs::remove_file(host.app_ini()).expect("removed");
        host.install(
            who,
            shell,
            &["--uninstall", "--purge", "--no-hook", "--run-user", &host.user.name, "--binary", &binary],
        )
        .succeeded();
        fs::write(host.app_ini(), app_ini).expect("written");
        assert!(!state.exists() && !config.exists());
        // What is not ours stays.
        host.install(who, shell, &["--binary", &binary]).succeeded();
        host.install(who, shell, &["--uninstall"]).succeeded();
        fs::remove_file(&config).expect("removed");
        fs::write(state.join("mine"), "").expect("written");
        let ran = host.install(who, shell, &["--uninstall", "--purge", "--yes", "--binary", &binary]);
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        assert!(ran.stderr.contains("was not created by gitea-lightstep"), "{}", ran.stderr);
        fs::remove_file(state.join("mine")).expect("removed");
        host.install(who, shell, &["--uninstall", "--purge", "--binary", &binary]).succeeded();
        assert_eq!(fs::read_dir(host.place("srv")).expect("a directory").count(), 0, "{who:?}");
        // Without any binary, the message says what to do.
        let ran = host.install(who, shell, &["--uninstall", "--purge"]);
        assert!(ran.code == Some(0) || ran.stderr.contains("by hand with rm -r"), "{}", ran.stderr);
    }
}

#[test]
fn cron_file_runs_its_commands() {
    let who = Who::everybody()[0];
    for shell in SHELLS {
        let host = host_for(who);
        let before = host.listing(false);
        let binary = host.stand_in("one/gitea-lightstep", "one");
        let cron_dir = host.text("srv/cron");
        let args = ["--binary", &binary, "--cron-dir", &cron_dir, "--ref-hook"];
        host.install(who, shell, &args).succeeded();
        unchanged(&host, who, shell, &args, "(unchanged)");
        let file = fs::read_to_string(host.place("srv/cron/gitea-lightstep")).expect("the file");
        assert_eq!(mode_of(&host.place("srv/cron/gitea-lightstep")), 0o644);
        let lines: Vec<&str> = file.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), 3, "{file}");
        let expected = [("*/2 * * * *", "deliver"), ("17 * * * *", "install"), ("* * * * *", "scan")];
        for (line, (when, verb)) in lines.iter().zip(expected) {
            let user = &host.user.name;
            let command = line
                .strip_prefix(&format!("{when} {user} "))
                .expect("the line has the schedule and the user");
            assert!(command.contains(verb), "{command}");
            let mut sh = host.command(Who::RunUser, "sh");
            host.sandbox.run(sh.args(["-c", command]), b"").succeeded();
        }
        assert!(host.place("srv/var/state/refs/last.json").exists(), "all repositories were scanned");
        let hooks = host.bare().join("hooks");
        let has = |name: &str| hooks.join(name).exists();
        assert!(lines[1].contains(" --ref-hook "), "{file}");
        // A newer git needs neither.
        assert_eq!(has("reference-transaction"), has("post-receive.d/gitea-lightstep"));
        host.install(who, shell, &["--uninstall", "--purge", "--ref-hook", "--cron-dir", &cron_dir])
            .succeeded();
        assert!(!has("reference-transaction"));
        fs::remove_dir(host.place("srv/cron")).expect("the directory is empty");
        assert_eq!(host.listing(false), before);
    }
}

#[test]
fn systemd_units_are_valid() {
    let who = Who::everybody()[0];
    let host = host_for(who);
    let before = host.listing(false);
    let binary = host.stand_in("one/gitea-lightstep", "one");
    let units = host.text("srv/units");
    let prefix = host.text("srv/100% $HOME");
    let args = ["--binary", &binary, "--systemd-dir", &units, "--prefix", &prefix];
    let ran = host.install(who, SHELLS[0], &args);
    assert!(
        ran.succeeded().stderr.contains("systemctl enable --now gitea-lightstep-deliver.timer"),
        "{}",
        ran.stderr
    );
    unchanged(&host, who, SHELLS[1], &args, "(unchanged)");

    let unit = |name: &str| fs::read_to_string(host.place("srv/units").join(name)).expect(name);
    for name in ["gitea-lightstep-deliver", "gitea-lightstep-install", "gitea-lightstep-scan"] {
        let service = unit(&format!("{name}.service"));
        assert!(service.contains(&format!("\nUser={}\n", host.user.name)), "{service}");
        assert!(service.contains("/100%% $$HOME/bin/gitea-lightstep\""), "{service}");
        for key in ["Type=oneshot", "NoNewPrivileges=yes", "ProtectSystem=", "CapabilityBoundingSet=\n"] {
            assert!(service.contains(&format!("\n{key}")), "{key}: {service}");
        }
        let timer = unit(&format!("{name}.timer"));
        assert!(timer.ends_with("\n[Install]\nWantedBy=timers.target\n"), "{timer}");
        let parts = service.lines().chain(timer.lines());
        for line in parts.filter(|line| !line.starts_with('#') && !line.is_empty()) {
            assert!(line.starts_with('[') || line.contains('='), "{line}");
        }
    }
    // If systemd is available, let it verify the units.
    if Path::new("/usr/bin/systemd-analyze").exists() {
        let mut analyze = host.sandbox.command("systemd-analyze", &host.place("srv/units"));
        analyze.args(["verify", "gitea-lightstep-deliver.timer", "gitea-lightstep-install.timer"]);
        analyze.arg("gitea-lightstep-scan.timer");
        let ran = host.sandbox.run(&mut analyze, b"");
        let complaints: Vec<&str> =
            ran.stderr.lines().filter(|line| !line.contains("Special user nobody")).collect();
        assert_eq!((ran.code, complaints), (Some(0), vec![]));
    }
    host.install(who, SHELLS[1], &["--uninstall", "--purge", "--systemd-dir", &units, "--prefix", &prefix])
        .succeeded();
    fs::remove_dir(host.place("srv/units")).expect("the directory is empty");
    assert_eq!(host.listing(false), before);
}

#[test]
fn files_on_a_data_volume_belong_to_its_owner() {
    for shell in SHELLS {
        for &who in Who::everybody() {
            for is_of_run_user in [true, false] {
                if who == Who::RunUser && !is_of_run_user {
                    continue;
                }
                let host = Host::new();
                let data = host.place("data");
                fs::create_dir(&data).expect("a directory");
                if is_of_run_user {
                    host.give_to_run_user(&data);
                }
                let before = host.listing(false);
                let binary = host.stand_in("one/gitea-lightstep", "one");
                let options = ["--data-dir", &host.text("data"), "--gitea-config", &host.text("etc/app.ini")];
                let script = manifest_dir().join("install.sh");
                let run = |args: &[&str]| host.script(who, shell, &script, &[&options, args].concat());
                let ran = run(&["--binary", &binary]);
                assert!(!ran.succeeded().stderr.contains("may write to"), "{}", ran.stderr);
                let run_user = (host.user.uid, host.user.gid);
                let owner = if is_of_run_user { run_user } else { (0, 0) };
                for (name, mode, owner) in [
                    ("bin/gitea-lightstep", 0o755, owner),
                    ("config.toml", 0o640, (owner.0, run_user.1)),
                    ("state", 0o700, run_user),
                    ("", 0o755, owner),
                ] {
                    let path = data.join("gitea-lightstep").join(name);
                    assert_eq!(
                        (mode_of(&path), owner_of(&path)),
                        (mode, owner),
                        "{name} {who:?} {is_of_run_user}"
                    );
                }
                assert_eq!(host.push().succeeded().remote().len(), 1);
                fs::remove_dir_all(data.join("gitea-lightstep/state/outbox"))
                    .expect("the outbox can be removed");
                run(&["--uninstall", "--purge", "--yes"]).succeeded();
                let after = host.listing(false);
                assert!(
                    after.keys().all(|path| before.contains_key(path) || path.starts_with("gitea")),
                    "{after:?}"
                );
            }
        }
    }
}

#[test]
fn callers_path_and_foreign_binaries_are_not_used() {
    let who = Who::everybody()[0];
    let host = host_for(who);
    let log = host.sandbox.path("tmp/called");
    for name in ["id", "stat", "cat", "mkdir", "chmod", "mv", "sed", "rm", "ln", "su-exec", "runuser"] {
        host.sandbox.executable(
            &format!("shims/{name}"),
            &format!("#!/bin/sh\necho {name} >>'{}'\nexit 1\n", log.display()),
        );
    }
    let binary = host.real_binary().display().to_string();
    for shell in SHELLS {
        let mut command = host.command(who, which(shell[0]).to_str().expect("text"));
        command.args(&shell[1..]).arg(manifest_dir().join("install.sh")).args(host.places_without_timer());
        command.args(["--binary", &binary]).env("PATH", host.sandbox.path("shims"));
        host.sandbox.run(&mut command, b"").succeeded();
        assert!(!log.exists(), "{}", fs::read_to_string(log).unwrap_or_default());
    }
    assert_root();
    // In a shared directory such as /tmp, another user may have placed a binary next to the script.
    let shared = host.place("shared");
    fs::create_dir(&shared).expect("a directory");
    fs::copy(manifest_dir().join("install.sh"), shared.join("install.sh")).expect("a copy");
    let planted = format!("#!/bin/sh\nid -u >>'{}'\nexec '{binary}' \"$@\"\n", log.display());
    fs::write(shared.join("gitea-lightstep"), planted).expect("written");
    fs::set_permissions(shared.join("gitea-lightstep"), fs::Permissions::from_mode(0o755))
        .expect("permissions");
    std::os::unix::fs::chown(shared.join("gitea-lightstep"), Some(1), Some(1)).expect("an owner");
    let places = host.places_without_timer();
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    for shell in SHELLS {
        let ran = host.script(Who::Root, shell, &shared.join("install.sh"), &places);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("belongs to daemon,"), "{}", ran.stderr);
        assert!(!log.exists(), "root ran it");
    }
}

#[test]
fn release_installs_its_binary_and_checkout_builds_one() {
    let who = Who::everybody()[0];
    let host = host_for(who);
    let release = host.sandbox.path("release");
    // As root, the script accepts cargo only from system directories, so use a copy with the
    // caller's `PATH`.
    host.script_with_callers_path("release/install.sh");
    let places = host.places_without_timer();
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let run =
        |args: &[&str]| host.script(who, SHELLS[0], &release.join("install.sh"), &[&places, args].concat());
    let ran = run(&[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("found no binary beside"), "{}", ran.stderr);
    let ran = run(&["--from-source"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("is not a checkout"), "{}", ran.stderr);

    fs::copy(host.stand_in("one/gitea-lightstep", "beside"), release.join("gitea-lightstep"))
        .expect("a copy");
    run(&[]).succeeded();
    let installed = || fs::read_to_string(host.place("srv/usr/bin/gitea-lightstep")).expect("it");
    assert!(installed().contains("# beside"));

    // A stub for cargo that reports an existing binary.
    fs::write(release.join("Cargo.toml"), "").expect("written");
    let built = host.stand_in("target/gitea-lightstep", "built");
    host.sandbox.executable(
        "cargo/cargo",
        &format!("#!/bin/sh\necho \"$*\" >'{}'\necho '{{\"reason\":\"compiler-artifact\",\"executable\":\"{built}\"}}'\n", host.sandbox.path("cargo/said").display()),
    );
    let mut command = host.command(who, SHELLS[1][0]);
    command.args(&SHELLS[1][1..]).arg(release.join("install.sh")).args(&places).arg("--from-source");
    let path = std::env::join_paths(
        [host.sandbox.path("cargo")]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))),
    );
    command.env("PATH", path.expect("a PATH"));
    if who == Who::Root || is_root() {
        fs::set_permissions(host.sandbox.path("cargo"), fs::Permissions::from_mode(0o777))
            .expect("permissions");
    }
    host.sandbox.run(&mut command, b"").succeeded();
    assert!(installed().contains("# built"));
    let said = fs::read_to_string(host.sandbox.path("cargo/said")).expect("the arguments of cargo");
    assert!(said.starts_with("build --release --locked"), "{said}");
}
