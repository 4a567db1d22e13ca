//! A TCP listener on loopback that serves each connection in its own thread.

use std::{
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Ports below those that Linux hands out itself (`net.ipv4.ip_local_port_range`).
const FIRST_PORT: u32 = 10_000;
const PORTS: u32 = 20_000;

/// Binds a port that no test had a moment ago. The delivery of a test that ended may still try its
/// receiver's port, and Linux may give that port to the next test.
fn bind() -> TcpListener {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id();
    let ports = (0..PORTS).map(|_| FIRST_PORT + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS);
    ports
        .filter_map(|port| u16::try_from(port).ok())
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .expect("a free port")
}

/// The listener; it stops when dropped.
pub struct Listener {
    address: String,
    is_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts the listener; `serve` handles each connection.
    pub fn start(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = bind();
        let address = listener.local_addr().expect("an address").to_string();
        let is_ended = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let is_ended = is_ended.clone();
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if is_ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let serve = serve.clone();
                    thread::spawn(move || serve(stream));
                }
            }
        });
        Self { address, is_ended, thread: Some(thread) }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::SeqCst);
        // The connection wakes the accepting thread, which then sees the flag.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
