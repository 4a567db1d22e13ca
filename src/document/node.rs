//! The value that every format becomes.

use std::{borrow::Cow, collections::BTreeMap, rc::Rc};

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A scalar of YAML without quotes and without a tag, as it is written.
    Plain(String),
    /// An array.
    List(Vec<Self>),
    /// The elements of XML that have the same name and the same parent.
    Repeated(Vec<Self>),
    /// A map. Of several equal keys the last one counts.
    Map(BTreeMap<String, Self>),
    /// A value of YAML that aliases refer to.
    Shared(Rc<Self>),
}

/// Key under which an element of XML has its text, if it also has attributes or other elements.
pub const TEXT: &str = "#text";

/// Maximum number of parts of a dotted key.
pub const MAX_KEY: usize = 16;

impl Node {
    /// Returns the value itself, where an alias refers to it.
    fn resolved(&self) -> &Self {
        match self {
            Self::Shared(shared) => shared.resolved(),
            node => node,
        }
    }

    /// Returns the value of a key. Of repeated elements, the first one that has the key counts.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self.resolved() {
            Self::Map(map) => map.get(name).map(Self::resolved),
            Self::Repeated(nodes) => nodes.iter().find_map(|node| node.get(name)),
            _ => None,
        }
    }

    /// Returns the value of a dotted key. A name in the document may contain dots itself. A key
    /// with more than [`MAX_KEY`] parts is not found.
    pub fn at(&self, key: &str) -> Option<&Self> {
        if key.split('.').count() > MAX_KEY {
            return None;
        }
        self.below(key)
    }

    fn below(&self, key: &str) -> Option<&Self> {
        if let Self::Repeated(nodes) = self {
            return nodes.iter().find_map(|node| node.below(key));
        }
        let dots = key.match_indices('.').map(|(at, _)| at);
        let nested = |dot: usize| self.get(key.get(..dot)?)?.below(key.get(dot + 1..)?);
        dots.into_iter().find_map(nested).or_else(|| self.get(key))
    }

    /// Returns the name of the only entry of a map, such as the root element of XML.
    pub fn root_name(&self) -> Option<&str> {
        match self.resolved() {
            Self::Map(map) if map.len() == 1 => map.keys().next().map(String::as_str),
            _ => None,
        }
    }

    /// Returns a scalar as text. Of repeated elements, the first one counts.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self.resolved() {
            Self::Text(text) | Self::Plain(text) => Some(text.as_str().into()),
            Self::Int(number) => Some(number.to_string().into()),
            Self::Float(number) => Some(number.to_string().into()),
            Self::Repeated(nodes) => nodes.first()?.text(),
            Self::Map(map) => map.get(TEXT)?.text(),
            Self::Null | Self::Bool(_) | Self::List(_) | Self::Shared(_) => None,
        }
    }

    /// Returns the name of the type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self.resolved() {
            Self::Null | Self::Shared(_) => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "float",
            Self::Text(_) | Self::Plain(_) => "string",
            Self::List(_) | Self::Repeated(_) => "array",
            Self::Map(_) => "table",
        }
    }
}
