//! Commands that messages propose: each can be pasted into a shell, in another directory and without
//! the environment of the command that proposed it, and works.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::{
    BINARY, Ran, Sandbox,
    clinic::Clinic,
    host::Who,
    manifest_dir,
    recorder::{Answer, Recorder},
    wait_until,
};

/// Words with which a proposed command begins.
const PROGRAMS: [&str; 11] = [
    "gitea-lightstep",
    "runuser",
    "sudo",
    "setpriv",
    "su",
    "chmod",
    "chown",
    "chgrp",
    "install",
    "namei",
    "ps",
];

/// Returns the commands between backticks.
fn proposed(text: &str) -> Vec<String> {
    let is_command = |span: &&str| {
        let mut words = span.split(' ');
        let first = words.next().unwrap_or_default();
        (PROGRAMS.contains(&first) || first.starts_with("'/")) && words.next().is_some()
    };
    text.split('`').skip(1).step_by(2).filter(is_command).map(ToString::to_string).collect()
}

/// Commands that were pasted, without their options for the configuration.
#[derive(Default)]
struct Pasted(BTreeSet<String>);

impl Pasted {
    /// Pastes each command that the run proposed.
    #[track_caller]
    fn all_of(&mut self, sandbox: &Sandbox, ran: &Ran) {
        for line in proposed(&format!("{}{}", ran.stdout, ran.stderr)) {
            self.paste(sandbox, &line);
        }
    }

    #[track_caller]
    fn paste(&mut self, sandbox: &Sandbox, line: &str) {
        let mut shell = sandbox.command("sh", Path::new("/"));
        let pasted = sandbox.run(shell.args(["-c", line]), b"");
        // A command that asks for a confirmation needs a terminal.
        let is_asking = pasted.stderr.contains("--yes");
        assert!(matches!(pasted.code, Some(0 | 1)) || is_asking, "{line}: {pasted:?}");
        for failure in ["failed to load", "does not exist", "No such file", "belongs to", "not found"] {
            // The background may have decided or sent the entry in the meantime.
            let is_gone = pasted.stderr.contains("no longer exists");
            assert!(is_gone || !pasted.stderr.contains(failure), "{line}: {pasted:?}");
        }
        assert_eq!(line.split_whitespace().find(|word| word.chars().all(char::is_uppercase)), None, "{line}");
        let words = line.split(" --config").next().expect("a part").trim_start_matches("gitea-lightstep ");
        let is_id = |word: &str| word.len() == 12 && word.bytes().all(|digit| digit.is_ascii_hexdigit());
        let words = words.rsplit_once(' ').filter(|(_, last)| is_id(last)).map_or(words, |(words, _)| words);
        self.0.insert(words.to_string());
    }
}

/// A sandbox whose configuration is in a directory with an odd name.
struct Odd(Sandbox);

impl Odd {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("it's an odd/place/config.toml", "");
        Self(sandbox)
    }

    /// Runs a command with a relative path to the configuration, once no background process changes
    /// the queue any more.
    fn run(&self, args: &[&str]) -> Ran {
        self.0.wait_for_deliverers_to_end();
        let text = fs::read_to_string(self.0.path("config.toml")).expect("the configuration");
        let text = text.replace("\"state\"", "\"../../state\"");
        self.0.write("it's an odd/place/config.toml", text);
        let mut command = self.0.command(BINARY, &self.0.path("it's an odd"));
        self.0.run(command.args(args).args(["--config", "place/config.toml"]), b"")
    }
}

#[test]
fn proposed_commands_can_be_pasted() {
    let odd = Odd::new();
    let sandbox = &odd.0;
    let mut pasted = Pasted::default();
    let mut try_each = |commands: &[&[&str]]| {
        for args in commands {
            pasted.all_of(sandbox, &odd.run(args));
        }
    };
    let bare = sandbox.bare().display().to_string();
    // Nothing was pushed, and an id is none.
    try_each(&[
        &["explain", "acme/shop"],
        &["queue", "show", "none"],
        &["queue", "show", "0000"],
        &["test", "--from", "018f0000-0000-7000-8000-000000000000"],
        &["doctor", "--no-push", "--root", "/nowhere"],
    ]);
    // A destination that is down, and then refuses.
    let commit = sandbox.commit("One", &[]);
    let recorder = Recorder::judging(|_| {
        Answer::status(400).header("content-type", "application/x-protobuf").body([8, 3, 18, 1, 120])
    });
    sandbox.deliver_to("http://127.0.0.1:9", "");
    sandbox.push(&["main"]).succeeded();
    let waiting = list(sandbox, 0);
    try_each(&[&["deliver"], &["status", "--older-than", "1s"], &["explain", &bare, &commit]]);
    try_each(&[&["queue", "retry", &waiting], &["queue", "drop", "--yes", "0000"]]);
    // Its marker waits for a destination that is not configured any more.
    let text = "[[destination]]\nname = \"other\"\nkind = \"otlp\"\nendpoint = ";
    sandbox.configure(&format!("[status]\nolder_than = \"1ms\"\n{text}\"{}\"\n", recorder.endpoint()));
    // The background process of the push holds the lock for a moment.
    let doctor = ["doctor", "--no-push", "--root", "/nowhere"];
    wait_until("the lock is free", || odd.run(&doctor).stdout.contains("queue list --destination"));
    try_each(&[&["status"], &doctor]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    odd.run(&["deliver"]).succeeded_or_found();
    try_each(&[&["status"], &["doctor", "--no-push", "--root", "/nowhere"], &["explain", "acme/shop"]]);
    // A policy that fails.
    sandbox.write("scripts/site.rhai", "fn decide(update) { throw \"why\" }");
    sandbox.write("it's an odd/place/scripts/site.rhai", "fn decide(update) { throw \"why\" }");
    sandbox.push(&["main:refs/heads/topic"]).succeeded();
    try_each(&[&["deliver"], &["status"], &["explain", "acme/shop", "topic"]]);
    try_each(&[&["doctor", "--no-push", "--root", "/nowhere"]]);
    let id = list(sandbox, 0);
    try_each(&[&["queue", "retry", &id]]);

    let seen: Vec<&str> = pasted.0.iter().map(String::as_str).collect();
    for expected in [
        "check",
        "deliver",
        "log --json",
        "queue drop",
        "queue list",
        "queue list --dead",
        "queue list --destination=collector",
        "queue retry --all",
        "queue show",
        "status",
    ] {
        assert!(seen.contains(&expected), "{expected}: {seen:#?}");
    }
}

/// Returns the ID of an entry of the queue.
fn list(sandbox: &Sandbox, nth: usize) -> String {
    let ran = sandbox.binary(&["queue", "list"]);
    ran.stdout.lines().nth(nth).unwrap_or_else(|| panic!("{ran:?}"))[..12].to_string()
}

/// Each fix of `doctor` is a command that works, also for root, who runs it for Gitea's user.
#[test]
fn fixes_of_doctor_can_be_pasted() {
    let clinic = Clinic::new();
    let gitea = clinic.program("usr/gitea", "echo \"$@\" >>\"$(dirname \"$0\")/ran\"");
    clinic.host.give_to_run_user(gitea.parent().expect("a directory"));
    let hook = "gitea/repositories/acme/shop.git/hooks/post-receive.d/gitea";
    let program = gitea.display().to_string().replace('\'', r"'\''");
    clinic.host.write(
        hook,
        &format!("#!/usr/bin/env bash\n'{program}' hook --config='/etc/app.ini' post-receive\n"),
    );
    clinic.mode("gitea/repositories/acme/shop.git/hooks/post-receive", 0o644);
    clinic.mode("srv/var/state", 0o755);
    let mut pasted = Pasted::default();
    for who in Who::everybody() {
        let ran = clinic.run(*who, "doctor", &["--no-push"]);
        let fixes: Vec<&str> =
            ran.stdout.lines().filter_map(|line| line.trim().strip_prefix("-> ")).collect();
        assert!(fixes.len() >= 2, "{ran:?}");
        let plain =
            fixes.iter().filter(|fix| !fix.contains('`') && fix.starts_with("ch")).map(ToString::to_string);
        for line in plain.chain(proposed(&ran.stdout)) {
            if *who == Who::everybody()[0] {
                pasted.paste(&clinic.host.sandbox, &line);
            }
        }
        if *who == Who::everybody()[0] {
            assert_eq!(
                fs::read_to_string(clinic.host.place("usr/ran")).unwrap_or_default().lines().last(),
                Some(&*format!("--config {} admin regenerate hooks", clinic.host.text("etc/app.ini"))),
                "{ran:?}"
            );
            clinic.mode("srv/var/state", 0o755);
        }
    }
    assert_eq!(clinic.host.sandbox.run(&mut clinic.log(), b"").code, Some(0));
}

/// The configuration is named if the environment names it, and not if it is found anyway.
#[test]
fn proposals_name_the_configuration_that_is_in_use() {
    let sandbox = Sandbox::new();
    let said = |command: &mut std::process::Command| -> String {
        let ran = sandbox.run(command.args(["queue", "show", "0000"]), b"");
        proposed(&ran.stderr).pop().unwrap_or_else(|| panic!("{ran:?}"))
    };
    let config = sandbox.path("config.toml").display().to_string();
    let with_config = format!("gitea-lightstep queue list --config {config}");
    let dir = sandbox.path("");
    assert_eq!(said(sandbox.command(BINARY, &dir).env("GITEA_LIGHTSTEP_CONFIG", &config)), with_config);
    assert_eq!(said(sandbox.command(BINARY, &dir).arg(format!("--config={config}"))), with_config);
    assert_eq!(
        said(sandbox.command(BINARY, &dir).args(["--config", "git/../config.toml"])).replace("git/../", ""),
        with_config
    );
    // A configuration beside the binary is found anyway, under each of its names.
    fs::create_dir(sandbox.path("bin")).expect("a directory");
    let binary = sandbox.path("bin/gitea-lightstep");
    fs::hard_link(BINARY, &binary).or_else(|_| fs::copy(BINARY, &binary).map(|_| ())).expect("the binary");
    sandbox.write("bin/config.toml", "state_dir = \"../state\"\n");
    std::os::unix::fs::symlink(sandbox.path("bin/config.toml"), sandbox.path("link.toml")).expect("a link");
    let program = binary.display().to_string();
    let plain = format!("{program} queue list");
    let of_path = |command: &mut std::process::Command| -> String {
        let ran = sandbox.run(command.args(["queue", "show", "0000"]), b"");
        let span = ran.stderr.split('`').find(|span| span.contains("queue list")).expect("a command");
        span.to_string()
    };
    assert_eq!(of_path(&mut sandbox.command(&program, &dir)), plain);
    // Another program of this name comes first in the search.
    sandbox.executable("other/gitea-lightstep", "#!/bin/sh\n");
    let search =
        |dirs: &[&str]| std::env::join_paths(dirs.iter().map(|dir| sandbox.path(dir))).expect("a PATH");
    let of_search = |dirs: &[&str]| of_path(sandbox.command(&program, &dir).env("PATH", search(dirs)));
    assert_eq!(of_search(&["bin", "other"]), "gitea-lightstep queue list");
    assert_eq!(of_search(&["other", "bin"]), plain);
    assert_eq!(of_path(sandbox.command(&program, &dir).args(["--config", "link.toml"])), plain);
    // What is not found by its name is named by its path, also in another directory.
    assert_eq!(
        of_path(sandbox.command("./gitea-lightstep", &sandbox.path("bin")).args(["--config", "config.toml"])),
        plain
    );
}

/// A command in a message comes from `proposal`, which knows the configuration and the user.
#[test]
fn no_source_proposes_a_command_of_its_own() {
    let mut wrong = Vec::new();
    let mut dirs = vec![manifest_dir().join("src")];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            let is_test =
                path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
            if path.is_dir() {
                dirs.push(path);
            } else if !is_test {
                let text = fs::read_to_string(&path).expect("text");
                let is_code = |line: &&str| !line.trim_start().starts_with("//");
                let lines = text.lines().filter(is_code).filter(|line| line.contains("`gitea-lightstep "));
                wrong.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
            }
        }
    }
    // These say who wrote something, and what for.
    let descriptions = [
        "Made by `gitea-lightstep install`",
        "a rehearsal of `gitea-lightstep doctor`",
        "1 if `gitea-lightstep status` reports",
    ];
    wrong.retain(|line| !descriptions.iter().any(|known| line.contains(known)));
    assert_eq!(wrong, [""; 0]);
}
