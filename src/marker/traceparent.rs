//! Trace contexts from the pusher.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{SpanId, TraceId};

/// A `traceparent` (W3C Trace Context, section 3.2): `00-<trace id>-<span id>-<flags>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// Id of the trace.
    pub trace_id: TraceId,
    /// Id of the span within the trace.
    pub span_id: SpanId,
}

impl FromStr for Traceparent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a traceparent such as 00-<32 digits>-<16 digits>-01";
        let mut fields = text.trim().split('-');
        let (version, trace, span, flags) = (fields.next(), fields.next(), fields.next(), fields.next());
        // Version 00 has exactly these four fields. A later version may have more. Version ff is
        // invalid.
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
mod tests;
