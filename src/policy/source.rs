//! Reads a script from disk: limits its size, hashes it and prepares it for compilation.

use std::{
    io::{self, Read as _},
    path::Path,
};

use super::{PolicyError, ScriptHash};
use crate::{
    sys::fault::{self, Step},
    sys::regular_file,
};

/// Maximum size of a script, in bytes.
const MAX_SCRIPT: u64 = 256 << 10;

/// Byte order mark that some editors, mostly on Windows, put at the start of a file.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The contents of a script.
pub(super) struct ScriptSource {
    /// Path, as shown in messages.
    pub name: String,
    /// Hash of the bytes on disk.
    pub hash: ScriptHash,
    /// Source text to compile. Positions in it equal those in the file.
    pub text: String,
}

impl ScriptSource {
    /// Reads a script.
    ///
    /// # Errors
    /// If the system cannot read it, if it is too large, or if it is not valid UTF-8.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let name = path.display().to_string();
        let unfit = |why: String| PolicyError::Unfit { path: name.clone(), why };
        let bytes = bytes(path).map_err(|err| PolicyError::from_io(path, err))?;
        if bytes.len() as u64 > MAX_SCRIPT {
            return Err(unfit(format!("the script is larger than {} KiB", MAX_SCRIPT >> 10)));
        }
        let hash = ScriptHash::of(&bytes);
        let text = String::from_utf8(bytes).map_err(|err| {
            let valid = &err.as_bytes()[..err.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            unfit(format!("line {line} is not valid UTF-8; save the script as UTF-8"))
        })?;
        Ok(Self { hash, text: ready(text), name })
    }
}

/// Reads the bytes of a script, up to one byte more than the maximum size.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path)?;
    fault::point(Step::Read, path)?;
    file.take(MAX_SCRIPT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a byte order mark, which does not count as a column. Turns the `#!` line of a hook page
/// into a comment, so that positions stay the same.
fn ready(mut text: String) -> String {
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    if text.starts_with("#!") {
        text.replace_range(..2, "//");
    }
    text
}

#[cfg(test)]
mod tests;
