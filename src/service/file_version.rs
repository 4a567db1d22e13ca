//! The version that a file of the repository states, read by the rules of the file's own format.

use saphyr_parser::{Event, Parser};
use toml_edit::{DocumentMut, Item, TomlError};

use crate::text;

/// How long a version may be, in characters.
const MAX_VERSION: usize = 256;

/// How deep tables may be nested in a key.
const MAX_DEPTH: usize = 16;

/// A format that has keys, and where files of well-known names have their version.
enum Format {
    Toml,
    Json,
    Yaml,
    /// The first line that is not empty is the version.
    Line,
}

/// Reads the version in `content`, the text of the file at `path`: at `key`, or where files of this name have it.
///
/// # Errors
/// A text that says what was found in its place.
pub(super) fn read(path: &str, key: Option<&str>, content: &str) -> Result<String, String> {
    let content = content.trim_start_matches('\u{feff}');
    let name = path.rsplit('/').next().unwrap_or(path);
    let format = match name.rsplit_once('.') {
        Some((_, "toml")) => Format::Toml,
        Some((_, "json")) => Format::Json,
        Some((_, "yaml" | "yml")) => Format::Yaml,
        _ => Format::Line,
    };
    let usual: &[&str] = match (key, name) {
        (Some(key), _) => &[key],
        // Cargo's workspace root has the version that its members inherit (The Cargo Book, "Workspaces").
        (None, "Cargo.toml") => &["package.version", "workspace.package.version"],
        // PEP 621, and Poetry before it.
        (None, "pyproject.toml") => &["project.version", "tool.poetry.version"],
        (None, _) => &["version"],
    };
    if usual.iter().any(|key| key.split('.').count() > MAX_DEPTH) {
        return Err(format!("a key has at most {MAX_DEPTH} parts"));
    }
    let found = match format {
        Format::Line => content.lines().map(str::trim).find(|line| !line.is_empty()).map(ToString::to_string),
        Format::Toml => {
            let document: DocumentMut =
                content.parse().map_err(|err: TomlError| text::line(err.message()))?;
            first(usual, |key| in_toml(document.as_item(), key))?
        }
        Format::Json => {
            let value: serde_json::Value =
                serde_json::from_str(content).map_err(|err| text::line(err.to_string()))?;
            first(usual, |key| in_json(&value, key))?
        }
        Format::Yaml => first(usual, |key| in_yaml(content, key))?,
    };
    let found = found.filter(|found| !found.trim().is_empty());
    found.map(|found| shown(found.trim())).ok_or_else(|| match format {
        Format::Line => "it is empty".into(),
        _ => format!("it has no `{}`", usual.join("` and no `")),
    })
}

/// Makes a version fit to be shown.
pub(super) fn shown(version: &str) -> String {
    text::name(version.as_bytes(), MAX_VERSION)
}

type Found = Result<Option<String>, String>;

fn first(keys: &[&str], mut look: impl FnMut(&str) -> Found) -> Found {
    for key in keys {
        if let Some(found) = look(key)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn in_toml(document: &Item, key: &str) -> Found {
    let mut item = document;
    for name in key.split('.') {
        match item.get(name) {
            Some(inner) => item = inner,
            None => return Ok(None),
        }
    }
    match item.as_str() {
        Some(version) => Ok(Some(version.into())),
        // `version.workspace = true` says that it stands in another file.
        None if item.get("workspace").is_some() => {
            Err("it is inherited from the workspace; name the workspace's own Cargo.toml".into())
        }
        None => Err(format!("`{key}` is no text but of type {}", item.type_name())),
    }
}

fn in_json(value: &serde_json::Value, key: &str) -> Found {
    let mut value = value;
    for name in key.split('.') {
        match value.get(name) {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    match value {
        serde_json::Value::String(version) => Ok(Some(version.clone())),
        serde_json::Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(format!("`{key}` is no text")),
    }
}

/// A collection that the parser is in.
enum Open {
    /// A map, and the key whose value comes next.
    Map(Option<String>),
    List,
}

/// Looks for a key without building the document: so nothing in it can be made larger than it is written.
fn in_yaml(content: &str, key: &str) -> Found {
    let wanted: Vec<&str> = key.split('.').collect();
    let mut open: Vec<Open> = Vec::new();
    let is_here = |open: &[Open]| {
        open.len() == wanted.len()
            && open
                .iter()
                .zip(&wanted)
                .all(|(at, wanted)| matches!(at, Open::Map(Some(key)) if key == wanted))
    };
    for event in Parser::new_from_str(content) {
        let (event, _) = event.map_err(|err| text::line(err.to_string()))?;
        match event {
            Event::Scalar(value, ..) => {
                if is_here(&open) {
                    return Ok(Some(value.into_owned()));
                }
                match open.last_mut() {
                    Some(Open::Map(key @ None)) => *key = Some(value.into_owned()),
                    Some(Open::Map(key)) => *key = None,
                    _ => {}
                }
            }
            Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_) if is_here(&open) => {
                return Err(format!("`{key}` is no text"));
            }
            Event::MappingStart(..) => open.push(Open::Map(None)),
            Event::SequenceStart(..) => open.push(Open::List),
            Event::Alias(_) => end_of_value(&mut open),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                end_of_value(&mut open);
            }
            // A file may hold several documents; its version is in the first.
            Event::DocumentEnd => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

/// Notes that a value is over, which was no scalar; what stood in the place of a key is none that anybody asks for.
fn end_of_value(open: &mut [Open]) {
    if let Some(Open::Map(key)) = open.last_mut() {
        *key = match key {
            None => Some(String::new()),
            Some(_) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str, content: &str) -> String {
        read(path, None, content).unwrap_or_else(|why| format!("! {why}"))
    }

    #[test]
    fn each_format_has_its_place() {
        assert_eq!(said("Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.2.3\""), "1.2.3");
        assert_eq!(said("a/Cargo.toml", "[workspace.package]\nversion = \"2.0.0\""), "2.0.0");
        assert_eq!(said("package.json", r#"{"name": "a", "version": "3.1.0"}"#), "3.1.0");
        assert_eq!(said("pyproject.toml", "[project]\nversion = \"4.0\""), "4.0");
        assert_eq!(said("pyproject.toml", "[tool.poetry]\nversion = \"4.1\""), "4.1");
        assert_eq!(said("VERSION", "\n  go1.27.3 \ntime 2026\n"), "go1.27.3");
        assert_eq!(
            said(
                "Chart.yaml",
                "dependencies:\n- name: a\n  version: 9.9.9\nmaintainers: {version: 8}\nversion: 5.0.1 # so\n"
            ),
            "5.0.1"
        );
        assert_eq!(read("Chart.yaml", Some("appVersion"), "appVersion: \"1.10\"\n"), Ok("1.10".into()));
        assert_eq!(
            read("values.yaml", Some("image.tag"), "image:\n  x: [a, {tag: 1}]\n  tag: 7\n"),
            Ok("7".into())
        );
        assert_eq!(read("a.json", Some("a.b"), r#"{"a": {"b": 7}}"#), Ok("7".into()));
    }

    #[test]
    fn what_is_no_version_is_said() {
        assert_eq!(said("VERSION", " \n"), "! it is empty");
        assert_eq!(said("package.json", "{}"), "! it has no `version`");
        assert_eq!(
            said("Cargo.toml", "[package]\nname = \"a\""),
            "! it has no `package.version` and no `workspace.package.version`"
        );
        assert!(
            said("Cargo.toml", "[package]\nversion.workspace = true")
                .contains("inherited from the workspace")
        );
        assert!(said("package.json", r#"{"version": []}"#).contains("is no text"));
        assert!(said("Chart.yaml", "version: [1]").contains("is no text"));
        assert!(said("Cargo.toml", "[package").starts_with("! "));
        assert!(said("package.json", &"[".repeat(100_000)).starts_with("! "));
        assert!(said("Chart.yaml", &"[".repeat(100_000)).starts_with("! "));
        assert_eq!(said("VERSION", "1\u{1b}[31m"), "1[31m");
    }

    #[test]
    fn a_document_that_grows_by_its_aliases_is_read_as_it_is_written() {
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for n in 1..40 {
            bomb.push_str(&format!("a{n}: &a{n} [*a{p}, *a{p}]\n", p = n - 1));
        }
        bomb.push_str("version: 1.0.0\n");
        assert_eq!(said("Chart.yaml", &bomb), "1.0.0");
    }
}
