//! Imports of scripts from the scripts directory, and statements outside of functions.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A sandbox whose policy consists of these scripts.
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

    /// Pushes and returns the decision.
    fn decide(&self) -> Value {
        let branch = format!("main:refs/heads/b{}", self.0.decisions().len());
        self.0.push(&[&branch]).succeeded();
        self.0.decisions().pop().expect("a decision")
    }

    /// Pushes and returns the attributes of the marker.
    fn marked(&self) -> Value {
        let decision = self.decide();
        assert_eq!(decision["outcome"], "marked", "{decision}");
        self.0.waiting("unassigned").pop().expect("a marker")["attributes"].clone()
    }

    /// Pushes and returns the error, with paths relative to the scripts directory.
    fn failed(&self) -> String {
        let decision = self.decide();
        assert_eq!(decision["outcome"], "failed", "{decision}");
        self.describe(decision["why"].as_str().expect("text"))
    }

    /// Returns the findings of `check`, with paths relative to the scripts directory.
    fn problems(&self) -> Vec<String> {
        self.0.problems().iter().map(|problem| self.describe(problem)).collect()
    }

    fn describe(&self, text: &str) -> String {
        let scripts = self.0.path("scripts").display().to_string();
        text.replace(&(scripts.clone() + "/"), "").replace(&scripts, "SCRIPTS")
    }
}

#[test]
fn script_imports_functions_and_constants() {
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
fn error_in_an_imported_script_names_its_position() {
    let site = "import \"lib/teams\" as teams;\nfn decide(update) {\n    teams::of(update)\n}";
    for (script, why) in [
        (
            "fn of(update) {\n    update.brnch\n}",
            "lib/teams.rhai:2:11: `update` has no property `brnch`; did you mean `branch`?",
        ),
        ("fn of(update) {\n    throw \"no\"\n}", "lib/teams.rhai:2:5: no"),
        (
            "fn of(update) {\n\n    [1][7]\n}",
            "lib/teams.rhai:3:9: Array index 7 out of bounds: only 1 element in array",
        ),
        (
            "fn of(update) { sub(update) }\nfn sub(update) { absent(7) }",
            "lib/teams.rhai:2:18: unknown function `absent (number)`",
        ),
        ("fn of(update) { true", "lib/teams.rhai:1:21: Expecting ';' to terminate this statement"),
        ("const X = 1 / 0;\nfn of(update) { true }", "lib/teams.rhai:1:13: Division by zero: 1 / 0"),
        (
            "const X = 1;\nfn of(update) { X }",
            "lib/teams.rhai:2:17: a function must write the script's constant `X` as `global::X`",
        ),
        (
            "let x = 1;\nfn of(update) { x }",
            "lib/teams.rhai:2:17: functions cannot see the variable `x`; make it a `const` outside of all \
             functions, and write `global::x`",
        ),
        ("fn other(update) { true }", "site.rhai:3:12: unknown function `teams::of (update)`"),
    ] {
        let bench = Bench::new(&[("site.rhai", site), ("lib/teams.rhai", script)]);
        assert_eq!(bench.failed(), why, "{script}");
    }
}

#[test]
fn wrong_answer_of_an_imported_script_names_its_position() {
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
fn failed_import_names_the_searched_path() {
    let wrong_name = |name: &str| {
        format!(
            "site.rhai:2:8: `{name}` is not a script name; expected one such as `lib/teams`, for \
             `lib/teams.rhai` in the scripts directory: at most 128 letters, digits, `_`, `-` and `/`"
        )
    };
    for (import, why) in [
        ("\"lib/absent\"", "site.rhai:2:8: there is no `lib/absent.rhai` in `SCRIPTS`".to_string()),
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
            "site.rhai:2:1: an import must name its script as a literal string, such as `import \
             \"lib/teams\" as teams;`"
                .to_string(),
        ),
        ("\"dir\"", "failed to read `dir.rhai`: it is not a regular file".to_string()),
    ] {
        let script = format!("// one\nimport {import} as x;\nfn decide(update) {{ true }}");
        let bench =
            Bench::new(&[("site.rhai", &script), ("dir.rhai/x", ""), ("../secret.rhai", "fn f() { }")]);
        assert_eq!(bench.failed(), why, "{import}");
        let checked = bench.problems();
        let report = why.replace("failed to read `dir.rhai`: ", "dir.rhai: failed to read the script: ");
        assert!(checked.contains(&report), "{report}: {checked:#?}");
    }
}

#[test]
fn symlink_out_of_the_directory_is_not_followed() {
    let bench = Bench::new(&[
        ("site.rhai", "import \"out\" as out;\nfn decide(update) { out::f() }"),
        ("../secret.rhai", "fn f() { true }"),
        ("lib/real.rhai", "fn f() { true }"),
    ]);
    let link = bench.0.path("scripts/out.rhai");
    std::os::unix::fs::symlink("../secret.rhai", &link).expect("a link");
    assert_eq!(bench.failed(), "site.rhai:1:8: `out.rhai` is a symbolic link that points outside `SCRIPTS`");
    std::fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink("lib/real.rhai", &link).expect("a link");
    bench.marked();
    // The first push is decided again in the background, because a script has changed.
    bench.0.wait_for_deliverers_to_end();
    // The directory may be missing only temporarily, for example during a deployment.
    std::fs::remove_dir_all(bench.0.path("scripts/lib")).expect("removed");
    let before = bench.0.decisions().len();
    bench.0.commit("One more", &[]);
    bench.0.push(&["HEAD:refs/heads/waits"]).succeeded();
    assert_eq!(bench.0.decisions().len(), before);
    let why = bench.describe(bench.0.troubles().last().expect("a reason"));
    assert_eq!(
        why,
        "this push waits in the inbox: failed to read `out.rhai`: No such file or directory (os error 2)"
    );
}

#[test]
fn imports_are_limited_and_acyclic() {
    let circle = [
        ("site.rhai", "import \"lib/a\" as a; fn decide(update) { true }"),
        ("lib/a.rhai", "import \"lib/b\" as b;"),
        ("lib/b.rhai", "fn f() {\n  import \"LIB/a\" as a;\n}"),
    ];
    let bench = Bench::new(&circle);
    assert_eq!(bench.failed(), "lib/b.rhai:2:10: this import creates a cycle: lib/a -> lib/b -> LIB/a");
    let bench = Bench::new(&[("site.rhai", "import \"site\" as me; fn decide(update) { true }")]);
    assert_eq!(bench.failed(), "site.rhai:1:8: this import creates a cycle: site.rhai -> site");

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
    assert_eq!(deep(9).failed(), "d8.rhai:1:8: imports are nested more than 8 scripts deep");
}

#[test]
fn limits_apply_outside_of_functions_and_in_imports() {
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
            "function calls are nested more than 32 deep",
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
        // If the hook reaches its time limit, the background process records the reason.
        bench.0.wait_for_deliverers_to_end();
        let decision = bench.0.decisions().remove(0);
        let said = decision["why"].as_str().unwrap_or_default();
        assert_eq!(said.is_empty(), why.is_empty(), "{site} {library}: {decision}");
        assert!(said.contains(why), "{site} {library}: {decision}");
    }
}

#[test]
fn libraries_are_not_layers_and_unused_scripts_are_reported() {
    let bench = Bench::new(&[
        ("site.rhai", "import \"lib/teams\" as teams; fn decide(update) { teams::f() }"),
        ("lib/teams.rhai", "fn f() { true }"),
    ]);
    bench.0.binary(&["check"]).succeeded();
    bench.0.write("scripts/lib/alone.rhai", "fn f() { true }");
    bench.0.write("scripts/lib/broken.rhai", "const X = absent();");
    let expected = [
        "lib/broken.rhai:1:11: unknown function `absent ()`",
        "lib/alone.rhai: the script defines none of `decide(update)`, `enrich(marker, update)`, `guard(marker, update)`",
    ];
    assert_eq!(bench.problems(), expected);
}
