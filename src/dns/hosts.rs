//! Reads `/etc/hosts` (hosts(5)): one address and its names per line.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::IpAddr,
    path::Path,
    str,
};

use crate::sys::regular_file;

/// Maximum number of bytes read from the file. Some machines use it for a long list of blocked
/// hosts.
const MAX_FILE: u64 = 16 << 20;

/// Returns every address that the file lists for a name. An unreadable file lists none, as in the C
/// library.
pub(crate) fn addresses(path: &Path, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let Ok(file) = regular_file::open(path) else { return found };
    let mut reader = BufReader::new(file.take(MAX_FILE));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        found.extend(str::from_utf8(&line).ok().and_then(|line| address(line, name)));
        line.clear();
    }
    found.dedup();
    found
}

fn address(line: &str, name: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let address = words.next()?;
    if !words.any(|word| word.eq_ignore_ascii_case(name)) {
        return None;
    }
    // An address with a zone does not parse. It would be valid on one link only.
    address.parse().ok()
}

#[cfg(test)]
mod tests;
