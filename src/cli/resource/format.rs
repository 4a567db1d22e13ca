//! Output formats for the identity of a build or a deployment, each with its own escaping.

use clap::ValueEnum;
use serde_json::{Map, json};

use crate::marker::Traceparent;

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// `export NAME='value'`, for a shell's eval
    Shell,
    /// `NAME=value`, for .env files, docker --env-file and CI systems
    Dotenv,
    /// An object with the variables and the attributes
    Json,
    /// `--build-arg NAME=value`, for docker build
    Docker,
    /// A patch for `kubectl patch`, with annotations for the OpenTelemetry operator
    Kubernetes,
}

/// Variable that SDKs read: their spans become children of this span.
const PARENT: &str = "TRACEPARENT";

/// Variable for a span link. SDKs do not read it, because the span may not exist.
const LINK: &str = "GITEA_LIGHTSTEP_LINK";

/// The attributes and the trace context of a build or a deployment.
pub(super) struct Identity {
    pub attributes: Vec<(&'static str, String)>,
    pub traceparent: Traceparent,
    /// True if the back end gets the span of `traceparent`, so that it can be a parent.
    pub is_parent: bool,
}

impl Identity {
    pub fn in_format(&self, format: Format) -> serde_json::Result<String> {
        let variables = self.variables();
        let lines = |each: &dyn Fn(&str, &str) -> String| {
            variables.iter().map(|(name, value)| each(name, value)).collect::<Vec<_>>().join("\n")
        };
        Ok(match format {
            // Percent-encoded values need no quotes in a shell. The quotes show a reader that they
            // are safe.
            Format::Shell => lines(&|name, value| format!("export {name}='{value}'")),
            // Without quotes, because `docker --env-file` takes them as part of the value.
            Format::Dotenv => lines(&|name, value| format!("{name}={value}")),
            Format::Docker => {
                let args = variables.iter().map(|(name, value)| format!("--build-arg {name}={value}"));
                args.collect::<Vec<_>>().join(" ")
            }
            Format::Json => {
                let mut object: Map<_, _> =
                    variables.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
                let attributes = self.attributes.iter().map(|(name, value)| (name.to_string(), json!(value)));
                object.insert("attributes".into(), attributes.collect::<Map<_, _>>().into());
                object.insert("trace_id".into(), self.traceparent.trace_id.to_string().into());
                object.insert("span_id".into(), self.traceparent.span_id.to_string().into());
                serde_json::to_string_pretty(&object)?
            }
            Format::Kubernetes => self.patch()?,
        })
    }

    /// Returns the variables that OpenTelemetry SDKs read (specification, "Resource SDK" and
    /// "Environment Variables as Context Propagation Carriers").
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let attributes: Vec<String> =
            self.attributes.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let context = if self.is_parent { PARENT } else { LINK };
        [("OTEL_RESOURCE_ATTRIBUTES", attributes.join(",")), (context, self.traceparent.to_string())]
    }

    /// Returns the patch as YAML. JSON strings are valid double-quoted YAML strings.
    fn patch(&self) -> serde_json::Result<String> {
        let mut patch = String::from("spec:\n  template:\n    metadata:\n      annotations:");
        for (name, value) in &self.attributes {
            let value = serde_json::to_string(value)?;
            patch.push_str(&format!("\n        resource.opentelemetry.io/{name}: {value}"));
        }
        let key = if self.is_parent { "traceparent" } else { "link" };
        patch.push_str(&format!("\n        gitea-lightstep/{key}: \"{}\"", self.traceparent));
        Ok(patch)
    }
}

/// Percent-encodes all bytes except those that are safe in the attribute list, a shell and an env
/// file (W3C Baggage, 3.2.1.1.2).
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/@".contains(&byte) {
            text.push(byte.into());
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
