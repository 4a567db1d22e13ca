//! Checks calls: that the function or method exists, and that it gets the right number of
//! arguments.

use rhai::{Dynamic, Expr, FnCallExpr, FnPtr, Position};

use super::{
    known::Lookup,
    walk::{LintWalk, element, name_of},
};
use crate::{
    marker::Kind,
    policy::{
        LintFinding,
        api::{self, ApiFunction, MarkerProperty, Type},
    },
    text,
};

/// Rhai keywords that are written like function calls (rhai.rs/book, "Keywords").
const KEYWORDS: [&str; 9] =
    ["print", "debug", "type_of", "call", "curry", "Fn", "is_shared", "is_def_fn", "is_def_var"];

/// Array functions that pass their elements to a function.
const TAKE_ELEMENTS: [&str; 9] =
    ["map", "filter", "some", "all", "for_each", "find", "find_map", "index_of", "retain"];

/// Array functions that return an array of the same elements.
const KEEP_ELEMENTS: [&str; 5] = ["filter", "extract", "take", "rev", "clone"];

/// Returns the result type of an array function, if it follows from the array's type.
fn kept(of: Type, name: &str) -> Type {
    match of {
        Type::List(_) if KEEP_ELEMENTS.contains(&name) => of,
        Type::List(element) if name == "find" => Type::Maybe(element),
        _ => Type::Any,
    }
}

impl LintWalk<'_> {
    pub(super) fn method(&mut self, of: Type, call: &FnCallExpr, at: Position) -> Type {
        let held: Vec<Type> = call.args.iter().map(|arg| self.expression(arg)).collect();
        self.closures(of, call);
        let name = &*call.name;
        if self.is_own(name) {
            return Type::Any;
        }
        if let Some(function) = self.known.function(name, held.len() + 1) {
            let held: Vec<Type> = [of].into_iter().chain(held).collect();
            return self.calls(function, &held, 1, at);
        }
        match self.known.method(of, name) {
            Lookup::Found(method) => self.calls(method, &held, 0, at),
            Lookup::Missing(Some(word)) if word == name => {
                let message = format!("`{name}` of `{}` is a property, not a method", name_of(of));
                self.find(LintFinding::at(at, name.len(), message).fixed_by("write it without `()`"));
                Type::Any
            }
            Lookup::Missing(near) => {
                let message = format!("`{}` has no method `{}`", name_of(of), text::line(name));
                self.find_near(at, name, message, near);
                Type::Any
            }
            Lookup::Unknown if self.known.has(name) || KEYWORDS.contains(&name) => kept(of, name),
            Lookup::Unknown => self.unknown_function(name, at),
        }
    }

    pub(super) fn call(&mut self, call: &FnCallExpr, at: Position) -> Type {
        let held: Vec<Type> = call.args.iter().map(|arg| self.expression(arg)).collect();
        let name = &*call.name;
        if call.op_token.is_some() {
            if name == "+" && held.first() == Some(&Type::Text) {
                return Type::Text;
            }
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
        match self.known.function(name, held.len()) {
            // `mark()` without arguments is valid as well.
            Some(function) if name == "mark" && held.is_empty() => function.gives,
            Some(function) => self.calls(function, &held, 0, at),
            None if self.known.has(name) || KEYWORDS.contains(&name) => Type::Any,
            None => self.unknown_function(name, at),
        }
    }

    /// Checks the arguments of a host function. The first argument may be written before
    /// the dot.
    fn calls(&mut self, function: &ApiFunction, held: &[Type], before_dot: usize, at: Position) -> Type {
        let (takes, given) = (function.takes.len(), held.len());
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
            self.find(LintFinding::at(at, function.name.len(), message));
        } else {
            self.takes(function, held, at);
        }
        function.gives
    }

    fn unknown_function(&mut self, name: &str, at: Position) -> Type {
        let own = self.functions.iter().map(|function| &*function.name).filter(|name| !name.contains('$'));
        let near = self.known.nearest_function(name, own);
        self.find_near(at, name, format!("unknown function `{}`", text::line(name)), near);
        Type::Any
    }

    /// Checks the properties of `mark(#{...})`.
    fn mark(&mut self, arg: &Expr) {
        let Expr::Map(map, _) = arg else { return };
        for (word, value) in &map.0 {
            match MarkerProperty::parse(&word.name) {
                Err(why) => self.find(LintFinding::at(word.pos, word.name.chars().count(), why)),
                Ok(MarkerProperty::Kind) => self.kind(value),
                Ok(_) => {}
            }
        }
    }

    pub(super) fn kind(&mut self, value: &Expr) {
        if let Expr::StringConstant(kind, at) = value
            && Kind::parse(kind).is_none()
        {
            // Include the quotation marks in the width.
            self.find(LintFinding::at(*at, kind.chars().count() + 2, api::unknown_kind(kind)));
        }
    }

    /// Records the parameter type of a function passed to an array function: an element of the
    /// array.
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
