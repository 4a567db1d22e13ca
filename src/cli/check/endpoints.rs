//! Warnings about addresses and headers that are valid but most likely wrong.

use crate::config::{Destination, HeaderValue, Target};

/// Port of OTLP over gRPC, which this program does not speak (IANA).
const GRPC: &str = ":4317";

/// Paths of OTLP/HTTP, which are added to an endpoint.
const PATHS: [&str; 3] = ["/v1/logs", "/v1/traces", "/v1/metrics"];

/// Returns the warnings about one destination.
pub(super) fn warnings(destination: &Destination) -> Vec<String> {
    let name = &destination.name;
    let mut warnings = Vec::new();
    if let Target::Otlp(otlp) = &destination.target {
        let endpoint = otlp.logs_url.strip_suffix(PATHS[0]).unwrap_or(&otlp.logs_url);
        if let Some(path) = PATHS.into_iter().find(|path| endpoint.ends_with(path)) {
            warnings.push(format!(
                "destination `{name}`: `endpoint` ends in `{path}`, but the paths of OTLP are added to it; \
                 write `{}`",
                endpoint.trim_end_matches(path)
            ));
        }
        let (_, address) = endpoint.split_once("://").unwrap_or_default();
        if address.split('/').next().is_some_and(|host| host.ends_with(GRPC)) {
            warnings.push(format!(
                "destination `{name}`: port 4317 is that of OTLP over gRPC; OTLP over HTTP usually has the \
                 port 4318"
            ));
        }
    }
    for (header, value) in &destination.headers {
        if matches!(value, HeaderValue::Text(text) if is_percent_encoded(text)) {
            warnings.push(percent_encoded(name, header));
        }
    }
    warnings
}

/// Returns true if a header's value looks as in the variable `OTEL_EXPORTER_OTLP_HEADERS`, such as
/// `Basic%20MTIz`.
pub(super) fn is_percent_encoded(value: &str) -> bool {
    let (scheme, rest) = value.split_once('%').unwrap_or_default();
    !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphabetic())
        && rest.get(..2).is_some_and(|digits| digits == "20")
}

/// Returns the warning about the value of a header, which may be a secret.
pub(super) fn percent_encoded(destination: &str, header: &str) -> String {
    format!(
        "destination `{destination}`: the value of the header `{header}` is percent-encoded, as for \
         OTEL_EXPORTER_OTLP_HEADERS; write a space instead of `%20`"
    )
}
