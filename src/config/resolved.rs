//! The resolved configuration: defaults are filled in, paths are absolute, and values are
//! validated.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    link::LinkTemplate,
    namespace::Namespace,
    tag_pattern::TagPattern,
    target::Target,
    trust::{Allowed, TrustRule},
};
use crate::{glob::is_match, redact::Redaction, secret::SecretSource};

/// Default state directory.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/gitea-lightstep";

/// Name of the outbox for markers that were made while no destination was configured.
pub const UNASSIGNED: &str = "unassigned";

/// Name that stands for the destination of a push that is not decided yet, in queues and dead
/// letters.
pub const INBOX: &str = "inbox";

/// The resolved configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// File that the configuration was read from, or `None` if there is none.
    pub path: Option<PathBuf>,
    /// Directory that holds the inbox, the outboxes, dead letters and the journal.
    pub state_dir: PathBuf,
    /// Public URL of Gitea for links. The default is `GITEA_ROOT_URL`.
    pub public_url: Option<String>,
    /// Environments that exist at this site. `None` if any name is an environment.
    pub environments: Option<Vec<String>>,
    /// Destinations that markers are sent to.
    pub destinations: Vec<Destination>,
    /// Lightstep project that `connect` sets up, if configured.
    pub lightstep_api: Option<LightstepApi>,
    /// Gitea's API, if a token for it is configured.
    pub gitea: Option<GiteaApi>,
    /// Directory of policy scripts, if any.
    pub scripts: Option<PathBuf>,
    /// Limits for policy scripts.
    pub limits: Limits,
    /// Services, and the repositories and paths that belong to them.
    pub services: Vec<ServiceRule>,
    /// Rules on who may cause which markers.
    pub trust: Vec<TrustRule>,
    /// `service.namespace` of services that do not set their own.
    pub namespace: Namespace,
    /// Wildcard patterns over `owner/name`, in lower case, for the repositories that may define
    /// services in a file of their own.
    pub repository_services: Vec<String>,
    /// Words before a version in a tag that are not services, in lower case. `None` stands for the
    /// built-in list.
    pub no_services: Option<Vec<String>>,
    /// Age from which a pushed tag is history: its release is dated by the tag, not by the push.
    pub backfill_after: Duration,
    /// Projects whose tickets count, in capitals. `None` for all that look like one.
    pub tickets: Option<Vec<String>>,
    /// Patterns that are removed from the texts of markers.
    pub redaction: Redaction,
    /// Treatment of email addresses.
    pub emails: Emails,
    /// Key files of the signers: each is a path, or a directory and wildcards for the names in it.
    pub signature_keys: Vec<PathBuf>,
    /// Maximum size of each queue.
    pub spool: SpoolCap,
    /// Limits of the journal. The default is to keep all of it.
    pub journal: Retention,
    /// Number of waiting small files that are merged into one, at least 2.
    pub merge_at: usize,
    /// Delivery settings.
    pub delivery: Delivery,
    /// Age from which `status` reports a waiting entry. The default is 15 minutes.
    pub older_than: Duration,
    /// Settings for the reply to the pusher.
    pub reply: Reply,
}

impl Config {
    /// Returns the sources of all secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        self.secrets_of_delivery().chain(self.lightstep_api.as_ref().map(|api| &api.key))
    }

    /// Returns the rules on who may cause markers in a repository.
    pub fn trust_in<'c>(&'c self, repository: &str) -> impl Iterator<Item = &'c TrustRule> + use<'c> {
        let repository = repository.to_lowercase();
        self.trust.iter().filter(move |rule| {
            rule.repository.as_deref().is_none_or(|pattern| is_match(pattern, repository.as_bytes()))
        })
    }

    /// Returns the organisations whose members have to be known. Without Gitea's API there are none.
    pub fn organisations(&self) -> BTreeSet<&str> {
        let named = self.gitea.iter().flat_map(|gitea| &gitea.organisations).map(String::as_str);
        let of_rules = self.trust.iter().flat_map(|rule| &rule.allow).filter_map(Allowed::organisation);
        named.chain(of_rules).collect()
    }

    /// Returns the sources of the secrets that the background process needs.
    pub fn secrets_of_delivery(&self) -> impl Iterator<Item = &SecretSource> {
        let of_destinations = self.destinations.iter().flat_map(Destination::secrets);
        of_destinations.map(|(_, source)| source).chain(self.gitea.as_ref().map(|gitea| &gitea.token))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            state_dir: DEFAULT_STATE_DIR.into(),
            public_url: None,
            environments: None,
            destinations: Vec::new(),
            lightstep_api: None,
            gitea: None,
            scripts: None,
            limits: Limits::default(),
            services: Vec::new(),
            trust: Vec::new(),
            namespace: Namespace::default(),
            repository_services: Vec::new(),
            no_services: None,
            backfill_after: Duration::from_secs(86_400),
            tickets: None,
            redaction: Redaction::default(),
            emails: Emails::default(),
            signature_keys: Vec::new(),
            spool: SpoolCap::default(),
            journal: Retention::default(),
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
    /// Name used in messages and for the directory in the outbox.
    pub name: String,
    /// Headers added to every request.
    pub headers: Vec<(String, HeaderValue)>,
    /// File with the CA certificates to trust. The default is the system's and Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// URL of the HTTP proxy.
    pub proxy: Option<String>,
    /// True if secrets may cross the network unencrypted.
    pub insecure: bool,
    /// Protocol-specific settings.
    pub target: Target,
}

impl Destination {
    /// Returns the URL that identifies the destination in messages.
    pub fn address(&self) -> &str {
        self.target.address()
    }

    /// Returns every secret with its name: the header, or the name that the script uses.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretSource)> {
        let in_headers = self.headers.iter().filter_map(|(name, value)| match value {
            HeaderValue::Secret(source) => Some((name.as_str(), source)),
            HeaderValue::Text(_) => None,
        });
        let named = self.target.scripted().into_iter().flat_map(|http| &http.secrets);
        in_headers.chain(named.map(|(name, source)| (name.as_str(), source)))
    }
}

/// A Lightstep project and the API key for its settings, which differs from the token that sends
/// markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightstepApi {
    /// Scheme and host, without a trailing slash.
    pub base: String,
    /// Organization, as in Lightstep's URLs.
    pub organization: String,
    /// Project, as in Lightstep's URLs.
    pub project: String,
    /// API key.
    pub key: SecretSource,
    /// File with the CA certificates to trust; the same as for markers.
    pub ca_file: Option<PathBuf>,
    /// URL of the HTTP proxy; the same as for markers.
    pub proxy: Option<String>,
}

/// Gitea's API, which tells who made a change that no hook saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiteaApi {
    /// The token.
    pub token: SecretSource,
    /// Address of Gitea without a trailing slash. `None` for the one that the push or the last scan knows.
    pub url: Option<String>,
    /// Time from its capture for which a change waits until Gitea answers.
    pub enrich_within: Duration,
    /// Time for which an answer about organisations and protected refs counts.
    pub max_age: Duration,
    /// Organisations whose teams scripts ask for, besides those of the rules in `trust`.
    pub organisations: Vec<String>,
    /// File with the CA certificates to trust. The default is the system's and Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// URL of the HTTP proxy.
    pub proxy: Option<String>,
    /// True if the token may cross the network unencrypted.
    pub insecure: bool,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// Plain text.
    Text(String),
    /// A secret, read once per delivery and again if the server refuses it.
    Secret(SecretSource),
}

/// Limits for policy scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of steps in one call of a script.
    pub operations: u64,
    /// Maximum wall-clock time for a push in the hook, and for an update in the background.
    pub time: Duration,
    /// Maximum memory held by one call of a script, in bytes, including the facts it asks for.
    pub memory: u64,
}

impl Limits {
    /// Minimum value of `memory`, in bytes. The largest script value, and the copy that one step
    /// can make of it, take several MiB.
    pub const LEAST_MEMORY: u64 = 16 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { operations: 1_000_000, time: Duration::from_millis(250), memory: 64 << 20 }
    }
}

/// Maximum size of each queue: of the inbox, and of the outbox of each destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolCap {
    /// Maximum number of files.
    pub files: u64,
    /// Maximum total size, in bytes.
    pub bytes: u64,
}

impl Default for SpoolCap {
    fn default() -> Self {
        Self { files: 100_000, bytes: 1 << 30 }
    }
}

/// Limits of the journal. Whole months are removed, and never the newest one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age at which a month is removed, from its end.
    pub keep: Option<Duration>,
    /// Maximum total size, in bytes.
    pub max_size: Option<u64>,
}

/// A resolved `[[service]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRule {
    /// Wildcard pattern over `owner/name`, in lower case.
    pub repository: String,
    /// Wildcard patterns over paths; empty for the whole repository.
    pub paths: Vec<String>,
    /// `service.name`.
    pub name: String,
    /// Environments that the service runs in; empty for any.
    pub environments: Vec<EnvironmentRule>,
    /// Owner of the service.
    pub owner: Option<String>,
    /// Links, with their names.
    pub links: Vec<(String, LinkTemplate)>,
    /// `service.namespace`. `None` if the rule does not set one.
    pub namespace: Option<Namespace>,
    /// Source of the version if no tag determines it. `None` if the rule does not set one.
    pub version: Option<VersionRule>,
    /// Patterns of its version tags. Without any, the usual forms count.
    pub tags: Vec<TagPattern>,
    /// Projects whose tickets count, in capitals. `None` if the rule does not list any.
    pub tickets: Option<Vec<String>>,
    /// Line of the file that names the service.
    pub line: usize,
}

/// An environment of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentRule {
    /// `deployment.environment.name`.
    pub name: String,
    /// Wildcard patterns over the refs that deploy to it, full (`refs/heads/main`) or short
    /// (`main`). Empty if only push options and scripts deploy to it.
    pub refs: Vec<String>,
}

/// The source of a service's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionRule {
    /// The version tag of the commit itself, if it has one.
    Tag,
    /// The nearest tag in the history and the distance from it.
    Describe,
    /// The full commit ID.
    Commit,
    /// A key of a file at the commit.
    File {
        /// Path in the repository.
        path: String,
        /// Key, with dots between tables. `None` for the usual key of files with this name.
        key: Option<String>,
    },
    /// The value of a push option, given as `-o KEY=VERSION`.
    Option(String),
}

/// The treatment of email addresses, which are personal data, in markers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Emails {
    /// A hash with a key that stays in the state directory. It distinguishes people, but without
    /// the key an address cannot be found by hashing candidates.
    #[default]
    Hashed,
    /// The addresses themselves.
    Plain,
    /// No addresses.
    None,
}

/// Delivery settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Process that sends the markers.
    pub mode: DeliveryMode,
    /// Maximum time for one request, including the response.
    pub timeout: Duration,
    /// Time that the background process keeps retrying before it leaves the rest to the next push.
    pub linger: Duration,
    /// Age at which an undelivered marker becomes a dead letter.
    pub give_up_after: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            mode: DeliveryMode::default(),
            timeout: Duration::from_secs(10),
            linger: Duration::from_secs(60),
            // Below the usual retention of seven days: what is older, a back end drops silently.
            give_up_after: Duration::from_secs(6 * 86_400),
        }
    }
}

/// The process that sends markers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryMode {
    /// A detached process; the push does not wait.
    #[default]
    Background,
    /// The hook, while the pusher waits for at most `timeout`.
    Inline,
}

/// Settings for the `remote:` lines that the pusher sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Amount of output.
    pub to_pusher: ReplyTo,
    /// URL template of a trace, with `{trace_id}`.
    pub trace_link: Option<String>,
}

/// The amount of output for the pusher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyTo {
    /// One line per marker and per refused marker, and one if the policy failed.
    #[default]
    Markers,
    /// Nothing.
    Nothing,
    /// The lines of `Markers`, one line for each failure, and one if updates are left to the
    /// background.
    All,
}
