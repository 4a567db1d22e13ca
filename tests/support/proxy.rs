//! An HTTP proxy that supports `CONNECT` and records the requests.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::listener::Listener;

/// The proxy; it stops when dropped.
pub struct Proxy {
    listener: Listener,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy that connects to this port of loopback for every requested name.
    pub fn to(port: u16) -> Self {
        Self::start(move |mut client| {
            let mut server = TcpStream::connect(("127.0.0.1", port)).expect("the server");
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("written");
            let (mut from, mut to) =
                (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            let up = thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let _ = io::copy(&mut server, &mut client);
            let _ = client.shutdown(Shutdown::Both);
            let _ = up.join();
        })
    }

    /// Starts a proxy that answers every request with this status.
    pub fn refusing(status: u16) -> Self {
        Self::start(move |mut client| {
            let _ = write!(client, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        })
    }

    fn start(lead: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let counting = asked.clone();
        let listener = Listener::start(move |stream| {
            let mut reader = BufReader::new(stream);
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                // A client sends only the head until the proxy answers.
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if line == "\r\n" {
                    break;
                }
                head.push(line.trim_end().to_string());
            }
            counting.lock().expect("no panic").push(head.swap_remove(0));
            lead(reader.into_inner());
        });
        Self { listener, asked }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// Returns the request line of each request.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}
