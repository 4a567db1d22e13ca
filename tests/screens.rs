//! What a person sees on a terminal: it fits, it has colour only where it is wanted, and it says what
//! made a command fail.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::support::{
    BINARY, Ran, Sandbox,
    recorder::{Answer, Recorder},
    terminal::run_on_terminal,
    wait_until,
};

const SERVICE: &str =
    "日本語の店-with-a-name-that-is-much-longer-than-any-terminal-should-have-to-show-日本語の店";

/// A sandbox with long names, wide characters, a destination that is down, and every kind of entry.
fn crowded() -> Sandbox {
    let sandbox = Sandbox::new();
    let title =
        "修正: 決済サービスの丸め処理を直す, and so much more that nobody wants to read it on one line";
    sandbox.commit(title, &[("file", "1")]);
    sandbox.git(&["tag", "v1.0.0"]);
    let more = format!(
        "[[service]]\nrepository = \"**\"\npaths = [\"**\"]\nname = \"{SERVICE}\"\n[[destination]]\n\
         name = \"a-collector-in-another-data-centre-far-away\"\nkind = \"otlp\"\n\
         endpoint = \"http://127.0.0.1:9\"\n[status]\nolder_than = \"1ms\"\n"
    );
    sandbox.configure(&more);
    let branch =
        "main:refs/heads/a-branch-with-a-name-that-goes-on-and-on-until-the-end-of-the-line-and-beyond";
    sandbox.push(&["-o", "deploy=prod", "main", "v1.0.0", branch]).succeeded();
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { throw \"a reason that is far too long for one line\" }",
    );
    sandbox.push(&["main:refs/heads/fails"]).succeeded();
    sandbox.binary(&["deliver"]).succeeded_or_found();
    sandbox
}

/// Runs a command on a terminal with this number of columns.
fn shown(sandbox: &Sandbox, columns: u16, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = sandbox.command(BINARY, &sandbox.path(""));
    command.args(args).arg("--config").arg(sandbox.path("config.toml"));
    command.env("TERM", "xterm").env("PAGER", "cat").envs(env.iter().copied());
    run_on_terminal(&mut command, columns, |_| String::new())
}

/// Removes the sequences that set colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn screens_fit_the_terminal() {
    let sandbox = crowded();
    let bare = sandbox.bare().display().to_string();
    let policy = sandbox.path("draft.rhai").display().to_string();
    sandbox.write("draft.rhai", "fn decide(update) { false }");
    let root = sandbox.path("git").display().to_string();
    for args in [
        &["status"][..],
        &["queue", "list"],
        &["queue", "list", "--dead"],
        &["explain", &bare],
        &["explain", &bare, "main"],
        &["explain", "acme/shop", "v1.0.0"],
        &["explain", "acme/a-repository-that-nobody-knows-and-that-has-a-long-name", "none-of-that-name"],
        &["log"],
        &["log", "-v"],
        &["try", &bare, "--policy", &policy],
        &["try", &bare, "--policy", &policy, "-v"],
        &["try", &bare, "--policy", &policy, "--against"],
        &["try", &bare],
        &["backfill", &bare, "--dry-run", "-v"],
        &["backfill", &bare],
        &["doctor", "--no-push", "--root", &root],
        &["deliver"],
        &["mark", "acme/shop", "--environment", "prod", "--title", "修正"],
        &["mark", "acme/shop", "--environment", "prod", "--dry-run"],
        &["mark", "acme/shop", "--kind", "change", "--environment", "prod"],
        &["mark", "acme/shop", "--environment", "prod", "--started", "1970-01-01"],
        &["mark", "--help"],
    ] {
        for columns in [80, 100] {
            let ran = shown(&sandbox, columns, args, &[]);
            assert!(ran.stdout.len() > 10, "{args:?}: {ran:?}");
            for line in plain(&ran.stdout).lines() {
                assert!(
                    line.width() <= usize::from(columns),
                    "{args:?} in {columns}: {line}\n{}",
                    ran.stdout
                );
            }
        }
    }
    // What a program reads is not broken.
    let log = sandbox.binary(&["log", "--outcome", "marked"]);
    assert!(log.succeeded().stdout.lines().all(|line| line.contains(" marked ")), "{}", log.stdout);
    assert!(log.stdout.contains(SERVICE));
}

#[test]
fn commands_that_are_broken_can_be_pasted() {
    let sandbox = crowded();
    let ran = shown(&sandbox, 60, &["explain", "acme/shop", "main"], &[]);
    let text = plain(&ran.stdout).replace('\r', "");
    let command = text.split('`').nth(1).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(command.contains(" \\\n"), "{command}");
    let mut shell = sandbox.command("sh", &sandbox.path(""));
    assert!(sandbox.run(shell.args(["-c", command]), b"").succeeded().stdout.contains("where        outbox"));
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let sandbox = crowded();
    sandbox.write("broken.rhai", "fn decide(update) {");
    let bare = sandbox.bare().display().to_string();
    for args in [
        &["status"][..],
        &["log"],
        &["explain", &bare],
        &["try", &bare, "--policy", "none", "--help"],
        &["doctor", "--no-push", "--root", "/nowhere"],
        &["check", "broken.rhai"],
        &["connect"],
        &["--help"],
        &["nostatus"],
    ] {
        let has_colour =
            |args: &[&str], env: &[(&str, &str)]| shown(&sandbox, 80, args, env).stdout.contains("\x1b[");
        let with = |choice: &'static str| [args, &["--color", choice]].concat();
        assert!(has_colour(args, &[]), "{args:?}");
        assert!(has_colour(args, &[("NO_COLOR", "")]), "{args:?}");
        for env in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            assert!(!has_colour(args, &[env]), "{args:?} {env:?}");
            assert!(!has_colour(&with("auto"), &[env]), "{args:?} {env:?}");
            assert!(has_colour(&with("always"), &[env]), "{args:?} {env:?}");
        }
        assert!(!has_colour(&with("never"), &[]), "{args:?}");
        let piped = |choice| {
            let ran = sandbox.binary(&with(choice));
            format!("{}{}", ran.stdout, ran.stderr).contains("\x1b[")
        };
        assert!(piped("always") && !piped("auto") && !piped("never"), "{args:?}");
    }
}

#[test]
fn status_names_the_line_that_needs_a_person() {
    let sandbox = crowded();
    let ran = sandbox.binary(&["status"]);
    assert_eq!(ran.code, Some(1));
    let at = ran.stdout.find("needs you").expect("the causes");
    let causes: Vec<&str> = ran.stdout[at..].lines().map(|line| line[11..].trim()).collect();
    let collector = "a-collector-in-another-data-centre-far-away";
    assert_eq!(
        causes,
        [
            "failed: the policy failed on 1 push",
            &format!("{collector}: 1 file too old"),
            &format!("{collector}: the last delivery failed"),
        ]
    );
    for cause in causes {
        let label = cause.split(": ").next().expect("a label");
        assert!(ran.stdout[..at].lines().any(|line| line.starts_with(label)), "{label}: {}", ran.stdout);
    }
    let json: Value = serde_json::from_str(&sandbox.binary(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(json["causes"].as_array().map(Vec::len), Some(3));
    let well = Sandbox::new();
    well.commit("Well", &[]);
    well.push(&["main"]).succeeded();
    assert!(!well.binary(&["status"]).succeeded().stdout.contains("needs you"));
}

#[test]
fn log_is_shown_in_a_pager_on_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.commit("Pay by card", &[]);
    sandbox.push(&["main"]).succeeded();
    let pager = ("PAGER", "sed s/^/paged:/");
    let is_paged = |env: &[(&str, &str)]| {
        let shown = shown(&sandbox, 80, &["log"], env).stdout;
        assert!(shown.contains("change shop"), "{shown}");
        shown.contains("paged:")
    };
    assert!(is_paged(&[pager]));
    assert!(is_paged(&[("PAGER", "sed -e 's/^/paged: /' | cat")]));
    for env in [&[pager, ("TERM", "dumb")][..], &[("PAGER", "cat")], &[("PAGER", "")], &[("PAGER", "/none")]]
    {
        assert!(!is_paged(env), "{env:?}");
    }
    let mut piped = sandbox.command(BINARY, &sandbox.path(""));
    piped.args(["log", "--config"]).arg(sandbox.path("config.toml")).env(pager.0, pager.1);
    assert!(!sandbox.run(&mut piped, b"").stdout.contains("paged:"));
}

#[test]
fn status_is_redrawn() {
    let sandbox = crowded();
    let watch = |env: &str| {
        let mut command = sandbox.command("timeout", &sandbox.path(""));
        command.args(["5", BINARY, "status", "--watch", "--config"]).arg(sandbox.path("config.toml"));
        run_on_terminal(command.env("TERM", env), 80, |_| String::new()).stdout
    };
    let drawn = watch("xterm");
    assert!(
        drawn.matches("\x1b[H\x1b[2J").count() >= 2 && drawn.matches("dead letters").count() >= 2,
        "{drawn}"
    );
    let dumb = watch("dumb");
    assert!(!dumb.contains('\x1b') && dumb.matches("dead letters").count() >= 2, "{dumb}");
    // Without a terminal, one comes after the other.
    let mut command = sandbox.command(BINARY, &sandbox.path(""));
    command.args(["status", "--watch", "--config"]).arg(sandbox.path("config.toml"));
    let mut watching = command.stdout(Stdio::piped()).spawn().expect("started");
    let lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let times = lines.map(|line| line.expect("text")).filter(|line| line.starts_with("time "));
    assert_eq!(times.take(2).count(), 2);
    watching.kill().expect("killed");
    watching.wait().expect("ended");
    assert_eq!(sandbox.binary(&["status", "--watch", "--json"]).code, Some(2));
}

/// The process that a push left behind holds the lock; `deliver --follow` waits until it has ended.
#[test]
fn deliver_follows_a_lingering_process() {
    let sandbox = Sandbox::new();
    sandbox.commit("One", &[]);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let recorder = Recorder::judging(move |_| {
        counter.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_secs(2));
        Answer::status(200)
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.push(&["main"]).succeeded();
    wait_until("the delivery sends its request", || asked.load(Relaxed) > 0);
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1), "another process delivers");
    let ran = sandbox.binary(&["deliver", "--follow", "--for", "30s", "--json"]);
    let said: Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
    assert_eq!((&said["left"], &said["busy"]), (&0.into(), &0.into()), "{said}");
    assert!(sandbox.files("outbox/collector/new").is_empty());
    // It does not wait longer than it may.
    let before = asked.load(Relaxed);
    sandbox.push(&["main:refs/heads/other", "-o", "deploy=prod"]).succeeded();
    wait_until("the delivery sends its request", || asked.load(Relaxed) > before);
    let ran = sandbox.binary(&["deliver", "--follow", "--for", "300ms", "--json"]);
    let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.code, &said["busy"]), (Some(1), &1.into()), "{said}");
}

/// `-v` is offered by the commands that say more with it, and by no other.
#[test]
fn verbose_says_more_or_is_not_offered() {
    let sandbox = crowded();
    let bare = sandbox.bare().display().to_string();
    let help = sandbox.binary(&["--help"]).succeeded().stdout.clone();
    assert!(!help.contains("--verbose"));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<&str> =
        listed.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    let offering: Vec<&str> = names
        .into_iter()
        .filter(|name| *name != "help" && sandbox.binary(&[name, "--help"]).stdout.contains("--verbose"))
        .collect();
    assert_eq!(offering, ["log", "try", "backfill", "resource", "check", "test", "install", "uninstall"]);
    for args in [&["log"][..], &["try", &bare], &["resource", &bare], &["check"]] {
        let length = |more: &[&str]| {
            let ran = sandbox.binary(&[args, more].concat());
            ran.stdout.len() + ran.stderr.len()
        };
        assert!(length(&["-v"]) > length(&[]), "{args:?}");
    }
    assert_eq!(sandbox.binary(&["status", "-v"]).code, Some(2));
}
