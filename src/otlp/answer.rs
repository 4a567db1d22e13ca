//! What a back end answers: partial success, or a `google.rpc.Status`. Its words are handed on as they
//! came: whoever shows them makes them fit to be shown.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use prost::Message;

use super::Signal;
use crate::config::Protocol;

/// What a back end did not take of a request that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// How many records or spans it rejected; 0 makes the message a warning.
    pub rejected: i64,
    /// Why.
    pub message: String,
}

/// `google.rpc.Status`, as far as OTLP uses it (opentelemetry-proto docs/specification.md,
/// "Failures"); its code says less than the HTTP status, and need not be right for the message to be read.
#[derive(Clone, PartialEq, Message, serde::Deserialize)]
#[serde(default)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

/// A response in JSON. The message crate's own type takes the count as a number only, but 64-bit numbers
/// are strings in JSON (protobuf.dev, ProtoJSON) and both are to be accepted.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JsonResponse {
    partial_success: Option<JsonPartialSuccess>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JsonPartialSuccess {
    #[serde(alias = "rejectedSpans")]
    rejected_log_records: Option<serde_json::Value>,
    error_message: String,
}

/// Reads a count that may be a number or a string. One that is neither takes no message with it.
fn json_count(value: &serde_json::Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// Reads the body of a 200; `None` if everything was taken, or if the body says nothing readable.
pub fn partial_success(signal: Signal, protocol: Protocol, body: &[u8]) -> Option<PartialSuccess> {
    let (rejected, message) = match (protocol, signal) {
        (Protocol::Json, _) => {
            let partial = serde_json::from_slice::<JsonResponse>(body).ok()?.partial_success?;
            let rejected = partial.rejected_log_records.as_ref().map_or(0, json_count);
            (rejected, partial.error_message)
        }
        (Protocol::Protobuf, Signal::Logs) => {
            let partial = ExportLogsServiceResponse::decode(body).ok()?.partial_success?;
            (partial.rejected_log_records, partial.error_message)
        }
        (Protocol::Protobuf, Signal::Traces) => {
            let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
            (partial.rejected_spans, partial.error_message)
        }
    };
    let is_full = rejected == 0 && message.is_empty();
    (!is_full).then_some(PartialSuccess { rejected, message })
}

/// Reads the body of a failure: the message of its `google.rpc.Status`, else its text.
pub fn status_message(protocol: Protocol, body: &[u8]) -> String {
    let status = match protocol {
        Protocol::Protobuf => Status::decode(body).ok(),
        Protocol::Json => serde_json::from_slice(body).ok(),
    };
    let said = status.map(|status: Status| status.message).filter(|message| !message.is_empty());
    match said {
        Some(message) => message,
        None if body.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace()) => {
            String::from_utf8_lossy(body.trim_ascii()).into_owned()
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    #[test]
    fn a_partial_success_is_read_in_both_encodings() {
        let expected = Some(PartialSuccess { rejected: 2, message: "too old".into() });
        for json in [
            r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"too old","unknown":{}}}"#,
        ] {
            assert_eq!(partial_success(Signal::Logs, Protocol::Json, json.as_bytes()), expected);
        }
        let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".into() };
        let response = ExportTraceServiceResponse { partial_success: Some(partial) };
        assert_eq!(partial_success(Signal::Traces, Protocol::Protobuf, &response.encode_to_vec()), expected);
    }

    #[test]
    fn full_success_is_no_partial_success() {
        for body in ["", "{}", r#"{"partialSuccess":null}"#, r#"{"partialSuccess":{}}"#] {
            assert_eq!(partial_success(Signal::Traces, Protocol::Json, body.as_bytes()), None, "{body}");
        }
        assert_eq!(partial_success(Signal::Traces, Protocol::Protobuf, b""), None);
    }

    #[test]
    fn a_failure_says_its_message() {
        // `google.rpc.Status` with a code, which is not asked for, and details, which are skipped.
        let status = b"\x08\x03\x12\x03bad\x1a\x02\x0a\x00";
        assert_eq!(status_message(Protocol::Protobuf, status), "bad");
        assert_eq!(status_message(Protocol::Json, br#"{"code":3,"message":"bad"}"#), "bad");
        assert_eq!(status_message(Protocol::Protobuf, b"<html>nginx</html>\n"), "<html>nginx</html>");
        assert_eq!(status_message(Protocol::Protobuf, b"\x00\x01\x02"), "");
    }

    #[test]
    fn a_body_that_lies_says_nothing_or_itself() {
        let deep = "[".repeat(60_000);
        let groups = [0x0b; 60_000];
        let (json, protobuf): ([&[u8]; 6], [&[u8]; 5]) = (
            [
                b"{\"message\":7}",
                b"{\"message\":\"a\",\"message\":\"b\"}",
                b"\xff\xfe",
                b"null",
                b"{",
                deep.as_bytes(),
            ],
            [
                b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x",
                b"\x12\x7fshort",
                b"\x12\x02\xff\xfe",
                b"\x12",
                &groups,
            ],
        );
        for body in json {
            let said = status_message(Protocol::Json, body);
            assert_eq!(said, String::from_utf8_lossy(body));
            assert_eq!(partial_success(Signal::Logs, Protocol::Json, body), None);
        }
        for body in protobuf {
            assert_eq!(status_message(Protocol::Protobuf, body), "");
            assert_eq!(partial_success(Signal::Logs, Protocol::Protobuf, body), None);
        }
        for count in [r#""many""#, "1.5", "99999999999999999999", "[]"] {
            let body = format!(r#"{{"partialSuccess":{{"rejectedSpans":{count},"errorMessage":"odd"}}}}"#);
            let expected = Some(PartialSuccess { rejected: 0, message: "odd".into() });
            assert_eq!(partial_success(Signal::Traces, Protocol::Json, body.as_bytes()), expected, "{count}");
        }
    }
}
