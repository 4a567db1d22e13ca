//! The scripts that take part in a decision, and their record in the journal.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// Returns the hash that `sha256sum` prints for a file.
fn sha256(sandbox: &Sandbox, path: &std::path::Path) -> String {
    let mut command = sandbox.command("sha256sum", &sandbox.path(""));
    let ran = sandbox.run(command.arg(path), b"");
    ran.succeeded().stdout[..64].to_string()
}

/// Returns the journal entries for pushes.
fn pushes(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.journal().into_iter().filter(|entry| entry["record"] == "push").collect()
}

#[test]
fn journal_and_marker_name_the_deciding_scripts() {
    let sandbox = Sandbox::new();
    let scripts = [
        ("site", "site.rhai", "fn guard(marker, update) { }\r\n"),
        ("owner", "Acme.rhai", "fn enrich(marker, update) { marker }"),
        ("repository", "acme/shop.rhai", "\u{feff}fn decide(update) { true }"),
    ];
    for (_, name, script) in scripts {
        sandbox.write(&format!("scripts/{name}"), script);
    }
    let new = sandbox.commit("One", &[]);
    sandbox.push(&["-o", "deploy=prod", "-o", "word", "main"]).succeeded();

    let built_in = sha256(&sandbox, &crate::support::manifest_dir().join("scripts/built-in.rhai"));
    let mut layers = vec![json!({ "layer": "built-in", "sha256": built_in })];
    let mut stamps = vec![format!("built-in@{}", &built_in[..12])];
    for (layer, name, _) in scripts {
        let path = sandbox.path("scripts").join(name);
        let hash = sha256(&sandbox, &path);
        stamps.push(format!("{layer}@{}", &hash[..12]));
        layers.push(json!({ "layer": layer, "file": path, "sha256": hash }));
    }
    let journal = sandbox.journal();
    let (push, decision) = (&journal[0], &journal[1]);
    let expected = json!({
        "time": push["time"],
        "record": "push",
        "push": decision["push"],
        "repository": "acme/shop",
        "repository_id": 42,
        "git_dir": sandbox.bare(),
        "captured": push["captured"],
        "updates": 1,
        "pusher": { "name": "ann", "id": 7 },
        "transport": "ssh",
        "options": [["deploy", "prod"], ["word", ""]],
        "key_id": 3,
        "root_url": "https://git.example.com/",
        "layers": layers,
        "chain": push["chain"],
        "n": 1,
        "prev": "0".repeat(32),
    });
    assert_eq!(*push, expected);
    assert_eq!((&decision["record"], &decision["new_id"]), (&json!("decision"), &json!(new)));

    let marker = sandbox.waiting("unassigned").remove(0);
    assert_eq!(marker["attributes"]["gitea_lightstep.policy"], json!(stamps));
    assert_eq!(marker["time"], push["captured"]);

    let line = format!("push      acme/shop by ann (ssh): 1 update, decided by {}\n", stamps.join(", "));
    assert_eq!(&sandbox.binary(&["log", "-v"]).succeeded().stdout[26..26 + line.len()], line);
    assert_eq!(sandbox.binary(&["log"]).succeeded().stdout.lines().count(), 1);
    let of = |repository| sandbox.binary(&["log", "--json", "--repo", repository]).succeeded().stdout.clone();
    assert_eq!(
        of("acme/SHOP").lines().next().map(|line| serde_json::from_str(line).expect("JSON")),
        Some(expected)
    );
    assert_eq!(of("acme/other"), "");
}

#[test]
fn script_cannot_forge_the_policy_attributes() {
    let sandbox = Sandbox::new();
    let script = "fn decide(update) { mark(#{ attributes: #{ \"gitea_lightstep.policy\": \"mine\" } }) }";
    sandbox.write("scripts/site.rhai", script);
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    let stamps = &sandbox.waiting("unassigned")[0]["attributes"]["gitea_lightstep.policy"];
    assert!(stamps[1].as_str().is_some_and(|stamp| stamp.starts_with("site@")), "{stamps}");
}

#[test]
fn delayed_decision_records_the_policy_that_decided() {
    let sandbox = Sandbox::new();
    sandbox.configure("[policy.limits]\ntime = \"1ns\"\n");
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(pushes(&sandbox), [json!(null); 0], "an undecided push has no push entry");

    sandbox.configure("");
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    let push = pushes(&sandbox).remove(0);
    assert_eq!(push["layers"][1]["layer"], "site");
    assert_eq!(sandbox.decisions()[0]["push"], push["push"]);

    // If the time limit ends halfway, both processes that decide the push record it.
    sandbox.configure("[policy.limits]\ntime = \"1s\"\noperations = 1_000_000_000\n");
    sandbox.write("scripts/site.rhai", "fn decide(update) { if update.branch == \"slow\" { loop {} } true }");
    sandbox.push(&["main:fast", "main:slow"]).succeeded();
    sandbox.wait_for_deliverers_to_end();
    let [_, first, second] = &pushes(&sandbox)[..] else { panic!("three notes") };
    let its = |entry: &&Value| entry["push"] == first["push"];
    let records: Vec<_> = sandbox.journal().iter().filter(its).map(|entry| entry["record"].clone()).collect();
    assert_eq!(records, ["push", "decision", "push", "decision"]);
    assert_eq!((&first["push"], &first["layers"]), (&second["push"], &second["layers"]));
}

#[test]
fn unloadable_policy_is_not_a_layer() {
    for (script, why) in [
        (
            &b"fn decide(update) { true }\n// caf\xe9"[..],
            "line 2 is not valid UTF-8; save the script as UTF-8",
        ),
        (&[b' '; (256 << 10) + 1], "the script is larger than 256 KiB"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("scripts/site.rhai", script);
        sandbox.commit("One", &[]);
        sandbox.push(&["main"]).succeeded();
        assert_eq!(pushes(&sandbox)[0]["layers"], json!([]));
        let place = sandbox.path("scripts/site.rhai").display().to_string();
        assert_eq!(sandbox.decisions()[0]["why"], format!("failed to read `{place}`: {why}"));
    }
}
