//! A marker as scripts see it: what it says, before it has an id.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use rhai::{Dynamic, Map};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};

use super::api::{TimeView, VersionView};
pub use crate::config::Kind;
use crate::text;

/// How many attributes a marker may have when a script has written it, with those that the facts of a deployment made.
pub const MAX_ATTRIBUTES: usize = 128;
/// How long a name may be: service, version, environment, attribute key; in characters.
pub const MAX_NAME: usize = 256;
/// How long an attribute's text or a title may be, in characters.
pub const MAX_TEXT: usize = 4096;
/// How many markers one update may become.
pub(super) const MAX_MARKS: usize = 64;
/// How many texts an attribute's list may hold.
const MAX_LIST: usize = 128;

/// What a marker says beside its own fields, by the names on the wire. Most of these are known when the program is compiled.
pub type Attributes = BTreeMap<Cow<'static, str>, Value>;

/// The value of an attribute: the types that OpenTelemetry allows and a script can make.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// Returns how much text it holds, in bytes.
    pub fn text_size(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Text(text) => text.len(),
            Self::List(list) => list.iter().map(String::len).sum(),
        }
    }
}

/// By hand: what serde derives tries one type after the other and makes an error for each, which took a fourth of the time of a
/// delivery.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bool, a number, a text or a list of texts")
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

/// What a marker says, complete but for its ids and times.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What it marks.
    pub kind: Kind,
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `deployment.environment.name`.
    pub environment: Option<String>,
    /// The line that a person reads.
    pub title: String,
    /// What a script added, beside what every marker bears.
    pub attributes: Attributes,
}

/// A word of a marker in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Kind,
    Service,
    Version,
    Environment,
    Title,
    Attributes,
}

impl Word {
    const ALL: [(&'static str, Self); 6] = [
        ("kind", Self::Kind),
        ("service", Self::Service),
        ("version", Self::Version),
        ("environment", Self::Environment),
        ("title", Self::Title),
        ("attributes", Self::Attributes),
    ];

    /// Reads a word.
    ///
    /// # Errors
    /// A text that names the nearest word that there is.
    pub fn parse(word: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == word);
        known.map(|(_, word)| *word).ok_or_else(|| {
            let shown = text::line(word);
            let names = Self::ALL.map(|(name, _)| name);
            match text::nearest(word, names) {
                Some(near) => format!("a marker has no word `{shown}`, did you mean `{near}`?"),
                None => format!("a marker has no word `{shown}`, expected one of `{}`", names.join("`, `")),
            }
        })
    }
}

impl Draft {
    /// Writes a word of the marker; `()` takes away what a marker can do without.
    ///
    /// # Errors
    /// A text that names the word, what was found and what is expected.
    pub(super) fn set(&mut self, word: Word, value: Dynamic) -> Result<(), String> {
        let is_nothing = value.is_unit();
        match word {
            Word::Environment if is_nothing => self.environment = None,
            Word::Title if is_nothing => self.title.clear(),
            Word::Attributes if is_nothing => self.attributes.clear(),
            Word::Kind => self.kind = kind_of(value)?,
            Word::Service => self.service = name_of("service", value)?,
            Word::Version => self.version = name_of("version", value)?,
            Word::Environment => self.environment = Some(name_of("environment", value)?),
            Word::Title => self.title = text_of("title", value, MAX_TEXT)?,
            Word::Attributes => self.attributes = attributes(value)?,
        }
        Ok(())
    }

    /// Returns the attributes as a script's object map.
    pub(super) fn attributes_map(&self) -> Map {
        self.attributes.iter().map(|(key, value)| (key.as_ref().into(), to_dynamic(value))).collect()
    }
}

/// What a script's object map says of a marker; every word may be left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    /// What it marks.
    pub kind: Option<Kind>,
    /// `service.name`.
    pub service: Option<String>,
    /// `service.version`.
    pub version: Option<String>,
    /// `deployment.environment.name`.
    pub environment: Option<String>,
    /// The line that a person reads.
    pub title: Option<String>,
    /// What the script adds.
    pub attributes: Attributes,
}

impl Partial {
    /// Returns what it says, by the words of a script.
    pub fn fields(&self) -> Vec<(String, Value)> {
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let own = [
            ("kind", self.kind.map(|kind| kind.as_str().into())),
            ("service", text(&self.service)),
            ("version", text(&self.version)),
            ("environment", text(&self.environment)),
            ("title", text(&self.title)),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        let attributes =
            self.attributes.iter().map(|(key, value)| (format!("attributes.{key}"), value.clone()));
        own.chain(attributes).collect()
    }

    /// Reads a script's object map; one that names several environments describes a marker for each.
    ///
    /// # Errors
    /// A text that names the word, what was found and what is expected.
    pub(super) fn from_map(map: Map) -> Result<Vec<Self>, String> {
        let mut partial = Self::default();
        let mut environments = None;
        for (word, value) in map {
            let word = Word::parse(&word)?;
            if value.is_unit() {
                continue;
            }
            match word {
                Word::Kind => partial.kind = Some(kind_of(value)?),
                Word::Service => partial.service = Some(name_of("service", value)?),
                Word::Version => partial.version = Some(name_of("version", value)?),
                Word::Environment if value.is_array() => environments = Some(names_of("environment", value)?),
                Word::Environment => partial.environment = Some(name_of("environment", value)?),
                Word::Title => partial.title = Some(text_of("title", value, MAX_TEXT)?),
                Word::Attributes => partial.attributes = attributes(value)?,
            }
        }
        Ok(match environments {
            None => vec![partial],
            Some(names) => {
                let in_each =
                    names.into_iter().map(|name| Self { environment: Some(name), ..partial.clone() });
                in_each.collect()
            }
        })
    }
}

/// Reads an object map of attributes.
pub(super) fn attributes(value: Dynamic) -> Result<Attributes, String> {
    let found = value.type_name();
    let map = value
        .try_cast::<Map>()
        .ok_or_else(|| format!("`attributes` must be an object map, found {found}"))?;
    if map.len() > MAX_ATTRIBUTES {
        return Err(format!("a marker has {} attributes, the limit is {MAX_ATTRIBUTES}", map.len()));
    }
    // Nothing is no value: so a script may hand on what may not be there.
    map.into_iter()
        .filter(|(_, value)| !value.is_unit())
        .map(|(key, value)| {
            if key.is_empty() || key.chars().count() > MAX_NAME {
                return Err(format!("an attribute's key must have 1 to {MAX_NAME} characters"));
            }
            let value = from_dynamic(&key, value)?;
            Ok((key.to_string().into(), value))
        })
        .collect()
}

fn kind_of(value: Dynamic) -> Result<Kind, String> {
    let name = text_of("kind", value, MAX_NAME)?;
    Kind::parse(&name).ok_or_else(|| unknown_kind(&name))
}

pub(super) fn unknown_kind(name: &str) -> String {
    let known = Kind::ALL.map(Kind::as_str);
    format!("`kind` is `{}`, expected one of `{}`", text::line(name), known.join("`, `"))
}

fn name_of(word: &str, value: Dynamic) -> Result<String, String> {
    let name = text::name(text_of(word, value, MAX_NAME)?.as_bytes(), MAX_NAME);
    if name.trim().is_empty() {
        return Err(format!("`{word}` is empty; leave it out or give it a name"));
    }
    Ok(name)
}

fn names_of(word: &str, value: Dynamic) -> Result<Vec<String>, String> {
    let values = value.into_array().unwrap_or_default();
    if values.len() > MAX_MARKS {
        return Err(format!("`{word}` has {} names, the limit is {MAX_MARKS}", values.len()));
    }
    values.into_iter().map(|value| name_of(word, value)).collect()
}

fn text_of(word: &str, value: Dynamic, max: usize) -> Result<String, String> {
    let found = value.type_name();
    let text = told(value).map_err(|_| format!("`{word}` must be a string, found {found}"))?;
    Ok(text::bounded(text.as_bytes(), max))
}

/// Returns a value that is a text, or that a marker tells as one.
fn told(value: Dynamic) -> Result<String, &'static str> {
    let value = match value.try_cast_result::<TimeView>() {
        Ok(time) => return Ok(time.to_string()),
        Err(value) => value,
    };
    match value.try_cast_result::<VersionView>() {
        Ok(version) => Ok(version.to_string()),
        Err(value) => value.into_string(),
    }
}

fn from_dynamic(key: &str, value: Dynamic) -> Result<Value, String> {
    if let Ok(bool) = value.as_bool() {
        return Ok(Value::Bool(bool));
    }
    if let Ok(int) = value.as_int() {
        return Ok(Value::Int(int));
    }
    if let Ok(float) = value.as_float() {
        return Ok(Value::Float(float));
    }
    if value.is_array() {
        let list = value
            .into_typed_array::<String>()
            .map_err(|_| format!("attribute `{key}`: a list holds strings only"))?;
        return Ok(Value::List(
            list.iter().take(MAX_LIST).map(|t| text::bounded(t.as_bytes(), MAX_TEXT)).collect(),
        ));
    }
    let found = value.type_name();
    let text = told(value).map_err(|_| {
        format!("attribute `{key}` must be a string, number, bool or array of strings, found {found}")
    })?;
    Ok(Value::Text(text::bounded(text.as_bytes(), MAX_TEXT)))
}

fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Bool(bool) => (*bool).into(),
        Value::Int(int) => (*int).into(),
        Value::Float(float) => (*float).into(),
        Value::Text(text) => text.clone().into(),
        Value::List(list) => {
            list.iter().map(|text| Dynamic::from(text.clone())).collect::<rhai::Array>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_is_written() {
        for json in ["true", "-7", "9223372036854775807", "1.5", r#""text""#, r#"["a","b"]"#, "[]"] {
            let value: Value = serde_json::from_str(json).expect(json);
            assert_eq!(serde_json::to_string(&value).expect(json), json);
        }
        assert_eq!(
            serde_json::from_str::<Value>("18446744073709551615").ok(),
            Some(Value::Float(u64::MAX as f64))
        );
        for wrong in ["null", "{}", "[1]", "[[]]"] {
            serde_json::from_str::<Value>(wrong).expect_err(wrong);
        }
    }
}
