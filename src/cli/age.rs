//! How long ago something was, as a person says it.

use crate::time::Timestamp;

/// Returns `just now`, or an age with ` ago`.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    match now.duration_since(time).as_secs() {
        seconds if seconds < 1 => "just now".to_string(),
        _ => format!("{} ago", age(time, now)),
    }
}

/// Returns an age in its largest unit that says enough: `90 s`, `17 min`, `30 h`, `12 d`.
pub(super) fn age(time: Timestamp, now: Timestamp) -> String {
    match now.duration_since(time).as_secs() {
        seconds if seconds < 120 => format!("{} s", seconds.max(0)),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
