//! `/etc/hosts` (hosts(5)): an address a line, then its names.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::IpAddr,
    path::Path,
    str,
};

/// How much of the file is read, in bytes: some hold a list of all that is to be blocked.
const MAX_FILE: u64 = 16 << 20;

/// Returns every address that the file has for a name. A file that cannot be read has none, as for every other program.
pub(super) fn addresses(path: &Path, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let Ok(file) = File::open(path) else { return found };
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
    // One with a zone is good for this machine's own links only.
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_has_the_addresses_of_all_its_lines() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("hosts");
        let text = b"# 192.0.2.1 otlp\n192.0.2.2\totlp.example OTLP # otlp2\nfe80::1%eth0 otlp\n\xff otlp\n\
                     otlp otlp\n::ffff:7 x otlp\n192.0.2.3 otlp2";
        fs::write(&path, text).expect("written");
        let known = |name: &str| addresses(&path, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(known("otlp"), ["192.0.2.2", "::ffff:7"]);
        assert_eq!(known("Otlp.Example"), ["192.0.2.2"]);
        assert_eq!(known("otlp2"), ["192.0.2.3"]);
        assert_eq!(known("192.0.2.2"), [""; 0]);
        assert_eq!(addresses(&dir.path().join("absent"), "otlp"), [] as [IpAddr; 0]);
    }
}
