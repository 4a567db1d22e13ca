//! Which Gitea `install` means, what it does with odd names and paths, and what `uninstall --purge` removes.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    Ran,
    estate::{Estate, assert_same, is_root},
    python, wait_until,
};

/// A process that looks like a running Gitea.
struct Running(Child);

impl Running {
    /// Starts a program under Gitea's name, which waits for its reader for ever.
    fn start(estate: &Estate, words: &[&str], env: &[(&str, String)]) -> Self {
        let mut yes = estate.command("yes");
        let child = yes
            .arg0("/opt/gitea/gitea")
            .args(words)
            // So that it takes everything after the first word as words.
            .env("POSIXLY_CORRECT", "1")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let cmdline = format!("/proc/{}/cmdline", child.id());
        wait_until("it has its name", || {
            fs::read(&cmdline).is_ok_and(|name| name.starts_with(b"/opt/gitea/gitea\0"))
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

fn dry_run(estate: &Estate, words: &[&str]) -> Ran {
    let mut install = estate.lightstep(&["install", "--dry-run", "--json", "--config"]);
    install.arg(estate.path("config.toml")).args(words);
    estate.sandbox.run(&mut install, b"")
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {}{}", ran.stdout, ran.stderr))
}

// One test, because every process of the machine is looked at.
#[test]
fn a_running_gitea_tells_where_it_is() {
    let estate = Estate::new();
    let ini = estate.path("app.ini").display().to_string();
    let found = |words: &[&str]| json(&dry_run(&estate, words))["gitea_config"].as_str().map(String::from);
    {
        let _running = Running::start(&estate, &["web", "--config", &ini], &[]);
        assert_eq!(found(&[]), Some(ini.clone()));
        // Another that runs with the same file is the same, also by another path.
        estate.link("app.ini", "also.ini");
        let _again = Running::start(&estate, &["web", "-c", "also.ini"], &[]);
        assert!(found(&[]).is_some_and(|found| found == ini || found.ends_with("also.ini")));
        // One that does not serve is none.
        let _serv = Running::start(&estate, &["serv", "key-1", "--config=/elsewhere/app.ini"], &[]);
        assert!(found(&[]).is_some());
        // Of two it has to be said which.
        estate.sandbox.write("second/conf/app.ini", fs::read(&ini).expect("app.ini"));
        let custom = estate.path("second").display().to_string();
        let _second = Running::start(&estate, &["web"], &[("GITEA_CUSTOM", custom.clone())]);
        let ran = dry_run(&estate, &[]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("found more than one Gitea: `"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("`{custom}/conf/app.ini`; say which with --gitea-config")),
            "{}",
            ran.stderr
        );
        assert_eq!(found(&["--gitea-config", &ini]), Some(ini.clone()));
    }

    // What an app.ini does not say, the process does: where it works, as whom, and where it finds git.
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
    // A Gitea that was not started before has no home for git yet. It is made, and Gitea's.
    let mut install = estate.lightstep(&["install", "--config"]);
    estate.sandbox.run(install.arg(estate.path("config.toml")), b"").succeeded();
    let config = fs::read_to_string(work.join("data/home/.gitconfig")).expect("the file");
    assert!(config.contains("[hook \"gitea-lightstep\"]"));
    assert!(estate.seen("work").values().all(|seen| seen.uid == estate.uid()));
}

#[test]
fn without_an_app_ini_a_tree_of_repositories_is_enough() {
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
    assert!(ran.stderr.contains("failed to read who owns `/nonexistent`"), "{}", ran.stderr);
}

#[test]
fn single_repositories_are_covered_by_a_file() {
    let estate = Estate::new();
    estate.repository("acme/other.git");
    estate.repository("acme/shop.wiki.git");
    estate.hand_over();
    let newer = estate.git_that_says("2.55.0");
    // The names are Gitea's, which are lower-case on disk; whatever git there is.
    let ran = estate.install(&["--git", &newer, "--repository", "Acme/Shop", "--repository", "acme/none"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("there is no repository `acme/none` in `"), "{}", ran.stderr);
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
fn paths_may_hold_what_shells_care_for_and_nothing_that_ends_a_line() {
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
    // The same as a config hook: its command is run as git would, by a shell.
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
    assert!(ran.stderr.contains("`/with\\na newline` cannot stand in a hook"), "{}", ran.stderr);
}

#[test]
fn what_the_user_of_gitea_cannot_run_or_read_is_not_installed() {
    let estate = Estate::new();
    let before = estate.lasting("git");
    let refused = |words: &[&str], why: &str| {
        let ran = estate.install(words);
        assert_eq!(ran.code, Some(1), "{words:?}");
        assert!(ran.stderr.contains(why), "{words:?}: {}", ran.stderr);
    };
    refused(
        &["--binary", "/nonexistent/gitea-lightstep"],
        "`/nonexistent/gitea-lightstep` cannot be run by `",
    );
    refused(
        &["--git", "/nonexistent/git"],
        "`/nonexistent/git`: failed to run it: No such file or directory",
    );
    estate.sandbox.executable("bin/nogit", "#!/bin/sh\nprintf 'not \\033[31mgit\\n'\n");
    let nogit = estate.path("bin/nogit").display().to_string();
    refused(&["--git", &nogit], "expected it to say `git version 2.…`, and it said `not \\u{1b}[31mgit`");
    let closed = estate.path("config.toml");
    estate.take_from_user(&closed);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).expect("permissions");
    refused(&[], "config.toml` cannot be read by `");
    assert_same(&before, &estate.lasting("git"), "nothing was done");
    let mut install = estate.lightstep(&["install", "--gitea-config"]);
    let ran = estate.sandbox.run(install.arg(estate.path("app.ini")), b"");
    if !Path::new("/etc/gitea-lightstep/config.toml").exists() {
        assert!(ran.stderr.contains("found no configuration for the hook"), "{}", ran.stderr);
    }
}

#[test]
fn purging_removes_the_state_and_nothing_else() {
    let estate = Estate::new();
    let state = estate.sandbox.state();
    estate.install(&[]).succeeded();
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    estate.sandbox.wait_for_deliverers_to_end();
    let kept = estate.lasting("state");

    let ran = estate.uninstall(&["--purge"]);
    assert_eq!(ran.code, Some(2));
    let why = "holds 1 entry that is not delivered and 0 dead letters, which --purge would remove for good; say --yes";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(estate.wrapper("acme/shop.git").exists(), "nothing was done");
    // On a terminal it is asked, and no is no.
    let ini = estate.path("app.ini").display().to_string();
    let words = ["uninstall", "--purge", "--gitea-config", &ini];
    let asked = estate.sandbox.run(&mut python::on_terminal(&estate.sandbox, &words, "n\n"), b"");
    assert_eq!(asked.code, Some(1));
    assert!(asked.stdout.contains("remove them for good, with the journal? [y/N] "), "{}", asked.stdout);
    assert!(asked.stdout.ends_with("gitea-lightstep: nothing was changed\r\n"), "{}", asked.stdout);
    let dry = estate.uninstall(&["--purge", "--dry-run"]);
    assert!(dry.succeeded().stdout.contains("would be removed"), "{}", dry.stdout);
    assert_same(&kept, &estate.lasting("state"), "a dry run");

    // What is not ours is not removed, nor through a link.
    estate.sandbox.write("state/notes.txt", "mine");
    estate.hand_over();
    let ran = estate.uninstall(&["--purge", "--yes"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("notes.txt` was not made by gitea-lightstep"), "{}", ran.stderr);
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
    // A link inside is removed, and what it leads to is not.
    estate.sandbox.write("precious/file", "mine");
    estate.link("../precious", "state/refs");
    for name in ["connect.json", "connect.lock"] {
        estate.sandbox.write(&format!("state/{name}"), "[]");
    }
    estate.hand_over();
    let ran = estate.uninstall(&["--purge", "--yes", "--json"]);
    assert_eq!(json(ran.succeeded())["purged"]["gone"], true);
    assert!(!state.exists() && estate.path("precious/file").exists());
    // Relative paths and our variable mean the same to the process of Gitea's user, whose directory and environment are others.
    for (words, variable) in [(&["--config", "config.toml"][..], ""), (&[], "config.toml")] {
        estate.sandbox.write("state/journal/2026-11.jsonl", "");
        estate.hand_over();
        let mut lightstep = estate.lightstep(&["uninstall", "--purge", "--gitea-config", "app.ini"]);
        lightstep.current_dir(estate.path("")).env("GITEA_LIGHTSTEP_CONFIG", variable);
        estate.sandbox.run(lightstep.args(words), b"").succeeded();
        assert!(!state.exists(), "{words:?}");
    }
    let again = estate.uninstall(&["--purge"]);
    assert!(again.succeeded().stdout.contains("was not there"), "{}", again.stdout);
    if is_root() {
        estate.sandbox.write("state/journal/2026-11.jsonl", "");
        let mut lightstep: Command = estate.lightstep(&["uninstall", "--purge"]);
        let ran = estate.sandbox.run(lightstep.args(estate.options()), b"");
        assert!(ran.stderr.contains("belongs to the user with the id 0"), "{}", ran.stderr);
    }
}
