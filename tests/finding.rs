//! How `install` finds Gitea and treats unusual names and paths, and what `uninstall --purge`
//! removes.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use crate::support::{
    estate::{Estate, assert_same},
    giteas::{Running, dry_run, json},
    terminal::on_terminal,
};

// This is one test, because the search sees all processes of the machine.
#[test]
fn gitea_is_found_by_its_process() {
    let estate = Estate::new();
    let ini = estate.path("app.ini").display().to_string();
    let found = |words: &[&str]| json(&dry_run(&estate, words))["gitea_config"].as_str().map(String::from);
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
}
