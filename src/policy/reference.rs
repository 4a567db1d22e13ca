//! Generates the API reference for people and for editors, from the tables that the engine itself
//! is built from.

use std::fmt::Write as _;

use super::{
    api::{ApiFunction, ApiObject, PropertyInfo, Type, functions, objects},
    render,
};

/// Returns the reference of all objects and functions as Markdown. It is the generated part of
/// `docs/policy.md`.
pub fn reference() -> String {
    tables(functions(), objects())
}

/// Returns the reference of what only render scripts have, as Markdown. It is a generated part of
/// `docs/destinations.md`.
pub fn render_reference() -> String {
    let is_of_policies = |object: &ApiObject| objects().iter().any(|known| known.about == object.about);
    let objects = render::functions::objects().into_iter().filter(|object| !is_of_policies(object));
    tables(render::functions::FUNCTIONS, objects)
}

fn tables<'a>(
    functions: impl IntoIterator<Item = &'a ApiFunction>,
    objects: impl IntoIterator<Item = ApiObject>,
) -> String {
    let mut text = String::from("### Functions\n\n");
    table(&mut text, "function", functions.into_iter().map(|function| of_function(function, None)));
    for object in objects {
        let _ = write!(text, "\n### `{}`\n\n{}\n\n", object.name, object.about);
        if !object.words.is_empty() {
            table(&mut text, "property", object.words.iter().map(of_word));
        }
        if !object.methods.is_empty() {
            if !object.words.is_empty() {
                text.push('\n');
            }
            let methods = object.methods.iter().map(|method| of_function(method, Some(object.name)));
            table(&mut text, "method", methods);
        }
    }
    text
}

/// Returns the definitions of all objects and functions for the Rhai language server (rhai.rs/book,
/// "Definition Files").
pub fn definitions() -> String {
    let mut text = String::from("module static;\n");
    for object in objects() {
        let owner = object.name;
        for word in &object.words {
            let PropertyInfo { name, holds, about, example } = word;
            let _ = write!(
                text,
                "\n/// {about}\n///\n/// `{example}`\nfn get {name}({owner}: {owner}) -> {};\n",
                rhai(*holds)
            );
        }
        for method in object.methods {
            definition(&mut text, method, Some(owner));
        }
    }
    functions().into_iter().for_each(|function| definition(&mut text, function, None));
    text
}

fn definition(text: &mut String, function: &ApiFunction, owner: Option<&str>) {
    let owner = owner.map(|owner| format!("{owner}: {owner}"));
    let takes = function.takes.iter().map(|(name, takes)| format!("{name}: {}", rhai(*takes)));
    let takes: Vec<_> = owner.into_iter().chain(takes).collect();
    let ApiFunction { name, gives, about, example, .. } = function;
    let takes = takes.join(", ");
    let _ = write!(text, "\n/// {about}\n///\n/// `{example}`\nfn {name}({takes}) -> {};\n", rhai(*gives));
}

/// Returns the name of a type in Rhai's definition files.
fn rhai(holds: Type) -> String {
    match holds {
        Type::Text => "String".into(),
        Type::Int => "int".into(),
        Type::Bool => "bool".into(),
        Type::Nothing => "()".into(),
        Type::Map => "Map".into(),
        Type::Any => "?".into(),
        Type::Object(name) => name.into(),
        Type::List(_) => "Array".into(),
        Type::Maybe(of) => rhai(*of),
    }
}

fn table(text: &mut String, of: &str, rows: impl Iterator<Item = String>) {
    let _ = write!(text, "| {of} | type | description | example |\n|---|---|---|---|\n");
    rows.for_each(|row| text.push_str(&row));
}

fn of_word(word: &PropertyInfo) -> String {
    let PropertyInfo { name, holds, about, example } = word;
    format!("| `{name}` | {holds} | {} | {} |\n", cell(about), code(example))
}

fn of_function(function: &ApiFunction, owner: Option<&str>) -> String {
    let ApiFunction { name, takes, gives, about, example, .. } = function;
    let takes: Vec<_> = takes.iter().map(|(name, takes)| format!("{name}: {}", plain(*takes))).collect();
    let dot = if owner.is_some() { "." } else { "" };
    format!("| `{dot}{name}({})` | {gives} | {} | {} |\n", takes.join(", "), cell(about), code(example))
}

/// Returns a type's name for use inside a code span, without its own backticks.
fn plain(holds: Type) -> String {
    holds.to_string().replace('`', "")
}

/// Formats code for a table cell. Code that contains backticks is enclosed in two.
fn code(source: &str) -> String {
    let source = cell(source);
    if source.contains('`') { format!("`` {source} ``") } else { format!("`{source}`") }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
