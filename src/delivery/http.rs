//! HTTP client for one destination.
//!
//! The server is not trusted. Every part of a response has a size limit. A response that is not
//! valid counts as a connection failure, which is retried.

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
    handshake, renamed,
    retry::{self, RequestOutcome},
};
use crate::{
    config::{Compression, Destination, Otlp},
    marker::Signal,
    otlp::{self, Cut, Success},
    policy::{Opened, RenderedRequest},
    sys::fault::{self, Step},
    sys::time::{self, Deadline, Timestamp},
    text,
};

/// Maximum number of bytes that are read of a response's body.
const MAX_ANSWER: u64 = 64 << 10;

/// Maximum length of the explanation of a failure, in characters.
const MAX_FAULT: usize = 600;

/// A destination and its connection, which is kept open between requests.
pub(super) struct Client<'a> {
    destination: &'a Destination,
    credentials: Credentials<'a>,
    connection: Connection<'a>,
    timeout: Duration,
    /// True if a request was answered before. The next one may then meet a connection that is just
    /// closing.
    is_used: Cell<bool>,
    /// Time on the server's clock in its last response.
    clock: Cell<Option<Timestamp>>,
}

/// A request to send.
#[derive(Clone)]
struct Call<'c> {
    method: &'static str,
    url: Cow<'c, str>,
    headers: Vec<(Cow<'c, str>, Cow<'c, str>)>,
    body: Vec<u8>,
}

/// A response, possibly incomplete.
struct HttpResponse {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    /// The reason why `body` is incomplete, `None` if it is complete.
    cut: Option<Cut>,
}

/// A request that got no response.
struct Fault {
    why: String,
    kind: FaultKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    /// The server closed the connection, as it may do with an idle one.
    HungUp,
    /// The server's certificate is not trusted.
    Distrust,
    Other,
}

impl<'a> Client<'a> {
    /// Returns a client that is not connected yet. `timeout` covers a request with its repetitions.
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

    /// Returns the time in the `Date` header of the last response (RFC 9110, 6.6.1).
    pub fn clock(&self) -> Option<Timestamp> {
        self.clock.get()
    }

    /// Sends an encoded OTLP request and returns the outcome.
    pub fn post(&self, otlp: &Otlp, signal: Signal, body: Vec<u8>) -> RequestOutcome {
        let deadline = Deadline::after(self.timeout);
        let body = match otlp.compression {
            Compression::None => body,
            Compression::Gzip => match gzip(&body) {
                Ok(body) => body,
                Err(err) => {
                    return RequestOutcome::unreached(format!("failed to compress the request: {err}"));
                }
            },
        };
        let mut headers = vec![("content-type".into(), otlp::content_type(otlp.protocol).into())];
        if otlp.compression == Compression::Gzip {
            headers.push(("content-encoding".into(), "gzip".into()));
        }
        let url = otlp.url(signal);
        let call = Call { method: "POST", url: url.into(), headers, body };
        match self.attempt(deadline, &|| Ok(Cow::Borrowed(&call))) {
            Ok(answer) => self.outcome(signal, &answer),
            Err(why) => RequestOutcome::unreached(why),
        }
    }

    /// Makes a request for a script. Returns status and body of a successful response.
    ///
    /// # Errors
    /// Returns the outcome of any other response or failure.
    pub fn make(&self, endpoint: &str, request: &RenderedRequest) -> Result<(u16, String), RequestOutcome> {
        let deadline = Deadline::after(self.timeout);
        let call = || {
            let opened = request.open(endpoint, &mut |name| self.credentials.named(name, deadline));
            let opened = opened.map_err(|err| text::chain(&err))?;
            let Opened { url, headers, body } = opened;
            let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            Ok(Cow::Owned(Call { method: request.method, url: url.into(), headers, body }))
        };
        let mut answer = self.attempt(deadline, &call).map_err(RequestOutcome::unreached)?;
        if matches!(answer.status, 301 | 307 | 308)
            && let Some(to) = answer.header("location")
            && let Some(url) = renamed::moved_to(endpoint, &to)
        {
            let call = || {
                let mut call = call()?.into_owned();
                call.url = url.as_str().into();
                Ok(Cow::Owned(call))
            };
            answer = self.attempt(deadline, &call).map_err(RequestOutcome::unreached)?;
        }
        match answer.status {
            status @ 200..300 => Ok((status, String::from_utf8_lossy(&answer.body).into_owned())),
            _ => Err(self.other_than_success(&answer, || {
                String::from_utf8_lossy(answer.body.trim_ascii()).into_owned()
            })),
        }
    }

    /// Checks that a server answers at a URL, with any response. No secrets are sent.
    ///
    /// # Errors
    /// Returns the outcome if nothing answers.
    pub fn reach(&self, url: &str) -> Result<(), RequestOutcome> {
        let agent = || self.connection.agent().map_err(|err| RequestOutcome::unreached(text::chain(&err)));
        let first = agent()?;
        let request = first.get(url).config().timeout_global(Some(self.timeout)).build();
        let answer = match request.call() {
            Err(err) if self.fault(&err).kind == FaultKind::Distrust && self.connection.trusts_others() => {
                agent()?.get(url).config().timeout_global(Some(self.timeout)).build().call()
            }
            other => other,
        };
        let answer = answer.map_err(|err| RequestOutcome::unreached(self.describe(self.fault(&err))))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        self.clock.set(date.and_then(retry::http_date));
        Ok(())
    }

    /// Sends a request and returns the response.
    ///
    /// The request is sent again at once in three cases: if a reused connection turns out to be
    /// closed, if the certificate is not trusted and other CAs can be tried, or if the response is
    /// 401 or 403. In the last case the secrets are read again first.
    fn attempt<'c>(
        &self,
        deadline: Deadline,
        call: &dyn Fn() -> Result<Cow<'c, Call<'c>>, String>,
    ) -> Result<HttpResponse, String> {
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
        if matches!(&answer, Ok(HttpResponse { status: 401 | 403, .. })) && self.credentials.are_secret() {
            self.credentials.forget();
            answer = exchange();
        }
        answer.map_err(|fault| self.describe(fault))
    }

    /// Returns the explanation of a fault for people. The end of the text is advice, so its limit
    /// is higher than for a server's text.
    fn describe(&self, mut fault: Fault) -> String {
        if fault.kind == FaultKind::Distrust {
            fault.why.push_str(&self.connection.remedy());
        }
        text::line_of(self.credentials.mask(&fault.why), MAX_FAULT)
    }

    fn exchange(&self, call: &Call<'_>, deadline: Deadline) -> Result<HttpResponse, Fault> {
        let place = self.destination.address();
        fault::point(Step::Send, place.as_ref()).map_err(|err| Fault::other(err.to_string()))?;
        let agent = self.connection.agent().map_err(|err| Fault::other(text::chain(&err)))?;
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
            .map_err(|err| Fault::other(text::chain(&err)))?;
        let unsendable = |err: http::Error| Fault::other(format!("failed to build the request: {err}"));
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
        // A body that is not read to its end is dropped, which closes the connection.
        let read = rest.with_config().limit(MAX_ANSWER).reader().read_to_end(&mut body);
        let cut = match (fault::point(Step::Acknowledge, place.as_ref()), read) {
            (Ok(()), Ok(_)) => None,
            (Ok(()), Err(_)) if body.len() as u64 >= MAX_ANSWER => Some(Cut::TooLarge),
            _ => Some(Cut::Broken),
        };
        let answer = HttpResponse { status: head.status.as_u16(), headers: head.headers, body, cut };
        self.clock.set(answer.header("date").and_then(|date| retry::http_date(&date)));
        Ok(answer)
    }

    fn outcome(&self, signal: Signal, answer: &HttpResponse) -> RequestOutcome {
        let status = answer.status;
        if !(200..300).contains(&status) {
            return self.other_than_success(answer, || otlp::status_message(&answer.body));
        }
        let content_type = answer.header("content-type");
        let success =
            Success { status, content_type: content_type.as_deref(), body: &answer.body, cut: answer.cut };
        match success.partial(signal) {
            Ok(None) => RequestOutcome::Accepted { rejected: String::new() },
            Ok(Some(partial)) => {
                let message = self.shown(&partial.message);
                let rejected = match partial.rejected {
                    0 => format!("warning: {message}"),
                    n => format!("{n} rejected: {message}"),
                };
                RequestOutcome::Accepted { rejected }
            }
            Err(err) => {
                RequestOutcome::unreached(format!("HTTP {status}, but {}", self.shown(&err.to_string())))
            }
        }
    }

    fn other_than_success(&self, answer: &HttpResponse, said: impl FnOnce() -> String) -> RequestOutcome {
        let status = answer.status;
        if !(300..600).contains(&status) {
            // A 101 was not requested, and there are no codes above 599 (RFC 9110, 15).
            return RequestOutcome::unreached(format!("HTTP {status}, which is not a final response status"));
        }
        let said = match answer.header("location") {
            Some(to) if status < 400 => format!("redirects to {to}, which is not followed"),
            _ => said(),
        };
        let said = self.shown(&said);
        let why = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        if retry::is_retryable(status) {
            let after = answer.header("retry-after");
            let after = after.and_then(|value| retry::retry_after(&value, time::now()));
            // A `Retry-After` means that the server is at fault, not a marker.
            let may_be_content = status >= 500 && after.is_none();
            RequestOutcome::Retry { after, why, may_be_content }
        } else {
            RequestOutcome::Refused { status: Some(status), why }
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
        let why = || match err {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                format!("no connection within {:?}", self.connection.timeout())
            }
            ureq::Error::Timeout(_) => format!("no response within {:?}", self.timeout),
            ureq::Error::Protocol(err) => format!("the response is not valid HTTP/1.1: {err}"),
            ureq::Error::LargeResponseHeader(..) => {
                format!("the response headers are larger than {MAX_ANSWER_HEAD} bytes")
            }
            ureq::Error::Io(err) if err.kind() == UnexpectedEof => {
                "the server closed the connection before the response was complete".into()
            }
            ureq::Error::Io(err) => err.to_string(),
            ureq::Error::ConnectProxyFailed(why) if why.contains(" 407/") => {
                "HTTP 407: the proxy requires a login, which gitea-lightstep does not support; \
                 let this machine through without one"
                    .into()
            }
            ureq::Error::Other(err) => err.to_string(),
            other => other.to_string(),
        };
        let why = handshake.map_or_else(why, handshake::describe);
        let why = match &self.destination.proxy {
            Some(proxy) => format!("through the proxy {proxy}: {why}"),
            None => why,
        };
        Fault { why, kind }
    }

    /// Makes a server's text fit for display, and removes our secrets from it.
    pub fn shown(&self, text: &str) -> String {
        text::line(self.credentials.mask(text))
    }
}

impl Fault {
    fn other(why: String) -> Self {
        Self { why, kind: FaultKind::Other }
    }
}

impl HttpResponse {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Level::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
