//! Calls in a script: whether there is such a function or method, and whether it is given what it takes.

use rhai::{Dynamic, Expr, FnCallExpr, FnPtr, Position};

use super::{
    finding::Finding,
    walk::{Walk, element, name_of},
};
use crate::{
    policy::{
        api::{Function, Type},
        draft,
    },
    text,
};

/// What Rhai calls like functions, and are none (rhai.rs/book, "Keywords").
const KEYWORDS: [&str; 9] =
    ["print", "debug", "type_of", "call", "curry", "Fn", "is_shared", "is_def_fn", "is_def_var"];

/// Functions of arrays that hand their elements to a function.
const TAKE_ELEMENTS: [&str; 9] =
    ["map", "filter", "some", "all", "for_each", "find", "find_map", "index_of", "retain"];

/// Functions of arrays that give some of their elements.
const KEEP_ELEMENTS: [&str; 5] = ["filter", "extract", "take", "rev", "clone"];

/// Returns what a function of an array gives, as far as it is an array of the same.
fn kept(of: Type, name: &str) -> Type {
    match of {
        Type::List(_) if KEEP_ELEMENTS.contains(&name) => of,
        Type::List(element) if name == "find" => Type::Maybe(element),
        _ => Type::Any,
    }
}

impl Walk<'_> {
    pub(super) fn method(&mut self, of: Type, call: &FnCallExpr, at: Position) -> Type {
        self.all(&call.args);
        self.closures(of, call);
        let (name, given) = (&*call.name, call.args.len());
        if self.is_own(name) {
            return Type::Any;
        }
        if let Some(function) = self.known.function(name) {
            return self.calls(function, given + 1, 1, at);
        }
        match self.known.method(of, name) {
            Some(Ok(method)) => self.calls(method, given, 0, at),
            Some(Err(Some(word))) if word == name => {
                let message = format!("`{name}` of `{}` is a word and no method", name_of(of));
                self.find(Finding::at(at, name.len(), message).fixed_by("write it without `()`"));
                Type::Any
            }
            Some(Err(near)) => {
                let message = format!("`{}` has no method `{}`", name_of(of), text::line(name));
                self.find_near(at, name, message, near.map(str::to_string));
                Type::Any
            }
            None if self.known.has(name) => kept(of, name),
            None => self.unknown_function(name, at),
        }
    }

    pub(super) fn call(&mut self, call: &FnCallExpr, at: Position) -> Type {
        let held: Vec<Type> = call.args.iter().map(|arg| self.expression(arg)).collect();
        let name = &*call.name;
        if call.op_token.is_some() {
            return if matches!(name, "==" | "!=" | "<" | "<=" | ">" | ">=" | "!" | "contains") {
                Type::Bool
            } else {
                Type::Any
            };
        }
        if !call.namespace.is_empty() {
            return Type::Any;
        }
        if name == "mark" {
            call.args.iter().for_each(|arg| self.mark(arg));
        }
        if self.is_own(name) {
            self.learn(name, &held);
            return Type::Any;
        }
        match self.known.function(name) {
            // `mark()` alone is a mark, too.
            Some(function) if name == "mark" && held.is_empty() => function.gives,
            Some(function) => self.calls(function, held.len(), 0, at),
            None if self.known.has(name) || KEYWORDS.contains(&name) => Type::Any,
            None => self.unknown_function(name, at),
        }
    }

    /// Checks how many arguments a function of ours is given; the first of them may stand before a dot.
    fn calls(&mut self, function: &Function, given: usize, before_dot: usize, at: Position) -> Type {
        let takes = function.takes.len();
        if given != takes {
            let takes: Vec<_> = function.takes.iter().map(|(name, _)| *name).collect();
            let names = if takes.is_empty() {
                String::new()
            } else {
                format!(": {}", takes[before_dot.min(takes.len())..].join(", "))
            };
            let message = format!(
                "`{}` takes {}{names}, found {}",
                function.name,
                text::count(takes.len().saturating_sub(before_dot), "argument"),
                given.saturating_sub(before_dot),
            );
            self.find(Finding::at(at, function.name.len(), message));
        }
        function.gives
    }

    fn unknown_function(&mut self, name: &str, at: Position) -> Type {
        let own = self.functions.iter().map(|function| &*function.name).filter(|name| !name.contains('$'));
        let near = self.known.nearest_function(name, own).map(str::to_string);
        let message = format!("there is no function `{}`", text::line(name));
        self.find_near(at, name, message, near);
        Type::Any
    }

    /// Checks the words of `mark(#{...})`.
    fn mark(&mut self, arg: &Expr) {
        let Expr::Map(map, _) = arg else { return };
        for (word, value) in &map.0 {
            match draft::Word::parse(&word.name) {
                Err(why) => self.find(Finding::at(word.pos, word.name.chars().count(), why)),
                Ok(draft::Word::Kind) => self.kind(value),
                Ok(_) => {}
            }
        }
    }

    pub(super) fn kind(&mut self, value: &Expr) {
        if let Expr::StringConstant(kind, at) = value
            && draft::Kind::parse(kind).is_none()
        {
            // The quotation marks belong to it.
            self.find(Finding::at(*at, kind.chars().count() + 2, draft::unknown_kind(kind)));
        }
    }

    /// Learns what a function that the script hands over is called with: an element of the list before the dot.
    fn closures(&mut self, of: Type, call: &FnCallExpr) {
        if !TAKE_ELEMENTS.contains(&&*call.name) || !matches!(of, Type::List(_)) {
            return;
        }
        for arg in &call.args {
            if let Expr::DynamicConstant(value, _) = arg
                && let Some(function) = Dynamic::clone(value).try_cast::<FnPtr>()
            {
                self.learn(function.fn_name(), &[element(of)]);
            }
        }
    }

    fn learn(&mut self, name: &str, held: &[Type]) {
        let params = self.learned.entry(name.to_string()).or_insert_with(|| vec![None; held.len()]);
        for (param, held) in params.iter_mut().zip(held) {
            *param = match *param {
                None => Some(*held),
                Some(known) if known == *held => Some(known),
                Some(_) => Some(Type::Any),
            };
        }
    }

    fn is_own(&self, name: &str) -> bool {
        self.functions.iter().any(|function| &*function.name == name)
    }
}
