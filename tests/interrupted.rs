//! `install` and `uninstall` that die at any step, and beside each other: who comes next ends the work, and nothing stray
//! is left.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    estate::{Estate, assert_same},
    spool::faulty,
};

/// Where anything is written.
const DIRS: [&str; 3] = ["git", "data", "templates"];

/// Runs a command as the user of Gitea, with the options that name the estate.
fn runs(estate: &Estate, words: &[&str]) {
    let mut lightstep = estate.command(estate.path("bin/gitea-lightstep"));
    estate.sandbox.run(lightstep.args(estate.with_git(words)).args(estate.options()), b"").succeeded();
}

/// Has the program with a fault in it do something, as the user of Gitea, and returns whether the fault came.
fn dies_at(estate: &Estate, step: usize, words: &[&str]) -> bool {
    let report = estate.path("report");
    let _ = fs::remove_file(&report);
    let mut faulty = estate.command(estate.path("bin/faulty"));
    faulty.args(estate.with_git(words)).args(estate.options());
    // The hook is to run the program without the fault.
    if words[0] == "install" {
        faulty.arg("--binary").arg(estate.path("bin/gitea-lightstep"));
    }
    faulty.env("GITEA_LIGHTSTEP_FAULT", format!("kill@{step}")).env("GITEA_LIGHTSTEP_FAULT_REPORT", &report);
    let ran = estate.sandbox.run(&mut faulty, b"");
    let has_died = report.exists();
    assert_eq!(ran.code.is_none(), has_died, "step {step}: {}", ran.stderr);
    has_died
}

/// Asserts that a push is taken as often as there are ways for it to come.
fn takes_a_push(estate: &Estate, what: &str, markers: usize) {
    estate.commit(what);
    let push = estate.push(&["main"]);
    assert_eq!(push.succeeded().remote().len(), markers, "{what}: {}", push.stderr);
}

#[test]
fn what_dies_at_any_step_is_ended_by_the_next() {
    let estate = Estate::new();
    estate.place_binary("bin/faulty", &faulty());
    estate.sandbox.write("templates/description", "Unnamed");
    let newer = estate.git_that_says("2.55.0");
    let joined = format!("[init]\n\ttemplateDir = {}\n", estate.path("templates").display());
    let (to_files, to_config, out): (&[&str], &[&str], &[&str]) =
        (&["install"], &["install", "--git", &newer], &["uninstall"]);
    // What git's configuration holds, what was done before, and what is done now.
    for (text, before, now) in [
        (None, None, to_files),
        (Some("[a]\n\tb = c"), None, to_config),
        (Some(""), Some(to_files), to_config),
        (Some(&*joined), Some(to_config), to_files),
        (Some(&joined), Some(to_files), to_config),
        (None, Some(to_config), out),
        (Some(&joined), Some(to_files), out),
        (Some("[a]\n\tb = c"), Some(to_files), out),
    ] {
        runs(&estate, out);
        let _ = fs::remove_file(estate.git_config());
        if let Some(text) = text {
            fs::write(estate.git_config(), text).expect("written");
        }
        estate.hand_over();
        let bare = DIRS.map(|dir| estate.lasting(dir));
        before.into_iter().for_each(|before| runs(&estate, before));
        let begun = DIRS.map(|dir| estate.lasting(dir));
        runs(&estate, now);
        let done = DIRS.map(|dir| estate.lasting(dir));
        for step in 1.. {
            // Who comes next does the same, or takes everything out.
            for (next, expected) in [(now, &done), (out, &bare)] {
                for (dir, begun) in DIRS.into_iter().zip(&begun) {
                    estate.restore(dir, begun);
                }
                if !dies_at(&estate, step, now) {
                    assert!(step > 8, "{before:?}, then {now:?} has {step} steps");
                    break;
                }
                runs(&estate, next);
                for (dir, expected) in DIRS.into_iter().zip(expected) {
                    let what =
                        format!("{text:?}, {before:?}, then {now:?}, dead at step {step}, then {next:?}");
                    assert_same(expected, &estate.lasting(dir), &what);
                }
            }
            if !estate.path("report").exists() {
                break;
            }
        }
    }
    runs(&estate, out);
    takes_a_push(&estate, "none", 0);
    runs(&estate, to_files);
    takes_a_push(&estate, "one", 1);
}

#[test]
fn whoever_comes_while_another_is_at_work_waits_for_it() {
    let estate = Estate::new();
    for nth in 0..100 {
        estate.repository(&format!("owner{}/repository{nth}.git", nth % 5));
    }
    estate.hand_over();
    let before = estate.lasting("git");
    let newer = estate.git_that_says("2.55.0");
    let start = |args: &[&str]| {
        let mut lightstep: Command = estate.lightstep(&[args[0]]);
        lightstep.args(estate.options()).args(estate.with_git(&args[1..]));
        lightstep.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    for _ in 0..3 {
        let words: [&[&str]; 4] = [&["install"], &["install", "--git", &newer], &["install"], &["uninstall"]];
        for child in words.map(start) {
            let ended = child.wait_with_output().expect("it ends");
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        let ran = estate.install(&["--json"]);
        let said: serde_json::Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
        let repositories = &said["repositories"];
        let count = |name: &str| repositories[name].as_u64().expect("a number");
        assert_eq!(count("changed") + count("unchanged"), 101);
    }
    estate.uninstall(&[]).succeeded();
    assert_same(&before, &estate.lasting("git"), "in the end");
}

#[test]
fn one_that_is_ended_by_its_user_is_ended_by_the_next() {
    let estate = Estate::new();
    for nth in 0..400 {
        fs::create_dir_all(estate.path(&format!("git/acme/r{nth}.git/hooks/post-receive.d")))
            .expect("a directory");
    }
    estate.hand_over();
    let before = estate.lasting("git");
    let mut lightstep = estate.lightstep(&["install"]);
    let mut child = lightstep
        .args(estate.options())
        .args(estate.with_git(&[]))
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    crate::support::wait_until("the first is covered", || estate.wrapper("acme/r0.git").exists());
    let pid = child.id().to_string();
    // Of the group that a terminal would end, root's process and that of Gitea's user, this is the one that works.
    let worker = fs::read_to_string(Path::new("/proc").join(&pid).join("task").join(&pid).join("children"));
    let worker = worker.ok().and_then(|children| children.split_whitespace().next().map(String::from));
    let mut kill = estate.sandbox.command("kill", &estate.path(""));
    let _ = estate.sandbox.run(kill.arg("-INT").arg(worker.unwrap_or(pid)), b"");
    let _ = child.wait().expect("it ends");
    estate.install(&[]).succeeded();
    assert!((0..400).all(|nth| estate.wrapper(&format!("acme/r{nth}.git")).exists()));
    estate.uninstall(&[]).succeeded();
    assert_same(&before, &estate.lasting("git"), "no file with a dot is left");
}
