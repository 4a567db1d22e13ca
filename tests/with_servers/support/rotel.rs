//! Runs rotel, an independent OTLP agent, and reads the markers that it received.
//!
//! Rotel listens on loopback, discards its input and prints it to a detailed debug log. This module
//! reads only that log, so an independent decoder has understood each record in [`Rotel::records`].
//! Rotel is lenient: it accepts unknown fields, duplicate keys and malformed IDs. `decode_otlp.py`
//! checks the bytes strictly.
//!
//! The log does not escape anything. A value may contain line breaks, and even lines that look like
//! the log's own. The parser misreads only a value that contains `)`, a line break, and then a line
//! that could follow it in the log.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const TEST_ENV: &str = "GITEA_LIGHTSTEP_TEST_ENV";

// Lines, and prefixes of lines, in the log.
const STARTED: &str = " INFO Starting Rotel. ";
const BULLET: &str = "     -> ";
const TRACE_ID: &str = "    Trace ID       : ";
const HEADINGS: [&str; 6] =
    ["ResourceLog #", "ScopeLogs #", "LogRecord #", "ResourceSpans #", "ScopeSpans #", "Span #"];

/// Maximum time for a start, a stop or a delivery on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// A rotel agent on its own port; it is killed when dropped.
pub struct Rotel {
    agent: PathBuf,
    port: u16,
    log: PathBuf,
    errors: PathBuf,
    child: Option<Child>,
}

/// A `LogRecord`, as rotel understood it.
///
/// In `body` and attributes, strings are bare. Other values have the form that rotel prints:
/// `Int(7)`, `Bool(true)`, `Double(1.5)`, `Slice(Str(a), Int(1))`, `Map(k:Str(v))`,
/// `Bytes([0, 255])`, `Empty`. Unset fields are empty or 0, and IDs are in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub resource: BTreeMap<String, String>,
    pub scope: String,
    pub event_name: String,
    pub time_unix_nano: u64,
    pub observed_time_unix_nano: u64,
    pub severity: String,
    pub body: String,
    pub attributes: BTreeMap<String, String>,
    pub trace_id: String,
    pub span_id: String,
}

/// A `Span`, as rotel understood it; values are as in [`Record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub resource: BTreeMap<String, String>,
    pub scope: String,
    pub name: String,
    pub kind: String,
    pub start_time_unix_nano: u64,
    pub end_time_unix_nano: u64,
    pub status: String,
    pub attributes: BTreeMap<String, String>,
    pub links: Vec<Link>,
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
}

/// The target of a span link, with the link's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub attributes: BTreeMap<String, String>,
}

impl Rotel {
    /// Starts an agent that logs to `dir`, and returns when it accepts connections.
    #[track_caller]
    pub fn start(dir: &Path) -> Self {
        let agent = agent_path();
        // Another process can take the port between this check and rotel's bind.
        for _ in 0..5 {
            let port = free_port();
            let mut rotel = Self {
                agent: agent.clone(),
                port,
                log: dir.join(format!("rotel-{port}.log")),
                errors: dir.join(format!("rotel-{port}.err")),
                child: None,
            };
            if rotel.spawn() {
                return rotel;
            }
        }
        panic!("rotel found no free port in five attempts");
    }

    /// Returns the base URL for OTLP/HTTP, without `/v1/logs`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops the agent, which first prints what it has accepted. Later connections are refused.
    #[track_caller]
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        terminate(&child);
        let ended = poll(|| exited(&mut child));
        if ended.is_none() {
            kill(&mut child);
            panic!("rotel did not exit within {DEADLINE:?} after SIGTERM\n{}", self.printed());
        }
    }

    /// Restarts the agent on the same port. Earlier records stay in [`Rotel::records`].
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.spawn(), "rotel did not come back on port {}\n{}", self.port, self.printed());
    }

    /// Returns the log records printed so far, including those before a restart.
    #[track_caller]
    pub fn records(&self) -> Vec<Record> {
        parse(&read(&self.log)).0
    }

    /// Returns the spans printed so far, including those before a restart.
    #[track_caller]
    pub fn spans(&self) -> Vec<Span> {
        parse(&read(&self.log)).1
    }

    /// Waits for at least `count` log records, and returns all of them.
    #[track_caller]
    pub fn wait_for_records(&self, count: usize) -> Vec<Record> {
        self.wait_for(count, "log records", Self::records)
    }

    /// Waits for at least `count` spans, and returns all of them.
    #[track_caller]
    pub fn wait_for_spans(&self, count: usize) -> Vec<Span> {
        self.wait_for(count, "spans", Self::spans)
    }

    #[track_caller]
    fn wait_for<T: PartialEq>(&self, count: usize, what: &str, list: impl Fn(&Self) -> Vec<T>) -> Vec<T> {
        // A span has no closing line, so a partly printed one looks complete. Require two equal
        // reads in a row.
        let mut before = None;
        let settled = poll(|| {
            let found = list(self);
            let is_settled = found.len() >= count && before.as_ref() == Some(&found);
            before = Some(found);
            is_settled.then_some(())
        });
        let found = before.unwrap_or_default();
        assert!(
            settled.is_some(),
            "{} of {count} {what} reached rotel in {DEADLINE:?}\n{}",
            found.len(),
            self.printed()
        );
        found
    }

    /// Starts the agent. Returns false if another process has the port.
    #[track_caller]
    fn spawn(&mut self) -> bool {
        let logged = read(&self.log).len();
        let mut child = Command::new(&self.agent)
            .arg("start")
            .args(["--exporter", "blackhole"])
            .args(["--debug-log", "logs", "--debug-log", "traces"])
            .args(["--debug-log-verbosity", "detailed"])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{}", self.port)])
            // gRPC cannot be disabled, so it gets port 0. HTTP needs a known port, because rotel
            // does not print the one it got.
            .args(["--otlp-grpc-endpoint", "127.0.0.1:0"])
            // Clear the environment: rotel reads settings from ROTEL_*. NO_COLOR disables colours
            // in its log.
            .env_clear()
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(append(&self.log))
            .stderr(append(&self.errors))
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", self.agent.display()));

        // Rotel binds before it prints this line, so the line proves that this child has the port.
        let ready = poll(|| match exited(&mut child) {
            Some(()) => Some(false),
            None => (read(&self.log)[logged..].contains(STARTED) && connects(self.port)).then_some(true),
        });
        if ready != Some(true) {
            kill(&mut child);
        }
        match ready {
            Some(true) => self.child = Some(child),
            Some(false) if read(&self.errors).contains("unable to bind") => return false,
            Some(false) => panic!("rotel exited immediately\n{}", self.printed()),
            None => panic!("rotel did not listen within {DEADLINE:?}\n{}", self.printed()),
        }
        true
    }

    /// Returns the last 4000 characters of rotel's log and of its stderr, for failure messages.
    fn printed(&self) -> String {
        let tail = |path: &Path| {
            let text = read(path);
            let from = text.char_indices().rev().nth(3999).map_or(0, |(at, _)| at);
            text[from..].to_owned()
        };
        format!("--- rotel's log\n{}--- its stderr\n{}", tail(&self.log), tail(&self.errors))
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            kill(child);
        }
    }
}

#[track_caller]
fn agent_path() -> PathBuf {
    let test_env = std::env::var_os(TEST_ENV)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env"), PathBuf::from);
    let agent = test_env.join("bin/rotel-agent");
    assert!(
        agent.is_file(),
        "{} is missing: run tests/run once, which installs what the tests need",
        agent.display()
    );
    agent
}

/// Returns a free port below the kernel's range for outgoing connections, so that it stays free
/// while its server is down. The search starts at a port that depends on the process ID, because
/// each test is a process.
#[track_caller]
pub(super) fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    (0..COUNT)
        .map(|_| std::process::id() * 8 + TAKEN.fetch_add(1, Ordering::Relaxed))
        .filter_map(|number| u16::try_from(FIRST + number % COUNT).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap_or_else(|| panic!("no free port on 127.0.0.1 from {FIRST} on"))
}

pub(super) fn connects(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Sends SIGTERM, which the standard library cannot.
#[track_caller]
pub(super) fn terminate(child: &Child) {
    let status =
        Command::new("/bin/sh").args(["-c", "kill -TERM \"$0\""]).arg(child.id().to_string()).status();
    assert!(status.is_ok_and(|status| status.success()), "send SIGTERM to {}", child.id());
}

pub(super) fn kill(child: &mut Child) {
    // Both calls fail only if the child has already exited.
    drop(child.kill());
    drop(child.wait());
}

#[track_caller]
fn exited(child: &mut Child) -> Option<()> {
    match child.try_wait() {
        Ok(status) => status.map(|_| ()),
        Err(error) => panic!("wait for rotel: {error}"),
    }
}

/// Calls `ask` until it returns a value or the deadline expires.
fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(POLL);
    }
}

#[track_caller]
fn append(path: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("open {}: {error}", path.display()))
}

/// Reads a file; a missing file is empty.
#[track_caller]
fn read(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => panic!("read {}: {error}", path.display()),
    }
}

/// Parses the debug log. An incomplete line at its end is left for the next call.
#[track_caller]
fn parse(log: &str) -> (Vec<Record>, Vec<Span>) {
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let mut lines = Lines { rest: whole.split('\n').peekable() };
    let mut records = Vec::new();
    let mut spans = Vec::new();
    let mut resource = BTreeMap::new();
    let mut scope = String::new();
    while let Some(line) = lines.rest.next() {
        if is_numbered(line, "LogRecord #") {
            let record = lines.record(&resource, &scope);
            records.extend(lines.unless_cut_off(record));
        } else if is_numbered(line, "Span #") {
            let span = lines.span(&resource, &scope);
            spans.extend(lines.unless_cut_off(span));
        } else if is_numbered(line, "ResourceLog #") || is_numbered(line, "ResourceSpans #") {
            resource = BTreeMap::new();
        } else if line == "Resource attributes:" {
            resource = lines.attributes(BULLET, &[]);
        } else if is_numbered(line, "ScopeLogs #") || is_numbered(line, "ScopeSpans #") {
            scope.clear();
        } else if let Some(named) = line.strip_prefix("InstrumentationScope ") {
            // The heading of a scope's attributes starts with the same word.
            if named != "attributes:" {
                named.trim_end().clone_into(&mut scope);
            }
        }
    }
    (records, spans)
}

struct Lines<'a> {
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
}

impl Lines<'_> {
    /// Panics if parsing failed before the end of the log, where rotel may still be writing.
    #[track_caller]
    fn unless_cut_off<T>(&mut self, read: Option<T>) -> Option<T> {
        if let (None, Some(line)) = (&read, self.rest.peek()) {
            panic!("unexpected line from rotel: {line:?}");
        }
        read
    }

    /// Reads a log record. Returns `None` if the log ends inside it.
    #[track_caller]
    fn record(&mut self, resource: &BTreeMap<String, String>, scope: &str) -> Option<Record> {
        let observed = self.field("ObservedTimestamp: ")?;
        let time = self.field("Timestamp: ")?;
        self.text("SeverityText: ", &["SeverityNumber: ", "EventName: ", "Body: "])?;
        let severity = self.field("SeverityNumber: ").unwrap_or_default();
        let event_name = self.text("EventName: ", &["Body: "]).unwrap_or_default();
        let body = self.value("Body: ", &["Attributes:", TRACE_ID])?;
        let attributes = match self.field("Attributes:") {
            Some(_) => self.attributes(BULLET, &[TRACE_ID]),
            None => BTreeMap::new(),
        };
        let trace_id = self.field(TRACE_ID)?;
        let span_id = self.field("    Span ID        : ")?;
        self.field("Flags: ")?;
        Some(Record {
            resource: resource.clone(),
            scope: scope.to_owned(),
            event_name,
            time_unix_nano: number(&time),
            observed_time_unix_nano: number(&observed),
            severity,
            body,
            attributes,
            trace_id,
            span_id,
        })
    }

    /// Reads a span. Returns `None` if the log ends inside it.
    #[track_caller]
    fn span(&mut self, resource: &BTreeMap<String, String>, scope: &str) -> Option<Span> {
        let trace_id = self.field(TRACE_ID)?;
        let parent_span_id = self.field("    Parent ID      : ")?;
        let span_id = self.field("    ID             : ")?;
        let name = self.text("    Name           : ", &["    Kind           : "])?;
        let kind = self.field("    Kind           : ")?;
        self.field("    TraceState     : ");
        let start = self.field("Start time: ")?;
        let end = self.field("End time: ")?;
        let mut status = self.field("    Status code    : ").unwrap_or_default();
        if let Some(message) = self.text("    Status message : ", &["Attributes:", "Events:", "Links:"])
            && !message.is_empty()
        {
            status = format!("{status}: {message}");
        }
        let attributes = match self.field("Attributes:") {
            Some(_) => self.attributes(BULLET, &["Events:", "Links:"]),
            None => BTreeMap::new(),
        };
        self.skip_events();
        let links = match self.field("Links:") {
            Some(_) => self.links()?,
            None => Vec::new(),
        };
        Some(Span {
            resource: resource.clone(),
            scope: scope.to_owned(),
            name,
            kind,
            start_time_unix_nano: number(&start),
            end_time_unix_nano: number(&end),
            status,
            attributes,
            links,
            trace_id,
            span_id,
            parent_span_id,
        })
    }

    fn skip_events(&mut self) {
        if self.field("Events:").is_some() {
            while self.rest.next_if(|line| *line != "Links:" && !is_heading(line)).is_some() {}
        }
    }

    #[track_caller]
    fn links(&mut self) -> Option<Vec<Link>> {
        let mut links = Vec::new();
        while self.rest.next_if(|line| is_numbered(line, "SpanLink #")).is_some() {
            let trace_id = self.field("     -> Trace ID: ")?;
            let span_id = self.field("     -> ID: ")?;
            self.field("     -> TraceState: ")?;
            self.field("     -> DroppedAttributesCount: ")?;
            let attributes = match self.field("     -> Attributes::") {
                Some(_) => self.attributes("          -> ", &["SpanLink #"]),
                None => BTreeMap::new(),
            };
            links.push(Link { trace_id, span_id, attributes });
        }
        Some(links)
    }

    #[track_caller]
    fn attributes(&mut self, bullet: &str, next: &[&str]) -> BTreeMap<String, String> {
        let next: Vec<_> = next.iter().copied().chain([bullet]).collect();
        let mut attributes = BTreeMap::new();
        while let Some(line) = self.rest.next_if(|line| line.starts_with(bullet)) {
            let pair = &line[bullet.len()..];
            let Some((key, value)) = pair.split_once(": ") else {
                panic!("rotel printed an attribute that is not `key: value`: {pair:?}");
            };
            let value = self.rest_of_value(value, &next);
            let earlier = attributes.insert(key.to_owned(), value);
            assert!(earlier.is_none(), "rotel printed the attribute {key} twice");
        }
        attributes
    }

    /// Returns the rest of the line after `label`.
    fn field(&mut self, label: &str) -> Option<String> {
        let line = self.rest.next_if(|line| line.starts_with(label))?;
        Some(line[label.len()..].to_owned())
    }

    /// Returns the text after `label`, up to the line that starts with one of `next`.
    fn text(&mut self, label: &str, next: &[&str]) -> Option<String> {
        let mut text = self.field(label)?;
        while let Some(line) = self.rest.next_if(|line| !ends(line, next)) {
            text.push('\n');
            text.push_str(line);
        }
        Some(text)
    }

    /// Reads a typed value, such as `Str(main)`, like [`Self::text`].
    fn value(&mut self, label: &str, next: &[&str]) -> Option<String> {
        let first = self.field(label)?;
        Some(self.rest_of_value(&first, next))
    }

    fn rest_of_value(&mut self, first: &str, next: &[&str]) -> String {
        let mut printed = first.to_owned();
        let is_closed = |printed: &str| printed.ends_with(')') || printed == "Empty";
        while let Some(line) = self.rest.next_if(|line| !is_closed(&printed) || !ends(line, next)) {
            printed.push('\n');
            printed.push_str(line);
        }
        match printed.strip_prefix("Str(").and_then(|rest| rest.strip_suffix(')')) {
            Some(string) => string.to_owned(),
            None => printed,
        }
    }
}

fn ends(line: &str, next: &[&str]) -> bool {
    next.iter().any(|label| line.starts_with(label)) || is_heading(line)
}

/// Returns true for a line that starts a section of the log, or a message of rotel itself.
fn is_heading(line: &str) -> bool {
    HEADINGS.iter().any(|part| is_numbered(line, part)) || is_about_rotel(line)
}

/// Matches lines like `2026-11-22T12:53:29.417040Z  INFO Shutdown signal received.`
fn is_about_rotel(line: &str) -> bool {
    let Some((time, rest)) = line.split_once("Z ") else {
        return false;
    };
    let is_time = time.contains('T') && time.chars().all(|c| c.is_ascii_digit() || "-:.T".contains(c));
    is_time && ["ERROR ", " WARN ", " INFO "].iter().any(|level| rest.starts_with(level))
}

fn is_numbered(line: &str, part: &str) -> bool {
    line.strip_prefix(part).is_some_and(|number| number.parse::<u32>().is_ok())
}

#[track_caller]
fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("rotel printed {text:?} for a time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    const PRINTED: &str = "\
2026-11-22T12:53:29.417040Z  INFO Starting Rotel. http_endpoint=\"127.0.0.1:24318\"
ResourceLog #0
Resource SchemaURL: https://opentelemetry.io/schemas/1.44.0
Resource attributes:
     -> service.name: Str(checkout)
     -> n: Int(7)
ScopeLogs #0
ScopeLogs SchemaURL: 
InstrumentationScope gitea-lightstep 0.1.0
LogRecord #0
ObservedTimestamp: 1700000001000000000
Timestamp: 1700000000123456789
SeverityText: INFO
SeverityNumber: SEVERITY_NUMBER_INFO(9)
EventName: gitea_lightstep.release
Body: Str(release (x)

checkout)
Attributes:
     -> quote: Str(a\"b\\c (x) -> Str(y))
     -> lines: Str(line one
     -> fake: Str(no)
last)
     -> colon: Str(fix: this)
     -> array: Slice(Str(x), Str(y, z), Int(3))
     -> none: Empty
    Trace ID       : 5b8efff798038103d269b633813fc60c
    Span ID        : eee19b7ec3c1b174
Flags: 1
LogRecord #1
ObservedTimestamp: 0
Timestamp: 5
SeverityText: 
SeverityNumber: SEVERITY_NUMBER_UNSPECIFIED(0)
Body: Empty
    Trace ID       : 
    Span ID        : 
Flags: 0
2026-11-22T12:53:29.5Z ERROR Failed to decompress gzip data: unexpected end of file
ResourceSpans #0
Resource SchemaURL: 
ScopeSpans #0
ScopeSpans SchemaURL: 
Span #0
    Trace ID       : 5b8efff798038103d269b633813fc60c
    Parent ID      : 
    ID             : eee19b7ec3c1b174
    Name           : deployment checkout
    Kind           : SPAN_KIND_SERVER
    TraceState     : x=y
Start time: 1
End time: 2
    Status code    : STATUS_CODE_OK
    Status message : fine
Attributes:
     -> s: Str(plain)
Events:
SpanEvent #0
     -> Name: ev
     -> Timestamp: 3
     -> DroppedAttributesCount: 0
     -> Attributes::
          -> q: Int(2)
Links:
SpanLink #0
     -> Trace ID: 0cc63f8133b669d203810398f7ff8e5b
     -> ID: 74b1c1c37e9be1ee
     -> TraceState: a=b
     -> DroppedAttributesCount: 0
     -> Attributes::
          -> l: Str(x)
SpanLink #1
     -> Trace ID: 0cc63f8133b669d203810398f7ff8e5b
     -> ID: 74b1c1c37e9be1ee
     -> TraceState: 
     -> DroppedAttributesCount: 0
Span #1
    Trace ID       : 5b8efff798038103d269b633813fc60c
    Parent ID      : eee19b7ec3c1b174
    ID             : 74b1c1c37e9be1ee
    Name           : child
    Kind           : SPAN_KIND_INTERNAL
Start time: 0
End time: 0
2026-11-22T12:53:30.083683Z  INFO Shutdown signal received.
";

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn printed_log_is_parsed() {
        let (records, spans) = parse(PRINTED);

        assert_eq!(records.len(), 2);
        let record = &records[0];
        assert_eq!(record.resource, map(&[("service.name", "checkout"), ("n", "Int(7)")]));
        assert_eq!(record.scope, "gitea-lightstep 0.1.0");
        assert_eq!(record.time_unix_nano, 1_700_000_000_123_456_789);
        assert_eq!(record.observed_time_unix_nano, 1_700_000_001_000_000_000);
        assert_eq!(record.severity, "SEVERITY_NUMBER_INFO(9)");
        assert_eq!(record.event_name, "gitea_lightstep.release");
        assert_eq!(record.body, "release (x)\n\ncheckout");
        let attributes = [
            ("quote", "a\"b\\c (x) -> Str(y)"),
            ("lines", "line one\n     -> fake: Str(no)\nlast"),
            ("colon", "fix: this"),
            ("array", "Slice(Str(x), Str(y, z), Int(3))"),
            ("none", "Empty"),
        ];
        assert_eq!(record.attributes, map(&attributes));
        assert_eq!(record.trace_id, "5b8efff798038103d269b633813fc60c");
        assert_eq!(record.span_id, "eee19b7ec3c1b174");
        assert_eq!((records[1].event_name.as_str(), records[1].body.as_str()), ("", "Empty"));

        assert_eq!(spans.len(), 2);
        let span = &spans[0];
        assert_eq!((&span.resource, span.scope.as_str()), (&map(&[]), ""));
        assert_eq!((span.name.as_str(), span.kind.as_str()), ("deployment checkout", "SPAN_KIND_SERVER"));
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1, 2));
        assert_eq!(span.status, "STATUS_CODE_OK: fine");
        assert_eq!(span.attributes, map(&[("s", "plain")]));
        assert_eq!(span.trace_id, "5b8efff798038103d269b633813fc60c");
        assert_eq!(span.span_id, "eee19b7ec3c1b174");
        assert_eq!(span.links.len(), 2);
        assert_eq!(span.links[0].trace_id, "0cc63f8133b669d203810398f7ff8e5b");
        assert_eq!(span.links[0].span_id, "74b1c1c37e9be1ee");
        assert_eq!(span.links[0].attributes, map(&[("l", "x")]));
        assert_eq!(spans[1].parent_span_id, "eee19b7ec3c1b174");
    }

    #[test]
    fn truncated_record_is_skipped() {
        let (end, _) = PRINTED.match_indices("    Span ID        : eee").next().expect("a span id");
        assert_eq!(parse(&PRINTED[..end + 20]), (Vec::new(), Vec::new()));
    }

    /// Sends a request over a plain socket, without the code under test.
    fn post(rotel: &Rotel, path: &str, json: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, rotel.port)).expect("connect");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: rotel\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        );
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("receive");
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn rotel_restarts_on_the_same_port() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut rotel = Rotel::start(dir.path());
        let record = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"first"}]}]}]}"#;
        assert_eq!(post(&rotel, "/v1/logs", record), "HTTP/1.1 200 OK");
        assert_eq!(rotel.wait_for_records(1)[0].event_name, "first");

        rotel.stop();
        assert!(!connects(rotel.port));

        let endpoint = rotel.endpoint();
        rotel.restart();
        assert_eq!(rotel.endpoint(), endpoint);
        let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"second",
            "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","kind":2}]}]}]}"#;
        assert_eq!(post(&rotel, "/v1/traces", span), "HTTP/1.1 200 OK");
        assert_eq!(rotel.wait_for_spans(1)[0].name, "second");
        assert_eq!(rotel.records().len(), 1);

        assert_eq!(post(&rotel, "/v1/logs", "garbage"), "HTTP/1.1 400 Bad Request");
    }
}
