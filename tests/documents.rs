//! What the documents promise: sample configuration, words, dependencies, commands.

use std::{collections::BTreeSet, fs};

use crate::support::{Sandbox, manifest_dir};

fn read(name: &str) -> String {
    fs::read_to_string(manifest_dir().join(name)).expect(name)
}

#[test]
fn the_sample_configuration_is_right_and_names_the_defaults() {
    let sandbox = Sandbox::new();
    let sample = read("docs/config.toml").replace("/var/lib/gitea-lightstep", "state");
    sandbox.write("config.toml", &sample);
    sandbox.binary(&["check"]).succeeded();
    // With every comment taken away that hides a key, it must be right as well.
    let all: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let all = all.replace("/etc/gitea-lightstep/", "");
    sandbox.write("config.toml", &all);
    sandbox.write("token", "t");
    sandbox.write("authorization", "a");
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    sandbox.binary(&["check"]).succeeded();
    for key in [
        "linger",
        "give_up_after",
        "trace_link",
        "operations",
        "headers",
        "compression",
        "public_url",
        "older_than",
    ] {
        assert!(all.contains(&format!("{key} = ")), "{key}");
    }
}

#[test]
fn the_readmes_configuration_is_right() {
    let sandbox = Sandbox::new();
    sandbox.write("token", "t");
    let toml = block(&read("README.md"), "toml")
        .replace("/etc/gitea-lightstep/", "")
        .replace("/var/lib/gitea-lightstep", "state");
    sandbox.write("config.toml", toml);
    sandbox.binary(&["check"]).succeeded();
}

#[test]
fn every_script_in_the_documents_compiles_and_decides() {
    let sandbox = Sandbox::new();
    for document in ["README.md", "docs/policy.md"] {
        sandbox.write("scripts/site.rhai", block(&read(document), "rhai"));
        sandbox.binary(&["check"]).succeeded();
        sandbox.commit(document, &[]);
        sandbox
            .push(&["main", "main:production", &format!("main:refs/tags/v1.0.{}", document.len())])
            .succeeded();
    }
    let mut outcomes: Vec<_> =
        sandbox.decisions().iter().map(|d| d["outcome"].as_str().expect("text").to_string()).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["marked", "marked", "marked", "marked", "skipped", "skipped"]);
}

#[test]
fn the_script_that_the_documents_import_is_imported() {
    let policy = read("docs/policy.md");
    let script = |name: &str| {
        let (_, rest) = policy.split_once(&format!("```rhai\n// scripts/{name}\n")).expect(name);
        rest.split_once("```").expect("its end").0
    };
    let sandbox = Sandbox::new();
    sandbox.write("scripts/lib/teams.rhai", script("lib/teams.rhai"));
    sandbox.write("scripts/site.rhai", script("site.rhai"));
    sandbox.binary(&["check"]).succeeded();
    for (path, team) in [("services/pay/x", "payments"), ("services/mail/x", "platform"), ("x", "nobody")] {
        sandbox.commit(path, &[(path, "")]);
        sandbox.push(&["main"]).succeeded();
        let markers = sandbox.waiting("unassigned");
        assert_eq!(markers.last().expect("a marker")["attributes"]["acme.team"], team, "{path}");
    }
}

/// Returns the first block of a document in a language.
fn block(document: &str, language: &str) -> String {
    let (_, rest) = document.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_string()
}

#[test]
fn every_word_that_a_script_can_use_is_documented() {
    let policy = read("docs/policy.md");
    let sandbox = Sandbox::new();
    sandbox.commit("x", &[]);
    // The message that names all words is the list itself.
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.qqqqqqqq }");
    sandbox.push(&["main"]).succeeded();
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.push.qqqqqqqq }");
    sandbox.push(&["main:other"]).succeeded();
    for decision in sandbox.decisions() {
        let why = decision["why"].as_str().expect("text").to_string();
        let (_, words) = why.split_once("expected one of ").expect("the words");
        for word in words.split('`').skip(1).step_by(2) {
            assert!(policy.contains(&format!("`{word}`")), "docs/policy.md does not name `{word}`");
        }
    }
}

#[test]
fn every_dependency_has_its_line() {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("[dependencies]\n").expect("dependencies");
    let names: BTreeSet<&str> = rest
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .collect();
    let document = read("docs/dependencies.md");
    let documented: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| ").and_then(|line| line.split_once(" | ")).map(|(name, _)| name)
        })
        .flat_map(|names| names.split(", "))
        .filter(|name| *name != "crate")
        .collect();
    assert_eq!(documented, names);
}

#[test]
fn the_readme_names_every_command_and_no_link_is_dead() {
    let sandbox = Sandbox::new();
    let readme = read("README.md");
    let help = sandbox.binary(&["--help"]).succeeded().stdout.clone();
    let (_, commands) = help.split_once("Commands:\n").expect("the commands");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    for command in commands.filter_map(|line| line.split_whitespace().next()) {
        let is_named = readme.contains(&format!("gitea-lightstep {command}"))
            || readme.contains(&format!("-- {command}"));
        assert!(is_named, "README.md does not show `{command}`");
    }
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/tutorial.md",
        "docs/policies.md",
        "docs/policy.md",
        "docs/testing.md",
        "docs/wire.md",
        "docs/operations.md",
    ] {
        let dir = manifest_dir().join(document);
        for link in read(document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.starts_with("http") {
                let target = dir.parent().expect("a directory").join(link);
                assert!(target.exists(), "{document} links to {link}");
            }
        }
    }
}

#[test]
fn everything_that_the_queue_and_the_status_tell_is_documented() {
    let operations = read("docs/operations.md");
    let sandbox = Sandbox::new();
    for command in
        [&["status"][..], &["queue", "list"], &["queue", "show"], &["queue", "retry"], &["queue", "drop"]]
    {
        let help = sandbox.binary(&[command, &["-h"]].concat()).succeeded().stdout.clone();
        let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for option in options.map(|word| word.trim_end_matches(|c: char| !c.is_alphanumeric())) {
            let is_common = ["config", "verbose", "quiet", "help"].contains(&option);
            assert!(is_common || operations.contains(&format!("--{option}")), "{command:?} --{option}");
        }
    }
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    let id = sandbox.binary(&["queue", "list"]).succeeded().stdout[..12].to_string();
    for args in [&["status", "--json"][..], &["queue", "list", "--json"], &["queue", "show", "--json", &id]] {
        let answer = sandbox.binary(args).succeeded().stdout.clone();
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        for name in names_in(&answer) {
            assert!(operations.contains(&format!("`{name}`")), "docs/operations.md does not name `{name}`");
        }
    }
    let metrics = sandbox.binary(&["status", "--openmetrics"]).succeeded().stdout.clone();
    let families: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.len() > 10);
    for family in families.iter().filter_map(|line| line.split(' ').next()) {
        let is_named =
            operations.contains(&format!("`{family}`")) || operations.contains(&format!("`{family}{{"));
        assert!(is_named, "docs/operations.md does not name {family}");
    }
}

#[test]
fn everything_that_the_journal_says_is_documented() {
    let operations = read("docs/operations.md");
    let sandbox = Sandbox::new();
    sandbox.deliver_to("http://127.0.0.1:1", "");
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { if update.tag == () { true } else { skip(\"no\") } }",
    );
    sandbox.commit("One", &[]);
    sandbox.push(&["-o", "deploy=prod", "main", "main:refs/tags/x"]).succeeded();
    sandbox.hook(b"nonsense\n").succeeded();
    sandbox.wait_for_deliverers_to_end();
    let id = sandbox.binary(&["queue", "list"]).succeeded().stdout[..12].to_string();
    sandbox.binary(&["queue", "drop", "--yes", &id]).succeeded();
    let journal = sandbox.journal();
    for record in ["push", "decision", "delivery", "queue", "trouble"] {
        assert!(journal.iter().any(|entry| entry["record"] == record), "{record}: {journal:?}");
        assert!(operations.contains(&format!("| `{record}` | ")), "docs/operations.md has no {record}");
    }
    for name in journal.iter().flat_map(names_in) {
        assert!(operations.contains(&format!("`{name}`")), "docs/operations.md does not name `{name}`");
    }
}

/// Returns the names of all fields but a marker's own, and those below what is counted by name.
fn names_in(value: &serde_json::Value) -> Vec<String> {
    let Some(fields) = value.as_object() else {
        return value.as_array().and_then(|list| list.first()).map(names_in).unwrap_or_default();
    };
    let mut names = Vec::new();
    for (name, value) in fields {
        names.push(name.clone());
        if !["kinds", "services", "header", "lines"].contains(&&**name) {
            names.extend(names_in(value));
        }
    }
    names
}

#[test]
fn the_order_of_modules_is_documented_as_it_is() {
    let architecture = read("ARCHITECTURE.md");
    let lib = read("src/lib.rs");
    let modules: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").and_then(|line| line.strip_suffix(';')))
        .collect();
    for module in &modules {
        assert!(architecture.contains(&format!("`{module}`")), "ARCHITECTURE.md does not name `{module}`");
    }
}
