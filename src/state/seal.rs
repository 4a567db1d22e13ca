//! Checksums for JSON objects in the state directory, which reveal bits that flipped on the disk.
//!
//! A sealed object ends in the member `"crc32"`, the CRC-32 of all bytes before that member. It is
//! still a JSON object for other readers. Objects from before there were checksums can be read, so
//! a caller that requires a checksum looks at the format number in the file's first line.

use std::{fmt, io};

use serde::{Serialize, de::DeserializeOwned};

/// The bytes before and after the eight digits.
const BEFORE: &[u8] = b",\"crc32\":\"";
const AFTER: &[u8] = b"\"}";
const DIGITS: usize = 8;
const LEN: usize = BEFORE.len() + DIGITS + AFTER.len();

/// An object after its checksum was checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SealCheck<'a> {
    /// The checksum is right. Holds the object without it.
    Whole(&'a [u8]),
    /// The object has no checksum. Holds the whole object.
    Unsealed(&'a [u8]),
    /// The checksum is wrong.
    Broken,
}

/// The error for an object with a wrong checksum.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the checksum does not match, so the data changed after it was written; check the disk")
    }
}

/// Adds a checksum to the object that starts at `from` and ends at the end of `out`.
pub(super) fn seal(out: &mut Vec<u8>, from: usize) {
    debug_assert_eq!(out.last(), Some(&b'}'));
    out.pop();
    let sum = sum(&out[from..]);
    out.extend_from_slice(BEFORE);
    out.extend_from_slice(&sum);
    out.extend_from_slice(AFTER);
}

/// Serialises an object as one line with a checksum.
pub(super) fn line(object: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(object)?;
    seal(&mut line, 0);
    line.push(b'\n');
    Ok(line)
}

/// Returns the CRC-32 of `bytes` as hexadecimal digits.
pub(super) fn sum(bytes: &[u8]) -> [u8; DIGITS] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let sum = crc32fast::hash(bytes);
    std::array::from_fn(|nth| HEX[(sum >> (28 - 4 * nth)) as usize & 15])
}

/// Returns the same digits as a string.
pub(super) fn sum_text(bytes: &[u8]) -> String {
    sum(bytes).into_iter().map(char::from).collect()
}

/// Checks an object, given without its line break. Overwrites the checksum's comma with the closing
/// brace.
pub(super) fn check(object: &mut [u8]) -> SealCheck<'_> {
    let Some(end) = object.len().checked_sub(LEN) else { return SealCheck::Unsealed(object) };
    let (content, seal) = object.split_at(end);
    let Some(digits) = seal.strip_prefix(BEFORE).and_then(|seal| seal.strip_suffix(AFTER)) else {
        return SealCheck::Unsealed(object);
    };
    if *digits != sum(content) {
        return SealCheck::Broken;
    }
    object[end] = b'}';
    SealCheck::Whole(&object[..=end])
}

/// Undoes the change that [`check`] made to an object.
pub(super) fn restore(object: &mut [u8]) {
    if let Some(end) = object.len().checked_sub(LEN)
        && object[end + 1..].starts_with(&BEFORE[1..])
        && object.ends_with(AFTER)
    {
        object[end] = BEFORE[0];
    }
}

/// Reads an object from a file that holds nothing else. The checksum is optional.
pub(super) fn read<T: DeserializeOwned>(mut file: impl io::Read) -> io::Result<T> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let end = content.trim_ascii_end().len();
    match check(&mut content[..end]) {
        SealCheck::Whole(object) | SealCheck::Unsealed(object) => Ok(serde_json::from_slice(object)?),
        SealCheck::Broken => Err(io::Error::new(io::ErrorKind::InvalidData, Broken.to_string())),
    }
}

#[cfg(test)]
mod tests;
