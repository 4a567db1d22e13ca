//! `--json`: one document on each line for lists, one object else, with the fields that docs/json.md
//! describes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use crate::support::{
    Ran, Sandbox,
    clinic::Clinic,
    host::Who,
    manifest_dir,
    recorder::{Answer, Recorder},
};

/// Commands that print a document on each line.
const LISTS: [&str; 5] = ["log", "queue list", "try", "try --against", "backfill --dry-run"];

/// A path in a document: keys, and `[]` for the elements of a list.
type FieldPath = Vec<String>;

/// The fields that a section of the page describes. True for those that are not always there.
type Described = BTreeMap<FieldPath, bool>;

/// Returns the paths in a cell such as `` `checks[].name`, `findings` ``.
fn paths(cell: &str) -> Vec<FieldPath> {
    let names = cell.split('`').skip(1).step_by(2);
    let parts = |name: &str| name.replace("[]", ".[]").split('.').map(ToString::to_string).collect();
    names.map(parts).collect()
}

/// Returns what the page describes, by the name of the command.
fn described() -> BTreeMap<String, Described> {
    let page = fs::read_to_string(manifest_dir().join("docs/json.md")).expect("the page");
    let mut sections = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (name, text) = section.split_once('\n').expect("a heading");
        let mut fields = Described::new();
        for row in text.lines().filter(|line| line.starts_with("| `")) {
            let (cell, content) = row[2..].split_once(" | ").expect("two cells");
            fields.extend(paths(cell).into_iter().map(|path| (path, content.contains("only"))));
        }
        sections.insert(name.to_string(), fields);
    }
    let list = sections["queue list"].clone();
    sections.get_mut("queue show").expect("a section").extend(list);
    let both = sections.remove("install and uninstall").expect("a section");
    sections.extend(["install", "uninstall"].map(|name| (name.to_string(), both.clone())));
    sections
}

fn is_any(part: &str) -> bool {
    part.starts_with('<')
}

/// Returns true if the described path is this one. A name in angle brackets at its end also stands for
/// everything below.
fn is_path(described: &[String], path: &[String]) -> bool {
    let is_open = described.last().is_some_and(|last| is_any(last)) && path.len() > described.len();
    (is_open || described.len() == path.len())
        && described.iter().zip(path).all(|(described, part)| is_any(described) || described == part)
}

/// Adds the paths of all fields in a document.
fn walk(value: &Value, path: &mut FieldPath, found: &mut BTreeSet<FieldPath>) {
    let mut below = |part: &str, value: &Value| {
        path.push(part.to_string());
        found.insert(path.clone());
        walk(value, path, found);
        path.pop();
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(values) => values.iter().for_each(|value| below("[]", value)),
        _ => {}
    }
}

/// What the commands printed.
#[derive(Default)]
struct Printed(BTreeMap<String, BTreeSet<FieldPath>>);

impl Printed {
    #[track_caller]
    fn add(&mut self, command: &str, ran: &Ran) {
        assert!(matches!(ran.code, Some(0 | 1)), "{command}: {ran:?}");
        let parse = |text: &str| -> Value {
            serde_json::from_str(text).unwrap_or_else(|err| panic!("{command}: {err}: {ran:?}"))
        };
        let documents: Vec<Value> = if LISTS.contains(&command) {
            ran.stdout.lines().map(parse).collect()
        } else {
            vec![parse(&ran.stdout)]
        };
        let found = self.0.entry(command.to_string()).or_default();
        for document in documents {
            assert!(document.is_object(), "{command}: {document}");
            walk(&document, &mut Vec::new(), found);
        }
    }
}

/// Adds what the commands print that need no Gitea.
fn add_commands(printed: &mut Printed) {
    let sandbox = Sandbox::new();
    let bare = sandbox.bare().display().to_string();
    let mut run = |command: &str, args: &[&str]| {
        let words: Vec<&str> = command.split(' ').filter(|word| !word.starts_with("--")).collect();
        printed.add(command, &sandbox.binary(&[&words[..], args, &["--json"]].concat()));
    };
    let commit = sandbox.commit("One", &[("file", "1")]);
    sandbox.git(&["tag", "v1.0.0"]);
    run("explain", &["acme/shop"]);
    run("status", &[]);
    let recorder = Recorder::start([]);
    let refusing = Recorder::judging(|_| {
        Answer::status(400).header("content-type", "application/x-protobuf").body([8, 3, 18, 1, 120])
    });
    sandbox.deliver_to("http://127.0.0.1:9", "");
    sandbox.push(&["-o", "deploy=prod", "main", "v1.0.0"]).succeeded();
    run("mark", &[&bare, "--environment", "prod", "--status", "failed"]);
    run("mark", &[&bare, "--kind", "change", "--dry-run"]);
    run("deliver", &[]);
    run("connect", &[]);
    run("status", &[]);
    run("explain", &[&bare, "main"]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    run("deliver", &[]);
    sandbox
        .write("scripts/site.rhai", "fn decide(update) { if update.branch == \"a\" { throw \"why\" } true }");
    sandbox.push(&["main:refs/heads/a"]).succeeded();
    sandbox.deliver_to(&refusing.endpoint(), "");
    sandbox.push(&["main:refs/heads/b"]).succeeded();
    run("deliver", &["--follow", "--for", "5s"]);
    let root = sandbox.path("git").display().to_string();
    sandbox.binary(&["scan", "--root", &root, "--run-user", "root"]).succeeded();
    run("status", &[]);
    run("queue list", &[]);
    let list = sandbox.binary(&["queue", "list", "--json"]).stdout;
    let id = |line: &str| {
        serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("an id").to_string()
    };
    let ids: Vec<String> = list.lines().map(id).collect();
    assert!(ids.len() >= 2, "{list}");
    ids.iter().for_each(|id| run("queue show", &[id]));
    run("log", &[]);
    for rev in ["main", "v1.0.0", &commit] {
        run("explain", &[&bare, rev]);
    }
    run("try", &[&bare]);
    sandbox.write("draft.rhai", "fn decide(update) { mark(#{ kind: \"rollback\", environment: \"x\" }) }");
    sandbox.write("none.rhai", "fn decide(update) { false }");
    let path = |name: &str| sandbox.path(name).display().to_string();
    for old in ["none.rhai", "scripts/site.rhai"] {
        for new in ["none.rhai", "draft.rhai"] {
            run("try --against", &[&bare, "--policy", &path(new), "--against", &path(old)]);
        }
    }
    sandbox.git_in(&sandbox.bare(), &["tag", "v9.0.0", "older"]);
    run("backfill --dry-run", &[&bare, "--dry-run"]);
    run("backfill", &[&bare]);
    run("resource", &[&bare, "--environment", "prod"]);
    run("resource", &[&bare, "--as-parent"]);
    run("check", &[]);
    sandbox.write("broken.rhai", "fn decide(update) { update.brnch }");
    run("check", &[&path("broken.rhai")]);
    sandbox.configure(
        "[[destination]]\nname = \"c\"\nkind = \"otlp\"\nendpoint = \"http://127.0.0.1:9/v1/logs\"\n",
    );
    run("check", &[]);
    let test = "[[test]]\nname = \"differs\"\nupdate.branch = \"main\"\nupdate.commits = [{ message = \"x\" }]\n\
                expect.outcome = \"skipped\"\n";
    sandbox.write("scripts/site.test.toml", test);
    sandbox.write("scripts/acme.test.toml", "[[test]]\nnme = \"x\"\n");
    run("test", &[]);
    run("queue retry", &["--all"]);
    run("queue drop", &["--all", "--dead", "--yes"]);
}

/// Adds what the commands print that work on a Gitea.
fn add_gitea(printed: &mut Printed) {
    let clinic = Clinic::new();
    let who = Who::everybody()[0];
    for version in ["2.47.3", "2.55.0"] {
        let git = clinic.git_that_says(version);
        printed.add("install", &clinic.run(who, "install", &["--git", &git, "--json"]));
    }
    printed.add("doctor", &clinic.run(who, "doctor", &["--no-push", "--json"]));
    printed.add("uninstall", &clinic.run(who, "uninstall", &["--purge", "--yes", "--json"]));
}

#[test]
fn output_for_programs_is_as_described() {
    let described = described();
    let mut printed = Printed::default();
    add_commands(&mut printed);
    add_gitea(&mut printed);
    let mut wrong = Vec::new();
    for (command, found) in &printed.0 {
        if command == "log" {
            continue;
        }
        let fields =
            described.get(command).unwrap_or_else(|| panic!("docs/json.md has no section {command}"));
        let is_described = |path: &FieldPath| {
            fields.keys().any(|field| {
                is_path(field, path) || (field.len() > path.len() && is_path(&field[..path.len()], path))
            })
        };
        wrong.extend(
            found
                .iter()
                .filter(|path| !is_described(path))
                .map(|path| format!("{command}: {} is not described", path.join("."))),
        );
        // What is described is there, unless it is not for everyone.
        let is_printed = |field: &FieldPath| found.iter().any(|path| is_path(field, path));
        let missing = fields.iter().filter(|(field, is_rare)| !**is_rare && !is_printed(field));
        wrong.extend(missing.map(|(field, _)| format!("{command}: {} was not printed", field.join("."))));
    }
    // The journal's records are described where the journal is.
    let page = fs::read_to_string(manifest_dir().join("docs/operations.md")).expect("the page");
    let journal = page.split("\n## ").find(|section| section.starts_with("The journal")).expect("a section");
    wrong.extend(
        printed.0["log"]
            .iter()
            .flat_map(|path| path.iter().filter(|part| *part != "[]"))
            .filter(|name| !journal.contains(&format!("`{name}`")))
            .map(|name| format!("log: {name} is not described")),
    );
    assert_eq!(wrong, [""; 0]);
}

/// Every command with `--json` has a section, and the page says whether it prints a list.
#[test]
fn every_command_with_json_is_described() {
    let sandbox = Sandbox::new();
    let page = fs::read_to_string(manifest_dir().join("docs/json.md")).expect("the page");
    let help = sandbox.binary(&["--help"]).succeeded().stdout.clone();
    let names = |help: &str| -> Vec<String> {
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = listed.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next());
        names.filter(|name| *name != "help").map(ToString::to_string).collect()
    };
    let queue = names(&sandbox.binary(&["queue", "--help"]).stdout);
    let all = names(&help).into_iter().chain(queue.iter().map(|name| format!("queue {name}")));
    let mut with_json = 0;
    for command in all.filter(|name| name != "queue") {
        let words: Vec<&str> = command.split(' ').collect();
        if !sandbox.binary(&[&words[..], &["--help"]].concat()).succeeded().stdout.contains("--json") {
            assert!(["hook", "demo", "completions", "man"].contains(&&*command), "{command} has no --json");
            continue;
        }
        with_json += 1;
        let row = page.lines().find(|line| line.starts_with("| `") && line.contains(&format!("`{command}`")));
        let is_list = row.expect("a row").ends_with("| one object |");
        assert_eq!(!is_list, LISTS.contains(&&*command), "{command}");
        let is_headed = page.lines().any(|line| line.starts_with("## ") && line.contains(command.as_str()));
        assert!(is_headed, "{command} has no section");
    }
    assert_eq!(with_json, 19);
}
