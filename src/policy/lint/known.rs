//! Looks up names in the API for `check`.

use std::collections::BTreeSet;

use crate::{
    policy::{
        api::{ApiFunction, ApiObject, ScriptApi, Type},
        engine::ScriptEngine,
    },
    text,
};

/// Methods that every value has.
const OF_EVERYTHING: [&str; 4] = ["to_string", "to_debug", "type_of", "is_shared"];

/// All names that a script may use.
pub(super) struct KnownNames {
    pub api: &'static ScriptApi,
    objects: Vec<ApiObject>,
    functions: Vec<&'static ApiFunction>,
    /// Functions of the engine itself. Their parameter and result types are unknown.
    of_rhai: BTreeSet<String>,
}

/// The result of looking up a property or a method of an object.
pub(super) enum Lookup<T> {
    /// The object has it.
    Found(T),
    /// The object does not have it. Holds the most similar name.
    Missing(Option<&'static str>),
    /// The type of the object is not known.
    Unknown,
}

impl KnownNames {
    /// Collects the names from the API tables and from the engine.
    pub fn of(engine: &ScriptEngine) -> Self {
        let api = engine.api();
        let (objects, functions) = ((api.objects)(), (api.functions)());
        Self { api, objects, functions, of_rhai: engine.function_names() }
    }

    fn object(&self, holds: Type) -> Option<&ApiObject> {
        match holds {
            Type::Object(name) => self.objects.iter().find(|object| object.name == name),
            Type::Maybe(of) => self.object(*of),
            _ => None,
        }
    }

    /// Looks up a property of a value of this type.
    pub fn word(&self, of: Type, word: &str) -> Lookup<Type> {
        let Some(object) = self.object(of) else { return Lookup::Unknown };
        // Their names come from pushers or from the configuration, so every name is valid.
        if matches!(object.name, "texts" | "attributes") {
            let holds = if object.name == "texts" { &Type::Text } else { &Type::Any };
            return Lookup::Found(Type::Maybe(holds));
        }
        match object.words.iter().find(|known| known.name == word) {
            Some(known) => Lookup::Found(known.holds),
            None => Lookup::Missing(text::nearest(word, object.words.iter().map(|known| known.name))),
        }
    }

    /// Looks up a method of a value of this type.
    pub fn method(&self, of: Type, name: &str) -> Lookup<&'static ApiFunction> {
        let Some(object) = self.object(of) else { return Lookup::Unknown };
        match object.methods.iter().find(|method| method.name == name) {
            Some(method) => Lookup::Found(method),
            None if OF_EVERYTHING.contains(&name) => Lookup::Unknown,
            None => {
                // Suggest properties too: `update.title()` means `update.title`.
                let words = object.words.iter().map(|word| word.name);
                Lookup::Missing(text::nearest(
                    name,
                    object.methods.iter().map(|method| method.name).chain(words),
                ))
            }
        }
    }

    /// Returns the host function with this name. Of several, returns the one that takes `given`
    /// arguments, or else the first.
    pub fn function(&self, name: &str, given: usize) -> Option<&'static ApiFunction> {
        let mut named = self.functions.iter().filter(|function| function.name == name);
        let exact = named.clone().find(|function| function.takes.len() == given);
        exact.or_else(|| named.next()).copied()
    }

    /// Returns true if the engine has a function with this name.
    pub fn has(&self, name: &str) -> bool {
        self.of_rhai.contains(name)
    }

    /// Returns the known function with the most similar name.
    pub fn nearest_function<'a>(&'a self, name: &str, own: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let ours = self.functions.iter().map(|function| function.name);
        let of_rhai = self.of_rhai.iter().map(String::as_str).filter(|name| is_word(name));
        text::nearest(name, ours.chain(own).chain(of_rhai))
    }
}

/// Returns false for the internal names of operators and getters, which scripts cannot write.
fn is_word(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_')
}
