//! String maps with names from outside, such as push options and trailers. Unlike with other
//! objects, reading an unknown name gives `()` and not an error.

use std::rc::Rc;

use rhai::{Engine, ImmutableString};

use super::property::{ApiFunction, Property, Type, View, list, maybe, number};

/// A string map, as seen by a script. A name can occur several times, and the entries keep their
/// order.
#[derive(Clone)]
pub(in crate::policy) struct StringMap(Rc<Vec<(String, String)>>);

impl StringMap {
    pub fn of<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(Rc::new(texts.map(|(name, text)| (name.to_string(), text.to_string())).collect()))
    }

    /// Creates the map of trailers. Their names are case-insensitive, so they are stored in lower
    /// case.
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

/// Registers the lookup by name. If a name occurs several times, the last entry counts.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<StringMap>(StringMap::NAME).register_indexer_get(
        |texts: &mut StringMap, name: ImmutableString| maybe(texts.all(&name).next_back().cloned()),
    );
}

impl View for StringMap {
    const NAME: &'static str = "texts";
    const ABOUT: &'static str = "Texts by name, such as push options and trailers. `texts.name` and \
                                 `texts[\"a-name\"]` return the last text of that name, or `()` if there \
                                 is none.";
    const WORDS: &'static [Property<Self>] = &[];
    const METHODS: &'static [ApiFunction] = &[
        ApiFunction {
            name: "all",
            takes: &[("name", Type::Text)],
            gives: Type::List(&Type::Text),
            about: "Returns all texts of this name.",
            example: r#"update.trailers.all("reviewed-by").len() == 2"#,
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self, name: &str| {
                    list(texts.all(name), |text| text.clone().into())
                });
            },
        },
        ApiFunction {
            name: "contains",
            takes: &[("name", Type::Text)],
            gives: Type::Bool,
            about: "Returns true if there is a text of this name, as does `\"name\" in texts`.",
            example: r#""deploy" in update.push.options"#,
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self, name: &str| texts.all(name).next().is_some());
            },
        },
        ApiFunction {
            name: "keys",
            takes: &[],
            gives: Type::List(&Type::Text),
            about: "Returns the names, sorted and without duplicates.",
            example: r#"update.push.options.keys() == ["deploy"]"#,
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self| {
                    list(texts.names(), |name| name.to_string().into())
                });
            },
        },
        ApiFunction {
            name: "len",
            takes: &[],
            gives: Type::Int,
            about: "Returns the number of names.",
            example: "update.push.options.len() == 1",
            register: |engine, name| {
                engine.register_fn(name, |texts: &mut Self| number(texts.names().len()));
            },
        },
    ];
}
