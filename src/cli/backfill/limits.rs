//! Back ends that drop, refuse or misdate old events. docs/back-ends.md says more of each.

use crate::{
    cli::age::age,
    config::{Config, Destination, LIGHTSTEP, RenderScript, Target},
    sys::time::Timestamp,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A back end's treatment of old events.
struct OldEvents {
    /// Age up to which it keeps them, in seconds. Zero for one that does not take their time at all.
    keeps: i64,
    does: &'static str,
}

/// Render scripts in the program whose back ends limit the age.
const SCRIPTS: [(&str, OldEvents); 3] = [
    ("datadog", OldEvents { keeps: 18 * HOUR, does: "refuses events older than 18 hours" }),
    ("newrelic", OldEvents { keeps: DAY, does: "refuses events older than a day" }),
    ("slack", OldEvents { keeps: 0, does: "posts each marker as a message of today" }),
];

/// Domains of OTLP back ends that limit the age.
const DOMAINS: [(&str, OldEvents); 4] = [
    ("nr-data.net", OldEvents { keeps: HOUR, does: "drops spans older than an hour" }),
    ("pydantic.dev", OldEvents { keeps: DAY, does: "drops records older than 24 hours" }),
    ("dynatrace.com", OldEvents { keeps: DAY, does: "drops records older than 24 hours" }),
    ("grafana.net", OldEvents { keeps: 7 * DAY, does: "refuses log records older than a week by default" }),
];

/// Lightstep shows deployments in its charts only inside the retention window of the project.
const OF_LIGHTSTEP: OldEvents = OldEvents { keeps: 3 * DAY, does: "keeps spans for three days by default" };

/// Returns a line for each destination that does not keep events as old as `oldest`.
pub(super) fn warnings(config: &Config, oldest: Timestamp, now: Timestamp) -> Vec<String> {
    let is_old = |limit: &OldEvents| now.duration_since(oldest).as_secs() > limit.keeps;
    let limits = config.destinations.iter().filter_map(|to| Some((to, limit(to)?)));
    limits
        .filter(|(_, limit)| is_old(limit))
        .map(|(to, limit)| {
            format!(
                "destination {} {}, and the oldest marker is {} old: see \"Old events\" in docs/back-ends.md",
                to.name,
                limit.does,
                age(oldest, now)
            )
        })
        .collect()
}

fn limit(destination: &Destination) -> Option<&'static OldEvents> {
    let of = |known: &'static [(&str, OldEvents)], is: &dyn Fn(&str) -> bool| {
        known.iter().find(|(name, _)| is(name)).map(|(_, limit)| limit)
    };
    match &destination.target {
        Target::Http(http) => match http.render {
            RenderScript::Shipped(script) => of(&SCRIPTS, &|name| name == script.name),
            RenderScript::File(_) => None,
        },
        Target::Otlp(_) if destination.name == LIGHTSTEP => Some(&OF_LIGHTSTEP),
        Target::Otlp(_) => {
            let address = destination.address();
            let host = address.split("://").nth(1)?.split(['/', ':']).next()?;
            of(&DOMAINS, &|domain| host == domain || host.ends_with(&format!(".{domain}")))
        }
    }
}
