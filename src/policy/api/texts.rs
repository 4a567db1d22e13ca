//! Texts by names that somebody else chose: push options, trailers. Unlike a word of ours, one that is not there
//! is nothing, and no mistake.

use std::rc::Rc;

use rhai::{Engine, ImmutableString};

use super::word::{Function, Type, View, Word, list, maybe, number};

/// Texts by their names in a script, in the order in which they were said.
#[derive(Clone)]
pub(in crate::policy) struct Texts(Rc<Vec<(String, String)>>);

impl Texts {
    pub fn of<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(Rc::new(texts.map(|(name, text)| (name.to_string(), text.to_string())).collect()))
    }

    /// Makes the texts of trailers, whose names have no case.
    pub fn of_trailers(trailers: &[(String, String)]) -> Self {
        Self(Rc::new(trailers.iter().map(|(name, text)| (name.to_lowercase(), text.clone())).collect()))
    }

    fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a String> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, text)| text)
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Makes the engine read a text by its name; of several of one name, the last one counts.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Texts>(Texts::NAME).register_indexer_get(
        |texts: &mut Texts, name: ImmutableString| maybe(texts.all(&name).next_back().cloned()),
    );
}

impl View for Texts {
    const NAME: &'static str = "texts";
    const ABOUT: &'static str = "Texts by names that somebody else chose. `texts.name` and `texts[\"a-name\"]` is the text, of \
                                 several the last, and `()` where there is none.";
    const WORDS: &'static [Word<Self>] = &[];
    const METHODS: &'static [Function] = &[
        Function {
            name: "all",
            takes: &[("name", Type::Text)],
            gives: Type::List(&Type::Text),
            about: "Returns every text of this name.",
            example: r#"update.trailers.all("reviewed-by").len() == 2"#,
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self, name: &str| {
                    list(texts.all(name), |text| text.clone().into())
                });
            },
        },
        Function {
            name: "contains",
            takes: &[("name", Type::Text)],
            gives: Type::Bool,
            about: "Returns whether there is a text of this name; `\"name\" in texts` asks the same.",
            example: r#""deploy" in update.push.options"#,
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self, name: &str| texts.all(name).next().is_some());
            },
        },
        Function {
            name: "keys",
            takes: &[],
            gives: Type::List(&Type::Text),
            about: "Returns the names, each once and sorted.",
            example: r#"update.push.options.keys() == ["deploy"]"#,
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self| {
                    list(texts.names(), |name| name.to_string().into())
                });
            },
        },
        Function {
            name: "len",
            takes: &[],
            gives: Type::Int,
            about: "Returns how many names there are.",
            example: "update.push.options.len() == 1",
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self| number(texts.names().len()));
            },
        },
    ];
}
