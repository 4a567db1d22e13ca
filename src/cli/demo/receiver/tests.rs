use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

use super::*;

fn export() -> ExportLogsServiceRequest {
    let record = LogRecord { event_name: "gitea_lightstep.release".into(), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Sends `bytes` over one connection and returns the number of answers.
fn send(receiver: &Receiver, bytes: &[u8]) -> usize {
    let mut stream = TcpStream::connect(receiver.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
    // The receiver hangs up on what it does not understand, possibly before it has all of it.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    String::from_utf8_lossy(&answers).matches("HTTP/1.1 200 ").count()
}

fn arrived(receiver: &Receiver) -> Option<Export> {
    // The receiver passes a request on before answering it, so there is no need to wait.
    receiver.next(Deadline::after(Duration::ZERO)).map(|received| received.export)
}

#[test]
fn gzip_and_plain_requests_share_a_connection() {
    let receiver = Receiver::start().expect("starts");
    let plain = export().encode_to_vec();
    let traces = ExportTraceServiceRequest::default();
    let bytes = [
        request("/v1/logs", "Content-Encoding: gzip\r\n", &gzip(&plain)),
        request("/v1/logs", "", &plain),
        request("/v1/traces", "", &traces.encode_to_vec()),
    ];
    assert_eq!(send(&receiver, &bytes.concat()), 3);
    assert_eq!(arrived(&receiver), Some(Export::Logs(export())));
    assert_eq!(arrived(&receiver), Some(Export::Logs(export())));
    assert_eq!(arrived(&receiver), Some(Export::Traces(traces)));
}

#[test]
fn other_requests_are_not_accepted() {
    let receiver = Receiver::start().expect("starts");
    let plain = export().encode_to_vec();
    let mut bomb = export();
    bomb.resource_logs[0].scope_logs[0].log_records[0].event_name = "x".repeat(MAX_BODY);
    let too_long = format!("POST /v1/logs HTTP/1.1\r\ncontent-length: {}\r\n\r\n", MAX_BODY + 1);
    for bytes in [
        request("/v1/metrics", "", &plain),
        request("/v1/logs", "content-encoding: gzip\r\n", &plain),
        request("/v1/logs", "", b"\xff\xff\xff"),
        request("/v1/logs", "content-encoding: gzip\r\n", &gzip(&bomb.encode_to_vec())),
        b"POST /v1/logs HTTP/1.1\r\ncontent-length: many\r\n\r\n".to_vec(),
        b"\x16\x03\x01 hello\r\n\r\n".to_vec(),
        b"POST /v1/lo".to_vec(),
        too_long.into_bytes(),
        format!("POST /v1/logs HTTP/1.1\r\nx: {}", "y".repeat(17 << 10)).into_bytes(),
    ] {
        let case = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
        assert_eq!((send(&receiver, &bytes), arrived(&receiver)), (0, None), "{case}");
    }
}
