//! Functions that parse the text of a document: JSON, TOML, YAML and XML.

use rhai::{Array, Dynamic, EvalAltResult, Map, NativeCallContext};

use super::property::{ApiFunction, PropertyResult, Type, mistake};
use crate::{
    document::{self, DocumentFormat, Node},
    policy::{
        meter,
        sizes::{self, MAX_DEPTH, MAX_ENTRIES, MAX_PROPERTIES, MAX_TEXT},
    },
};

/// Cost of an entry of an array or a map, in units of work.
const ENTRY: u64 = 16;

/// Functions that parse documents.
pub(super) const FUNCTIONS: &[ApiFunction] = &[
    ApiFunction {
        name: "json",
        takes: &[("text", Type::Text)],
        gives: Type::Any,
        about: "Parses JSON: objects become object maps, `null` becomes `()`. An error names line and \
                column.",
        example: r#"`{"version": "1.2.3"}`.json().version == "1.2.3""#,
        register: |engine, name| {
            engine.register_fn(name, |ctx: NativeCallContext<'_>, text: &str| {
                parsed(&ctx, DocumentFormat::Json, text)
            });
        },
    },
    ApiFunction {
        name: "parse_json",
        takes: &[("text", Type::Text)],
        gives: Type::Any,
        about: "Does the same as `json`.",
        example: r#"parse_json(`[1, {"a": null}]`)[1].a == ()"#,
        register: |engine, name| {
            engine.register_fn(name, |ctx: NativeCallContext<'_>, text: &str| {
                parsed(&ctx, DocumentFormat::Json, text)
            });
        },
    },
    ApiFunction {
        name: "toml",
        takes: &[("text", Type::Text)],
        gives: Type::Map,
        about: "Parses TOML: tables become object maps, dates become texts.",
        example: r#""[project]\nversion = '1.2.3'".toml().project.version == "1.2.3""#,
        register: |engine, name| {
            engine.register_fn(name, |ctx: NativeCallContext<'_>, text: &str| {
                parsed(&ctx, DocumentFormat::Toml, text)
            });
        },
    },
    ApiFunction {
        name: "yaml",
        takes: &[("text", Type::Text)],
        gives: Type::Any,
        about: "Parses the first document of YAML 1.2. An alias is replaced by its value, within the limits \
                of a value.",
        example: r#"update.file("deploy/values.yaml").yaml().image == "shop""#,
        register: |engine, name| {
            engine.register_fn(name, |ctx: NativeCallContext<'_>, text: &str| {
                parsed(&ctx, DocumentFormat::Yaml, text)
            });
        },
    },
    ApiFunction {
        name: "xml",
        takes: &[("text", Type::Text)],
        gives: Type::Map,
        about: "Parses XML: an element is a text, or an object map of its elements and its attributes \
                (`@name`).",
        example: r#""<project><version>1.2.3</version></project>".xml().project.version == "1.2.3""#,
        register: |engine, name| {
            engine.register_fn(name, |ctx: NativeCallContext<'_>, text: &str| {
                parsed(&ctx, DocumentFormat::Xml, text)
            });
        },
    },
];

/// Parses a document, and charges the work to the script.
fn parsed(ctx: &NativeCallContext<'_>, format: DocumentFormat, text: &str) -> PropertyResult {
    // Units of work for each byte, at most.
    let of_byte = match format {
        DocumentFormat::Json | DocumentFormat::Properties | DocumentFormat::Ini => 2,
        DocumentFormat::Toml | DocumentFormat::Xml => 8,
        DocumentFormat::Yaml => 16,
    };
    meter::charge(ctx, of_byte * text.len().min(document::MAX_SIZE) as u64)?;
    let node = document::read(format, text)
        .map_err(|err| mistake(format!("the text is not valid {}: {err}", format.name())))?;
    value_of(&node, |work| meter::charge(ctx, work))
}

/// Converts a document into a value of scripts. `charge` gets the units of work.
///
/// # Errors
/// If the value exceeds the limits of values, or if `charge` fails.
pub(in crate::policy) fn value_of(
    node: &Node,
    charge: impl Fn(u64) -> Result<(), Box<EvalAltResult>>,
) -> PropertyResult {
    Conversion { charge, text: 0, entries: 0, properties: 0 }.value(node, 0)
}

/// The size of the value so far. Aliases count each time, so that they cannot multiply.
struct Conversion<C> {
    charge: C,
    text: usize,
    entries: usize,
    properties: usize,
}

impl<C: Fn(u64) -> Result<(), Box<EvalAltResult>>> Conversion<C> {
    fn value(&mut self, node: &Node, depth: usize) -> PropertyResult {
        if depth > MAX_DEPTH {
            return Err(sizes::too_deep());
        }
        match node {
            Node::Null => Ok(Dynamic::UNIT),
            Node::Bool(flag) => Ok((*flag).into()),
            Node::Int(number) => Ok((*number).into()),
            Node::Float(number) => Ok((*number).into()),
            Node::Text(text) => self.text(text),
            Node::Plain(scalar) => match plain(scalar) {
                Some(value) => Ok(value),
                None => self.text(scalar),
            },
            Node::List(nodes) | Node::Repeated(nodes) => {
                self.entries = self.entries.saturating_add(nodes.len());
                if self.entries > MAX_ENTRIES {
                    return Err(sizes::too_large("the document is"));
                }
                (self.charge)(ENTRY * nodes.len() as u64)?;
                let entries: Array =
                    nodes.iter().map(|node| self.value(node, depth + 1)).collect::<Result<_, _>>()?;
                Ok(entries.into())
            }
            Node::Map(entries) => {
                self.properties = self.properties.saturating_add(entries.len());
                if self.properties > MAX_PROPERTIES {
                    return Err(sizes::too_large("the document is"));
                }
                (self.charge)(ENTRY * entries.len() as u64)?;
                let mut map = Map::new();
                for (name, node) in entries {
                    self.count(name)?;
                    map.insert(name.into(), self.value(node, depth + 1)?);
                }
                Ok(map.into())
            }
            Node::Shared(shared) => self.value(shared, depth),
        }
    }

    fn text(&mut self, text: &str) -> PropertyResult {
        self.count(text)?;
        Ok(text.into())
    }

    fn count(&mut self, text: &str) -> Result<(), Box<EvalAltResult>> {
        self.text = self.text.saturating_add(text.len());
        if self.text > MAX_TEXT { Err(sizes::too_large("the document is")) } else { Ok(()) }
    }
}

/// Returns the value of a YAML scalar without quotes, by the core schema of YAML 1.2. Returns `None`
/// for a text.
fn plain(scalar: &str) -> Option<Dynamic> {
    match scalar {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Dynamic::UNIT),
        "true" | "True" | "TRUE" => return Some(true.into()),
        "false" | "False" | "FALSE" => return Some(false.into()),
        _ => {}
    }
    let radix = |prefix, radix| i64::from_str_radix(scalar.strip_prefix(prefix)?, radix).ok();
    if let Some(number) = scalar.parse().ok().or_else(|| radix("0o", 8)).or_else(|| radix("0x", 16)) {
        return Some(Dynamic::from_int(number));
    }
    // Rust also accepts words, such as `infinity`.
    let is_number =
        scalar.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    scalar.parse::<f64>().ok().filter(|_| is_number).map(Dynamic::from_float)
}
