//! A log receiver that goes down and comes back on the same port.

use std::{
    collections::{HashMap, HashSet},
    io::{BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest, common::v1::any_value::Value,
};
use prost::Message as _;

use super::recorder::{self, Request};

/// Interval at which the receiver checks if it should be up.
const TICK: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Shared {
    is_up: AtomicBool,
    is_ended: AtomicBool,
    downs: AtomicUsize,
    requests: AtomicUsize,
    received: Mutex<HashMap<String, HashSet<String>>>,
}

/// The receiver; it is up at first, and stops when dropped.
pub struct Flicker {
    address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Flicker {
    pub fn start() -> Self {
        // No other test binds this address, so none gets our requests while this receiver is down.
        let listener = TcpListener::bind("127.0.0.2:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared::default());
        shared.is_up.store(true, Ordering::SeqCst);
        let thread = thread::spawn({
            let (shared, address) = (shared.clone(), address.clone());
            move || listen(listener, &address, &shared)
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Alternates between up and down until `is_over` is set, and then stays up.
    pub fn go_up_and_down(&self, up: Duration, down: Duration, is_over: &AtomicBool) {
        let wait = |time: Duration| {
            let start = Instant::now();
            while start.elapsed() < time && !is_over.load(Ordering::SeqCst) {
                thread::sleep(TICK);
            }
        };
        while !is_over.load(Ordering::SeqCst) {
            wait(up);
            self.shared.is_up.store(false, Ordering::SeqCst);
            self.shared.downs.fetch_add(1, Ordering::SeqCst);
            wait(down);
            self.shared.is_up.store(true, Ordering::SeqCst);
        }
    }

    /// Returns the number of times that it went down.
    pub fn downs(&self) -> usize {
        self.shared.downs.load(Ordering::SeqCst)
    }

    /// Returns the number of requests that it accepted.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Returns the IDs of the received markers by short ref name.
    pub fn received(&self) -> HashMap<String, HashSet<String>> {
        self.shared.received.lock().expect("no panic").clone()
    }
}

impl Drop for Flicker {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(listener: TcpListener, address: &str, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    while !shared.is_ended.load(Ordering::SeqCst) {
        if !shared.is_up.load(Ordering::SeqCst) {
            // Dropping the listener makes the kernel refuse connections.
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).expect("its own port"));
        }
        let accepted = listener.as_ref().and_then(|listener| {
            listener.set_nonblocking(true).expect("a listener");
            listener.accept().ok()
        });
        match accepted {
            Some((stream, _)) => {
                stream.set_nonblocking(false).expect("a stream");
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
            None => thread::sleep(TICK),
        }
    }
}

/// Accepts requests until the receiver goes down, then closes the connection without an answer.
fn serve(stream: TcpStream, shared: &Shared) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(request) = recorder::read(&mut reader, 0) {
        if !shared.is_up.load(Ordering::SeqCst) {
            return;
        }
        shared.requests.fetch_add(1, Ordering::SeqCst);
        let mut received = shared.received.lock().expect("no panic");
        for (ref_name, id) in markers(&request) {
            received.entry(ref_name).or_default().insert(id);
        }
        drop(received);
        if writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// Returns the short ref name and the ID of every marker in a request.
fn markers(request: &Request) -> Vec<(String, String)> {
    let request = ExportLogsServiceRequest::decode(&request.content()[..]).expect("log records");
    let logs = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    logs.flat_map(|logs| logs.log_records)
        .map(|record| {
            let text = |key: &str| {
                let attribute = record.attributes.iter().find(|attribute| attribute.key == key);
                match attribute.and_then(|it| it.value.as_ref()?.value.as_ref()) {
                    Some(Value::StringValue(text)) => text.clone(),
                    other => panic!("{key} is {other:?}"),
                }
            };
            (text("vcs.ref.head.name"), text("gitea_lightstep.marker.id"))
        })
        .collect()
}
