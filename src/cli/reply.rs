//! The `remote:` lines that the pusher sees: one for each marker, at most three, then a count. They
//! never contain a destination's name, address, error or token.

use std::path::Path;

use super::hook_owner::PAGE;
use crate::{
    config::{Config, Reply, ReplyTo},
    decide::Failure,
    marker::{Kind, Marker},
    policy::Rule,
    settle::{MAX_BACKFILLED, Settled},
    text,
};

/// Maximum number of lines that name a marker.
const MAX_LINES: usize = 3;

/// Maximum length of the cause of a failure, in characters.
const MAX_CAUSE: usize = 200;

/// Number of digits shown of a version that is a commit ID.
const SHORT: usize = 12;

/// Number of digits shown of a trace ID that is followed by its link.
const SHORT_TRACE: usize = 16;

/// Returns the lines for one push, without git's `remote: `.
pub(super) fn lines(config: &Config, settled: &Settled) -> Vec<String> {
    let reply = &config.reply;
    if reply.to_pusher == ReplyTo::Nothing {
        return Vec::new();
    }
    let mut lines = of_markers(reply, settled);
    lines.extend(settled.replies.iter().take(MAX_LINES).cloned());
    if let Some(first) = settled.failed.first() {
        let what = first.at().and_then(|at| of_page(first, at)).unwrap_or_else(|| {
            let at = first.at().map(|at| format!(": {}", place(at, config.scripts.as_deref())));
            format!("the policy failed{}", at.unwrap_or_default())
        });
        lines.push(format!("{what}; the marker follows when it is fixed"));
    }
    if reply.to_pusher == ReplyTo::All {
        lines.extend(
            settled.failed.iter().take(MAX_LINES).map(|failure| format!("no marker: {}", failure.why())),
        );
        if settled.is_left {
            lines.push("the policy needs more time; the rest is decided in the background".to_string());
        }
    }
    lines.into_iter().map(|line| format!("gitea-lightstep: {line}")).collect()
}

/// Returns the lines about the markers, without the program's name.
pub(super) fn of_markers(reply: &Reply, settled: &Settled) -> Vec<String> {
    let is_history = settled.backfilled > MAX_BACKFILLED;
    let markers = settled.markers.iter().map(|made| &made.marker);
    let shown = markers.filter(|marker| !(is_history && marker.is_backfill()));
    let mut lines: Vec<_> = shown.take(MAX_LINES).map(|marker| line(reply, marker)).collect();
    let summed_up = if is_history { settled.backfilled } else { 0 };
    let more = settled.marked.saturating_sub(lines.len() + summed_up);
    if more > 0 {
        lines.push(format!("and {}", text::count(more, "more marker")));
    }
    if is_history {
        lines.push(format!("{summed_up} releases of old tags, each marked at the date of its tag"));
    }
    lines
}

/// Describes a failure in the script of the Git Hooks page, with its cause. A person who may edit the
/// page may see it. Returns `None` for other scripts.
fn of_page(failure: &Failure, at: &Rule) -> Option<String> {
    if !Path::new(at.file()).ends_with(PAGE) {
        return None;
    }
    let line = at.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let position = |c: char| c == ':' || c.is_ascii_digit();
    let why = failure.why().strip_prefix(at.file()).map(|why| why.trim_start_matches(position).trim());
    let why = why.and_then(|why| why.lines().next()).unwrap_or_default();
    // The cause may name another file, and a reply shows no directory of the server.
    let is_shown = !why.is_empty() && ![" /", "`/", "\"/"].iter().any(|path| why.contains(path));
    let why = if is_shown { format!(": {}", text::line_of(why, MAX_CAUSE)) } else { String::new() };
    Some(format!("the policy on the Git Hooks page failed{line}{why}"))
}

/// Formats a position in a script without the server's directories.
fn place(at: &Rule, scripts: Option<&Path>) -> String {
    let file = Path::new(at.file());
    let below = scripts.and_then(|scripts| file.strip_prefix(scripts).ok());
    let shown = below.or_else(|| file.file_name().map(Path::new)).unwrap_or(file);
    match at.line() {
        Some(line) => format!("{}:{line}", text::path(shown)),
        None => text::path(shown),
    }
}

fn line(reply: &Reply, marker: &Marker) -> String {
    let is_commit_id =
        marker.version.len() >= 40 && marker.version.bytes().all(|byte| byte.is_ascii_hexdigit());
    let version = if is_commit_id { &marker.version[..SHORT] } else { &marker.version };
    let mut line =
        format!("{} {} {}", marker.kind.as_str(), text::line(&marker.service), text::line(version));
    if let Some(environment) = &marker.environment {
        let to = if matches!(marker.kind, Kind::Deployment) { "to" } else { "in" };
        line.push_str(&format!(" {to} {}", text::line(environment)));
    }
    if let Some(remark) = marker.remark() {
        line.push_str(&format!(" {remark}"));
    }
    if marker.is_backfill() {
        line.push_str(&format!(" of {}", marker.time.strftime("%Y-%m-%d")));
    }
    let trace = marker.trace_id.to_string();
    match &reply.trace_link {
        // The link contains the full ID. Without a link, the pusher needs the full ID for a search.
        Some(link) => {
            let link = link.replace("{trace_id}", &trace);
            line.push_str(&format!(", trace {} {link}", &trace[..SHORT_TRACE]));
        }
        None => line.push_str(&format!(", trace {trace}")),
    }
    line
}
