//! Finds what happened to a line that does not fit into the chain.

use super::{Break, Fault, Passed, Place, Tampering};
use crate::{
    state::{
        chain::{LineHash, Link},
        journal::Journal,
    },
    text,
};

/// The reason for a record without a link in the chain.
pub(super) const UNLINKED: &str =
    "it has no hash, so it was added by hand, or by an older version that still ran";

/// Results of a second pass over the journal.
#[derive(Default)]
struct Clues {
    /// The line with the hash that the line carries, and the one after it.
    origin: Option<Place>,
    after_origin: Option<Place>,
    /// The line that carries the hash of the last line that fits.
    successor: Option<Place>,
    /// True if the next line carries the hash of the line.
    is_confirmed: bool,
    /// True if an earlier line is the same.
    is_copy: bool,
}

/// Returns what happened at the place where the chain breaks.
pub(super) fn of(journal: &Journal, names: &[String], broken: &Break) -> Fault {
    let Break { last, loose, expected, line } = broken;
    // A file that cannot be read any more has no clues.
    let clues = Clues::find(journal, names, broken).unwrap_or_default();
    let loose_record = loose.iter().find(|(_, is_record)| *is_record).map(|(place, _)| place);
    let is_next = line.link.chain == last.link.chain && line.link.n == last.link.n + 1;
    if line.link.prev == *expected {
        return match loose_record {
            Some(place) if is_next => Fault::at(place, Tampering::Added, UNLINKED),
            _ => Fault::at(
                &line.place,
                Tampering::Changed,
                "its number or its chain is not the next one, but its hash is",
            ),
        };
    }
    if is_next
        && line.link.prev == last.hash
        && let Some((place, _)) = loose.first()
    {
        let why = format!("line {} carries the hash of the line before it", line.place.line);
        return Fault::at(place, Tampering::Added, why);
    }
    if line.link.chain != last.link.chain {
        let why = format!(
            "from here on, the lines are of the chain `{}`, not `{}`",
            line.link.chain, last.link.chain
        );
        return Fault::at(&line.place, Tampering::Replaced, why);
    }
    if let Some(successor) = &clues.successor {
        let belongs = format!("the line that belongs here is {}", said(successor, &line.place));
        let what = if line.link.n > last.link.n { Tampering::Moved } else { Tampering::Added };
        return Fault::at(&line.place, what, belongs);
    }
    match (&clues.origin, &clues.after_origin) {
        (Some(origin), Some(after)) if *origin < last.place && clues.is_confirmed && !clues.is_copy => {
            let why = format!(
                "line {} follows {}, and what stands between them does not belong there",
                line.place.line,
                said(origin, &line.place)
            );
            return Fault::at(after, Tampering::Added, why);
        }
        (Some(origin), _) if *origin > line.place => {
            let why = format!("it belongs after {}", said(origin, &line.place));
            return Fault::at(&line.place, Tampering::Moved, why);
        }
        _ => {}
    }
    if last.link.prev == line.hash {
        let why = format!("it belongs after {}", said(&line.place, &last.place));
        return Fault::at(&last.place, Tampering::Moved, why);
    }
    by_number(last, loose, line, clues.is_confirmed)
}

/// Returns what the numbers of the lines say, if no other line has a hash that is of help.
fn by_number(last: &Passed, loose: &[(Place, bool)], line: &Passed, is_confirmed: bool) -> Fault {
    let missing = line.link.n.saturating_sub(last.link.n + 1);
    if line.link.n <= last.link.n {
        let why = format!("its number in the chain is {}, after {}", line.link.n, last.link.n);
        return Fault::at(&line.place, Tampering::Added, why);
    }
    if missing == 0 {
        let (what, which) = (Tampering::Changed, said(&line.place, &last.place));
        let why = match is_confirmed {
            true => format!("{which} carries another hash for it"),
            false => format!("{which} carries another hash for it, or was changed itself"),
        };
        return Fault::at(&last.place, what, why);
    }
    if let Some((place, _)) = loose.first().filter(|_| loose.len() as u64 >= missing) {
        let why = format!("it is not line {} of the chain any more", last.link.n + 1);
        return Fault::at(place, Tampering::Changed, why);
    }
    let lines = text::count(usize::try_from(missing).unwrap_or(usize::MAX), "line");
    let why = if line.place.file == last.place.file {
        format!("{lines} of the chain, from {} on, {} missing before it", last.link.n + 1, are(missing))
    } else {
        format!("{lines} of the chain {} missing at the end of `{}`", are(missing), last.place.file)
    };
    Fault::at(&line.place, Tampering::Removed, why)
}

fn are(n: u64) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

/// Returns the name of a line, with its file if that is not the one of `beside`.
fn said(place: &Place, beside: &Place) -> String {
    match place.file == beside.file {
        true => format!("line {}", place.line),
        false => format!("line {} of `{}`", place.line, place.file),
    }
}

impl Clues {
    fn find(journal: &Journal, names: &[String], broken: &Break) -> Option<Self> {
        let mut clues = Self::default();
        let mut is_after_origin = false;
        let mut is_after_line = false;
        let (last, line) = (&broken.last, &broken.line);
        journal
            .each_place(names, &mut |place, bytes| {
                if std::mem::take(&mut is_after_origin) {
                    clues.after_origin = Some(place.clone());
                }
                let Some(link) = Link::of(bytes) else { return true };
                if std::mem::take(&mut is_after_line) {
                    clues.is_confirmed = link.prev == line.hash;
                }
                is_after_line = *place == line.place;
                let hash = LineHash::of(bytes);
                clues.is_copy |= hash == line.hash && *place < line.place;
                if clues.origin.is_none() && hash == line.link.prev {
                    clues.origin = Some(place.clone());
                    is_after_origin = true;
                }
                let follows = link.prev == last.hash || link.prev == broken.expected;
                if clues.successor.is_none() && *place > line.place && follows {
                    clues.successor = Some(place.clone());
                }
                true
            })
            .ok()?;
        Some(clues)
    }
}
