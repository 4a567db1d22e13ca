//! Names the types of values in the terms of the reference.

use std::borrow::Cow;

use rhai::Dynamic;

use super::objects;

/// Returns the type of a value for a message, such as "a number".
pub(in crate::policy) fn type_of(value: &Dynamic) -> Cow<'static, str> {
    let kind = match value {
        value if value.is_unit() => "`()`",
        value if value.is_int() => "a number",
        value if value.is_float() => "a number with a fraction",
        value if value.is_bool() => "a bool",
        value if value.is_char() => "a character",
        value if value.is_string() => "a text",
        value if value.is_array() => "an array",
        value if value.is_map() => "an object map",
        value if value.is_fnptr() => "a function",
        _ => {
            let object = objects().into_iter().find(|object| object.rust_type == value.type_name());
            return object
                .map_or("an object".into(), |object| format!("the object `{}`", object.name).into());
        }
    };
    kind.into()
}
