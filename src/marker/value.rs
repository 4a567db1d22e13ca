//! Attributes of markers and their values.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};

/// Attributes of a marker, by their names on the wire. Most names are known at compile time, so
/// they are borrowed.
pub type Attributes = BTreeMap<Cow<'static, str>, Value>;

/// The value of an attribute, limited to types that OpenTelemetry allows and scripts can produce.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
}

impl Value {
    /// Returns true for a text without a character other than white space, and for an empty list.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => false,
            Self::Text(text) => text.trim().is_empty(),
            Self::List(list) => list.is_empty(),
        }
    }

    /// Returns its texts.
    pub fn texts_mut(&mut self) -> &mut [String] {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => &mut [],
            Self::Text(text) => std::slice::from_mut(text),
            Self::List(list) => list,
        }
    }

    /// Returns the total size of its text, in bytes.
    pub fn text_size(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Text(text) => text.len(),
            Self::List(list) => list.iter().map(String::len).sum(),
        }
    }
}

/// Written by hand, because the derived code tries one type after the other and builds an error for
/// each failure. That took a quarter of the time of a delivery.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bool, a number, a string or an array of strings")
            }

            fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
                Ok(Value::Bool(bool))
            }

            fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
                Ok(Value::Int(int))
            }

            fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
                Ok(i64::try_from(int).map_or(Value::Float(int as f64), Value::Int))
            }

            fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
                Ok(Value::Float(float))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::from(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Value::List(texts))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests;
