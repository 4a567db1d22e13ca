//! Policies from files: the script API, layers, and error messages.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A sandbox with three commits on main, which the hook gets as one push.
struct Bench {
    sandbox: Sandbox,
    old: String,
    new: String,
}

impl Bench {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let old = sandbox.commit("Before", &[("README", "x")]);
        sandbox.commit("Pay by card", &[("services/checkout/pay.rs", "1"), ("docs/pay.md", "1")]);
        let new = sandbox.commit("Search faster\n\nTicket: ACME-7", &[("services/search/lib.rs", "1")]);
        sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
        sandbox.clear_state();
        Self { sandbox, old, new }
    }

    fn script(&self, name: &str, source: &str) -> &Self {
        self.sandbox.write(&format!("scripts/{name}"), source);
        self
    }

    /// Runs the hook for an update of main, and returns the decision.
    fn decide(&self) -> Value {
        self.sandbox.hook(format!("{} {} refs/heads/main\n", self.old, self.new).as_bytes()).succeeded();
        self.sandbox.decisions().pop().expect("a decision")
    }

    fn markers(&self) -> Vec<Value> {
        self.sandbox.waiting("unassigned")
    }

    fn place(&self, place: &str) -> String {
        self.sandbox.path("scripts").join(place).display().to_string()
    }
}

#[test]
fn update_properties_match_git() {
    let bench = Bench::new();
    bench.script(
        "site.rhai",
        r#"
        fn decide(update) {
            let p = update.push;
            mark(#{ attributes: #{
                ref: update.ref, branch: update.branch, no_tag: update.tag == (), old: update.old_id, new_id: update.new_id,
                commit: update.commit_id, created: update.is_created, deleted: update.is_deleted, rewind: update.is_rewind,
                is_default: update.is_default_branch, count: update.commit_count, titles: update.commits.map(|c| c.title),
                authors: update.authors, paths: update.changed_paths.to_array(), no_version: update.version == (),
                no_service: update.service == (), title: update.title, message: update.message, author: update.author.name,
                committer: update.committer.email, ticket: update.trailers.ticket, no_tag_object: update.annotated_tag == (), push: p.id.len(), pusher: p.pusher.name, pusher_id: p.pusher.id,
                owner: p.repository.owner, repository: p.repository.full_name, transport: p.transport,
                no_pull_request: p.pull_request == (), merge: p.is_merge, internal: p.is_internal, wiki: p.is_wiki,
                key: p.is_deploy_key, options: p.options.len(), no_option: p.options.deploy == (), nothing: p.options.deploy,
                no_trailer: update.trailers.reviewed == (), has_ticket: "ticket" in update.trailers,
                trailers: update.trailers.keys(), time: p.time,
                globs: glob("services/**", "services/a/b") && !glob("services/*", "services/a/b"),
            } })
        }"#,
    );
    assert_eq!(bench.decide()["outcome"], "marked", "{:?}", bench.sandbox.decisions());
    let marker = bench.markers().remove(0);
    let expected = [
        ("ref", json!("refs/heads/main")),
        ("branch", json!("main")),
        ("no_tag", json!(true)),
        ("old", json!(bench.old)),
        ("new_id", json!(bench.new)),
        ("commit", json!(bench.new)),
        ("created", json!(false)),
        ("deleted", json!(false)),
        ("rewind", json!(false)),
        ("is_default", json!(true)),
        ("count", json!(2)),
        ("titles", json!(["Search faster", "Pay by card"])),
        ("authors", json!(["Ann Author"])),
        ("paths", json!(["docs/pay.md", "services/checkout/pay.rs", "services/search/lib.rs"])),
        ("no_version", json!(true)),
        ("no_service", json!(true)),
        ("title", json!("Search faster")),
        ("message", json!("Search faster\n\nTicket: ACME-7\n")),
        ("author", json!("Ann Author")),
        ("committer", json!("ann@example.org")),
        ("ticket", json!("ACME-7")),
        ("no_trailer", json!(true)),
        ("has_ticket", json!(true)),
        ("trailers", json!(["ticket"])),
        ("no_tag_object", json!(true)),
        ("push", json!(36)),
        ("pusher", json!("ann")),
        ("pusher_id", json!(7)),
        ("owner", json!("acme")),
        ("repository", json!("acme/shop")),
        ("transport", json!("ssh")),
        ("no_pull_request", json!(true)),
        ("merge", json!(false)),
        ("internal", json!(false)),
        ("wiki", json!(false)),
        ("key", json!(false)),
        ("options", json!(0)),
        ("no_option", json!(true)),
        ("nothing", Value::Null),
        ("globs", json!(true)),
    ];
    for (word, value) in expected {
        assert_eq!(marker["attributes"][word], value, "{word}");
    }
    let time = marker["attributes"]["time"].as_str().expect("text");
    assert_eq!(time.len(), "2026-11-22T10:00:00Z".len(), "{time}");
}

#[test]
fn answers_of_decide_are_handled() {
    let answers = [
        ("true", json!(["change shop"]), "marked", ""),
        ("false", json!([]), "skipped", ""),
        (r#"skip("frozen until Monday")"#, json!([]), "skipped", "frozen until Monday"),
        ("mark()", json!(["change shop"]), "marked", ""),
        (
            r#"mark(#{ kind: "rollback", service: "web", version: "7", environment: "prod" })"#,
            json!(["rollback web"]),
            "marked",
            "",
        ),
        (
            r#"[mark(#{ service: "a" }), mark(#{ service: "b" })]"#,
            json!(["change a", "change b"]),
            "marked",
            "",
        ),
        ("[]", json!([]), "skipped", ""),
    ];
    for (answer, markers, outcome, why) in answers {
        let bench = Bench::new();
        bench.script("site.rhai", &format!("fn decide(update) {{ {answer} }}"));
        let decision = bench.decide();
        assert_eq!(decision["outcome"], outcome, "{answer}: {decision}");
        assert_eq!(decision["why"].as_str().unwrap_or_default(), why, "{answer}");
        let found: Vec<String> = bench
            .markers()
            .iter()
            .map(|m| {
                format!("{} {}", m["kind"].as_str().expect("text"), m["service"].as_str().expect("text"))
            })
            .collect();
        assert_eq!(json!(found), markers, "{answer}");
    }
}

#[test]
fn script_error_names_file_line_column_cause_and_fix() {
    let mistakes = [
        (
            "fn decide(update) {\n    update.brnch == \"main\"\n}",
            "site.rhai:2:11: `update` has no property `brnch`; did you mean `branch`?",
        ),
        (
            "fn decide(update) {\n    update.push.pushr\n}",
            "site.rhai:2:16: `push` has no property `pushr`; did you mean `pusher`?",
        ),
        (
            "fn decide(update) {\n    update.push.pusher.nam\n}",
            "site.rhai:2:23: `pusher` has no property `nam`; did you mean `name`?",
        ),
        (
            "fn decide(update) {\n    mark(#{ knd: \"release\" })\n}",
            "site.rhai:2:5: a marker has no property `knd`; did you mean `kind`?",
        ),
        (
            "fn decide(update) {\n    mark(#{ kind: \"relase\" })\n}",
            "site.rhai:2:5: `kind` is `relase`, expected one of `change`, `release`, `deployment`, `rollback`",
        ),
        (
            "fn decide(update) {\n    mark(#{ service: 7 })\n}",
            "site.rhai:2:5: `service` must be a string, found a number",
        ),
        (
            "fn decide(update) {\n    mark(#{ service: \" \" })\n}",
            "site.rhai:2:5: `service` is empty; leave it out or give it a name",
        ),
        (
            "fn decide(update) {\n    7\n}",
            "site.rhai:1:19: `decide` returned a number; expected `true`, `false`, `skip(\"why\")`, `mark(#{...})` or an array of marks",
        ),
        (
            "fn decide(update) {\n    let x = 1;\n}",
            "site.rhai:1:19: `decide` returned nothing; expected `true`, `false`, `skip(\"why\")`, `mark(#{...})` or an array of marks",
        ),
        (
            "fn decide(update) {\n    [true]\n}",
            "site.rhai:1:19: the array that `decide` returned must hold `mark(#{...})` only, found a bool",
        ),
        ("fn decide(update) {\n    x\n}", "site.rhai:2:5: Undefined variable: x"),
        (
            "fn decide(update) {\n    glob(7, update.ref)\n}",
            "site.rhai:2:5: `glob` takes pattern: text, text: text; found number, text",
        ),
        (
            "fn decide(update) {\n    globb(\"a\", \"b\")\n}",
            "site.rhai:2:5: unknown function `globb (text, text)`; did you mean `glob`?",
        ),
        ("fn decide(update) {\n    sleep(1)\n}", "site.rhai:2:5: unknown function `sleep (number)`"),
        ("fn decide(update) {\n    eval(\"1\")\n}", "site.rhai:2:5: reserved keyword 'eval' is disabled"),
        ("fn decide(update) {\n    throw \"no\"\n}", "site.rhai:2:5: no"),
        ("fn decide() { true }", "site.rhai:1:13: `decide` takes 1 parameter, found 0"),
        (
            "fn decied(update) { true }",
            "site.rhai: the script defines none of `decide(update)`, `enrich(marker, update)`, `guard(marker, update)`",
        ),
        (
            "fn enrich(marker, update) { marker.service = \"x\"; }",
            "site.rhai:1:27: `enrich` returned nothing; end it with `marker`, so that it returns the marker",
        ),
        (
            "fn enrich(marker, update) { #{} }",
            "site.rhai:1:27: `enrich` returned an object map; end it with `marker`, so that it returns \
             the marker",
        ),
        (
            "fn enrich(marker, update) {\n    marker.knd = \"release\";\n    marker\n}",
            "site.rhai:2:11: a marker has no property `knd`; did you mean `kind`?",
        ),
        (
            "fn enrich(marker, update) {\n    marker.attributes.size = #{};\n    marker\n}",
            "site.rhai:2:11: attribute `size` must be a string, number, bool or array of strings, found an object map",
        ),
        (
            "fn guard(marker, update) {\n    marker.kind = \"change\";\n}",
            "site.rhai:2:11: `guard` may not change a marker; return `#{ ... }` with the attributes to add, or `refuse(\"why\")`",
        ),
        (
            "fn decide(update) {\n    update.branch = \"main\";\n}",
            "site.rhai:2:12: `branch` cannot be set here",
        ),
        (
            "fn decide(update) {\n    update.title.matches(`(`)\n}",
            "site.rhai:2:18: `(` is not a valid regular expression: found open group without closing ')'",
        ),
        (
            "fn decide(update) {\n    update.push.time - duration(\"2 fortnights\")\n}",
            "site.rhai:2:24: expected a duration such as \"250ms\", \"10s\", \"5m\", \"12h\" or \"7d\", found `2 fortnights`",
        ),
        (
            "fn guard(marker, update) { 7 }",
            "site.rhai:1:26: `guard` returned a number; expected nothing, `refuse(\"why\")` or an object map of attributes to add",
        ),
    ];
    for (script, why) in mistakes {
        let bench = Bench::new();
        bench.script("site.rhai", script);
        let decision = bench.decide();
        assert_eq!(decision["outcome"], "failed", "{script}");
        let said = decision["why"].as_str().expect("text").replace(&bench.place(""), "");
        assert_eq!(said.trim_start_matches('/'), why, "{script}");
        assert_eq!(bench.markers().len(), 0, "{script}");
    }
}

#[test]
fn most_specific_layer_decides_all_enrich_and_site_guards_last() {
    let bench = Bench::new();
    let layer = |name: &str| {
        format!(
            r#"fn decide(update) {{ mark(#{{ attributes: #{{ decided_by: "{name}" }} }}) }}
               fn enrich(marker, update) {{
                   marker.attributes.order = if "order" in marker.attributes {{ marker.attributes.order + " {name}" }} else {{ "{name}" }};
                   marker
               }}
               fn guard(marker, update) {{ #{{ "guard.{name}": true }} }}"#
        )
    };
    bench.script("site.rhai", &layer("site"));
    bench.script("Acme.rhai", &layer("owner"));
    bench.script("acme/SHOP.rhai", &layer("repository"));
    bench.script("acme/other.rhai", &layer("other"));
    assert_eq!(bench.decide()["outcome"], "marked", "{:?}", bench.sandbox.decisions());
    let attributes = bench.markers().remove(0)["attributes"].clone();
    assert_eq!(attributes["decided_by"], "repository");
    assert_eq!(attributes["order"], "site owner repository");
    for guard in ["guard.site", "guard.owner", "guard.repository"] {
        assert_eq!(attributes[guard], true);
    }
    assert_eq!(attributes["guard.other"], Value::Null);
}

#[test]
fn site_guard_can_refuse_and_a_broken_guard_refuses() {
    let bench = Bench::new();
    bench.script(
        "site.rhai",
        "fn guard(marker, update) {\n  if marker.kind == \"change\" { refuse(\"frozen\") }\n}",
    );
    bench.script("acme/shop.rhai", "fn decide(update) { true } fn guard(marker, update) { #{ a: 1 } }");
    let decision = bench.decide();
    assert_eq!((&decision["outcome"], &decision["why"]), (&"refused".into(), &"frozen".into()));
    assert_eq!(decision["by"], bench.place("site.rhai:2"));
    assert_eq!(bench.markers().len(), 0);

    let bench = Bench::new();
    bench.script("site.rhai", "fn guard(marker, update) { throw \"oops\" }");
    assert_eq!(bench.decide()["outcome"], "failed");
    assert_eq!(bench.markers().len(), 0);

    let bench = Bench::new();
    bench.script("site.rhai", "fn enrich(marker, update) { marker.attributes.team = \"pay\"; marker }");
    bench.script("acme/shop.rhai", "fn guard(marker, update) { #{ team: \"mine\" } }");
    let why = bench.decide()["why"].as_str().expect("text").to_string();
    assert!(
        why.ends_with("`guard` may add attributes but not change them, and `team` already exists"),
        "{why}"
    );
}

#[test]
fn caught_errors_are_text() {
    for (tried, why) in [
        ("update.brnch", "`update` has no property `brnch`; did you mean `branch`?"),
        ("parse_int(\"4 2\")", "`4 2` cannot be read as an integer: invalid digit found in string"),
        ("parse_int(\"1\", 37)", "the radix must be from 2 to 36, found 37"),
        ("parse_float(\"much\")", "`much` cannot be read as a number: invalid float literal"),
        ("(0.0 / 0.0).to_int()", "NaN does not fit into a 64-bit integer"),
        ("9223372036854775808.0.to_int()", "9223372036854776000 does not fit into a 64-bit integer"),
    ] {
        let bench = Bench::new();
        bench.script(
            "site.rhai",
            &format!(
                "fn decide(update) {{ try {{ {tried} }} catch (why) {{ return skip(why); }} skip(\"\") }}"
            ),
        );
        let decision = bench.decide();
        assert_eq!((&decision["outcome"], &decision["why"]), (&"skipped".into(), &why.into()), "{tried}");
    }
}

#[test]
fn attribute_must_be_a_finite_number() {
    for number in ["0.0 / 0.0", "1.0 / 0.0", "-1.0 / 0.0", "parse_float(\"nan\")", "(-1.0).sqrt()"] {
        for set in [
            format!("fn decide(update) {{ mark(#{{ attributes: #{{ share: {number} }} }}) }}"),
            format!("fn enrich(marker, update) {{ marker.attributes.share = {number}; marker }}"),
            format!("fn guard(marker, update) {{ #{{ share: {number} }} }}"),
        ] {
            let bench = Bench::new();
            bench.script("site.rhai", &set);
            let decision = bench.decide();
            assert_eq!(decision["outcome"], "failed", "{set}");
            let why = decision["why"].as_str().expect("text");
            assert!(why.contains("attribute `share` must be a finite number, found"), "{set}: {why}");
            assert_eq!(bench.markers().len(), 0);
        }
    }
}

#[test]
fn name_of_an_attribute_cannot_add_a_line_to_the_reply() {
    let bench = Bench::new();
    bench.sandbox.configure("[reply]\nto_pusher = \"all\"\n");
    for guard in [
        r##"fn guard(marker, update) { let m = #{}; m["a\nremote: forged"] = #{}; m }"##,
        r##"fn guard(marker, update) { let m = #{}; m["a\nremote: forged"] = [1]; m }"##,
        r##"fn guard(marker, update) { let m = #{}; m["a\nremote: forged"] = 0.0 / 0.0; m }"##,
        r##"fn enrich(marker, update) { marker.attributes["a\nremote: forged"] = 1; marker }
            fn guard(marker, update) { let m = #{}; m["a\nremote: forged"] = 2; m }"##,
    ] {
        bench.script("site.rhai", guard);
        let push = format!("{} {} refs/heads/main\n", bench.old, bench.new);
        let ran = bench.sandbox.hook(push.as_bytes());
        assert!(ran.stderr.contains("forged"), "{}", ran.stderr);
        assert!(ran.stderr.lines().all(|line| line.starts_with("gitea-lightstep: ")), "{}", ran.stderr);
    }
}

#[test]
fn monorepo_push_is_marked_for_each_touched_service() {
    let bench = Bench::new();
    let services = |paths: &str| {
        format!(
            "[[service]]\nrepository = \"ACME/*\"\npaths = [\"services/checkout/**\"]\nname = \"checkout\"\n\
             [[service]]\nrepository = \"acme/shop\"\npaths = [\"{paths}\"]\nname = \"search\"\n\
             [[service]]\nrepository = \"acme/shop\"\npaths = [\"services/mail/**\"]\nname = \"mail\"\n\
             [[service]]\nrepository = \"other/*\"\nname = \"other\"\n"
        )
    };
    bench.sandbox.configure(&services("services/search/**"));
    bench.decide();
    let names: Vec<_> = bench.markers().iter().map(|marker| marker["service"].clone()).collect();
    assert_eq!(names, ["checkout", "search"]);
    let distinct: std::collections::BTreeSet<_> =
        bench.markers().iter().map(|m| m["id"].to_string()).collect();
    assert_eq!(distinct.len(), 2, "each marker has its own id");

    // Two rules for the same service, separated by another rule, are one service.
    let twice = services("services/search/**")
        + "[[service]]\nrepository = \"acme/shop\"\npaths = [\"services/**\"]\nname = \"checkout\"\n";
    bench.sandbox.configure(&twice);
    bench.decide();
    let names: Vec<_> = bench.markers()[2..].iter().map(|marker| marker["service"].clone()).collect();
    assert_eq!(names, ["checkout", "search"]);

    let only_mail =
        "[[service]]\nrepository = \"acme/shop\"\npaths = [\"services/mail/**\"]\nname = \"mail\"\n";
    bench.sandbox.configure(only_mail);
    let decision = bench.decide();
    assert_eq!(decision["outcome"], "skipped");
    assert_eq!(decision["why"], "no configured service has any of the changed paths");
}
