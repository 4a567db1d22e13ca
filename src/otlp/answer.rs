//! Parses the responses of an OTLP back end: partial success, or a `google.rpc.Status`.
//!
//! Messages are returned as the server sent them. The caller has to sanitise them before display.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::marker::Signal;

/// The part of a batch that a back end rejected although the request succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Number of rejected records or spans. With 0, the message is only a warning.
    pub rejected: i64,
    /// Reason, in the server's words.
    pub message: String,
}

/// `google.rpc.Status`, as far as OTLP uses it (opentelemetry-proto docs/specification.md,
/// "Failures").
///
/// The code is not decoded. The HTTP status says more, and a wrong code must not hide the message.
#[derive(Clone, PartialEq, Message, serde::Deserialize)]
#[serde(default)]
struct RpcStatus {
    #[prost(string, tag = "2")]
    message: String,
}

/// Media types of the two encodings of OTLP/HTTP.
const PROTOBUF: [&str; 3] =
    ["application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf"];
const JSON: [&str; 2] = ["application/json", "text/json"];

/// Wire key of `partial_success`, the only field of both response messages: field number 1,
/// length-delimited.
const FIRST_KEY: u8 = 0x0a;

/// A response with a 2xx status.
#[derive(Clone, Copy, Debug)]
pub struct Success<'a> {
    /// The HTTP status, 200 to 299.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The body, or its beginning if it is cut.
    pub body: &'a [u8],
    /// The reason why the body is incomplete, `None` if it is complete.
    pub cut: Option<Cut>,
}

/// A reason why a body is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The connection broke.
    Broken,
    /// The body exceeds the size limit for responses.
    TooLarge,
}

/// A response with a success status that does not say what became of the markers.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// The connection broke.
    #[error("the response was cut off")]
    CutOff,
    /// The response has this form instead of that of OTLP.
    #[error("the response is not from an OTLP receiver: {0}")]
    Foreign(String),
}

impl Success<'_> {
    /// Reads the response by its content type. Returns `None` if the server accepted everything.
    ///
    /// # Errors
    /// Returns a description of the response if it is not from an OTLP receiver. A proxy or a login
    /// page may have answered, so the markers do not count as delivered.
    pub fn partial(self, signal: Signal) -> Result<Option<PartialSuccess>, ResponseError> {
        // A 202 means accepted but not yet processed. A receiver may answer it with any text.
        let is_enough = self.status == 204 || (self.status == 202 && !looks_like_markup(self.body));
        if self.body.trim_ascii().is_empty() {
            // If the body did not arrive, its content is unknown.
            return if is_enough || self.cut.is_none() { Ok(None) } else { Err(self.describe(None)) };
        }
        let media_type = self.content_type.map(media_type).filter(|media_type| !media_type.is_empty());
        let partial = match media_type.as_deref() {
            Some(media_type) if PROTOBUF.contains(&media_type) => {
                self.too_large().or_else(|| protobuf(signal, self.body))
            }
            Some(media_type) if JSON.contains(&media_type) || media_type.ends_with("+json") => {
                self.too_large().or_else(|| json(self.body))
            }
            // Go's server guesses these two types from the body, so they say nothing about the
            // encoding.
            None | Some("application/octet-stream" | "text/plain") => {
                json(self.body).or_else(|| guessed_protobuf(signal, self.body))
            }
            Some(_) => None,
        };
        match partial {
            Some(partial) => Ok(Some(partial).filter(|partial| *partial != PartialSuccess::default())),
            None if is_enough => Ok(None),
            None => Err(self.describe(media_type.as_deref())),
        }
    }

    /// Returns the result for a response that is too large to decode, if it does not look like a
    /// web page.
    ///
    /// A receiver may explain each of many rejected markers. Sending them again would give the same
    /// response, so this counts as delivered, with a warning.
    fn too_large(self) -> Option<PartialSuccess> {
        let is_meant = self.cut == Some(Cut::TooLarge) && !looks_like_markup(self.body);
        let message = "the response is too large to read".into();
        is_meant.then_some(PartialSuccess { rejected: 0, message })
    }

    fn describe(self, media_type: Option<&str>) -> ResponseError {
        ResponseError::Foreign(match media_type {
            _ if self.cut == Some(Cut::Broken) => return ResponseError::CutOff,
            _ if looks_like_markup(self.body) => "a web page".into(),
            Some(media_type) if media_type.contains("html") => "a web page".into(),
            Some(media_type) => format!("`{media_type}`, {} bytes", self.body.len()),
            None => format!("{} bytes without a content type", self.body.len()),
        })
    }
}

/// Returns the media type of a `Content-Type` header in lower case, without its parameters (RFC
/// 9110, 8.3.1).
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns true if the body starts like HTML or XML.
fn looks_like_markup(body: &[u8]) -> bool {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start().starts_with(b"<")
}

/// Decodes a response message, if the bytes are one. Without a partial success the result is the
/// default.
fn protobuf(signal: Signal, body: &[u8]) -> Option<PartialSuccess> {
    let partial = match signal {
        Signal::Logs => ExportLogsServiceResponse::decode(body).ok()?.partial_success.map(|partial| {
            PartialSuccess { rejected: partial.rejected_log_records, message: partial.error_message }
        }),
        Signal::Traces => ExportTraceServiceResponse::decode(body).ok()?.partial_success.map(|partial| {
            PartialSuccess { rejected: partial.rejected_spans, message: partial.error_message }
        }),
    };
    Some(partial.unwrap_or_default())
}

/// Decodes a body that is not labelled as protobuf, if it starts like a response. Without that
/// check, short texts would decode by chance as unknown fields.
fn guessed_protobuf(signal: Signal, body: &[u8]) -> Option<PartialSuccess> {
    if body.first() == Some(&FIRST_KEY) { protobuf(signal, body) } else { None }
}

/// Decodes a JSON response. The type of the message crate accepts the count only as a number and
/// the names only in one spelling. ProtoJSON writes 64-bit numbers as strings, and parsers accept
/// both spellings of a name (protobuf.dev, ProtoJSON).
fn json(body: &[u8]) -> Option<PartialSuccess> {
    let response: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let named =
        |map: &Map<String, Value>, names: &[&str]| names.iter().find_map(|name| map.get(*name).cloned());
    let partial = match named(&response, &["partialSuccess", "partial_success"]) {
        None | Some(Value::Null) => return Some(PartialSuccess::default()),
        Some(Value::Object(partial)) => partial,
        Some(_) => return None,
    };
    let counts = ["rejectedLogRecords", "rejectedSpans", "rejected_log_records", "rejected_spans"];
    let rejected = named(&partial, &counts).as_ref().map_or(0, json_count);
    let message = match named(&partial, &["errorMessage", "error_message"]) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(message)) => message,
        Some(other) => other.to_string(),
    };
    Some(PartialSuccess { rejected, message })
}

/// Reads a count that may be a number or a string. Anything else counts as 0, so that the message
/// can still be read.
fn json_count(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// Returns the message of a failure's body: that of its `google.rpc.Status`, else the body as text.
pub fn status_message(body: &[u8]) -> String {
    // A proxy answers in JSON or text, whatever the encoding of the request.
    let status = serde_json::from_slice(body).ok().or_else(|| RpcStatus::decode(body).ok());
    let said = status.map(|status: RpcStatus| status.message).filter(|message| !message.is_empty());
    match said {
        Some(message) => message,
        None if body.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace()) => {
            String::from_utf8_lossy(body.trim_ascii()).into_owned()
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
