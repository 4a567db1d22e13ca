//! A trace context that the pusher gave.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{SpanId, TraceId};
use crate::facts::Facts;

/// How many contexts one marker links to.
const MAX_GIVEN: usize = 8;

/// A `traceparent` (W3C Trace Context, section 3.2): `00-<trace id>-<span id>-<flags>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace_id: TraceId,
    /// The span within it.
    pub span_id: SpanId,
}

impl Traceparent {
    /// Returns the contexts given by `git push -o traceparent=...` and by trailers `Traceparent:` of the tag and the commit, each
    /// once, at most `MAX_GIVEN`; what is no valid context counts as none.
    pub fn given(facts: &Facts) -> Vec<Self> {
        let options = facts.push().source().options.iter();
        let options = options.filter(|(key, _)| *key == "traceparent").map(|(_, value)| value.to_string());
        let mut said: Vec<String> = options.collect();
        if let Ok(target) = facts.target() {
            let of_tag = target.tag.iter().flat_map(|tag| &tag.trailers);
            let of_commit = target.commit.iter().flat_map(|commit| &commit.trailers);
            let named = of_tag.chain(of_commit).filter(|(key, _)| key.eq_ignore_ascii_case("traceparent"));
            said.extend(named.map(|(_, value)| value.clone()));
        }
        let mut given = Vec::new();
        for context in said.iter().filter_map(|said| said.parse().ok()) {
            if !given.contains(&context) && given.len() < MAX_GIVEN {
                given.push(context);
            }
        }
        given
    }
}

impl FromStr for Traceparent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a traceparent such as 00-<32 digits>-<16 digits>-01";
        let mut fields = text.trim().split('-');
        let (version, trace, span, flags) = (fields.next(), fields.next(), fields.next(), fields.next());
        // Version 00 has these four fields; a later one may have more, version ff none.
        let is_known =
            version.is_some_and(|v| v.len() == 2 && v != "ff" && (v != "00" || fields.next().is_none()));
        if !is_known || flags.is_none_or(|flags| flags.len() != 2) {
            return Err(WRONG);
        }
        let trace_id: TraceId = trace.and_then(|id| id.parse().ok()).ok_or(WRONG)?;
        let span_id: SpanId = span.and_then(|id| id.parse().ok()).ok_or(WRONG)?;
        if trace_id.as_bytes() == &[0; 16] || span_id.as_bytes() == &[0; 8] {
            return Err(WRONG);
        }
        Ok(Self { trace_id, span_id })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.trace_id, self.span_id)
    }
}

impl Serialize for Traceparent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Traceparent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_context_is_taken() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(valid.parse::<Traceparent>().expect("valid").to_string(), valid);
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
        ] {
            assert!(bad.parse::<Traceparent>().is_err(), "{bad}");
        }
    }
}
