//! Reads the entries of a git configuration file, with their lines.

use bstr::{BString, ByteSlice as _};
use gix_config::{
    parse::{EventRef, Events},
    value::normalize,
};

/// The entries of a file, in order.
#[derive(Debug)]
pub(super) struct Entries(Vec<ConfigEntry>);

#[derive(Debug)]
pub(super) struct ConfigEntry {
    section: String,
    subsection: Option<BString>,
    key: String,
    pub value: BString,
    pub line: usize,
}

/// The line at which git fails to parse a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GitConfigSyntaxError {
    pub line: usize,
}

impl ConfigEntry {
    /// Returns true if the entry sets this key.
    pub fn is(&self, section: &str, subsection: Option<&str>, key: &str) -> bool {
        self.is_in(section, subsection) && self.key.eq_ignore_ascii_case(key)
    }

    /// Returns the name of the hook if the entry is in a `[hook "NAME"]` section.
    pub fn hook(&self) -> Option<&BString> {
        self.subsection.as_ref().filter(|_| self.section == "hook")
    }

    /// Returns true if the entry sets a key of this name, in any section.
    pub fn has_key(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }

    /// Returns true if the entry is in this section, or is its header.
    pub fn is_in(&self, section: &str, subsection: Option<&str>) -> bool {
        self.section == section
            && self.subsection.as_ref().map(|name| name.as_bstr()) == subsection.map(Into::into)
    }
}

impl Entries {
    /// Returns the entries in file order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ConfigEntry> {
        self.0.iter()
    }

    /// Parses a file.
    pub fn read(text: &[u8]) -> Result<Self, GitConfigSyntaxError> {
        let events =
            Events::from_bytes(text, None).map_err(|err| GitConfigSyntaxError { line: err.line_number() })?;
        let mut entries = Vec::new();
        // Events have no positions, so count the lines of their text.
        let mut line = 1;
        let mut raw = Vec::new();
        let mut section = (String::new(), None);
        let mut key = String::new();
        let mut key_line = 0;
        let mut value = Vec::new();
        for event in events.iter() {
            match &event {
                EventRef::SectionHeader { name, subsection_name, .. } => {
                    section =
                        (name.to_str_lossy().to_ascii_lowercase(), subsection_name.map(ToOwned::to_owned));
                    // A section header is an entry too, even without keys.
                    entries.push(ConfigEntry {
                        section: section.0.clone(),
                        subsection: section.1.clone(),
                        key: String::new(),
                        value: BString::default(),
                        line,
                    });
                }
                EventRef::SectionValueName(name) => {
                    key = name.to_str_lossy().into_owned();
                    key_line = line;
                    value.clear();
                }
                EventRef::ValueNotDone(part) => value.extend_from_slice(part),
                EventRef::Value(part) | EventRef::ValueDone(part) => {
                    value.extend_from_slice(part);
                    entries.push(ConfigEntry {
                        section: section.0.clone(),
                        subsection: section.1.clone(),
                        key: key.clone(),
                        value: normalize(value.as_bstr()).into_owned(),
                        line: key_line,
                    });
                }
                _ => {}
            }
            raw.clear();
            // Writing to a vector cannot fail.
            let _ = event.write_to(&mut raw);
            line += raw.find_iter("\n").count();
        }
        Ok(Self(entries))
    }
}
