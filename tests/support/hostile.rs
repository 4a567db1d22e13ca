//! A server that follows a script: it reads part or all of a request, sends arbitrary bytes, and
//! closes the connection in a given way.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::listener::Listener;

/// One action of the server on a connection. After the last step, the server sends FIN and reads
/// the rest of the input.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads one request: its head and a body of `Content-Length` bytes.
    TakeRequest,
    /// Reads this many bytes.
    Take(usize),
    /// Reads one request except for its last byte, so that a [`Step::Reset`] leaves input unread.
    TakeAllButOne,
    Say(Vec<u8>),
    /// Sends these bytes one at a time, with a pause after each.
    Dribble(Vec<u8>, Duration),
    /// Sends these bytes repeatedly until the client disconnects.
    SayForEver(Vec<u8>),
    /// Pauses.
    Wait(Duration),
    /// Sends nothing until the client disconnects.
    Silence,
    /// Closes the connection with an RST. The kernel sends it when a socket with unread input is
    /// closed.
    Reset,
}

/// The server; it stops when dropped.
pub struct Hostile {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    scripts: Vec<Vec<Step>>,
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// Read and write timeout, so that a server thread ends soon after its test.
const PATIENCE: Duration = Duration::from_secs(30);

impl Hostile {
    /// Starts a server that uses one script for each connection, in order. The last script applies
    /// to all later connections too.
    pub fn start(scripts: Vec<Vec<Step>>) -> Self {
        assert!(!scripts.is_empty(), "a script is needed");
        let shared =
            Arc::new(Shared { scripts, connections: AtomicUsize::new(0), requests: AtomicUsize::new(0) });
        let serving = shared.clone();
        let serve = move |stream| {
            let nth = serving.connections.fetch_add(1, Ordering::SeqCst);
            let script = &serving.scripts[nth.min(serving.scripts.len() - 1)];
            // A client that disconnects ends the script.
            let _ = act(stream, script, &serving.requests);
        };
        Self { listener: Listener::start(serve), shared }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.listener.address()
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of requests that were read completely.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

/// Returns an HTTP response. It has a `Content-Length` only if one of the lines is one.
pub fn answer(status: &str, lines: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Returns an empty response with status 200.
pub fn ok() -> Vec<u8> {
    answer("200 OK", &["content-length: 0"], b"")
}

fn act(mut stream: TcpStream, script: &[Step], requests: &AtomicUsize) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    for step in script {
        match step {
            Step::TakeRequest => {
                take_request(&mut stream, 0)?;
                requests.fetch_add(1, Ordering::SeqCst);
            }
            Step::TakeAllButOne => take_request(&mut stream, 1)?,
            Step::Take(count) => stream.read_exact(&mut vec![0; *count])?,
            Step::Say(bytes) => stream.write_all(bytes)?,
            Step::Dribble(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[*byte])?;
                    std::thread::sleep(*pause);
                }
            }
            Step::SayForEver(bytes) => loop {
                stream.write_all(bytes)?;
            },
            Step::Wait(time) => std::thread::sleep(*time),
            Step::Silence => break,
            Step::Reset => {
                stream.peek(&mut [0])?;
                return Ok(());
            }
        }
    }
    if !matches!(script.last(), Some(Step::Silence)) {
        stream.shutdown(Shutdown::Write)?;
    }
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// Reads one request except for the last `less` bytes of its body.
fn take_request(stream: &mut TcpStream, less: usize) -> io::Result<()> {
    let mut head = Vec::new();
    // Read byte by byte, because the rest must stay in the socket.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or_default();
    stream.read_exact(&mut vec![0; length - less])
}
