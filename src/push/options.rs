//! Push options: `git push -o key=value`.

use serde::{Deserialize, Serialize};

/// How many push options are kept.
pub const MAX_OPTIONS: usize = 64;

/// How long one push option may be, in characters; the rest is cut.
pub const MAX_OPTION: usize = 1024;

/// What the pusher said with `-o`, in order. It is untrusted: anybody who may push may say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PushOptions(Vec<(String, String)>);

impl PushOptions {
    /// Takes options as git passes them; a bare word is a key with an empty value.
    pub fn new(options: impl IntoIterator<Item = String>) -> Self {
        let split = |option: String| match option.split_once('=') {
            Some((key, value)) => (key.to_string(), value.to_string()),
            None => (option, String::new()),
        };
        Self(options.into_iter().take(MAX_OPTIONS).map(split).collect())
    }

    /// Returns the value of `key`; of several the last counts, as on any command line.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Returns the options in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
