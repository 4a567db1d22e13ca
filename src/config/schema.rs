//! The JSON schema of a TOML file, from the types that read it.

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    json_schema,
    transform::{Transform, transform_subschemas},
};
use serde_json::Value;

use super::{
    raw::ConfigFile,
    units::{DurationText, SizeText},
};

/// Returns the JSON schema of the configuration.
pub fn schema() -> Schema {
    schema_of::<ConfigFile>("Configuration of gitea-lightstep")
}

/// Returns the JSON schema of files that are read as `T`. Editors of TOML know draft 7.
pub fn schema_of<T: JsonSchema>(title: &str) -> Schema {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    NoNull.transform(&mut schema);
    schema.insert("title".into(), title.into());
    schema
}

/// Removes `null`, which TOML does not have: a key is left out instead.
#[derive(Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        let is_null = |value: &Value| *value == "null" || value["type"] == "null";
        for keyword in ["type", "anyOf", "enum"] {
            if let Some(Value::Array(options)) = schema.get_mut(keyword) {
                options.retain(|option| !is_null(option) && !option.is_null());
                if let [only] = &options[..]
                    && keyword == "type"
                {
                    let only = only.clone();
                    schema.insert(keyword.into(), only);
                }
            }
        }
        schema.remove("default");
        transform_subschemas(self, schema);
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "a number with `ms`, `s`, `m`, `h` or `d`", "pattern": "^[0-9_]+ *(ms|s|m|h|d)$" })
    }
}

impl JsonSchema for SizeText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "a number with `B`, `KiB`, `MiB` or `GiB`", "pattern": "^[0-9_]+ *(B|KiB|MiB|GiB)$" })
    }
}
