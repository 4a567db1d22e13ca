//! Finds the position of a setting in the text of a configuration that was already read.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::problem::ConfigProblem;

/// Returns line and column of a setting, or of the deepest table on the way to it. The key after that
/// of an array of tables is the `name` of one of them.
pub fn place_of(source: &str, keys: &[&str]) -> Option<(usize, usize)> {
    let file = DeTable::parse(source).ok()?;
    let (mut at, mut table, mut keys) = (None, file.get_ref(), keys.iter());
    while let Some(key) = keys.next() {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else { break };
        at = Some(name.span());
        let inside = match value.get_ref() {
            DeValue::Table(inside) => Some(inside),
            DeValue::Array(tables) => {
                keys.next().and_then(|name| tables.iter().find_map(|table| named(table, name)))
            }
            _ => None,
        };
        let Some(inside) = inside else { break };
        table = inside;
    }
    at.map(|span| ConfigProblem::position(source, span.start))
}

/// Returns the table if it has this name.
fn named<'t, 'i>(value: &'t Spanned<DeValue<'i>>, wanted: &str) -> Option<&'t DeTable<'i>> {
    let DeValue::Table(table) = value.get_ref() else { return None };
    let is_name = |value: &DeValue<'_>| matches!(value, DeValue::String(name) if name == wanted);
    table.iter().any(|(key, value)| key.get_ref() == "name" && is_name(value.get_ref())).then_some(table)
}
