//! The config as meant: defaults filled in, paths absolute, every value of a type that cannot
//! hold a wrong one.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{kind::Kind, lightstep::LightstepApi, service::ServiceRule, shipped::Shipped};
use crate::secret::SecretSource;

/// Where state is kept when no file says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/gitea-lightstep";

/// Everything an administrator decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file this was read from, `None` if there is none.
    pub path: Option<PathBuf>,
    /// The directory of spool, dead letters and journal.
    pub state_dir: PathBuf,
    /// The address of Gitea, for links; else `GITEA_ROOT_URL`.
    pub public_url: Option<String>,
    /// Where markers go.
    pub destinations: Vec<Destination>,
    /// The project in Lightstep that `connect` sets up, where the configuration names one.
    pub lightstep_api: Option<LightstepApi>,
    /// The directory of policy scripts, if there is one.
    pub scripts: Option<PathBuf>,
    /// What a policy may use up.
    pub limits: Limits,
    /// Which paths of which repositories are which services.
    pub services: Vec<ServiceRule>,
    /// Wildcards over `owner/name`, in lower case: the repositories that may define services in a file of their own.
    pub repository_services: Vec<String>,
    /// What becomes of people's mail addresses.
    pub emails: Emails,
    /// How much may wait.
    pub spool: SpoolCap,
    /// How many small files that wait for a destination become one, 2 or more.
    pub merge_at: usize,
    /// How markers are sent.
    pub delivery: Delivery,
    /// How long something may wait before `status` finds it, 15 minutes unless the file says otherwise.
    pub older_than: Duration,
    /// What the pusher reads.
    pub reply: Reply,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            state_dir: DEFAULT_STATE_DIR.into(),
            public_url: None,
            destinations: Vec::new(),
            lightstep_api: None,
            scripts: None,
            limits: Limits::default(),
            services: Vec::new(),
            repository_services: Vec::new(),
            emails: Emails::default(),
            spool: SpoolCap::default(),
            merge_at: 64,
            delivery: Delivery::default(),
            older_than: Duration::from_secs(15 * 60),
            reply: Reply::default(),
        }
    }
}

/// A back end that markers are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The name in messages, and of the directory in the outbox.
    pub name: String,
    /// What every request bears beside the protocol's own headers.
    pub headers: Vec<(String, HeaderValue)>,
    /// The file with the CAs that the certificate of the back end may come from; else those of the machine and Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// The address of the HTTP proxy that leads there.
    pub proxy: Option<String>,
    /// What it takes.
    pub target: Target,
}

impl Destination {
    /// Returns the address that tells people which one it is.
    pub fn address(&self) -> &str {
        match &self.target {
            Target::Otlp(Otlp { logs: Logs::None, traces_url, .. }) => traces_url,
            Target::Otlp(otlp) => &otlp.logs_url,
            Target::Http(http) => &http.endpoint,
        }
    }

    /// Returns every secret with what it is for, as people are told.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretSource)> {
        let in_headers = self.headers.iter().filter_map(|(name, value)| match value {
            HeaderValue::Secret(source) => Some((name.as_str(), source)),
            HeaderValue::Text(_) => None,
        });
        let named = match &self.target {
            Target::Http(http) => Some(http.secrets.iter().map(|(name, source)| (name.as_str(), source))),
            Target::Otlp(_) => None,
        };
        in_headers.chain(named.into_iter().flatten())
    }
}

/// What a destination takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Markers in the words of OTLP/HTTP.
    Otlp(Otlp),
    /// Requests that a script makes of them.
    Http(Http),
}

/// An OTLP/HTTP back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The full URL of the logs endpoint.
    pub logs_url: String,
    /// The full URL of the traces endpoint.
    pub traces_url: String,
    /// The encoding of requests.
    pub protocol: Protocol,
    /// The compression of requests.
    pub compression: Compression,
    /// Which markers are a log record.
    pub logs: Logs,
    /// Which markers are also a span.
    pub spans: Spans,
}

/// An API of somebody's own, and the script that knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Scheme, host and base path, without a slash at the end: a script appends to it, and chooses no other host.
    pub endpoint: String,
    /// The script.
    pub render: RenderScript,
    /// What the script may put into a request without seeing it.
    pub secrets: BTreeMap<String, SecretSource>,
    /// What it reads as `settings`.
    pub settings: BTreeMap<String, String>,
    /// Which markers go there at all.
    pub kinds: Vec<Kind>,
}

/// Where a render script is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderScript {
    /// In the program.
    Shipped(Shipped),
    /// In this file.
    File(PathBuf),
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// Harmless text.
    Text(String),
    /// A secret, read once a delivery and again when it is refused.
    Secret(SecretSource),
}

/// How requests are encoded; the names are those of `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// Binary protobuf, which every back end takes.
    #[default]
    #[serde(rename = "http/protobuf")]
    Protobuf,
    /// JSON.
    #[serde(rename = "http/json")]
    Json,
}

/// How requests are compressed; the names are those of `OTEL_EXPORTER_OTLP_COMPRESSION`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// gzip, which every OTLP server must take.
    #[default]
    Gzip,
    /// None.
    None,
}

/// Which markers are a log record: a back end may have no place for logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logs {
    /// All markers.
    #[default]
    All,
    /// None; then all markers are spans, unless `spans` says otherwise.
    None,
}

/// Which markers are also a root span: Lightstep draws deployment markers from spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spans {
    /// Deployments and rollbacks.
    #[default]
    Deployments,
    /// All markers.
    All,
    /// None.
    None,
}

/// What a policy may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of one call of a script.
    pub operations: u64,
    /// Wall clock of one push in the hook, and of one update in the background.
    pub time: Duration,
    /// Memory that one call of a script may hold, the facts that it asks for included, in bytes.
    pub memory: u64,
}

impl Limits {
    /// The least that a policy may have, in bytes: the largest value there may be, and what one step makes of
    /// it, are some MiB.
    pub const LEAST_MEMORY: u64 = 16 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { operations: 1_000_000, time: Duration::from_millis(250), memory: 64 << 20 }
    }
}

/// How much may wait, for each destination and in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolCap {
    /// How many files.
    pub files: u64,
    /// How many bytes in all.
    pub bytes: u64,
}

impl Default for SpoolCap {
    fn default() -> Self {
        Self { files: 100_000, bytes: 1 << 30 }
    }
}

/// What a marker says of people's mail addresses, which are personal data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emails {
    /// A hash of each, with a key that stays in the state directory: whoever has the markers can tell one person from
    /// another, and cannot find out an address by trying.
    #[default]
    Hashed,
    /// The addresses themselves.
    Plain,
    /// Nothing.
    None,
}

/// How markers are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who sends.
    pub mode: DeliveryMode,
    /// How long one request may take, all in all.
    pub timeout: Duration,
    /// How long the detached process keeps on trying before it leaves the rest to the next push.
    pub linger: Duration,
    /// After which age an undelivered marker is a dead letter.
    pub give_up_after: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            mode: DeliveryMode::default(),
            timeout: Duration::from_secs(10),
            linger: Duration::from_secs(60),
            give_up_after: Duration::from_secs(7 * 86_400),
        }
    }
}

/// Who sends markers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryMode {
    /// A detached process; the push does not wait.
    #[default]
    Background,
    /// The hook itself, for as long as `timeout`, while the pusher waits.
    Inline,
}

/// What the pusher reads as `remote:` lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// How much.
    pub to_pusher: ReplyTo,
    /// The address of a trace, with `{trace_id}` in it.
    pub trace_link: Option<String>,
}

/// How much the pusher reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyTo {
    /// One line a marker.
    #[default]
    Markers,
    /// Nothing.
    Nothing,
    /// One line a marker, and one for each update whose policy failed.
    All,
}
