//! Reads and writes files of markers: a line with the number of markers, then one marker per line,
//! each line with a checksum.

use std::{
    fmt,
    io::{self, Read as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    files::{self, StateError},
    outbox::WaitingMarkers,
    seal::{self, SealCheck},
};
use crate::{
    marker::{Marker, Signal},
    sys::fault::{self, Step},
};

/// Maximum number of bytes in which the first line must end.
const MAX_LINE: u64 = 1 << 20;

/// Maximum number of bytes read after the first [`MAX_LINE`]. 2,000 markers with the most and
/// longest attributes take less.
const MAX_FILE: u64 = 256 << 20;

/// The format that this version writes.
const FORMAT: u32 = 3;

/// The format from before there were checksums.
const UNSEALED: u32 = 1;

/// The first line of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboxHeader {
    format: u32,
    markers: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    only: Option<Signal>,
}

/// Returns the first line for a file of `markers` markers.
pub(super) fn first_line(markers: usize, only: Option<Signal>) -> Result<Vec<u8>, serde_json::Error> {
    seal::line(&OutboxHeader { format: FORMAT, markers, only })
}

/// Appends a marker as a line with a checksum.
pub(super) fn add(lines: &mut Vec<u8>, marker: &Marker) -> Result<(), serde_json::Error> {
    let from = lines.len();
    serde_json::to_writer(&mut *lines, marker)?;
    seal::seal(lines, from);
    lines.push(b'\n');
    Ok(())
}

/// Reads a file and rejects it if any part of it is damaged.
///
/// # Errors
/// If the file is missing, is not a file of markers, or is damaged.
pub(super) fn read(path: &Path) -> Result<WaitingMarkers, StateError> {
    let OutboxFileContents { only, markers, why, .. } = OutboxFileContents::read(path)?;
    match why {
        None => Ok(WaitingMarkers { only, markers }),
        Some(why) => Err(StateError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, why))),
    }
}

/// The content of a file of markers, as far as it is intact.
#[derive(Debug, Default)]
pub(super) struct OutboxFileContents {
    /// Number of markers that the first line promises, or `None` if that line is damaged.
    pub promised: Option<usize>,
    pub only: Option<Signal>,
    pub markers: Vec<Marker>,
    /// Lines that are not markers or have a wrong checksum.
    pub broken: Vec<Vec<u8>>,
    /// True if the last line has no line break.
    pub is_torn: bool,
    /// The first error in the file.
    pub why: Option<String>,
    /// True if a newer version wrote the file in a format that this one does not know.
    pub is_newer: bool,
}

impl OutboxFileContents {
    /// Reads a file and keeps damaged lines.
    ///
    /// # Errors
    /// If the system cannot read it.
    pub fn read(path: &Path) -> Result<Self, StateError> {
        let mut content = Vec::new();
        let file = files::open(path)?;
        fault::point(Step::Read, path)
            .and_then(|()| (&file).take(MAX_LINE).read_to_end(&mut content))
            .and_then(|_| match content.contains(&b'\n') {
                // Do not read the rest of a file without a first line, which may be very long.
                true => (&file).take(MAX_FILE).read_to_end(&mut content),
                false => Ok(0),
            })
            .map_err(|err| StateError::new("read", path, err))?;
        Ok(Self::parse(&mut content))
    }

    fn parse(content: &mut [u8]) -> Self {
        let mut read = Self { is_torn: content.last() != Some(&b'\n'), ..Self::default() };
        let end = content.iter().position(|byte| *byte == b'\n');
        let (first, rest) = content.split_at_mut(end.unwrap_or(content.len()));
        let mut may_be_unsealed = false;
        match end.map_or_else(|| Err("its first line is incomplete".into()), |_| header(first)) {
            Ok(header) if header.format > FORMAT => {
                read.why = Some(format!(
                    "it has format {}, this version reads up to {FORMAT}; update gitea-lightstep",
                    header.format
                ));
                read.is_newer = true;
                return read;
            }
            Ok(OutboxHeader { format, markers, only }) => {
                (read.promised, read.only) = (Some(markers), only);
                may_be_unsealed = format == UNSEALED;
                read.markers.reserve(markers.min(4096));
            }
            Err(why) => read.fails(why, first),
        }
        for (nth, line) in rest.get_mut(1..).unwrap_or_default().split_mut(|byte| *byte == b'\n').enumerate()
        {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match marker(line, may_be_unsealed) {
                Ok(marker) => read.markers.push(marker),
                Err(why) => read.fails(format!("line {} is corrupt: {why}", nth + 2), line),
            }
        }
        let there = read.markers.len() + read.broken.len();
        match read.promised {
            Some(promised) if promised != there && read.why.is_none() => {
                read.why = Some(format!("it has {there} of {promised} markers"));
            }
            Some(0) if there == 0 => read.why = Some("it has no markers".into()),
            _ => {}
        }
        read
    }

    fn fails(&mut self, why: String, line: &mut [u8]) {
        self.why.get_or_insert(why);
        seal::restore(line);
        self.broken.push(line.to_vec());
    }

    /// Returns true if the file is intact except that its end is missing.
    pub fn is_cut(&self) -> bool {
        let there = self.markers.len() + self.broken.len();
        let is_last = self.broken.is_empty() || (self.broken.len() == 1 && self.is_torn);
        is_last && self.promised.is_none_or(|promised| promised > there || self.is_torn)
    }

    /// Returns the number of markers that are missing or damaged. A damaged first line counts as
    /// one.
    pub fn lost(&self) -> usize {
        let there = self.markers.len() + self.broken.len();
        self.broken.len() + self.promised.unwrap_or_default().saturating_sub(there)
    }
}

fn header(line: &mut [u8]) -> Result<OutboxHeader, String> {
    let broken = |why: &dyn fmt::Display| format!("its first line is corrupt: {why}");
    let (json, is_sealed) = match seal::check(line) {
        SealCheck::Whole(json) => (json, true),
        SealCheck::Unsealed(json) => (json, false),
        SealCheck::Broken => return Err(broken(&seal::Broken)),
    };
    let header: OutboxHeader = serde_json::from_slice(json).map_err(|err| broken(&err))?;
    if is_sealed || header.format == UNSEALED { Ok(header) } else { Err(broken(&"it has no checksum")) }
}

fn marker(line: &mut [u8], may_be_unsealed: bool) -> Result<Marker, String> {
    let json = match seal::check(line) {
        SealCheck::Whole(json) => json,
        SealCheck::Unsealed(json) if may_be_unsealed => json,
        SealCheck::Unsealed(_) => return Err("it has no checksum".into()),
        SealCheck::Broken => return Err(seal::Broken.to_string()),
    };
    // Lines of formats 1 and 2 have no `push` and no `source`.
    serde_json::from_slice(json)
        .or_else(|err| Marker::from_old_json(json).map_err(|_| err))
        .map_err(|err| err.to_string())
}
