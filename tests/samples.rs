//! What `check` finds by running the functions of scripts on sample updates, what scripts print, and
//! scripts that amend the built-in decision.

use serde_json::Value;

use crate::support::{Sandbox, assert_golden};

/// Returns what `check` finds in a script at this path below `scripts`, as `line: message`.
fn findings(path: &str, script: &str) -> Vec<String> {
    let sandbox = Sandbox::new();
    sandbox.write(&format!("scripts/{path}"), script);
    let ran = sandbox.binary(&["check", "--json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let problems = answer["problems"].as_array().expect("a list");
    assert_eq!(ran.code, Some(i32::from(!problems.is_empty())));
    let told = |problem: &Value| {
        assert!(problem["file"].as_str().is_some_and(|file| file.ends_with(path)), "{problem}");
        let message = problem["message"].as_str().expect("text");
        assert!(!message.contains("gitea_lightstep::"), "{message}");
        format!("{}: {message}", problem["line"])
    };
    problems.iter().map(told).collect()
}

#[test]
fn wrong_results_and_arguments_are_found_without_running_the_script() {
    let decide = "expected `true`, `false`, `skip(\"why\")`, `mark(#{...})` or an array of marks";
    let enrich = "end it with `marker`, so that it returns the marker";
    let guard = "expected nothing, `refuse(\"why\")` or an object map of attributes to add";
    for (script, found) in [
        (
            "fn decide(update) { if update.tag == \"x\" { return \"no\"; } true }",
            format!("`decide` can return text; {decide}"),
        ),
        (
            "fn decide(update) { switch update.tag { \"x\" => `${update.tag}`, _ => true } }",
            format!("`decide` can return text; {decide}"),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { { 7 } } else { true } }",
            format!("`decide` can return number; {decide}"),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { \"no \" + update.tag } else { true } }",
            format!("`decide` can return text; {decide}"),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { return refuse(\"no\"); } true }",
            format!("`decide` can return refusal; {decide}"),
        ),
        (
            "fn enrich(marker, update) { marker.title = \"x\"; }",
            format!("`enrich` can return nothing; {enrich}"),
        ),
        (
            "fn enrich(marker, update) { if marker.kind == \"x\" { return update; } marker }",
            format!("`enrich` can return update; {enrich}"),
        ),
        (
            "fn guard(marker, update) { if marker.kind == \"x\" { skip(\"no\") } }",
            format!("`guard` can return skip; {guard}"),
        ),
        (
            "fn guard(marker, update) { if marker.kind == \"x\" { return mark(); } }",
            format!("`guard` can return mark; {guard}"),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { return mark(\"release\"); } true }",
            "`mark` takes marker: object map; found text".into(),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { return skip(7); } true }",
            "`skip` takes why: text; found number".into(),
        ),
        (
            "fn decide(update) { glob(\"a\", update.is_created) }",
            "`glob` takes text: text; found bool".into(),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { while true { update.tag; } } true }",
            "this loop never ends: its condition is always true, and nothing leaves it".into(),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { loop { for a in [1] { break; } } } true }",
            "this loop never ends: its condition is always true, and nothing leaves it".into(),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { do { continue; } until false; } true }",
            "this loop never ends: its condition is always true, and nothing leaves it".into(),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { while 1 < 2 { } } true }",
            "this loop never ends: its condition is always true, and nothing leaves it".into(),
        ),
        (
            "fn decide(update) { if update.tag == \"x\" { do { } while !false; } true }",
            "this loop never ends: its condition is always true, and nothing leaves it".into(),
        ),
    ] {
        assert_eq!(findings("site.rhai", script), [format!("1: {found}")], "{script}");
    }
}

#[test]
fn functions_run_once_for_each_kind_of_sample() {
    let all = "a push, a tag, a deployment, a merge, a push to a fork, a scan";
    for (path, script, found) in [
        ("site.rhai", "fn decide(update) { update.commit.title != \"x\" }", vec!["1: `decide` fails on a deletion: the ref was deleted, so it has no commit".to_string()]),
        ("site.rhai", "fn decide(update) { if !update.is_deleted {\nthrow \"never\" } }", vec![
            format!("2: `decide` fails on {all}: never"),
            "1: `decide` fails on a deletion: `decide` returned nothing; expected `true`, `false`, `skip(\"why\")`, `mark(#{...})` or an array of marks".into(),
        ]),
        ("site.rhai", "fn guard(marker, update) { if update.push.pusher.name == \"x\" { return refuse(\"no\"); } }", vec!["1: `guard` fails on a scan: `()` has no property `name`; check that the value is not `()` before you read it".into()]),
        ("site.rhai", "fn enrich(marker, update) { if update.push.is_merge { marker.attributes.a = update; } marker }", vec!["1: `enrich` fails on a merge: attribute `a` must be a string, number, bool or array of strings, found the object `update`".into()]),
        ("site.rhai", "fn enrich(marker, update) { if marker.kind == \"release\" { throw 1; } marker }", vec!["1: `enrich` fails on a tag: 1".into()]),
        ("site.rhai", "fn guard(marker, update) { if marker.environment == \"production\" { throw 1; } }", vec!["1: `guard` fails on a deployment: 1".into()]),
        ("site.rhai", "fn guard(marker, update) { if update.push.repository.owner == \"bo\" { throw 1; } }", vec!["1: `guard` fails on a push to a fork: 1".into()]),
        // Both fail, and are reported independently.
        ("site.rhai", "fn why() { skip(\"x\") }\nfn enrich(marker, update) { why() }\nfn guard(marker, update) { why() }", vec![
            format!("2: `enrich` fails on {all}: `enrich` returned the object `skip`; end it with `marker`, so that it returns the marker"),
            format!("3: `guard` fails on {all}: `guard` returned the object `skip`; expected nothing, `refuse(\"why\")` or an object map of attributes to add"),
        ]),
        // The samples are pushes to the script's repository.
        ("acme.rhai", "fn decide(update) { if update.push.repository.owner == \"acme\" { throw 1; } false }", vec!["1: `decide` fails on every sample: 1".into()]),
        ("acme/cart.rhai", "fn decide(update) { if update.push.repository.full_name == \"acme/cart\" { throw 1; } false }", vec!["1: `decide` fails on every sample: 1".into()]),
        // `decide` marks none of the samples. What its markers look like is then unknown, so that
        // only functions count that always fail.
        ("site.rhai", "fn decide(update) { update.branch == \"live\" }\nfn enrich(marker, update) { update.branch.to_upper(); marker.version.nope }", vec![]),
        ("site.rhai", "fn decide(update) { update.branch == \"live\" }\nfn enrich(marker, update) { if update.tag == () { throw 1; } marker }", vec![]),
    ] {
        assert_eq!(findings(path, script), found, "{script}");
    }
}

#[test]
fn errors_after_a_missing_file_and_refusals_are_no_findings() {
    for script in [
        "fn decide(update) { if update.is_deleted { return false; } mark(#{ version: update.file(\"VERSION\").trim() }) }",
        "fn decide(update) { !update.is_deleted && update.file(\"a.yaml\").yaml().image.tag == \"1\" }",
        "fn guard(marker, update) { refuse(\"never\") }",
        "fn guard(marker, update) { #{ n: marker.attributes.len(), title: marker.title.to_upper() } }",
        "fn decide(update) { if update.is_deleted { return false; } [mark(), mark(#{ kind: \"deployment\", environment: [\"eu\", \"us\"] })] }",
        "fn decide(update) { loop { if update.is_deleted { break; } return true; } false }",
        "fn decide(update) { let n = 0; do { n += 1; } while n < 3; n == 3 }",
        "fn decide(update) { try { loop { throw \"done\"; } } catch { } true }",
        "fn decide(update) { if update.tag != () { return skip(update.tag); } return true; }",
        "fn decide(update) { tickets(`ACME-7`, [`ACME`]) == [] }",
    ] {
        assert_eq!(findings("site.rhai", script), <[&str; 0]>::default(), "{script}");
    }
}

#[test]
fn marker_that_is_asked_for_twice_is_pointed_out() {
    let sandbox = Sandbox::new();
    let script = "fn decide(update) {\n    if update.is_deleted { return false; }\n    [\n        mark(#{ kind: \"deployment\", environment: \"eu\" }),\n        mark(#{ kind: \"deployment\", environment: \"eu\", title: \"again\" }),\n    ]\n}\n";
    let why = "site.rhai:4 and site.rhai:5 ask for the same marker, a deployment of shop to eu; only the first is kept";
    sandbox.write("scripts/site.rhai", script);
    let dir = format!("{}/", sandbox.path("scripts").display());
    let checked = sandbox.binary(&["check"]);
    assert_eq!(checked.succeeded().stderr.replace(&dir, ""), format!("gitea-lightstep: warning: {why}\n"));
    sandbox.commit("Begin", &[("a", "1")]);
    sandbox.push(&["-q", "main"]).succeeded();
    let tried = sandbox.binary(&["try", "git/acme/shop.git", "--branch", "main"]);
    assert!(tried.succeeded().stdout.replace(&dir, "").contains(why), "{}", tried.stdout);
    sandbox.write(
        "scripts/site.test.toml",
        "[[test]]\nname = \"twice\"\nupdate = { branch = \"main\", commits = [{ message = \"A\" }] }\nexpect.markers = [{ environment = \"eu\" }]\n",
    );
    let tested = sandbox.binary(&["test"]);
    assert!(
        tested
            .succeeded()
            .stdout
            .contains(&format!("pass  site  twice\n      note: {}\n", why.replace("shop", "example"))),
        "{}",
        tested.stdout
    );
    // The same for a change, which is not a deployment.
    sandbox.write("scripts/site.rhai", script.replace("deployment", "change"));
    let checked = sandbox.binary(&["check"]);
    assert!(
        checked.succeeded().stderr.contains("ask for the same marker, a change of shop to eu"),
        "{}",
        checked.stderr
    );
}

#[test]
fn lines_that_scripts_print_are_shown_by_check_test_and_try() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) {\n    print(`on ${update.branch}`);\n    debug([update, 1.5, \"\\x1b[2J\"]);\n    print(update);\n    false\n}\n",
    );
    let checked = sandbox.binary(&["check", "-v"]);
    let dir = format!("{}/", sandbox.path("scripts").display());
    assert_golden(&sandbox, "check/printed.txt", &checked.succeeded().stderr.replace(&dir, ""));
    assert_eq!(sandbox.binary(&["check"]).succeeded().stderr, "");

    sandbox.write(
        "scripts/site.test.toml",
        "[[test]]\nname = \"a\"\nupdate = { branch = \"main\", commits = [{ message = \"A\" }] }\nexpect.outcome = \"skipped\"\n",
    );
    let printed = ["print: on main", "site.rhai:3: debug: [update, 1.5, \"\\\\u{1b}[2J\"]", "print: update"];
    let lines = |stdout: &str| -> Vec<String> {
        let lines = stdout.lines().filter(|line| line.contains("print: ") || line.contains("debug: "));
        lines.map(|line| line.trim().to_string()).collect()
    };
    let tested = sandbox.binary(&["test"]);
    assert_eq!(lines(&tested.succeeded().stdout).len(), 3, "{}", tested.stdout);
    assert!(
        tested.stdout.contains(printed[0]) && tested.stdout.contains("site.rhai:3: debug: [update, 1.5,")
    );

    sandbox.commit("Begin", &[("a", "1")]);
    let pushed = sandbox.push(&["-q", "main"]);
    assert_eq!(pushed.succeeded().stderr, "", "nothing is printed to the pusher");
    let tried = sandbox.binary(&["try", "git/acme/shop.git", "--branch", "main"]);
    assert!(tried.succeeded().stdout.contains("printed by scripts\n"), "{}", tried.stdout);
    assert_eq!(lines(&tried.stdout).len(), 3, "{}", tried.stdout);
    // A script that prints without end is cut.
    sandbox.write("scripts/site.rhai", "fn decide(update) { for n in 0..500 { print(n); } false }");
    let tested = sandbox.binary(&["test"]);
    assert!(tested.succeeded().stdout.contains("print: 99\n      and 400 lines more\n"), "{}", tested.stdout);
}

#[test]
fn built_in_decision_can_be_amended() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        r#"fn decide(update) {
    let decision = built_in::decide(update);
    if type_of(decision) == "skip" && decision.why == "not the default branch" {
        return mark(#{ kind: "change", title: "amended" });
    }
    if type_of(decision) == "mark" {
        decision.attributes["acme.tier"] = "gold";
        decision.environment = ["eu", "us"];
        decision.title = `${decision.kind} of ${update.branch}`;
    }
    decision
}
"#,
    );
    sandbox.binary(&["check"]).succeeded();
    sandbox.commit("Begin", &[("a", "1")]);
    sandbox.make_empty();
    sandbox.push(&["-q", "main"]).succeeded();
    let markers = sandbox.waiting("unassigned");
    let seen: Vec<_> = markers
        .iter()
        .map(|marker| {
            (
                marker["environment"].as_str(),
                marker["title"].as_str(),
                marker["attributes"]["acme.tier"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some("eu"), Some("change of main"), Some("gold")),
            (Some("us"), Some("change of main"), Some("gold")),
        ]
    );
    sandbox.clear_state();
    sandbox.git(&["switch", "-q", "-c", "topic"]);
    sandbox.commit("More", &[("a", "2")]);
    sandbox.push(&["-q", "topic"]).succeeded();
    assert_eq!(sandbox.waiting("unassigned")[0]["title"], "amended");
    // An imported script can call it, too.
    sandbox.write("scripts/lib/own.rhai", "fn decide(update) { built_in::decide(update) }");
    sandbox
        .write("scripts/site.rhai", "import \"lib/own\" as own;\nfn decide(update) { own::decide(update) }");
    sandbox.binary(&["check"]).succeeded();
    // A mistake in an amendment has the line of the site's script.
    sandbox.write("scripts/site.rhai", "fn decide(update) {\n    let decision = built_in::decide(update);\n    if type_of(decision) == \"mark\" { decision.kind = \"x\"; }\n    decision\n}\n");
    let ran = sandbox.binary(&["check"]);
    assert!(
        ran.code == Some(1)
            && ran.stdout.contains("site.rhai:3:46")
            && ran.stdout.contains("`kind` is `x`, expected one of"),
        "{}",
        ran.stdout
    );
}

#[test]
fn messages_name_types_as_the_reference_does() {
    for (expression, said) in [
        ("throw update", "update"),
        ("throw [update.push]", "[push]"),
        ("throw skip(\"x\")", "skip"),
        ("throw #{ a: update.commit }", "#{\"a\": commit}"),
        ("throw update.changed_paths", "paths"),
        ("if update { }", "expected bool, found update"),
        ("[1, 2][update]", "expected number, found update"),
        ("update.push[0]", "a value of type push cannot be indexed by one of type number"),
        ("update.changed_paths.to_array()[0].nope", "a value of type text has no property `nope`"),
        ("update + 1", "unknown function `+ (update, number)`"),
        ("mark(#{ attributes: #{ x: update.author } })", "found the object `person`"),
        ("mark(#{ environment: [update] })", "`environment` must be a string, found the object `update`"),
        ("[mark(), skip(\"x\")]", "must hold `mark(#{...})` only, found the object `skip`"),
        ("throw `${update.author} ${[update.push]}`", "person [push]"),
    ] {
        let script =
            format!("fn decide(update) {{ if update.branch != \"main\" {{ return false; }} {expression} }}");
        let found = findings("site.rhai", &script);
        assert!(found.len() == 1 && found[0].contains(said), "{expression}: {found:?}");
    }
}
