//! The scripting API: every example in the reference evaluates to true, and the reference in the
//! documents is up to date.

use std::fs;

use gitea_lightstep::internals::{api, definitions, reference, render_reference};
use serde_json::Value;

use crate::support::{Sandbox, manifest_dir};

/// Maximum number of attributes of a marker, and therefore of examples that one run can report.
const BATCH: usize = 60;

/// The push that the examples assume: two commits on main, and an annotated tag of the second one.
struct Scene {
    sandbox: Sandbox,
    stdin: String,
}

impl Scene {
    fn new() -> Self {
        let mut sandbox = Sandbox::new();
        sandbox.set("GIT_PUSH_OPTION_COUNT", "1");
        sandbox.set("GIT_PUSH_OPTION_0", "deploy=prod");
        sandbox.commit("Before everything", &[("README", "x")]);
        sandbox.git(&["tag", "checkout/v1.2.0"]);
        let old = sandbox.commit("Before", &[("deploy/values.yaml", "image: shop\ntag: 1.2.0\n")]);
        sandbox.git(&["tag", "v1.2.0"]);
        sandbox.commit(
            "fix: pay by card\n\nACME-7 said so.",
            &[("services/checkout/pay.rs", "1"), ("docs/pay.md", "1")],
        );
        let new = sandbox.commit(
            "feat(search)!: search faster\n\nTicket: ACME-8\nReviewed-by: Ann\nReviewed-by: Bo\n\
             Co-authored-by: Bo Bot <bot@example.org>",
            &[("services/search/lib.rs", "1"), ("deploy/values.yaml", "image: shop\ntag: 1.3.0\n")],
        );
        sandbox.git(&["push", "-q", "origin", "--tags", "main:refs/heads/elsewhere"]);
        sandbox.git(&["tag", "-a", "-m", "Checkout 1.3.0", "-m", "Approved-by: Bo", "checkout/v1.3.0"]);
        let tag = sandbox.git(&["rev-parse", "checkout/v1.3.0"]);
        // Push the tag object under a ref that the examples cannot see.
        sandbox.git(&["push", "-q", "origin", &format!("{tag}:refs/elsewhere/tag")]);
        let null = "0".repeat(40);
        let stdin = format!("{old} {new} refs/heads/main\n{null} {tag} refs/tags/checkout/v1.3.0\n");
        Self { sandbox, stdin }
    }

    /// Runs the hook with this site script, and returns the decisions on main and on the tag.
    fn decisions(&self, script: &str) -> Vec<Value> {
        self.sandbox.clear_state();
        self.sandbox.write("scripts/site.rhai", script);
        let ran = self.sandbox.hook(self.stdin.as_bytes());
        ran.succeeded();
        self.sandbox.decisions()
    }
}

fn examples() -> Vec<(String, &'static str)> {
    let mut examples = Vec::new();
    for object in api::objects() {
        let of = object.name;
        examples.extend(object.words.iter().map(|word| (format!("{of}.{}", word.name), word.example)));
        examples
            .extend(object.methods.iter().map(|method| (format!("{of}.{}()", method.name), method.example)));
    }
    examples.extend(
        api::functions().into_iter().map(|function| (format!("{}()", function.name), function.example)),
    );
    examples
}

#[test]
fn every_example_holds_for_the_branch_or_the_tag() {
    let scene = Scene::new();
    let (scripts, expressions): (Vec<_>, Vec<_>) =
        examples().into_iter().partition(|(_, example)| example.starts_with("fn "));
    assert!(expressions.len() > 100, "{}", expressions.len());

    let mut wrong = Vec::new();
    for batch in expressions.chunks(BATCH) {
        // An expression that fails counts as false, for example one about tags on a branch.
        let results: String = batch
            .iter()
            .enumerate()
            .map(|(nth, (_, example))| {
                format!("try {{ if {example} {{ marker.attributes[\"{nth}\"] = true; }} }}\n catch (why) {{ marker.attributes[\"{nth}\"] = why.to_string(); }}\n")
            })
            .collect();
        let script = format!(
            "fn decide(update) {{ mark(#{{ kind: \"deployment\", service: update.branch ?? \"shop\", environment: \"prod\", \
             version: update.commit_id, attributes: #{{ \"acme.team\": \"pay\" }} }}) }}\n\
             fn enrich(marker, update) {{\n{results}marker\n}}"
        );
        let decisions = scene.decisions(&script);
        let outcomes: Vec<_> = decisions.iter().map(|decision| &decision["outcome"]).collect();
        assert_eq!(outcomes, ["marked", "marked"], "{decisions:#?}");
        let markers = scene.sandbox.waiting("unassigned");
        for (nth, (name, example)) in batch.iter().enumerate() {
            let said: Vec<_> = markers.iter().map(|marker| &marker["attributes"][nth.to_string()]).collect();
            if !said.contains(&&Value::Bool(true)) {
                wrong.push(format!("{name}: {example}\n    {said:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), expressions.len(), wrong.join("\n"));

    for (name, script) in scripts {
        let decisions = scene.decisions(script);
        assert!(decisions.iter().all(|decision| decision["outcome"] != "failed"), "{name}: {decisions:#?}");
    }
}

#[test]
fn documented_api_reference_is_up_to_date() {
    const BEGIN: &str = "<!-- Written by `GITEA_LIGHTSTEP_BLESS=1 cargo nextest run api::` from the tables in src/policy/api. -->\n";
    const END: &str = "<!-- The end of what is written from the tables. -->\n";
    is_what_is_written("docs/policy.md", |document| {
        let (before, rest) = document.split_once(BEGIN).expect("the beginning of the reference");
        let (_, after) = rest.split_once(END).expect("the end of the reference");
        format!("{before}{BEGIN}\n{}\n{END}{after}", reference())
    });
    is_what_is_written("docs/policy.d.rhai", |_| definitions());
    const BEGIN_RENDER: &str = "<!-- Written by `GITEA_LIGHTSTEP_BLESS=1 cargo nextest run api::` from the tables in src/policy/render. -->\n";
    is_what_is_written("docs/destinations.md", |document| {
        let (before, rest) = document.split_once(BEGIN_RENDER).expect("the beginning of the reference");
        let (_, after) = rest.split_once(END).expect("the end of the reference");
        format!("{before}{BEGIN_RENDER}\n{}\n{END}{after}", render_reference())
    });
}

/// Asserts that `make` would not change a document. With `GITEA_LIGHTSTEP_BLESS=1`, writes it
/// instead.
#[track_caller]
fn is_what_is_written(name: &str, make: impl FnOnce(&str) -> String) {
    let path = manifest_dir().join(name);
    let document = fs::read_to_string(&path).unwrap_or_default();
    let wanted = make(&document);
    if std::env::var_os("GITEA_LIGHTSTEP_BLESS").is_some() {
        fs::write(&path, &wanted).expect("written");
        return;
    }
    assert!(document == wanted, "{name} differs from the tables; GITEA_LIGHTSTEP_BLESS=1 rewrites it");
}
