//! JSON and TOML, whose parsers drive a visitor of serde.

use std::{collections::BTreeMap, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DocumentError, MAX_DEPTH, Node};

/// Key with which the toml crate passes a date. No other key of a document has this meaning.
const DATE: &str = "$__toml_private_datetime";

/// Message by which [`NodeSeed`] reports a value that is nested too deep.
const TOO_DEEP: &str = "nested too deep";

/// Reads JSON. Of several equal keys the last one counts, as in JavaScript.
pub(super) fn json(document: &str) -> Result<Node, DocumentError> {
    let mut parser = serde_json::Deserializer::from_str(document);
    let read = NodeSeed { depth: 0 }.deserialize(&mut parser);
    let read = read.and_then(|node| parser.end().map(|()| node));
    read.map_err(|err| {
        let (line, column) = (err.line(), err.column());
        let message = err.to_string();
        let why = message.rsplit_once(" at line ").map_or(message.as_str(), |(why, _)| why);
        if why == TOO_DEEP {
            return DocumentError::TooDeep { line, column };
        }
        DocumentError::Syntax { line, column, why: crate::text::line(why) }
    })
}

/// Reads TOML.
pub(super) fn toml(document: &str) -> Result<Node, DocumentError> {
    let read =
        toml::Deserializer::parse(document).and_then(|parser| NodeSeed { depth: 0 }.deserialize(parser));
    read.map_err(|err| {
        let offset = err.span().map_or(0, |span| span.start);
        if err.message() == TOO_DEEP {
            return DocumentError::too_deep(document, offset);
        }
        DocumentError::at(document, offset, err.message())
    })
}

/// Builds a node at a depth of the document.
struct NodeSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NodeSeed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl NodeSeed {
    fn inner<E: Error>(&self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH { Err(E::custom(TOO_DEEP)) } else { Ok(self.depth + 1) }
    }
}

impl<'de> Visitor<'de> for NodeSeed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
        Ok(i64::try_from(number).map_or(Node::Float(number as f64), Node::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let depth = self.inner()?;
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element_seed(Self { depth })? {
            list.push(entry);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let depth = self.inner()?;
        let mut map = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self { depth })?;
            if key == DATE {
                return Ok(value);
            }
            map.insert(key, value);
        }
        Ok(Node::Map(map))
    }
}
