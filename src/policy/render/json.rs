//! Converts values between Rhai and JSON.

use std::borrow::Cow;

use rhai::{Dynamic, EvalAltResult};

use super::{
    super::{
        api::{self, TimeView, VersionView, value_of},
        sizes::MAX_DEPTH,
    },
    outgoing_marker::AttributesView,
    secret_template::SecretTemplate,
};
use crate::{
    document::{self, DocumentFormat},
    text::Hinted,
};

/// Maximum size of a body, in bytes.
pub(super) const MAX_BODY: usize = 1 << 20;

/// Writes a value as JSON. Strings may contain secrets.
///
/// # Errors
/// If JSON cannot represent the value, or the result is too large. The message has the path of the
/// value.
pub(super) fn write(value: &Dynamic) -> Result<SecretTemplate, Hinted> {
    let mut json = JsonText(SecretTemplate::default());
    json.value(value, "body", 0)?;
    Ok(json.0)
}

struct JsonText(SecretTemplate);

impl JsonText {
    fn value(&mut self, value: &Dynamic, at: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("`body` is nested more than {MAX_DEPTH} deep"));
        }
        if let Ok(map) = value.as_map_ref() {
            let entries = map.iter().map(|(name, value)| (name.as_str(), value));
            return self.object(entries, at, depth);
        }
        if let Some(attributes) = value.read_lock::<AttributesView>() {
            return self.object(attributes.iter(), at, depth);
        }
        if let Ok(array) = value.as_array_ref() {
            self.text("[")?;
            for (nth, entry) in array.iter().enumerate() {
                self.text(if nth == 0 { "" } else { "," })?;
                self.value(entry, &format!("{at}[{nth}]"), depth + 1)?;
            }
            return self.text("]");
        }
        if let Some(sealed) = value.read_lock::<SecretTemplate>() {
            self.text("\"")?;
            self.0.push_in_json(&sealed);
            return self.text("\"");
        }
        let plain = plain(value).ok_or_else(|| {
            let found = kind_of(value);
            format!(
                "`{at}` is {found}, which JSON cannot represent; use a string, a number, an array or an \
                 object map"
            )
        })?;
        self.text(&plain.to_string())
    }

    fn object<'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a str, &'a Dynamic)>,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        self.text("{")?;
        for (nth, (name, value)) in entries.enumerate() {
            self.text(if nth == 0 { "" } else { "," })?;
            self.text(&serde_json::Value::from(name).to_string())?;
            self.text(":")?;
            self.value(value, &format!("{at}.{name}"), depth + 1)?;
        }
        self.text("}")
    }

    fn text(&mut self, more: &str) -> Result<(), String> {
        if self.0.len() + more.len() > MAX_BODY {
            return Err(format!("`body` is larger than {} MiB", MAX_BODY >> 20));
        }
        self.0.push_str(more);
        Ok(())
    }
}

/// Returns the type of a value, in the terms of the reference.
pub(super) fn kind_of(value: &Dynamic) -> Cow<'static, str> {
    if value.is::<SecretTemplate>() { "a secret".into() } else { api::type_of(value) }
}

/// Converts a scalar, if JSON can represent it.
fn plain(value: &Dynamic) -> Option<serde_json::Value> {
    if value.is_unit() {
        return Some(serde_json::Value::Null);
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(text.as_str().into());
    }
    if let Ok(number) = value.as_int() {
        return Some(number.into());
    }
    if let Ok(flag) = value.as_bool() {
        return Some(flag.into());
    }
    if let Ok(number) = value.as_float() {
        return serde_json::Number::from_f64(number).map(serde_json::Value::Number);
    }
    if let Ok(character) = value.as_char() {
        return Some(character.to_string().into());
    }
    if let Some(time) = value.read_lock::<TimeView>() {
        return Some(time.to_string().into());
    }
    value.read_lock::<VersionView>().map(|version| version.to_string().into())
}

/// Reads JSON and writes it again. Used by the fuzz targets.
pub(crate) fn json_of_bytes(text: &str) {
    if let Ok(value) = read(text)
        && !value.is_unit()
    {
        let _ = write(&value);
    }
}

/// Parses JSON into a script's value. Returns `()` if the text is not valid JSON.
///
/// # Errors
/// If the value exceeds the limits of values.
pub(super) fn read(text: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    match document::read(DocumentFormat::Json, text) {
        Ok(node) => value_of(&node, |_| Ok(())),
        Err(_) => Ok(Dynamic::UNIT),
    }
}
