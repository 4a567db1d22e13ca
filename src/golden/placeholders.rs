//! Placeholders that a test file uses instead of object IDs: `{commit_id}`, `{old_id}`, `{new_id}`,
//! and `{LABEL}` for a commit with a label.

/// The placeholders for one update, or for the commits made so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Placeholders(Vec<(String, String)>);

impl Placeholders {
    /// Creates placeholders from names and IDs. If an ID has two names, the first one is used to
    /// abbreviate it.
    pub fn new(names: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all = Self::default();
        for (name, id) in names {
            all.add(&name, id);
        }
        all
    }

    pub fn add(&mut self, name: &str, id: String) {
        self.0.push((format!("{{{name}}}"), id));
    }

    /// Returns `text` with placeholders replaced by IDs.
    pub fn expand(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_string();
        }
        self.0.iter().fold(text.to_string(), |text, (name, id)| text.replace(name, id))
    }

    /// Returns `text` with IDs replaced by placeholders.
    pub fn abbreviate(&self, text: &str) -> String {
        self.0.iter().fold(text.to_string(), |text, (name, id)| text.replace(id, name))
    }
}

#[cfg(test)]
mod tests;
