//! The content of a captured push.
//!
//! The file holds one line of JSON and then git's standard input byte for byte, because a ref name
//! may hold any bytes. Both have a checksum.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    StateError,
    seal::{self, SealCheck},
};
use crate::{
    push::{LearnedUpdate, Push, PushId, Source, lines},
    sys::fault::{self, Step},
    sys::time::Timestamp,
};

/// Maximum number of bytes read from a capture: its first line and the largest standard input.
pub(super) const MAX_CAPTURE: u64 = lines::MAX_STDIN + (4 << 20);

/// The format of a push.
const FORMAT: u32 = 2;

/// The format of past updates, each with its own time.
const OF_HISTORY: u32 = 3;

/// The format from before there were checksums.
const UNSEALED: u32 = 1;

/// The first line of a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaptureHeader {
    format: u32,
    push_id: PushId,
    time: Timestamp,
    source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hook_page: Option<PathBuf>,
    stdin_bytes: u64,
    /// CRC-32 of the bytes of standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdin_crc32: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    times: Vec<Timestamp>,
}

/// The content of a capture.
#[derive(Debug)]
pub struct Captured {
    /// The push.
    pub push: Push,
    /// The script of Gitea's Git Hooks page, if the hook ran as that script.
    pub hook_page: Option<PathBuf>,
    /// The lines that are not updates; only the first few are kept.
    pub malformed: Vec<lines::MalformedLine>,
    /// Number of further malformed lines.
    pub more_malformed: usize,
    /// The time of each update, if `backfill` took them from the repository's history. Each is then
    /// a separate push ([`Push::part`]), and the push in `push` is only the file's name. Empty for
    /// a push that the hook captured.
    pub times: Vec<Timestamp>,
}

/// Returns the first line of the capture of a push, or of past updates if they have `times`.
pub(super) fn first_line(
    push_id: PushId,
    time: Timestamp,
    source: &Source,
    hook_page: Option<&Path>,
    stdin: &[u8],
    times: &[Timestamp],
) -> Result<Vec<u8>, serde_json::Error> {
    seal::line(&CaptureHeader {
        format: if times.is_empty() { FORMAT } else { OF_HISTORY },
        push_id,
        time,
        source: source.clone(),
        hook_page: hook_page.map(Path::to_path_buf),
        stdin_bytes: stdin.len() as u64,
        stdin_crc32: Some(seal::sum_text(stdin)),
        times: times.to_vec(),
    })
}

/// Reads a captured push from the start of its file.
pub(super) fn read(file: &File, path: &Path) -> Result<Captured, StateError> {
    let mut content = content(file, path)?;
    parse(&mut content).map_err(|why| invalid(path, why))
}

/// Reads the bytes of a capture's file from its start.
pub(super) fn content(mut file: &File, path: &Path) -> Result<Vec<u8>, StateError> {
    let mut content = Vec::new();
    fault::point(Step::Read, path)
        .and_then(|()| file.by_ref().take(MAX_CAPTURE).read_to_end(&mut content))
        .map_err(|err| StateError::new("read", path, err))?;
    Ok(content)
}

/// Returns the error for a file that is not a whole capture.
pub(super) fn invalid(path: &Path, why: String) -> StateError {
    StateError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Returns the parts of a capture's file with `learned` added to its push.
pub(super) fn with_learned(
    content: &mut [u8],
    learned: Vec<LearnedUpdate>,
) -> Result<(Vec<u8>, &[u8], Captured), String> {
    let (mut header, stdin) = split(content)?;
    let captured = captured(header.clone(), stdin)?;
    let push = captured.push.with_learned(learned);
    header.source = push.source().clone();
    let line = seal::line(&header).map_err(|err| err.to_string())?;
    Ok((line, stdin, Captured { push, ..captured }))
}

fn parse(content: &mut [u8]) -> Result<Captured, String> {
    let (header, stdin) = split(content)?;
    captured(header, stdin)
}

/// Checks a capture's file, and returns its first line and the bytes of standard input.
fn split(content: &mut [u8]) -> Result<(CaptureHeader, &[u8]), String> {
    let end = content.iter().position(|byte| *byte == b'\n').ok_or("its first line is incomplete")?;
    let (first, stdin) = content.split_at_mut(end);
    let (json, is_sealed) = match seal::check(first) {
        SealCheck::Whole(json) => (json, true),
        SealCheck::Unsealed(json) => (json, false),
        SealCheck::Broken => return Err(format!("its first line is corrupt: {}", seal::Broken)),
    };
    let header: CaptureHeader =
        serde_json::from_slice(json).map_err(|err| format!("its first line is corrupt: {err}"))?;
    if header.format > OF_HISTORY {
        return Err(format!(
            "it has format {}, this version reads up to {OF_HISTORY}; update gitea-lightstep",
            header.format
        ));
    }
    if header.format != UNSEALED && !(is_sealed && header.stdin_crc32.is_some()) {
        return Err("its first line is corrupt: it has no checksum".into());
    }
    let stdin = &stdin[1..];
    if stdin.len() as u64 != header.stdin_bytes {
        return Err(format!("it has {} of {} bytes of standard input", stdin.len(), header.stdin_bytes));
    }
    if header.stdin_crc32.as_ref().is_some_and(|sum| *sum != seal::sum_text(stdin)) {
        return Err(format!("its standard input is corrupt: {}", seal::Broken));
    }
    Ok((header, stdin))
}

fn captured(header: CaptureHeader, stdin: &[u8]) -> Result<Captured, String> {
    let lines = lines::parse(stdin);
    if !header.times.is_empty() && header.times.len() != lines.updates.len() {
        return Err(format!("it has {} times for {} updates", header.times.len(), lines.updates.len()));
    }
    Ok(Captured {
        push: Push::new(header.push_id, header.time, header.source, lines.updates),
        hook_page: header.hook_page,
        malformed: lines.malformed,
        more_malformed: lines.more_malformed,
        times: header.times,
    })
}
