//! A Gitea with our hook and a destination, which `doctor` examines.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use serde_json::Value;

use super::{
    Ran,
    host::{Host, Who},
    recorder::{Answer, Recorder},
};

/// A Gitea with our hook, and a destination.
pub struct Clinic {
    pub host: Host,
    pub recorder: Recorder,
}

impl Clinic {
    pub fn new() -> Self {
        Self::answering([])
    }

    /// Creates a Gitea whose destination gives these answers, and then 200.
    pub fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let clinic = Self { host: Host::new(), recorder: Recorder::start(answers) };
        for dir in ["srv/etc", "srv/var/state"] {
            fs::create_dir_all(clinic.host.place(dir)).expect("a directory");
        }
        clinic.mode("srv/var/state", 0o700);
        clinic.host.give_to_run_user(&clinic.host.place("srv/var/state"));
        clinic.configure("");
        clinic.program("gitea/repositories/acme/shop.git/hooks/post-receive.d/gitea", "cat >/dev/null");
        clinic.host.give_to_run_user(&clinic.hooks().join("gitea"));
        clinic
    }

    pub fn installed() -> Self {
        let clinic = Self::new();
        clinic.install(&[]);
        clinic
    }

    /// Writes the configuration; `more` is appended to its destination.
    pub fn configure(&self, more: &str) {
        let text = format!(
            "state_dir = {:?}\n[reply]\nto_pusher = \"nothing\"\n[[destination]]\nname = \"collector\"\nkind = \"otlp\"\n\
             endpoint = \"{}\"\n{more}\n",
            self.host.text("srv/var/state"),
            self.recorder.endpoint()
        );
        self.host.write("srv/etc/config.toml", &text);
    }

    pub fn hooks(&self) -> PathBuf {
        self.host.bare().join("hooks/post-receive.d")
    }

    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        self.host.write(name, &format!("#!/bin/sh\n{script}\n"));
        self.mode(name, 0o755);
        self.host.place(name)
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.host.place(name), fs::Permissions::from_mode(mode)).expect("permissions");
    }

    /// Creates a wrapper for git that reports this version.
    pub fn git_that_says(&self, version: &str) -> String {
        let script = format!("[ \"$1\" = version ] && echo 'git version {version}' && exit\nexec git \"$@\"");
        self.program("git", &script).display().to_string()
    }

    pub fn run(&self, who: Who, command: &str, args: &[&str]) -> Ran {
        let places = [self.host.text("srv/etc/config.toml"), self.host.text("etc/app.ini")];
        let mut run = self.host.command(who, &self.host.real_binary().display().to_string());
        run.args([command, "--config", &places[0], "--gitea-config", &places[1]]).args(args);
        self.host.sandbox.run(&mut run, b"")
    }

    pub fn install(&self, args: &[&str]) {
        self.run(Who::everybody()[0], "install", args).succeeded();
    }

    /// Returns the findings, each with the name of its check.
    pub fn findings(&self, args: &[&str]) -> Vec<(String, String)> {
        let ran = self.run(Who::RunUser, "doctor", &[&["--json"], args].concat());
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {ran:?}"));
        let mut found = Vec::new();
        for check in answer["checks"].as_array().expect("checks") {
            for finding in check["findings"].as_array().expect("findings") {
                assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{finding}");
                let text = |value: &Value| value.as_str().expect("text").to_string();
                found.push((text(&check["name"]), text(&finding["what"])));
            }
        }
        assert_eq!(answer["findings"], found.len());
        assert_eq!(ran.code, Some(i32::from(!found.is_empty())), "{ran:?}");
        found
    }

    /// Runs `doctor` as root and applies its proposed fixes. Asserts that `doctor` then finds
    /// nothing, and that a push is captured. Panics if the first run finds nothing.
    #[track_caller]
    pub fn heals(&self, what: &str) {
        let ran = self.run(Who::everybody()[0], "doctor", &["--json", "--no-push"]);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {ran:?}"));
        let checks = answer["checks"].as_array().expect("checks").iter();
        let findings: Vec<&Value> =
            checks.flat_map(|check| check["findings"].as_array().expect("findings")).collect();
        let text = |finding: &Value, key: &str| finding[key].as_str().expect("text").to_string();
        assert!(findings.iter().any(|finding| text(finding, "what").contains(what)), "{what}: {findings:#?}");
        for finding in findings {
            let fix = text(finding, "fix");
            let is_command = |part: &&str| {
                ["chmod ", "chown ", "chgrp ", "install -d "].iter().any(|verb| part.starts_with(verb))
                    || (part.starts_with('/') && part.contains("/gitea-lightstep install "))
            };
            let command = if is_command(&&*fix) { Some(&*fix) } else { fix.split('`').find(is_command) };
            let mut sh = self.host.command(Who::everybody()[0], "sh");
            // Without a command, another fix covers this, or it needs a person.
            if let Some(command) = command {
                self.host.sandbox.run(sh.args(["-c", command]), b"").succeeded();
            }
        }
        assert_eq!(self.findings(&["--no-push"]), [], "{what}");
        let decided =
            || self.host.sandbox.run(&mut self.log(), b"").stdout.matches("refs/heads/main").count();
        let before = decided();
        self.host.push().succeeded();
        assert!(decided() > before, "the push of `{what}` is not in the journal");
    }

    /// Asserts that this check has exactly one finding, and that no other check has any.
    #[track_caller]
    pub fn finds(&self, check: &str, what: &str, args: &[&str]) {
        let found = self.findings(args);
        let [(name, said)] = &found[..] else { panic!("expected `{what}` alone, found {found:#?}") };
        assert_eq!(name, check, "{said}");
        let said = said.replace(&self.host.text(""), "");
        assert!(said.contains(what), "{said}");
    }

    /// Returns a command that prints the journal.
    pub fn log(&self) -> Command {
        let mut log = self.host.command(Who::RunUser, &self.host.real_binary().display().to_string());
        log.args(["log", "--json", "--config", &self.host.text("srv/etc/config.toml")]);
        log
    }
}
