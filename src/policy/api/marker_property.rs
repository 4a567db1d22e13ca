//! Reads the properties of markers from a script's values, and explains what is wrong with them.

use rhai::{Dynamic, Map};

use super::{
    super::draft::{Draft, MAX_ATTRIBUTES, MAX_MARKS, MAX_NAME, MAX_TEXT, Partial},
    property::{list, maybe},
    time::TimeView,
    value_type::type_of,
    version::VersionView,
};
use crate::{
    marker::{Attributes, Kind, Value, name},
    text::{self, Hinted},
};

/// Maximum number of strings in a list attribute.
const MAX_LIST: usize = 128;

/// A property of a marker in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum MarkerProperty {
    Kind,
    Service,
    Version,
    Environment,
    Title,
    Attributes,
}

impl MarkerProperty {
    const ALL: [(&'static str, Self); 6] = [
        ("kind", Self::Kind),
        ("service", Self::Service),
        ("version", Self::Version),
        ("environment", Self::Environment),
        ("title", Self::Title),
        ("attributes", Self::Attributes),
    ];

    /// Parses the name of a property.
    ///
    /// # Errors
    /// A message that hints at the most similar name.
    pub fn parse(word: &str) -> Result<Self, Hinted> {
        let known = Self::ALL.iter().find(|(name, _)| *name == word);
        known.map(|(_, property)| *property).ok_or_else(|| {
            let message = format!("a marker has no property `{}`", text::line(word));
            Hinted::unknown(message, word, Self::ALL.iter().map(|(name, _)| *name))
        })
    }

    /// Sets a property of the marker. `()` clears an optional one.
    ///
    /// # Errors
    /// A message with the property, the value found and the value expected.
    pub fn set(self, draft: &mut Draft, value: Dynamic) -> Result<(), Hinted> {
        let is_nothing = value.is_unit();
        match self {
            Self::Environment if is_nothing => draft.environment = None,
            Self::Title if is_nothing => draft.title.clear(),
            Self::Attributes if is_nothing => draft.attributes.clear(),
            Self::Kind => draft.kind = kind_of(value)?,
            Self::Service => draft.service = name_of("service", value)?,
            Self::Version => draft.version = name_of("version", value)?,
            Self::Environment => draft.environment = Some(name_of("environment", value)?),
            Self::Title => draft.title = text_of("title", value, MAX_TEXT)?,
            Self::Attributes => draft.attributes = attributes(value)?,
        }
        Ok(())
    }
}

/// The properties of a mark. All are optional.
#[derive(Clone, Default)]
pub(in crate::policy) struct MarkProperties {
    partial: Partial,
    /// Environments, if the mark is for an array of them. Each gets a marker.
    environments: Option<Vec<String>>,
}

impl MarkProperties {
    /// Reads a script's object map.
    ///
    /// # Errors
    /// A message with the property, the value found and the value expected.
    pub fn of(map: Map) -> Result<Self, Hinted> {
        let mut properties = Self::default();
        map.into_iter().try_for_each(|(word, value)| properties.set(&word, value))?;
        Ok(properties)
    }

    /// Sets a property. `()` clears it.
    ///
    /// # Errors
    /// A message with the property, the value found and the value expected.
    pub fn set(&mut self, word: &str, value: Dynamic) -> Result<(), Hinted> {
        let property = MarkerProperty::parse(word)?;
        let partial = &mut self.partial;
        let value = (!value.is_unit()).then_some(value);
        let name = |value: Dynamic| name_of(word, value);
        match property {
            MarkerProperty::Kind => partial.kind = value.map(kind_of).transpose()?,
            MarkerProperty::Service => partial.service = value.map(name).transpose()?,
            MarkerProperty::Version => partial.version = value.map(name).transpose()?,
            MarkerProperty::Environment => match value {
                Some(value) if value.is_array() => self.environments = Some(names_of(word, value)?),
                value => {
                    partial.environment = value.map(name).transpose()?;
                    self.environments = None;
                }
            },
            MarkerProperty::Title => {
                partial.title = value.map(|value| text_of(word, value, MAX_TEXT)).transpose()?;
            }
            MarkerProperty::Attributes => {
                partial.attributes = value.map(attributes).transpose()?.unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Returns what is set, without the environments.
    pub fn partial(&self) -> &Partial {
        &self.partial
    }

    /// Returns the environment, the array of them, or `()`.
    pub fn environment(&self) -> Dynamic {
        match &self.environments {
            Some(names) => list(names, |name| name.clone().into()),
            None => maybe(self.partial.environment.clone()),
        }
    }

    /// Returns the properties of each marker.
    pub fn into_partials(self) -> Vec<Partial> {
        let Self { partial, environments } = self;
        match environments {
            None => vec![partial],
            Some(names) => {
                let in_each = |name: String| Partial { environment: Some(name), ..partial.clone() };
                names.into_iter().map(in_each).collect()
            }
        }
    }
}

/// Reads an object map of attributes.
pub(in crate::policy) fn attributes(value: Dynamic) -> Result<Attributes, Hinted> {
    let found = type_of(&value);
    let map = value
        .try_cast::<Map>()
        .ok_or_else(|| format!("`attributes` must be an object map, found {found}"))?;
    if map.len() > MAX_ATTRIBUTES {
        return Err(format!("a marker has {} attributes, the limit is {MAX_ATTRIBUTES}", map.len()).into());
    }
    let mut attributes = Attributes::new();
    let mut cut = Vec::new();
    // Skip `()`, so that scripts can pass on values that may be missing.
    for (key, value) in map.into_iter().filter(|(_, value)| !value.is_unit()) {
        if key.is_empty() || key.chars().count() > MAX_NAME {
            return Err(format!("an attribute's key must have 1 to {MAX_NAME} characters").into());
        }
        let mut value = from_dynamic(&key, value)?;
        if let Value::List(list) = &mut value
            && list.len() > MAX_LIST
        {
            list.truncate(MAX_LIST);
            cut.push(key.to_string());
        }
        attributes.insert(key.to_string().into(), value);
    }
    // The script may read the attributes and set them again. A list is then cut already.
    if let Some(Value::List(known)) = attributes.remove(name::CUT_LISTS) {
        cut.extend(known.into_iter().filter(|key| attributes.contains_key(key.as_str())));
    }
    if !cut.is_empty() {
        cut.sort();
        cut.dedup();
        attributes.insert(name::CUT_LISTS.into(), Value::List(cut));
    }
    Ok(attributes)
}

fn kind_of(value: Dynamic) -> Result<Kind, String> {
    let name = text_of("kind", value, MAX_NAME)?;
    Kind::parse(&name).ok_or_else(|| unknown_kind(&name))
}

pub(in crate::policy) fn unknown_kind(name: &str) -> String {
    let known = Kind::ALL.map(Kind::as_str);
    format!("`kind` is `{}`, expected one of `{}`", text::line(name), known.join("`, `"))
}

fn name_of(word: &str, value: Dynamic) -> Result<String, String> {
    let name = text::name(text_of(word, value, MAX_NAME)?.as_bytes(), MAX_NAME);
    let name = name.trim();
    if name.is_empty() {
        return Err(format!("`{word}` is empty; leave it out or give it a name"));
    }
    Ok(name.to_string())
}

fn names_of(word: &str, value: Dynamic) -> Result<Vec<String>, String> {
    let values = value.into_array().unwrap_or_default();
    if values.len() > MAX_MARKS {
        return Err(format!("`{word}` has {} names, the limit is {MAX_MARKS}", values.len()));
    }
    values.into_iter().map(|value| name_of(word, value)).collect()
}

fn text_of(word: &str, value: Dynamic, max: usize) -> Result<String, String> {
    let found = type_of(&value);
    let text = plain_text(value).map_err(|_| format!("`{word}` must be a string, found {found}"))?;
    Ok(text::bounded(text.as_bytes(), max))
}

/// Returns the text of a string, a time or a version.
fn plain_text(value: Dynamic) -> Result<String, &'static str> {
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
        // JSON, the form of the spool and of some destinations, has only finite numbers.
        if !float.is_finite() {
            return Err(format!("attribute `{}` must be a finite number, found {float}", text::line(key)));
        }
        return Ok(Value::Float(float));
    }
    if value.is_array() {
        let list = value
            .into_typed_array::<String>()
            .map_err(|_| format!("attribute `{}`: an array may hold only strings", text::line(key)))?;
        // One more entry than allowed shows the caller that the list is too long.
        let texts = list.iter().take(MAX_LIST + 1).map(|text| text::bounded(text.as_bytes(), MAX_TEXT));
        return Ok(Value::List(texts.collect()));
    }
    let found = type_of(&value);
    let text = plain_text(value).map_err(|_| {
        let key = text::line(key);
        format!("attribute `{key}` must be a string, number, bool or array of strings, found {found}")
    })?;
    Ok(Value::Text(text::bounded(text.as_bytes(), MAX_TEXT)))
}

/// Converts the value of an attribute.
pub(in crate::policy) fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Bool(bool) => (*bool).into(),
        Value::Int(int) => (*int).into(),
        Value::Float(float) => (*float).into(),
        Value::Text(text) => text.clone().into(),
        Value::List(texts) => list(texts, |text| text.clone().into()),
    }
}
