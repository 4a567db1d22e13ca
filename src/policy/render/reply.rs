//! The `answer` object of `accepts`: the server's response to a successful request.

use std::rc::Rc;

use super::{
    super::api::{Property, Type, View, word},
    json,
};

/// A response, as seen by a script.
#[derive(Clone)]
pub(in crate::policy) struct ReplyView(Rc<(u16, String)>);

impl ReplyView {
    pub fn new(status: u16, body: &str) -> Self {
        Self(Rc::new((status, body.to_string())))
    }
}

impl View for ReplyView {
    const NAME: &'static str = "answer";
    const ABOUT: &'static str = "The server's response, with the first 64 KiB of its body. \
                                 `accepts` is called only if the status is 2xx.";
    const WORDS: &'static [Property<Self>] = &[
        word("status", Type::Int, "the HTTP status", "answer.status == 200", |a| Ok(i64::from(a.0.0).into())),
        word("body", Type::Text, "the body", r#"answer.body.contains("ok")"#, |a| Ok(a.0.1.clone().into())),
        word(
            "json",
            Type::Any,
            "the body parsed as JSON, `()` if it is not JSON; reading a missing property is an error, so \
             check with `in` first",
            r#""ok" in answer.json && answer.json.ok"#,
            |a| json::read(&a.0.1),
        ),
    ];
}
