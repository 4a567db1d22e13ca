//! Documents that policies parse: values, errors with their positions, and limits.

use std::fs;

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A sandbox with one pushed commit that has these files.
struct Pushed {
    sandbox: Sandbox,
    stdin: String,
}

impl Pushed {
    fn new(files: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new();
        let old = sandbox.commit("Old", &[]);
        let new = sandbox.commit("New", files);
        sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
        Self { sandbox, stdin: format!("{old} {new} refs/heads/main\n") }
    }

    /// Runs a policy that marks the update with the attribute `a`, and returns the decision.
    fn decide(&self, expression: &str) -> Value {
        self.sandbox.clear_state();
        let script =
            format!("fn decide(update) {{\n    mark(#{{ attributes: #{{ a: {expression} }} }})\n}}\n");
        self.sandbox.write("scripts/site.rhai", script);
        self.sandbox.hook(self.stdin.as_bytes()).succeeded();
        self.sandbox.decisions().pop().expect("a decision")
    }

    /// Returns the attribute `a` of the marker.
    #[track_caller]
    fn value(&self, expression: &str) -> Value {
        let decision = self.decide(expression);
        assert_eq!(decision["outcome"], "marked", "{expression}: {decision}");
        self.sandbox.waiting("unassigned")[0]["attributes"]["a"].clone()
    }

    /// Returns why the policy failed.
    #[track_caller]
    fn failure(&self, expression: &str) -> String {
        let decision = self.decide(expression);
        assert_eq!(decision["outcome"], "failed", "{expression}: {decision}");
        decision["why"].as_str().expect("a reason").to_string()
    }
}

#[test]
fn documents_become_maps_and_arrays() {
    let pushed = Pushed::new(&[
        (
            "package.json",
            "\u{feff}{\"version\": \"1.2.3\", \"n\": [1, 2.5, null, true], \"a-b\": {\"c\": 7}}",
        ),
        (
            "Cargo.toml",
            "[package]\nversion = \"1.2.3\"\n[d]\nat = 2026-11-29T10:00:00Z\n[[bin]]\nname = \"x\"\n",
        ),
        (
            "compose.yaml",
            "x: &x {image: shop, tag: 1.10}\nservices: {a: *x}\nquoted: '1.10'\nhex: 0x1f\noct: 0o17\n\
             none: ~\nyes: yes\nbig: 1e3\nword: infinity\nmerged: {<<: *x}\n---\nsecond: 1\n",
        ),
        (
            "pom.xml",
            "<m:project xmlns:m='urn:m' a='1'><version>1.2.3</version><module>x</module>\
             <module>y</module><empty/>text<c><![CDATA[<b>]]></c></m:project>",
        ),
    ]);
    for (expression, expected) in [
        (r#"update.file("package.json").json().version"#, json!("1.2.3")),
        (r#"parse_json(update.file("package.json")).n[0]"#, json!(1)),
        (r#"update.file("package.json").json().n[1]"#, json!(2.5)),
        (r#"update.file("package.json").json().n[2] == ()"#, json!(true)),
        (r#"update.file("package.json").json()["a-b"].c"#, json!(7)),
        (r#""gone" in update.file("package.json").json()"#, json!(false)),
        (r#"update.file("package.json").json().get("gone") == ()"#, json!(true)),
        (r#"update.file("Cargo.toml").toml()["package"].version"#, json!("1.2.3")),
        (r#"update.file("Cargo.toml").toml().d.at"#, json!("2026-11-29T10:00:00Z")),
        (r#"update.file("Cargo.toml").toml().bin[0].name"#, json!("x")),
        (r#"update.file("compose.yaml").yaml().services.a.image"#, json!("shop")),
        (r#"update.file("compose.yaml").yaml().services.a.tag"#, json!(1.1)),
        (r#"update.file("compose.yaml").yaml().quoted"#, json!("1.10")),
        (r#"update.file("compose.yaml").yaml().hex + update.file("compose.yaml").yaml().oct"#, json!(46)),
        (r#"update.file("compose.yaml").yaml().none == ()"#, json!(true)),
        (r#"update.file("compose.yaml").yaml().yes"#, json!("yes")),
        (r#"update.file("compose.yaml").yaml().big"#, json!(1000.0)),
        (r#"update.file("compose.yaml").yaml().word"#, json!("infinity")),
        (r#"update.file("compose.yaml").yaml().merged["<<"].image"#, json!("shop")),
        (r#""second" in update.file("compose.yaml").yaml()"#, json!(false)),
        (r#"update.file("pom.xml").xml().project.version"#, json!("1.2.3")),
        (r#"update.file("pom.xml").xml().project["@a"]"#, json!("1")),
        (r##"update.file("pom.xml").xml().project["#text"]"##, json!("text")),
        (r#"update.file("pom.xml").xml().project["module"]"#, json!(["x", "y"])),
        (r#"update.file("pom.xml").xml().project.empty == """#, json!(true)),
        (r#"update.file("pom.xml").xml().project.c"#, json!("<b>")),
        (r#""".yaml() == ()"#, json!(true)),
        ("`[[1]]`.json()[0][0]", json!(1)),
    ] {
        assert_eq!(pushed.value(expression), expected, "{expression}");
    }
}

#[test]
fn links_are_followed_inside_the_repository() {
    let pushed = Pushed::new(&[("a/package.json", "{\"version\": \"1.2.3\"}")]);
    let link = |target: &str| {
        let path = pushed.sandbox.path("clone/link");
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(target, path).expect("a link");
        let new = pushed.sandbox.commit("Link", &[]);
        pushed.sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
        let old = pushed.sandbox.git(&["rev-parse", "HEAD^"]);
        format!("{old} {new} refs/heads/main\n")
    };
    let stdin = link("a/package.json");
    let script = "fn decide(update) { mark(#{ version: update.file(\"link\").json().version }) }";
    let run = |stdin: &str| {
        pushed.sandbox.clear_state();
        pushed.sandbox.write("scripts/site.rhai", script);
        pushed.sandbox.hook(stdin.as_bytes()).succeeded();
        pushed.sandbox.decisions().pop().expect("a decision")
    };
    assert_eq!(run(&stdin)["outcome"], "marked");
    assert_eq!(pushed.sandbox.waiting("unassigned")[0]["version"], "1.2.3");
    let failed = run(&link("../outside"));
    let why = failed["why"].as_str().unwrap_or_default();
    assert!(why.contains("`link`: a symbolic link on its path leads out of the repository"), "{failed}");
}

#[test]
fn errors_name_line_and_column() {
    let pushed =
        Pushed::new(&[("package.json", "{\n  \"version\": x\n}"), ("large.json", &" ".repeat(300 << 10))]);
    for (expression, why) in [
        (
            r#"update.file("package.json").json()"#,
            "the text is not valid JSON: line 2, column 14: expected value",
        ),
        ("parse_json(`{\"a\": 1,}`)", "the text is not valid JSON: line 1, column 9: trailing comma"),
        (r#""a = 1\na = 2".toml()"#, "the text is not valid TOML: line 2, column 1: duplicate key"),
        (r#""a: [".yaml()"#, "the text is not valid YAML: line 2, column 1: "),
        ("`<a>`.xml()", "the text is not valid XML: line 1, column 4: the element `a` has no end"),
        ("`<a></b>`.xml()", "the text is not valid XML: line 1, column 4: "),
        (r#"update.file("large.json").json()"#, "`large.json` has 307200 bytes, the limit is 262144"),
        ("`{}`.json().gone", "gone"),
    ] {
        let said = pushed.failure(expression);
        assert!(said.contains("scripts/site.rhai:2:") && said.contains(why), "{expression}: {said}");
    }
    // A script can catch the error, and gets its text.
    let caught = "(|| { try { `[`.json() } catch (why) { return why; } }).call()";
    let said = pushed.value(caught);
    assert_eq!(said, "the text is not valid JSON: line 1, column 1: EOF while parsing a list");
}

#[test]
fn documents_are_bounded() {
    let nested = |open: &str, n: usize, close: &str| format!("{}{}", open.repeat(n), close.repeat(n));
    let many = |n: usize| (0..n).map(|n| format!("\"k{n}\": 1")).collect::<Vec<_>>().join(",");
    let pushed = Pushed::new(&[
        ("deep.json", &nested("[", 65, "]")),
        ("deeper.json", &nested("[", 100_000, "]")),
        ("deep.xml", &nested("<a>", 30_000, "</a>")),
        ("deep.toml", &format!("a = {}", nested("[", 100_000, "]"))),
        ("wide.json", &format!("{{{}}}", many(1025))),
        ("fits.json", &format!("{{{}}}", many(1024))),
        ("long.json", &format!("[{}1]", "1,".repeat(20_000))),
        ("aliases.yaml", &format!("a: &a {}\nb: [{}]\n", "x".repeat(60_000), ["*a"; 100].join(", "))),
    ]);
    for (expression, why) in [
        (r#"update.file("deep.json").json()"#, "line 1, column 66: it is nested more than 64 levels deep"),
        (r#"update.file("deeper.json").json()"#, "it is nested more than 64 levels deep"),
        (r#"update.file("deeper.json").yaml()"#, "the text is not valid YAML: line 1, column "),
        (r#"update.file("deep.xml").xml()"#, "line 1, column 193: it is nested more than 64 levels deep"),
        (r#"update.file("deep.toml").toml()"#, "the text is not valid TOML: line 1, column "),
        (r#"update.file("wide.json").json()"#, "the document is too large: a value may hold at most"),
        (r#"update.file("long.json").json()"#, "the document is too large: a value may hold at most"),
        (r#"update.file("aliases.yaml").yaml()"#, "the document is too large: a value may hold at most"),
    ] {
        let said = pushed.failure(expression);
        assert!(said.contains("scripts/site.rhai:2:") && said.contains(why), "{expression}: {said}");
    }
    assert_eq!(pushed.value(r#"update.file("fits.json").json().len()"#), 1024);
}

#[test]
fn texts_of_all_yaml_documents_are_found_by_their_keys() {
    // Nine levels of ten aliases each stand for 10^9 values.
    let mut bomb = String::from("a0: &a0 {tag: x}\n");
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let wide = "- tag: x\n".repeat(2000);
    let pushed = Pushed::new(&[
        (
            "all.yaml",
            "kind: Deployment\nmetadata: {name: shop}\nspec: {c: [{name: app, tag: 1.10}, {tag: '2'}]}\n---\n\
             tag: &t 0x1f\n---\nx: [{tag: ~}, {tag: {tag: no}}, {tag: [a, b]}]\n---\n",
        ),
        ("bomb.yaml", &bomb),
        ("wide.yaml", &wide),
    ]);
    assert_eq!(
        pushed.value(r#"update.file("all.yaml").yaml_texts(["tag"]).map(|t| `${t[0]}=${t[1]}`)"#),
        json!([
            "Deployment/shop:spec.c.app.tag=1.10",
            "Deployment/shop:spec.c.1.tag=2",
            "1:tag=0x1f",
            "2:x.0.tag=~",
            "2:x.1.tag.tag=no",
            "2:x.2.tag.0=a",
            "2:x.2.tag.1=b",
        ])
    );
    for (expression, why) in [
        (r#"update.file("bomb.yaml").yaml_texts(["none"])"#, "the document is too large: a value may hold"),
        (r#"update.file("bomb.yaml").yaml_texts(["tag"])"#, "too large: a value may hold"),
        (r#"update.file("wide.yaml").yaml_texts(["tag"])"#, "the texts are too large: a value may hold"),
        (r#""{{".yaml_texts(["tag"])"#, "the text is not valid YAML: line 2, column "),
    ] {
        let said = pushed.failure(expression);
        assert!(said.contains("scripts/site.rhai:2:") && said.contains(why), "{expression}: {said}");
    }
}

#[test]
fn version_from_a_document_replaces_the_service_rule() {
    let pushed = Pushed::new(&[("values.yaml", "image: {tag: v7}\n"), ("VERSION", "not a version\n")]);
    pushed.sandbox.configure(
        "[[service]]\nrepository = \"acme/*\"\nname = \"pay\"\nversion = { file = \"VERSION\" }\n",
    );
    pushed.sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) {
            if update.is_deleted { return false; }
            mark(#{ version: update.file(\"values.yaml\").yaml().image.tag })
        }",
    );
    assert_eq!(pushed.sandbox.binary(&["check"]).code, Some(0));
    pushed.sandbox.clear_state();
    pushed.sandbox.hook(pushed.stdin.as_bytes()).succeeded();
    assert_eq!(pushed.sandbox.waiting("unassigned")[0]["version"], "v7");
    assert_eq!(pushed.sandbox.decisions()[0].get("missing"), None);
}

#[test]
fn check_knows_the_functions() {
    let pushed = Pushed::new(&[]);
    let check = |call: &str| {
        pushed.sandbox.write(
            "scripts/site.rhai",
            format!("fn decide(update) {{ if update.is_deleted {{ return false; }} {call}; true }}"),
        );
        let ran = pushed.sandbox.binary(&["check"]);
        (ran.code, format!("{}{}", ran.stdout, ran.stderr))
    };
    for call in ["`1`.json()", "parse_json(`1`)", "`a: 1`.yaml()", "``.toml()", "update.file(`a`).xml()"] {
        assert_eq!(check(call).0, Some(0), "{call}: {}", check(call).1);
    }
    let (code, said) = check("parse_jsn(`1`)");
    assert!(code == Some(1) && said.contains("parse_json"), "{said}");
    let (code, said) = check("yaml()");
    assert!(code == Some(1) && said.contains("`yaml` takes 1 argument: text"), "{said}");
}
