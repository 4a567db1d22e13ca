//! Sends a test marker to one destination, and explains the answer.

use std::time::Duration;

use serde::Serialize;

use super::LIGHTSTEP;
use crate::{
    config::{Config, Destination},
    delivery::{Probed, send_test},
    doctor,
};

/// Lengths of Lightstep's access tokens, in characters (reference/lightstep.md, section 1d).
const TOKEN_LENGTHS: [usize; 3] = [32, 84, 104];

/// Advice for a back end without log records.
const ONLY_SPANS: &str = "it accepts /v1/traces but not /v1/logs: set `logs = \"none\"`, and `spans = \"all\"` to \
                          send changes and releases too";

/// Result of a test marker.
#[derive(Debug, Serialize)]
pub(super) struct DestinationTest {
    pub destination: String,
    pub address: String,
    pub answer: TestAnswer,
    /// HTTP status of a refusal.
    pub status: Option<u16>,
    /// Text of the answer, or the error.
    pub why: Option<String>,
    /// Advice on how to fix it.
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TestAnswer {
    /// The destination accepted the marker.
    Taken,
    /// The destination answered the probe of its script. It gets no test marker, because it could
    /// take one for a deployment.
    Known,
    /// The destination accepted a request without markers. It takes only spans, and a span could be
    /// taken for a deployment.
    Accepts,
    /// A server answers at the address. The destination's script defines no probe.
    Reached,
    /// The destination accepted the request and rejected the marker in it.
    Rejected,
    /// The destination refused the request permanently.
    Refused,
    /// The destination did not accept the marker this time, or did not answer.
    Later,
    /// Nothing was sent, because a secret cannot be read.
    Unready,
}

pub(super) fn test(destination: &Destination, config: &Config) -> DestinationTest {
    let timeout = config.delivery.timeout;
    let mut test = DestinationTest {
        destination: destination.name.clone(),
        address: destination.address().into(),
        answer: TestAnswer::Taken,
        status: None,
        why: None,
        fix: None,
    };
    if let Some(why) = missing_secret(destination, timeout) {
        test.answer = TestAnswer::Unready;
        test.why = Some(why);
        test.fix = Some("put the secret where the configuration says, and let Gitea's user read it".into());
        return test;
    }
    let tested = send_test(destination, config);
    let may_be_partial = tested.rejected;
    test.answer = match &tested.probed {
        Probed::Takes if !tested.is_marker && destination.target.scripted().is_some() => TestAnswer::Known,
        Probed::Takes if !tested.is_marker => TestAnswer::Accepts,
        Probed::Takes if may_be_partial.is_empty() || may_be_partial.starts_with("warning") => {
            TestAnswer::Taken
        }
        Probed::Takes => TestAnswer::Rejected,
        Probed::Answers => TestAnswer::Reached,
        Probed::Later(_) => TestAnswer::Later,
        Probed::Refuses { status, .. } => {
            test.status = *status;
            TestAnswer::Refused
        }
    };
    if !may_be_partial.is_empty() {
        test.why = Some(may_be_partial);
        if test.answer == TestAnswer::Rejected {
            test.fix = Some("the answer gives no other reason; other markers would be rejected too".into());
        }
    }
    let status = test.status;
    if let Some((why, fix)) = doctor::describe(destination, tested.probed) {
        test.fix = Some(match status {
            Some(401 | 403) if destination.name == LIGHTSTEP => token_advice(destination, timeout),
            // `why` already contains the remedy.
            None if why.contains("certificate") || why.starts_with("TLS") => {
                "nothing is sent until this is fixed; markers stay in the spool".into()
            }
            // [lightstep] has no `logs`.
            _ if tested.takes_only_spans && destination.name != LIGHTSTEP => ONLY_SPANS.into(),
            _ => fix.into(),
        });
        test.why = Some(why);
    }
    test
}

/// Returns an error message if one of the destination's secrets cannot be read.
fn missing_secret(destination: &Destination, timeout: Duration) -> Option<String> {
    destination.secrets().find_map(|(name, source)| {
        let err = source.read(timeout).err()?;
        Some(format!("failed to read the secret for `{name}` from {source}: {err}"))
    })
}

fn token_advice(destination: &Destination, timeout: Duration) -> String {
    let mut advice = "set `token` to an access token of the project, from its Settings > Access Tokens; an \
                      API key does not work. The next delivery reads the token again"
        .to_string();
    let length =
        destination.secrets().find_map(|(_, source)| Some(source.read(timeout).ok()?.expose().len()));
    if let Some(length) = length.filter(|length| !TOKEN_LENGTHS.contains(length)) {
        advice.push_str(&format!(". This one has {length} characters; Lightstep's have 32, 84 or 104"));
    }
    advice
}
