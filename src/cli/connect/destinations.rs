//! A test marker to one destination, what it answered, and what to do about it.

use std::time::Duration;

use serde::Serialize;

use super::LIGHTSTEP;
use crate::{
    config::{Config, Destination, Target},
    delivery::{Probed, send_test},
    doctor,
};

/// How many characters the access tokens of Lightstep have (reference/lightstep.md, section 1d).
const TOKEN_LENGTHS: [usize; 3] = [32, 84, 104];

/// What came of a test marker.
#[derive(Debug, Serialize)]
pub(super) struct Test {
    pub destination: String,
    pub address: String,
    pub answer: Answer,
    /// The HTTP status of a no.
    pub status: Option<u16>,
    /// What was said, or what happened.
    pub why: Option<String>,
    /// What to do.
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It took the marker.
    Taken,
    /// It knows us, as far as its script can ask. A script's destination gets no test marker, which would be taken for a deployment.
    Known,
    /// Something answers there; its script has no question to ask.
    Reached,
    /// It took the request, and not the marker in it.
    Rejected,
    /// It said no for good.
    Refused,
    /// It did not take it now, or no answer came.
    Later,
    /// Nothing was sent.
    Unready,
}

pub(super) fn test(destination: &Destination, config: &Config) -> Test {
    let timeout = config.delivery.timeout;
    let mut test = Test {
        destination: destination.name.clone(),
        address: destination.address().into(),
        answer: Answer::Taken,
        status: None,
        why: None,
        fix: None,
    };
    if let Some(why) = missing_secret(destination, timeout) {
        test.answer = Answer::Unready;
        test.why = Some(why);
        test.fix = Some("put the secret where the configuration says, readable to Gitea's user".into());
        return test;
    }
    let tested = send_test(destination, config);
    let may_be_partial = tested.rejected;
    test.answer = match &tested.probed {
        Probed::Takes if matches!(destination.target, Target::Http(_)) => Answer::Known,
        Probed::Takes if may_be_partial.is_empty() || may_be_partial.starts_with("warning") => Answer::Taken,
        Probed::Takes => Answer::Rejected,
        Probed::Answers => Answer::Reached,
        Probed::Later(_) => Answer::Later,
        Probed::Refuses { status, .. } => {
            test.status = Some(*status);
            Answer::Refused
        }
    };
    if !may_be_partial.is_empty() {
        test.why = Some(may_be_partial);
        if test.answer == Answer::Rejected {
            test.fix = Some("what it says is all there is to know; markers would be rejected alike".into());
        }
    }
    let status = test.status;
    if let Some((why, fix)) = doctor::told(destination, tested.probed) {
        test.fix = Some(match status {
            Some(401 | 403) if destination.name == LIGHTSTEP => token_advice(destination, timeout),
            // It is told with the remedy.
            None if why.contains("certificate") || why.starts_with("TLS") => {
                "nothing is sent before that is right; markers wait meanwhile".into()
            }
            _ => fix.into(),
        });
        test.why = Some(why);
    }
    test
}

/// Returns why a secret cannot be read, if one cannot.
fn missing_secret(destination: &Destination, timeout: Duration) -> Option<String> {
    destination.secrets().find_map(|(name, source)| {
        let err = source.read(timeout).err()?;
        Some(format!("failed to read the secret for `{name}` from {source}: {err}"))
    })
}

fn token_advice(destination: &Destination, timeout: Duration) -> String {
    let mut advice = "`token` has to be an access token of the project, from its Settings > Access Tokens; an API key is another \
                      thing. It is read anew with the next delivery"
        .to_string();
    let length =
        destination.secrets().find_map(|(_, source)| Some(source.read(timeout).ok()?.expose().len()));
    if let Some(length) = length.filter(|length| !TOKEN_LENGTHS.contains(length)) {
        advice.push_str(&format!(
            ". This one has {length} characters, and those of Lightstep have 32, 84 or 104"
        ));
    }
    advice
}
