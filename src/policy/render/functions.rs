//! The functions and objects of render scripts.

use std::rc::Rc;

use rhai::{Engine, EvalAltResult};

use super::{
    super::api::{
        ApiFunction, ApiObject, ScriptApi, TimeView, Type, View as _, functions, mistake, register_functions,
        register_words,
    },
    super::engine::SETTINGS,
    outgoing_marker::{self, AttributesView, OutgoingMarkerView},
    reply::ReplyView,
    secret_template::{self, SecretTemplate},
};
use crate::{policy::api::StringMap, text};

/// The API of render scripts.
pub(in crate::policy) const RENDER: ScriptApi = ScriptApi {
    given: &[("render", &["marker"]), ("accepts", &["answer"]), ("probe", &[])],
    globals: &[(SETTINGS, Type::Object("texts"))],
    objects,
    functions: all_functions,
    sets_markers: false,
};

/// Functions that only render scripts have.
pub(in crate::policy) const FUNCTIONS: &[ApiFunction] = &[
    ApiFunction {
        name: "secret",
        takes: &[("name", Type::Text)],
        gives: Type::Object("secret"),
        about: "Returns a placeholder for one of the destination's `secrets`. It can be joined to strings \
                with `+`, and used in `path`, `query`, `headers`, and as a string in `body`. A script \
                cannot read its value.",
        example: r#"("Bearer " + secret("token")).to_string() == "[redacted]""#,
        register: |_, _| {},
    },
    ApiFunction {
        name: "url_encode",
        takes: &[("text", Type::Text)],
        gives: Type::Text,
        about: "Escapes a text for use as one segment of a path or a query: everything except letters, \
                digits and `-._~`.",
        example: r#"url_encode("a b/c") == "a%20b%2Fc""#,
        register: |engine, name| {
            engine.register_fn(name, text::segment);
        },
    },
    ApiFunction {
        name: "cut",
        takes: &[("text", Type::Text), ("length", Type::Int)],
        gives: Type::Text,
        about: "Shortens a text to at most this number of characters, of which the last is `…` if anything \
                was cut.",
        example: r#"cut("deployment", 7) == "deploy…" && cut("short", 7) == "short""#,
        register: |engine, name| {
            engine.register_fn(name, cut);
        },
    },
];

fn cut(text: &str, length: i64) -> String {
    let length = usize::try_from(length).unwrap_or_default();
    if text.chars().count() <= length {
        return text.to_string();
    }
    let mut cut: String = text.chars().take(length.saturating_sub(1)).collect();
    cut.extend((length > 0).then_some('…'));
    cut
}

/// Returns all objects of render scripts.
pub(in crate::policy) fn objects() -> Vec<ApiObject> {
    vec![
        ApiObject::of::<OutgoingMarkerView>(),
        ApiObject::of::<AttributesView>(),
        ApiObject::of::<ReplyView>(),
        ApiObject::of::<StringMap>(),
        ApiObject::of::<TimeView>(),
    ]
}

/// Returns all functions that are not methods, including those shared with policies.
fn all_functions() -> Vec<&'static ApiFunction> {
    // These create the return values of a policy and have no meaning here.
    let of_policies = functions().into_iter().filter(|function| !matches!(function.name, "mark" | "refuse"));
    FUNCTIONS.iter().chain(of_policies).collect()
}

/// Registers the API of render scripts. `secrets` are the names of the destination's secrets.
pub(in crate::policy) fn register(engine: &mut Engine, secrets: &[String]) {
    register_words::<OutgoingMarkerView>(engine);
    register_words::<ReplyView>(engine);
    outgoing_marker::register(engine);
    secret_template::register(engine);
    register_functions(engine, FUNCTIONS);
    register_functions(engine, AttributesView::METHODS);
    let secrets: Rc<[String]> = secrets.into();
    engine.register_fn("secret", move |name: &str| -> Result<SecretTemplate, Box<EvalAltResult>> {
        if secrets.iter().any(|known| known == name) {
            return Ok(SecretTemplate::secret(name));
        }
        let shown = text::line(name);
        let known: Vec<_> = secrets.iter().map(|known| format!("`{known}`")).collect();
        Err(mistake(if known.is_empty() {
            format!(
                "unknown secret `{shown}`: the destination has none; define it, as in `secrets = {{ \
                 {shown} = {{ file = \"/etc/...\" }} }}`"
            )
        } else {
            format!("unknown secret `{shown}`: the destination's `secrets` are {}", known.join(", "))
        }))
    });
}

#[cfg(test)]
mod tests;
