//! What scripts import from their directory, and what stands outside of functions.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A sandbox in which pushes are decided by scripts.
struct Bench(Sandbox);

impl Bench {
    fn new(scripts: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new();
        sandbox.commit("One", &[]);
        for (name, script) in scripts {
            sandbox.write(&format!("scripts/{name}"), script);
        }
        Self(sandbox)
    }

    /// Pushes, and returns the decision.
    fn decide(&self) -> Value {
        let branch = format!("main:refs/heads/b{}", self.0.decisions().len());
        self.0.push(&[&branch]).succeeded();
        self.0.decisions().pop().expect("a decision")
    }

    /// Pushes, and returns the markers' attributes.
    fn marked(&self) -> Value {
        let decision = self.decide();
        assert_eq!(decision["outcome"], "marked", "{decision}");
        self.0.waiting("unassigned").pop().expect("a marker")["attributes"].clone()
    }

    /// Pushes, and returns what went wrong, with paths from the directory of scripts on.
    fn failed(&self) -> String {
        let decision = self.decide();
        assert_eq!(decision["outcome"], "failed", "{decision}");
        self.told(decision["why"].as_str().expect("text"))
    }

    /// Returns what `check` finds, with paths from the directory of scripts on.
    fn problems(&self) -> Vec<String> {
        self.0.problems().iter().map(|problem| self.told(problem)).collect()
    }

    fn told(&self, text: &str) -> String {
        let scripts = self.0.path("scripts").display().to_string();
        text.replace(&(scripts.clone() + "/"), "").replace(&scripts, "SCRIPTS")
    }
}

#[test]
fn a_script_imports_functions_and_constants_from_the_directory() {
    let bench = Bench::new(&[
        (
            "site.rhai",
            r#"import "lib/teams" as teams;
            const SEEN = ["a", "b"];
            fn helper() { teams::of("x") + global::SEEN.len() }
            fn decide(update) {
                import "other" as inner;
                mark(#{ attributes: #{
                    called: teams::of("services/pay"), helper: helper(), exported: teams::TEAMS[0],
                    inner: inner::name(), deep: teams::deep(),
                } })
            }
            fn enrich(marker, update) { marker.attributes.enriched = teams::of("e"); marker }"#,
        ),
        (
            "Lib/Teams.RHAI",
            r#"import "lib/deep" as deep;
            const SECRET = "s";
            export const TEAMS = ["pay"];
            fn of(path) { path + "-" + global::SECRET + "-" + inside() }
            private fn inside() { global::TEAMS[0] }
            fn deep() { deep::value() }"#,
        ),
        ("Lib/deep.rhai", "fn value() { 7 }"),
        ("other.rhai", "import \"lib/deep\" as d; fn name() { `other ${d::value()}` }"),
        ("acme/shop.rhai", "import \"other\" as o; fn guard(marker, update) { #{ guarded: o::name() } }"),
    ]);
    let attributes = bench.marked();
    for (name, value) in [
        ("called", json!("services/pay-s-pay")),
        ("helper", json!("x-s-pay2")),
        ("exported", json!("pay")),
        ("inner", json!("other 7")),
        ("deep", json!(7)),
        ("enriched", json!("e-s-pay")),
        ("guarded", json!("other 7")),
    ] {
        assert_eq!(attributes[name], value, "{name}");
    }
    let push = bench.0.journal().remove(0);
    let imports: Vec<_> =
        push["imports"].as_array().expect("imports").iter().map(|i| i["name"].clone()).collect();
    assert_eq!(imports, ["lib/teams", "lib/deep", "other"]);
    let deep = bench.0.path("scripts/Lib/deep.rhai");
    assert_eq!(push["imports"][1]["file"], json!(deep));
    assert_eq!(push["imports"][1]["sha256"].as_str().map(str::len), Some(64));
    bench.0.binary(&["check"]).succeeded();
}

#[test]
fn a_mistake_in_an_imported_script_names_its_own_place() {
    let site = "import \"lib/teams\" as teams;\nfn decide(update) {\n    teams::of(update)\n}";
    for (script, why) in [
        (
            "fn of(update) {\n    update.brnch\n}",
            "lib/teams.rhai:2:11: `update` has no word `brnch`, did you mean `branch`?",
        ),
        ("fn of(update) {\n    throw \"no\"\n}", "lib/teams.rhai:2:5: no"),
        (
            "fn of(update) {\n\n    [1][7]\n}",
            "lib/teams.rhai:3:9: Array index 7 out of bounds: only 1 element in array",
        ),
        (
            "fn of(update) { sub(update) }\nfn sub(update) { nobody(7) }",
            "lib/teams.rhai:2:18: there is no function `nobody (number)`",
        ),
        ("fn of(update) { true", "lib/teams.rhai:1:21: Expecting ';' to terminate this statement"),
        ("const X = 1 / 0;\nfn of(update) { true }", "lib/teams.rhai:1:13: Division by zero: 1 / 0"),
        (
            "const X = 1;\nfn of(update) { X }",
            "lib/teams.rhai:2:17: a function reaches the script's constant `X` as `global::X`",
        ),
        (
            "let x = 1;\nfn of(update) { x }",
            "lib/teams.rhai:2:17: there is no `x` here; make it a `const` outside of all functions, and write `global::x`",
        ),
        ("fn other(update) { true }", "site.rhai:3:12: there is no function `teams::of (update)`"),
    ] {
        let bench = Bench::new(&[("site.rhai", site), ("lib/teams.rhai", script)]);
        assert_eq!(bench.failed(), why, "{script}");
    }
}

#[test]
fn what_an_imported_script_answers_is_said_with_its_own_place() {
    let bench = Bench::new(&[
        (
            "site.rhai",
            "import \"lib/answers\" as answers;\nfn decide(update) { answers::of(update) }\n\n\nfn guard(marker, update) { answers::no() }",
        ),
        (
            "lib/answers.rhai",
            "fn of(update) {\n    if update.branch == \"b0\" { return skip(\"x\"); }\n    made()\n}\n\
             fn made() { mark(#{ service: \"a\" }) }\nfn no() { refuse(\"y\") }",
        ),
    ]);
    let place = |line: usize| format!("{}:{line}", bench.0.path("scripts/lib/answers.rhai").display());
    assert_eq!(bench.decide()["by"], place(2));
    assert_eq!(bench.decide()["by"], place(6));
    bench.0.write(
        "scripts/site.rhai",
        "import \"lib/answers\" as answers;\nfn decide(update) { answers::of(update) }",
    );
    assert_eq!(bench.decide()["markers"][0]["by"], place(5));
}

#[test]
fn what_cannot_be_imported_says_what_was_looked_for_and_where() {
    let wrong_name = |name: &str| {
        format!(
            "site.rhai:2:8: `{name}` is no name of a script; expected one such as `lib/teams`, which is `lib/teams.rhai` in \
             the directory of scripts: letters, digits, `_`, `-` and `/`, at most 128 of them"
        )
    };
    for (import, why) in [
        ("\"lib/nobody\"", "site.rhai:2:8: there is no `lib/nobody.rhai` in `SCRIPTS`".to_string()),
        ("\"nowhere/x\"", "site.rhai:2:8: there is no `nowhere/x.rhai` in `SCRIPTS`".to_string()),
        ("\"site/x\"", "site.rhai:2:8: there is no `site/x.rhai` in `SCRIPTS`".to_string()),
        ("\"../secret\"", wrong_name("../secret")),
        ("\"/etc/passwd\"", wrong_name("/etc/passwd")),
        ("\"lib//a\"", wrong_name("lib//a")),
        ("\"lib/a.rhai\"", wrong_name("lib/a.rhai")),
        ("\"\"", wrong_name("")),
        ("\"a\\u001b[2J\"", wrong_name("a\\u{1b}[2J")),
        (
            "\"li\" + \"b\"",
            "site.rhai:2:1: an import names its script outright, such as `import \"lib/teams\" as teams;`"
                .to_string(),
        ),
        ("\"dir\"", "failed to read `dir.rhai`: it is no file".to_string()),
    ] {
        let script = format!("// one\nimport {import} as x;\nfn decide(update) {{ true }}");
        let bench =
            Bench::new(&[("site.rhai", &script), ("dir.rhai/x", ""), ("../secret.rhai", "fn f() { }")]);
        assert_eq!(bench.failed(), why, "{import}");
        let checked = bench.problems();
        let told = why.replace("failed to read `dir.rhai`: ", "dir.rhai: failed to read the script: ");
        assert!(checked.contains(&told), "{told}: {checked:#?}");
    }
}

#[test]
fn a_link_out_of_the_directory_is_not_followed() {
    let bench = Bench::new(&[
        ("site.rhai", "import \"out\" as out;\nfn decide(update) { out::f() }"),
        ("../secret.rhai", "fn f() { true }"),
        ("lib/real.rhai", "fn f() { true }"),
    ]);
    let link = bench.0.path("scripts/out.rhai");
    std::os::unix::fs::symlink("../secret.rhai", &link).expect("a link");
    assert_eq!(bench.failed(), "site.rhai:1:8: `out.rhai` is a link that leads out of `SCRIPTS`");
    std::fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink("lib/real.rhai", &link).expect("a link");
    bench.marked();
    std::fs::remove_dir_all(bench.0.path("scripts/lib")).expect("removed");
    assert_eq!(bench.failed(), "failed to read `out.rhai`: No such file or directory (os error 2)");
}

#[test]
fn imports_have_limits_and_no_circle() {
    let circle = [
        ("site.rhai", "import \"lib/a\" as a; fn decide(update) { true }"),
        ("lib/a.rhai", "import \"lib/b\" as b;"),
        ("lib/b.rhai", "fn f() {\n  import \"LIB/a\" as a;\n}"),
    ];
    let bench = Bench::new(&circle);
    assert_eq!(bench.failed(), "lib/b.rhai:2:10: this import closes a circle: lib/a -> lib/b -> LIB/a");
    let bench = Bench::new(&[("site.rhai", "import \"site\" as me; fn decide(update) { true }")]);
    assert_eq!(bench.failed(), "site.rhai:1:8: this import closes a circle: site.rhai -> site");

    let many = |n: usize| {
        let bench = Bench::new(&[]);
        let mut site = String::new();
        for nth in 0..n {
            site.push_str(&format!("import \"lib/m{nth}\" as m{nth};\n"));
            bench.0.write(&format!("scripts/lib/m{nth}.rhai"), "fn f() { }");
        }
        bench.0.write("scripts/site.rhai", site + "fn decide(update) { true }");
        bench
    };
    many(32).marked();
    assert_eq!(many(33).failed(), "site.rhai:33:8: the policy imports more than 32 scripts");

    let deep = |n: usize| {
        let bench = Bench::new(&[("site.rhai", "import \"d1\" as d; fn decide(update) { d::f() }")]);
        for nth in 1..=n {
            let next = nth + 1;
            let script = format!("import \"d{next}\" as d;\nfn f() {{ d::f() }}");
            let script = if nth == n { "fn f() { true }".to_string() } else { script };
            bench.0.write(&format!("scripts/d{nth}.rhai"), script);
        }
        bench
    };
    deep(8).marked();
    assert_eq!(deep(9).failed(), "d8.rhai:1:8: more than 8 scripts import one another in a row");
}

#[test]
fn the_limits_hold_outside_of_functions_and_in_imported_scripts() {
    let decide = "fn decide(update) { true }";
    let imports = format!("import \"lib/x\" as x; {decide}");
    let calls = "import \"lib/x\" as x; fn decide(update) { x::f() }".to_string();
    let catches = "fn decide(update) { try { import \"lib/x\" as x; } catch { } true }".to_string();
    let steps = "the limit of `[policy.limits] operations`";
    let time = "the limit of `[policy.limits] time`";
    let recurses = "fn f(n) { if n > 0 { f(n - 1) } else { import \"lib/x\" as x; } }
                    fn decide(update) { f(20); true }";
    for (site, library, limits, why) in [
        (recurses.to_string(), "fn g(n) { if n > 0 { g(n - 1) } } g(5);", "", ""),
        (
            recurses.to_string(),
            "fn g(n) { if n > 0 { g(n - 1) } } g(20);",
            "",
            "call each other more than 32 deep",
        ),
        (format!("loop {{ }} {decide}"), "", "", steps),
        (format!("let a = []; loop {{ a.push(1); }} {decide}"), "", "", "too large"),
        (imports.clone(), "loop { }", "", steps),
        (calls.clone(), "fn f() { loop { } }", "", steps),
        (catches.clone(), "loop { }", "", steps),
        (imports.clone(), "loop { }", "operations = 1_000_000_000\ntime = \"50ms\"\n", time),
        (calls, "fn f() { loop { } }", "operations = 1_000_000_000\ntime = \"50ms\"\n", time),
        (catches, "loop { }", "operations = 1_000_000_000\ntime = \"50ms\"\n", time),
        (imports, "const S = \"x\"; let s = S; loop { s += s; }", "", "too large"),
    ] {
        let bench = Bench::new(&[("site.rhai", &site), ("lib/x.rhai", library)]);
        let limits = if limits.is_empty() { "time = \"20s\"\n" } else { limits };
        bench.0.configure(&format!("[policy.limits]\n{limits}"));
        bench.0.push(&["main"]).succeeded();
        // When the hook's time is over, the background says why.
        bench.0.wait_for_deliverers_to_end();
        let decision = bench.0.decisions().remove(0);
        let said = decision["why"].as_str().unwrap_or_default();
        assert_eq!(said.is_empty(), why.is_empty(), "{site} {library}: {decision}");
        assert!(said.contains(why), "{site} {library}: {decision}");
    }
}

#[test]
fn a_library_is_no_layer_and_check_knows_what_is_of_no_use() {
    let bench = Bench::new(&[
        ("site.rhai", "import \"lib/teams\" as teams; fn decide(update) { teams::f() }"),
        ("lib/teams.rhai", "fn f() { true }"),
    ]);
    bench.0.binary(&["check"]).succeeded();
    bench.0.write("scripts/lib/alone.rhai", "fn f() { true }");
    bench.0.write("scripts/lib/broken.rhai", "const X = nobody();");
    let expected = [
        "lib/broken.rhai:1:11: there is no function `nobody ()`",
        "lib/alone.rhai: the script defines none of `decide(update)`, `enrich(marker, update)`, `guard(marker, update)`",
    ];
    assert_eq!(bench.problems(), expected);
}
