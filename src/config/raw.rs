//! The schema of the configuration file, as far as serde can check it. `Reading` checks the rest
//! and resolves defaults.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    resolved::{DeliveryMode, Emails, ReplyTo},
    service::ServiceFile,
    spanned::Spanned,
    target::{Compression, Logs, Protocol, Spans},
    trust::TrustFile,
    units::{DurationText, SizeText},
};
use crate::{marker::Kind, secret::SecretSource};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub state_dir: Option<PathBuf>,
    pub public_url: Option<Spanned<String>>,
    pub namespace: Option<Spanned<String>>,
    pub environments: Option<Spanned<Vec<Spanned<String>>>>,
    pub tickets: Option<Vec<Spanned<String>>>,
    pub lightstep: Option<Spanned<LightstepFile>>,
    pub destination: Vec<DestinationFile>,
    pub policy: PolicyFile,
    pub service: Vec<ServiceFile>,
    pub trust: Vec<TrustFile>,
    pub spool: SpoolFile,
    pub journal: JournalFile,
    pub delivery: DeliveryFile,
    pub status: StatusFile,
    pub people: PeopleFile,
    pub redact: RedactFile,
    pub signatures: SignaturesFile,
    pub gitea: Option<GiteaFile>,
    pub reply: ReplyFile,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LightstepFile {
    pub token: Option<SecretSource>,
    pub region: Option<Spanned<Region>>,
    pub endpoint: Option<Spanned<String>>,
    pub protocol: Option<Protocol>,
    pub compression: Option<Compression>,
    pub spans: Option<Spans>,
    pub ca_file: Option<Spanned<PathBuf>>,
    pub proxy: Option<Spanned<String>>,
    pub insecure: Option<bool>,
    pub organization: Option<Spanned<String>>,
    pub project: Option<Spanned<String>>,
    pub api_key: Option<Spanned<SecretSource>>,
    pub api: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GiteaFile {
    pub token: SecretSource,
    pub url: Option<Spanned<String>>,
    pub enrich_within: Option<DurationText>,
    pub max_age: Option<DurationText>,
    pub organisations: Option<Vec<String>>,
    pub ca_file: Option<Spanned<PathBuf>>,
    pub proxy: Option<Spanned<String>>,
    pub insecure: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Region {
    Us,
    Eu,
}

/// One `[[destination]]`. Keys that only one kind uses are optional here, and checked when the kind
/// is known.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DestinationFile {
    pub name: Spanned<String>,
    pub kind: Spanned<DestinationKind>,
    pub endpoint: Spanned<String>,
    pub protocol: Option<Spanned<Protocol>>,
    pub compression: Option<Spanned<Compression>>,
    #[serde(default)]
    pub headers: BTreeMap<Spanned<String>, HeaderFile>,
    pub logs: Option<Spanned<Logs>>,
    pub spans: Option<Spanned<Spans>>,
    pub render: Option<Spanned<String>>,
    pub secrets: Option<Spanned<BTreeMap<Spanned<String>, SecretSource>>>,
    pub settings: Option<Spanned<BTreeMap<Spanned<String>, String>>>,
    pub kinds: Option<Spanned<Vec<Kind>>>,
    pub ca_file: Option<Spanned<PathBuf>>,
    pub proxy: Option<Spanned<String>>,
    pub insecure: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DestinationKind {
    Otlp,
    Http,
}

impl DestinationKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Http => "http",
        }
    }
}

impl DestinationFile {
    /// Returns the keys that a single kind uses, with that kind, and the place of each that is set.
    pub fn keys_of_kinds(&self) -> [(DestinationKind, &'static str, Option<Spanned<()>>); 8] {
        fn place<T>(value: Option<&Spanned<T>>) -> Option<Spanned<()>> {
            value.map(|value| Spanned::new(value.span(), ()))
        }
        [
            (DestinationKind::Otlp, "protocol", place(self.protocol.as_ref())),
            (DestinationKind::Otlp, "compression", place(self.compression.as_ref())),
            (DestinationKind::Otlp, "logs", place(self.logs.as_ref())),
            (DestinationKind::Otlp, "spans", place(self.spans.as_ref())),
            (DestinationKind::Http, "render", place(self.render.as_ref())),
            (DestinationKind::Http, "secrets", place(self.secrets.as_ref())),
            (DestinationKind::Http, "settings", place(self.settings.as_ref())),
            (DestinationKind::Http, "kinds", place(self.kinds.as_ref())),
        ]
    }
}

/// The value of a header: plain text, or a secret that is read from elsewhere.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a string, or a table with one of `file`, `command`, `credential`, `env`"
)]
pub(super) enum HeaderFile {
    Text(String),
    Secret(SecretSource),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RedactFile {
    pub patterns: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PolicyFile {
    pub scripts: Option<PathBuf>,
    pub repository_services: Vec<String>,
    pub no_services: Option<Vec<String>>,
    pub backfill_after: Option<DurationText>,
    pub limits: LimitsFile,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsFile {
    pub operations: Option<u64>,
    pub time: Option<DurationText>,
    pub memory: Option<Spanned<SizeText>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SpoolFile {
    pub files: Option<u64>,
    pub bytes: Option<SizeText>,
    pub merge_at: Option<Spanned<usize>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct JournalFile {
    pub keep: Option<DurationText>,
    pub max_size: Option<SizeText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeliveryFile {
    pub mode: Option<DeliveryMode>,
    pub timeout: Option<DurationText>,
    pub linger: Option<DurationText>,
    pub give_up_after: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StatusFile {
    pub older_than: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PeopleFile {
    pub emails: Option<Emails>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SignaturesFile {
    pub keys: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReplyFile {
    pub to_pusher: Option<ReplyTo>,
    pub trace_link: Option<Spanned<String>>,
}
