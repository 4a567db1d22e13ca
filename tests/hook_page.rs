//! The policy in the text box of Gitea's web interface, saved in various forms, with and without
//! the installed hook. Every push goes through the delegate, and each update must be decided
//! exactly once.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use crate::support::{BINARY, Sandbox};

const PAGE: &str = "git/acme/shop.git/hooks/post-receive.d/post-receive";
const INSTALLED: &str = "git/acme/shop.git/hooks/post-receive.d/gitea-lightstep";
const DELEGATE: &str = "git/acme/shop.git/hooks/post-receive";

/// The script after the first line; `mark` is on line 3.
const POLICY: &str = "\nfn decide(update) {\n    mark(#{ service: \"pasted\" })\n}\n";

/// The policy and configuration that decide a push.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// The page's script with the configuration of the installed hook.
    Page,
    /// The page's script with the other configuration.
    PageAlone,
    /// The policy without the page's script.
    NoPage,
}

/// A repository with the delegate, the installed hook, and a page with the same configuration.
struct Bench {
    sandbox: Sandbox,
}

impl Bench {
    fn new() -> Self {
        let mut sandbox = Sandbox::new();
        let config = sandbox.path("config.toml").display().to_string();
        sandbox.set("GITEA_LIGHTSTEP_CONFIG", &config);
        sandbox.write("other/config.toml", "state_dir = \"state\"\n[policy.limits]\ntime = \"20s\"\n");
        sandbox.commit("One", &[]);
        let bench = Self { sandbox };
        bench.page(&format!("#!{BINARY} hook{POLICY}"));
        bench
    }

    fn page(&self, text: &str) {
        self.sandbox.executable(PAGE, text);
    }

    /// Makes this shell run the delegate. Gitea uses bash unless the administrator changes it.
    fn run_by(&self, shell: &str) {
        let delegate = fs::read_to_string(self.sandbox.path(DELEGATE)).expect("the delegate");
        let (_, rest) = delegate.split_once('\n').expect("a first line");
        self.sandbox.executable(DELEGATE, &format!("#!/usr/bin/env {shell}\n{rest}"));
    }

    fn without(&self, name: &str) {
        fs::remove_file(self.sandbox.path(name)).expect("removed");
    }

    fn not_executable(&self, name: &str) {
        fs::set_permissions(self.sandbox.path(name), fs::Permissions::from_mode(0o644)).expect("permissions");
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.sandbox.path(name)).expect("the file");
        assert!(text.contains(from), "{text}");
        self.sandbox.executable(name, &text.replace(from, to));
    }

    /// Replaces the installed hook with a config hook. The git on this machine may not support
    /// config hooks, so a script in place of the delegate runs the command first, like git, and
    /// then the delegate. With `is_old` it runs only the delegate.
    fn with_config_hook(&self, is_old: bool) {
        self.without(INSTALLED);
        let config = self.sandbox.path("config.toml").display().to_string();
        let command = format!("test ! -x '{BINARY}' || '{BINARY}' hook --config '{config}'; :");
        self.sandbox.write(
            "home/.gitconfig",
            format!(
                "# gitea-lightstep: begin. Made by `gitea-lightstep install`.\n[hook \"gitea-lightstep\"]\n\
                 \tcommand = \"{command}\"\n\tevent = post-receive\n# gitea-lightstep: end.\n"
            ),
        );
        if !is_old {
            let delegate = fs::read_to_string(self.sandbox.path(DELEGATE)).expect("the delegate");
            let first = format!("updates=$(cat)\nprintf '%s\\n' \"$updates\" | sh -c \"{command}\"\n");
            let text = delegate.replace("updates=$(cat)\n", &first);
            assert_ne!(text, delegate);
            self.sandbox.executable(DELEGATE, &text);
        }
    }

    /// Pushes, and asserts that each update is decided once, by `by`. Returns what the pusher saw.
    #[track_caller]
    fn is_decided_once(&self, by: By, what: &str) -> String {
        let pushed = self.sandbox.push(&["main", "main:refs/heads/second"]);
        pushed.succeeded();
        let mut pushes = Vec::new();
        for (state, is_other) in [("state", false), ("other/state", true)] {
            pushes.extend(journal(&self.sandbox.path(state)).into_iter().map(|entry| (entry, is_other)));
        }
        let decisions: Vec<_> = pushes.iter().filter(|(entry, _)| entry["record"] == "decision").collect();
        assert_eq!(decisions.len(), 2, "{what}: {pushes:?}\n{}", pushed.stderr);
        let page = self.sandbox.path(PAGE).display().to_string();
        for (decision, is_other) in decisions {
            assert_eq!(*is_other, by == By::PageAlone, "{what}");
            if by == By::NoPage {
                assert_ne!(decision["markers"][0]["service"], "pasted", "{what}: {decision}");
            } else {
                assert_eq!(decision["markers"][0]["service"], "pasted", "{what}: {decision}");
                assert_eq!(decision["markers"][0]["by"], format!("{page}:3"), "{what}");
            }
        }
        let push = pushes.iter().find(|(entry, _)| entry["record"] == "push").expect("the push");
        let layers = push.0["layers"].as_array().expect("layers");
        let has_page = layers.iter().any(|layer| layer["layer"] == "hook page");
        assert_eq!(
            (has_page, push.0["hook_page"].is_string()),
            (by != By::NoPage, by != By::NoPage),
            "{what}"
        );
        pushed.stderr.clone()
    }
}

fn journal(state: &Path) -> Vec<Value> {
    let files = fs::read_dir(state.join("journal")).into_iter().flatten();
    let text: String =
        files.map(|file| fs::read_to_string(file.expect("an entry").path()).expect("the journal")).collect();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Returns the path of the configuration that the installed hook does not use.
fn other_of(bench: &Bench) -> String {
    bench.sandbox.path("other/config.toml").display().to_string()
}

/// Asserts that the server sent only the reply to the pusher.
#[track_caller]
fn is_quiet(stderr: &str, what: &str) {
    let remote = stderr.lines().filter_map(|line| line.strip_prefix("remote: "));
    let others: Vec<_> = remote.filter(|line| !line.starts_with("gitea-lightstep: change pasted")).collect();
    assert_eq!(others, [""; 0], "{what}");
}

#[test]
fn page_works_in_every_saved_form() {
    let windows = POLICY.replace('\n', "\r\n");
    for (what, text) in [
        ("as Gitea saves it", format!("#!{BINARY} hook{POLICY}")),
        ("with CRLF", format!("#!{BINARY} hook{windows}")),
        ("without a newline at the end", format!("#!{BINARY} hook{}", POLICY.trim_end())),
        ("with CRLF and without an end", format!("#!{BINARY} hook{}", windows.trim_end())),
        ("with spaces", format!("#! {BINARY} \thook \t{POLICY}")),
        ("with nothing after the interpreter", format!("#!{BINARY}{POLICY}")),
        ("with more than the system takes of a line", format!("#!{BINARY} {}hook{POLICY}", " ".repeat(300))),
    ] {
        for is_installed in [false, true] {
            let what = format!("{what}, beside an installed hook: {is_installed}");
            let bench = Bench::new();
            bench.page(&text);
            if !is_installed {
                bench.without(INSTALLED);
            }
            is_quiet(&bench.is_decided_once(By::Page, &what), &what);
            assert_eq!(bench.sandbox.troubles(), [""; 0], "{what}");
        }
    }
}

#[test]
fn unexecutable_page_is_handled_by_the_installed_hook() {
    let windows = POLICY.replace('\n', "\r\n");
    for shell in ["sh", "bash"] {
        for (what, text) in [
            ("a byte-order mark", format!("\u{feff}#!{BINARY} hook{POLICY}")),
            ("a byte-order mark and CRLF", format!("\u{feff}#!{BINARY} hook{windows}")),
            ("CRLF with nothing after the interpreter", format!("#!{BINARY}{windows}")),
            ("another path", format!("#!/nonexistent/gitea-lightstep hook{POLICY}")),
        ] {
            let what = format!("{what}, {shell}");
            let bench = Bench::new();
            bench.run_by(shell);
            bench.page(&text);
            bench.is_decided_once(By::Page, &what);
            let troubles = bench.sandbox.troubles();
            if text.starts_with('\u{feff}') {
                let page = bench.sandbox.path(PAGE).display().to_string();
                let why = "it begins with a byte-order mark, so the system runs it as a shell script too; \
                           save it without the mark";
                assert_eq!(troubles, [format!("`{page}`: {why}")], "{what}");
            } else {
                assert_eq!(troubles, [""; 0], "{what}");
            }

            // Without the installed hook, the page does not run, and the push succeeds anyway.
            let bench = Bench::new();
            bench.run_by(shell);
            bench.page(&text);
            bench.without(INSTALLED);
            bench.sandbox.push(&["main"]).succeeded();
            assert_eq!(bench.sandbox.journal().len(), 0, "{what}");
        }
    }
}

#[test]
fn page_and_installed_hook_decide_an_update_once() {
    is_quiet(&Bench::new().is_decided_once(By::Page, "both"), "both");

    let bench = Bench::new();
    bench.without(INSTALLED);
    bench.is_decided_once(By::Page, "only the page");

    let bench = Bench::new();
    bench.without(PAGE);
    bench.is_decided_once(By::NoPage, "only the installed hook");

    let bench = Bench::new();
    bench.not_executable(PAGE);
    is_quiet(&bench.is_decided_once(By::Page, "a page that does not run"), "a page that does not run");

    let bench = Bench::new();
    bench.not_executable(INSTALLED);
    bench.is_decided_once(By::Page, "an installed hook that does not run");

    let bench = Bench::new();
    bench.edit(INSTALLED, &format!("bin={BINARY}"), "bin=/nonexistent");
    bench.is_decided_once(By::Page, "an installed hook without its binary");

    let bench = Bench::new();
    bench.page("#!/bin/sh\necho of the page >&2\n");
    let stderr = bench.is_decided_once(By::NoPage, "a foreign script");
    assert_eq!(stderr.matches("remote: of the page").count(), 1);

    let bench = Bench::new();
    bench.page("#!/bin/sh\n# gitea-lightstep hook\ncat >/dev/null\n");
    bench.is_decided_once(By::NoPage, "a foreign script that mentions gitea-lightstep");
}

#[test]
fn page_with_another_binary_or_configuration_defers_to_the_installed_hook() {
    let bench = Bench::new();
    let link = bench.sandbox.path("bin/gitea-lightstep");
    fs::create_dir_all(link.parent().expect("a parent")).expect("a directory");
    std::os::unix::fs::symlink(BINARY, &link).expect("a link");
    bench.page(&format!("#!{} hook{POLICY}", link.display()));
    bench.is_decided_once(By::Page, "a link to the same binary");

    fs::remove_file(&link).expect("removed");
    fs::copy(BINARY, &link).expect("a copy");
    let bench_of_copy = Bench::new();
    bench_of_copy.page(&format!("#!{} hook{POLICY}", link.display()));
    is_quiet(&bench_of_copy.is_decided_once(By::Page, "a copy"), "a copy");

    let mut bench = Bench::new();
    bench.sandbox.set("GITEA_LIGHTSTEP_CONFIG", &other_of(&bench));
    is_quiet(&bench.is_decided_once(By::Page, "another configuration"), "another configuration");

    let mut bench = Bench::new();
    bench.sandbox.set("GITEA_LIGHTSTEP_CONFIG", &other_of(&bench));
    // Quote the paths like install.sh does.
    bench.edit(INSTALLED, &format!("bin={BINARY}"), &format!("bin='{BINARY}'"));
    let config = bench.sandbox.path("config.toml").display().to_string();
    bench.edit(INSTALLED, &format!("config={config}"), &format!("config='{config}'"));
    is_quiet(&bench.is_decided_once(By::Page, "quoted paths"), "quoted paths");

    let mut bench = Bench::new();
    bench.sandbox.unset("GITEA_LIGHTSTEP_CONFIG");
    bench.is_decided_once(By::Page, "no configuration");

    for (what, is_installed, by) in [("named", true, By::Page), ("named, alone", false, By::PageAlone)] {
        let bench = Bench::new();
        if !is_installed {
            bench.without(INSTALLED);
        }
        bench.page(&format!("#!{BINARY} hook --config {}{POLICY}", other_of(&bench)));
        bench.is_decided_once(by, what);
    }

    // With `env`, the page's command cannot be known, so the installed hook takes the push.
    for (is_installed, by) in [(true, By::Page), (false, By::PageAlone)] {
        let bench = Bench::new();
        if !is_installed {
            bench.without(INSTALLED);
        }
        bench.page(&format!("#!/usr/bin/env -S {BINARY} hook --config {}{POLICY}", other_of(&bench)));
        bench.is_decided_once(by, "through env");
    }
}

#[test]
fn unrecognised_installed_hook_defers_to_the_page() {
    let unseen = |bench: &Bench| bench.edit(INSTALLED, "exec \"$bin\" hook", "\"$bin\" hook --quiet");

    let bench = Bench::new();
    unseen(&bench);
    bench.is_decided_once(By::Page, "the same configuration");

    let mut bench = Bench::new();
    bench.sandbox.set("GITEA_LIGHTSTEP_CONFIG", &other_of(&bench));
    unseen(&bench);
    bench.is_decided_once(By::PageAlone, "another configuration");

    let bench = Bench::new();
    unseen(&bench);
    bench.not_executable(PAGE);
    bench.is_decided_once(By::Page, "a page that does not run");

    // Without the delegate, the page does not run.
    let bench = Bench::new();
    let installed = fs::read_to_string(bench.sandbox.path(INSTALLED)).expect("the hook");
    bench.without(INSTALLED);
    bench.sandbox.executable(DELEGATE, &installed);
    bench.is_decided_once(By::Page, "no delegate");
}

#[test]
fn page_and_config_hook_decide_an_update_once() {
    for is_old in [false, true] {
        let what = |what: &str| format!("{what}, a git without config hooks: {is_old}");
        let bench = Bench::new();
        bench.with_config_hook(is_old);
        is_quiet(&bench.is_decided_once(By::Page, &what("both")), "both");

        // The page's own configuration does not matter.
        let mut bench = Bench::new();
        bench.sandbox.set("GITEA_LIGHTSTEP_CONFIG", &other_of(&bench));
        bench.with_config_hook(is_old);
        is_quiet(&bench.is_decided_once(By::Page, &what("another configuration")), "another configuration");
        bench.page(&format!("#!/usr/bin/env -S {BINARY} hook --config {}{POLICY}", other_of(&bench)));
        let pushed = bench.sandbox.push(&["main:refs/heads/third"]);
        pushed.succeeded();
        assert_eq!(
            journal(&bench.sandbox.path("other/state")).len(),
            0,
            "{}",
            what("a configuration named in the page")
        );
        let decisions = bench.sandbox.decisions();
        assert_eq!((decisions.len(), &decisions[2]["markers"][0]["service"]), (3, &"pasted".into()));

        let mut bench = Bench::new();
        bench.sandbox.unset("GITEA_LIGHTSTEP_CONFIG");
        bench.with_config_hook(is_old);
        bench.is_decided_once(By::Page, &what("no configuration"));

        // The command in .gitconfig names a missing binary.
        let bench = Bench::new();
        bench.with_config_hook(is_old);
        bench.edit("home/.gitconfig", BINARY, "/nonexistent");
        bench.is_decided_once(By::Page, &what("without the binary"));
    }

    let bench = Bench::new();
    bench.with_config_hook(false);
    bench.not_executable(PAGE);
    bench.is_decided_once(By::Page, "a page that does not run");

    let bench = Bench::new();
    bench.with_config_hook(false);
    bench.without(PAGE);
    bench.is_decided_once(By::NoPage, "the config hook alone");

    let bench = Bench::new();
    bench.with_config_hook(false);
    bench.page(&format!("\u{feff}#!{BINARY} hook{POLICY}"));
    bench.is_decided_once(By::Page, "a byte-order mark");
}

#[test]
fn site_guard_applies_to_the_page() {
    for is_executable in [true, false] {
        let bench = Bench::new();
        bench.sandbox.write("scripts/site.rhai", "fn guard(marker, update) { refuse(\"not here\") }");
        bench.sandbox.write("scripts/lib/names.rhai", "fn service() { \"imported\" }");
        let policy =
            "import \"lib/names\" as names;\nfn decide(update) { mark(#{ service: names::service() }) }";
        bench.page(&format!("#!{BINARY} hook\n{policy}"));
        if !is_executable {
            bench.not_executable(PAGE);
        }
        bench.sandbox.push(&["main"]).succeeded();
        assert_eq!(bench.sandbox.decisions()[0]["why"], "not here");
        bench.without("scripts/site.rhai");
        bench.sandbox.push(&["main:second"]).succeeded();
        assert_eq!(bench.sandbox.decisions()[1]["markers"][0]["service"], "imported");
    }
}

#[test]
fn wrong_policy_on_the_page_is_told_to_the_pusher() {
    for is_installed in [true, false] {
        for (text, expected) in [
            ("fn decide(update) { mark(#{ kin: 1 }) }", " in line 2: "),
            ("fn decide(update) {\n  mark(", " in line 4: "),
            ("fn decide(update) {\n\n update.brnch }", " in line 4: "),
            ("fn decide(update) { throw \"no\" }", " in line 2: "),
            ("fn decide(update) { 7 }", " in line 2: "),
            ("fn decde(update) { true }", ": "),
            ("", ": "),
            ("import \"gone\" as gone; fn decide(update) { true }", " in line 2"),
            ("fn decide(update) { loop {} }", " in line 2: "),
            ("fn decide(update) { throw \"a\\nb\\u001b[31m\" + \"x\".len() }", " in line 2: "),
        ] {
            let bench = Bench::new();
            if !is_installed {
                bench.without(INSTALLED);
            }
            bench.page(&format!("#!{BINARY} hook\n{text}\n"));
            let pushed = bench.sandbox.push(&["main"]);
            let [line] = &pushed.succeeded().remote()[..] else { panic!("{text:?}: {}", pushed.stderr) };
            let starts = format!("gitea-lightstep: the policy on the Git Hooks page failed{expected}");
            assert!(line.starts_with(&starts), "{text:?}: {line}");
            assert!(line.ends_with("; the marker follows when it is fixed"), "{text:?}: {line}");
            let is_private = line.contains(&bench.sandbox.path("").display().to_string());
            assert!(!is_private && line.len() < 400 && !line.contains('\u{1b}'), "{text:?}: {line}");
        }
    }
}

#[test]
fn page_in_a_container_finds_the_configuration_of_the_data_volume() {
    let mut bench = Bench::new();
    bench.sandbox.unset("GITEA_LIGHTSTEP_CONFIG");
    bench.without(INSTALLED);
    let policy = "fn decide(update) { mark(#{ service: \"pasted\" }) }";
    for (dir, is_found) in
        [("data/gitea-lightstep", true), ("data/other", false), ("data/gitea-lightstep/x", false)]
    {
        let binary = bench.sandbox.path(dir).join("bin/gitea-lightstep");
        fs::create_dir_all(binary.parent().expect("a parent")).expect("a directory");
        fs::copy(BINARY, &binary).expect("a copy");
        let state = bench.sandbox.path(dir).join("state");
        let config = format!("state_dir = {:?}\n", state.display().to_string());
        bench.sandbox.write(&format!("{dir}/config.toml"), config);
        let mut check = bench.sandbox.command(&binary.display().to_string(), &bench.sandbox.path(""));
        let checked = bench.sandbox.run(check.args(["check", "-v"]), b"");
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert_eq!(said.contains(&format!("{dir}/config.toml")), is_found, "{dir}: {said}");
        if is_found {
            bench.page(&format!("#!{} hook\n{policy}\n", binary.display()));
            let pushed = bench.sandbox.push(&["main"]);
            let line = &pushed.succeeded().remote()[0];
            assert!(line.starts_with("gitea-lightstep: change pasted"), "{line}");
            assert!(state.join("outbox").exists() && !journal(&state).is_empty());
        }
    }
}
