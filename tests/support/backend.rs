//! A scripted back end for the crash tests. It can fail in several ways, and records every request.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{BufReader, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
        trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{KeyValue, any_value},
    resource::v1::Resource,
};
use prost::Message as _;

use super::{
    listener::Listener,
    recorder::{self, Request},
};

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Status 200.
    Yes,
    /// Status 200 with a partial success that rejects one marker.
    YesButOne,
    /// Status 503.
    NotNow,
    /// Status 400 with a `google.rpc.Status`.
    Never,
    /// Closes the connection without reading the request.
    HangUp,
    /// Reads the request and closes the connection without an answer.
    HangUpAfterReading,
}

/// Identifies a marker within its schedule by values that the test knows in advance: pusher, kind,
/// environment, ref and revision.
pub type Key = String;

/// A request that was read, and its answer.
#[derive(Clone, Debug)]
pub struct Heard {
    pub is_traces: bool,
    /// Markers in the request, by ID.
    pub markers: BTreeMap<String, Key>,
    pub said: Say,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Say>>,
    /// Answer after the end of the script.
    otherwise: Mutex<Option<Say>>,
    heard: Mutex<Vec<Heard>>,
    errand: Mutex<Option<(usize, Errand)>>,
}

/// A test's action while a request waits for its answer.
type Errand = Box<dyn FnOnce() + Send>;

/// The back end; it stops when dropped.
pub struct Backend {
    listener: Listener,
    shared: Arc<Shared>,
}

impl Backend {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        Self { listener: Listener::start(move |stream| serve(stream, &serving)), shared }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// Sets the answers to the next requests. After them, the answer is 200.
    pub fn say(&self, script: impl IntoIterator<Item = Say>) {
        *lock(&self.shared.otherwise) = None;
        *lock(&self.shared.script) = script.into_iter().collect();
    }

    /// Sets the answer to every request from now on.
    pub fn always_say(&self, say: Say) {
        self.say([]);
        *lock(&self.shared.otherwise) = Some(say);
    }

    /// Runs `errand` before the answer to the `nth` request, counted from 1 since the last
    /// [`Self::forget`].
    pub fn before_answer(&self, nth: usize, errand: impl FnOnce() + Send + 'static) {
        *lock(&self.shared.errand) = Some((nth, Box::new(errand)));
    }

    /// Clears the recorded requests.
    pub fn forget(&self) {
        lock(&self.shared.heard).clear();
    }

    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.shared.heard).clone()
    }

    /// Returns all IDs under which each marker arrived.
    pub fn ids(&self) -> BTreeMap<Key, BTreeSet<String>> {
        let mut ids: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for heard in &*lock(&self.shared.heard) {
            for (id, key) in &heard.markers {
                ids.entry(key.clone()).or_default().insert(id.clone());
            }
        }
        ids
    }

    /// Returns the marker IDs in requests of one signal whose answer is in `said`.
    pub fn ids_told(&self, is_traces: bool, said: &[Say]) -> BTreeSet<String> {
        let heard = lock(&self.shared.heard);
        let report = heard.iter().filter(|heard| heard.is_traces == is_traces && said.contains(&heard.said));
        report.flat_map(|heard| heard.markers.keys().cloned()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}

fn serve(stream: TcpStream, shared: &Shared) {
    // Nagle's algorithm would delay the second write of an answer until the client acknowledges the
    // first.
    let _ = stream.set_nodelay(true);
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    loop {
        // Wait for the first byte, because a connection that closes earlier must not use up an
        // answer.
        if !matches!(std::io::BufRead::fill_buf(&mut reader), Ok([_, ..])) {
            return;
        }
        let otherwise = lock(&shared.otherwise).unwrap_or(Say::Yes);
        let said = lock(&shared.script).pop_front().unwrap_or(otherwise);
        if said == Say::HangUp {
            return;
        }
        let Some(request) = recorder::read(&mut reader, 0) else { return };
        let heard = hear(&request, said);
        let answer = answer(&heard);
        let count = {
            let mut heard_so_far = lock(&shared.heard);
            heard_so_far.push(heard);
            heard_so_far.len()
        };
        let errand = lock(&shared.errand).take_if(|(nth, _)| *nth == count);
        if let Some((_, errand)) = errand {
            errand();
        }
        if answer.is_empty() || writer.write_all(&answer).is_err() {
            return;
        }
    }
}

fn answer(heard: &Heard) -> Vec<u8> {
    let message = || "response of the test".to_string();
    let (status, body) = match heard.said {
        Say::HangUp | Say::HangUpAfterReading => return Vec::new(),
        Say::Yes => (200, Vec::new()),
        Say::NotNow => (503, Vec::new()),
        // In google.rpc.Status, the message is field 2.
        Say::Never => (400, [&[0x12, message().len() as u8][..], message().as_bytes()].concat()),
        Say::YesButOne if heard.is_traces => {
            let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: message() };
            (200, ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
        }
        Say::YesButOne => {
            let partial = ExportLogsPartialSuccess { rejected_log_records: 1, error_message: message() };
            (200, ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec())
        }
    };
    let mut answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    answer
}

fn hear(request: &Request, said: Say) -> Heard {
    let content = request.content();
    let is_traces = request.path.ends_with("/traces");
    let mut markers = BTreeMap::new();
    let mut add = |resource: &Option<Resource>, attributes: &[KeyValue]| {
        let resource = resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let id = value(attributes, "gitea_lightstep.marker.id");
        // A deployment becomes a rollback depending on the deployments decided before it. Its ID
        // stays the same.
        let kind = match value(attributes, "gitea_lightstep.kind") {
            "rollback" => "deployment",
            kind => kind,
        };
        let key = key(
            value(attributes, "user.name"),
            kind,
            value(resource, "deployment.environment.name"),
            value(attributes, "vcs.ref.head.name"),
            value(attributes, "vcs.ref.head.revision"),
        );
        assert_eq!(markers.insert(id.to_string(), key), None, "one request contains {id} twice");
    };
    if is_traces {
        let request = ExportTraceServiceRequest::decode(&*content).expect("a request for traces");
        for group in &request.resource_spans {
            let spans = group.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.for_each(|span| add(&group.resource, &span.attributes));
        }
    } else {
        let request = ExportLogsServiceRequest::decode(&*content).expect("a request for logs");
        for group in &request.resource_logs {
            let records = group.scope_logs.iter().flat_map(|scope| &scope.log_records);
            records.for_each(|record| add(&group.resource, &record.attributes));
        }
    }
    Heard { is_traces, markers, said }
}

/// Returns the key of a marker.
pub fn key(pusher: &str, kind: &str, environment: &str, ref_name: &str, revision: &str) -> Key {
    format!("{pusher} {kind} [{environment}] {ref_name} {revision}")
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text,
        _ => "",
    }
}
