//! The function `yaml_texts`, which finds texts in YAML by the names of their keys.
//!
//! Scripts compare manifests with it. A value keeps the form in which it is written, because the tag
//! `1.10` is not the number 1.1.

use rhai::{Array, Dynamic, EvalAltResult, NativeCallContext};

use super::property::{ApiFunction, PropertyResult, Type, mistake};
use crate::{
    document::{self, Node},
    policy::{
        meter,
        sizes::{self, MAX_ENTRIES, MAX_TEXT},
    },
};

/// Cost of a value of the document, in units of work, and of each byte of the text.
const VALUE: u64 = 16;
const BYTE: u64 = 16;

/// Maximum number of values that are visited. Aliases count each time, so that they cannot multiply.
const MAX_VALUES: usize = MAX_ENTRIES;

/// Maximum number of texts that are returned. Each is an array of two texts.
const MAX_TEXTS: usize = 1024;

/// The function that this module defines.
pub(super) const FUNCTIONS: &[ApiFunction] = &[ApiFunction {
    name: "yaml_texts",
    takes: &[("text", Type::Text), ("names", Type::List(&Type::Text))],
    gives: Type::List(&Type::List(&Type::Text)),
    about: "Finds the scalars with these names of keys in all documents of YAML. Returns an array of key and \
            text for each, as it is written. The key of an entry of an array is its `name`, or else its \
            number. A document with a kind and a name begins its keys with both, as in \
            `Deployment/shop:spec.replicas`.",
    example: r#""image: {tag: 1.10}\nports: [{name: web, tag: x}]".yaml_texts(["tag"]) == [["image.tag", "1.10"], ["ports.web.tag", "x"]]"#,
    register: |engine, name| {
        engine.register_fn(name, |ctx: NativeCallContext<'_>, text: &str, names: Array| {
            let names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
            texts(text, &names, |work| meter::charge(&ctx, work))
        });
    },
}];

fn texts(
    text: &str,
    names: &[String],
    charge: impl Fn(u64) -> Result<(), Box<EvalAltResult>>,
) -> PropertyResult {
    charge(BYTE * text.len().min(document::MAX_SIZE) as u64)?;
    let documents = document::read_yaml_documents(text)
        .map_err(|err| mistake(format!("the text is not valid YAML: {err}")))?;
    let mut search = Search { names, charge, path: String::new(), values: 0, size: 0, found: Array::new() };
    for (nth, document) in documents.iter().enumerate() {
        let text_of = |key: &str| document.at(key).and_then(Node::text);
        search.path = match (text_of("kind"), text_of("metadata.name")) {
            (Some(kind), Some(name)) => format!("{kind}/{name}:"),
            _ if documents.len() > 1 => format!("{nth}:"),
            _ => String::new(),
        };
        search.node(document, "")?;
    }
    Ok(search.found.into())
}

/// A search through a document.
struct Search<'n, C> {
    names: &'n [String],
    charge: C,
    /// The key of the value that is visited.
    path: String,
    values: usize,
    /// Size of the texts found, in bytes.
    size: usize,
    found: Array,
}

impl<C: Fn(u64) -> Result<(), Box<EvalAltResult>>> Search<'_, C> {
    /// Visits a value. `name` is the key that it has in the nearest map.
    fn node(&mut self, node: &Node, name: &str) -> Result<(), Box<EvalAltResult>> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(sizes::too_large("the document is"));
        }
        (self.charge)(VALUE)?;
        match node {
            Node::Shared(shared) => self.node(shared, name)?,
            Node::Map(entries) => {
                for (key, node) in entries {
                    self.below(key, node, key)?;
                }
            }
            Node::List(nodes) | Node::Repeated(nodes) => {
                for (nth, node) in nodes.iter().enumerate() {
                    match node.get("name").and_then(Node::text) {
                        Some(own) => self.below(&own, node, name)?,
                        None => self.below(&nth.to_string(), node, name)?,
                    }
                }
            }
            scalar => {
                if let Some(text) = scalar.text().filter(|_| self.names.iter().any(|known| known == name)) {
                    self.size = self.size.saturating_add(self.path.len() + text.len());
                    if self.found.len() == MAX_TEXTS || self.size > MAX_TEXT {
                        return Err(sizes::too_large("the texts are"));
                    }
                    let pair: Array = vec![self.path.clone().into(), text.into_owned().into()];
                    self.found.push(Dynamic::from_array(pair));
                }
            }
        }
        Ok(())
    }

    fn below(&mut self, key: &str, node: &Node, name: &str) -> Result<(), Box<EvalAltResult>> {
        let length = self.path.len();
        if length > 0 && !self.path.ends_with(':') {
            self.path.push('.');
        }
        self.path.push_str(key);
        self.node(node, name)?;
        self.path.truncate(length);
        Ok(())
    }
}
