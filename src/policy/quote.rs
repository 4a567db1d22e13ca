//! The line of a script that spoke, for whoever wants to read it.

use std::path::Path;

use super::{Level, Origin, ScriptHash, layer::BUILT_IN, source::Source};

/// Returns a line of a layer's script, counted from 1, if what is in the script is what the layer's hash says; a script
/// that has changed since might have anything there.
pub fn quote(origin: &Origin, line: usize) -> Option<String> {
    let text = match (&origin.file, origin.level) {
        (Some(file), _) => {
            let source = Source::read(Path::new(file)).ok()?;
            (source.hash == origin.hash).then_some(source.text)?
        }
        (None, Level::BuiltIn) => {
            (ScriptHash::of(BUILT_IN.as_bytes()) == origin.hash).then(|| BUILT_IN.to_string())?
        }
        (None, _) => return None,
    };
    text.lines().nth(line.checked_sub(1)?).map(|line| line.trim().to_string())
}
