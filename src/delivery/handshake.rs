//! Explains failed TLS handshakes, with advice.

use std::{io, time::Duration};

use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

use crate::{sys::time::Timestamp, text};

/// Returns the TLS error inside an I/O error, if there is one.
pub(super) fn error(err: &io::Error) -> Option<&Error> {
    err.get_ref()?.downcast_ref()
}

/// Returns true if the certificate is not signed by a trusted CA, so that other CAs may help.
pub(super) fn is_distrust(err: &Error) -> bool {
    use CertificateError::{BadSignature, UnknownIssuer};
    matches!(err, Error::InvalidCertificate(UnknownIssuer | BadSignature))
}

/// Returns an explanation for people.
pub(super) fn describe(err: &Error) -> String {
    match err {
        Error::InvalidCertificate(err) => certificate(err),
        Error::InvalidMessage(_) => "the server does not speak TLS; for plain HTTP, use http://".into(),
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(_) => {
            format!(
                "TLS: no protocol version or cipher suite in common; the server needs TLS 1.2 or 1.3: {err}"
            )
        }
        err => format!("TLS: {err}"),
    }
}

fn certificate(err: &CertificateError) -> String {
    let which = "the server's certificate";
    match err {
        CertificateError::UnknownIssuer => format!("{which} is not signed by a trusted CA"),
        CertificateError::BadSignature => {
            format!("{which} has the name of a trusted CA but not its signature; was the CA renewed?")
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "{which} expired at {}, and this machine's clock shows {}; renew it, or correct the clock",
            at(*not_after),
            at(*time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "{which} is not valid before {}, and this machine's clock shows {}; correct the clock",
            at(*not_before),
            at(*time)
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no host name".into() } else { names.join(", ") };
            format!(
                "{which} is for {names}, not for {}; use a name from the certificate in the address",
                expected.to_str()
            )
        }
        err if format!("{err:?}").contains("CaUsedAsEndEntity") => format!(
            "{which} is a CA certificate; give the server its own certificate (CA:FALSE), signed by that CA"
        ),
        err => format!("{which} is not valid: {err}"),
    }
}

/// Extracts a name from rustls's notation, `DnsName("otlp.example")`.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    text::line(inner.trim_matches('"'))
}

fn at(time: UnixTime) -> String {
    let since: Duration = Duration::from_secs(time.as_secs());
    i64::try_from(since.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an unknown time".into(), |at| at.to_string())
}
