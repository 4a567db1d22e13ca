//! The heads of the journal that a back end has, from an export of its records.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use bstr::ByteSlice as _;

use super::{Compared, Fault, Place, Tampering, Walk};
use crate::state::chain::{self, ChainId, LineHash, Link, Tip};

/// Size of the part of an export that is in memory.
pub(super) const PART: usize = 256 << 10;

/// Maximum length of a head in text.
const MAX_HEAD: usize = chain::WORD.len() + 8 + 1 + 20 + 1 + 32;

/// Heads that went out with batches, each with the number of the line of the export that has it.
#[derive(Clone, Debug, Default)]
pub struct WitnessedHeads(pub(super) BTreeMap<(ChainId, u64), BTreeMap<LineHash, u64>>);

impl WitnessedHeads {
    /// Finds everything that looks like a head in an export, which may have any format.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(mut export: impl Read) -> io::Result<Self> {
        let mut heads = Self::default();
        let mut part = Vec::new();
        let mut line = 1;
        loop {
            let read = export.by_ref().take(PART as u64).read_to_end(&mut part)?;
            let is_end = read == 0;
            // A head at the end may go on in the next part.
            let end = if is_end { part.len() } else { part.len().saturating_sub(MAX_HEAD) };
            let mut at = 0;
            for start in part.find_iter(chain::WORD).take_while(|start| *start < end) {
                line += part[at..start].find_iter("\n").count() as u64;
                at = start;
                if let Some(Tip { chain, n, hash }) = head_at(&part[start..]) {
                    heads.0.entry((chain, n)).or_default().entry(hash).or_insert(line);
                }
            }
            if is_end {
                return Ok(heads);
            }
            line += part[at..end].find_iter("\n").count() as u64;
            part.drain(..end);
        }
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn comparison(&self) -> Comparison<'_> {
        Comparison { heads: self, compared: Compared::default(), last: 0 }
    }
}

/// Parses the head at the start of a text.
fn head_at(text: &[u8]) -> Option<Tip> {
    let (chain, rest) = text.strip_prefix(chain::WORD.as_bytes())?.split_at_checked(8)?;
    let rest = rest.strip_prefix(b":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (n, rest) = rest.split_at(digits);
    let hash = rest.strip_prefix(b":")?.get(..32)?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    Some(Tip {
        chain: text(chain)?.parse().ok()?,
        n: text(n)?.parse().ok()?,
        hash: text(hash)?.parse().ok()?,
    })
}

/// A comparison of the heads with the lines of a journal.
pub(super) struct Comparison<'a> {
    heads: &'a WitnessedHeads,
    pub compared: Compared,
    /// Number of the last line that has the hash of a head.
    last: u64,
}

impl Comparison<'_> {
    /// Compares a line. Returns the fault if the back end has another hash for it.
    pub fn passes(&mut self, place: &Place, link: Link, hash: LineHash) -> Option<Fault> {
        let heads = self.heads.0.get(&(link.chain, link.n))?;
        match heads.iter().find(|(other, _)| **other != hash) {
            Some((_, line)) => Some(Fault::at(place, Tampering::Replaced, self.why(link.n, *line))),
            None => {
                self.compared.fit += 1;
                self.last = link.n;
                None
            }
        }
    }

    fn why(&self, n: u64, line: u64) -> String {
        let from = match self.last {
            0 => "no earlier line is known there".to_string(),
            last => format!("line {last} of the chain is the last that it confirms"),
        };
        format!(
            "the back end has another hash for line {n} of the chain (line {line} of its export), and {from}"
        )
    }

    /// Returns the fault if the back end has heads of lines that the journal does not have.
    pub fn end(&mut self, walk: &Walk) -> Option<Fault> {
        let (Some(first), Some(last)) = (&walk.first, &walk.last) else {
            return self.lacks(&Place::default(), None);
        };
        let known = self.heads.0.range((last.link.chain, 0)..(last.link.chain, first.link.n));
        self.compared.pruned = known.count() as u64;
        self.lacks(&last.place, Some((last.link.chain, last.link.n)))
    }

    fn lacks(&self, place: &Place, end: Option<(ChainId, u64)>) -> Option<Fault> {
        let mut others = self.heads.0.iter().filter(|((chain, n), _)| match end {
            Some((own, last)) => *chain != own || *n > last,
            None => true,
        });
        let ((chain, n), hashes) = others.next()?;
        let line = hashes.values().min().copied().unwrap_or_default();
        let why = match end {
            Some((own, last)) if own == *chain => format!(
                "the back end has line {n} of the chain (line {line} of its export), but the journal ends \
                 with line {last}"
            ),
            _ => format!(
                "the back end has heads of the chain `{chain}` (line {line} of its export), which this \
                 journal is not; if they are of another machine, leave them out"
            ),
        };
        Some(Fault::at(place, Tampering::Replaced, why))
    }
}
