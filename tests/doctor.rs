//! `doctor`: it finds each cause that it knows, says what to do, and finds nothing where nothing is wrong.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use serde_json::Value;

use crate::support::{
    Ran, assert_as_it_is,
    host::{Host, Who, is_root},
    recorder::{Answer, Recorder},
};

/// A Gitea with our hook in it, and what it delivers to.
struct Clinic {
    host: Host,
    recorder: Recorder,
}

impl Clinic {
    fn new() -> Self {
        Self::answering([])
    }

    /// Makes one whose destination answers so, and then with 200.
    fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
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

    fn installed() -> Self {
        let clinic = Self::new();
        clinic.install(&[]);
        clinic
    }

    /// Writes the configuration, with `more` at the end of its destination.
    fn configure(&self, more: &str) {
        let text = format!(
            "state_dir = {:?}\n[reply]\nto_pusher = \"nothing\"\n[[destination]]\nname = \"collector\"\nkind = \"otlp\"\n\
             endpoint = \"{}\"\n{more}\n",
            self.host.text("srv/var/state"),
            self.recorder.endpoint()
        );
        self.host.write("srv/etc/config.toml", &text);
    }

    fn hooks(&self) -> PathBuf {
        self.host.bare().join("hooks/post-receive.d")
    }

    fn program(&self, name: &str, script: &str) -> PathBuf {
        self.host.write(name, &format!("#!/bin/sh\n{script}\n"));
        self.mode(name, 0o755);
        self.host.place(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.host.place(name), fs::Permissions::from_mode(mode)).expect("permissions");
    }

    /// Makes a git that says that it is of this version and is the real one otherwise.
    fn git_that_says(&self, version: &str) -> String {
        let script = format!("[ \"$1\" = version ] && echo 'git version {version}' && exit\nexec git \"$@\"");
        self.program("git", &script).display().to_string()
    }

    fn run(&self, who: Who, command: &str, args: &[&str]) -> Ran {
        let places = [self.host.text("srv/etc/config.toml"), self.host.text("etc/app.ini")];
        let mut run = self.host.command(who, &self.host.real_binary().display().to_string());
        run.args([command, "--config", &places[0], "--gitea-config", &places[1]]).args(args);
        self.host.sandbox.run(&mut run, b"")
    }

    fn install(&self, args: &[&str]) {
        self.run(Who::everybody()[0], "install", args).succeeded();
    }

    /// Returns what is found, each with the name of its check.
    fn findings(&self, args: &[&str]) -> Vec<(String, String)> {
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

    /// Asserts that one thing is found, by this check, and nothing else.
    #[track_caller]
    fn finds(&self, check: &str, what: &str, args: &[&str]) {
        let found = self.findings(args);
        let [(name, said)] = &found[..] else { panic!("expected `{what}` alone, found {found:#?}") };
        assert_eq!(name, check, "{said}");
        let said = said.replace(&self.host.text(""), "");
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn where_nothing_is_wrong_nothing_is_found() {
    let clinic = Clinic::installed();
    for who in Who::everybody() {
        let ran = clinic.run(*who, "doctor", &[]);
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
        if *who == Who::RunUser {
            let shown = ran.stdout.replace(&clinic.host.text(""), "/HOST/");
            assert_as_it_is(&clinic.host.sandbox, "doctor-well.txt", &normalised(&shown, &clinic));
        }
    }
    // The rehearsals are in the journal, and became no markers.
    let journal = clinic.host.sandbox.run(&mut clinic.log(), b"").succeeded().stdout.clone();
    assert_eq!(journal.matches("a rehearsal of `gitea-lightstep doctor`").count(), Who::everybody().len());
    assert!(!clinic.host.place("srv/var/state/outbox").exists(), "no marker was made");
    let left = fs::read_dir(clinic.host.place("gitea/repositories")).expect("the repositories").count();
    assert_eq!(left, 1, "the throw-away repository is gone");
}

impl Clinic {
    fn log(&self) -> std::process::Command {
        let mut log = self.host.command(Who::RunUser, &self.host.real_binary().display().to_string());
        log.args(["log", "--json", "--config", &self.host.text("srv/etc/config.toml")]);
        log
    }
}

/// Takes out what differs from run to run and from machine to machine.
fn normalised(text: &str, clinic: &Clinic) -> String {
    let binary = clinic.host.real_binary().display().to_string();
    let lines = text.lines().map(|line| {
        let line = line.replace(&binary, "/HOST/binary").replace(&clinic.host.user.name, "USER");
        let line = line.replace(clinic.recorder.endpoint().trim_start_matches("http://"), "RECEIVER");
        match line.split_once("git            ") {
            Some((mark, _)) => format!("{mark}git            VERSION, /usr/bin/git"),
            None => match line.split_once("it took ") {
                Some((before, _)) => format!("{before}it took N ms"),
                None => line,
            },
        }
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn the_hook_is_missing_dead_foreign_changed_or_beside_strangers() {
    let clinic = Clinic::new();
    clinic.finds("hooks", "no hook of ours is installed: acme/shop.git", &[]);

    let clinic = Clinic::installed();
    let hooks = "gitea/repositories/acme/shop.git/hooks";
    let wrapper = format!("{hooks}/post-receive.d/gitea-lightstep");
    let mode = |name: &str, mode| clinic.mode(name, mode);
    let well = || assert_eq!(clinic.findings(&["--no-push"]), []);

    mode(&wrapper, 0o644);
    clinic.finds("hooks", "our hook is not executable", &["--no-push"]);
    mode(&wrapper, 0o755);
    well();
    mode(&format!("{hooks}/post-receive"), 0o644);
    clinic.finds("hooks", "Gitea's own post-receive hook is not there or not executable", &["--no-push"]);
    mode(&format!("{hooks}/post-receive"), 0o755);
    mode(&format!("{hooks}/post-receive.d"), 0o775);
    clinic.finds("hooks", "others than Gitea's user may write there", &["--no-push"]);
    mode(&format!("{hooks}/post-receive.d"), 0o755);
    well();

    clinic.program(&format!("{hooks}/post-receive.d/zz-known"), "cat >/dev/null");
    clinic.finds("hooks", "acme/shop.git/hooks/post-receive.d/zz-known", &["--no-push"]);
    assert_eq!(clinic.findings(&["--no-push", "--expected", "zz-known"]), []);
    symlink("/bin/sh", clinic.host.bare().join("hooks/update")).expect("a link");
    fs::create_dir_all(clinic.host.bare().join("hooks/update.d")).expect("a directory");
    clinic.program(&format!("{hooks}/update.d/backdoor"), "id");
    let found = clinic.findings(&["--no-push", "--expected", "zz-known"]);
    assert!(found.iter().any(|(_, what)| what.contains("update.d/backdoor")), "{found:?}");
    fs::remove_file(clinic.host.bare().join("hooks/update.d/backdoor")).expect("it goes");
    fs::remove_file(clinic.hooks().join("zz-known")).expect("it goes");
    fs::remove_file(clinic.host.bare().join("hooks/update")).expect("it goes");
    fs::remove_dir(clinic.host.bare().join("hooks/update.d")).expect("it goes");
    well();

    let page = clinic.hooks().join("post-receive");
    fs::write(&page, "\u{feff}#!/usr/local/bin/gitea-lightstep hook\nfn decide(update) { true }\n")
        .expect("a page");
    clinic.host.give_to_run_user(&page);
    clinic.finds("hooks", "the Git Hooks page begins with a byte-order mark", &["--no-push"]);
    fs::remove_file(page).expect("it goes");

    let text = fs::read_to_string(clinic.host.place(&wrapper)).expect("the wrapper");
    clinic.host.write(&wrapper, &text.replace("exec \"$bin\"", "exec nice \"$bin\""));
    clinic.finds("hooks", "our hook was changed by hand", &["--no-push"]);
    clinic.host.write(&wrapper, "#!/bin/sh\nexit 0\n");
    let found = clinic.findings(&["--no-push"]);
    assert!(
        found.iter().any(|(_, what)| what.contains("a file of somebody else's has the name")),
        "{found:?}"
    );
    if is_root() {
        clinic.host.write(&wrapper, &text);
        std::os::unix::fs::chown(clinic.host.place(&wrapper), Some(0), None).expect("root's");
        clinic.finds("hooks", "the user 0 owns it, and not Gitea's", &["--no-push"]);
    }
}

#[test]
fn what_git_does_with_its_configuration() {
    let clinic = Clinic::new();
    let new_git = clinic.git_that_says("2.55.0");
    clinic.install(&["--git", &new_git]);
    assert_eq!(clinic.findings(&["--no-push", "--git", &new_git]), []);
    let found = clinic.findings(&["--no-push", "--git", &clinic.git_that_says("2.47.3")]);
    let said: Vec<&str> = found.iter().map(|(_, what)| &**what).collect();
    assert!(said[0].starts_with("the config hook is never run by git 2.47.3"), "{said:?}");
    assert!(said[1].starts_with("not every repository has our hook"), "{said:?}");

    let new_git = clinic.git_that_says("2.55.0");
    let git_config = "gitea/home/.gitconfig";
    let text = fs::read_to_string(clinic.host.place(git_config)).expect("git's configuration");
    for (more, what) in [
        (
            "[hook \"other\"]\n\tevent = post-receive\n",
            "has an `event` and no `command`, so every push fails",
        ),
        ("[hook \"other\"]\n\tcommand = /nowhere\n\tevent = update\n", "git stops there"),
        ("[core]\n\thooksPath = /srv/hooks\n", "the hooks of the repositories are not run"),
        ("[core\n", "git cannot read this line"),
    ] {
        clinic.host.write(git_config, &format!("{text}{more}"));
        let found = clinic.findings(&["--no-push", "--git", &new_git]);
        assert!(found.iter().any(|(check, said)| check == "git" && said.contains(what)), "{found:?}");
    }
    clinic.host.write(git_config, &text);
    let wrapper = clinic.hooks().join("gitea-lightstep");
    let source = include_str!("../hooks/gitea-lightstep");
    fs::write(&wrapper, source).expect("a wrapper");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("permissions");
    clinic.host.give_to_run_user(&wrapper);
    let found = clinic.findings(&["--no-push", "--git", &new_git]);
    assert!(found.iter().any(|(_, said)| said.contains("beside the config hook")), "{found:?}");
    assert!(
        found.iter().any(|(check, said)| check == "binary" && said.contains("hooks start `/usr/local")),
        "{found:?}"
    );
}

#[test]
fn who_may_read_and_write_what() {
    let clinic = Clinic::installed();
    clinic.mode("srv/var/state", 0o755);
    clinic.finds(
        "state",
        "`srv/var/state` has the mode 0755: others may see who pushed what",
        &["--no-push"],
    );
    clinic.mode("srv/var/state", 0o500);
    let found = clinic.findings(&["--no-push"]);
    assert!(found.iter().any(|(_, what)| what.contains("cannot be written by its owner")), "{found:?}");
    clinic.mode("srv/var/state", 0o700);
    clinic.mode("srv/etc/config.toml", 0o666);
    clinic.finds("files", "others may say where markers go", &["--no-push"]);
    clinic.mode("srv/etc/config.toml", 0o644);

    clinic.configure("headers = { authorization = { file = \"token\" } }");
    clinic.finds("configuration", "failed to read the secret for `authorization`", &["--no-push"]);
    clinic.host.write("srv/etc/token", "s3cr3t\n");
    clinic.mode("srv/etc/token", 0o644);
    clinic.finds(
        "files",
        "`srv/etc/token` has the mode 0644: others may read or change the secret",
        &["--no-push"],
    );
    clinic.mode("srv/etc/token", 0o600);
    clinic.host.give_to_run_user(&clinic.host.place("srv/etc/token"));
    assert_eq!(clinic.findings(&["--no-push"]), []);
    if is_root() {
        fs::create_dir(clinic.host.place("srv/var/state/inbox")).expect("root's directory");
        clinic.finds("state", "`srv/var/state/inbox` belongs to the user 0", &["--no-push"]);
    }
}

#[test]
fn what_a_destination_says() {
    for (answer, what) in [
        (Answer::status(401), "HTTP 401"),
        (Answer::status(404), "HTTP 404"),
        (
            Answer::status(302).header("location", "https://elsewhere.example/"),
            "redirects to https://elsewhere.example/",
        ),
        (Answer::status(503), "HTTP 503"),
        (Answer::status(200).header("date", "Sun, 22 Nov 2020 12:00:00 GMT"), "clock is"),
    ] {
        let clinic = Clinic::answering([answer]);
        clinic.install(&[]);
        clinic.finds("destinations", what, &["--no-push"]);
    }
    let clinic = Clinic::installed();
    let endpoint = clinic.recorder.endpoint();
    let config = fs::read_to_string(clinic.host.place("srv/etc/config.toml")).expect("the configuration");
    clinic.host.write("srv/etc/config.toml", &config.replace(&endpoint, "http://127.0.0.1:9"));
    clinic.finds("destinations", "Connection refused", &["--no-push"]);
    clinic.host.write("srv/etc/config.toml", "state_dir = \"../var/state\"\n");
    clinic.finds("destinations", "no destination is configured", &["--no-push"]);
    clinic.host.write("srv/etc/config.toml", "state_dir = \"../var/state\"\nstate_dri = 1\n");
    let found = clinic.findings(&["--no-push"]);
    assert!(
        found.iter().any(|(check, said)| check == "configuration" && said.contains("config.toml:2:1")),
        "{found:?}"
    );
}

#[test]
fn what_waits_and_who_holds_it() {
    let clinic = Clinic::installed();
    let new = "srv/var/state/outbox/collector/new";
    fs::create_dir_all(clinic.host.place(new)).expect("a directory");
    // A push of September 2020.
    clinic
        .host
        .write(&format!("{new}/01748d3a-6c00-7000-8000-000000000000.0"), "{\"format\":1,\"markers\":0}\n");
    clinic.host.write("srv/var/state/outbox/collector/lock", "");
    for dir in ["srv/var/state/outbox", "srv/var/state/outbox/collector", new] {
        clinic.mode(dir, 0o700);
    }
    clinic.host.give_to_run_user(&clinic.host.place("srv/var/state"));
    clinic.finds("spool", "in `collector` waits since 2020-09-14T", &["--no-push"]);
    let lock = fs::File::open(clinic.host.place("srv/var/state/outbox/collector/lock")).expect("the lock");
    lock.lock().expect("it is ours");
    clinic.finds("spool", &format!("the process {} holds the lock", std::process::id()), &["--no-push"]);
}

#[test]
fn a_gitea_that_is_known_to_have_holes() {
    let clinic = Clinic::installed();
    let gitea = clinic
        .program("usr/gitea", "echo 'Gitea version 1.27.2 built with GNU Make 4.4, go1.27.3 : bindata'");
    let quoted = gitea.display().to_string().replace('\'', r"'\''");
    let hook = "gitea/repositories/acme/shop.git/hooks/post-receive.d/gitea";
    let starts = |program: &str| {
        format!("#!/usr/bin/env bash\n'{program}' hook --config='/etc/gitea/app.ini' post-receive\n")
    };
    clinic.host.write(hook, &starts(&quoted));
    clinic.finds("gitea", "Gitea 1.27.2 has CVE-2026-70402", &["--no-push"]);
    clinic.host.write(hook, &starts("/nowhere/gitea"));
    clinic.finds("gitea", "Gitea's hooks start `/nowhere/gitea`, which cannot be run", &["--no-push"]);
}

#[test]
fn a_rehearsal_finds_what_no_look_at_files_shows() {
    // The hook starts something that takes no push.
    let clinic = Clinic::new();
    let stub = clinic.program("usr/stub", "cat >/dev/null").display().to_string();
    clinic.install(&["--binary", &stub]);
    clinic.finds("rehearsal", "reached no hook: the journal knows nothing of it", &[]);

    // Another hook talks to every pusher; it comes by the template for new repositories.
    let clinic = Clinic::installed();
    let template = "gitea/home/gitea-lightstep-template/hooks/post-receive.d/00-noise";
    clinic.program(template, "cat >/dev/null; echo 'hello pusher' >&2");
    clinic.host.give_to_run_user(&clinic.host.place(template));
    clinic.finds("rehearsal", "every pusher reads this: remote: hello pusher", &[]);
}

#[test]
fn without_a_gitea_there_is_still_something_to_look_at() {
    let clinic = Clinic::new();
    let mut run = clinic.host.command(Who::RunUser, &clinic.host.real_binary().display().to_string());
    run.args([
        "doctor",
        "--config",
        &clinic.host.text("srv/etc/config.toml"),
        "--gitea-config",
        "/nowhere/app.ini",
    ]);
    let ran = clinic.host.sandbox.run(&mut run, b"");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("well   destinations   collector takes what it is sent"), "{}", ran.stdout);
    assert!(ran.stdout.contains("found  gitea"), "{}", ran.stdout);
    assert!(ran.stdout.contains("-> name its app.ini with --gitea-config"), "{}", ran.stdout);
}
