//! One HTTP/1.1 request after another off a connection (RFC 9112), within bounds: as much of the
//! protocol as OTLP/HTTP needs. A body comes with its length; chunks are refused.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// How large a request line and its headers may be together, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How many headers a request may have.
const MAX_HEADERS: usize = 64;

/// How large a body may be, in bytes, as it comes and again unpacked.
pub(super) const MAX_BODY: usize = 8 << 20;

/// How long a client may keep us waiting for its next byte.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, with what was read of it beyond the last request.
pub(super) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// One whole request.
pub(super) struct Request {
    pub method: String,
    pub path: String,
    /// The media type in lower case, without parameters.
    pub content_type: String,
    /// In lower case, empty if the body is as it is.
    pub content_encoding: String,
    pub body: Vec<u8>,
    /// Whether the client means to send another one.
    pub stays_open: bool,
}

/// Why a request is not taken: the status of the answer, and what it says.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub why: String,
}

impl Refusal {
    pub fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// Refuses a body because of its size.
    pub fn too_large() -> Self {
        Self::new(413, format!("the limit of a body is {} MiB", MAX_BODY >> 20))
    }
}

/// What stands before a body.
struct Head {
    request: Request,
    body_len: usize,
    len: usize,
}

impl Connection {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Reads the next request; `None` if the client is gone, and there is nobody to answer.
    pub fn next(&mut self) -> Result<Option<Request>, Refusal> {
        let head = loop {
            if let Some(head) = Head::parse(&self.unread)? {
                break head;
            }
            if self.unread.len() > MAX_HEAD {
                return Err(Refusal::new(431, format!("the limit of a head is {} KiB", MAX_HEAD >> 10)));
            }
            if !self.read_on() {
                return Ok(None);
            }
        };
        self.unread.drain(..head.len);
        while self.unread.len() < head.body_len {
            if !self.read_on() {
                return Ok(None);
            }
        }
        let body = self.unread.drain(..head.body_len).collect();
        Ok(Some(Request { body, ..head.request }))
    }

    fn read_on(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        let read = self.stream.read(&mut chunk).unwrap_or(0);
        self.unread.extend_from_slice(&chunk[..read]);
        read > 0
    }

    /// Answers a request.
    pub fn answer(
        &mut self,
        status: u16,
        content_type: &str,
        body: &[u8],
        stays_open: bool,
    ) -> io::Result<()> {
        // The words after a status are for nobody (RFC 9112, section 4), the space before them is needed.
        let mut answer = format!(
            "HTTP/1.1 {status} \r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{}{}\r\n",
            body.len(),
            if status == 405 { "allow: POST\r\n" } else { "" },
            if stays_open { "" } else { "connection: close\r\n" },
        )
        .into_bytes();
        answer.extend_from_slice(body);
        self.stream.write_all(&answer)
    }
}

impl Head {
    /// Parses what has come so far; `None` if that is not all of it.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let len = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal::new(431, format!("the limit is {MAX_HEADERS} headers")));
            }
            Err(err) => return Err(Refusal::new(400, format!("no HTTP request: {err}"))),
        };
        let mut request = Request {
            method: parsed.method.unwrap_or_default().into(),
            path: parsed.path.unwrap_or_default().into(),
            content_type: String::new(),
            content_encoding: String::new(),
            body: Vec::new(),
            stays_open: parsed.version == Some(1),
        };
        let mut body_len = None;
        for header in parsed.headers.iter() {
            let value = header.value.trim_ascii().to_ascii_lowercase();
            let text = || String::from_utf8_lossy(&value);
            match header.name.to_ascii_lowercase().as_str() {
                "content-type" => {
                    request.content_type = text().split(';').next().unwrap_or_default().trim().into();
                }
                "content-encoding" => request.content_encoding = text().into(),
                "content-length" => {
                    let said = text()
                        .parse::<usize>()
                        .map_err(|_| Refusal::new(400, "expected a number as content-length"))?;
                    // Two lengths are how one request is smuggled into another.
                    if body_len.replace(said).is_some_and(|before| before != said) {
                        return Err(Refusal::new(400, "expected one content-length, found two"));
                    }
                }
                "transfer-encoding" => return Err(Refusal::new(411, "expected a content-length")),
                "connection" if value == b"close" => request.stays_open = false,
                _ => {}
            }
        }
        let body_len = body_len.unwrap_or(0);
        if body_len > MAX_BODY {
            return Err(Refusal::too_large());
        }
        Ok(Some(Self { request, body_len, len }))
    }
}
