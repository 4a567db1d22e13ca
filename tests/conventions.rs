//! Compares docs/attributes.md with the attributes on the wire. The tables in the document are the
//! only list of the attributes. `with_servers` compares it with the registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::support::{
    attributes::{OURS, Row, Seen, Wire, rows, wire_of},
    manifest_dir,
};

/// Returns every attribute name in the source. A name that ends with a dot is a prefix of several
/// names.
fn constants() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(manifest_dir().join("src/marker")).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let source = fs::read_to_string(path).expect("text");
        for line in source.lines().filter(|line| line.trim_start().starts_with("pub const ")) {
            let value = line.split_once(": &str = \"").and_then(|(_, rest)| rest.strip_suffix("\";"));
            found.extend(value.filter(|value| value.contains('.')).map(ToString::to_string));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Returns the row that the document lacks for a name.
fn missing(name: &str, seen: Option<&Seen>) -> String {
    let list = |words: Option<&BTreeSet<&'static str>>| {
        words.map(|words| words.iter().copied().collect::<Vec<_>>().join(", "))
    };
    let (stability, from) =
        if name.starts_with(OURS) { ("ours", "ours") } else { ("AS IN THE REGISTRY", "registry") };
    let name = if name.ends_with('.') { format!("{name}<name>") } else { name.to_string() };
    format!(
        "docs/attributes.md has no row for it; add:\n| `{name}` | {} | {stability} | {from} | {} | WHAT IT SAYS |",
        list(seen.map(|seen| &seen.kinds)).unwrap_or_else(|| "TYPE".into()),
        list(seen.map(|seen| &seen.on)).unwrap_or_else(|| "log, span".into()),
    )
}

#[test]
fn documented_attributes_are_those_on_the_wire() {
    let rows = rows();
    let constants = constants();
    let wire = wire_of(None);
    let mut wrong = Vec::new();
    for name in &constants {
        // A prefix needs a row with a placeholder after it.
        let is_there = if name.ends_with('.') {
            rows.iter().any(|row| row.name.starts_with(&format!("{name}<")))
        } else {
            rows.iter().any(|row| row.is_of(name))
        };
        if !is_there {
            wrong.push(format!("{name}: {}", missing(name, wire.get(name))));
        }
    }
    for (name, seen) in wire.iter().filter(|(name, _)| !constants.contains(*name)) {
        if !rows.iter().any(|row| row.is_of(name)) {
            wrong.push(format!("{name}: {}", missing(name, Some(seen))));
        }
    }
    wrong.extend(rows.iter().flat_map(|row| differs(row, &wire)));
    for row in rows.iter().filter(|row| !row.is_from_script()) {
        let is_sent = match row.name.split_once('<') {
            None => constants.contains(&row.name),
            Some((before, _)) => constants.contains(before) || wire.keys().any(|name| row.is_of(name)),
        };
        if !is_sent {
            wrong.push(format!("{}: nothing sends it; take its row out of docs/attributes.md", row.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns the differences between a row and the wire.
fn differs(row: &Row, wire: &Wire) -> Vec<String> {
    let mut wrong = Vec::new();
    if row.name.starts_with(OURS) != (row.stability == "ours") {
        wrong.push(format!("{}: docs/attributes.md says that its stability is {}", row.name, row.stability));
    }
    for (name, seen) in wire.iter().filter(|(name, _)| row.is_of(name)) {
        if seen.kinds.iter().any(|kind| row.kind != *kind) {
            wrong.push(format!(
                "{name}: docs/attributes.md has type {}, and sent is {:?}",
                row.kind, seen.kinds
            ));
        }
        let on: BTreeSet<&str> = row.on.iter().map(String::as_str).collect();
        if on != seen.on {
            wrong.push(format!(
                "{name}: docs/attributes.md has it on {on:?}, and it is sent on {:?}",
                seen.on
            ));
        }
    }
    wrong
}

/// Returns the attribute names in a script.
fn names_in(script: &str) -> BTreeSet<String> {
    let code = script.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in code {
        let pieces: Vec<&str> = line.split('"').collect();
        for (nth, text) in pieces.iter().enumerate().skip(1).step_by(2) {
            let before = pieces[nth - 1].trim_end();
            let after = pieces.get(nth + 1).map_or("", |after| after.trim_start());
            let is_key =
                after.starts_with(':') || (before.ends_with("attributes[") && after.starts_with(']'));
            if is_key && text.contains('.') {
                found.insert((*text).to_string());
            }
        }
    }
    found
}

#[test]
fn row_with_a_placeholder_matches_several_names() {
    let row = |name: &str| Row {
        name: name.into(),
        kind: "string".into(),
        stability: "ours".into(),
        from: "ours".into(),
        on: Vec::new(),
    };
    let link = row("gitea_lightstep.link.<name>");
    assert!(link.is_of("gitea_lightstep.link.runbook"));
    assert!(!link.is_of("gitea_lightstep.link.") && !link.is_of("gitea_lightstep.links"));
    let middle = row("gitea_lightstep.service.<name>.owner");
    assert!(
        middle.is_of("gitea_lightstep.service.till.owner") && !middle.is_of("gitea_lightstep.service.till")
    );
    assert!(row("service.name").is_of("service.name") && !row("service.name").is_of("service.names"));
}

#[test]
fn attribute_names_are_found_in_scripts() {
    let script = "// attributes[\"not.this\"]\nmarker.attributes[\"a.b\"] = 1;\nlet x = #{ \"c.d\": \"e.f\", g: 1 };\n";
    assert_eq!(names_in(script), ["a.b", "c.d"].map(ToString::to_string).into());
}

#[test]
fn attributes_of_shipped_scripts_are_documented() {
    let rows = rows();
    let mut set: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(manifest_dir().join("scripts")).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rhai") {
            continue;
        }
        let file = path.file_name().and_then(|name| name.to_str()).expect("text").to_string();
        let script = fs::read_to_string(&path).expect("text");
        let names = names_in(&script);
        let wire = wire_of(Some(&script));
        for (name, seen) in wire.iter().filter(|(name, _)| !rows.iter().any(|row| row.is_of(name))) {
            wrong.push(format!("{file}: {name}: {}", missing(name, Some(seen))));
        }
        wrong.extend(rows.iter().flat_map(|row| differs(row, &wire)).map(|why| format!("{file}: {why}")));
        for name in names {
            if !name.starts_with(OURS) {
                wrong.push(format!(
                    "{file}: `{name}` has to begin with {OURS}, for no other name is ours to give"
                ));
            }
            set.entry(name).or_default().insert(format!("`{file}`"));
        }
    }
    for (name, files) in &set {
        let from = files.iter().cloned().collect::<Vec<_>>().join(", ");
        match rows.iter().find(|row| row.is_of(name)) {
            None => wrong.push(format!("{name}: {}, from {from}", missing(name, None))),
            Some(row) if row.from != from => {
                wrong.push(format!(
                    "{name}: docs/attributes.md has it from {}, and it is from {from}",
                    row.from
                ));
            }
            Some(_) => {}
        }
    }
    for row in rows.iter().filter(|row| row.is_from_script() && !set.contains_key(&row.name)) {
        wrong.push(format!("{}: no script sets it; take its row out of docs/attributes.md", row.name));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
