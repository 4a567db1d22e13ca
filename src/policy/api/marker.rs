//! `marker` in `enrich` and `guard`: what it says can be read, and in `enrich` written.

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};

use super::{
    super::draft::{Draft, Word as DraftWord},
    word::{Type, View, Word, maybe, mistake, word},
};

/// A marker in a script.
#[derive(Clone)]
pub(in crate::policy) struct MarkerView {
    draft: Draft,
    is_closed: bool,
}

impl MarkerView {
    /// Makes the marker that `enrich` may write on.
    pub fn open(draft: Draft) -> Self {
        Self { draft, is_closed: false }
    }

    /// Makes the marker that `guard` may only read.
    pub fn closed(draft: Draft) -> Self {
        Self { draft, is_closed: true }
    }

    /// Returns what the script made of it.
    pub fn into_draft(self) -> Draft {
        self.draft
    }

    fn set(&mut self, word: &str, value: Dynamic) -> Result<(), Box<EvalAltResult>> {
        if self.is_closed {
            let message = "`guard` may not change a marker; return `#{ ... }` with the attributes to add, or `refuse(\"why\")`";
            return Err(mistake(message.to_string()));
        }
        DraftWord::parse(word).and_then(|word| self.draft.set(word, value)).map_err(mistake)
    }
}

/// Makes the engine write the words of a marker.
pub(super) fn register(engine: &mut Engine) {
    engine.register_indexer_set(|marker: &mut MarkerView, word: ImmutableString, value: Dynamic| {
        marker.set(&word, value)
    });
}

impl View for MarkerView {
    const NAME: &'static str = "marker";
    const ABOUT: &'static str =
        "A marker before it has an id. `enrich` may write on every word, `guard` reads only.";
    const WORDS: &'static [Word<Self>] = &[
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
        word("title", Type::Text, "the line that a person reads", "marker.title == update.title", |m| {
            Ok(m.draft.title.clone().into())
        }),
        word(
            "attributes",
            Type::Map,
            "what scripts added, by name; what every marker has of itself is not among it",
            r#"marker.attributes["acme.team"] == "pay""#,
            |m| Ok(m.draft.attributes_map().into()),
        ),
    ];
}
