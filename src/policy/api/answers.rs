//! The return values of `decide` and `guard`: `mark`, `skip` and `refuse`. An invalid mark fails in
//! the line that creates it.

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext};

use super::{
    super::Rule,
    marker_property::{MarkProperties, to_dynamic},
    property::{ApiFunction, Property, Type, View, maybe, mistake, register_words, word},
};
use crate::text;

/// A request for markers from a script.
#[derive(Clone)]
pub(in crate::policy) struct MarkAnswer {
    pub properties: MarkProperties,
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

/// Registers `mark()` without arguments.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("mark", |context: NativeCallContext<'_>| MarkAnswer {
        properties: MarkProperties::default(),
        by: Rule::calling(&context),
    });
}

/// Registers the properties of the return values, for scripts that amend the built-in decision.
pub(super) fn register_all(engine: &mut Engine) {
    register_words::<MarkAnswer>(engine);
    register_words::<SkipAnswer>(engine);
    register_words::<RefuseAnswer>(engine);
    engine.register_indexer_set(|mark: &mut MarkAnswer, word: ImmutableString, value: Dynamic| {
        mark.properties.set(&word, value).map_err(mistake)
    });
}

impl View for MarkAnswer {
    const NAME: &'static str = "mark";
    const ABOUT: &'static str = "What `mark(#{...})` returns, and `built_in::decide(update)`. Every property \
                                 can be set; `()` stands for one that is left out.";
    const WORDS: &'static [Property<Self>] = &[
        word(
            "kind",
            Type::Maybe(&Type::Text),
            "`change`, `release`, `deployment` or `rollback`",
            r#"mark(#{ kind: "release" }).kind == "release""#,
            |m| Ok(maybe(m.properties.partial().kind.map(|kind| kind.as_str().to_string()))),
        ),
        word("service", Type::Maybe(&Type::Text), "`service.name`", "mark().service == ()", |m| {
            Ok(maybe(m.properties.partial().service.clone()))
        }),
        word("version", Type::Maybe(&Type::Text), "`service.version`", "mark().version == ()", |m| {
            Ok(maybe(m.properties.partial().version.clone()))
        }),
        word(
            "environment",
            Type::Any,
            "`deployment.environment.name`, or an array of them",
            r#"mark(#{ environment: ["eu", "us"] }).environment == ["eu", "us"]"#,
            |m| Ok(m.properties.environment()),
        ),
        word(
            "title",
            Type::Maybe(&Type::Text),
            "the title, one line for people",
            "mark().title == ()",
            |m| Ok(maybe(m.properties.partial().title.clone())),
        ),
        word(
            "attributes",
            Type::Map,
            "the attributes, by name",
            r#"mark(#{ attributes: #{ "acme.team": "pay" } }).attributes["acme.team"] == "pay""#,
            |m| {
                let attributes = m.properties.partial().attributes.iter();
                Ok(attributes
                    .map(|(key, value)| (key.as_ref().into(), to_dynamic(value)))
                    .collect::<Map>()
                    .into())
            },
        ),
    ];
}

impl View for SkipAnswer {
    const NAME: &'static str = "skip";
    const ABOUT: &'static str = "What `skip(\"why\")` returns.";
    const WORDS: &'static [Property<Self>] =
        &[word("why", Type::Text, "the reason", r#"skip("an example").why == "an example""#, |s| {
            Ok(s.why.clone().into())
        })];
}

impl View for RefuseAnswer {
    const NAME: &'static str = "refusal";
    const ABOUT: &'static str = "What `refuse(\"why\")` returns.";
    const WORDS: &'static [Property<Self>] =
        &[word("why", Type::Text, "the reason", r#"refuse("an example").why == "an example""#, |r| {
            Ok(r.why.clone().into())
        })];
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
                let properties = MarkProperties::of(map).map_err(mistake)?;
                Ok::<_, Box<EvalAltResult>>(MarkAnswer { properties, by: Rule::calling(&context) })
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
