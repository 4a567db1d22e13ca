//! A start of the system, as a scan notices it.

use std::{fs, path::Path};

use serde_json::Value;

/// Changes the snapshots of all repositories in a state as if they had been written before the last
/// start of the system. Leaves damaged ones as they are.
pub fn start_again(state: &Path) {
    let Ok(entries) = fs::read_dir(state.join("refs")) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let is_snapshot = path.file_name().is_some_and(|name| name.len() == 32);
        let aged = fs::read(&path).ok().filter(|_| is_snapshot).and_then(|snapshot| aged(&snapshot));
        if let Some(aged) = aged {
            fs::write(path, aged).expect("the snapshot");
        }
    }
}

fn aged(snapshot: &[u8]) -> Option<Vec<u8>> {
    let end = snapshot.iter().position(|byte| *byte == b'\n')?;
    let (json, _) = std::str::from_utf8(&snapshot[..end]).ok()?.rsplit_once(",\"crc32\":")?;
    let header: Value = serde_json::from_str(&format!("{json}}}")).ok()?;
    let boot = header["boot"].as_str().filter(|boot| !boot.is_empty()).expect("an ID");
    let json = json.replace(boot, "another");
    let sum = crc32fast::hash(json.as_bytes());
    let line = format!("{json},\"crc32\":\"{sum:08x}\"}}");
    Some([line.as_bytes(), &snapshot[end..]].concat())
}
