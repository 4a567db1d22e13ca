//! Explains calls that match no function: a wrong name, or wrong arguments.

use super::{ApiFunction, ScriptApi};
use crate::text::{self, Hinted};

/// Returns the error message for a call. `signature` is in Rhai's form, such as
/// `glob (i64, string)`.
pub(in crate::policy) fn missing(api: &ScriptApi, signature: &str) -> Hinted {
    let (name, found) = signature.split_once(" (").unwrap_or((signature, ")"));
    let found = plain(found.strip_suffix(')').unwrap_or(found));
    let (objects, functions) = ((api.objects)(), (api.functions)());
    let methods = || objects.iter().flat_map(|object| object.methods.iter().map(|m| (object.name, m)));
    let is_of_ours = |of: &str| found == of || found.starts_with(&format!("{of}, "));
    if let Some((of, method)) = methods().find(|(of, method)| method.name == name && is_of_ours(of)) {
        let found = found[of.len()..].trim_start_matches(", ");
        return wrong_arguments(method, found).into();
    }
    if let Some(function) = functions.iter().find(|function| function.name == name) {
        return wrong_arguments(function, &found).into();
    }
    let known = functions.iter().copied().chain(methods().map(|(_, method)| method));
    let known = known.map(|function| function.name);
    Hinted::near(format!("unknown function `{}`", text::line(format!("{name} ({found})"))), name, known)
}

fn wrong_arguments(function: &ApiFunction, found: &str) -> String {
    let takes: Vec<_> = function.takes.iter().map(|(name, takes)| format!("{name}: {takes}")).collect();
    let takes = if takes.is_empty() { "nothing".to_string() } else { takes.join(", ") };
    let found = if found.is_empty() { "nothing".to_string() } else { text::line(found) };
    format!("`{}` takes {takes}; found {found}", function.name)
}

/// Translates Rhai's type names into those of the reference.
pub(in crate::policy) fn plain(types: &str) -> String {
    types
        .split(", ")
        .map(|name| match name {
            "&str | ImmutableString | String" | "string" => "text",
            "i64" | "f64" => "number",
            "char" => "character",
            "Fn" => "function",
            "map" => "object map",
            other => other,
        })
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
