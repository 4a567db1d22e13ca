//! Compares docs/attributes.md with the registry of the OpenTelemetry semantic conventions.

use serde_json::Value;

use crate::support::{
    Sandbox,
    attributes::{OURS, rows, wire_of},
    python,
};

/// Version of the conventions that the document names.
const VERSION: &str = "1.44.0";

/// Returns true for names that are release candidates according to reference/lightstep.md, section
/// 4.1. The registry's package does not contain this information.
fn is_release_candidate(name: &str) -> bool {
    ["vcs.", "cicd."].iter().any(|namespace| name.starts_with(namespace))
}

#[test]
fn foreign_attribute_names_are_in_the_registry() {
    let sandbox = Sandbox::new();
    let registry: Value =
        serde_json::from_str(&python::run(&sandbox, "semconv.py", &[], b"").succeeded().stdout)
            .expect("JSON");
    assert_eq!(registry["version"], VERSION, "tests/requirements.txt has another version of the conventions");
    let attributes = registry["attributes"].as_object().expect("attributes");
    let wire = wire_of(None);
    let mut wrong = Vec::new();
    for row in rows() {
        let known = attributes.get(&row.name);
        let expected = match known {
            _ if row.name.starts_with(OURS) => {
                let is_ours = row.stability == "ours" && (row.from == "ours" || row.is_from_script());
                if !is_ours {
                    wrong.push(format!("{}: it is ours, and its row says otherwise", row.name));
                }
                continue;
            }
            None => {
                wrong.push(format!(
                    "{}: the registry {VERSION} has no such name; ours begin with {OURS}",
                    row.name
                ));
                continue;
            }
            Some(known) if known["stable"] == true => "stable",
            Some(_) if is_release_candidate(&row.name) => "release candidate",
            Some(_) => "development",
        };
        if known.is_some_and(|known| known["deprecated"] == true) {
            wrong.push(format!("{}: the registry {VERSION} has deprecated it", row.name));
        }
        if row.stability != expected || row.from != "registry" {
            wrong.push(format!(
                "{}: docs/attributes.md has it as {} from {}, and it is {expected} from registry",
                row.name, row.stability, row.from
            ));
        }
        // If the registry lists the values of an attribute, ours must be among them. The site names
        // its own environments.
        let values: Vec<&str> = known
            .and_then(|known| known["values"].as_array())
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if let Some(seen) = wire.get(&row.name).filter(|_| !values.is_empty()) {
            for text in seen.texts.iter().filter(|text| !values.contains(&text.as_str())) {
                wrong.push(format!(
                    "{}: `{text}` is not among the values of the registry: {values:?}",
                    row.name
                ));
            }
        }
    }
    for name in attributes.keys().filter(|name| name.starts_with("gitea_lightstep")) {
        wrong.push(format!("{name}: the registry has taken our namespace"));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
