//! The parsers of untrusted bytes, each behind one function, for the fuzz targets in `tests/fuzz`
//! and for the test that replays their corpora. The program calls none of these functions.
//!
//! A target panics if the parsed value breaks a promise that the rest of the program relies on.

use std::{
    ffi::OsString,
    fs, io,
    net::IpAddr,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::{
    config::{self, Config, ServiceRule},
    delivery::retry,
    dns::{self, message::Question},
    facts::{self, TagNames, TicketProjects},
    glob, golden,
    install::ini::Ini,
    marker::{Signal, Traceparent},
    otlp::{self, Success},
    policy,
    push::{Environment, GitDir, RepositoryIdentity, Source, lines},
    service,
    signature::KeyRing,
    state::{State, inbox::Claim, journal, journal_check::WitnessedHeads},
    sys::time::Timestamp,
    text,
};

/// A parser that accepts any bytes.
pub struct FuzzTarget {
    /// Name of the target and of the directory with its corpus.
    pub name: &'static str,
    /// Function that parses an input.
    pub parse: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [FuzzTarget; 24] = [
    FuzzTarget { name: "push_lines", parse: push_lines },
    FuzzTarget { name: "push_source", parse: push_source },
    FuzzTarget { name: "capture", parse: capture },
    FuzzTarget { name: "outbox", parse: outbox },
    FuzzTarget { name: "dead_why", parse: dead_why },
    FuzzTarget { name: "journal", parse: journal_lines },
    FuzzTarget { name: "journal_export", parse: journal_export },
    FuzzTarget { name: "config", parse: config_file },
    FuzzTarget { name: "own_services", parse: own_services },
    FuzzTarget { name: "app_ini", parse: app_ini },
    FuzzTarget { name: "otlp_answer", parse: otlp_answer },
    FuzzTarget { name: "retry_after", parse: retry_after },
    FuzzTarget { name: "dns", parse: dns },
    FuzzTarget { name: "resolv_conf", parse: resolv_conf },
    FuzzTarget { name: "hosts", parse: hosts },
    FuzzTarget { name: "version_tag", parse: version_tag },
    FuzzTarget { name: "version_file", parse: version_file },
    FuzzTarget { name: "glob", parse: glob },
    FuzzTarget { name: "commit", parse: commit },
    FuzzTarget { name: "signature", parse: signature },
    FuzzTarget { name: "key_file", parse: key_file },
    FuzzTarget { name: "traceparent", parse: traceparent },
    FuzzTarget { name: "render_json", parse: render_json },
    FuzzTarget { name: "golden_file", parse: golden_file },
];

/// Returns a directory that exists until the process ends.
fn scratch() -> &'static Path {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    DIR.get_or_init(|| TempDir::with_prefix("gitea-lightstep-fuzz-").expect("a directory")).path()
}

/// Writes a file below [`scratch`] and returns its path.
fn placed(name: &str, content: &[u8]) -> PathBuf {
    let path = scratch().join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(&path, content).expect("a file");
    path
}

/// Returns the input as text, for parsers that accept text only. Empty if it is not UTF-8.
fn text_of(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// Splits an input at its first NUL.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (&data[..at], data.get(at + 1..).unwrap_or_default())
}

/// Asserts that a message can be displayed unchanged.
fn is_shown(message: &str) {
    let hidden = |c: char| text::is_hidden(c) && c != text::AS_EMOJI;
    assert!(!message.contains(hidden), "hidden characters in {message:?}");
}

fn push_lines(data: &[u8]) {
    let lines = lines::parse(data);
    let count = data.split(|byte| *byte == b'\n').count();
    assert!(lines.updates.len() + lines.malformed.len() <= count);
    lines.malformed.iter().for_each(|line| is_shown(&line.to_string()));
    for update in &lines.updates {
        let _ = (update.ref_name().kind(), update.is_created(), update.is_deleted());
        assert!(!update.ref_name().as_bstr().is_empty());
    }
    let (kept, dropped, read) = lines::drain(data);
    assert!(read.is_ok() && kept.len() as u64 + dropped == data.len() as u64);
}

/// Uses `NAME=VALUE` lines as the environment.
fn push_source(data: &[u8]) {
    let get = |name: &str| {
        let value = data
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")))?;
        Some(OsString::from(std::ffi::OsStr::from_bytes(value)))
    };
    let environment = Environment::from_fn(get);
    let source = Source::read(&environment, Path::new("/srv/git/acme/shop.git"));
    let written = serde_json::to_string(&source).expect("JSON");
    let read: Source = serde_json::from_str(&written).expect("what was written");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), written);
    let _ = (source.repository.full_name(), GitDir::resolve(get("GIT_DIR").as_deref(), Path::new("/srv")));
}

/// Parses a captured push's file.
fn capture(data: &[u8]) {
    const NAME: &str = "01993b5e-0000-7000-8000-000000000000.0.0";
    placed(&format!("inbox/{NAME}"), data);
    let state = State::at(scratch());
    if let Ok(Claim::Ours(mut capture)) = state.inbox().claim(NAME) {
        match capture.read() {
            Ok(captured) => assert!(captured.malformed.len() <= data.len()),
            Err(err) => is_shown(&err.to_string()),
        }
        capture.done().expect("it is gone");
    }
}

/// Parses a file of markers.
fn outbox(data: &[u8]) {
    const NAME: &str = "01993b5e-0000-7000-8000-000000000000.0";
    placed(&format!("outbox/x/new/{NAME}"), data);
    match State::at(scratch()).outbox("x").read(NAME) {
        Ok(waiting) => {
            for marker in &waiting.markers {
                let written = serde_json::to_string(marker).expect("JSON");
                assert_eq!(
                    serde_json::from_str::<crate::marker::Marker>(&written).expect("a marker"),
                    *marker
                );
            }
        }
        Err(err) => is_shown(&err.to_string()),
    }
}

/// Parses the reason of a dead letter.
fn dead_why(data: &[u8]) {
    placed("dead/x.01993b5e-0000-7000-8000-000000000000.0.why.json", data);
    let _ = State::at(scratch()).dead_letters().why("x.01993b5e-0000-7000-8000-000000000000.0");
}

/// Parses a file of the journal.
fn journal_lines(data: &[u8]) {
    placed("journal/2026-11.jsonl", data);
    let read = State::at(scratch()).journal().read(|entry| {
        let written = serde_json::to_vec(&entry)?;
        assert_eq!(journal::JournalEntry::read(&written), Some(entry));
        Ok(())
    });
    assert!(read.is_ok());
    let verified = State::at(scratch()).journal().verify(None);
    assert!(verified.is_ok_and(|found| found.head.is_none() || found.fault.is_some()));
}

/// Finds heads of the journal in the export of a back end.
fn journal_export(data: &[u8]) {
    assert!(WitnessedHeads::read(data).is_ok());
}

fn config_file(data: &[u8]) {
    let path = placed("config.toml", data);
    if let Err(err) = config::load(Some(&path)) {
        assert!(!err.problems().is_empty());
        let _ = err.to_string();
    }
    let _ = config::state_dir_of_broken(Some(&path), None);
}

fn own_services(data: &[u8]) {
    match config::own_services(service::OWN_FILE, text_of(data)) {
        Ok(rules) => {
            let repository = RepositoryIdentity::of_full_name("acme/shop");
            let config = Config { services: rules.clone(), ..Config::default() };
            for rule in rules {
                is_shown(&rule.name);
                // Rules from a repository's own file have an empty repository pattern, which must
                // match no repository.
                let refusal = service::refusal(&config, &repository, &rule.name);
                assert!(refusal.is_some_and(|why| !why.is_empty()));
            }
        }
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
}

fn app_ini(data: &[u8]) {
    let Ok(ini) = Ini::parse(text_of(data)) else { return };
    for (section, key) in
        [("", "RUN_USER"), ("repository", "ROOT"), ("server", "APP_DATA_PATH"), ("git", "PATH")]
    {
        let _ = (ini.get(section, key), ini.get_ignoring_case(section, key));
    }
}

fn otlp_answer(data: &[u8]) {
    for content_type in [None, Some("application/x-protobuf"), Some("application/json")] {
        for signal in [Signal::Logs, Signal::Traces] {
            let success = Success { status: 200, content_type, body: data, cut: None };
            let _ = success.partial(signal);
        }
    }
    let _ = otlp::status_message(data);
}

fn retry_after(data: &[u8]) {
    let asked = retry::retry_after(text_of(data), Timestamp::UNIX_EPOCH);
    assert!(asked.is_none_or(|wait| wait.as_secs() <= 3600));
    let _ = retry::http_date(text_of(data));
}

/// The first byte selects the address family. The rest is the answer, alone and after a valid
/// header and question.
fn dns(data: &[u8]) {
    let (Some(first), rest) = (data.first(), data.get(1..).unwrap_or_default()) else { return };
    let family = if first & 1 == 0 { dns::message::Family::V4 } else { dns::message::Family::V6 };
    let question = Question::new(7, "otlp.example", family).expect("a name");
    let _ = question.reply(rest);
    let mut message = question.to_bytes().to_vec();
    // Set the QR bit, and take the number of answers from the input.
    message[2] |= 0x80;
    message[6..8].copy_from_slice(&[0, rest.first().copied().unwrap_or_default()]);
    message.extend_from_slice(rest);
    if let Some(dns::message::DnsReply::Addresses(addresses)) = question.reply(&message) {
        let is_asked = |address: &IpAddr| address.is_ipv4() == (first & 1 == 0);
        assert!(addresses.len() <= 16 && addresses.iter().all(is_asked));
    }
}

fn resolv_conf(data: &[u8]) {
    let dns = dns::resolver::Dns::of_system(&placed("resolv.conf", data));
    assert!(!dns.servers().is_empty());
}

fn hosts(data: &[u8]) {
    let path = placed("hosts", data);
    for name in ["localhost", "otlp.example"] {
        let _ = dns::hosts::addresses(&path, name);
    }
}

/// Parses a tag; after a NUL comes the name of a service that the configuration gives to another
/// repository.
fn version_tag(data: &[u8]) {
    let (tag, given) = halves(data);
    let (tag, given) = (text_of(tag), text_of(given));
    let Some(parsed) = TagNames::default().parse(tag) else { return };
    assert!(tag.ends_with(&parsed.version().to_string()));
    let rule = ServiceRule {
        repository: "bank/pay".into(),
        paths: Vec::new(),
        name: given.into(),
        environments: Vec::new(),
        namespace: None,
        owner: None,
        links: Vec::new(),
        version: None,
        tags: Vec::new(),
        tickets: None,
        line: 1,
    };
    let config = Config { services: vec![rule], ..Config::default() };
    let name = parsed.service().unwrap_or("shop");
    let refused = |owner: &str| service::refusal(&config, &RepositoryIdentity::of_full_name(owner), name);
    if let Some(why) = refused("evil/shop") {
        is_shown(&why);
    }
    assert!(name != given || refused("evil/shop").is_some(), "the name itself is refused");
}

/// Parses a version file: its path, a NUL, its content.
fn version_file(data: &[u8]) {
    let (path, content) = halves(data);
    // Another file has the same content.
    let other = |_: &str| Ok(Some(text_of(content).into()));
    for key in [None, Some("a.b"), Some("image.tag")] {
        match service::version_file::read(text_of(path), key, text_of(content), &other) {
            Ok(version) => is_shown(&version),
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
}

/// Matches a glob pattern with a path, separated by a NUL.
fn glob(data: &[u8]) {
    let (pattern, path) = halves(data);
    let _ = glob::is_match(text_of(pattern), path);
}

/// Parses a commit, or a tag if the input is not a commit.
fn commit(data: &[u8]) {
    let Some(commit) = facts::commit_of_bytes(data) else { return };
    for text in [&commit.title, &commit.author.name, &commit.author.email] {
        is_shown(text.replace(['\n', '\t'], "").as_str());
    }
    let _ = (commit.conventional(), commit.reverts(), commit.co_authors());
    assert!(commit.tickets(&TicketProjects::Any).len() <= 64);
    assert!(TicketProjects::Any.find(&commit.message).len() <= 64);
}

/// A commit or a tag with a signature. Without keys, none is good.
fn signature(bytes: &[u8]) {
    for signature in facts::signatures_of_bytes(bytes, &KeyRing::default()) {
        assert!(!signature.is_good() && signature.signer().is_none());
    }
}

/// A file of OpenPGP or SSH keys.
fn key_file(bytes: &[u8]) {
    let file = placed("keys/file", bytes);
    for path in [&file, file.parent().expect("a directory")] {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    }
    match KeyRing::load(&[file]) {
        Ok(ring) => drop(ring.problems(Timestamp::UNIX_EPOCH)),
        Err(problems) => assert!(!problems.is_empty()),
    }
}

fn traceparent(data: &[u8]) {
    if let Ok(context) = text_of(data).parse::<Traceparent>() {
        assert_eq!(context.to_string().parse::<Traceparent>().ok(), Some(context));
    }
}

fn render_json(data: &[u8]) {
    policy::json_of_bytes(text_of(data));
}

fn golden_file(data: &[u8]) {
    let place = golden::TestFilePath::of_file(Path::new("/srv/scripts/acme/shop.test.toml"), None);
    if let Err(problems) = golden::parse(place, text_of(data).to_string()) {
        assert!(!problems.is_empty());
    }
}

/// Parses a file of a corpus.
///
/// # Errors
/// If it cannot be read.
pub fn replay(target: &FuzzTarget, file: &Path) -> io::Result<()> {
    fs::read(file).map(|data| (target.parse)(&data))
}
