//! The `marker` object of `render`: a complete, read-only marker with its ids and time.

use std::{borrow::Cow, collections::BTreeMap, rc::Rc};

use rhai::{Dynamic, Engine, ImmutableString};

use super::super::api::{ApiFunction, Property, TimeView, Type, View, list, maybe, number, to_dynamic, word};
use crate::{
    marker::{Attributes, Kind, Marker, MarkerSource, Value, name},
    sys::time::Timestamp,
};

/// The marker, as seen by a script.
#[derive(Clone)]
pub(in crate::policy) struct OutgoingMarkerView {
    marker: Rc<Marker>,
    attributes: AttributesView,
}

impl OutgoingMarkerView {
    pub fn new(marker: &Marker) -> Self {
        Self { marker: Rc::new(marker.clone()), attributes: AttributesView::of(&marker.all_attributes()) }
    }
}

/// Returns a realistic marker for testing a script.
pub(super) fn sample(kind: Kind) -> Marker {
    let is_deployed = matches!(kind, Kind::Deployment | Kind::Rollback);
    let text = |text: &str| Some(text.to_string());
    Marker {
        id: "0f1e2d3c4b5a69788796a5b4c3d2e1f0".parse().expect("a valid id"),
        kind,
        service: "shop".into(),
        version: "1.4.2".into(),
        environment: is_deployed.then(|| "production".into()),
        time: Timestamp::from_second(1_795_687_200).unwrap_or_default(),
        title: "Take the discount before the tax".into(),
        trace_id: "5b8efff798038103d269b633813fc60c".parse().expect("a valid id"),
        links: Vec::new(),
        parent: None,
        is_repeat: false,
        interval: None,
        push: "01993b5e-0000-7000-8000-000000000000".parse().expect("a valid id"),
        source: MarkerSource {
            owner: text("acme"),
            repository: text("shop"),
            repository_url: text("https://git.example.com/acme/shop"),
            ref_name: text("main"),
            commit: text("5b3b7a0f4c0d6d1f4e2a8c7b9d0e1f2a3b4c5d6e"),
            pusher: text("ann"),
        },
        attributes: [(name::ON_DEFAULT_BRANCH.into(), Value::Bool(true))].into(),
    }
}

impl View for OutgoingMarkerView {
    const NAME: &'static str = "marker";
    const ABOUT: &'static str = "The marker to deliver. It is read-only.";
    const WORDS: &'static [Property<Self>] = &[
        word(
            "kind",
            Type::Text,
            "`change`, `release`, `deployment` or `rollback`",
            r#"marker.kind == "deployment""#,
            |m| Ok(m.marker.kind.as_str().into()),
        ),
        word("service", Type::Text, "`service.name`", r#"marker.service == "shop""#, |m| {
            Ok(m.marker.service.clone().into())
        }),
        word("version", Type::Text, "`service.version`", r#"marker.version == "1.4.2""#, |m| {
            Ok(m.marker.version.clone().into())
        }),
        word(
            "environment",
            Type::Maybe(&Type::Text),
            "`deployment.environment.name`",
            r#"marker.environment == "production""#,
            |m| Ok(maybe(m.marker.environment.clone())),
        ),
        word("title", Type::Text, "the title, one line for people", r#"marker.title.contains("tax")"#, |m| {
            Ok(m.marker.title.clone().into())
        }),
        word(
            "time",
            Type::Object("time"),
            "the time of the push, or the date of an old tag",
            "marker.time.year == 2026",
            |m| Ok(Dynamic::from(TimeView::new(m.marker.time))),
        ),
        word(
            "id",
            Type::Text,
            "32 hexadecimal digits, the same each time this marker is sent",
            "marker.id.len() == 32",
            |m| Ok(m.marker.id.to_string().into()),
        ),
        word("trace_id", Type::Text, "the trace id of the commit", "marker.trace_id.len() == 32", |m| {
            Ok(m.marker.trace_id.to_string().into())
        }),
        word("span_id", Type::Text, "the id of the marker's own span", "marker.span_id.len() == 16", |m| {
            Ok(m.marker.span_id().to_string().into())
        }),
        word(
            "repository",
            Type::Maybe(&Type::Text),
            "`owner/name` in Gitea",
            r#"marker.repository == "acme/shop""#,
            |m| Ok(maybe(m.marker.source.full_name())),
        ),
        word(
            "commit_id",
            Type::Maybe(&Type::Text),
            "the full commit id",
            "marker.commit_id.len() == 40",
            |m| Ok(maybe(m.marker.source.commit.clone())),
        ),
        word(
            "ref_name",
            Type::Maybe(&Type::Text),
            "the branch or tag, without `refs/heads/` or `refs/tags/`",
            r#"marker.ref_name == "main""#,
            |m| Ok(maybe(m.marker.source.ref_name.clone())),
        ),
        word("pusher", Type::Maybe(&Type::Text), "the pusher", r#"marker.pusher == "ann""#, |m| {
            Ok(maybe(m.marker.source.pusher.clone()))
        }),
        word(
            "url",
            Type::Maybe(&Type::Text),
            "the page of the commit in Gitea, if Gitea's URL is known",
            r#"marker.url.starts_with("https://git.example.com/")"#,
            |m| Ok(maybe(m.marker.source.commit_url())),
        ),
        word(
            "attributes",
            Type::Object("attributes"),
            "all attributes, by their names on the wire",
            r#"marker.attributes["user.name"] == "ann""#,
            |m| Ok(Dynamic::from(m.attributes.clone())),
        ),
    ];
}

/// The attributes of a marker. A script cannot know all of their names, so reading an unknown name
/// gives `()` and not an error.
#[derive(Clone)]
pub(super) struct AttributesView(Rc<BTreeMap<Cow<'static, str>, Dynamic>>);

impl AttributesView {
    fn of(attributes: &Attributes) -> Self {
        let attributes = attributes.iter().map(|(name, value)| (name.clone(), to_dynamic(value)));
        Self(Rc::new(attributes.collect()))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Dynamic)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

/// Registers the lookup of attributes by name.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<AttributesView>(AttributesView::NAME).register_indexer_get(
        |attributes: &mut AttributesView, name: ImmutableString| {
            attributes.0.get(name.as_str()).cloned().unwrap_or(Dynamic::UNIT)
        },
    );
}

impl View for AttributesView {
    const NAME: &'static str = "attributes";
    const ABOUT: &'static str = "Values by names such as `vcs.ref.head.name`. `attributes[\"a.name\"]` \
                                 returns the value, or `()` if there is none. In a `body` it becomes a \
                                 JSON object.";
    const WORDS: &'static [Property<Self>] = &[];
    const METHODS: &'static [ApiFunction] = &[
        ApiFunction {
            name: "contains",
            takes: &[("name", Type::Text)],
            gives: Type::Bool,
            about: "Returns true if there is an attribute of this name, as does `\"name\" in attributes`.",
            example: r#""user.name" in marker.attributes"#,
            register: |engine, name| {
                engine.register_fn(name, |attributes: &mut Self, name: &str| attributes.0.contains_key(name));
            },
        },
        ApiFunction {
            name: "keys",
            takes: &[],
            gives: Type::List(&Type::Text),
            about: "Returns the names, sorted.",
            example: r#"marker.attributes.keys().contains("user.name")"#,
            register: |engine, name| {
                engine.register_fn(name, |attributes: &mut Self| {
                    list(attributes.0.keys(), |name| name.as_ref().into())
                });
            },
        },
        ApiFunction {
            name: "len",
            takes: &[],
            gives: Type::Int,
            about: "Returns the number of attributes.",
            example: "marker.attributes.len() == 9",
            register: |engine, name| {
                engine.register_fn(name, |attributes: &mut Self| number(attributes.0.len()));
            },
        },
    ];
}
