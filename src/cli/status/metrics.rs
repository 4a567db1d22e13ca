//! The status as OpenMetrics text. Only gauges and only lines that mean the same in Prometheus' older text
//! format, which is what node_exporter's textfile collector reads.

use std::fmt::Write as _;

use super::gather::Status;
use crate::{config::INBOX, text, time::Timestamp};

/// How much of a name a label holds, in characters.
const MAX_LABEL: usize = 200;

/// Returns the metrics.
pub(super) fn text(status: &Status) -> String {
    let mut metrics = Metrics::default();
    let destinations = &status.destinations;
    metrics.family("build_info", None, "The version that wrote this.");
    metrics.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);

    metrics.family("inbox_files", None, "Captured pushes that are not decided yet.");
    metrics.sample(&[], status.inbox.files);
    metrics.family("inbox_too_old_files", None, "Captured pushes that wait longer than the limit.");
    metrics.sample(&[], status.inbox.too_old);
    metrics.family(
        "inbox_oldest_timestamp_seconds",
        Some("seconds"),
        "When the oldest push in the inbox was captured. Absent when none waits.",
    );
    metrics.time(&[], status.inbox.oldest);

    metrics.family("outbox_files", None, "Files of markers that a destination does not have yet.");
    for it in destinations {
        metrics.sample(&[("destination", &it.name)], it.waiting.files);
    }
    metrics.family("outbox_too_old_files", None, "Files of markers that wait longer than the limit.");
    for it in destinations {
        metrics.sample(&[("destination", &it.name)], it.waiting.too_old);
    }
    metrics.family(
        "outbox_oldest_timestamp_seconds",
        Some("seconds"),
        "When the oldest push in the outbox was captured. Absent when none waits.",
    );
    for it in destinations {
        metrics.time(&[("destination", &it.name)], it.waiting.oldest);
    }
    metrics.family("older_than_seconds", Some("seconds"), "How long something may wait: the limit.");
    metrics.sample(&[], status.older_than_seconds);

    metrics.family(
        "last_success_timestamp_seconds",
        Some("seconds"),
        "When a destination last took something. Absent when it never did.",
    );
    for it in destinations {
        metrics.time(&[("destination", &it.name)], it.last_success);
    }
    metrics.family(
        "last_error_timestamp_seconds",
        Some("seconds"),
        "When a destination last refused something or was not there. Absent when it never was so.",
    );
    for it in destinations {
        metrics.time(&[("destination", &it.name)], it.last_error.as_ref().map(|err| err.time));
    }

    metrics.family("dead_letters", None, "Files that were refused for good or cannot be read.");
    let dead = &status.dead_letters.from;
    let known = [INBOX].into_iter().chain(destinations.iter().map(|it| it.name.as_str()));
    for from in known.clone() {
        metrics.sample(&[("from", from)], dead.get(from).copied().unwrap_or(0));
    }
    for (from, count) in dead.iter().filter(|(from, _)| !known.clone().any(|known| known == *from)) {
        metrics.sample(&[("from", from)], count);
    }

    metrics.family("journal_bytes", Some("bytes"), "The size of the journal.");
    metrics.sample(&[], status.journal.bytes);
    metrics.family(
        "journal_last_write_timestamp_seconds",
        Some("seconds"),
        "When the journal was last written. Absent before the first push.",
    );
    metrics.time(&[], status.journal.last_write);
    metrics.family(
        "needs_a_person",
        None,
        "1 if `gitea-lightstep status` has something that somebody should look at.",
    );
    metrics.sample(&[], u8::from(status.needs_a_person));
    metrics.text.push_str("# EOF\n");
    metrics.text
}

/// The text so far, and the name of the family that its last samples belong to.
#[derive(Default)]
struct Metrics {
    text: String,
    name: String,
}

impl Metrics {
    /// Begins a family of gauges; the name of one with a unit ends in it. `help` holds nothing to be escaped.
    fn family(&mut self, name: &str, unit: Option<&str>, help: &str) {
        self.name = format!("gitea_lightstep_{name}");
        let name = &self.name;
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "# TYPE {name} gauge");
        if let Some(unit) = unit {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name} {help}");
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{}{labels} {value}", self.name);
    }

    fn time(&mut self, labels: &[(&str, &str)], time: Option<Timestamp>) {
        if let Some(time) = time {
            let milliseconds = time.as_millisecond();
            let value = format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
            self.sample(labels, value);
        }
    }
}

fn escaped(value: &str) -> String {
    text::bounded(value.as_bytes(), MAX_LABEL).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_escaped() {
        let mut metrics = Metrics { name: "m".into(), ..Metrics::default() };
        metrics.sample(&[("a", "x\"y\\z\nnew"), ("b", "")], 1);
        assert_eq!(metrics.text, "m{a=\"x\\\"y\\\\z\\nnew\",b=\"\"} 1\n");
    }
}
