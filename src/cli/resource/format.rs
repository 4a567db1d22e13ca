//! An identity in the forms that builds and deploys take, each escaped by its own rules.

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
    /// A patch with annotations, as the OpenTelemetry operator reads them, for kubectl patch
    Kubernetes,
}

/// What a build or a deploy says of itself.
pub(super) struct Identity {
    pub attributes: Vec<(&'static str, String)>,
    pub traceparent: Traceparent,
}

impl Identity {
    pub fn in_format(&self, format: Format) -> serde_json::Result<String> {
        let variables = self.variables();
        let lines = |each: &dyn Fn(&str, &str) -> String| {
            variables.iter().map(|(name, value)| each(name, value)).collect::<Vec<_>>().join("\n")
        };
        Ok(match format {
            // What is percent-encoded holds nothing that a shell would read; the quotes say so to whoever looks.
            Format::Shell => lines(&|name, value| format!("export {name}='{value}'")),
            // Without quotes: `docker --env-file` takes them for a part of the value.
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

    /// The variables of the OpenTelemetry SDKs (specification, "Resource SDK" and "Environment Variables as Context Propagation
    /// Carriers").
    fn variables(&self) -> [(&'static str, String); 2] {
        let attributes: Vec<String> =
            self.attributes.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        [("OTEL_RESOURCE_ATTRIBUTES", attributes.join(",")), ("TRACEPARENT", self.traceparent.to_string())]
    }

    /// JSON's strings are YAML's double-quoted ones.
    fn patch(&self) -> serde_json::Result<String> {
        let mut patch = String::from("spec:\n  template:\n    metadata:\n      annotations:");
        for (name, value) in &self.attributes {
            let value = serde_json::to_string(value)?;
            patch.push_str(&format!("\n        resource.opentelemetry.io/{name}: {value}"));
        }
        let traceparent = self.traceparent;
        patch.push_str(&format!("\n        gitea-lightstep/traceparent: \"{traceparent}\""));
        Ok(patch)
    }
}

/// Encodes everything but what no reader of a list, a shell or a file takes for anything else (W3C Baggage, 3.2.1.1.2).
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
mod tests {
    use super::*;

    #[test]
    fn no_value_leaves_its_place() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
        let hostile = "a'b\"$(id)`,x=1;\n#é";
        let identity = Identity { attributes: vec![("service.name", hostile.into())], traceparent };
        let said = |format| identity.in_format(format).expect("it can be written");
        let encoded = "service.name=a%27b%22%24%28id%29%60%2Cx%3D1%3B%0A%23%C3%A9";
        assert_eq!(
            said(Format::Shell),
            format!("export OTEL_RESOURCE_ATTRIBUTES='{encoded}'\nexport TRACEPARENT='{traceparent}'")
        );
        assert_eq!(
            said(Format::Docker),
            format!("--build-arg OTEL_RESOURCE_ATTRIBUTES={encoded} --build-arg TRACEPARENT={traceparent}")
        );
        assert!(said(Format::Kubernetes).contains(r#"service.name: "a'b\"$(id)`,x=1;\n#é""#));
        let json: serde_json::Value = serde_json::from_str(&said(Format::Json)).expect("JSON");
        assert_eq!(json["attributes"]["service.name"], hostile);
    }
}
