//! `status`, `log`, `check` and `deliver`: output, error messages and exit status.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::support::{BINARY, Sandbox};

#[test]
fn log_shows_each_decision_and_filters() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Logged", &[]);
    sandbox.git(&["tag", "checkout/v1.0.0"]);
    sandbox.push(&["main", "checkout/v1.0.0", "main:refs/heads/topic"]).succeeded();
    let lines = |args: &[&str]| -> Vec<String> {
        let ran = sandbox.binary(&[&["log"], args].concat());
        let text = &ran.succeeded().stdout;
        // Each line starts with a time, its offset and a space.
        text.lines().map(|line| line["2026-11-22T10:00:00+00:00 ".len()..].to_string()).collect()
    };
    let change = format!("marked    acme/shop main by ann: change shop {}", &commit[..12]);
    let release = "marked    acme/shop checkout/v1.0.0 by ann: release checkout 1.0.0";
    let skip = "skipped   acme/shop topic by ann: not the default branch";
    assert_eq!(lines(&[]), [&*change, release, skip]);
    assert_eq!(lines(&["--kind", "release"]), [release]);
    assert_eq!(lines(&["--service", "shop"]), [&*change]);
    assert_eq!(lines(&["--service", "shop", "--kind", "release"]), [""; 0]);
    assert_eq!(lines(&["--repo", "ACME/shop"]).len(), 3);
    assert_eq!(lines(&["--repo", "acme/other"]), [""; 0]);
    assert_eq!(lines(&["--since", "1h"]).len(), 3);
    assert_eq!(lines(&["--until", "1h"]), [""; 0]);
    assert_eq!(lines(&["--since", "2020-01-01", "--until", "2020-01-02T00:00:00Z"]), [""; 0]);
    assert_eq!(lines(&["--outcome", "skipped"]), [skip]);
    assert_eq!(lines(&["--pusher", "Ann", "--last", "2"]), [release, skip]);
    assert_eq!(lines(&["--pusher", "bo"]), [""; 0]);
    assert_eq!(lines(&["--environment", "prod"]), [""; 0]);
    assert_eq!(lines(&["--since", "yesterday", "--until", "now", "--utc"]).len(), 3);
    let places = lines(&["-v", "--outcome", "marked"]);
    assert_eq!(places[0], format!("{change} (built-in.rhai:53)"));
    // A name that the journal does not have is most likely a slip.
    for (args, hint) in [
        (["--repo", "acme/shp"], "nothing about the repository `acme/shp`; did you mean `acme/shop`?"),
        (["--service", "chekout"], "nothing about the service `chekout`; did you mean `checkout`?"),
    ] {
        let ran = sandbox.binary(&[&["log"][..], &args].concat());
        assert_eq!(ran.succeeded().stdout, "");
        assert!(ran.stderr.contains(hint), "{}", ran.stderr);
    }
    let json = sandbox.binary(&["log", "--json", "--kind", "change"]);
    let entry: Value = serde_json::from_str(&json.succeeded().stdout).expect("one line of JSON");
    assert_eq!(entry["markers"][0]["version"], commit);

    for (args, why) in [
        (["log", "--kind", "relase"], "expected change, release, deployment or rollback"),
        (
            ["log", "--since", "soon"],
            "expected a time such as 2026-11-22T10:00:00Z, 2026-11-22, 10:24, yesterday, 2h or \"3 days ago\"",
        ),
    ] {
        let ran = sandbox.binary(&args);
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
}

/// The journal shows times that can be pasted into an option, with the same meaning in each zone.
#[test]
fn times_of_the_log_can_be_pasted() {
    let sandbox = Sandbox::new();
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    for (zone, offset) in [("UTC0", "+00:00"), ("<+0545>-5:45", "+05:45"), ("NST3:30", "-03:30")] {
        let log = |args: &[&str]| {
            let mut command = sandbox.command(BINARY, &sandbox.path(""));
            command.env("TZ", zone).arg("log").args(args).arg("--config").arg(sandbox.path("config.toml"));
            sandbox.run(&mut command, b"").succeeded().stdout.clone()
        };
        let shown = log(&[]);
        let time = shown.split(' ').next().expect("a time");
        assert!(time.ends_with(offset), "{zone}: {shown}");
        assert_eq!(log(&["--since", time]), shown, "{zone}");
        assert_eq!(log(&["--until", time]), "", "{zone}");
        // Without an offset it is a time of the same zone.
        assert_eq!(log(&["--since", &time[..19]]), shown, "{zone}");
        assert_eq!(log(&["--until", &time[..19]]), "", "{zone}");
        assert!(log(&["--utc"]).split(' ').next().expect("a time").ends_with("+00:00"));
    }
}

#[test]
fn log_follows_the_journal() {
    let sandbox = Sandbox::new();
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    let mut command = sandbox.command(BINARY, &sandbox.path(""));
    command.args(["log", "--follow", "--last", "1", "--config"]).arg(sandbox.path("config.toml"));
    let mut following = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().contains(" marked    acme/shop main by ann: change shop "));
    sandbox.push(&["main:refs/heads/topic"]).succeeded();
    assert!(next().contains(" skipped   acme/shop topic by ann: not the default branch"));
    following.kill().expect("killed");
    following.wait().expect("ended");
}

#[test]
fn truncated_journal_line_does_not_affect_other_lines() {
    let sandbox = Sandbox::new();
    sandbox.commit("Kept", &[]);
    sandbox.push(&["main"]).succeeded();
    let file = sandbox.state().join("journal").join(&sandbox.files("journal")[0]);
    let mut text = fs::read_to_string(&file).expect("the journal");
    text.push_str("{\"time\":\"2026-1");
    fs::write(&file, text).expect("written");
    let ran = sandbox.binary(&["log"]);
    assert_eq!(ran.succeeded().stdout.lines().count(), 1);
    assert_eq!(ran.stderr, "gitea-lightstep: 1 line of the journal could not be read\n");
}

#[test]
fn check_reports_every_problem_with_its_position() {
    let sandbox = Sandbox::new();
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    sandbox.write("scripts/acme/shop.rhai", "fn decide(update) {\n  updte\n}");
    sandbox.write("scripts/broken.rhai", "fn (");
    let place = |name: &str| sandbox.path(name).display().to_string();
    let ran = sandbox.binary(&["check"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stdout,
        format!(
            "error: Undefined variable: updte\n --> {}:2:3\n  |\n2 |   updte\n  |   ^^^^^\n\n\
             error: Expecting function name in function declaration\n --> {}:1:4\n  |\n1 | fn (\n  |    ^\n\n\
             4 files checked, 2 problems found\n",
            place("scripts/acme/shop.rhai"),
            place("scripts/broken.rhai")
        )
    );
    let json: Value = serde_json::from_str(&sandbox.binary(&["check", "--json"]).stdout).expect("JSON");
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(2));

    fs::remove_file(sandbox.path("scripts/broken.rhai")).expect("removed");
    fs::remove_file(sandbox.path("scripts/acme/shop.rhai")).expect("removed");
    assert_eq!(sandbox.binary(&["check"]).succeeded().stdout, "2 files checked, all is well\n");
    assert_eq!(sandbox.binary(&["check", "--quiet"]).succeeded().stdout, "");
}

#[test]
fn check_reports_configuration_errors() {
    let sandbox = Sandbox::new();
    let otlp = "[[destination]]\nname = \"a\"\nkind = \"otlp\"\n";
    let cases = [
        (
            "stat_dir = \"x\"\n".to_string(),
            ":1:1: unknown field `stat_dir`, expected one of `state_dir`, `public_url`, `namespace`, `environments`, `tickets`, `lightstep`, `destination`, `policy`, `service`, `trust`, `spool`, `journal`, `delivery`, `status`, `people`, `redact`, `signatures`, `gitea`, `reply`; did you mean `state_dir`?",
        ),
        (
            format!("{otlp}endpoint = \"collector:4318\"\n"),
            ":4:12: expected a URL such as \"https://host:4318\", without user, query or fragment",
        ),
        (
            format!("{otlp}endpoint = \"http://x\"\n{otlp}endpoint = \"http://y\"\n"),
            ":6:8: two destinations are named `a`; give each its own name",
        ),
        (
            "[[destination]]\nname = \"A b\"\nkind = \"otlp\"\nendpoint = \"http://x\"\n".into(),
            ":2:8: a destination's name must be 1 to 64 characters from a-z, 0-9, `-` and `_`, but not \
             `unassigned` or `inbox`",
        ),
        (
            "[[destination]]\nname = \"inbox\"\nkind = \"otlp\"\nendpoint = \"http://x\"\n".into(),
            ":2:8: a destination's name must be 1 to 64 characters from a-z, 0-9, `-` and `_`, but not \
             `unassigned` or `inbox`",
        ),
        (
            format!("{otlp}endpoint = \"http://x\"\nprotocol = \"grpc\"\n"),
            ":5:12: unknown variant `grpc`, expected `http/protobuf` or `http/json`",
        ),
        (
            format!("{otlp}endpoint = \"http://x\"\nheaders = {{ \"a b\" = \"c\" }}\n"),
            ":5:13: a header name may contain only letters, digits and `-`",
        ),
        (
            "[spool]\nmerge_at = 1\n".into(),
            ":2:12: `merge_at` must be 2 or more; it is the number of small files to merge into one",
        ),
        (
            "[lightstep]\ntoken = \"abc\"\n".into(),
            ":2:9: expected a table with one of `file`, `command`, `credential`, `env`; \
             the configuration must not contain the secret itself",
        ),
        (
            "[lightstep]\nregion = \"us\"\n".into(),
            ":1:1: [lightstep] needs the project's access token, such as `token = { file = \"/etc/...\" }`",
        ),
        (
            "[lightstep]\ntoken = { env = \"T\" }\nregion = \"mars\"\n".into(),
            ":3:10: unknown variant `mars`, expected `us` or `eu`",
        ),
        (
            "[lightstep]\ntoken = { env = \"T\" }\nregion = \"us\"\nendpoint = \"https://x\"\n".into(),
            ":4:12: `region` and `endpoint` exclude each other; keep one",
        ),
        (
            "[lightstep]\ntoken = { env = \"T\" }\nendpoint = \"http://ingest.example.com\"\n".into(),
            ":3:12: the access token would cross the network unencrypted; use https://, or set `insecure = \
             true` in [lightstep] if you trust the network",
        ),
        ("[reply]\ntrace_link = \"https://x\"\n".into(), ":2:14: a trace link must contain `{trace_id}`"),
        (
            "[policy.limits]\nmemory = \"64MB\"\n".into(),
            ":2:10: expected a size such as \"512KiB\" or \"64MiB\", found `64MB`",
        ),
        (
            "[policy.limits]\nmemory = \"1MiB\"\n".into(),
            ":2:10: `memory` is 1MiB, but a script needs at least 16MiB",
        ),
        ("[[service]]\nrepository = \"a/*\"\nname = \"\"\n".into(), ":3:8: a service needs a name"),
        (
            "[destination]\nname = \"a\"\n".into(),
            ":1:1: there can be several tables of this name, so write `[[destination]]` for each of them",
        ),
        (
            "\n[ service ]\nname = \"a\"\n".into(),
            ":2:1: there can be several tables of this name, so write `[[service]]` for each of them",
        ),
        (
            format!("{otlp}endpoint = \"http://127.0.0.1:99999\"\n"),
            ":4:12: the port `99999` is not a number from 1 to 65535",
        ),
        (
            format!("{otlp}endpoint = \"http://[::1]:0/x\"\n"),
            ":4:12: the port `0` is not a number from 1 to 65535",
        ),
        (
            format!("{otlp}endpoint = \"https://host:http\"\n"),
            ":4:12: the port `http` is not a number from 1 to 65535",
        ),
    ];
    let no_hosts = [
        "https://[::1",
        "http://[::1]x",
        "http://[host]",
        "http://::1",
        "http://a..b",
        "http://a,b",
        "http://:80",
    ];
    let expected = ":4:12: expected a URL such as \"https://host:4318\", without user, query or fragment";
    let no_hosts = no_hosts.map(|endpoint| (format!("{otlp}endpoint = \"{endpoint}\"\n"), expected));
    for (config, why) in cases.into_iter().chain(no_hosts) {
        sandbox.write("config.toml", &config);
        assert_eq!(
            sandbox.problems()[0],
            format!("{}{why}", sandbox.path("config.toml").display()),
            "{config}"
        );
        let deliver = sandbox.binary(&["deliver"]);
        assert_eq!((deliver.code, &*deliver.stdout), (Some(1), ""));
        assert!(
            deliver.stderr.starts_with("gitea-lightstep: failed to load the configuration: "),
            "{}",
            deliver.stderr
        );
    }
    fs::remove_file(sandbox.path("config.toml")).expect("removed");
    let ran = sandbox.binary(&["status"]);
    assert_eq!(ran.code, Some(1));
    let path = sandbox.path("config.toml");
    assert_eq!(
        ran.stderr,
        format!(
            "gitea-lightstep: failed to load the configuration: {}: failed to read the configuration: No \
             such file or directory (os error 2)\n",
            path.display()
        )
    );
}

#[test]
fn check_reads_secrets_without_showing_them() {
    let sandbox = Sandbox::new();
    sandbox.configure("[lightstep]\ntoken = { file = \"token\" }\n");
    let ran = sandbox.binary(&["check"]);
    assert_eq!(ran.code, Some(1));
    let token = sandbox.path("token").display().to_string();
    assert_eq!(
        ran.stdout.lines().next().expect("a line"),
        format!(
            "error: destination `lightstep`: failed to read the secret for `lightstep-access-token` from file `{token}`: \
             No such file or directory (os error 2)"
        )
    );
    sandbox.write_secret("token", "s3cr3t\nwith a second line");
    let ran = sandbox.binary(&["check"]);
    assert!(
        ran.stdout.contains("the secret has characters that an HTTP header cannot carry"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("s3cr3t"));
    sandbox.write_secret("token", "s3cr3t\n");
    sandbox.binary(&["check"]).succeeded();
}

#[test]
fn status_works_without_a_state_directory() {
    let sandbox = Sandbox::new();
    let ran = sandbox.binary(&["status"]);
    assert_eq!(ran.code, Some(1), "a directory that does not exist is a finding");
    assert_eq!(
        ran.stdout,
        format!(
            "state        {}\n             does not exist: no push was captured yet, or `state_dir` of the \
             configuration is wrong\nconfig       {}\ninbox        empty\n\
             destination  none is configured; markers wait until one is\ndead letters none\n\
             journal      empty\nneeds you    state: the state directory does not exist\n",
            sandbox.state().display(),
            sandbox.path("config.toml").display()
        )
    );
    let json: Value = serde_json::from_str(&sandbox.binary(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(json["inbox"]["files"], 0);
    assert!(!sandbox.state().exists(), "`status` creates nothing");
}

#[test]
fn unreadable_capture_becomes_a_dead_letter() {
    let sandbox = Sandbox::new();
    sandbox.commit("Behind the broken one", &[]);
    let id = "00000000-0000-7000-8000-000000000000";
    sandbox.write(&format!("state/inbox/{id}.0.0"), "half a fi");
    sandbox.write("state/inbox/stray", "not ours");
    sandbox.push(&["main"]).succeeded();
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.files("dead"), [format!("inbox.{id}"), format!("inbox.{id}.why.json")]);
    let trouble = sandbox.troubles().pop().expect("the journal says so");
    assert!(trouble.contains("its first line is incomplete"), "{trouble}");
    assert_eq!(sandbox.waiting("unassigned").len(), 1);
}

#[test]
fn deliver_refuses_a_state_directory_of_another_user() {
    let sandbox = Sandbox::new();
    sandbox.write("config.toml", "state_dir = \"/proc/1\"\n");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/1").expect("a directory"));
    let own = std::os::unix::fs::MetadataExt::uid(&fs::metadata(sandbox.path("")).expect("a directory"));
    let foreign = if owner == own { sandbox.hand_over("state", 65_534) } else { owner };
    let ran = sandbox.binary(&["deliver"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("belongs to "), "{}", ran.stderr);
    assert!(ran.stderr.contains("`, who could not change files") || foreign != 65_534, "{}", ran.stderr);
}

#[test]
fn usage_errors_exit_with_2_and_help_fits_80_columns() {
    let mut sandbox = Sandbox::new();
    let ran = sandbox.run(&mut sandbox.command(crate::support::BINARY, &sandbox.path("")), b"");
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    let listed = ran.stderr.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = listed.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let mut commands: Vec<_> = commands.collect();
    assert_eq!((commands.pop(), commands.len(), commands.first()), (Some("help"), 20, Some(&"hook")));
    sandbox.set("COLUMNS", "80");
    for command in commands {
        for option in ["-h", "--help"] {
            let help = sandbox.binary(&[command, option]);
            let help = &help.succeeded().stdout;
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
            assert!(help.contains("Usage: gitea-lightstep"), "{help}");
        }
    }
    assert_eq!(sandbox.binary(&["statsu"]).code, Some(2));
}

#[test]
fn commands_that_the_demo_proposes_can_be_pasted() {
    let sandbox = Sandbox::new();
    for (args, at_least) in [(&["demo"][..], 2), (&["demo", "--keep"], 3)] {
        let mut demo = sandbox.command(BINARY, &sandbox.path(""));
        let ran = sandbox.run(demo.args(args), b"");
        let (_, steps) = ran.succeeded().stdout.split_once("Next steps\n").expect("the next steps");
        let commands: Vec<&str> = steps.lines().filter_map(|line| line.strip_prefix("     ")).collect();
        assert!(commands.len() >= at_least, "{steps}");
        for command in commands.iter().filter(|command| !command.ends_with("--keep")) {
            let mut sh = sandbox.command("sh", &sandbox.path(""));
            let ran = sandbox.run(sh.args(["-c", command]), b"");
            assert_ne!(ran.succeeded().stdout, "", "{command}");
        }
    }
}
