//! A script as it lies on the disk: read with a limit, hashed, and made ready to be compiled.

use std::{io::Read as _, path::Path};

use super::{PolicyError, ScriptHash};
use crate::regular;

/// How large a script may be, in bytes.
const MAX_SCRIPT: u64 = 256 << 10;

/// What an editor of another system may put in front of the first line.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A script that was read.
pub(super) struct Source {
    /// The file, for messages.
    pub name: String,
    /// The hash of the bytes as they lie on the disk.
    pub hash: ScriptHash,
    /// What there is to be compiled. Every position in it is that in the file.
    pub text: String,
}

impl Source {
    /// Reads a script.
    ///
    /// # Errors
    /// If the system cannot read it, or it is too large or no UTF-8 text.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let name = path.display().to_string();
        let unreadable = |why: String| PolicyError::Unreadable { path: name.clone(), why };
        let mut bytes = Vec::new();
        let read = regular::open(path).and_then(|file| file.take(MAX_SCRIPT + 1).read_to_end(&mut bytes));
        read.map_err(|err| unreadable(err.to_string()))?;
        if bytes.len() as u64 > MAX_SCRIPT {
            return Err(unreadable(format!("the script is larger than {} KiB", MAX_SCRIPT >> 10)));
        }
        let hash = ScriptHash::of(&bytes);
        let text = String::from_utf8(bytes).map_err(|err| {
            let valid = &err.as_bytes()[..err.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            unreadable(format!("line {line} is no UTF-8 text; save the script as UTF-8"))
        })?;
        Ok(Self { hash, text: ready(text), name })
    }
}

/// Takes away what stands before the script without moving a position: the mark was never in a column, and the
/// first line of a hook page, which names us as its interpreter, becomes a comment.
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
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_script_is_a_comment() {
        let page = "#!/usr/local/bin/gitea-lightstep hook\r\nfn decide(update) { true }";
        let expected = "///usr/local/bin/gitea-lightstep hook\r\nfn decide(update) { true }";
        assert_eq!(ready(page.into()), expected);
        assert_eq!(ready(format!("\u{feff}{page}")), expected);
        assert_eq!(ready("\u{feff}true".into()), "true");
        assert_eq!(ready("true #!".into()), "true #!");
    }
}
