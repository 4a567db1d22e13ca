//! Ids of markers, traces and spans.
//!
//! Each id is a hash of what it identifies. A build tool can derive a commit's trace id, and the
//! span ids of its changes and releases, without asking the server.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use super::Kind;
use crate::{
    push::{ObjectId, PushId, RefName},
    text::Hex,
};

/// Prefix of the hash input for a trace id. A build tool computes the same id with
/// `printf 'gitea-lightstep/trace/1\0%s' "$sha" | sha256sum | cut -c1-32`.
const TRACE: &[u8] = b"gitea-lightstep/trace/1\0";

/// Prefix of the hash input for the id of a commit's span.
const SPAN: &[u8] = b"gitea-lightstep/span/1\0";

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Returns the raw bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            fn leading(hash: &[u8]) -> Self {
                let mut id = [0; $len];
                id.copy_from_slice(&hash[..$len]);
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Hex(&self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(hex: &str) -> Result<Self, Self::Err> {
                const WRONG: &str = concat!("expected ", $len, " bytes in hexadecimal digits");
                if hex.len() != $len * 2 || !hex.is_ascii() {
                    return Err(WRONG);
                }
                let mut id = [0; $len];
                for (byte, at) in id.iter_mut().zip((0..).step_by(2)) {
                    *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| WRONG)?;
                }
                Ok(Self(id))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// Stable id of a marker, by which a back end recognises duplicates.
    MarkerId, 16
}

hex_id! {
    /// Id of a commit's trace (W3C Trace Context: 16 bytes, not all zero).
    TraceId, 16
}

hex_id! {
    /// Id of a marker's span in its commit's trace (8 bytes).
    SpanId, 8
}

impl MarkerId {
    /// Computes the id: the first 16 bytes of SHA-256 over push id, ref, service, environment and
    /// kind.
    ///
    /// Each text is preceded by its length, so that two different markers never hash the same
    /// bytes.
    pub fn of(
        push: PushId,
        ref_name: &RefName,
        service: &str,
        environment: Option<&str>,
        kind: Kind,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(push.as_bytes());
        for part in
            [ref_name.as_bstr().as_ref(), service.as_bytes(), environment.unwrap_or_default().as_bytes()]
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(kind.as_str());
        Self::leading(&hash.finalize())
    }

    /// Returns the id of the span, which is the first 8 bytes.
    pub fn span_id(&self) -> SpanId {
        SpanId::leading(&self.0)
    }
}

impl SpanId {
    /// Computes the id of the span of a commit's change: the first 8 bytes of SHA-256 over
    /// `gitea-lightstep/span/1`, a NUL, the trace id in lower-case hex, a NUL, the service, a NUL and
    /// `change`.
    pub fn of_change(trace: TraceId, service: &str) -> Self {
        Self::of_commit(&[&trace.to_string(), service, Kind::Change.as_str()])
    }

    /// Computes the id of the span of a release, like [`Self::of_change`], with `release`, a NUL and
    /// the version at the end. A commit may have several release tags.
    pub fn of_release(trace: TraceId, service: &str, version: &str) -> Self {
        Self::of_commit(&[&trace.to_string(), service, Kind::Release.as_str(), version])
    }

    fn of_commit(parts: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(SPAN);
        hash.update(parts.join("\0"));
        Self::leading(&hash.finalize())
    }
}

impl TraceId {
    /// Computes the id of a commit's trace: the first 16 bytes of SHA-256 over
    /// `gitea-lightstep/trace/1`, a NUL and the full commit id in lower-case hex.
    pub fn of(commit: ObjectId) -> Self {
        let mut hash = Sha256::new();
        hash.update(TRACE);
        hash.update(commit.to_string());
        Self::leading(&hash.finalize())
    }
}

#[cfg(test)]
mod tests;
