//! Whether each destination can be reached, knows us, and has the same time.

use std::time::Duration;

use super::report::Check;
use crate::{
    config::{Config, Destination, Target},
    delivery::{Probed, probe},
    text,
    time::Timestamp,
};

/// How far apart two clocks may be, in seconds: back ends refuse what is too old or from the future.
const MAX_SKEW: i64 = 120;

/// Sends each destination a request with nothing in it.
pub fn destinations(config: &Config) -> Check {
    let mut check = Check::new("destinations");
    if config.destinations.is_empty() {
        check.found(
            "no destination is configured; markers wait until there is one",
            "name one in the configuration: [lightstep] or [[destination]], as in docs/config.toml",
        );
        return check;
    }
    let mut well = Vec::new();
    for destination in &config.destinations {
        // Where a secret is missing, the configuration was told of it.
        if !has_its_secrets(destination, config.delivery.timeout) {
            continue;
        }
        let (probed, clock) = probe(destination, config);
        let name = text::line(&destination.name);
        let is_answered = probed == Probed::Answers;
        if is_answered {
            well.push(format!("{name} answers, and its script has no `probe` to ask more"));
        }
        match told(destination, probed) {
            None if is_answered => {}
            None => well.push(format!("{name} takes what it is sent")),
            Some((what, fix)) => check.found(format!("{name} ({}): {what}", destination.address()), fix),
        }
        if let Some(clock) = clock {
            skew(&name, clock, &mut check);
        }
    }
    check.saw(well.join(", "))
}

fn has_its_secrets(destination: &Destination, timeout: Duration) -> bool {
    destination.secrets().all(|(_, source)| source.read(timeout).is_ok())
}

/// Returns what is wrong with a destination that said this, and what to do; `None` if nothing is.
pub fn told(destination: &Destination, probed: Probed) -> Option<(String, &'static str)> {
    match probed {
        Probed::Takes | Probed::Answers => None,
        Probed::Later(why) if destination.proxy.is_some() => {
            Some((why, "look at the proxy first: `proxy` of the destination; markers wait meanwhile"))
        }
        Probed::Later(why) => Some((
            why,
            "see that the back end is up, that its name and port are right in `endpoint`, and that nothing on the way closes the port; \
             where only a proxy may go out, name it with `proxy`. Markers wait meanwhile",
        )),
        Probed::Refuses { status: 401 | 403, why } => Some((
            why,
            "the token is wrong, expired, or of another project: put the right one where `token`, `headers` or `secrets` says; it is read anew with the next delivery",
        )),
        Probed::Refuses { status: 0, why } => Some((
            why,
            "mend the destination's script; `gitea-lightstep check` shows the place. Markers wait meanwhile",
        )),
        Probed::Refuses { status: 400..500, why } if matches!(destination.target, Target::Http(_)) => Some((
            why,
            "`endpoint`, `settings` or what the token may do does not fit: see the destination's part of docs/destinations.md",
        )),
        Probed::Refuses { status: 404 | 405, why } => Some((
            why,
            "`endpoint` leads to something that takes no OTLP there: it is the address before `/v1/logs`, and the port that of OTLP over HTTP (4318), not gRPC (4317)",
        )),
        Probed::Refuses { status: 300..=399, why } => Some((
            why,
            "name the address that it redirects to in `endpoint`; a redirect is not followed, because the token would go along",
        )),
        Probed::Refuses { why, .. } => {
            Some((why, "what it says is all there is to know; markers would become dead letters"))
        }
    }
}

fn skew(name: &str, clock: Timestamp, check: &mut Check) {
    let ahead = Timestamp::now().duration_since(clock).as_secs();
    if ahead.abs() > MAX_SKEW {
        let which = if ahead > 0 { "ahead of" } else { "behind" };
        check.found(
            format!(
                "this machine's clock is {} s {which} that of {name}, so markers stand in the wrong place",
                ahead.abs()
            ),
            "let both follow a time server; markers bear the time of this machine",
        );
    }
}
