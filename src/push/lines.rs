//! Parses git's standard input: `<old id> SP <new id> SP <ref name> LF`, one line per ref
//! (githooks(5), post-receive).

use std::{
    fmt,
    io::{self, Read},
};

use bstr::ByteSlice as _;

use super::{ObjectId, RefName, Update};
use crate::text;

/// Maximum size of standard input, in bytes: about 600,000 refs. The hook reads the rest, drops it
/// and notes that in the journal.
pub const MAX_STDIN: u64 = 64 << 20;

/// Maximum number of malformed lines that are kept for reporting, per push.
const MAX_MALFORMED: usize = 20;

/// Maximum length of a ref name, in bytes. Git's own packet line ends at 65,516.
const MAX_REF_NAME: usize = 65_536;

/// The parsed lines of standard input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ParsedLines {
    /// The updates, in git's order.
    pub updates: Vec<Update>,
    /// The first malformed lines, in order.
    pub malformed: Vec<MalformedLine>,
    /// Number of malformed lines that are not in `malformed`.
    pub more_malformed: usize,
}

/// A line of standard input that is not a ref update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedLine {
    /// Line number, from 1.
    pub line: usize,
    why: &'static str,
    excerpt: String,
}

impl fmt::Display for MalformedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stdin:{}: {}, found `{}`", self.line, self.why, self.excerpt)
    }
}

/// Reads `input` to its end. Returns the first [`MAX_STDIN`] bytes and the number of bytes after
/// them.
///
/// Input beyond the limit has to be read as well. From git 2.54 on, a hook that leaves input unread
/// makes Gitea's delegate print `Broken pipe` to the pusher.
pub fn drain(mut input: impl Read) -> (Vec<u8>, u64, io::Result<()>) {
    let mut kept = Vec::new();
    if let Err(err) = input.by_ref().take(MAX_STDIN).read_to_end(&mut kept) {
        return (kept, 0, Err(err));
    }
    match io::copy(&mut input, &mut io::sink()) {
        Ok(dropped) => (kept, dropped, Ok(())),
        Err(err) => (kept, 0, Err(err)),
    }
}

/// Parses the bytes that [`drain`] kept. Blank lines are skipped, because Gitea's delegate turns an
/// empty input into a blank line.
pub fn parse(stdin: &[u8]) -> ParsedLines {
    let mut lines = ParsedLines { updates: Vec::with_capacity(stdin.len() / 100), ..ParsedLines::default() };
    for (number, line) in stdin.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match update(line) {
            Ok(update) => lines.updates.push(update),
            Err(_) if lines.malformed.len() == MAX_MALFORMED => lines.more_malformed += 1,
            Err(why) => {
                lines.malformed.push(MalformedLine { line: number + 1, why, excerpt: text::line(line) });
            }
        }
    }
    lines
}

/// Renders updates as git passes them to a hook.
pub fn render(updates: &[Update]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(updates.len() * 128);
    for update in updates {
        lines.extend_from_slice(format!("{} {} ", update.raw_old_id(), update.raw_new_id()).as_bytes());
        lines.extend_from_slice(update.ref_name().as_bstr());
        lines.push(b'\n');
    }
    lines
}

fn update(line: &[u8]) -> Result<Update, &'static str> {
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let (Some(old), Some(new), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("expected `<old id> <new id> <ref>`");
    };
    let old = ObjectId::from_hex(old).ok_or("expected an old id of 40 or 64 hexadecimal digits")?;
    let new = ObjectId::from_hex(new).ok_or("expected a new id of 40 or 64 hexadecimal digits")?;
    if name.len() > MAX_REF_NAME {
        return Err("expected a ref name of at most 65536 bytes");
    }
    let name =
        RefName::new(name.as_bstr()).ok_or("expected a ref name without spaces or control characters")?;
    Update::new(name, old, new).ok_or("expected two ids of equal length, at most one of them null")
}

#[cfg(test)]
mod tests;
