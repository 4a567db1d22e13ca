//! One connection to one destination. Whatever answers there is not trusted: every part of an answer has
//! a limit, and what is no proper answer is a fault of the connection, which may go away by itself.

use std::{
    borrow::Cow,
    cell::Cell,
    io::{self, Read as _, Write as _},
    time::Duration,
};

use flate2::{Compression as Level, write::GzEncoder};
use ureq::{
    Timeout,
    http::{self, HeaderMap},
};

use super::{
    connection::{Connection, MAX_ANSWER_HEAD},
    credentials::Credentials,
    handshake,
    retry::{self, Outcome},
};
use crate::{
    config::{Compression, Destination, Otlp},
    fault::{self, Step},
    otlp::{self, Signal},
    policy::{Opened, Request},
    text,
    time::{Deadline, Timestamp},
};

/// How much of an answer's body is read, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// How much is told of why there is no answer, in characters.
const MAX_FAULT: usize = 600;

/// A destination and the connection to it, which is kept open between requests.
pub(super) struct Client<'a> {
    destination: &'a Destination,
    credentials: Credentials<'a>,
    connection: Connection<'a>,
    timeout: Duration,
    /// Whether a request was answered before, so that the next may meet a connection which is just closing.
    is_used: Cell<bool>,
    /// What time it was there when it last answered.
    clock: Cell<Option<Timestamp>>,
}

/// What is sent.
#[derive(Clone)]
struct Call<'c> {
    method: &'static str,
    url: Cow<'c, str>,
    headers: Vec<(Cow<'c, str>, Cow<'c, str>)>,
    body: Vec<u8>,
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
    kind: FaultKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    /// The server hung up, as it may do with a connection that was idle.
    HungUp,
    /// The server's certificate comes from nobody who is trusted.
    Distrust,
    Other,
}

impl<'a> Client<'a> {
    /// Connects to nothing yet. `timeout` is for all that one request takes, repeated or not.
    pub fn new(destination: &'a Destination, timeout: Duration) -> Self {
        Self {
            destination,
            credentials: Credentials::new(destination),
            connection: Connection::new(destination, timeout),
            timeout,
            is_used: Cell::new(false),
            clock: Cell::new(None),
        }
    }

    /// Returns what time the last answer says that it was where it came from (RFC 9110, 6.6.1).
    pub fn clock(&self) -> Option<Timestamp> {
        self.clock.get()
    }

    /// Sends markers in the words of OTLP and says what became of them.
    pub fn post(&self, otlp: &Otlp, signal: Signal, body: Vec<u8>) -> Outcome {
        let deadline = Deadline::after(self.timeout);
        let body = match otlp.compression {
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
        let mut headers = vec![("content-type".into(), otlp::content_type(otlp.protocol).into())];
        if otlp.compression == Compression::Gzip {
            headers.push(("content-encoding".into(), "gzip".into()));
        }
        let url = match signal {
            Signal::Logs => &otlp.logs_url,
            Signal::Traces => &otlp.traces_url,
        };
        let call = Call { method: "POST", url: url.into(), headers, body };
        match self.attempt(deadline, &|| Ok(Cow::Borrowed(&call))) {
            Ok(answer) => self.outcome(otlp, signal, &answer),
            Err(why) => Outcome::Retry { after: None, why },
        }
    }

    /// Makes a request of a script's, and returns what was answered where the status is one of success.
    ///
    /// # Errors
    /// With what else became of it.
    pub fn make(&self, endpoint: &str, request: &Request) -> Result<(u16, String), Outcome> {
        let deadline = Deadline::after(self.timeout);
        let call = || {
            let opened = request.open(endpoint, &mut |name| self.credentials.named(name, deadline))?;
            let Opened { url, headers, body } = opened;
            let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            Ok(Cow::Owned(Call { method: request.method, url: url.into(), headers, body }))
        };
        let answer = self.attempt(deadline, &call).map_err(|why| Outcome::Retry { after: None, why })?;
        match answer.status {
            status @ 200..300 => Ok((status, String::from_utf8_lossy(&answer.body).into_owned())),
            status => Err(self.other_than_success(&answer, retry::is_retryable_anywhere(status), || {
                String::from_utf8_lossy(answer.body.trim_ascii()).into_owned()
            })),
        }
    }

    /// Returns whether anything answers at an address, whatever it says. No secret goes along.
    ///
    /// # Errors
    /// With why nothing answers.
    pub fn reach(&self, url: &str) -> Result<(), String> {
        let agent = self.connection.agent()?;
        let request = agent.get(url).config().timeout_global(Some(self.timeout)).build();
        let answer = match request.call() {
            Err(err) if self.fault(&err).kind == FaultKind::Distrust && self.connection.trusts_others() => {
                let agent = self.connection.agent()?;
                agent.get(url).config().timeout_global(Some(self.timeout)).build().call()
            }
            other => other,
        };
        let answer = answer.map_err(|err| self.told(self.fault(&err)))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        self.clock.set(date.and_then(retry::http_date));
        Ok(())
    }

    /// Returns the answer to a request.
    ///
    /// It is sent a second time, at once, if a connection that was used before turns out to be closed, if others may be
    /// trusted than those who do not know the server's certificate, and if the answer is 401 or 403, with the secrets read
    /// anew.
    fn attempt<'c>(
        &self,
        deadline: Deadline,
        call: &dyn Fn() -> Result<Cow<'c, Call<'c>>, String>,
    ) -> Result<Answer, String> {
        let exchange = || self.exchange(&*call().map_err(Fault::other)?, deadline);
        let mut answer = exchange();
        let is_worth_another = |fault: &Fault| match fault.kind {
            FaultKind::HungUp => self.is_used.get(),
            FaultKind::Distrust => self.connection.trusts_others(),
            FaultKind::Other => false,
        };
        if answer.as_ref().err().is_some_and(is_worth_another) {
            answer = exchange();
        }
        if matches!(&answer, Ok(Answer { status: 401 | 403, .. })) && self.credentials.are_secret() {
            self.credentials.forget();
            answer = exchange();
        }
        answer.map_err(|fault| self.told(fault))
    }

    /// Returns what people read of a fault. Most of it is our own, and the end of it says what to do.
    fn told(&self, mut fault: Fault) -> String {
        if fault.kind == FaultKind::Distrust {
            fault.why.push_str(&self.connection.remedy());
        }
        text::line_of(self.credentials.mask(fault.why), MAX_FAULT)
    }

    fn exchange(&self, call: &Call<'_>, deadline: Deadline) -> Result<Answer, Fault> {
        let place = self.destination.address();
        fault::point(Step::Send, place.as_ref()).map_err(|err| Fault::other(err.to_string()))?;
        let agent = self.connection.agent().map_err(Fault::other)?;
        let mut request = http::Request::builder().method(call.method).uri(&*call.url);
        for (name, value) in &call.headers {
            request = request.header(&**name, &**value);
        }
        let is_said = |name: &str| call.headers.iter().any(|(said, _)| said == name);
        let request = self
            .credentials
            .apply(
                request,
                deadline,
                |request, name, value| {
                    if is_said(name) { request } else { request.header(name, value) }
                },
            )
            .map_err(Fault::other)?;
        let unsendable = |err: http::Error| Fault::other(format!("the request cannot be sent: {err}"));
        let left = Some(deadline.left());
        let response = if call.body.is_empty() && matches!(call.method, "GET" | "DELETE") {
            let request = request.body(()).map_err(unsendable)?;
            agent.run(agent.configure_request(request).timeout_global(left).build())
        } else {
            let request = request.body(&call.body[..]).map_err(unsendable)?;
            agent.run(agent.configure_request(request).timeout_global(left).build())
        };
        let response = response.map_err(|err| self.fault(&err))?;
        self.is_used.set(true);
        let (head, mut rest) = response.into_parts();
        let mut body = Vec::new();
        // What is not read whole is dropped, and its connection is closed with it.
        let is_whole = rest.with_config().limit(MAX_ANSWER).reader().read_to_end(&mut body).is_ok();
        let is_whole = fault::point(Step::Acknowledge, place.as_ref()).is_ok() && is_whole;
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, body, is_whole };
        self.clock.set(answer.header("date").and_then(|date| retry::http_date(&date)));
        Ok(answer)
    }

    fn outcome(&self, otlp: &Otlp, signal: Signal, answer: &Answer) -> Outcome {
        let (status, protocol) = (answer.status, otlp.protocol);
        if !(200..300).contains(&status) {
            return self.other_than_success(answer, retry::is_retryable(status), || {
                otlp::status_message(protocol, &answer.body)
            });
        }
        // The back end said yes; a body that cannot be read does not unsay it.
        let partial = otlp::partial_success(signal, protocol, &answer.body);
        let rejected = partial.filter(|_| answer.is_whole).map(|partial| match partial.rejected {
            0 => format!("warning: {}", self.shown(partial.message)),
            n => format!("{n} rejected: {}", self.shown(partial.message)),
        });
        Outcome::Accepted { rejected: rejected.unwrap_or_default() }
    }

    fn other_than_success(
        &self,
        answer: &Answer,
        is_retryable: bool,
        said: impl FnOnce() -> String,
    ) -> Outcome {
        let status = answer.status;
        if !(300..600).contains(&status) {
            // 101 was not asked for, and above 599 there is nothing (RFC 9110, 15).
            let why = format!("HTTP {status}, which is no answer to a request");
            return Outcome::Retry { after: None, why };
        }
        let said = match answer.header("location") {
            Some(to) if status < 400 => format!("it redirects to {to}, and is not followed"),
            _ => said(),
        };
        let said = self.shown(said);
        let why = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        if is_retryable {
            let after = answer.header("retry-after");
            let after = after.and_then(|value| retry::retry_after(&value, Timestamp::now()));
            Outcome::Retry { after, why }
        } else {
            Outcome::Refused { status, why }
        }
    }

    fn fault(&self, err: &ureq::Error) -> Fault {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let handshake = match err {
            ureq::Error::Io(err) => handshake::error(err),
            ureq::Error::Rustls(err) => Some(err),
            _ => None,
        };
        let kind = match err {
            ureq::Error::Io(err)
                if matches!(err.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof) =>
            {
                FaultKind::HungUp
            }
            _ if handshake.is_some_and(handshake::is_distrust) => FaultKind::Distrust,
            _ => FaultKind::Other,
        };
        let why = || {
            match err {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                format!("no connection within {:?}", self.connection.timeout())
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
            ureq::Error::ConnectProxyFailed(why) if why.contains(" 407/") => {
                "HTTP 407: it wants a name and a password, which cannot be given; let it take this machine without".into()
            }
            ureq::Error::Other(err) => err.to_string(),
            other => other.to_string(),
        }
        };
        let why = handshake.map_or_else(why, handshake::told);
        let why = match &self.destination.proxy {
            Some(proxy) => format!("through the proxy {proxy}: {why}"),
            None => why,
        };
        Fault { why, kind }
    }

    /// Makes a stranger's text fit to be shown, with no secret of ours in it.
    pub fn shown(&self, text: String) -> String {
        text::line(self.credentials.mask(text))
    }
}

impl Fault {
    fn other(why: String) -> Self {
        Self { why, kind: FaultKind::Other }
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
