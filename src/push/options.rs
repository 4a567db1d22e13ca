//! Push options: `git push -o key=value`.

use serde::{Deserialize, Serialize};

use crate::text;

/// Maximum number of push options that are kept.
pub const MAX_OPTIONS: usize = 64;

/// Maximum length of a push option, in characters. Longer options are cut.
const MAX_OPTION: usize = 1024;

/// Options that the pusher gave with `-o`, in order. They are untrusted: anyone with push access
/// can set them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PushOptions(Vec<(String, String)>);

impl PushOptions {
    /// Takes options as git passes them, and bounds their number and length. A bare word is a key with an
    /// empty value.
    pub fn new(options: impl IntoIterator<Item = String>) -> Self {
        let split = |option: String| {
            let option = text::bounded(option.as_bytes(), MAX_OPTION);
            match option.split_once('=') {
                Some((key, value)) => (key.to_string(), value.to_string()),
                None => (option, String::new()),
            }
        };
        Self(options.into_iter().take(MAX_OPTIONS).map(split).collect())
    }

    /// Returns the value of `key`. If the key was given more than once, the last value wins.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Returns all values of `key`, in order.
    pub fn values<'a>(&'a self, key: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.iter().filter(move |(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Returns the options in order, without the white space around keys and values.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.trim(), value.trim()))
    }
}
