//! What the pusher reads as `remote:` lines: one a marker, three at most and then a count. Never a
//! destination's name, address, error or token.

use crate::{
    config::{Reply, ReplyTo},
    marker::Marker,
    policy::Kind,
    settle::Settled,
    text,
};

/// How many lines name a marker.
const MAX_LINES: usize = 3;

/// How much of a version that is a commit id is shown, in digits.
const SHORT: usize = 12;

/// How much of a trace's id is shown before its link, in digits.
const SHORT_TRACE: usize = 16;

/// Returns the lines for one push, without git's `remote: `.
pub(super) fn lines(reply: &Reply, settled: &Settled) -> Vec<String> {
    if reply.to_pusher == ReplyTo::Nothing {
        return Vec::new();
    }
    let mut lines: Vec<_> =
        settled.markers.iter().take(MAX_LINES).map(|marker| line(reply, marker)).collect();
    let more = settled.marked.saturating_sub(lines.len());
    if more > 0 {
        lines.push(format!("and {}", text::count(more, "more marker")));
    }
    if reply.to_pusher == ReplyTo::All {
        lines.extend(settled.failed.iter().take(MAX_LINES).map(|why| format!("no marker: {why}")));
        if settled.is_left {
            lines.push("the policy needs longer; the rest is decided in the background".to_string());
        }
    }
    lines.into_iter().map(|line| format!("gitea-lightstep: {line}")).collect()
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
    let trace = marker.trace_id.to_string();
    match &reply.trace_link {
        // The link holds the whole id; without one, the id is what a person pastes into a search.
        Some(link) => {
            let link = link.replace("{trace_id}", &trace);
            line.push_str(&format!(", trace {} {link}", &trace[..SHORT_TRACE]));
        }
        None => line.push_str(&format!(", trace {trace}")),
    }
    line
}
