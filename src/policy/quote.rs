//! Quotes the script line of a rule.

use std::path::Path;

use super::{ScriptHash, layer::BUILT_IN, source::ScriptSource};

/// Returns a line of a script, counted from 1. Returns `None` if the file no longer has the given
/// hash, because the line numbers may have shifted. If `file` is `None`, the line comes from the
/// built-in script.
pub fn quote(file: Option<&Path>, hash: ScriptHash, line: usize) -> Option<String> {
    let text = match file {
        Some(file) => {
            let source = ScriptSource::read(file).ok()?;
            (source.hash == hash).then_some(source.text)?
        }
        None => (ScriptHash::of(BUILT_IN.as_bytes()) == hash).then(|| BUILT_IN.to_string())?,
    };
    text.lines().nth(line.checked_sub(1)?).map(|line| line.trim().to_string())
}
