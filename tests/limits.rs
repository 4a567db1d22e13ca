//! Scripts that try to exceed a limit: each must be stopped, and must only affect the markers of
//! its own update.
//!
//! `tests/fixtures/hostile` contains the scripts. The first line of each describes the attack and
//! gives words from the expected error message. All of them behave normally for the branch `calm`.
//! The benchmark measures by how much they exceed their limits (`--only limits`).

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::support::{Ran, Sandbox, manifest_dir, wait_until};

/// A script that tries to exceed a limit.
struct Script {
    name: String,
    stopped_by: String,
    source: String,
    /// True if it compiles. A script that does not compile fails all updates, because it might
    /// contain a guard.
    compiles: bool,
}

/// Returns the scripts in `tests/fixtures/hostile`.
fn written() -> Vec<Script> {
    let dir = manifest_dir().join("tests/fixtures/hostile");
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("the scripts").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let source = fs::read_to_string(path).expect("a script");
        let first = source.lines().next().expect("a first line");
        let (tries, stopped_by) =
            first.split_once("; stopped by: ").expect("the first line says what stops the script");
        assert!(tries.starts_with("// Tries to "), "{path:?}: {first}");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let compiles = !matches!(&*name, "curry-chain" | "eval" | "import" | "this");
        Script { name, stopped_by: stopped_by.into(), source, compiles }
    };
    paths.iter().map(read).collect()
}

/// Returns scripts that slow down the compiler or try to overflow its stack. Each is close to the
/// maximum script size.
fn for_the_compiler() -> Vec<Script> {
    let nested = |open: &str, inner: &str, close: &str| {
        let depth = 200_000 / (open.len() + close.len());
        format!("fn decide(update) {{ {}{inner}{} }}", open.repeat(depth), close.repeat(depth))
    };
    let repeated = |before: &str, part: &str, after: &str| {
        format!("fn decide(update) {{ {before}{}{after} }}", part.repeat(200_000 / part.len()))
    };
    let listed = |part: &dyn Fn(usize) -> String, count| (0..count).map(part).collect::<String>();
    let deep = "Expression exceeds maximum complexity";
    let sources = [
        ("parentheses", deep, nested("(", "1", ")")),
        ("brackets", deep, nested("[", "", "]")),
        ("blocks", deep, nested("{", "", "}")),
        ("maps", deep, nested("#{a:", "1", "}")),
        ("closures", deep, nested("|x| {", "1", "}")),
        ("interpolations", deep, nested("`${", "1", "}`")),
        ("loops", deep, nested("while true {", "", "}")),
        ("tries", deep, nested("try {", "", "} catch {}")),
        ("else-if", deep, repeated("if true {}", " else if true {}", "")),
        ("sum", deep, repeated("1", "+1", "")),
        ("negations", deep, repeated("", "!", "true")),
        ("properties", deep, repeated("update", ".a", "")),
        ("indexes", deep, repeated("update", "[0]", "")),
        ("calls", deep, repeated("update", ".a()", "")),
        ("functions", "Number of functions", listed(&|nth| format!("fn f{nth}() {{ 1 }}\n"), 10_000)),
        ("array", "Size of array literal", repeated("[", "1,", "]")),
        (
            "map",
            "Number of properties in object map literal",
            format!("fn decide(update) {{ #{{ {} }} }}", listed(&|nth| format!("a{nth}: 1, "), 20_000)),
        ),
        ("name", "Undefined variable", repeated("", "x", "")),
        ("comments", "Expecting '}'", repeated("", "/*", "")),
        (
            "parameters",
            "the limit of `[policy.limits] time`",
            format!(
                "fn many({}) {{ 1 }} fn decide(update) {{ true }}",
                listed(&|nth| format!("p{nth},"), 35_000)
            ),
        ),
        (
            "variables",
            "the limit of `[policy.limits] time`",
            format!("fn decide(update) {{ {} }}", listed(&|nth| format!("let v{nth}=1;"), 18_000)),
        ),
    ];
    let script = |(name, stopped_by, source): (&str, &str, String)| {
        assert!(source.len() <= 256 << 10, "{name} has {} bytes, more than 256 KiB", source.len());
        Script { name: name.into(), stopped_by: stopped_by.into(), source, compiles: false }
    };
    sources.map(script).into()
}

/// A repository with a site script, and a push of two branches.
struct Target {
    sandbox: Sandbox,
    stdin: String,
}

impl Target {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let commit = sandbox.commit("Anything", &[]);
        sandbox.push(&["HEAD:refs/heads/other"]).succeeded();
        sandbox.clear_state();
        let zero = "0".repeat(40);
        let stdin = format!("{zero} {commit} refs/heads/main\n{zero} {commit} refs/heads/calm\n");
        Self { sandbox, stdin }
    }

    /// Runs the hook with a site script and these limits.
    fn push(&self, script: &str, limits: &str) -> Ran {
        self.sandbox.configure(&format!("[reply]\nto_pusher = \"nothing\"\n[policy.limits]\n{limits}"));
        self.sandbox.write("scripts/site.rhai", script);
        self.sandbox.hook(self.stdin.as_bytes())
    }

    /// Returns the decisions for `main` and `calm` in the last push. Waits until the background
    /// process has finished, including retries of failed updates.
    fn decisions(&self, script: &Script, pushes: usize) -> [Value; 2] {
        wait_until(&format!("both pushes of {} are decided", script.name), || {
            self.sandbox.deliverers().is_empty() && self.last_decisions(pushes).is_some()
        });
        self.last_decisions(pushes).expect("two decisions")
    }

    fn last_decisions(&self, pushes: usize) -> Option<[Value; 2]> {
        let decisions = self.sandbox.decisions();
        let ids: BTreeSet<&str> = decisions.iter().filter_map(|decision| decision["push"].as_str()).collect();
        let id = *ids.iter().nth(pushes - 1)?;
        let last = |ref_name| {
            decisions.iter().rfind(|decision| decision["push"] == id && decision["ref"] == ref_name).cloned()
        };
        Some([last("refs/heads/main")?, last("refs/heads/calm")?])
    }

    /// Checks that a script is stopped, and that a later push without it works. Returns the
    /// problems.
    fn survive(&self, script: &Script, pushes: &mut usize) -> Vec<String> {
        // Debug builds are slow, so only the scripts that the time limit must stop get a short one.
        let time = if script.stopped_by.contains("time`") { "500ms" } else { "20s" };
        let ran = self.push(&script.source, &format!("time = \"{time}\"\nmemory = \"16MiB\"\n"));
        *pushes += 1;
        let [main, calm] = self.decisions(script, *pushes);
        fs::remove_file(self.sandbox.path("scripts/site.rhai")).expect("the script");
        // Otherwise the next hostile script would decide this update again.
        fs::remove_dir_all(self.sandbox.state().join("failed")).expect("the update failed");
        self.sandbox.hook(self.stdin.as_bytes()).said_nothing();
        *pushes += 1;
        let [next, _] = self.decisions(script, *pushes);

        let why = main["why"].as_str().unwrap_or_default();
        let calm_outcome = if script.compiles { "marked" } else { "failed" };
        let left: Vec<_> = ["inbox", "dead"].map(|dir| self.sandbox.files(dir)).concat();
        let held = [
            ((ran.code, &*ran.stdout, &*ran.stderr) == (Some(0), "", ""), "the hook says nothing"),
            (main["outcome"] == "failed", "the update fails"),
            (why.contains(&script.stopped_by), "the right limit stops it"),
            (names_a_line(why), "the journal names the line"),
            (why.len() < 2000 && !why.contains(char::is_control), "the reason can be shown"),
            (calm["outcome"] == calm_outcome, "the other update is not touched"),
            (next["outcome"] == "marked", "the next push is not touched"),
            (left.is_empty() && self.sandbox.troubles().is_empty(), "the state directory is healthy"),
        ];
        let broken = held.into_iter().filter(|(holds, _)| !holds);
        broken.map(|(_, rule)| format!("{}: {rule}: {why:.300}, {calm:.300}, {ran:?}", script.name)).collect()
    }
}

/// Returns true if a reason starts with the script and a line number.
fn names_a_line(why: &str) -> bool {
    why.split_once("/scripts/site.rhai:")
        .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Tests every fourth script.
fn survive_each(scripts: &[Script], quarter: usize) {
    let target = Target::new();
    let mut pushes = 0;
    let tried = scripts.iter().skip(quarter).step_by(4);
    let wrong: Vec<_> = tried.flat_map(|script| target.survive(script, &mut pushes)).collect();
    assert!(pushes > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_script_is_stopped_0() {
    survive_each(&written(), 0);
}

#[test]
fn hostile_script_is_stopped_1() {
    survive_each(&written(), 1);
}

#[test]
fn hostile_script_is_stopped_2() {
    survive_each(&written(), 2);
}

#[test]
fn hostile_script_is_stopped_3() {
    survive_each(&written(), 3);
}

#[test]
fn script_that_is_slow_to_compile_is_stopped() {
    for quarter in 0..4 {
        survive_each(&for_the_compiler(), quarter);
    }
}
