//! What a configuration file of git's says, and in which line.

use bstr::{BString, ByteSlice as _};
use gix_config::{
    parse::{EventRef, Events},
    value::normalize,
};

/// What is set in a file, in order.
#[derive(Debug)]
pub(super) struct Entries(Vec<Entry>);

#[derive(Debug)]
pub(super) struct Entry {
    section: String,
    subsection: Option<BString>,
    key: String,
    pub value: BString,
    pub line: usize,
}

/// The line at which git stops to read a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub line: usize,
}

impl Entry {
    /// Returns whether it is this key.
    pub fn is(&self, section: &str, subsection: Option<&str>, key: &str) -> bool {
        self.is_in(section, subsection) && self.key.eq_ignore_ascii_case(key)
    }

    /// Returns the name of the hook that it is about, if it is about one.
    pub fn hook(&self) -> Option<&BString> {
        self.subsection.as_ref().filter(|_| self.section == "hook")
    }

    /// Returns whether it is a key of this name, in whatever section.
    pub fn has_key(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }

    /// Returns whether it is in this section, be it with a key or the section itself.
    pub fn is_in(&self, section: &str, subsection: Option<&str>) -> bool {
        self.section == section
            && self.subsection.as_ref().map(|name| name.as_bstr()) == subsection.map(Into::into)
    }
}

impl Entries {
    /// Returns them from the first to the last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.0.iter()
    }

    /// Reads a file.
    pub fn read(text: &[u8]) -> Result<Self, Unreadable> {
        let events = Events::from_bytes(text, None).map_err(|err| Unreadable { line: err.line_number() })?;
        let mut entries = Vec::new();
        // Where in the text an event is follows from the length of those before.
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
                    // A section without a key is one too.
                    entries.push(Entry {
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
                    entries.push(Entry {
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
            // A vector takes everything.
            let _ = event.write_to(&mut raw);
            line += raw.find_iter("\n").count();
        }
        Ok(Self(entries))
    }
}
