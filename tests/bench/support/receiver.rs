//! The receiver on loopback for the relays and for gitea-lightstep. It answers 200 to every
//! request.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A receiver that runs until the bench exits.
pub struct Receiver {
    url: String,
    served: Arc<AtomicUsize>,
    largest: Arc<AtomicUsize>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let url = format!("http://{}/", listener.local_addr().expect("the listener is bound"));
        let served = Arc::new(AtomicUsize::new(0));
        let largest = Arc::new(AtomicUsize::new(0));
        let (counted, measured) = (served.clone(), largest.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counted, measured) = (counted.clone(), measured.clone());
                // A client that closes the connection early does not affect the others.
                thread::spawn(move || serve(&stream, &counted, &measured));
            }
        });
        Self { url, served, largest }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of answered requests.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// Returns the size of the largest request body in bytes, as sent.
    pub fn largest(&self) -> usize {
        self.largest.load(Ordering::SeqCst)
    }
}

/// Returns a URL that refuses connections.
pub fn nobody() -> &'static str {
    // Systems do not assign port 1 as a free port, so it stays closed.
    let refused =
        TcpStream::connect("127.0.0.1:1").is_err_and(|err| err.kind() == io::ErrorKind::ConnectionRefused);
    assert!(refused, "expected 127.0.0.1:1 to refuse connections");
    "http://127.0.0.1:1/"
}

/// Answers the requests of one connection until it closes.
fn serve(stream: &TcpStream, served: &AtomicUsize, largest: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        let mut is_request = false;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() && is_request {
                break;
            }
            is_request |= !header.is_empty();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        largest.fetch_max(usize::try_from(length).unwrap_or(usize::MAX), Ordering::SeqCst);
        served.fetch_add(1, Ordering::SeqCst);
        let mut writer = stream;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
