//! `install` and `uninstall` that are killed at any step or run concurrently: the next run
//! completes the work and leaves no stray files.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    estate::{Estate, assert_same},
    signal,
    spool::faulty,
};

/// Directories in which they write.
const DIRS: [&str; 3] = ["git", "data", "templates"];

/// Runs a command as Gitea's user, with the options for the estate.
fn runs(estate: &Estate, words: &[&str]) {
    let mut lightstep = estate.command(estate.path("bin/gitea-lightstep"));
    estate.sandbox.run(lightstep.args(estate.with_git(words)).args(estate.options()), b"").succeeded();
}

/// Runs the faulty program as Gitea's user, and returns true if the fault occurred.
fn dies_at(estate: &Estate, step: usize, words: &[&str]) -> bool {
    let report = estate.path("report");
    let _ = fs::remove_file(&report);
    let mut faulty = estate.command(estate.path("bin/faulty"));
    faulty.args(estate.with_git(words)).args(estate.options());
    // The installed hook must run the program without the fault.
    if words[0] == "install" {
        faulty.arg("--binary").arg(estate.path("bin/gitea-lightstep"));
    }
    faulty.env("GITEA_LIGHTSTEP_FAULT", format!("kill@{step}")).env("GITEA_LIGHTSTEP_FAULT_REPORT", &report);
    let ran = estate.sandbox.run(&mut faulty, b"");
    let has_died = report.exists();
    assert_eq!(ran.code.is_none(), has_died, "step {step}: {}", ran.stderr);
    has_died
}

/// Pushes, and asserts the number of markers, one for each installed hook.
fn takes_a_push(estate: &Estate, what: &str, markers: usize) {
    estate.commit(what);
    let push = estate.push(&["main"]);
    assert_eq!(push.succeeded().remote().len(), markers, "{what}: {}", push.stderr);
}

#[test]
fn run_killed_at_any_step_is_completed_by_the_next() {
    let estate = Estate::new();
    estate.place_binary("bin/faulty", &faulty());
    estate.sandbox.write("templates/description", "Unnamed");
    fs::create_dir_all(estate.path("git/acme/mirror.git/hooks")).expect("a directory");
    let newer = estate.git_that_says("2.55.0");
    let joined = format!("[init]\n\ttemplateDir = {}\n", estate.path("templates").display());
    let (to_files, to_config, out): (&[&str], &[&str], &[&str]) =
        (&["install"], &["install", "--git", &newer], &["uninstall"]);
    let with_ref_hook: &[&str] = &["install", "--ref-hook"];
    // Each case: the initial .gitconfig, the earlier command, and the command that is killed.
    for (text, before, now) in [
        (None, None, to_files),
        (Some("[a]\n\tb = c"), None, to_config),
        (Some(""), Some(to_files), to_config),
        (Some(&*joined), Some(to_config), to_files),
        (Some(&joined), Some(to_files), to_config),
        (None, Some(to_config), out),
        (Some(&joined), Some(to_files), out),
        (Some("[a]\n\tb = c"), Some(to_files), out),
        (Some(&joined), Some(to_files), with_ref_hook),
        (None, Some(with_ref_hook), to_files),
        (Some(&joined), Some(with_ref_hook), out),
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
            // The next command either does the same or uninstalls.
            for (next, expected) in [(now, &done), (out, &bare)] {
                for (dir, begun) in DIRS.into_iter().zip(&begun) {
                    estate.restore(dir, begun);
                }
                if !dies_at(&estate, step, now) {
                    assert!(step > 8, "{before:?}, then {now:?} has only {step} steps");
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
fn concurrent_run_waits_for_the_first() {
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
    assert_same(&before, &estate.lasting("git"), "after uninstall");
}

#[test]
fn interrupted_run_is_completed_by_the_next() {
    let estate = Estate::new();
    for nth in (0..400).step_by(2) {
        estate.repository(&format!("acme/r{nth}.git"));
        // A pull mirror.
        let mirror = estate.path(&format!("git/acme/r{}.git/hooks", nth + 1));
        fs::create_dir_all(mirror).expect("a directory");
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
    crate::support::wait_until("the first repository is covered", || estate.wrapper("acme/r0.git").exists());
    let pid = child.id().to_string();
    // Signal the worker that runs as Gitea's user. A terminal would signal the whole process group.
    let worker = fs::read_to_string(Path::new("/proc").join(&pid).join("task").join(&pid).join("children"));
    let worker = worker.ok().and_then(|children| children.split_whitespace().next().map(String::from));
    signal(&worker.unwrap_or(pid), rustix::process::Signal::INT);
    let _ = child.wait().expect("it ends");
    estate.install(&[]).succeeded();
    assert!((0..400).all(|nth| estate.wrapper(&format!("acme/r{nth}.git")).exists()));
    estate.uninstall(&[]).succeeded();
    assert_same(&before, &estate.lasting("git"), "no temporary file is left");
}
