//! Ages of timestamps, formatted for people.

use crate::sys::time::Timestamp;

/// Returns `just now`, or an age followed by ` ago`.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    match now.duration_since(time).as_secs() {
        seconds if seconds < 1 => "just now".to_string(),
        _ => format!("{} ago", age(time, now)),
    }
}

/// Returns an age in the largest unit that it contains at least twice: `90 s`, `17 min`, `30 h`,
/// `12 d`.
pub(super) fn age(time: Timestamp, now: Timestamp) -> String {
    match now.duration_since(time).as_secs() {
        seconds if seconds < 120 => format!("{} s", seconds.max(0)),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
