//! Words for ids, which a test file can use in the place of forty digits: `{commit_id}`, `{old_id}`, `{new_id}`,
//! and `{LABEL}` for a commit that has one.

/// The words of one update, or of the commits made so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// Takes names and the ids that they stand for; of two names for one id, the first is the better one.
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

    /// Returns `text` with ids in the place of words.
    pub fn expand(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_string();
        }
        self.0.iter().fold(text.to_string(), |text, (name, id)| text.replace(name, id))
    }

    /// Returns `text` with words in the place of ids.
    pub fn abbreviate(&self, text: &str) -> String {
        self.0.iter().fold(text.to_string(), |text, (name, id)| text.replace(id, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_for_an_id_and_back() {
        let id = "9d59409acf479dfa0df1aa568182e43e43df8bbe";
        let names =
            Names::new([("commit_id".to_string(), id.to_string()), ("pay".to_string(), id.to_string())]);
        assert_eq!(
            names.expand("revert {pay}, {commit_id}, {other}"),
            format!("revert {id}, {id}, {{other}}")
        );
        assert_eq!(names.abbreviate(&format!("at {id}")), "at {commit_id}");
    }
}
