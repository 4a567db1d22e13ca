//! `answer` in `accepts`: what the server said to a request that it took.

use std::rc::Rc;

use rhai::Dynamic;

use super::{
    super::api::{Type, View, Word, word},
    json,
};

/// An answer as a script sees it.
#[derive(Clone)]
pub(in crate::policy) struct ReplyView(Rc<(u16, String)>);

impl ReplyView {
    pub fn new(status: u16, body: &str) -> Self {
        Self(Rc::new((status, body.to_string())))
    }
}

impl View for ReplyView {
    const NAME: &'static str = "answer";
    const ABOUT: &'static str =
        "What the server said, its first 64 KiB. `accepts` is asked only where the status is 2xx.";
    const WORDS: &'static [Word<Self>] = &[
        word("status", Type::Int, "the HTTP status", "answer.status == 200", |a| Ok(i64::from(a.0.0).into())),
        word("body", Type::Text, "the body", r#"answer.body.contains("ok")"#, |a| Ok(a.0.1.clone().into())),
        word(
            "json",
            Type::Any,
            "the body read as JSON, `()` if it is none; a word that it does not have is a mistake, so ask with `in` first",
            r#""ok" in answer.json && answer.json.ok"#,
            |a| Ok::<Dynamic, _>(json::read(&a.0.1)),
        ),
    ];
}
