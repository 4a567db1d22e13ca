//! A misbehaving back end: whatever it answers, the marker is delivered, retried, or a dead letter
//! with a reason. The run finishes in time, and a good back end gets the rest afterwards.

use std::{
    fs,
    io::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    Ran, Sandbox,
    hostile::{
        Hostile,
        Step::{self, *},
        answer, ok,
    },
    recorder::Recorder,
};

/// The outcome of a marker, with words from the reason.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Delivered,
    Retried(&'static str),
    Dead(&'static str),
    /// Any outcome, because the answer is random.
    Any,
}
use Fate::{Any, Dead, Delivered, Retried};

/// A destination: the scripts of its server, one for each connection, and the expected outcome.
struct Case {
    name: String,
    scripts: Vec<Vec<Step>>,
    fate: Fate,
}

fn case(name: impl Into<String>, fate: Fate, script: impl Into<Vec<Step>>) -> Case {
    Case { name: name.into(), scripts: vec![script.into()], fate }
}

/// Returns a case in which the server reads the request and sends these bytes.
fn said(name: impl Into<String>, fate: Fate, bytes: impl Into<Vec<u8>>) -> Case {
    case(name, fate, [TakeRequest, Say(bytes.into())])
}

/// A spool with one push, made before any destination existed, so it goes to every destination that
/// is added later.
struct Spool {
    sandbox: Sandbox,
    ids: Vec<String>,
}

impl Spool {
    fn with(push: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        sandbox.commit("Survives", &[]);
        sandbox.push(push).succeeded();
        let waiting = sandbox.waiting("unassigned");
        let ids = waiting.iter().map(|marker| marker["id"].as_str().expect("an id").to_string()).collect();
        fs::rename(sandbox.state(), sandbox.path("template")).expect("the template");
        Self { sandbox, ids }
    }

    /// Queues one marker, which needs one request.
    fn with_a_change() -> Self {
        Self::with(&["main"])
    }

    /// Queues a marker that is also a span, which needs two requests: logs and traces.
    fn with_a_deployment() -> Self {
        Self::with(&["-o", "deploy=prod", "HEAD:refs/heads/next"])
    }

    /// Configures these destinations and runs `deliver` once.
    fn deliver(&self, timeout: &str, endpoints: impl Iterator<Item = String>) -> Ran {
        let mut text = format!("[delivery]\ntimeout = \"{timeout}\"\n");
        for (nth, endpoint) in endpoints.enumerate() {
            text += &format!(
                "[[destination]]\nname = \"c{nth}\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n\
                 protocol = \"http/json\"\ncompression = \"none\"\n"
            );
        }
        self.sandbox.configure(&text);
        self.sandbox.binary(&["deliver"])
    }

    /// Runs `deliver` against all cases at once, checks the outcomes, and delivers the rest to a
    /// good back end. Returns the duration of the run, and the servers.
    fn survive(&self, timeout: &str, cases: &[Case]) -> (Duration, Vec<Hostile>) {
        self.begin();
        let servers: Vec<_> = cases.iter().map(|case| Hostile::start(case.scripts.clone())).collect();
        let ran = self.deliver(timeout, servers.iter().map(|server| format!("http://{}", server.address())));
        assert!(ran.took < Duration::from_secs(15), "{:?}", ran.took);
        self.held(&ran, cases);
        (ran.took, servers)
    }

    /// Resets the spool to the state before any delivery attempt.
    fn begin(&self) {
        let state = self.sandbox.state();
        let _ = fs::remove_dir_all(&state);
        let copied = Command::new("cp").arg("-a").arg(self.sandbox.path("template")).arg(&state).status();
        assert!(copied.is_ok_and(|status| status.success()), "cp copies the template");
    }

    /// Checks the outcomes of a run, and delivers the rest to a good back end.
    fn held(&self, ran: &Ran, cases: &[Case]) {
        assert_eq!(ran.stderr, "", "{}", ran.stdout);
        let deliveries = self.sandbox.deliveries();
        let outcomes: Vec<_> =
            cases.iter().enumerate().map(|(nth, case)| self.held_one(nth, case, &deliveries)).collect();
        let is_done = outcomes.iter().all(|outcome| outcome == "delivered");
        assert_eq!(ran.code, Some(i32::from(!is_done)), "{}", ran.stdout);

        let recorder = Recorder::start([]);
        let after =
            self.deliver("20s", (0..cases.len()).map(|nth| format!("{}/c{nth}", recorder.endpoint())));
        let waited = outcomes.iter().filter(|outcome| *outcome == "retried").count() * self.ids.len();
        let plural = if waited == 1 { "" } else { "s" };
        assert_eq!(after.succeeded().stdout, format!("{waited} marker{plural} delivered\n"));
        let requests = recorder.requests();
        for (nth, (case, outcome)) in cases.iter().zip(outcomes).enumerate() {
            // The log record, or only the span if the log record was already accepted.
            let path = format!("/c{nth}/v1/");
            let got: Vec<_> = requests.iter().filter(|request| request.path.starts_with(&path)).collect();
            assert_eq!(got.len(), usize::from(outcome == "retried"), "{}: requests afterwards", case.name);
            for request in got {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                assert!(self.ids.iter().all(|id| body.contains(id)), "{}: {body}", case.name);
            }
        }
    }

    /// Checks one case: the journal must have exactly one entry for it, which agrees with the
    /// spool. Returns the outcome from the journal.
    fn held_one(&self, nth: usize, case: &Case, deliveries: &[Value]) -> String {
        let Case { name, fate, .. } = case;
        let destination = format!("c{nth}");
        let entries: Vec<_> =
            deliveries.iter().filter(|entry| entry["destination"] == *destination).collect();
        let [entry] = entries[..] else { panic!("{name}: {entries:?}") };
        let [outcome, report] = ["outcome", "why"].map(|key| entry[key].as_str().unwrap_or_default());
        let (expected, why) = match fate {
            Delivered => ("delivered", ""),
            Retried(why) => ("retried", *why),
            Dead(why) => ("refused", *why),
            Any => (outcome, ""),
        };
        assert_eq!(outcome, expected, "{name}: {report}");
        assert!(report.contains(why), "{name}: expected the reason `{why}`, found `{report}`");
        assert!(report.chars().count() < 400 && !report.contains(char::is_control), "{name}: {report:?}");
        let is_letter =
            |file: &&String| file.starts_with(&format!("{destination}.")) && !file.ends_with(".why.json");
        let dead = self.sandbox.files("dead").iter().any(|file| is_letter(&file));
        let waiting = self.sandbox.waiting(&destination).len();
        let there = match outcome {
            "retried" => (self.ids.len(), false),
            "refused" => (0, true),
            _ => (0, false),
        };
        assert_eq!((waiting, dead), there, "{name}: waiting markers and dead letters");
        outcome.to_string()
    }
}

#[test]
fn every_status_is_delivered_retried_or_dead() {
    let spool = Spool::with_a_change();
    let all: Vec<u16> = (200..600).collect();
    for statuses in all.chunks(100) {
        let case = |status: &u16| {
            let fate = match status {
                200..=299 => Delivered,
                408 | 425 | 429 => Retried("HTTP "),
                501 | 505 => Dead("HTTP "),
                500.. => Retried("HTTP "),
                _ => Dead("HTTP "),
            };
            said(format!("{status}"), fate, answer(&format!("{status} Said"), &["content-length: 0"], b""))
        };
        let (_, servers) = spool.survive("20s", &statuses.iter().map(case).collect::<Vec<_>>());
        assert!(servers.iter().all(|server| server.requests() == 1), "each server gets one request");
    }
    let odd = [100, 101, 199, 600, 666, 999].map(|status| {
        let answer = answer(&format!("{status} Said"), &["content-length: 0"], b"");
        said(format!("{status}"), Retried(""), answer)
    });
    spool.survive("20s", &odd);
}

#[test]
fn redirect_is_not_followed() {
    let spool = Spool::with_a_change();
    let target = Recorder::start([]);
    let place = format!("location: {}/\u{202e}/v1/logs", target.endpoint());
    let cases = [301, 302, 303, 307, 308].map(|status| {
        let answer = answer(&format!("{status} Moved"), &[&place, "content-length: 0"], b"");
        said(format!("{status}"), Dead("/\\u{202e}/v1/logs, which is not followed"), answer)
    });
    spool.survive("20s", &cases);
    assert_eq!(target.requests().len(), 0);
}

#[test]
fn unusual_but_complete_success_is_accepted() {
    let spool = Spool::with_a_change();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 100 << 20]).expect("zeros");
    let bomb = bomb.finish().expect("a bomb");
    let length = format!("content-length: {}", bomb.len());
    let yes = |lines: &[&str], body: &[u8]| answer("200 OK", lines, body);
    let slowly = Duration::from_millis(2);
    let late = Duration::from_millis(300);
    let half = ok().len() / 2;
    let cases = vec![
        said("good", Delivered, ok()),
        case("late", Delivered, [TakeRequest, Wait(late), Say(ok())]),
        case("before it was asked", Delivered, [Say(ok()), TakeRequest]),
        case(
            "in halves",
            Delivered,
            [TakeRequest, Say(ok()[..half].into()), Wait(late), Say(ok()[half..].into())],
        ),
        case("byte by byte", Delivered, [TakeRequest, Dribble(ok(), slowly)]),
        said("no reason phrase", Delivered, b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"),
        said("lone newlines", Delivered, b"HTTP/1.1 200 OK\ncontent-length: 0\n\n"),
        said("HTTP/1.0", Delivered, b"HTTP/1.0 200 OK\r\n\r\n{}"),
        said("a length too long", Delivered, yes(&["content-length: 1000"], b"{}")),
        said(
            "a length too short",
            Retried("HTTP 200, but the response is not from an OTLP receiver: "),
            yes(&["content-length: 1"], b"{}{}{}{}"),
        ),
        said("the same length twice", Delivered, yes(&["content-length: 2", "content-length: 2"], b"{}")),
        said("no length", Delivered, yes(&[], b"{}")),
        said("chunked", Delivered, yes(&["transfer-encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n")),
        said("chunked and a length", Delivered, {
            yes(&["transfer-encoding: chunked", "content-length: 3"], b"2\r\n{}\r\n0\r\n\r\n")
        }),
        said(
            "chunks of no size",
            Retried("HTTP 200, but the response was cut off"),
            yes(&["transfer-encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n"),
        ),
        said("a chunk that is too large to be", Delivered, {
            yes(&["transfer-encoding: chunked"], b"ffffffffffffffff\r\n{}")
        }),
        said("a body cut off", Delivered, yes(&["transfer-encoding: chunked"], b"ff\r\n{}")),
        case(
            "a body without end",
            Retried("HTTP 200, but the response is not from an OTLP receiver: "),
            [TakeRequest, Say(yes(&[], b"")), SayForEver(vec![b' '; 9999])],
        ),
        case(
            "a body of all the bytes there are",
            Retried("HTTP 200, but the response is not from an OTLP receiver: "),
            [
                TakeRequest,
                Say(yes(&["content-length: 18446744073709551615"], b"")),
                SayForEver(vec![b' '; 9999]),
            ],
        ),
        case(
            "chunks without end",
            Retried("HTTP 200, but the response is not from an OTLP receiver: "),
            [
                TakeRequest,
                Say(yes(&["transfer-encoding: chunked"], b"")),
                SayForEver(b"4\r\nabcd\r\n".repeat(999)),
            ],
        ),
        case(
            "a chunk's size without end",
            Retried("HTTP 200, but the response"),
            [TakeRequest, Say(yes(&["transfer-encoding: chunked"], b"")), SayForEver(vec![b'0'; 9999])],
        ),
        said(
            "a bomb",
            Retried("HTTP 200, but the response is not from an OTLP receiver: "),
            yes(&["content-encoding: gzip", &length], &bomb),
        ),
        said("a bomb in a chunk", Retried("HTTP 200, but the response is not from an OTLP receiver: "), {
            let chunk = [format!("{:x}\r\n", bomb.len()).into_bytes(), bomb.clone(), b"\r\n0\r\n\r\n".into()];
            yes(&["content-encoding: gzip", "transfer-encoding: chunked"], &chunk.concat())
        }),
        said("100 before it", Delivered, [answer("100 Continue", &[], b""), ok()].concat()),
        said("1xx before it", Delivered, {
            let hints = answer("103 Early Hints", &["link: </x>"], b"");
            [answer("102 Processing", &[], b""), hints.clone(), hints, ok()].concat()
        }),
        said("204 with a body", Delivered, answer("204 No Content", &["content-length: 5"], b"hello")),
        said(
            "JSON that is deep",
            Retried("HTTP 200, but the response is not from an OTLP receiver: "),
            yes(&[], "[".repeat(60_000).as_bytes()),
        ),
    ];
    spool.survive("20s", &cases);
}

#[test]
fn success_from_a_foreign_server_is_not_a_delivery() {
    let spool = Spool::with_a_change();
    let page = b"<!DOCTYPE html>\n<title>Log in</title>";
    let says = |name: &str, fate, content_type: &str, body: &[u8]| {
        let lines = [format!("content-length: {}", body.len()), format!("Content-Type: {content_type}")];
        let lines: Vec<&str> =
            lines.iter().map(String::as_str).take(if content_type.is_empty() { 1 } else { 2 }).collect();
        said(name, fate, answer("200 OK", &lines, body))
    };
    let page_came = Retried("HTTP 200, but the response is not from an OTLP receiver: a web page");
    let other = Retried("HTTP 200, but the response is not from an OTLP receiver: `");
    let cases = vec![
        says("a page", page_came, "text/html; charset=utf-8", page),
        says("a page that says to be JSON", page_came, "application/json", page),
        says("a page that says to be protobuf", page_came, "application/x-protobuf", page),
        says("a page that says nothing", page_came, "", page),
        says("XHTML", page_came, "application/xhtml+xml", b"<?xml version=\"1.0\"?><html/>"),
        says("a word", other, "text/plain", b"OK"),
        says("an image", other, "image/gif", b"GIF89a"),
        says("half a message", other, "application/x-protobuf", b"\x0a\x7fshort"),
        says("JSON that is protobuf", other, "application/json", b"\x0a\x00"),
        says("protobuf that is JSON", other, "application/x-protobuf", b"{}"),
        says("a list", other, "application/json", b"[]"),
        says("JSON without a type", Delivered, "", b"{}"),
        says("protobuf without a type", Delivered, "", b"\x0a\x00"),
        says("JSON", Delivered, "Application/JSON ; charset=utf-8", b"{\"partialSuccess\":{}}"),
        says("protobuf", Delivered, "application/x-protobuf;x=y", b"\x0a\x00"),
        says("an empty page", Delivered, "text/html", b""),
        said(
            "202 in its own words",
            Delivered,
            answer("202 Accepted", &["content-type: text/plain", "content-length: 6"], b"queued"),
        ),
        said(
            "202 with a page",
            Retried("HTTP 202, but"),
            answer("202 Accepted", &["content-type: text/html", "content-length: 6"], b"<html>"),
        ),
    ];
    spool.survive("20s", &cases);
}

#[test]
fn invalid_http_response_is_retried() {
    let spool = Spool::with_a_change();
    let no = |lines: &[&str]| answer("200 OK", lines, b"{}");
    let many: Vec<_> = (0..200).map(|nth| format!("x-{nth}: y")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let huge = format!("x-huge: {}", "y".repeat(20_000));
    let not_http = Retried("the response is not valid HTTP/1.1: ");
    let closed = Retried("the server closed the connection before the response was complete");
    let too_large = Retried("the response headers are larger than 16384 bytes");
    let cases = vec![
        case("hangs up at once", Retried(""), []),
        case("hangs up after the request", closed, [TakeRequest]),
        said("half a head", closed, b"HTTP/1.1 200 OK\r\ncontent-le"),
        said("garbage", not_http, b"\x00\x01\x02\x03\xff\xfe\xfd"),
        said("a page without a head", not_http, b"<html><body>Hello</body></html>"),
        said("another protocol", not_http, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
        said("a TLS alert", not_http, b"\x15\x03\x01\x00\x02\x02\x46"),
        said("a TLS hello", not_http, b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00\r\n\r\n"),
        said("HTTP/2", not_http, b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"),
        said("HTTP/9", not_http, b"HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n"),
        said("a status of two digits", not_http, b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"),
        said("a status of four digits", not_http, b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n"),
        said("a status of letters", not_http, b"HTTP/1.1 abc OK\r\ncontent-length: 0\r\n\r\n"),
        said("a length below zero", not_http, no(&["content-length: -2"])),
        said("a length of letters", not_http, no(&["content-length: two"])),
        said("a length beyond all numbers", not_http, no(&["content-length: 99999999999999999999999"])),
        said("two lengths", not_http, no(&["content-length: 2", "content-length: 3"])),
        said("a header without a name", not_http, no(&[": x"])),
        said("a NUL in a header", not_http, no(&["x: \x00"])),
        said("a steered terminal", not_http, b"HTTP/1.1 \x1b[2J\x1b]0;pwned\x07\r\n\r\n"),
        said("200 headers", not_http, no(&many)),
        said("one huge header", too_large, no(&[&huge])),
        case(
            "headers without end",
            Retried("the response"),
            [TakeRequest, Say(b"HTTP/1.1 200 OK\r\n".into()), SayForEver(b"x: y\r\n".repeat(999))],
        ),
        case(
            "one header without end",
            too_large,
            [TakeRequest, Say(b"HTTP/1.1 200 OK\r\nx: ".into()), SayForEver(vec![b'y'; 9999])],
        ),
        case(
            "a status line without end",
            Retried("the response"),
            [TakeRequest, Say(b"HTTP/1.1 200 ".into()), SayForEver(vec![b'y'; 9999])],
        ),
        case("newlines without end", Retried(""), [TakeRequest, SayForEver(b"\r\n".repeat(999))]),
    ];
    spool.survive("20s", &cases);
}

#[test]
fn random_response_bytes_lose_nothing() {
    let spool = Spool::with_a_change();
    let mut drawn = fastrand::Rng::with_seed(3);
    let good = [
        answer("200 OK", &["transfer-encoding: chunked", "x: y"], b"2\r\n{}\r\n0\r\nx: y\r\n\r\n"),
        answer("503 Later", &["content-length: 15", "retry-after: 1"], br#"{"message":"a"}"#),
        [answer("103 Hints", &["x: y"], b""), answer("400 No", &["connection: close"], b"\x12\x01a")]
            .concat(),
    ];
    let cases = (0..120).map(|nth| {
        let mut bytes = good[nth % good.len()].clone();
        for _ in 0..drawn.usize(1..4) {
            let at = drawn.usize(0..bytes.len());
            match drawn.u8(0..4) {
                0 => bytes[at] = drawn.u8(..),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, *drawn.choice(b"\r\n: 0;,fx").expect("one")),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        said(String::from_utf8_lossy(&bytes).into_owned(), Any, bytes)
    });
    spool.survive("2s", &cases.collect::<Vec<_>>());
}

#[test]
fn rejection_text_is_truncated_and_escaped() {
    let spool = Spool::with_a_change();
    let refusal = |name, why, body: &[u8]| {
        said(name, Dead(why), answer("400 No", &[&format!("content-length: {}", body.len())], body))
    };
    let endless = |lines: &[&str], more: &[u8]| {
        [TakeRequest, Say(answer("400 No", lines, b"")), SayForEver(more.repeat(999))]
    };
    let cases = vec![
        refusal("steering", "HTTP 400: \\u{1b}[2J\\u{202e}", r#"{"message":"\u001b[2J\u202e"}"#.as_bytes()),
        refusal("long", "HTTP 400: aaaaaaaa", &[b'a'; 60_000]),
        refusal("a line", "HTTP 400: one\\ntwo", b"one\ntwo\n"),
        refusal("binary", "HTTP 400", b"\x00\x01\x02"),
        refusal("a message twice", "HTTP 400: {", br#"{"message":"a","message":"b"}"#),
        refusal("deep", "HTTP 400: [[[[[[", "[".repeat(60_000).as_bytes()),
        case("without end", Dead("HTTP 400: abcabc"), endless(&[], b"abc")),
        case("chunks without end", Dead("HTTP 400: abc"), {
            endless(&["transfer-encoding: chunked"], b"3\r\nabc\r\n")
        }),
        said("cut off", Dead("HTTP 400: abc"), answer("400 No", &["content-length: 99"], b"abc")),
    ];
    spool.survive("20s", &cases);
}

#[test]
fn slow_responses_are_limited_in_time() {
    let spool = Spool::with_a_change();
    let no_answer = Retried("no response within 1.5s");
    let pause = Duration::from_millis(20);
    let head = |status| answer(status, &["content-length: 5000"], b"");
    let cases = vec![
        case("silence", no_answer, [TakeRequest, Silence]),
        case("an answer that comes too late", no_answer, {
            [TakeRequest, Wait(Duration::from_millis(4000)), Say(ok())]
        }),
        case("half an answer", no_answer, [TakeRequest, Say(b"HTTP/1.1 200 OK\r\nconte".into()), Silence]),
        case("a head that dribbles", no_answer, {
            [TakeRequest, Say(b"HTTP/1.1 200 OK\r\nx: ".into()), Dribble(vec![b'y'; 999], pause)]
        }),
        case("a yes whose body dribbles", Retried("HTTP 200, but the response was cut off"), {
            [TakeRequest, Say(head("200 OK")), Dribble(vec![b'y'; 999], pause)]
        }),
        case(
            "a yes whose body does not come",
            Retried("HTTP 200, but the response was cut off"),
            [TakeRequest, Say(head("200 OK")), Silence],
        ),
        case("a later whose body dribbles", Retried("HTTP 503"), {
            [TakeRequest, Say(head("503 Later")), Dribble(vec![b'y'; 999], pause)]
        }),
        case("a no whose body dribbles", Dead("HTTP 400: yyy"), {
            [TakeRequest, Say(head("400 No")), Dribble(vec![b'y'; 999], pause)]
        }),
        case(
            "trailers without end",
            Retried("HTTP 200, but the response was cut off"),
            [
                TakeRequest,
                Say(answer("200 OK", &["transfer-encoding: chunked"], b"0\r\n")),
                SayForEver(b"x: y\r\n".repeat(999)),
            ],
        ),
        case("100 without end", Retried(""), {
            [TakeRequest, SayForEver(answer("100 Continue", &[], b"").repeat(99))]
        }),
        case("102 without end", Retried(""), {
            [TakeRequest, SayForEver(answer("102 Processing", &["x: y"], b"").repeat(99))]
        }),
    ];
    let (took, _) = spool.survive("1500ms", &cases);
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn connect_timeout_is_shorter_than_the_request_timeout() {
    let spool = Spool::with_a_change();
    let server = Hostile::start(vec![vec![Silence]]);
    spool.begin();
    let endpoint = format!("https://{}", server.address());
    let start = Instant::now();
    let ran = spool.deliver("60s", std::iter::once(endpoint));
    assert!((4..15).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    spool.held(&ran, &[case("a TLS handshake without an answer", Retried("no connection within 5s"), [])]);
}

#[test]
fn plain_text_answer_to_tls_is_retried() {
    let spool = Spool::with_a_change();
    let server = Hostile::start(vec![vec![Take(5), Say(answer("400 Bad Request", &[], b"")), Silence]]);
    spool.begin();
    let ran = spool.deliver("20s", std::iter::once(format!("https://{}", server.address())));
    spool.held(&ran, &[case("plain HTTP on the TLS port", Retried(""), [])]);
}

#[test]
fn connection_reset_at_any_byte_loses_nothing() {
    let spool = Spool::with_a_change();
    let reset = |at| case(format!("a reset after {at} bytes of the request"), Retried(""), [Take(at), Reset]);
    spool.survive("20s", &(0..150).map(reset).collect::<Vec<_>>());
    spool.survive("20s", &(150..300).map(reset).collect::<Vec<_>>());

    let whole = answer("200 OK", &["content-length: 13"], b"{\"ignored\":1}");
    let reset = |at: usize| {
        let fate = if at < whole.len() { Retried("") } else { Delivered };
        let name = format!("a reset after {at} bytes of the answer");
        case(name, fate, [TakeAllButOne, Say(whole[..at].into()), Reset])
    };
    spool.survive("20s", &(0..=whole.len()).map(reset).collect::<Vec<_>>());

    let close = |at: usize| {
        let fate = if at < whole.len() { Retried("") } else { Delivered };
        case(format!("hangs up after {at} bytes of the answer"), fate, {
            [TakeRequest, Say(whole[..at].into())]
        })
    };
    spool.survive("20s", &(0..=whole.len()).map(close).collect::<Vec<_>>());
}

#[test]
fn connection_is_reused_only_after_a_complete_response() {
    let spool = Spool::with_a_deployment();
    let good = || vec![TakeRequest, Say(ok()), TakeRequest, Say(ok()), Silence];
    let later = || vec![TakeRequest, Say(answer("503 Later", &["content-length: 0"], b"")), Silence];
    let first = |bytes: Vec<u8>| vec![TakeRequest, Say(bytes), Silence];
    let cases = |second: fn() -> Vec<Step>, fate| {
        let case =
            |name: &str, script: Vec<Step>| Case { name: name.into(), scripts: vec![script, second()], fate };
        vec![
            case("hangs up between requests", vec![TakeRequest, Say(ok())]),
            case("resets the second request", vec![TakeRequest, Say(ok()), Take(1), Reset]),
            case("hangs up on the second request", vec![TakeRequest, Say(ok()), Take(1)]),
            case("takes the second request and hangs up", vec![TakeRequest, Say(ok()), TakeRequest]),
            // Excess bytes look like the answer to the next request.
            case("answers twice", first(ok().repeat(2))),
            case(
                "a length that is too short",
                first(answer("200 OK", &["content-length: 2"], &[b"{}".into(), ok()].concat())),
            ),
        ]
    };
    let (_, servers) = spool.survive("20s", &cases(good, Delivered));
    assert!(servers.iter().all(|server| server.connections() == 2));
    let taken: Vec<_> = servers.iter().map(Hostile::requests).collect();
    assert_eq!(taken, [2, 2, 2, 3, 2, 2], "accepted logs are not sent again");
    // This shows that the second request gets its own answer.
    spool.survive("20s", &cases(later, Retried("HTTP 503")));
}
