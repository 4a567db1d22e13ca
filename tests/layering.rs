//! The arrows between modules go one way, and each big dependency stays in its room.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::manifest_dir;

/// The modules in order: each may import those before it only.
const ORDER: [&str; 23] = [
    "fault", "memory", "regular", "time", "child", "text", "secret", "names", "config", "push", "facts",
    "service", "policy", "marker", "decide", "state", "settle", "golden", "otlp", "delivery", "install",
    "doctor", "cli",
];

/// Which crate may be named in which modules.
/// Beside the facts, which only read, the golden tests name gix: they write the repositories that they are played in.
const ROOMS: [(&str, &[&str]); 19] = [
    ("gix", &["facts", "golden"]),
    ("gix_config", &["install"]),
    ("rhai", &["policy"]),
    ("regex_lite", &["policy"]),
    ("resolv_conf", &["names"]),
    ("rustls", &["delivery"]),
    ("ureq", &["delivery", "install"]),
    ("rustls", &["delivery"]),
    ("prost", &["otlp", "cli"]),
    ("opentelemetry_proto", &["otlp", "cli"]),
    ("toml", &["config", "golden"]),
    ("toml_edit", &["golden", "service"]),
    ("saphyr_parser", &["service"]),
    ("hmac", &["marker"]),
    ("quick_xml", &["cli"]),
    ("clap", &["cli"]),
    ("httparse", &["cli"]),
    ("indicatif", &["cli"]),
    ("annotate_snippets", &["cli"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut dirs = vec![manifest_dir().join("src")];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                dirs.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("text");
                files.push((path, text));
            }
        }
    }
    files.sort();
    files
}

/// Returns the module that a file belongs to, `None` for the crate's two roots.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(manifest_dir().join("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_str().expect("text");
    let name = first.trim_end_matches(".rs");
    (!matches!(name, "main" | "lib")).then(|| name.to_string())
}

/// Returns every module that a file names by `crate::`, in whatever form of `use`.
fn imports(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            // A group: the first name of each of its items.
            Some(group) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.insert(first_name(&item));
                            item.clear();
                            continue;
                        }
                        _ => {}
                    }
                    item.push(c);
                }
                found.insert(first_name(&item));
            }
            None => {
                found.insert(first_name(rest));
            }
        }
    }
    found.remove("");
    found
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn a_module_imports_only_from_those_before_it() {
    let mut wrong = Vec::new();
    for (path, source) in sources() {
        let Some(own) = module(&path) else { continue };
        let place = ORDER
            .iter()
            .position(|name| *name == own)
            .unwrap_or_else(|| panic!("`{own}` has no place in ORDER"));
        for import in imports(&source) {
            let is_before = ORDER[..=place].contains(&&*import);
            if !is_before {
                wrong.push(format!("{}: imports crate::{import}", path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_reader_of_imports_sees_them() {
    let source = "use crate::{\n    config::{A, b::C},\n    push,\n};\nuse crate::text;\nlet x = crate::time::now();\n// crate::cli";
    let expected = ["config", "push", "text", "time"].map(ToString::to_string);
    assert_eq!(imports(source), expected.into_iter().collect());
}

#[test]
fn each_big_dependency_stays_in_its_room() {
    let mut wrong = Vec::new();
    for (path, source) in sources() {
        let own = module(&path).unwrap_or_default();
        for (name, rooms) in ROOMS {
            let is_named = source
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .any(|line| line.contains(&format!("{name}::")) || line.contains(&format!("use {name};")));
            if is_named && !rooms.contains(&&*own) {
                wrong.push(format!("{}: names {name}", path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_source_file_holds_more_than_one_idea() {
    for (path, source) in sources() {
        assert!(source.lines().count() <= 450, "{} has {} lines", path.display(), source.lines().count());
    }
}
