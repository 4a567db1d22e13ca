//! `--only policy`: the cost of a policy of 200 lines: building an engine, compiling the script and
//! deciding one update.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use gitea_lightstep::internals::{
    Budget, Deadline, Decider, Environment, InMemoryHistory, Outcome, Push, PushId, Source, Timestamp, lines,
    load_config,
};

use crate::support::{git::Git, stats::Times, verdict::Verdict};

/// Number of lines in the script.
const LINES: usize = 200;

/// Maximum time for all three steps, in milliseconds.
const MAX_MS: f64 = 3.0;

/// Number of measurements.
const ROUNDS: usize = 300;

pub fn run(verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for the repository");
    let git = Git::new(temp.path());
    let bare = temp.path().join("acme/shop.git");
    let commits = git.packed_history(&bare, 300);
    let script = script();
    assert_eq!(script.lines().count(), LINES);
    fs::create_dir(temp.path().join("scripts")).expect("the directory is new");
    fs::write(temp.path().join("scripts/site.rhai"), &script).expect("the directory is new");
    fs::write(temp.path().join("config.toml"), "state_dir = \"state\"\n").expect("the directory is new");
    let config = load_config(Some(&temp.path().join("config.toml"))).expect("the configuration is valid");
    let stdin = format!("{} {} refs/heads/main\n", commits[1], commits[0]);

    let mut whole = Times::default();
    let mut made = Times::default();
    for _ in 0..ROUNDS {
        let source = Source::read(&Environment::from_fn(|_| None::<OsString>), &bare);
        let updates = lines::parse(stdin.as_bytes()).updates;
        let push = Push::new(PushId::now(), Timestamp::now(), source, updates);
        let start = Instant::now();
        let memory = InMemoryHistory::default();
        let decider = Decider::new(&config, push, None, &memory);
        made.add(start.elapsed());
        let verdict = decider.decide(0, Budget::Push(Deadline::after(Duration::from_secs(60))));
        whole.add(start.elapsed());
        let verdict = verdict.expect("a verdict");
        assert!(matches!(verdict.outcome, Outcome::Marked), "{verdict:?}");
    }

    println!("\n## A policy of {LINES} lines, {ROUNDS} times, milliseconds\n");
    println!("| | median | p90 |\n|---|--:|--:|");
    for (what, times) in [("engine, script and repository", &made), ("and one update decided", &whole)] {
        println!("| {what} | {:.2} | {:.2} |", times.median(), times.percentile(90));
    }
    let median = whole.median();
    verdict.add(
        format!("an engine, a policy of {LINES} lines and one update in under {MAX_MS} ms"),
        format!("{median:.2} ms"),
        median < MAX_MS,
    );
}

/// Returns a typical script for many services. It calls one function per service.
fn script() -> String {
    const OF_ONE: usize = 9;
    let mut script = String::from("// One function a service, and all of them asked for each push.\n");
    let services = (LINES - 11) / OF_ONE;
    for nth in 0..services {
        let _ = write!(
            script,
            "fn service_{nth}(update) {{\n    \
             let name = \"service-{nth}\";\n    \
             if glob(\"services/{nth}/**\", update.ref) || update.title.matches(`^service-{nth}\\b`) {{\n        \
             return name;\n    \
             }}\n    \
             let ticket = update.trailers.ticket ?? \"none\";\n    \
             if ticket.starts_with(\"S{nth}-\") && update.branch == \"main\" {{ return name; }}\n    \
             if update.commit.conventional != () && update.commit.conventional.scope == name {{ return name; }}\n\
             }}\n"
        );
    }
    let asked: Vec<_> = (0..services).map(|nth| format!("service_{nth}(update)")).collect();
    let _ = write!(
        script,
        "fn decide(update) {{\n    \
         let found = [{}];\n    \
         let names = found.filter(|name| name != ());\n    \
         if names.is_empty() {{ return mark(#{{ kind: \"change\" }}); }}\n    \
         names.map(|name| mark(#{{ service: name }}))\n\
         }}\n",
        asked.join(", ")
    );
    while script.lines().count() < LINES - 4 {
        script.push_str("// A line that says why.\n");
    }
    script.push_str(
        "fn enrich(marker, update) {\n    marker.attributes.tickets = update.tickets;\n    marker\n}\n",
    );
    script
}
