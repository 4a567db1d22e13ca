//! Checks that each destination is reachable, accepts our credentials, and has the same time as
//! this machine.

use std::time::Duration;

use super::report::Check;
use crate::{
    config::{Config, Destination},
    delivery::{Probed, probe},
    proposal::command,
    sys::time::{self, Timestamp},
    text,
};

/// Maximum difference between two clocks, in seconds. Back ends refuse data that is too old or in
/// the future.
const MAX_SKEW: i64 = 120;

/// Sends each destination a request without a marker, and compares its clock with ours.
pub fn destinations(config: &Config) -> Check {
    let mut check = Check::new("destinations");
    if config.destinations.is_empty() {
        check.found(
            "no destination is configured; markers wait until there is one",
            format!(
                "add [lightstep] or a [[destination]] to the configuration, as in `{}`",
                command("check --sample")
            ),
        );
        return check;
    }
    let mut well = Vec::new();
    for destination in &config.destinations {
        if let Some(secret) = destination.in_the_clear() {
            check.found(
                format!(
                    "{}: `{secret}` is sent unencrypted, as `insecure = true` allows",
                    text::line(&destination.name)
                ),
                "use https:// at the back end or at a proxy in front of it, and remove `insecure`; anyone on \
                 the network path can read the secret",
            );
        }
        // A missing secret is reported by the check of the configuration.
        if !has_its_secrets(destination, config.delivery.timeout) {
            continue;
        }
        let (probed, clock) = probe(destination, config);
        let name = text::line(&destination.name);
        let is_answered = probed == Probed::Answers;
        if is_answered {
            well.push(format!("{name} answers, and its script has no `probe` to check more"));
        }
        match describe(destination, probed) {
            None if is_answered => {}
            None => well.push(format!("{name} accepts markers")),
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

/// Returns the problem that a probe's result shows, and its fix. Returns `None` if there is no
/// problem.
pub fn describe(destination: &Destination, probed: Probed) -> Option<(String, &'static str)> {
    match probed {
        Probed::Takes | Probed::Answers => None,
        Probed::Later(why) if destination.proxy.is_some() => {
            Some((why, "check the proxy first, `proxy` of the destination; markers stay in the spool"))
        }
        Probed::Later(why) => Some((
            why,
            "check that the back end is up, that `endpoint` has the right name and port, and that no \
             firewall blocks the port; if only a proxy can reach it, set `proxy`. Markers stay in the spool",
        )),
        Probed::Refuses { status: Some(401 | 403), why } => Some((
            why,
            "the token is wrong, expired or of another project: put the right one where `token`, `headers` \
             or `secrets` says; the next delivery reads it again",
        )),
        Probed::Refuses { status: None, why } => Some((
            why,
            "fix the destination's script, in which the command `check` shows the position. Markers stay in the \
             spool",
        )),
        Probed::Refuses { status: Some(300..=399), why } => Some((
            why,
            "set `endpoint` to the address that it redirects to; this redirect is not followed, because it \
             would pass on the token",
        )),
        Probed::Refuses { status: Some(status), why } => Some((
            why,
            destination
                .target
                .remedy(status)
                .unwrap_or("fix the cause that the answer names; until then, markers become dead letters"),
        )),
    }
}

fn skew(name: &str, clock: Timestamp, check: &mut Check) {
    let ahead = time::now().duration_since(clock).as_secs();
    if ahead.abs() > MAX_SKEW {
        let which = if ahead > 0 { "ahead of" } else { "behind" };
        check.found(
            format!(
                "this machine's clock is {} s {which} that of {name}, so markers appear at the wrong time",
                ahead.abs()
            ),
            "synchronize both with a time server; markers carry the time of this machine",
        );
    }
}
