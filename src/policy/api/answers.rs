//! The return values of `decide` and `guard`: `mark`, `skip` and `refuse`. An invalid mark fails in
//! the line that creates it.

use rhai::{Engine, EvalAltResult, Map, NativeCallContext};

use super::{
    super::{Rule, draft::Partial},
    marker_property::partials,
    property::{ApiFunction, Type, mistake},
};
use crate::text;

/// A request for markers from a script.
#[derive(Clone)]
pub(in crate::policy) struct MarkAnswer {
    /// One entry per marker. An array of environments becomes one entry for each.
    pub partials: Vec<Partial>,
    pub by: Rule,
}

/// A script's decision not to make a marker.
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

/// Registers the types of the return values, and `mark()` without arguments.
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

/// Functions that create the return values.
pub(super) const FUNCTIONS: &[ApiFunction] = &[
    ApiFunction {
        name: "mark",
        takes: &[("marker", Type::Map)],
        gives: Type::Object("mark"),
        about: "Asks for a marker. Every property is optional: `kind`, `service`, `version`, \
                `environment`, `title`, \
                `attributes`. An array as `environment` asks for one marker per environment.",
        example: r#"fn decide(update) { mark(#{ kind: "deployment", environment: "prod" }) }"#,
        register: |engine, name| {
            engine.register_fn(name, |context: NativeCallContext<'_>, map: Map| {
                let partials = partials(map).map_err(mistake)?;
                Ok::<_, Box<EvalAltResult>>(MarkAnswer { partials, by: Rule::calling(&context) })
            });
        },
    },
    ApiFunction {
        name: "skip",
        takes: &[("why", Type::Text)],
        gives: Type::Object("skip"),
        about: "Skips an update, so that it gets no marker. The reason goes into the journal.",
        example: r#"fn decide(update) { skip("only tags are watched") }"#,
        register: |engine, name| {
            engine.register_fn(name, |context: NativeCallContext<'_>, why: &str| SkipAnswer {
                why: text::line(why),
                by: Rule::calling(&context),
            });
        },
    },
    ApiFunction {
        name: "refuse",
        takes: &[("why", Type::Text)],
        gives: Type::Object("refusal"),
        about: "Refuses a marker in `guard`. The reason goes into the journal.",
        example: r#"fn guard(marker, update) { if marker.kind == "rollback" { refuse("ask first") } }"#,
        register: |engine, name| {
            engine.register_fn(name, |context: NativeCallContext<'_>, why: &str| RefuseAnswer {
                why: text::line(why),
                by: Rule::calling(&context),
            });
        },
    },
];
