//! What is told of a TLS handshake that failed, and what to do about it.

use std::{io, time::Duration};

use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

use crate::{text, time::Timestamp};

/// Returns why a handshake failed, if that is what failed.
pub(super) fn error(err: &io::Error) -> Option<&Error> {
    err.get_ref()?.downcast_ref()
}

/// Returns whether the certificate comes from nobody whom we trust, so that others who are trusted could make a difference.
pub(super) fn is_distrust(err: &Error) -> bool {
    use CertificateError::{BadSignature, UnknownIssuer};
    matches!(err, Error::InvalidCertificate(UnknownIssuer | BadSignature))
}

/// Returns what a person needs to know.
pub(super) fn told(err: &Error) -> String {
    match err {
        Error::InvalidCertificate(err) => certificate(err),
        Error::InvalidMessage(_) => "what answers does not speak TLS; is it an http:// address?".into(),
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(_) => {
            format!(
                "TLS: the server and this program have nothing safe in common, it needs TLS 1.2 or 1.3: {err}"
            )
        }
        err => format!("TLS: {err}"),
    }
}

fn certificate(err: &CertificateError) -> String {
    let which = "the server's certificate";
    match err {
        CertificateError::UnknownIssuer => format!("{which} comes from a CA that is not trusted here"),
        CertificateError::BadSignature => {
            format!("{which} is not signed by the CA of that name that is trusted here; was the CA renewed?")
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "{which} expired at {}, and here it is {}; renew it there, or set this machine's clock right",
            at(*not_after),
            at(*time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "{which} is not valid before {}, and here it is {}; set this machine's clock right",
            at(*not_before),
            at(*time)
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no name".into() } else { names.join(", ") };
            format!(
                "{which} is for {names}, and not for {}; in `endpoint`, use a name that it is for",
                expected.to_str()
            )
        }
        err if format!("{err:?}").contains("CaUsedAsEndEntity") => format!(
            "{which} is that of a CA itself; give the server one of its own, which the CA signed (with CA:FALSE)"
        ),
        err => format!("{which} cannot be accepted: {err}"),
    }
}

/// Takes a name out of how rustls writes it, `DnsName("otlp.example")`.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    text::line(inner.trim_matches('"'))
}

fn at(time: UnixTime) -> String {
    let since: Duration = Duration::from_secs(time.as_secs());
    i64::try_from(since.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "some time".into(), |at| at.to_string())
}
