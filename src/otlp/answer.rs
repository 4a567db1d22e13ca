//! What a back end answers: partial success, or a `google.rpc.Status`.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use prost::Message;

use super::Signal;
use crate::{config::Protocol, text};

/// What a back end did not take of a request that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// How many records or spans it rejected; 0 makes the message a warning.
    pub rejected: i64,
    /// Why.
    pub message: String,
}

/// `google.rpc.Status`, as far as OTLP uses it (opentelemetry-proto docs/specification.md,
/// "Failures").
#[derive(Clone, PartialEq, Message, serde::Deserialize)]
#[serde(default)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
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
    rejected_log_records: Option<JsonCount>,
    error_message: String,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum JsonCount {
    Number(i64),
    Text(String),
}

/// Reads the body of a 200; `None` if everything was taken, or if the body says nothing readable.
pub fn partial_success(signal: Signal, protocol: Protocol, body: &[u8]) -> Option<PartialSuccess> {
    let (rejected, message) = match (protocol, signal) {
        (Protocol::Json, _) => {
            let partial = serde_json::from_slice::<JsonResponse>(body).ok()?.partial_success?;
            let rejected = match partial.rejected_log_records {
                None => 0,
                Some(JsonCount::Number(number)) => number,
                Some(JsonCount::Text(text)) => text.parse().ok()?,
            };
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
    (!is_full).then(|| PartialSuccess { rejected, message: text::line(message) })
}

/// Reads the body of a failure: the message of its `google.rpc.Status`, else its text.
pub fn status_message(protocol: Protocol, body: &[u8]) -> String {
    let status = match protocol {
        Protocol::Protobuf => Status::decode(body).ok(),
        Protocol::Json => serde_json::from_slice(body).ok(),
    };
    let said = status.map(|status: Status| status.message).filter(|message| !message.is_empty());
    match said {
        Some(message) => text::line(message),
        None if body.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace()) => {
            text::line(body.trim_ascii())
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
    fn a_failure_says_its_message_without_steering_a_terminal() {
        let status = Status { code: 3, message: "bad\x1b[2J".into() }.encode_to_vec();
        assert_eq!(status_message(Protocol::Protobuf, &status), "bad\\u{1b}[2J");
        assert_eq!(status_message(Protocol::Json, br#"{"code":3,"message":"bad"}"#), "bad");
        assert_eq!(status_message(Protocol::Protobuf, b"<html>nginx</html>\n"), "<html>nginx</html>");
        assert_eq!(status_message(Protocol::Protobuf, b"\x00\x01\x02"), "");
    }
}
