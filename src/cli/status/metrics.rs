//! The status as OpenMetrics text. It contains only gauges, and only lines that mean the same in
//! Prometheus's older text format, which node_exporter's textfile collector reads.

use std::fmt::Write as _;

use super::gather::InstallationStatus;
use crate::{config::INBOX, sys::time::Timestamp, text};

/// Maximum length of a name in a label, in characters.
const MAX_LABEL: usize = 200;

/// Returns the metrics.
pub(super) fn text(status: &InstallationStatus) -> String {
    let mut metrics = Metrics::default();
    let destinations = &status.destinations;
    metrics.family("build_info", None, "Version of gitea-lightstep that wrote the metrics.");
    metrics.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);

    metrics.family("inbox_files", None, "Captured pushes that are not decided yet.");
    metrics.sample(&[], status.inbox.files);
    metrics.family("inbox_too_old_files", None, "Captured pushes that wait longer than the limit.");
    metrics.sample(&[], status.inbox.too_old);
    metrics.family(
        "inbox_oldest_timestamp_seconds",
        Some("seconds"),
        "Capture time of the oldest push in the inbox. Absent if the inbox is empty.",
    );
    metrics.time(&[], status.inbox.oldest);

    metrics.family("postponed_pushes", None, "Captured pushes that could not be decided and are retried.");
    metrics.sample(&[], status.postponed.pushes);
    metrics.family(
        "failed_pushes",
        None,
        "Captured pushes whose policy failed. They wait until the policy is fixed.",
    );
    metrics.sample(&[], status.failed.pushes);

    metrics.family("outbox_files", None, "Files of markers that are not delivered yet.");
    for it in destinations {
        metrics.sample(&[("destination", &it.name)], it.waiting.files);
    }
    metrics.family("outbox_too_old_files", None, "Files of markers that wait longer than the limit.");
    for it in destinations {
        metrics.sample(&[("destination", &it.name)], it.waiting.too_old);
    }
    metrics.family(
        "outbox_alone_files",
        None,
        "Markers that are retried on their own because the destination fails on them.",
    );
    for it in destinations {
        metrics.sample(&[("destination", &it.name)], it.alone.len());
    }
    metrics.family(
        "outbox_oldest_timestamp_seconds",
        Some("seconds"),
        "Capture time of the oldest push in the outbox. Absent if the outbox is empty.",
    );
    for it in destinations {
        metrics.time(&[("destination", &it.name)], it.waiting.oldest);
    }
    metrics.family("older_than_seconds", Some("seconds"), "Age limit of waiting entries.");
    metrics.sample(&[], status.older_than_seconds);

    metrics.family(
        "last_success_timestamp_seconds",
        Some("seconds"),
        "Time of the last successful delivery. Absent before the first one.",
    );
    for it in destinations {
        metrics.time(&[("destination", &it.name)], it.last_success);
    }
    metrics.family(
        "last_error_timestamp_seconds",
        Some("seconds"),
        "Time of the last failed delivery. Absent before the first one.",
    );
    for it in destinations {
        metrics.time(&[("destination", &it.name)], it.last_error.as_ref().map(|err| err.time));
    }

    metrics.family("dead_letters", None, "Files that were refused permanently or cannot be read.");
    let dead = &status.dead_letters.from;
    let known = [INBOX].into_iter().chain(destinations.iter().map(|it| it.name.as_str()));
    for from in known.clone() {
        metrics.sample(&[("from", from)], dead.get(from).copied().unwrap_or(0));
    }
    for (from, count) in dead.iter().filter(|(from, _)| !known.clone().any(|known| known == *from)) {
        metrics.sample(&[("from", from)], count);
    }

    metrics.family("journal_bytes", Some("bytes"), "Size of the journal.");
    metrics.sample(&[], status.journal.bytes);
    metrics.family(
        "journal_last_write_timestamp_seconds",
        Some("seconds"),
        "Time of the last write to the journal. Absent before the first push.",
    );
    metrics.time(&[], status.journal.last_write);
    metrics.family(
        "last_scan_timestamp_seconds",
        Some("seconds"),
        "End of the last scan of all repositories. Absent before the first one.",
    );
    metrics.time(&[], status.scan.as_ref().map(|scan| scan.time));
    metrics.family(
        "last_scan_failed_repositories",
        None,
        "Repositories that the last scan could not read. Absent before the first one.",
    );
    if let Some(scan) = &status.scan {
        metrics.sample(&[], scan.failed);
    }
    if let Some(api) = &status.gitea_api {
        metrics.family(
            "gitea_api_last_success_timestamp_seconds",
            Some("seconds"),
            "Time of the last answer of Gitea's API. Absent before the first one.",
        );
        metrics.time(&[], api.last_success);
        metrics.family(
            "gitea_api_last_error_timestamp_seconds",
            Some("seconds"),
            "Time of the last failure of Gitea's API. Absent before the first one.",
        );
        metrics.time(&[], api.last_error.as_ref().map(|err| err.time));
    }
    metrics.family(
        "needs_a_person",
        None,
        "1 if `gitea-lightstep status` reports something that needs attention.",
    );
    metrics.sample(&[], u8::from(status.needs_a_person));
    metrics.text.push_str("# EOF\n");
    metrics.text
}

/// The text so far, and the name of the current metric family.
#[derive(Default)]
struct Metrics {
    text: String,
    name: String,
}

impl Metrics {
    /// Begins a family of gauges. If it has a unit, its name must end in that unit. `help` must not
    /// contain characters that need escaping.
    fn family(&mut self, name: &str, unit: Option<&str>, help: &str) {
        self.name = format!("gitea_lightstep_{name}");
        let name = &self.name;
        // Writing to a `String` cannot fail.
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
mod tests;
