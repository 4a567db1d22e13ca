//! One connection to one destination.

use std::{io::Write as _, time::Duration};

use flate2::{Compression as Level, write::GzEncoder};
use ureq::{Agent, config::Config as AgentConfig, http::Response};

use super::retry::{self, Outcome};
use crate::{
    config::{Compression, Destination, HeaderValue},
    fault::{self, Step},
    otlp::{self, Signal},
    text,
    time::Timestamp,
};

/// How much of an answer is read, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// A destination and the connection to it, which is kept open between requests.
pub(super) struct Client<'a> {
    destination: &'a Destination,
    agent: Agent,
}

impl<'a> Client<'a> {
    pub fn new(destination: &'a Destination, timeout: Duration) -> Self {
        let config = AgentConfig::builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A redirect would carry the token to whoever the answer names.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(1)
            .build();
        Self { destination, agent: config.new_agent() }
    }

    /// Sends one request and says what became of it.
    pub fn post(&self, signal: Signal, body: Vec<u8>) -> Outcome {
        match self.exchange(signal, body) {
            Ok(mut response) => self.outcome(signal, &mut response),
            Err(why) => Outcome::Retry { after: None, why },
        }
    }

    fn exchange(&self, signal: Signal, body: Vec<u8>) -> Result<Response<ureq::Body>, String> {
        let url = match signal {
            Signal::Logs => &self.destination.logs_url,
            Signal::Traces => &self.destination.traces_url,
        };
        fault::point(Step::Send, url.as_ref()).map_err(|err| err.to_string())?;
        let mut request = self.agent.post(url).content_type(otlp::content_type(self.destination.protocol));
        for (name, value) in &self.destination.headers {
            request = match value {
                HeaderValue::Text(text) => request.header(name, text),
                HeaderValue::Secret(source) => {
                    let secret = source
                        .read()
                        .map_err(|err| format!("failed to read the secret from {source}: {err}"))?;
                    request.header(name, secret.expose())
                }
            };
        }
        let body = match self.destination.compression {
            Compression::None => body,
            Compression::Gzip => {
                request = request.header("content-encoding", "gzip");
                gzip(&body).map_err(|err| format!("failed to compress a request: {err}"))?
            }
        };
        request.send(&body[..]).map_err(|err| text::line(err.to_string()))
    }

    fn outcome(&self, signal: Signal, response: &mut Response<ureq::Body>) -> Outcome {
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.and_then(|value| retry::retry_after(value, Timestamp::now()));
        let answer = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let answer =
            answer.and_then(|answer| Ok(fault::point(Step::Acknowledge, "".as_ref()).map(|()| answer)?));
        let protocol = self.destination.protocol;
        if (200..300).contains(&status) {
            // The back end said yes; an answer that cannot be read does not unsay it.
            let partial = answer.ok().and_then(|body| otlp::partial_success(signal, protocol, &body));
            let rejected = partial.map(|partial| match partial.rejected {
                0 => format!("warning: {}", partial.message),
                n => format!("{n} rejected: {}", partial.message),
            });
            return Outcome::Accepted { rejected: rejected.unwrap_or_default() };
        }
        let said = answer.map(|body| otlp::status_message(protocol, &body)).unwrap_or_default();
        let why = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        if retry::is_retryable(status) {
            Outcome::Retry { after, why }
        } else {
            Outcome::Refused { status, why }
        }
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Level::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
