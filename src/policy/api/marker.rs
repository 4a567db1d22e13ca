//! The `marker` object of `enrich` and `guard`. Both can read it, and only `enrich` can change it.

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::{
    super::draft::Draft,
    marker_property::{MarkerProperty, to_dynamic},
    property::{Property, Type, View, maybe, mistake, word},
};

/// A marker, as seen by a policy script.
#[derive(Clone)]
pub(in crate::policy) struct MarkerView {
    draft: Draft,
    is_closed: bool,
}

impl MarkerView {
    /// Creates the writable marker for `enrich`.
    pub fn open(draft: Draft) -> Self {
        Self { draft, is_closed: false }
    }

    /// Creates the read-only marker for `guard`.
    pub fn closed(draft: Draft) -> Self {
        Self { draft, is_closed: true }
    }

    /// Returns the draft with the script's changes.
    pub fn into_draft(self) -> Draft {
        self.draft
    }

    fn set(&mut self, word: &str, value: Dynamic) -> Result<(), Box<EvalAltResult>> {
        let property = MarkerProperty::parse(word).map_err(mistake)?;
        if !self.is_closed {
            return property.set(&mut self.draft, value).map_err(mistake);
        }
        // A method call such as `marker.attributes.len()` also sets the property, to what it was.
        let mut changed = self.draft.clone();
        property.set(&mut changed, value).map_err(mistake)?;
        if property == MarkerProperty::Attributes && changed == self.draft {
            return Ok(());
        }
        Err(mistake(
            "`guard` may not change a marker; return `#{ ... }` with the attributes to add, or \
             `refuse(\"why\")`",
        ))
    }
}

/// Registers the assignment to properties of a marker.
pub(super) fn register(engine: &mut Engine) {
    engine.register_indexer_set(|marker: &mut MarkerView, word: ImmutableString, value: Dynamic| {
        marker.set(&word, value)
    });
}

impl View for MarkerView {
    const NAME: &'static str = "marker";
    const ABOUT: &'static str =
        "A marker before it has an id. `enrich` may set every property; in `guard` they are read-only.";
    const WORDS: &'static [Property<Self>] = &[
        word(
            "kind",
            Type::Text,
            "`change`, `release`, `deployment` or `rollback`",
            r#"marker.kind == "deployment""#,
            |m| Ok(m.draft.kind.as_str().into()),
        ),
        word("service", Type::Text, "`service.name`", r#"marker.service == "shop""#, |m| {
            Ok(m.draft.service.clone().into())
        }),
        word("version", Type::Text, "`service.version`", "marker.version == update.commit_id", |m| {
            Ok(m.draft.version.clone().into())
        }),
        word(
            "environment",
            Type::Maybe(&Type::Text),
            "`deployment.environment.name`",
            r#"marker.environment == "prod""#,
            |m| Ok(maybe(m.draft.environment.clone())),
        ),
        word("title", Type::Text, "the title, one line for people", "marker.title == update.title", |m| {
            Ok(m.draft.title.clone().into())
        }),
        word(
            "attributes",
            Type::Map,
            "the attributes that scripts added, by name, without those that every marker has",
            r#"marker.attributes["acme.team"] == "pay""#,
            |m| {
                let attributes = m.draft.attributes.iter();
                let map = attributes.map(|(key, value)| (key.as_ref().into(), to_dynamic(value)));
                Ok(map.collect::<Map>().into())
            },
        ),
    ];
}
