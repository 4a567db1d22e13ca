//! A validator for the part of JSON Schema (draft 7) that `check --schema` uses. A keyword that it
//! does not know is a panic, so that it cannot accept a value by accident.

use serde_json::Value;

/// Returns why a value does not match a schema.
pub fn mismatch(schema: &Value, value: &Value) -> Option<String> {
    Validator { root: schema }.check(schema, value, "").err()
}

/// Reads TOML as JSON. Dates become texts.
pub fn json_of_toml(text: &str) -> Result<Value, toml::de::Error> {
    fn plain(value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(flag) => flag.into(),
            toml::Value::Datetime(time) => time.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(plain).collect(),
            toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        }
    }
    toml::from_str::<toml::Table>(text).map(|table| plain(toml::Value::Table(table)))
}

struct Validator<'a> {
    root: &'a Value,
}

impl Validator<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(is_allowed) = schema.as_bool() {
            return if is_allowed { Ok(()) } else { Err(format!("{at}: not allowed")) };
        }
        let keywords = schema.as_object().expect("a schema is an object or a bool");
        for (keyword, wanted) in keywords {
            self.keyword(keyword, wanted, schema, value).map_err(|why| {
                if why.starts_with(['/', ':']) { format!("{at}{why}") } else { format!("{at}: {why}") }
            })?;
        }
        Ok(())
    }

    fn keyword(&self, keyword: &str, wanted: &Value, schema: &Value, value: &Value) -> Result<(), String> {
        let expect = |is_met: bool| {
            if is_met { Ok(()) } else { Err(format!("{value} does not meet {keyword} {wanted}")) }
        };
        let options = || wanted.as_array().expect("an array").iter();
        let number = || wanted.as_u64().expect("a number");
        match keyword {
            "$schema" | "title" | "description" | "definitions" | "format" => Ok(()),
            "$ref" => {
                let pointer =
                    wanted.as_str().and_then(|name| name.strip_prefix('#')).expect("a local reference");
                self.check(self.root.pointer(pointer).expect("a definition"), value, "")
            }
            "type" => match wanted {
                Value::Array(types) => expect(types.iter().any(|one| has_type(one, value))),
                one => expect(has_type(one, value)),
            },
            "const" => expect(value == wanted),
            "enum" => expect(options().any(|option| option == value)),
            "allOf" => options().try_for_each(|option| self.check(option, value, "")),
            "anyOf" => expect(options().any(|option| self.check(option, value, "").is_ok())),
            "oneOf" => expect(options().filter(|option| self.check(option, value, "").is_ok()).count() == 1),
            "minimum" => expect(value.as_f64().is_none_or(|n| n >= wanted.as_f64().expect("a number"))),
            "minItems" => expect(value.as_array().is_none_or(|items| items.len() as u64 >= number())),
            "minProperties" => expect(value.as_object().is_none_or(|map| map.len() as u64 >= number())),
            "maxProperties" => expect(value.as_object().is_none_or(|map| map.len() as u64 <= number())),
            "required" => expect(
                value
                    .as_object()
                    .is_none_or(|map| options().all(|key| map.contains_key(key.as_str().expect("a key")))),
            ),
            "pattern" => {
                let pattern = regex_lite::Regex::new(wanted.as_str().expect("text")).expect("a pattern");
                expect(value.as_str().is_none_or(|text| pattern.is_match(text)))
            }
            "items" => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                items
                    .iter()
                    .enumerate()
                    .try_for_each(|(nth, item)| self.check(wanted, item, &format!("/{nth}")))
            }
            "properties" => {
                let known = wanted.as_object().expect("an object").iter();
                known
                    .filter_map(|(key, schema)| Some((key, schema, value.get(key)?)))
                    .try_for_each(|(key, schema, inside)| self.check(schema, inside, &format!("/{key}")))
            }
            "additionalProperties" => {
                let is_known = |key: &str| schema["properties"].get(key).is_some();
                let others = value.as_object().into_iter().flatten().filter(|(key, _)| !is_known(key));
                others
                    .into_iter()
                    .try_for_each(|(key, inside)| self.check(wanted, inside, &format!("/{key}")))
            }
            other => panic!("the validator does not know `{other}`"),
        }
    }
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a type") {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("there is no type `{other}`"),
    }
}
