//! The ids of a marker, each computed from what it names, so that everybody computes the same.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::{
    policy::Kind,
    push::{ObjectId, PushId, RefName},
    text::Hex,
};

/// What is hashed in front of a commit id. A build tool computes the same with
/// `printf 'gitea-lightstep/trace/1\0%s' "$sha" | sha256sum | cut -c1-32`.
const TRACE: &[u8] = b"gitea-lightstep/trace/1\0";

/// What is hashed in front of the words of a span that belongs to a commit.
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
    /// The stable id of a marker, by which a back end recognises a repeat.
    MarkerId, 16
}

hex_id! {
    /// The id of a commit's trace (W3C Trace Context: 16 bytes, not all zero).
    TraceId, 16
}

hex_id! {
    /// The id of a marker's span in its commit's trace (8 bytes).
    SpanId, 8
}

impl MarkerId {
    /// Computes the id: SHA-256 over push id, ref, service, environment and kind, the first 16 bytes.
    ///
    /// Each text is hashed with its length before it, so that no two different markers are hashed
    /// over the same bytes.
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

    /// Returns the span's id: the first 8 bytes.
    pub fn span_id(&self) -> SpanId {
        SpanId::leading(&self.0)
    }
}

impl SpanId {
    /// Computes the id of the span of a commit's change or release: the first 8 bytes of SHA-256 over
    /// `gitea-lightstep/span/1`, a NUL, the trace's id in lower-case hex, a NUL, the service, a NUL and the kind.
    ///
    /// It is the same for everybody who has the commit. The same change that lands twice has two markers and one span.
    pub fn of_commit(trace: TraceId, service: &str, kind: Kind) -> Self {
        let mut hash = Sha256::new_with_prefix(SPAN);
        for part in [&trace.to_string(), service] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(kind.as_str());
        Self::leading(&hash.finalize())
    }
}

impl TraceId {
    /// Computes the id of a commit's trace: the first 16 bytes of SHA-256 over
    /// `gitea-lightstep/trace/1`, a NUL and the full id in lower-case hex.
    pub fn of(commit: ObjectId) -> Self {
        let mut hash = Sha256::new();
        hash.update(TRACE);
        hash.update(commit.to_string());
        Self::leading(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_computes_the_same_trace_id() {
        let sha = "9d59409acf479dfa0df1aa568182e43e43df8bbe";
        // printf 'gitea-lightstep/trace/1\0%s' 9d59409acf479dfa0df1aa568182e43e43df8bbe | sha256sum | cut -c1-32
        let expected = "3e03d7b94426664c15b0364cfd21c54f";
        assert_eq!(TraceId::of(sha.parse().expect("valid")).to_string(), expected);
    }

    #[test]
    fn a_shell_computes_the_same_span_id() {
        let trace: TraceId = "3e03d7b94426664c15b0364cfd21c54f".parse().expect("valid");
        // printf 'gitea-lightstep/span/1\0%s\0%s\0%s' 3e03d7b94426664c15b0364cfd21c54f checkout release | sha256sum | cut -c1-16
        assert_eq!(SpanId::of_commit(trace, "checkout", Kind::Release).to_string(), "9fa7f08ff53716d0");
    }

    #[test]
    fn every_part_of_a_marker_makes_another_id() {
        let push = PushId::now();
        let main = RefName::new(b"refs/heads/main").expect("valid");
        let dev = RefName::new(b"refs/heads/dev").expect("valid");
        let ids = [
            MarkerId::of(push, &main, "shop", None, Kind::Change),
            MarkerId::of(push, &main, "shop", None, Kind::Release),
            MarkerId::of(push, &main, "shop", Some("prod"), Kind::Change),
            MarkerId::of(push, &main, "sho", Some("pprod"), Kind::Change),
            MarkerId::of(push, &dev, "shop", None, Kind::Change),
            MarkerId::of(PushId::now(), &main, "shop", None, Kind::Change),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(ids[0], MarkerId::of(push, &main, "shop", None, Kind::Change));
        assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
    }
}
