//! A server that keeps to a script: it reads as much of a request as it is told to, says any bytes, and
//! hangs up the way it is told.

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

/// What the server does next with a connection. After the last step it says that it has no more to say
/// (FIN), and reads what still comes.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads one request: its head, and as much body as that says.
    TakeRequest,
    /// Reads this many bytes.
    Take(usize),
    /// Reads one request without its last byte, so that a [`Step::Reset`] has something to leave unread.
    TakeAllButOne,
    Say(Vec<u8>),
    /// Says these bytes one by one, with a pause after each.
    Dribble(Vec<u8>, Duration),
    /// Says these bytes again and again until the client leaves.
    SayForEver(Vec<u8>),
    /// Is silent for a while.
    Wait(Duration),
    /// Is silent until the client leaves.
    Silence,
    /// Hangs up with an RST. The kernel sends it when a socket is closed with something unread in it.
    Reset,
}

/// The server; it ends when it is dropped.
pub struct Hostile {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    scripts: Vec<Vec<Step>>,
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// How long a client may keep the server waiting, so that no thread outlives a test by much.
const PATIENCE: Duration = Duration::from_secs(30);

impl Hostile {
    /// Starts a server that treats the first connection by the first script, and so on; the last script
    /// is for all that come after.
    pub fn start(scripts: Vec<Vec<Step>>) -> Self {
        assert!(!scripts.is_empty(), "a script is needed");
        let shared =
            Arc::new(Shared { scripts, connections: AtomicUsize::new(0), requests: AtomicUsize::new(0) });
        let serving = shared.clone();
        let serve = move |stream| {
            let nth = serving.connections.fetch_add(1, Ordering::SeqCst);
            let script = &serving.scripts[nth.min(serving.scripts.len() - 1)];
            // A client that has left ends the script.
            let _ = act(stream, script, &serving.requests);
        };
        Self { listener: Listener::start(serve), shared }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.listener.address()
    }

    /// Returns how many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns how many requests were read to their end.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

/// Returns an answer: the head with these lines, and the body, without a length unless a line says one.
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

/// Returns the answer of a server that means well.
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

/// Reads one request but for `less` bytes of its body.
fn take_request(stream: &mut TcpStream, less: usize) -> io::Result<()> {
    let mut head = Vec::new();
    // Byte by byte, because nothing that comes after may be read.
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
