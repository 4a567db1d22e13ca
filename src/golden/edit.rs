//! Edits TOML in place. Comments, order and formatting are kept.

use toml_edit::{Array, InlineTable, Item, RawString, Table, TableLike, Value};

/// Line break and indentation before a new list entry.
const INDENT: &str = "\n    ";

/// A table, in either of its two syntaxes.
pub(super) enum TomlTable<'a> {
    Table(&'a mut Table),
    Inline(&'a mut InlineTable),
}

impl TomlTable<'_> {
    pub fn table(&self) -> &dyn TableLike {
        match self {
            Self::Table(table) => *table,
            Self::Inline(table) => *table,
        }
    }

    pub fn table_mut(&mut self) -> &mut dyn TableLike {
        match self {
            Self::Table(table) => *table,
            Self::Inline(table) => *table,
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.table().get(key)?.as_str()
    }

    /// Sets a value. If the key exists, keeps the whitespace and the comment around the old value.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let mut value = value.into();
        if let Some(old) = self.table_mut().get_mut(key).and_then(Item::as_value_mut) {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        } else {
            self.table_mut().insert(key, Item::Value(value));
            self.settle();
        }
    }

    pub fn remove(&mut self, key: &str) {
        if self.table_mut().remove(key).is_some() {
            self.settle();
        }
    }

    /// Normalizes the spacing of an inline table after an insertion or removal. Leaves a table with
    /// several lines alone, because it may contain comments.
    fn settle(&mut self) {
        if let Self::Inline(table) = self
            && !table.to_string().contains('\n')
        {
            table.fmt();
        }
    }
}

/// Returns the tables in an item: a single one, or each of an array.
pub(super) fn blocks(item: &mut Item) -> Vec<TomlTable<'_>> {
    match item {
        Item::Table(table) => vec![TomlTable::Table(table)],
        Item::ArrayOfTables(tables) => tables.iter_mut().map(TomlTable::Table).collect(),
        Item::Value(Value::InlineTable(table)) => vec![TomlTable::Inline(table)],
        Item::Value(Value::Array(array)) => {
            array.iter_mut().filter_map(Value::as_inline_table_mut).map(TomlTable::Inline).collect()
        }
        Item::None | Item::Value(_) => Vec::new(),
    }
}

/// Removes an entry but keeps the comment in front of it, which often belongs to the entry before.
pub(super) fn remove(array: &mut Array, at: usize) {
    let removed = array.remove(at);
    let text = |raw: Option<&RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_string();
    let comment = text(removed.decor().prefix());
    if !comment.contains('#') {
        return;
    }
    let comment = comment.trim_end();
    match array.get_mut(at) {
        Some(next) => {
            let prefix = text(next.decor().prefix());
            next.decor_mut().set_prefix(format!("{comment}{prefix}"));
        }
        None => {
            let trailing = text(Some(array.trailing()));
            let end = if trailing.starts_with('\n') { "" } else { "\n" };
            array.set_trailing_comma(true);
            array.set_trailing(format!("{comment}{end}{trailing}"));
        }
    }
}

/// Puts each entry on its own line if there are several, or if one already is.
pub(super) fn spread(array: &mut Array) {
    let is_spread = array.iter().any(|value| {
        value.decor().prefix().and_then(|prefix| prefix.as_str()).is_some_and(|prefix| prefix.contains('\n'))
    });
    if array.len() < 2 && !is_spread {
        return;
    }
    for value in array.iter_mut() {
        let prefix = value.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        if !prefix.contains('\n') {
            value.decor_mut().set_prefix(INDENT);
            value.decor_mut().set_suffix("");
        }
    }
    array.set_trailing_comma(true);
    if array.trailing().as_str().is_none_or(|trailing| !trailing.contains('\n')) {
        array.set_trailing("\n");
    }
}
