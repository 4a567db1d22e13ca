//! What the API says of a name, as `check` asks for it.

use std::collections::BTreeSet;

use rhai::Engine;

use super::Role;
use crate::{
    policy::{
        api::{self, Function, Object, Type},
        engine::SETTINGS,
        render,
    },
    text,
};

/// What can be asked of any value.
const OF_EVERYTHING: [&str; 4] = ["to_string", "to_debug", "type_of", "is_shared"];

/// Everything that a script may name.
pub(super) struct Known {
    pub role: Role,
    objects: Vec<Object>,
    /// Functions of the engine itself: they take and give what they will.
    of_rhai: BTreeSet<String>,
}

/// What is known of a word behind a dot.
pub(super) enum Said {
    /// It holds this.
    Holds(Type),
    /// The object has no such word; the nearest that it has.
    Unknown(Option<&'static str>),
}

impl Known {
    /// Asks the tables, and the engine for what it brings itself.
    pub fn of(engine: &Engine, role: Role) -> Self {
        let names = engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
        let objects = match role {
            Role::Policy => api::objects(),
            Role::Render => render::functions::objects(),
        };
        Self { role, objects, of_rhai: names.into_iter().collect() }
    }

    /// Returns what every function of the script sees.
    pub fn globals(&self) -> Vec<(String, Type)> {
        match self.role {
            Role::Policy => Vec::new(),
            Role::Render => vec![(SETTINGS.to_string(), Type::Object("texts"))],
        }
    }

    fn object(&self, holds: Type) -> Option<&Object> {
        match holds {
            Type::Object(name) => self.objects.iter().find(|object| object.name == name),
            Type::Maybe(of) => self.object(*of),
            _ => None,
        }
    }

    /// Returns what a word of a value of this type is, `None` if nobody can know.
    pub fn word(&self, of: Type, word: &str) -> Option<Said> {
        let object = self.object(of)?;
        // Its words are what strangers chose.
        if matches!(object.name, "texts" | "attributes") {
            let holds = if object.name == "texts" { &Type::Text } else { &Type::Any };
            return Some(Said::Holds(Type::Maybe(holds)));
        }
        let known = object.words.iter().find(|known| known.name == word);
        Some(match known {
            Some(known) => Said::Holds(known.holds),
            None => Said::Unknown(text::nearest(word, object.words.iter().map(|known| known.name))),
        })
    }

    /// Returns the method of a value of this type, or the nearest that there is; `None` if nobody can know.
    pub fn method(&self, of: Type, name: &str) -> Option<Result<&'static Function, Option<&'static str>>> {
        let object = self.object(of)?;
        if let Some(method) = object.methods.iter().find(|method| method.name == name) {
            return Some(Ok(method));
        }
        if OF_EVERYTHING.contains(&name) {
            return None;
        }
        // A word is a near miss as well: `update.title()`.
        let words = object.words.iter().map(|word| word.name);
        Some(Err(text::nearest(name, object.methods.iter().map(|method| method.name).chain(words))))
    }

    /// Returns our function of this name.
    pub fn function(&self, name: &str) -> Option<&'static Function> {
        self.functions().find(|function| function.name == name)
    }

    fn functions(&self) -> Box<dyn Iterator<Item = &'static Function>> {
        match self.role {
            Role::Policy => Box::new(api::functions()),
            Role::Render => Box::new(render::functions::all_functions()),
        }
    }

    /// Returns whether the engine has a function of this name.
    pub fn has(&self, name: &str) -> bool {
        self.of_rhai.contains(name)
    }

    /// Returns the function that a name was most likely meant to be.
    pub fn nearest_function<'a>(&'a self, name: &str, own: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let ours = self.functions().map(|function| function.name);
        let of_rhai = self.of_rhai.iter().map(String::as_str).filter(|name| is_word(name));
        text::nearest(name, ours.chain(own).chain(of_rhai))
    }
}

/// Operators and getters have names that no script writes.
fn is_word(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_')
}
