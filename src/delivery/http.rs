//! One connection to one destination. Whatever answers there is not trusted: every part of an answer has
//! a limit, and what is no proper answer is a fault of the connection, which may go away by itself.

use std::{
    borrow::Cow,
    cell::Cell,
    io::{self, Read as _, Write as _},
    time::Duration,
};

use flate2::{Compression as Level, write::GzEncoder};
use ureq::{Agent, Timeout, config::Config as AgentConfig, http::HeaderMap};

use super::{
    credentials::Credentials,
    retry::{self, Outcome},
};
use crate::{
    config::{Compression, Destination},
    fault::{self, Step},
    otlp::{self, Signal},
    text,
    time::{Deadline, Timestamp},
};

/// How much of an answer's body is read, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// How large an answer's status line and headers may be together, in bytes. (Their number is limited in
/// ureq-proto, to 128.)
const MAX_ANSWER_HEAD: usize = 16 << 10;

/// How long a connection may take to be there, TLS included. It is shorter than what a request may take,
/// so that an address which swallows packets leaves time for the next one of the same name.
const MAX_CONNECT: Duration = Duration::from_secs(5);

/// A destination and the connection to it, which is kept open between requests.
pub(super) struct Client<'a> {
    destination: &'a Destination,
    credentials: Credentials<'a>,
    agent: Agent,
    timeout: Duration,
    /// Whether a request was answered before, so that the next may meet a connection which is just closing.
    is_used: Cell<bool>,
}

/// An answer, as far as it came.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Whether `body` is all of it.
    is_whole: bool,
}

/// Why there is no answer.
struct Fault {
    why: String,
    /// Whether the server hung up, as it may do with a connection that was idle.
    is_hung_up: bool,
}

impl<'a> Client<'a> {
    /// Connects to nothing yet. `timeout` is for all that one [`Client::post`] does.
    pub fn new(destination: &'a Destination, timeout: Duration) -> Self {
        let config = AgentConfig::builder()
            .timeout_connect(Some(timeout.min(MAX_CONNECT)))
            .http_status_as_error(false)
            // A redirect would carry the token to whoever the answer names.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // An answer is a few bytes; one that had to be unpacked could be a bomb.
            .accept_encoding("identity")
            .max_response_header_size(MAX_ANSWER_HEAD)
            .max_idle_connections(1)
            .build();
        Self {
            destination,
            credentials: Credentials::new(&destination.headers),
            agent: config.new_agent(),
            timeout,
            is_used: Cell::new(false),
        }
    }

    /// Sends one request and says what became of it.
    ///
    /// It is sent a second time, at once, if a connection that was used before turns out to be closed, and
    /// if the answer is 401 or 403, with the secrets read anew.
    pub fn post(&self, signal: Signal, body: Vec<u8>) -> Outcome {
        let deadline = Deadline::after(self.timeout);
        let body = match self.destination.compression {
            Compression::None => body,
            Compression::Gzip => match gzip(&body) {
                Ok(body) => body,
                Err(err) => {
                    return Outcome::Retry {
                        after: None,
                        why: format!("failed to compress a request: {err}"),
                    };
                }
            },
        };
        let mut answer = self.exchange(signal, &body, deadline);
        if matches!(&answer, Err(fault) if fault.is_hung_up && self.is_used.get()) {
            answer = self.exchange(signal, &body, deadline);
        }
        if matches!(&answer, Ok(Answer { status: 401 | 403, .. })) && self.credentials.are_secret() {
            self.credentials.forget();
            answer = self.exchange(signal, &body, deadline);
        }
        match answer {
            Ok(answer) => self.outcome(signal, &answer),
            Err(fault) => Outcome::Retry { after: None, why: self.shown(fault.why) },
        }
    }

    fn exchange(&self, signal: Signal, body: &[u8], deadline: Deadline) -> Result<Answer, Fault> {
        let url = match signal {
            Signal::Logs => &self.destination.logs_url,
            Signal::Traces => &self.destination.traces_url,
        };
        fault::point(Step::Send, url.as_ref())
            .map_err(|err| Fault { why: err.to_string(), is_hung_up: false })?;
        let request = self.agent.post(url).content_type(otlp::content_type(self.destination.protocol));
        let mut request = self
            .credentials
            .apply(request, deadline, |request, name, value| request.header(name, value))
            .map_err(|why| Fault { why, is_hung_up: false })?;
        if self.destination.compression == Compression::Gzip {
            request = request.header("content-encoding", "gzip");
        }
        let request = request.config().timeout_global(Some(deadline.left())).build();
        let response = request.send(body).map_err(|err| self.fault(&err))?;
        self.is_used.set(true);
        let (head, mut rest) = response.into_parts();
        let mut body = Vec::new();
        // What is not read whole is dropped, and its connection is closed with it.
        let is_whole = rest.with_config().limit(MAX_ANSWER).reader().read_to_end(&mut body).is_ok();
        let is_whole = fault::point(Step::Acknowledge, url.as_ref()).is_ok() && is_whole;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, is_whole })
    }

    fn outcome(&self, signal: Signal, answer: &Answer) -> Outcome {
        let (status, protocol) = (answer.status, self.destination.protocol);
        match status {
            // The back end said yes; a body that cannot be read does not unsay it.
            200..300 => {
                let partial = otlp::partial_success(signal, protocol, &answer.body);
                let rejected = partial.filter(|_| answer.is_whole).map(|partial| match partial.rejected {
                    0 => format!("warning: {}", self.shown(partial.message)),
                    n => format!("{n} rejected: {}", self.shown(partial.message)),
                });
                Outcome::Accepted { rejected: rejected.unwrap_or_default() }
            }
            300..600 => {
                let said = match answer.header("location") {
                    Some(to) if status < 400 => format!("it redirects to {to}, and is not followed"),
                    _ => otlp::status_message(protocol, &answer.body),
                };
                let said = self.shown(said);
                let why =
                    if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
                if retry::is_retryable(status) {
                    let after = answer.header("retry-after");
                    let after = after.and_then(|value| retry::retry_after(&value, Timestamp::now()));
                    Outcome::Retry { after, why }
                } else {
                    Outcome::Refused { status, why }
                }
            }
            // 101 was not asked for, and above 599 there is nothing (RFC 9110, 15).
            _ => {
                Outcome::Retry { after: None, why: format!("HTTP {status}, which is no answer to a request") }
            }
        }
    }

    fn fault(&self, err: &ureq::Error) -> Fault {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let is_hung_up = matches!(err, ureq::Error::Io(err)
            if matches!(err.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof));
        let why = match err {
            ureq::Error::Timeout(Timeout::Connect) => {
                format!("no connection within {:?}", self.timeout.min(MAX_CONNECT))
            }
            ureq::Error::Timeout(_) => format!("no answer within {:?}", self.timeout),
            ureq::Error::Protocol(err) => format!("the answer is not HTTP/1.1: {err}"),
            ureq::Error::LargeResponseHeader(..) => {
                format!("the answer's headers are larger than {MAX_ANSWER_HEAD} bytes")
            }
            ureq::Error::Io(err) if err.kind() == UnexpectedEof => {
                "the connection was closed before the answer was there".into()
            }
            ureq::Error::Io(err) => err.to_string(),
            other => other.to_string(),
        };
        Fault { why, is_hung_up }
    }

    /// Makes a stranger's text fit to be shown, with no secret of ours in it.
    fn shown(&self, text: String) -> String {
        text::line(self.credentials.mask(text))
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Level::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
