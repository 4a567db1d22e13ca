//! The line of a script that spoke, for whoever wants to read it.

use std::path::Path;

use super::{ScriptHash, layer::BUILT_IN, source::Source};

/// Returns a line of a script, counted from 1, if what is in the file is what the hash says: a script that has changed
/// since might have anything there. No file is the script that is compiled in.
pub fn quote(file: Option<&Path>, hash: ScriptHash, line: usize) -> Option<String> {
    let text = match file {
        Some(file) => {
            let source = Source::read(file).ok()?;
            (source.hash == hash).then_some(source.text)?
        }
        None => (ScriptHash::of(BUILT_IN.as_bytes()) == hash).then(|| BUILT_IN.to_string())?,
    };
    text.lines().nth(line.checked_sub(1)?).map(|line| line.trim().to_string())
}
