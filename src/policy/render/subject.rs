//! `marker` in `render`: what is delivered, complete with ids and time. It can be read and no more.

use std::{borrow::Cow, collections::BTreeMap, rc::Rc};

use rhai::{Dynamic, Engine, ImmutableString};

use super::super::{
    Attributes, Kind, Value,
    api::{Function, TimeView, Type, View, Word, list, maybe, number, word},
};
use crate::time::Timestamp;

/// A marker as a render script gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// What it marks.
    pub kind: Kind,
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `deployment.environment.name`.
    pub environment: Option<String>,
    /// The line that a person reads.
    pub title: String,
    /// When the push was captured.
    pub time: Timestamp,
    /// The same for every attempt to deliver it.
    pub id: String,
    /// The trace of the commit, in hexadecimal digits.
    pub trace_id: String,
    /// The span of the marker, in hexadecimal digits.
    pub span_id: String,
    /// The owner and the name of the repository.
    pub repository: (Option<String>, Option<String>),
    /// The commit.
    pub commit_id: Option<String>,
    /// The short name of the branch or the tag.
    pub ref_name: Option<String>,
    /// Who pushed.
    pub pusher: Option<String>,
    /// The page of the commit in Gitea.
    pub url: Option<String>,
    /// Everything, by its name on the wire.
    pub attributes: Attributes,
}

impl Subject {
    /// Returns a marker that could be one, to try a script with.
    pub fn sample(kind: Kind) -> Self {
        let is_deployed = matches!(kind, Kind::Deployment | Kind::Rollback);
        let commit_id = "5b3b7a0f4c0d6d1f4e2a8c7b9d0e1f2a3b4c5d6e";
        let attributes = [
            ("vcs.owner.name", "acme"),
            ("vcs.repository.name", "shop"),
            ("vcs.repository.url.full", "https://git.example.com/acme/shop"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.head.revision", commit_id),
            ("user.name", "ann"),
        ];
        Self {
            kind,
            service: "shop".into(),
            version: "1.4.2".into(),
            environment: is_deployed.then(|| "production".into()),
            title: "Take the discount before the tax".into(),
            time: Timestamp::from_second(1_795_687_200).unwrap_or_default(),
            id: "0f1e2d3c4b5a69788796a5b4c3d2e1f0".into(),
            trace_id: "5b8efff798038103d269b633813fc60c".into(),
            span_id: "0f1e2d3c4b5a6978".into(),
            repository: (Some("acme".into()), Some("shop".into())),
            commit_id: Some(commit_id.into()),
            ref_name: Some("main".into()),
            pusher: Some("ann".into()),
            url: Some(format!("https://git.example.com/acme/shop/commit/{commit_id}")),
            attributes: attributes.map(|(name, text)| (name.into(), text.into())).into(),
        }
    }
}

/// The marker in a script.
#[derive(Clone)]
pub(in crate::policy) struct SubjectView {
    subject: Rc<Subject>,
    attributes: AttributesView,
}

impl SubjectView {
    pub fn new(subject: &Subject) -> Self {
        Self { subject: Rc::new(subject.clone()), attributes: AttributesView::of(&subject.attributes) }
    }
}

impl View for SubjectView {
    const NAME: &'static str = "marker";
    const ABOUT: &'static str = "What is delivered. A script reads it.";
    const WORDS: &'static [Word<Self>] = &[
        word(
            "kind",
            Type::Text,
            "`change`, `release`, `deployment` or `rollback`",
            r#"marker.kind == "deployment""#,
            |m| Ok(m.subject.kind.as_str().into()),
        ),
        word("service", Type::Text, "`service.name`", r#"marker.service == "shop""#, |m| {
            Ok(m.subject.service.clone().into())
        }),
        word("version", Type::Text, "`service.version`", r#"marker.version == "1.4.2""#, |m| {
            Ok(m.subject.version.clone().into())
        }),
        word(
            "environment",
            Type::Maybe(&Type::Text),
            "`deployment.environment.name`",
            r#"marker.environment == "production""#,
            |m| Ok(maybe(m.subject.environment.clone())),
        ),
        word("title", Type::Text, "the line that a person reads", r#"marker.title.contains("tax")"#, |m| {
            Ok(m.subject.title.clone().into())
        }),
        word("time", Type::Object("time"), "when the push came", "marker.time.year == 2026", |m| {
            Ok(Dynamic::from(TimeView::new(m.subject.time)))
        }),
        word(
            "id",
            Type::Text,
            "32 hexadecimal digits, the same whenever this marker is sent",
            "marker.id.len() == 32",
            |m| Ok(m.subject.id.clone().into()),
        ),
        word("trace_id", Type::Text, "the trace of the commit", "marker.trace_id.len() == 32", |m| {
            Ok(m.subject.trace_id.clone().into())
        }),
        word("span_id", Type::Text, "the marker's own span", "marker.span_id.len() == 16", |m| {
            Ok(m.subject.span_id.clone().into())
        }),
        word(
            "repository",
            Type::Maybe(&Type::Text),
            "`owner/name` in Gitea",
            r#"marker.repository == "acme/shop""#,
            |m| {
                let (owner, name) = &m.subject.repository;
                let full = name.as_ref().map(|name| match owner {
                    Some(owner) => format!("{owner}/{name}"),
                    None => name.clone(),
                });
                Ok(maybe(full))
            },
        ),
        word(
            "commit_id",
            Type::Maybe(&Type::Text),
            "the commit, in all its digits",
            "marker.commit_id.len() == 40",
            |m| Ok(maybe(m.subject.commit_id.clone())),
        ),
        word(
            "ref_name",
            Type::Maybe(&Type::Text),
            "the branch or the tag, without `refs/`",
            r#"marker.ref_name == "main""#,
            |m| Ok(maybe(m.subject.ref_name.clone())),
        ),
        word("pusher", Type::Maybe(&Type::Text), "who pushed", r#"marker.pusher == "ann""#, |m| {
            Ok(maybe(m.subject.pusher.clone()))
        }),
        word(
            "url",
            Type::Maybe(&Type::Text),
            "the page of the commit in Gitea, where its address is known",
            r#"marker.url.starts_with("https://git.example.com/")"#,
            |m| Ok(maybe(m.subject.url.clone())),
        ),
        word(
            "attributes",
            Type::Object("attributes"),
            "everything that it bears, by its name on the wire",
            r#"marker.attributes["user.name"] == "ann""#,
            |m| Ok(Dynamic::from(m.attributes.clone())),
        ),
    ];
}

/// What a marker bears, by names that no script can know all of: one that is not there is `()`, and no mistake.
#[derive(Clone)]
pub(super) struct AttributesView(Rc<BTreeMap<Cow<'static, str>, Dynamic>>);

impl AttributesView {
    fn of(attributes: &Attributes) -> Self {
        let held = |value: &Value| match value {
            Value::Bool(flag) => (*flag).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(texts) => list(texts, |text| text.clone().into()),
        };
        Self(Rc::new(attributes.iter().map(|(name, value)| (name.clone(), held(value))).collect()))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Dynamic)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

/// Makes an engine read attributes by name.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<AttributesView>(AttributesView::NAME).register_indexer_get(
        |attributes: &mut AttributesView, name: ImmutableString| {
            attributes.0.get(name.as_str()).cloned().unwrap_or(Dynamic::UNIT)
        },
    );
}

impl View for AttributesView {
    const NAME: &'static str = "attributes";
    const ABOUT: &'static str = "Values by names such as `vcs.ref.head.name`. `attributes[\"a.name\"]` is the value, and `()` \
                                 where there is none. As part of a `body` it is an object.";
    const WORDS: &'static [Word<Self>] = &[];
    const METHODS: &'static [Function] = &[
        Function {
            name: "contains",
            takes: &[("name", Type::Text)],
            gives: Type::Bool,
            about: "Returns whether there is one of this name; `\"name\" in attributes` asks the same.",
            example: r#""user.name" in marker.attributes"#,
            register: |engine, name| {
                engine.register_fn(name, |attributes: &mut Self, name: &str| attributes.0.contains_key(name));
            },
        },
        Function {
            name: "keys",
            takes: &[],
            gives: Type::List(&Type::Text),
            about: "Returns the names, sorted.",
            example: r#"marker.attributes.keys()[0] == "user.name""#,
            register: |engine, name| {
                engine.register_fn(name, |attributes: &mut Self| {
                    list(attributes.0.keys(), |name| name.as_ref().into())
                });
            },
        },
        Function {
            name: "len",
            takes: &[],
            gives: Type::Int,
            about: "Returns how many there are.",
            example: "marker.attributes.len() == 6",
            register: |engine, name| {
                engine.register_fn(name, |attributes: &mut Self| number(attributes.0.len()));
            },
        },
    ];
}
