//! What a render script can call beside what every script can.

use std::rc::Rc;

use rhai::{Engine, EvalAltResult};

use super::{
    super::api::{
        Function, Object, TimeView, Type, View as _, functions, mistake, register_functions, register_words,
    },
    encode,
    reply::ReplyView,
    sealed::{self, Sealed},
    subject::{self, AttributesView, SubjectView},
};
use crate::{policy::api::Texts, text};

/// What the functions of a render script are given.
pub(in crate::policy) const GIVEN: &[(&str, &[&str])] =
    &[("render", &["marker"]), ("accepts", &["answer"]), ("probe", &[])];

/// The functions of render scripts only.
pub(in crate::policy) const FUNCTIONS: &[Function] = &[
    Function {
        name: "secret",
        takes: &[("name", Type::Text)],
        gives: Type::Object("secret"),
        about: "Stands for a secret of the destination's `secrets`. It can be joined with texts by `+`, and put into `path`, \
                `query`, `headers` and as a string into `body`; nothing can be read of it.",
        example: r#"("Bearer " + secret("token")).to_string() == "[redacted]""#,
        register: |_, _| {},
    },
    Function {
        name: "url_encode",
        takes: &[("text", Type::Text)],
        gives: Type::Text,
        about: "Returns the text as one part of a path or a query: everything but letters, digits and `-._~` is escaped.",
        example: r#"url_encode("a b/c") == "a%20b%2Fc""#,
        register: |engine, name| {
            engine.register_fn(name, encode::percent);
        },
    },
    Function {
        name: "cut",
        takes: &[("text", Type::Text), ("length", Type::Int)],
        gives: Type::Text,
        about: "Returns at most so many characters of the text, the last of them `…` if it has more.",
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

/// Returns every object that a render script can meet.
pub(in crate::policy) fn objects() -> Vec<Object> {
    vec![
        Object::of::<SubjectView>(),
        Object::of::<AttributesView>(),
        Object::of::<ReplyView>(),
        Object::of::<Texts>(),
        Object::of::<TimeView>(),
    ]
}

/// Returns every function that belongs to no object, those that policies have as well among them.
pub(in crate::policy) fn all_functions() -> impl Iterator<Item = &'static Function> {
    // What answers for a policy answers nothing here.
    let of_policies = functions().filter(|function| !matches!(function.name, "mark" | "refuse"));
    FUNCTIONS.iter().chain(of_policies)
}

/// Makes an engine know all of it; `secrets` are the names that there are.
pub(in crate::policy) fn register(engine: &mut Engine, secrets: &[String]) {
    register_words::<SubjectView>(engine);
    register_words::<ReplyView>(engine);
    subject::register(engine);
    sealed::register(engine);
    register_functions(engine, FUNCTIONS);
    register_functions(engine, AttributesView::METHODS);
    let secrets: Rc<[String]> = secrets.into();
    engine.register_fn("secret", move |name: &str| -> Result<Sealed, Box<EvalAltResult>> {
        if secrets.iter().any(|known| known == name) {
            return Ok(Sealed::secret(name));
        }
        let shown = text::line(name);
        let known: Vec<_> = secrets.iter().map(|known| format!("`{known}`")).collect();
        Err(mistake(if known.is_empty() {
            format!(
                "there is no secret `{shown}`: the destination has none; name it, as in \
                 `secrets = {{ {shown} = {{ file = \"/etc/...\" }} }}`"
            )
        } else {
            format!("there is no secret `{shown}`: the destination's `secrets` are {}", known.join(", "))
        }))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_shows_that_it_is_one() {
        for (length, expected) in [(-1, ""), (0, ""), (1, "…"), (3, "éa…"), (5, "éabcd"), (9, "éabcd")]
        {
            assert_eq!(cut("éabcd", length), expected);
        }
    }
}
