//! Client for Lightstep's REST API: one JSON request at a time.
//!
//! The server is not trusted. Its responses have a size limit, and are shown without the key.

use std::{io::Read as _, thread, time::Duration};

use serde_json::Value;
use ureq::{
    Agent, Body, Timeout,
    http::{Method, Request, Response},
};

use super::{
    connection::{self, MAX_CONNECT},
    handshake, retry,
};
use crate::{
    config::LightstepApi,
    mask::Mask,
    secret::Secret,
    sys::fault::{self, Step},
    sys::time::{self, Deadline},
    text,
};

/// Maximum number of bytes that are read of a response's body. An event query takes a few hundred.
const MAX_ANSWER: u64 = 256 << 10;

/// Time limit for all requests of one run, including the waits between them.
const PATIENCE: Duration = Duration::from_secs(45);

/// Maximum number of attempts for one request.
const TRIES: u32 = 3;

/// Wait before a retry if the response does not specify one.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum length of the API's messages when shown, in characters.
const MAX_SAID: usize = 400;

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestError {
    /// The key cannot be read, or the request cannot be made. Nothing was sent.
    Unready(String),
    /// No response arrived.
    NoAnswer {
        /// Reason for the failure.
        why: String,
        /// True if the server may have executed the request nevertheless.
        may_have_acted: bool,
    },
    /// The server refused the request.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's message.
        why: String,
        /// The wait that the server asked for.
        after: Option<Duration>,
    },
    /// The status is a success, but the body is not that of the API.
    Garbled(String),
}

impl RestError {
    /// Returns true if the server may have executed the request although it failed.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Unready(_) => false,
            Self::NoAnswer { may_have_acted, .. } => *may_have_acted,
            // With 429 and 503 nothing was executed. A gateway's error does not say.
            Self::Refused { status, .. } => *status >= 500 && *status != 503,
            Self::Garbled(_) => true,
        }
    }

    /// Returns the HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl std::fmt::Display for RestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unready(why) | Self::NoAnswer { why, .. } | Self::Garbled(why) => f.write_str(why),
            Self::Refused { status, why, .. } if why.is_empty() => write!(f, "HTTP {status}"),
            Self::Refused { status, why, .. } => write!(f, "HTTP {status}: {why}"),
        }
    }
}

impl std::error::Error for RestError {}

/// The API, with its key.
pub(super) struct Rest {
    agent: Agent,
    base: String,
    key: Secret,
    deadline: Deadline,
}

impl Rest {
    /// Reads the key. This does not connect yet. `timeout` applies to each request.
    pub fn new(api: &LightstepApi, timeout: Duration) -> Result<Self, RestError> {
        let key = api.key.read(timeout).map_err(|err| {
            RestError::Unready(format!("failed to read the `api_key` from {}: {err}", api.key))
        })?;
        let agent = connection::agent_reached_by(
            api.proxy.as_deref(),
            api.ca_file.as_deref(),
            timeout.min(MAX_CONNECT),
            timeout,
        )
        .map_err(|err| RestError::Unready(text::chain(&err)))?;
        let base = format!("{}/public/v0.2/{}", api.base, text::segment(&api.organization));
        Ok(Self { agent, base, key, deadline: Deadline::after(PATIENCE) })
    }

    /// Sends a request and returns the JSON of a successful response. Temporary errors are retried.
    /// `path` starts below the organization.
    ///
    /// A `POST` is not retried unless it is certain that nothing was created.
    pub fn call(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, RestError> {
        let mut tries = 1;
        loop {
            let answer = self.once(method, path, body);
            let Err(RestError::Refused { status, after, .. }) = &answer else { return answer };
            let is_safe = *method != Method::POST || !answer.as_ref().is_err_and(RestError::may_have_acted);
            let wait = after.unwrap_or(PAUSE);
            if !retry::is_retryable(*status) || !is_safe || tries == TRIES || wait >= self.deadline.left() {
                return answer;
            }
            thread::sleep(wait);
            tries += 1;
        }
    }

    fn once(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, RestError> {
        let url = format!("{}/{path}", self.base);
        let unready = |why: String| RestError::Unready(why);
        fault::point(Step::Send, url.as_ref()).map_err(|err| unready(err.to_string()))?;
        let bytes = body.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", bare(self.key.expose())))
            .header("accept", "application/json")
            .header("content-type", "application/json");
        // Some servers cannot handle a GET with a body.
        let sent = match body {
            Some(_) => request.body(bytes).map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        let sent = sent.map_err(|err| unready(format!("the address `{url}` is not valid: {err}")))?;
        self.answer(sent.map_err(|err| self.no_answer(&err))?)
    }

    fn answer(&self, response: Response<Body>) -> Result<Value, RestError> {
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let after = header("retry-after").and_then(|value| retry::retry_after(&value, time::now()));
        let location = header("location");
        let mut body = Vec::new();
        let is_whole =
            response.into_body().into_with_config().limit(MAX_ANSWER).reader().read_to_end(&mut body).is_ok();
        match status {
            200..300 if !is_whole => {
                Err(RestError::Garbled("the response was cut off, or is larger than 256 KiB".into()))
            }
            200..300 => serde_json::from_slice(&body).map_err(|_| {
                let said = self.shown(&String::from_utf8_lossy(&body));
                RestError::Garbled(format!("HTTP {status}, but the response is not JSON: {said}"))
            }),
            300..400 => {
                let to = location.map(|to| format!("to {} ", self.shown(&to))).unwrap_or_default();
                let why = format!("the redirect {to}is not followed, because it would receive the API key");
                Err(RestError::Refused { status, why, after })
            }
            _ => Err(RestError::Refused { status, why: self.shown(&said(&body)), after }),
        }
    }

    fn no_answer(&self, err: &ureq::Error) -> RestError {
        let handshake = match err {
            ureq::Error::Io(err) => handshake::error(err),
            ureq::Error::Rustls(err) => Some(err),
            _ => None,
        };
        let is_refused = |err: &std::io::Error| err.kind() == std::io::ErrorKind::ConnectionRefused;
        let was_never_sent = handshake.is_some()
            || match err {
                ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectProxyFailed(_)
                | ureq::Error::Other(_) => true,
                ureq::Error::Io(err) => is_refused(err),
                _ => false,
            };
        let why = match (handshake, err) {
            (Some(err), _) => handshake::describe(err),
            (None, ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve)) => {
                "no connection in time".into()
            }
            (None, ureq::Error::Timeout(_)) => "no response in time".into(),
            (None, err) => err.to_string(),
        };
        RestError::NoAnswer { why: self.shown(&why), may_have_acted: !was_never_sent }
    }

    /// Makes a server's text fit for display, and removes the key from it.
    fn shown(&self, said: &str) -> String {
        text::line_of(Mask::of([&self.key]).apply(said), MAX_SAID)
    }
}

/// Returns the key without `Bearer `, for secrets that contain the whole header.
fn bare(key: &str) -> &str {
    let is_bearer = key.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("bearer "));
    if is_bearer { key[7..].trim_start() } else { key }
}

/// Returns the messages in an API error, `{"errors":["...", {"detail":"..."}]}`, else the body as
/// it is.
fn said(body: &[u8]) -> String {
    let errors = serde_json::from_slice::<Value>(body).ok().and_then(|answer| {
        let errors = answer.get("errors")?.as_array()?;
        let texts = errors.iter().take(5).map(|err| match err {
            Value::String(text) => text.clone(),
            Value::Object(fields) => ["detail", "message", "title"]
                .iter()
                .find_map(|key| Some(fields.get(*key)?.as_str()?.to_string()))
                .unwrap_or_else(|| err.to_string()),
            other => other.to_string(),
        });
        Some(texts.collect::<Vec<_>>().join("; ")).filter(|said| !said.is_empty())
    });
    errors.unwrap_or_else(|| String::from_utf8_lossy(body.trim_ascii()).into_owned())
}

#[cfg(test)]
mod tests;
