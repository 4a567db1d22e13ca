//! git's standard input: `<old id> SP <new id> SP <ref name> LF`, one line a ref
//! (githooks(5), post-receive).

use std::{
    fmt,
    io::{self, Read},
};

use bstr::ByteSlice as _;

use super::{ObjectId, RefName, Update};
use crate::text;

/// How much standard input one push may bring, in bytes: about 600,000 refs. The rest is read
/// and dropped, and the journal says so.
pub const MAX_STDIN: u64 = 64 << 20;

/// How long one ref name may be, in bytes. Git's own packet line ends at 65,516.
const MAX_REF_NAME: usize = 65_536;

/// What standard input held: the updates, and what was wrong with the other lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The updates, in git's order.
    pub updates: Vec<Update>,
    /// The lines that are no update, in order.
    pub malformed: Vec<Malformed>,
}

/// A line of standard input that is no update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Counted from 1.
    pub line: usize,
    why: &'static str,
    excerpt: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stdin:{}: {}, found `{}`", self.line, self.why, self.excerpt)
    }
}

/// Reads `input` to its end and returns the first [`MAX_STDIN`] bytes and how many came after.
///
/// The end must be reached whatever happens: from git 2.54 on, a hook that leaves input unread
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

/// Parses what [`drain`] kept. Blank lines are nothing: Gitea's delegate turns an empty input
/// into one.
pub fn parse(stdin: &[u8]) -> Lines {
    let mut lines = Lines { updates: Vec::with_capacity(stdin.len() / 100), malformed: Vec::new() };
    for (number, line) in stdin.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match update(line) {
            Ok(update) => lines.updates.push(update),
            Err(why) => lines.malformed.push(Malformed { line: number + 1, why, excerpt: text::line(line) }),
        }
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
        RefName::new(name.as_bstr()).ok_or("expected a ref name without spaces and control characters")?;
    Update::new(name, old, new).ok_or("expected two ids of one length of which at most one is null")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    #[test]
    fn the_last_newline_may_be_missing_and_blank_lines_are_nothing() {
        let lines = parse(format!("\n{ZERO} {A} refs/heads/main\n\n{A} {ZERO} refs/tags/v1").as_bytes());
        assert_eq!(lines.malformed, []);
        assert!(lines.updates[0].is_created());
        assert!(lines.updates[1].is_deleted());
    }

    #[test]
    fn names_are_bytes() {
        let mut stdin = format!("{ZERO} {A} refs/heads/").into_bytes();
        stdin.extend(b"caf\xe9;$(id)`|&'\"\n");
        let lines = parse(&stdin);
        assert_eq!(lines.updates[0].ref_name().as_bstr(), &b"refs/heads/caf\xe9;$(id)`|&'\""[..]);
    }

    #[test]
    fn a_malformed_line_says_where_and_what_and_costs_no_other() {
        let stdin = format!(
            "{A} {A}\nxyz {A} refs/heads/a\n{ZERO} {ZERO} refs/heads/b\n{A} {A} refs/heads/\x1b[2J\n{A} {A} refs/heads/ok\n"
        );
        let lines = parse(stdin.as_bytes());
        assert_eq!(lines.updates.len(), 1);
        let said: Vec<_> = lines.malformed.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                format!("stdin:1: expected `<old id> <new id> <ref>`, found `{A} {A}`"),
                format!(
                    "stdin:2: expected an old id of 40 or 64 hexadecimal digits, found `xyz {A} refs/heads/a`"
                ),
                format!(
                    "stdin:3: expected two ids of one length of which at most one is null, found `{ZERO} {ZERO} refs/heads/b`"
                ),
                format!(
                    "stdin:4: expected a ref name without spaces and control characters, found `{A} {A} refs/heads/\\u{{1b}}[2J`"
                ),
            ]
        );
    }

    #[test]
    fn input_beyond_the_limit_is_drained() {
        let (kept, dropped, result) = drain(io::repeat(b'x').take(MAX_STDIN + 5));
        assert_eq!((kept.len() as u64, dropped), (MAX_STDIN, 5));
        result.expect("reading works");
    }

    proptest! {
        #[test]
        fn every_line_is_an_update_or_a_complaint(stdin in prop::collection::vec(any::<u8>(), 0..400)) {
            let lines = parse(&stdin);
            let said = stdin.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
            prop_assert_eq!(lines.updates.len() + lines.malformed.len(), said);
        }
    }
}
