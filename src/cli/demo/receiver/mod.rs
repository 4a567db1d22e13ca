//! An OTLP/HTTP receiver that keeps nothing: it takes logs and traces as gzipped or plain protobuf on
//! a free loopback port, hands each decoded request on, and says 200. What it cannot take it refuses
//! with the status that says why (opentelemetry-proto docs/specification.md, "OTLP/HTTP").
//!
//! It is no back end. It exists so that a person, or a test, sees what really left the program.

mod http;

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Instant,
};

use flate2::read::MultiGzDecoder;
use http::{Connection, MAX_BODY, Refusal, Request};
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;

use crate::{
    config::Protocol,
    otlp::{self, Signal},
    time::Deadline,
};

/// A receiver at work; it listens for as long as the process lives.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: mpsc::Receiver<Received>,
}

/// One request that was taken.
#[derive(Clone, Debug)]
pub struct Received {
    /// When all of it had come.
    pub at: Instant,
    /// What was in it.
    pub export: Export,
}

/// What a request carried.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    /// Log records.
    Logs(ExportLogsServiceRequest),
    /// Spans.
    Traces(ExportTraceServiceRequest),
}

impl Receiver {
    /// Starts a receiver on a free loopback port.
    ///
    /// # Errors
    /// If there is no such port, or no thread can be started.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (hand_on, received) = mpsc::channel();
        thread::Builder::new().name("receiver".into()).spawn(move || listen(&listener, &hand_on))?;
        Ok(Self { address, received })
    }

    /// Returns the address to send to, as `[[destination]] endpoint` wants it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the next request, `None` if there is none before the deadline.
    pub fn next(&self, deadline: Deadline) -> Option<Received> {
        self.received.recv_timeout(deadline.left()).ok()
    }
}

fn listen(listener: &TcpListener, hand_on: &mpsc::Sender<Received>) {
    for stream in listener.incoming().flatten() {
        let hand_on = hand_on.clone();
        // A client that gets no thread finds its connection closed, and tries again.
        let _ = thread::Builder::new().name("connection".into()).spawn(move || serve(stream, &hand_on));
    }
}

/// Serves one connection until either side has had enough; a client that is gone gets no answer.
fn serve(stream: TcpStream, hand_on: &mpsc::Sender<Received>) {
    let Ok(mut connection) = Connection::new(stream) else {
        return;
    };
    loop {
        let (answer, stays_open) = match connection.next() {
            Ok(None) => return,
            Ok(Some(request)) => (take(&request, hand_on), request.stays_open),
            // Where the next request would begin is not known any more.
            Err(refusal) => (Err(refusal), false),
        };
        let answered = match answer {
            Ok(body) => connection.answer(200, otlp::content_type(Protocol::Protobuf), &body, stays_open),
            Err(Refusal { status, why }) => {
                connection.answer(status, "text/plain", why.as_bytes(), stays_open)
            }
        };
        if answered.is_err() || !stays_open {
            return;
        }
    }
}

/// Takes one request, and returns the body of the answer.
fn take(request: &Request, hand_on: &mpsc::Sender<Received>) -> Result<Vec<u8>, Refusal> {
    let at = Instant::now();
    let signal = match request.path.as_str() {
        "/v1/logs" => Signal::Logs,
        "/v1/traces" => Signal::Traces,
        _ => return Err(Refusal::new(404, "expected /v1/logs or /v1/traces")),
    };
    if request.method != "POST" {
        return Err(Refusal::new(405, "expected POST"));
    }
    if request.content_type != otlp::content_type(Protocol::Protobuf) {
        let expected = otlp::content_type(Protocol::Protobuf);
        return Err(Refusal::new(415, format!("expected the content-type {expected}")));
    }
    let unpacked;
    let body = match request.content_encoding.as_str() {
        "" | "identity" => &request.body,
        "gzip" => {
            unpacked = gunzip(&request.body)?;
            &unpacked
        }
        _ => return Err(Refusal::new(415, "expected the content-encoding gzip, or none")),
    };
    let (export, answer) = match signal {
        Signal::Logs => (Export::Logs(decode(body)?), ExportLogsServiceResponse::default().encode_to_vec()),
        Signal::Traces => {
            (Export::Traces(decode(body)?), ExportTraceServiceResponse::default().encode_to_vec())
        }
    };
    hand_on
        .send(Received { at, export })
        .map(|()| answer)
        .map_err(|_| Refusal::new(503, "nobody looks at what arrives any more"))
}

fn gunzip(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::new();
    // One byte more than the limit tells a body that reaches it from one that exceeds it.
    MultiGzDecoder::new(body)
        .take(MAX_BODY as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|err| Refusal::new(400, format!("the body is no gzip: {err}")))?;
    if unpacked.len() > MAX_BODY { Err(Refusal::too_large()) } else { Ok(unpacked) }
}

fn decode<T: Message + Default>(body: &[u8]) -> Result<T, Refusal> {
    T::decode(body).map_err(|err| Refusal::new(400, format!("the body is no OTLP: {err}")))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, time::Duration};

    use flate2::{Compression, write::GzEncoder};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

    use super::*;

    const HEADERS: &str = "host: demo\r\ncontent-type: application/x-protobuf\r\n";

    fn export() -> ExportLogsServiceRequest {
        let record = LogRecord { event_name: "gitea_lightstep.release".into(), ..LogRecord::default() };
        let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
        }
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).expect("writes to memory");
        encoder.finish().expect("writes to memory")
    }

    fn request(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("{line} HTTP/1.1\r\n{headers}content-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    /// Sends `bytes` over one connection and returns the statuses of the answers. The client has said
    /// all it will, so that the receiver closes and the answers have an end.
    fn send(receiver: &Receiver, bytes: &[u8]) -> Vec<u16> {
        let mut stream = TcpStream::connect(receiver.address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
        stream.write_all(bytes).expect("sends");
        stream.shutdown(std::net::Shutdown::Write).expect("is open");
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("answers within the time, in text");
        let statuses = answers.split("HTTP/1.1 ").skip(1);
        statuses.map(|answer| answer[..3].parse().expect("a number")).collect()
    }

    fn arrives(receiver: &Receiver) -> Option<Export> {
        receiver.next(Deadline::after(Duration::from_secs(10))).map(|received| received.export)
    }

    /// Whatever was taken was handed on before it was answered, so there is no need to wait.
    fn is_empty(receiver: &Receiver) -> bool {
        receiver.next(Deadline::after(Duration::ZERO)).is_none()
    }

    #[test]
    fn requests_on_one_connection_arrive_packed_and_plain() {
        let receiver = Receiver::start().expect("starts");
        let plain = export().encode_to_vec();
        let packed = format!("{HEADERS}content-encoding: gzip\r\n");
        let traces = ExportTraceServiceRequest::default();
        let bytes = [
            request("POST /v1/logs", &packed, &gzip(&plain)),
            request("POST /v1/logs", HEADERS, &plain),
            request("POST /v1/traces", HEADERS, &traces.encode_to_vec()),
        ];
        assert_eq!(send(&receiver, &bytes.concat()), [200, 200, 200]);
        assert_eq!(arrives(&receiver), Some(Export::Logs(export())));
        assert_eq!(arrives(&receiver), Some(Export::Logs(export())));
        assert_eq!(arrives(&receiver), Some(Export::Traces(traces)));
    }

    #[test]
    fn what_is_wrong_is_refused_and_the_connection_goes_on() {
        let receiver = Receiver::start().expect("starts");
        let plain = export().encode_to_vec();
        let packed = format!("{HEADERS}content-encoding: gzip\r\n");
        let cases = [
            (request("POST /v1/metrics", HEADERS, &plain), 404),
            (request("GET /v1/logs", HEADERS, b""), 405),
            (request("POST /v1/logs", "content-type: application/json\r\n", b"{}"), 415),
            (request("POST /v1/logs", &format!("{HEADERS}content-encoding: br\r\n"), &plain), 415),
            (request("POST /v1/logs", &packed, &plain), 400),
            (request("POST /v1/logs", HEADERS, b"\xff\xff\xff"), 400),
        ];
        for (bytes, status) in cases {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let then = request("POST /v1/logs", HEADERS, &plain);
            assert_eq!(send(&receiver, &[bytes, then].concat()), [status, 200], "{shown}");
            assert!(arrives(&receiver).is_some() && is_empty(&receiver), "{shown}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused_and_the_connection_closed() {
        let receiver = Receiver::start().expect("starts");
        let cases = [
            ("\x16\x03\x01 hello\r\n\r\n".to_string(), 400),
            (format!("POST /v1/logs HTTP/1.1\r\n{HEADERS}content-length: many\r\n\r\n"), 400),
            ("POST /v1/logs HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".into(), 400),
            (format!("POST /v1/logs HTTP/1.1\r\n{HEADERS}transfer-encoding: chunked\r\n\r\n"), 411),
            (format!("POST /v1/logs HTTP/1.1\r\n{HEADERS}content-length: {}\r\n\r\n", MAX_BODY + 1), 413),
            (format!("POST /v1/logs HTTP/1.1\r\nx: {}", "y".repeat(17 << 10)), 431),
            (format!("POST /v1/logs HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65)), 431),
        ];
        for (bytes, status) in cases {
            assert_eq!(send(&receiver, bytes.as_bytes()), [status], "{}", &bytes[..bytes.len().min(120)]);
        }
        assert_eq!(send(&receiver, b"POST /v1/lo"), [0_u16; 0]);
        assert!(is_empty(&receiver));
    }

    #[test]
    fn a_body_that_unpacks_to_too_much_is_refused() {
        let receiver = Receiver::start().expect("starts");
        let bomb = gzip(&vec![0; MAX_BODY + 1]);
        let packed = format!("{HEADERS}content-encoding: gzip\r\n");
        assert_eq!(send(&receiver, &request("POST /v1/logs", &packed, &bomb)), [413]);
        assert!(is_empty(&receiver));
    }
}
