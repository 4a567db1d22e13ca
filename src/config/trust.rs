//! `[[trust]]` tables: who may cause which markers.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{reader::ConfigReader, spanned::Spanned};
use crate::{glob, marker::Kind, text::Hinted};

/// Maximum number of entries of `allow`.
const MAX_ALLOWED: usize = 64;

/// The forms of an entry of `allow`, as messages list them.
const FORMS: &str = "`user:ann#7`, `team:acme/release-managers`, `org:acme`, `protected`, `approved:2`, \
                     `signed`, `signed:ann@example.org`, `deploy_key`, `deploy_key:3`, `actions` and `command`";

/// A `[[trust]]` as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    kinds: Option<Spanned<Vec<Kind>>>,
    repository: Option<Spanned<String>>,
    service: Option<Spanned<String>>,
    environment: Option<Spanned<String>>,
    allow: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    otherwise: Otherwise,
}

/// A rule on who may cause markers.
#[derive(Clone, Debug)]
pub struct TrustRule {
    /// Kinds of markers that it is about, `None` for all. A rule for deployments is one for rollbacks too.
    pub kinds: Option<Vec<Kind>>,
    /// Wildcard pattern over `owner/name`, in lower case.
    pub repository: Option<String>,
    /// Wildcard pattern over the names of services.
    pub service: Option<String>,
    /// Wildcard pattern over the names of environments.
    pub environment: Option<String>,
    /// Each of these is enough.
    pub allow: Vec<Allowed>,
    /// The fate of a marker that none of them allows.
    pub otherwise: Otherwise,
    /// Line of the rule in the configuration.
    pub line: usize,
}

/// The fate of a marker whose cause is not trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It is refused.
    #[default]
    Skip,
    /// It is made, with `gitea_lightstep.trust = "unverified"`.
    Mark,
}

/// A cause of a marker that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This user of Gitea. The ID counts, because another user can take the name later.
    User {
        /// The name, for people who read the rule.
        name: String,
        /// Gitea's ID.
        id: i64,
    },
    /// A member of an organisation's team.
    Team {
        /// The organisation.
        organisation: String,
        /// The team.
        team: String,
    },
    /// A member of an organisation.
    Organisation(String),
    /// Gitea protects the branch or tag.
    Protected,
    /// A pull request was merged that this many people had approved.
    Approved(u32),
    /// The annotated tag, or else the commit, has a good signature, or one of this signer or key.
    Signed(Option<String>),
    /// A deploy key, or this one.
    DeployKey(Option<i64>),
    /// A task of Gitea Actions.
    Actions,
    /// The command `mark` on the server.
    Command,
}

impl Allowed {
    fn parse(text: &str) -> Option<Self> {
        let (word, of) = match text.split_once(':') {
            Some((word, of)) => (word, Some(of.trim()).filter(|of| !of.is_empty())?),
            None => (text, ""),
        };
        Some(match (word.trim(), of) {
            ("protected", "") => Self::Protected,
            ("actions", "") => Self::Actions,
            ("signed", "") => Self::Signed(None),
            ("command", "") => Self::Command,
            ("deploy_key", "") => Self::DeployKey(None),
            (_, "") => return None,
            ("deploy_key", id) => Self::DeployKey(Some(id.parse().ok().filter(|id| *id > 0)?)),
            ("signed", who) => Self::Signed(Some(who.into())),
            ("approved", count) => Self::Approved(count.parse().ok().filter(|count| *count > 0)?),
            ("org", name) => Self::Organisation(name.into()),
            ("team", name) => {
                let (organisation, team) = name.split_once('/')?;
                let is_name = |name: &str| !name.is_empty() && !name.contains('/');
                (is_name(organisation) && is_name(team)).then_some(())?;
                Self::Team { organisation: organisation.into(), team: team.into() }
            }
            ("user", name) => {
                let (name, id) = name.split_once('#')?;
                Self::User { name: name.into(), id: id.parse().ok().filter(|id| *id > 0)? }
            }
            _ => return None,
        })
    }

    /// Returns the organisation whose members have to be known.
    pub fn organisation(&self) -> Option<&str> {
        match self {
            Self::Team { organisation, .. } | Self::Organisation(organisation) => Some(organisation),
            _ => None,
        }
    }

    /// Returns true if only Gitea's API can tell.
    pub fn needs_gitea(&self) -> bool {
        self.organisation().is_some() || matches!(self, Self::Protected | Self::Approved(_))
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, id } => write!(f, "user:{name}#{id}"),
            Self::Team { organisation, team } => write!(f, "team:{organisation}/{team}"),
            Self::Organisation(name) => write!(f, "org:{name}"),
            Self::Protected => f.write_str("protected"),
            Self::Approved(count) => write!(f, "approved:{count}"),
            Self::Signed(None) => f.write_str("signed"),
            Self::Signed(Some(who)) => write!(f, "signed:{who}"),
            Self::DeployKey(None) => f.write_str("deploy_key"),
            Self::DeployKey(Some(id)) => write!(f, "deploy_key:{id}"),
            Self::Actions => f.write_str("actions"),
            Self::Command => f.write_str("command"),
        }
    }
}

impl ConfigReader<'_> {
    /// Resolves a `[[trust]]`. `has_api` tells if `[gitea]` is there, and `has_keys` if `[signatures]` names
    /// keys.
    pub fn trust(&mut self, file: TrustFile, has_api: bool, has_keys: bool) -> TrustRule {
        let line = self.line(file.allow.span().start);
        if let Some(kinds) = file.kinds.as_ref().filter(|kinds| kinds.get_ref().is_empty()) {
            self.complain(
                kinds,
                "`kinds` is empty, so the rule would have no effect; leave it out for all kinds",
            );
        }
        for pattern in [&file.repository, &file.service, &file.environment].into_iter().flatten() {
            if let Some(flaw) = glob::flaw(pattern.get_ref()) {
                self.complain(pattern, flaw);
            }
        }
        if file.allow.get_ref().is_empty() {
            let message =
                format!("`allow` is empty, so such markers could never be made; expected some of {FORMS}");
            self.complain(&file.allow, message);
        }
        if file.allow.get_ref().len() > MAX_ALLOWED {
            self.complain(
                &file.allow,
                format!("`allow` has more than {MAX_ALLOWED} entries; name a team instead"),
            );
        }
        let mut allow = Vec::new();
        for entry in file.allow.get_ref() {
            match Allowed::parse(entry.get_ref()) {
                Some(allowed) if allowed.needs_gitea() && !has_api => {
                    let message = format!(
                        "`{allowed}` needs Gitea's API; add a table `[gitea]` with a `token`, see docs/trust.md"
                    );
                    self.complain(entry, message);
                }
                Some(allowed @ Allowed::Signed(_)) if !has_keys => {
                    let message =
                        format!("`{allowed}` needs keys; list them as `keys` of a table `[signatures]`");
                    self.complain(entry, message);
                }
                Some(allowed) => allow.push(allowed),
                None => self.complain(entry, unknown(entry.get_ref())),
            }
        }
        TrustRule {
            kinds: file.kinds.map(Spanned::into_inner),
            repository: file.repository.map(|pattern| pattern.get_ref().to_lowercase()),
            service: file.service.map(Spanned::into_inner),
            environment: file.environment.map(Spanned::into_inner),
            allow,
            otherwise: file.otherwise,
            line,
        }
    }
}

/// Returns the message about an entry of `allow` that cannot be read.
fn unknown(entry: &str) -> Hinted {
    const WORDS: [&str; 9] =
        ["user", "team", "org", "protected", "approved", "signed", "deploy_key", "actions", "command"];
    let word = entry.split(':').next().unwrap_or_default();
    if word == "user" && !entry.contains('#') {
        return format!(
            "`{entry}` names no ID, and another user could take the name later; write `{entry}#ID`, where the ID is \
             that of `/api/v1/users/NAME` and of `pusher.id` in `log --json`"
        )
        .into();
    }
    let message = format!("`allow` has `{entry}`, expected one of {FORMS}");
    if WORDS.contains(&word) { message.into() } else { Hinted::unknown(message, word, WORDS.into_iter()) }
}

#[cfg(test)]
mod tests;
