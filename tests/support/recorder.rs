//! A receiver that stores every request unchanged and sends the answers that a test configured.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{listener::Listener, tls::Identity, wait_until};

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Number of the connection that carried the request, from 0.
    pub connection: usize,
}

/// An answer: a status, headers and a body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A function that chooses the answer to a request.
type Judge = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

struct Shared {
    requests: Mutex<Vec<Request>>,
    judge: Judge,
    connections: AtomicUsize,
}

/// The receiver; it stops when dropped.
pub struct Recorder {
    listener: Listener,
    shared: Arc<Shared>,
}

impl Shared {
    fn judging(judge: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self { requests: Mutex::default(), judge: Box::new(judge), connections: AtomicUsize::new(0) }
    }
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl Recorder {
    /// Starts a receiver that gives these answers in order, one per request, and then 200.
    pub fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Mutex<VecDeque<Answer>> = Mutex::new(answers.into_iter().collect());
        Self::judging(move |_| {
            answers.lock().expect("no panic").pop_front().unwrap_or_else(|| Answer::status(200))
        })
    }

    /// Starts a receiver that chooses its answer from the request.
    pub fn judging(judge: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared::judging(judge));
        let serving = shared.clone();
        Self { listener: Listener::start(move |stream| serve(stream, &serving)), shared }
    }

    /// Starts a receiver that accepts everything over TLS.
    pub fn with_tls(identity: &Identity) -> Self {
        let shared = Arc::new(Shared::judging(|_| Answer::status(200)));
        let (serving, identity) = (shared.clone(), identity.clone());
        let serve_tls = move |stream| {
            // A client that rejects our certificate closes the connection without a request.
            if let Some(stream) = identity.accept(stream) {
                serve(stream, &serving);
            }
        };
        Self { listener: Listener::start(serve_tls), shared }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// Returns the port on loopback.
    pub fn port(&self) -> u16 {
        self.listener.address().rsplit(':').next().expect("a port").parse().expect("a number")
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no panic").clone()
    }

    /// Waits until this many requests have arrived, and returns all of them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        wait_until(&format!("{count} requests have come"), || self.requests().len() >= count);
        self.requests()
    }
}

impl Request {
    /// Returns the value of a header; `name` must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body, decompressed if its `Content-Encoding` is gzip.
    pub fn content(&self) -> Vec<u8> {
        if self.header("content-encoding") != Some("gzip") {
            return self.body.clone();
        }
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut content).expect("gzip");
        content
    }
}

fn serve(stream: impl Read + Write, shared: &Shared) {
    let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader, connection) {
        let answer = (shared.judge)(&request);
        shared.requests.lock().expect("no panic").push(request);
        let mut head =
            format!("HTTP/1.1 {} Said\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let writer = reader.get_mut();
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&answer.body)).is_err() {
            return;
        }
    }
}

/// Reads a request, or returns `None` at the end of a connection.
pub fn read(reader: &mut impl BufRead, connection: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let (method, rest) = line.split_once(' ')?;
    let (method, path) = (method.to_string(), rest.split(' ').next()?.to_string());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_string()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, v)| v.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body, connection })
}
