//! The kinds of destinations: their settings, and what follows from those.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::shipped::Shipped;
use crate::{
    marker::{Kind, Signal},
    secret::SecretSource,
    sys::regular_file,
};

/// Maximum number of bytes of a render script that [`RenderScript::has`] searches.
const MAX_SCRIPT: u64 = 1 << 20;

/// The protocol of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Markers are sent as OTLP/HTTP.
    Otlp(Otlp),
    /// A script turns markers into HTTP requests.
    Http(Http),
}

impl Target {
    /// Returns the URL that identifies the destination in messages.
    pub fn address(&self) -> &str {
        match self {
            Self::Otlp(otlp) => otlp.url(otlp.first_signal()),
            Self::Http(http) => &http.endpoint,
        }
    }

    /// Returns true if the destination takes markers of this kind as `signal`. Destinations with a
    /// script have a single form, for which `Signal::Logs` stands.
    pub fn takes(&self, kind: Kind, signal: Signal) -> bool {
        match self {
            Self::Otlp(otlp) => otlp.takes(kind, signal),
            Self::Http(http) => signal == Signal::Logs && http.kinds.contains(&kind),
        }
    }

    /// Returns the settings of a script that renders the requests.
    pub fn scripted(&self) -> Option<&Http> {
        match self {
            Self::Otlp(_) => None,
            Self::Http(http) => Some(http),
        }
    }

    /// Returns the remedy for a refusal with this HTTP status, if it depends on the kind.
    pub fn remedy(&self, status: u16) -> Option<&'static str> {
        match (self, status) {
            (Self::Http(_), 400..500) => Some(
                "check `endpoint`, `settings` and the token's permissions: see the destination's section in \
                 docs/destinations.md",
            ),
            (Self::Otlp(_), 404 | 405) => Some(
                "the server at `endpoint` does not accept OTLP: set it to the address before `/v1/logs`, \
                 with the port of OTLP over HTTP (4318), not gRPC (4317)",
            ),
            (Self::Http(_) | Self::Otlp(_), _) => None,
        }
    }
}

/// Settings of an OTLP/HTTP back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Full URL of the logs endpoint.
    pub logs_url: String,
    /// Full URL of the traces endpoint.
    pub traces_url: String,
    /// Encoding of requests.
    pub protocol: Protocol,
    /// Compression of requests.
    pub compression: Compression,
    /// Markers to send as log records.
    pub logs: Logs,
    /// Markers to send as spans as well.
    pub spans: Spans,
    /// Kind of the spans.
    pub span_role: SpanRole,
}

impl Otlp {
    /// Returns the URL of a signal's endpoint.
    pub fn url(&self, signal: Signal) -> &str {
        match signal {
            Signal::Logs => &self.logs_url,
            Signal::Traces => &self.traces_url,
        }
    }

    /// Returns the signal to test the destination with: logs if it takes them, else traces.
    pub fn first_signal(&self) -> Signal {
        match self.logs {
            Logs::All => Signal::Logs,
            Logs::None => Signal::Traces,
        }
    }

    fn takes(&self, kind: Kind, signal: Signal) -> bool {
        match (signal, self.spans) {
            (Signal::Logs, _) => self.logs == Logs::All,
            (Signal::Traces, Spans::All) => true,
            (Signal::Traces, Spans::None) => false,
            (Signal::Traces, Spans::Deployments) => matches!(kind, Kind::Deployment | Kind::Rollback),
        }
    }
}

/// Settings of a custom HTTP API, and the script that renders its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Scheme, host and base path, without a trailing slash. A script can append to it but cannot
    /// choose another host.
    pub endpoint: String,
    /// Script that renders the requests.
    pub render: RenderScript,
    /// Secrets that the script can place into a request without reading them.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Values that the script reads as `settings`.
    pub settings: BTreeMap<String, String>,
    /// Kinds of markers to send.
    pub kinds: Vec<Kind>,
}

/// The location of a render script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderScript {
    /// Compiled into the program.
    Shipped(Shipped),
    /// In this file.
    File(PathBuf),
}

impl RenderScript {
    /// Returns the path, unless the script is part of the program.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Shipped(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// Returns true if the script contains `text`. An unreadable script does not; delivery reports
    /// that error.
    pub fn has(&self, text: &str) -> bool {
        match self {
            Self::Shipped(shipped) => shipped.text.contains(text),
            Self::File(path) => {
                let mut script = String::new();
                let read = regular_file::open(path)
                    .and_then(|file| file.take(MAX_SCRIPT).read_to_string(&mut script));
                read.is_ok() && script.contains(text)
            }
        }
    }
}

/// The encoding of OTLP requests, with the names of `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Protocol {
    /// Binary protobuf, which every back end accepts.
    #[default]
    #[serde(rename = "http/protobuf")]
    Protobuf,
    /// JSON.
    #[serde(rename = "http/json")]
    Json,
}

/// The compression of OTLP requests, with the names of `OTEL_EXPORTER_OTLP_COMPRESSION`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// gzip, which every OTLP server must accept.
    #[default]
    Gzip,
    /// No compression.
    None,
}

/// The markers to send as log records. Some back ends have no log storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Logs {
    /// All markers.
    #[default]
    All,
    /// None.
    None,
}

/// The kind of spans, in OpenTelemetry's sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanRole {
    /// `INTERNAL`. Back ends do not count such a span as a request to the service.
    #[default]
    Internal,
    /// `SERVER`. Lightstep looks for versions only in spans that enter a service.
    Server,
}

/// The markers to send as spans as well. Lightstep derives its deployment markers from spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spans {
    /// Deployments and rollbacks.
    #[default]
    Deployments,
    /// All markers.
    All,
    /// None.
    None,
}
