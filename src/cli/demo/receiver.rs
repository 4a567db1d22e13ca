//! An OTLP/HTTP receiver for the demo, which shows what this program really sent. It understands what
//! our own delivery sends: protobuf, compressed or not, of a known length. It hangs up on anything
//! else.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Instant,
};

use flate2::read::MultiGzDecoder;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

use crate::sys::time::Deadline;

/// Maximum size of a request's head, and of its body before and after decompression, in bytes.
const MAX_HEAD: u64 = 16 << 10;
const MAX_BODY: usize = 8 << 20;

/// The answer to every request. An empty body is the protobuf form of a complete success.
const ANSWER: &[u8] = b"HTTP/1.1 200 \r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// A running receiver. It listens until the process ends.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    received: mpsc::Receiver<Received>,
}

/// A request that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Time at which the whole request had arrived.
    pub at: Instant,
    pub export: Export,
}

/// Content of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Export {
    Logs(ExportLogsServiceRequest),
    Traces(ExportTraceServiceRequest),
}

impl Receiver {
    /// Starts a receiver on a free loopback port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (hand_on, received) = mpsc::channel();
        thread::Builder::new().name("receiver".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let hand_on = hand_on.clone();
                // If no thread can be started, the connection is closed and the client retries.
                let _ = thread::Builder::new().spawn(move || serve(stream, &hand_on));
            }
        })?;
        Ok(Self { address, received })
    }

    /// Returns the address to send to, in the form of `endpoint` in `[[destination]]`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the next request, or `None` if none arrives before the deadline.
    pub fn next(&self, deadline: Deadline) -> Option<Received> {
        self.received.recv_timeout(deadline.left()).ok()
    }
}

/// Serves one connection until the client closes it.
fn serve(stream: TcpStream, hand_on: &mpsc::Sender<Received>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let export = read_request(&mut reader)?;
        let received = Received { at: Instant::now(), export };
        hand_on.send(received).map_err(io::Error::other)?;
        reader.get_mut().write_all(ANSWER)?;
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Export> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let mut head = String::new();
    let mut lines = reader.by_ref().take(MAX_HEAD);
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head)? == 0 {
            return Err(malformed());
        }
    }
    let header = |name: &str| {
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        headers.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let len: Option<usize> = header("content-length").and_then(|len| len.parse().ok());
    let mut body = vec![0; len.filter(|len| *len <= MAX_BODY).ok_or_else(malformed)?];
    reader.read_exact(&mut body)?;
    if header("content-encoding") == Some("gzip") {
        let packed = std::mem::take(&mut body);
        MultiGzDecoder::new(&*packed).take(MAX_BODY as u64).read_to_end(&mut body)?;
    }
    match head.split(' ').nth(1) {
        Some("/v1/logs") => Ok(Export::Logs(ExportLogsServiceRequest::decode(&*body)?)),
        Some("/v1/traces") => Ok(Export::Traces(ExportTraceServiceRequest::decode(&*body)?)),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests;
