//! `test`: the format of test files, diffs, `--bless`, and the shipped policies.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Ran, Sandbox, assert_golden, manifest_dir,
    shop::{SHOP, shop},
};

/// Runs the tests and returns the JSON output.
fn json(sandbox: &Sandbox) -> Value {
    let ran = sandbox.binary(&["test", "--json"]);
    serde_json::from_str(&ran.succeeded_or_found().stdout).expect("JSON")
}

/// Runs one test of a site script that stores the expressions in `words` as attributes, and returns
/// the attributes.
fn facts(words: &str, test: &str) -> serde_json::Map<String, Value> {
    let sandbox = Sandbox::new();
    let script =
        format!("fn decide(update) {{ let p = update.push; mark(#{{ attributes: #{{ {words} }} }}) }}");
    sandbox.write("scripts/site.rhai", script);
    sandbox.write("scripts/site.test.toml", format!("[[test]]\nname = \"x\"\n{test}\n"));
    let ran = sandbox.binary(&["test", "--bless"]);
    ran.succeeded();
    let blessed = fs::read_to_string(sandbox.path("scripts/site.test.toml")).expect("the tests");
    let read: Value = toml::from_str(&blessed).expect("TOML");
    read["test"][0]["expect"]["markers"][0]["attributes"].as_object().expect("attributes").clone()
}

#[test]
fn shipped_policies_pass_their_tests() {
    let sandbox = Sandbox::new();
    let scripts = manifest_dir().join("scripts");
    let ran = sandbox.binary(&["test", scripts.to_str().expect("text")]);
    assert!(ran.succeeded().stdout.ends_with(" passed, 0 failed\n"), "{}", ran.stdout);
    for entry in fs::read_dir(&scripts).expect("the scripts") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rhai") {
            assert!(path.with_extension("test.toml").is_file(), "{} has no test", path.display());
        }
    }
}

#[test]
fn documented_tests_pass() {
    let sandbox = Sandbox::new();
    let read = |name: &str| fs::read_to_string(manifest_dir().join(name)).expect(name);
    let block = |document: &str, language: &str| {
        let (_, rest) = document.split_once(&format!("```{language}\n")).expect("a block");
        rest.split_once("```").expect("the end of the block").0.to_string()
    };
    sandbox.write("scripts/acme/shop.rhai", read("scripts/built-in.rhai"));
    sandbox.write("scripts/acme/shop.test.toml", block(&read("docs/testing.md"), "toml"));
    sandbox.write("scripts/other/shop.rhai", block(&read("docs/policy.md"), "rhai"));
    sandbox.write("scripts/other/shop.test.toml", block(&read("docs/policy.md"), "toml"));
    let ran = sandbox.binary(&["test"]);
    assert!(ran.succeeded().stdout.ends_with("3 passed, 0 failed\n"), "{}", ran.stdout);
}

#[test]
fn differences_are_readable() {
    let sandbox = shop();
    let ran = sandbox.binary(&["test"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_golden(&sandbox, "test/failures.txt", &ran.stdout);
    assert_eq!(sandbox.binary(&["test", "-q"]).stdout.lines().last(), ran.stdout.lines().last());
    assert_golden(&sandbox, "test/help.txt", &sandbox.binary(&["test", "--help"]).succeeded().stdout);
}

#[test]
fn bless_changes_only_what_differs() {
    let sandbox = shop();
    let ran = sandbox.binary(&["test", "--bless"]);
    assert_eq!(ran.code, Some(1));
    assert_golden(&sandbox, "test/bless.txt", &ran.stdout);
    let read = || fs::read_to_string(sandbox.path("scripts/acme/shop.test.toml")).expect("the tests");
    assert_golden(&sandbox, "test/blessed.test.toml", &read());

    let blessed = read();
    let ran = sandbox.binary(&["test", "--bless", "-k", "fails"]);
    assert_eq!(ran.stdout.lines().last(), Some("1 passed, 1 failed"), "{}", ran.stdout);
    assert_eq!(read(), blessed, "a passing test is not changed");
    sandbox.write("scripts/acme/shop.rhai", SHOP.replace("update.brnch", "false"));
    sandbox.binary(&["test", "--bless"]).succeeded();
    sandbox.binary(&["test"]).succeeded();
}

#[test]
fn json_has_expected_and_actual_values() {
    let answer = json(&shop());
    assert_eq!((&answer["passed"], &answer["failed"]), (&json!(1), &json!(7)));
    let test = &answer["tests"][0];
    assert_eq!(
        (&test["of"], &test["line"], &test["passed"]),
        (&json!("acme/shop"), &json!(9), &json!(false))
    );
    let of = |side: &str| test["differences"][0][side].as_array().expect("lines").clone();
    assert!(of("expected").contains(&json!("service = \"search\"")), "{test}");
    assert!(of("found").contains(&json!("service = \"checkout\"")), "{test}");
}

#[test]
fn every_kind_of_ref_update_can_be_tested() {
    let words = "branch: update.branch, tag: update.tag, created: update.is_created, deleted: update.is_deleted, \
        rewind: update.is_rewind, count: update.commit_count, is_default: update.is_default_branch, \
        paths: update.changed_paths.to_array(), titles: update.commits.map(|c| c.title), is_old: update.old_id != ()";
    let history = r#"history = [
        { message = "One", files = { "a/x" = "1", "b" = "1" }, label = "one" },
        { message = "Two", files = { "b" = "2" } },
        { message = "Side", branch = "side", files = { "c" = "1", "b" = false } },
        { message = "Three", tag = "v1.0.0", files = { "a/x" = "3" } },
    ]"#;
    let cases = [
        (
            "update = { branch = \"main\", commits = [{ message = \"Four\", files = { d = \"1\" } }, { message = \"Five\" }] }",
            json!({ "branch": "main", "created": false, "deleted": false, "rewind": false, "count": 2,
                "is_default": true, "paths": ["d"], "titles": ["Five", "Four"], "is_old": true }),
        ),
        (
            "update = { branch = \"topic\" }",
            json!({ "branch": "topic", "created": true, "deleted": false, "rewind": false, "count": 3,
                "is_default": false, "paths": ["a/x"], "titles": ["Three", "Two", "One"], "is_old": false }),
        ),
        (
            "update = { branch = \"main\", to = \"one\" }",
            json!({ "branch": "main", "created": false, "deleted": false, "rewind": true, "count": 0,
                "is_default": true, "paths": ["a/x", "b"], "is_old": true }),
        ),
        (
            "update = { branch = \"main\", to = \"main~1\", commits = [{ message = \"Other\", files = { \"a/x\" = \"3\" } }] }",
            json!({ "branch": "main", "created": false, "deleted": false, "rewind": true, "count": 1,
                "is_default": true, "titles": ["Other"], "is_old": true }),
        ),
        (
            "update = { branch = \"main\", commits = [{ message = \"Merge\", merge = \"side\" }] }",
            json!({ "branch": "main", "created": false, "deleted": false, "rewind": false, "count": 2,
                "is_default": true, "paths": ["b", "c"], "titles": ["Merge", "Side"], "is_old": true }),
        ),
        (
            "update = { tag = \"v1.0.0\", to = \"refs/heads/side\" }",
            json!({ "tag": "v1.0.0", "created": false, "deleted": false, "rewind": true, "count": 1,
                "is_default": false, "paths": ["a/x", "b", "c"], "titles": ["Side"], "is_old": true }),
        ),
    ];
    for (update, expected) in cases {
        assert_eq!(Value::Object(facts(words, &format!("{history}\n{update}"))), expected, "{update}");
    }
    let gone = facts(
        "deleted: update.is_deleted, old: update.old_id",
        &format!("{history}\nupdate = {{ branch = \"side\", delete = true }}"),
    );
    assert_eq!(Value::Object(gone), json!({ "deleted": true, "old": "{old_id}" }));
}

#[test]
fn every_gitea_variable_can_be_tested() {
    let words = "pusher: if p.pusher == () { () } else { p.pusher.name }, id: if p.pusher == () { () } else { p.pusher.id }, \
        repository: p.repository.full_name, deploy: p.options.deploy, bare: p.options.fast == \"\", transport: p.transport, \
        request: p.pull_request, merge: p.is_merge, internal: p.is_internal, wiki: p.is_wiki, key: p.is_deploy_key, time: `${p.time}`, \
        author: update.author.name, mail: update.committer.email, at: `${update.author.time}`, message: update.commit.message, \
        tagger: if update.annotated_tag == () { () } else { update.annotated_tag.tagger.email }, \
        said: if update.annotated_tag == () { () } else { update.annotated_tag.message }, \
        signed: update.commit.is_signed, tag_signed: update.annotated_tag != () && update.annotated_tag.is_signed, \
        task: p.actions_task";
    let nothing = facts(words, "update = { branch = \"main\", commits = [{}] }");
    let expected = json!({ "pusher": "ann", "id": 1, "repository": "example/example", "transport": "ssh", "bare": false, "merge": false,
        "internal": false, "wiki": false, "key": false, "time": "2026-01-01T12:00:00Z", "author": "Ann Author",
        "mail": "ann@example.org", "at": "2026-01-01T11:59:00Z", "message": "Commit 2\n", "signed": false, "tag_signed": false });
    assert_eq!(Value::Object(nothing), expected);
    let everything = facts(
        words,
        r#"
        repository = "acme/shop"
        push = { pusher = "rita", pusher_id = 9, options = { deploy = "prod", fast = true }, transport = "http",
            pull_request = 7, is_merge = true, is_internal = true, is_wiki = true, is_deploy_key = true, actions_task = 5, time = 2026-11-22T10:00:00+02:00 }
        update = { tag = "v1", annotated_tag = { message = "Version 1", tagger = "Rita Release <r@example.com>", is_signed = true },
            commits = [{ message = "x\n\nbody", author = "Bob", committer = "Cat <c@example.com>", time = "2026-01-02T03:04:05Z", is_signed = true }] }"#,
    );
    let expected = json!({ "pusher": "rita", "id": 9, "repository": "acme/shop", "deploy": "prod", "bare": true, "transport": "http",
        "request": 7, "merge": true, "internal": true, "wiki": true, "key": true, "time": "2026-11-22T08:00:00Z", "author": "Bob",
        "mail": "c@example.com", "at": "2026-01-02T03:04:05Z", "message": "x\n\nbody\n", "tagger": "r@example.com", "said": "Version 1", "signed": true, "tag_signed": true, "task": 5 });
    assert_eq!(Value::Object(everything), expected);
    let nobody = facts(words, "push.pusher = false\nupdate = { branch = \"main\", commits = [{}] }");
    assert_eq!((nobody.get("pusher"), &nobody["transport"]), (None, &json!("local")));
}

#[test]
fn label_is_replaced_with_the_commit_id() {
    let test = "history = [{ label = \"bad\", message = \"Bad\" }]\n\
        update = { branch = \"main\", commits = [{ message = \"Revert\\n\\nThis takes back {bad}.\" }] }";
    let found = facts("message: update.commit.message, old: update.old_id, commit: update.commit_id", test);
    // The only commit has two labels.
    assert_eq!(
        Value::Object(found),
        json!({ "message": "Revert\n\nThis takes back {bad}.\n", "old": "{bad}", "commit": "{commit_id}" })
    );
}

#[test]
fn tests_use_the_layers_of_their_repository() {
    let sandbox = Sandbox::new();
    let guard = |attribute: &str| {
        format!("fn enrich(marker, update) {{ marker.attributes[\"{attribute}\"] = true; marker }}")
    };
    for (file, attribute) in
        [("site", "site"), ("acme", "owner"), ("acme/shop", "repository"), ("only", "only")]
    {
        sandbox.write(&format!("scripts/{file}.rhai"), guard(attribute));
    }
    let test = |attributes: &str| {
        format!(
            "[[test]]\nname = \"x\"\nupdate.tag = \"v1.0.0\"\nexpect.markers = [{{ service = \"SERVICE\", attributes = {{ {attributes} }} }}]\n"
        )
    };
    let write = |file: &str, service: &str, top: &str, attributes: &str| {
        sandbox.write(
            &format!("scripts/{file}.test.toml"),
            format!("{top}\n{}", test(attributes).replace("SERVICE", service)),
        );
    };
    write("acme/shop", "shop", "", "site = true, owner = true, repository = true, only = false");
    write("acme", "example", "", "site = true, owner = true, repository = false, only = false");
    write("site", "example", "", "site = true, owner = false, repository = false, only = false");
    write(
        "more",
        "shop",
        "repository = \"acme/shop\"",
        "site = true, owner = true, repository = true, only = false",
    );
    write(
        "only",
        "example",
        "policy = \"only.rhai\"",
        "site = false, owner = false, repository = false, only = true",
    );
    write(
        "page",
        "example",
        "hook_page = \"only.rhai\"\nrepository = \"other/example\"",
        "site = true, owner = false, only = true",
    );
    let ran = sandbox.binary(&["test"]);
    assert!(ran.succeeded().stdout.ends_with("6 passed, 0 failed\n"), "{}", ran.stdout);

    // The same scripts apply however the test file is named on the command line.
    let run = |args: &[&str]| -> Ran {
        let mut command = sandbox.command(crate::support::BINARY, &sandbox.path("scripts/acme"));
        sandbox.run(command.arg("test").args(args), b"")
    };
    for args in [
        &["shop.test.toml"][..],
        &["shop.rhai"],
        &["../acme/shop.rhai"],
        &["--scripts", "..", "."],
        &["--scripts", "..", "-k", "acme/shop"],
    ] {
        assert!(run(args).succeeded().stdout.ends_with("1 passed, 0 failed\n"), "{args:?}");
    }
    assert!(run(&[".."]).succeeded().stdout.ends_with("6 passed, 0 failed\n"));
}

#[test]
fn services_of_a_test_use_the_configuration_syntax() {
    let sandbox = pushed_shop();
    sandbox.write(
        "scripts/acme/shop.test.toml",
        r#"
[[service]]
name = "checkout"
paths = ["services/checkout/**"]
environments = { staging = "main", production = ["deploy/production", "v*"], lab = [] }
version = { file = "services/checkout/VERSION" }

[[service]]
name = "search"
paths = ["services/search/**"]
environments = { production = "deploy/search" }

[[test]]
name = "main goes to staging"
update.branch = "main"
update.commits = [{ message = "Pay", files = { "services/checkout/VERSION" = "1.2.0" } }]
expect.markers = [
    { kind = "change", service = "checkout", version = "1.2.0" },
    { kind = "deployment", service = "checkout", version = "1.2.0", environment = "staging" },
]

[[test]]
name = "each service has its own branch of production"
update = [
    { branch = "deploy/production", commits = [{ files = { "services/checkout/VERSION" = "1.2.0" } }] },
    { branch = "deploy/search" },
]
expect = [
    { markers = [{ kind = "deployment", service = "checkout", version = "1.2.0", environment = "production" }] },
    { markers = [{ kind = "deployment", service = "search", version = "{commit_id}", environment = "production" }] },
]

[[test]]
name = "an option may name an environment that no ref stands for"
push.options = { deploy = "lab", "deploy.service" = "checkout" }
update.branch = "topic"
update.commits = [{ files = { "services/checkout/VERSION" = "1.2.0-dev" } }]
expect.markers = [{ kind = "deployment", service = "checkout", version = "1.2.0-dev", environment = "lab" }]

[[test]]
name = "an environment that is misspelt is none"
push.options = { deploy = "prodution" }
update.branch = "topic"
update.commits = [{}]
expect.outcome = "skipped"
expect.why = "no service of this repository has the environment `prodution`; did you mean `production`?"
"#,
    );
    let ran = sandbox.binary(&["test"]);
    assert!(ran.succeeded().stdout.ends_with("4 passed, 0 failed\n"), "{}", ran.stdout);
}

#[test]
fn test_file_errors_have_a_position() {
    let sandbox = Sandbox::new();
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    let test = "[[test]]\nname = \"x\"\nupdate.";
    let cases = [
        (
            "[[test]]\nname = \"x\"\nupdat.branch = \"a\"",
            "3:1: unknown field `updat`, expected one of `name`, `repository`, `default_branch`, `history`, `push`, `update`, `expect`; did you mean `update`?",
        ),
        (
            &format!("{test}brnch = \"a\""),
            "3:8: unknown field `brnch`, expected one of `branch`, `tag`, `ref`, `to`, `commits`, `annotated_tag`, `delete`; did you mean `branch`?",
        ),
        (
            &format!("{test}branch = \"main\""),
            "3:17: the update does not change `refs/heads/main`; set `commits`, `to` or `delete = true`",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.to = \"mian\""),
            "4:13: unknown commit `mian`; did you mean `main`?",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.to = \"main~7\""),
            "4:13: `main~7` goes back beyond the first commit",
        ),
        (
            &format!("{test}branch = \"a b\""),
            "3:17: `refs/heads/a b` is not a valid ref name, expected one such as `main`",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.tag = \"b\""),
            "2:8: an update has exactly one of `branch`, `tag` and `ref`, such as `update.branch = \"main\"`",
        ),
        (
            &format!("{test}tag = \"a\"\nupdate.delete = true"),
            "3:14: `refs/tags/a` does not exist, so it cannot be deleted; create it in `history`",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.annotated_tag = {{}}"),
            "3:17: only a tag can be annotated; use `tag` instead of `branch` or `ref`",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.commits = [{{ files = {{ \"../x\" = \"\" }} }}]"),
            "4:31: `../x` is not a path in a repository, expected one such as `services/checkout/pay.rs`",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.commits = [{{ files = {{ a = true }} }}]"),
            "4:35: expected the file's content as a string, or `false` for a file that is removed",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.commits = [{{ files = {{ a = \"\", \"a/b\" = \"\" }} }}]"),
            "4:39: `a/b` cannot be a file, because `a` is one",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.commits = [{{ author = \"<>\" }}]"),
            "4:30: expected a person such as `Ann Author <ann@example.org>`, found `<>`",
        ),
        (
            &format!("{test}branch = \"a\"\nupdate.commits = [{{ time = \"soon\" }}]"),
            "4:28: expected a time such as 2026-11-22T10:00:00Z, found `soon`",
        ),
        (
            &format!("{test}branch = \"a\"\nexpect.outcome = \"markd\""),
            "4:18: unknown variant `markd`, expected one of `marked`, `skipped`, `refused`, `failed`; did you mean `marked`?",
        ),
        (
            &format!("{test}branch = \"a\"\nexpect = [{{}}, {{}}]"),
            "2:8: 1 update and 2 expectations; a test needs one `expect` for each `update`, in the same \
             order",
        ),
        ("[[test]]\nname = \"x\"", "2:8: a test needs an update, such as `update.tag = \"v1.2.3\"`"),
        (
            "policy = \"nix.rhai\"",
            "1:10: unknown script `/SCRIPTS/nix.rhai`; the path is relative to this file",
        ),
        ("repository = \"x\"", "1:14: expected a repository such as `acme/shop`, found `x`"),
        ("history = [", "1:12: unclosed array, expected `]`"),
    ];
    for (source, expected) in cases {
        sandbox.write("scripts/site.test.toml", source);
        let ran = sandbox.binary(&["test"]);
        assert_eq!(ran.code, Some(1), "{source}");
        let scripts = sandbox.path("scripts").display().to_string();
        let expected = format!(
            "\nFAIL  site  cannot be read\n      {scripts}/site.test.toml:{expected}\n\n0 passed, 1 failed\n"
        );
        assert_eq!(ran.stdout, expected.replace("/SCRIPTS", &scripts), "{source}");
    }
    sandbox.write("scripts/site.test.toml", [0xff, 0xfe]);
    let ran = sandbox.binary(&["test"]);
    assert!(ran.stdout.contains("failed to read the tests"), "{}", ran.stdout);
    sandbox.write("scripts/absent/none.test.toml", "");
    let ran = sandbox.binary(&["test"]);
    assert!(ran.stdout.contains("these tests need the script `absent/none.rhai` in "), "{}", ran.stdout);
}

#[test]
fn run_without_tests_fails_and_names_the_searched_paths() {
    let sandbox = Sandbox::new();
    let says = |args: &[&str], expected: &str| {
        let ran = sandbox.binary(&[&["test"], args].concat());
        let expected = expected.replace("/SANDBOX", &sandbox.path("").display().to_string());
        assert_eq!((ran.code, ran.stderr), (Some(1), format!("gitea-lightstep: {expected}\n")), "{args:?}");
    };
    says(&[], "no scripts directory is configured; name one as an argument, or set `[policy] scripts`");
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    says(&[], "found no tests; looked for `*.test.toml` in `/SANDBOXscripts`");
    says(&["scripts/site.rhai"], "`scripts/site.rhai` has no tests; write them in `scripts/site.test.toml`");
    says(&["nix"], "`nix` does not exist; expected a directory, a script `*.rhai` or a file `*.test.toml`");
    says(
        &["config.toml"],
        "`config.toml` is not a test; expected a directory, a script `*.rhai` or a file `*.test.toml`",
    );
    sandbox.write("scripts/site.test.toml", "");
    says(&[], "found no `[[test]]` in `/SANDBOXscripts/site.test.toml`");
    sandbox.write(
        "scripts/site.test.toml",
        "[[test]]\nname = \"one\"\nupdate.tag = \"v1.0.0\"\nexpect.outcome = \"marked\"",
    );
    says(&["-k", "two"], "no test has `two` in its name; omit `--filter` to run 1 file");
    sandbox.binary(&["test", "-k", "ONE"]).succeeded();
    sandbox.binary(&["test", "--json"]).succeeded();
    assert_eq!(
        fs::read_dir(sandbox.path("tmp")).expect("a directory").count(),
        0,
        "the temporary directory is empty"
    );
}

/// Creates a sandbox in which the hook uses the policy.
fn pushed_shop() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/*\"\nname = \"checkout\"\npaths = [\"services/checkout/**\"]\n\
         environments = { production = [\"deploy/production\"], prod = [] }\nversion = { file = \"VERSION\" }\n",
    );
    sandbox.write(
        "scripts/acme/shop.rhai",
        fs::read_to_string(manifest_dir().join("scripts/built-in.rhai")).expect("a script"),
    );
    sandbox
}

/// Returns the ID of the last push in the journal.
fn newest_push(sandbox: &Sandbox) -> String {
    sandbox.decisions().pop().expect("a decision")["push"].as_str().expect("an id").to_string()
}

#[test]
fn recorded_push_is_exported_as_a_test() {
    let sandbox = pushed_shop();
    sandbox.commit(
        "Before",
        &[("README", "secret words"), ("services/checkout/pay.rs", "1"), ("Cargo.toml", "version = \"1\"")],
    );
    sandbox.push(&["main"]).succeeded();
    let first = newest_push(&sandbox);
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    sandbox.commit("On the side", &[("services/checkout/card.rs", "1")]);
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.commit(
        "Pay by \"card\"\n\nTicket: ACME-7",
        &[("services/checkout/pay.rs", "more secret words"), ("Cargo.toml", "version = \"2\"")],
    );
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge the topic", "topic"]);
    fs::remove_file(sandbox.path("clone/README")).expect("removed");
    sandbox.commit("No README", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    let second = newest_push(&sandbox);
    sandbox.git(&["tag", "-a", "-m", "Version 1", "checkout/v1.0.0"]);
    sandbox.push(&["checkout/v1.0.0", "main~1:refs/heads/release"]).succeeded();
    let third = newest_push(&sandbox);
    sandbox
        .push(&["--force", "main~2:main", ":release", "main:refs/heads/stable", "main:refs/tags/nightly"])
        .succeeded();
    let fourth = newest_push(&sandbox);
    sandbox.git(&["reset", "-q", "--hard", "main~1"]);
    sandbox.commit("Another way", &[("services/checkout/pay.rs", "3")]);
    sandbox.push(&["--force", "main"]).succeeded();
    let fifth = newest_push(&sandbox);

    let printed = sandbox.binary(&["test", "--from", &second, "--with-file", "Cargo.toml"]);
    assert_golden(&sandbox, "test/from.test.toml", &printed.succeeded().stdout);
    assert!(!printed.stdout.contains("secret words"), "{}", printed.stdout);

    let file = sandbox.path("scripts/acme/shop.test.toml");
    let to = file.to_str().expect("text");
    for push in [&first, &second, &third, &fourth, &fifth] {
        sandbox.binary(&["test", "--from", push, "--to", to]).succeeded();
    }
    let ran = sandbox.binary(&["test"]);
    assert!(
        ran.succeeded().stdout.ends_with("5 passed, 0 failed\n"),
        "{}\n{}",
        ran.stdout,
        fs::read_to_string(&file).expect("the tests")
    );
    // A different policy decides differently.
    sandbox.write("scripts/acme/shop.rhai", "fn decide(update) { skip(\"not today\") }");
    let ran = sandbox.binary(&["test"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout
            .contains("- outcome = \"marked\"\n      + outcome = \"skipped\"\n      + why = \"not today\""),
        "{}",
        ran.stdout
    );

    let ran = sandbox.binary(&["test", "--from", &second, "--to", to]);
    assert!(ran.stderr.contains("two tests are called `ann pushes main on "), "{}", ran.stderr);
}

/// A script that reports everything that it can learn from the history.
const EVERYTHING: &str = "fn decide(update) {
    if update.is_deleted { return skip(`gone ${update.ref}`); }
    // All that a new branch can be reached from would be a long test.
    if update.is_created && !update.is_default_branch {
        return skip(`${update.ref} ${update.changed_paths.to_array()} ${update.commit.title} ${update.committer.time}`);
    }
    // Commits of one second come in the order of their ids.
    let titles = update.commits.map(|c| c.title + c.is_merge);
    titles.sort();
    skip(`${update.ref} ${update.is_created} ${update.is_rewind} ${update.commit_count} ${update.is_default_branch}`
        + ` ${update.changed_paths.to_array()} ${titles} ${update.authors}`
        + ` ${update.commit.title} ${update.commit.trailers.ticket} ${update.committer.time} ${update.push.options.deploy} ${update.push.pusher.name}`)
}";

#[test]
fn exported_test_has_the_same_facts_as_the_push() {
    let sandbox = pushed_shop();
    sandbox.write("scripts/acme/shop.rhai", EVERYTHING);
    let file = sandbox.path("scripts/acme/shop.test.toml");
    let note = |args: &[&str]| {
        sandbox.push(args).succeeded();
        let ran =
            sandbox.binary(&["test", "--from", &newest_push(&sandbox), "--to", file.to_str().expect("text")]);
        ran.succeeded();
    };
    sandbox.commit("One", &[("a/x", "1"), ("b", "1")]);
    sandbox.commit("Two", &[("b", "2")]);
    note(&["main"]);
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    sandbox.commit("Side one", &[("c", "1")]);
    sandbox.commit("Side two", &[("c", "2")]);
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.commit("Three\n\nTicket: ACME-3", &[("a/x", "3")]);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge", "topic"]);
    note(&["-o", "deploy=prod", "main"]);
    sandbox.commit("Four", &[("d/e", "1")]);
    note(&["main", "main~1:refs/heads/production"]);
    note(&["main:production"]);
    note(&["--force", "main~1:main"]);
    note(&["main~1:refs/heads/new", ":production"]);
    sandbox.git(&["checkout", "-q", "-b", "other", "main~1"]);
    sandbox.commit("Five", &[("b", "5")]);
    note(&["--force", "other:main"]);
    let ran = sandbox.binary(&["test"]);
    assert!(
        ran.succeeded().stdout.ends_with(" passed, 0 failed\n"),
        "{}\n{}",
        ran.stdout,
        fs::read_to_string(&file).expect("the tests")
    );
}

#[test]
fn unknown_push_cannot_be_exported() {
    let sandbox = pushed_shop();
    let id = "019b7952-5c00-7000-8000-000000000001";
    let ran = sandbox.binary(&["test", "--from", id]);
    let expected = format!(
        "gitea-lightstep: the journal has no push `{id}`; `gitea-lightstep log --json` shows the ids\n"
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), &*expected));
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    let push = newest_push(&sandbox);
    let ran = sandbox.binary(&["test", "--from", &push, "--to", "shop.toml"]);
    assert!(ran.stderr.contains("`shop.toml` is not the name of a test file"), "{}", ran.stderr);
    fs::rename(sandbox.bare(), sandbox.path("moved.git")).expect("moved");
    let ran = sandbox.binary(&["test", "--from", &push]);
    assert!(ran.code == Some(1) && ran.stderr.contains("failed to open the repository"), "{}", ran.stderr);
    sandbox.binary(&["test", "--from", &push, "--git-dir", "moved.git"]).succeeded();
    assert_eq!(sandbox.binary(&["test", "--from", "nonsense"]).code, Some(2));
}

#[test]
fn tests_are_labelled_by_their_path_below_scripts_however_they_are_named() {
    let sandbox = Sandbox::new();
    let test = "[[test]]\nname = \"a\"\nupdate.tag = \"v1\"\nexpect.outcome = \"skipped\"\n";
    sandbox.write("policies/scripts/acme/shop.rhai", "fn decide(update) { false }");
    sandbox.write("policies/scripts/acme/shop.test.toml", test);
    for (dir, named) in [
        ("", "policies/scripts/acme/shop.test.toml"),
        ("", "policies/scripts/acme/shop.rhai"),
        ("", "policies/scripts/acme"),
        ("", "policies/scripts"),
        ("policies", "scripts/acme/shop.test.toml"),
        ("policies/scripts", "acme/shop.test.toml"),
        ("policies/scripts", "acme"),
        ("policies/scripts/acme", "shop.test.toml"),
        ("policies/scripts/acme", "."),
    ] {
        let mut command = sandbox.command(crate::support::BINARY, &sandbox.path(dir));
        let config = sandbox.path("config.toml");
        let ran = sandbox.run(command.args(["test", named, "--config"]).arg(config), b"");
        assert_eq!(ran.succeeded().stdout, "pass  acme/shop  a\n1 passed, 0 failed\n", "{dir} {named}");
    }
}
