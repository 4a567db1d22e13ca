//! What `decide` and `guard` answer with: `mark`, `skip`, `refuse`. A wrong word in a mark is a mistake where it is
//! made.

use rhai::{Engine, EvalAltResult, Map, NativeCallContext};

use super::{
    super::{Rule, draft::Partial},
    word::{Function, Type, mistake},
};
use crate::text;

/// A marker that a script asks for.
#[derive(Clone)]
pub(in crate::policy) struct MarkAnswer {
    /// One a marker: an array of environments is a marker for each.
    pub partials: Vec<Partial>,
    pub by: Rule,
}

/// A script's refusal to make a marker.
#[derive(Clone)]
pub(in crate::policy) struct SkipAnswer {
    pub why: String,
    pub by: Rule,
}

/// A guard's refusal of a marker.
#[derive(Clone)]
pub(in crate::policy) struct RefuseAnswer {
    pub why: String,
    pub by: Rule,
}

/// Makes the engine know the answers, and `mark()` without a word.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<MarkAnswer>("mark")
        .register_type_with_name::<SkipAnswer>("skip")
        .register_type_with_name::<RefuseAnswer>("refusal")
        .register_fn("mark", |context: NativeCallContext<'_>| MarkAnswer {
            partials: vec![Partial::default()],
            by: Rule::calling(&context),
        });
}

/// The answers.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "mark",
        takes: &[("marker", Type::Map)],
        gives: Type::Object("mark"),
        about: "Asks for a marker. Every word may be left out: `kind`, `service`, `version`, `environment`, `title`, \
                `attributes`. An array of environments asks for a marker for each.",
        example: r#"fn decide(update) { mark(#{ kind: "deployment", environment: "prod" }) }"#,
        register: |engine, name| {
            engine.register_fn(name, |context: NativeCallContext<'_>, map: Map| {
                let partials = Partial::from_map(map).map_err(mistake)?;
                Ok::<_, Box<EvalAltResult>>(MarkAnswer { partials, by: Rule::calling(&context) })
            });
        },
    },
    Function {
        name: "skip",
        takes: &[("why", Type::Text)],
        gives: Type::Object("skip"),
        about: "Says that an update becomes no marker, and why; the journal keeps it.",
        example: r#"fn decide(update) { skip("only tags are watched") }"#,
        register: |engine, name| {
            engine.register_fn(name, |context: NativeCallContext<'_>, why: &str| SkipAnswer {
                why: text::line(why),
                by: Rule::calling(&context),
            });
        },
    },
    Function {
        name: "refuse",
        takes: &[("why", Type::Text)],
        gives: Type::Object("refusal"),
        about: "Refuses a marker in `guard`, and says why; the journal keeps it.",
        example: r#"fn guard(marker, update) { if marker.kind == "rollback" { refuse("ask first") } }"#,
        register: |engine, name| {
            engine.register_fn(name, |context: NativeCallContext<'_>, why: &str| RefuseAnswer {
                why: text::line(why),
                by: Rule::calling(&context),
            });
        },
    },
];
