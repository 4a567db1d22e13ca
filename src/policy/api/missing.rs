//! What is wrong with a call that no function takes: another name, or other arguments.

use super::{super::render, Function, functions, objects};
use crate::text;

/// Returns what is wrong with a call, by the signature that Rhai tells of it: `glob (i64, string)`.
pub(in crate::policy) fn missing(signature: &str) -> String {
    let (name, found) = signature.split_once(" (").unwrap_or((signature, ")"));
    let found = plain(found.strip_suffix(')').unwrap_or(found));
    let methods =
        || objects().into_iter().flat_map(|object| object.methods.iter().map(move |m| (object.name, m)));
    let is_of_ours = |of: &str| found == of || found.starts_with(&format!("{of}, "));
    if let Some((of, method)) = methods().find(|(of, method)| method.name == name && is_of_ours(of)) {
        let found = found[of.len()..].trim_start_matches(", ");
        return wrong_arguments(method, found);
    }
    let of_renders = || render::functions::FUNCTIONS.iter();
    if let Some(function) = functions().chain(of_renders()).find(|function| function.name == name) {
        return wrong_arguments(function, &found);
    }
    let known = functions().chain(methods().map(|(_, method)| method)).map(|function| function.name);
    let shown = text::line(format!("{name} ({found})"));
    match text::nearest(name, known) {
        Some(near) if near != name => format!("there is no function `{shown}`, did you mean `{near}`?"),
        _ => format!("there is no function `{shown}`"),
    }
}

fn wrong_arguments(function: &Function, found: &str) -> String {
    let takes: Vec<_> = function.takes.iter().map(|(name, takes)| format!("{name}: {takes}")).collect();
    let takes = if takes.is_empty() { "nothing".to_string() } else { takes.join(", ") };
    let found = if found.is_empty() { "nothing".to_string() } else { text::line(found) };
    format!("`{}` takes {takes}; found {found}", function.name)
}

/// Returns types by the names that the reference has for them.
fn plain(types: &str) -> String {
    types
        .split(", ")
        .map(|name| match name {
            "&str | ImmutableString | String" | "string" => "text",
            "i64" => "number",
            "map" => "object map",
            other => other,
        })
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_told_beside_what_is_taken() {
        for (signature, told) in [
            (
                "glob (i64, &str | ImmutableString | String)",
                "`glob` takes pattern: text, text: text; found number, text",
            ),
            ("file (update)", "`file` takes path: text; found nothing"),
            ("describe (update, map)", "`describe` takes nothing; found object map"),
            ("globb (i64)", "there is no function `globb (number)`, did you mean `glob`?"),
            ("frobnicate ()", "there is no function `frobnicate ()`"),
        ] {
            assert_eq!(missing(signature), told);
        }
    }
}
