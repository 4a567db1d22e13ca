//! The dependency rules: modules import only from earlier ones, and each large crate is used only
//! in its modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::support::manifest_dir;

/// All modules in order; each may import only from earlier ones.
const ORDER: [&str; 29] = [
    "sys",
    "work",
    "glob",
    "text",
    "proposal",
    "document",
    "secret",
    "mask",
    "redact",
    "dns",
    "push",
    "marker",
    "signature",
    "config",
    "facts",
    "service",
    "policy",
    "decide",
    "state",
    "settle",
    "golden",
    "otlp",
    "delivery",
    "install",
    "scan",
    "scratch",
    "doctor",
    "cli",
    "fuzzing",
];

/// Modules with files that still import each other in a circle.
const TIED: [&str; 2] = ["facts", "state"];

/// Crates, and the modules that may use them. Besides `facts`, which only reads, `golden` uses gix
/// to write the repositories of its tests.
const ROOMS: [(&str, &[&str]); 23] = [
    ("gix", &["facts", "golden"]),
    ("gix_config", &["install"]),
    ("pgp", &["signature"]),
    ("ssh_key", &["signature"]),
    ("rhai", &["policy"]),
    ("regex_lite", &["policy", "redact"]),
    ("resolv_conf", &["dns"]),
    ("simple_dns", &["dns"]),
    ("rustls", &["delivery"]),
    ("ureq", &["delivery", "install"]),
    ("prost", &["otlp", "cli"]),
    ("opentelemetry_proto", &["otlp", "cli"]),
    ("toml", &["config", "document", "golden"]),
    ("toml_edit", &["golden"]),
    ("saphyr_parser", &["document"]),
    ("hmac", &["decide"]),
    ("quick_xml", &["cli", "document"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("unicode_width", &["text"]),
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

/// Returns the module of a file, `None` for main.rs, lib.rs and the build script.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(manifest_dir().join("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_str().expect("text");
    let name = first.trim_end_matches(".rs");
    (!matches!(name, "main" | "lib" | "build")).then(|| name.to_string())
}

/// Returns the path of a file's module, `["policy", "engine"]`. It is empty for main.rs and lib.rs.
fn module_path(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(manifest_dir().join("src")).expect("below src").with_extension("");
    let names = inside.iter().map(|name| name.to_str().expect("text").to_string());
    names.filter(|name| !matches!(name.as_str(), "mod" | "main" | "lib")).collect()
}

/// Returns every path in a source that begins with `crate` or `super`, in any form of `use` and in
/// expressions.
fn paths(source: &str) -> Vec<Vec<String>> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            if !code[..at].ends_with("::") {
                expand(&code[at..], &[], &mut found);
            }
        }
    }
    found
}

/// Collects the paths at the start of `code`, each behind `prefix`, and returns what follows them.
fn expand<'c>(code: &'c str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'c str {
    let mut path = prefix.to_vec();
    let mut rest = code.trim_start();
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                rest = expand(rest, &path, found).trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let name = first_name(rest);
        let length = name.len().max(usize::from(name.is_empty() && !rest.is_empty()));
        rest = rest.get(length..).unwrap_or_default();
        path.extend((!name.is_empty()).then_some(name));
        match rest.strip_prefix("::") {
            Some(next) => rest = next,
            None => break,
        }
    }
    found.push(path);
    // Skip a new name.
    match rest.trim_start().strip_prefix("as ") {
        Some(renamed) => &renamed[first_name(renamed).len()..],
        None => rest,
    }
}

fn first_name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Returns the modules that a file imports through `crate::`.
fn imports(source: &str) -> BTreeSet<String> {
    paths(source)
        .into_iter()
        .filter(|path| path[0] == "crate")
        .filter_map(|path| path.into_iter().nth(1))
        .collect()
}

#[test]
fn modules_import_only_from_earlier_ones() {
    let mut wrong = Vec::new();
    for (path, source) in sources() {
        let Some(own) = module(&path) else { continue };
        let place = ORDER
            .iter()
            .position(|name| *name == own)
            .unwrap_or_else(|| panic!("ORDER does not contain `{own}`"));
        for import in imports(&source) {
            let is_before = ORDER[..=place].contains(&&*import);
            if !is_before {
                wrong.push(format!("{}: imports crate::{import}", path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// All modules of the crate by their paths, with what they import.
struct Tree(BTreeMap<Vec<String>, Vec<Vec<String>>>);

impl Tree {
    fn read() -> Self {
        let is_tested = |path: &Vec<String>| !path.iter().any(|name| name == "tests");
        let files = sources().into_iter().map(|(path, source)| (module_path(&path), source));
        Self(
            files
                .filter(|(path, _)| is_tested(path))
                .map(|(path, source)| (path, all_paths(&source)))
                .collect(),
        )
    }

    /// Returns the module that defines what `path` names in the module `from`. A name that a module
    /// only re-exports belongs to the module that defines it.
    fn resolve(&self, from: &[String], path: &[String]) -> Vec<String> {
        let mut module = if path[0] == "crate" { Vec::new() } else { from.to_vec() };
        let mut rest = path;
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "crate" => {}
                "super" => {
                    module.pop();
                }
                name => {
                    module.push(name.to_string());
                    if !self.0.contains_key(&module) {
                        module.pop();
                        break;
                    }
                }
            }
            rest = others;
        }
        let reexported = rest.first().and_then(|name| {
            let known =
                self.0.get(&module)?.iter().find(|known| known.len() > 1 && known.last() == Some(name))?;
            (module != from).then(|| self.resolve(&module, known))
        });
        reexported.unwrap_or(module)
    }

    /// Returns which entries of the directory `dir` import which others of them.
    fn edges(&self, dir: &[String]) -> BTreeMap<&str, BTreeSet<String>> {
        let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (from, paths) in &self.0 {
            let Some([entry, ..]) = from.strip_prefix(dir) else { continue };
            for path in paths {
                let to = self.resolve(from, path);
                if let Some([other, ..]) = to.strip_prefix(dir)
                    && other != entry
                {
                    edges.entry(entry).or_default().insert(other.clone());
                }
            }
        }
        edges
    }
}

/// Returns the paths of a source that begin with `crate` or `super`, and those of its `use` items.
fn all_paths(source: &str) -> Vec<Vec<String>> {
    let mut found = paths(source);
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        let item = line.strip_prefix("pub").map_or(line, |rest| rest.trim_start_matches(|c| c != ' '));
        if let Some(used) = item.trim_start().strip_prefix("use ") {
            expand(&source[at + line.len() - used.len()..], &[], &mut found);
        }
        at += line.len();
    }
    found
}

/// Removes the entries that import nothing, again and again. What remains is in a circle or imports
/// one.
fn in_circles(mut edges: BTreeMap<&str, BTreeSet<String>>) -> BTreeMap<&str, BTreeSet<String>> {
    loop {
        let before = edges.len();
        let names: BTreeSet<String> = edges.keys().map(ToString::to_string).collect();
        edges.retain(|_, imported| {
            imported.retain(|name| names.contains(name));
            !imported.is_empty()
        });
        if edges.len() == before {
            return edges;
        }
    }
}

/// In each directory of these modules, files and folders import each other in one direction only.
/// The directory's own mod.rs does not count: it may import its entries, and they may import what it
/// defines.
#[test]
fn files_of_a_module_import_each_other_without_circles() {
    let tree = Tree::read();
    let dirs: BTreeSet<&[String]> =
        tree.0.keys().flat_map(|path| (1..path.len()).map(|n| &path[..n])).collect();
    let mut wrong = Vec::new();
    for dir in dirs {
        let circles = in_circles(tree.edges(dir));
        if !circles.is_empty() && !TIED.contains(&&*dir[0]) {
            wrong.push(format!("{}: {circles:?}", dir.join("/")));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn imports_are_parsed() {
    let source = "use crate::{\n    config::{A, b::C},\n    push,\n};\nuse crate::text as t;\nlet x = crate::time::now();\n// crate::cli";
    let expected = ["config", "push", "text", "time"].map(ToString::to_string);
    assert_eq!(imports(source), expected.into_iter().collect());
    let circle =
        [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")].map(|(from, to)| (from, [to.to_string()].into()));
    let found = in_circles(circle.into_iter().take(3).collect());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn large_dependencies_are_used_only_in_their_modules() {
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
fn source_files_have_at_most_450_lines() {
    for (path, source) in sources() {
        assert!(
            source.lines().count() <= 450,
            "{} has {} lines, more than 450",
            path.display(),
            source.lines().count()
        );
    }
}
