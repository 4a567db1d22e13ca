//! Installs the hook in a single repository through Gitea's Git Hooks API, for administrators
//! without access to its files. The API has one slot per hook, which is the text on the Git Hooks
//! page. A foreign text in the slot is left alone.

use std::{
    fmt,
    io::{self, Read as _},
    time::Duration,
};

use serde::Deserialize;
use ureq::{
    Agent, Body,
    http::{Response, Uri},
};

use super::command::{HookCommand, is_ours};
use crate::{
    config, delivery,
    mask::Mask,
    secret::Secret,
    sys::fault::{self, Step},
    text,
};

/// Maximum time for one request, and for establishing the connection.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_CONNECT: Duration = Duration::from_secs(5);

/// Maximum number of bytes read from a response body.
const MAX_ANSWER: u64 = 1 << 20;

/// A client for the API of one Gitea server.
#[derive(Debug)]
pub struct Api {
    agent: Agent,
    base: String,
    token: Secret,
}

/// The result of an installation or a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiCame {
    /// Already up to date.
    WasSo,
    /// Changed, or would be changed on a dry run.
    IsSo,
}

/// A failed installation or removal.
#[derive(Debug)]
pub struct ApiError(String);

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ApiError {}

/// The response to a request for the slot.
#[derive(Debug, Deserialize)]
struct Slot {
    #[serde(default)]
    is_active: bool,
    #[serde(default)]
    content: String,
}

impl Api {
    /// Creates a client for the Gitea at `url`, which does not include `/api/v1`. Does not connect
    /// yet. `insecure` allows the token to cross the network unencrypted.
    ///
    /// # Errors
    /// If the URL is not valid, or if the token would cross the network unencrypted without
    /// `insecure`.
    pub fn new(url: &str, token: Secret, insecure: bool) -> Result<Self, ApiError> {
        let wrong = || {
            ApiError(format!(
                "`{}` is not the address of a Gitea server, such as https://git.example.com",
                text::line(url)
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || uri.query().is_some()
        {
            // User and query may contain secrets, so the message does not show the URL.
            return Err(ApiError(
                "the address of a Gitea server must not contain a user or a query; give it as in \
                 https://git.example.com, and put the token into --token-file"
                    .into(),
            ));
        }
        if !matches!(uri.scheme_str(), Some("https" | "http")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        if uri.scheme_str() == Some("http") && !config::is_loopback(url) && !insecure {
            return Err(ApiError(format!(
                "the token would cross the network unencrypted to `{}`; use https://, or add --insecure if \
                 you trust the network",
                text::line(url)
            )));
        }
        let agent = delivery::agent_for_others(MAX_CONNECT, PATIENCE);
        Ok(Self { agent, base: format!("{}/api/v1", url.trim_end_matches('/')), token })
    }

    /// Installs the hook in the slot of a repository.
    ///
    /// # Errors
    /// If Gitea refuses, or if the slot contains a foreign hook.
    pub fn put(
        &self,
        owner: &str,
        name: &str,
        command: &HookCommand,
        is_real: bool,
    ) -> Result<ApiCame, ApiError> {
        let wrapper = String::from_utf8(command.wrapper()).map_err(|_| {
            ApiError("the paths of the binary and the configuration must be UTF-8 to be sent to Gitea".into())
        })?;
        if self.own_in_slot(owner, name)?.is_some_and(|content| content == wrapper) {
            return Ok(ApiCame::WasSo);
        }
        if is_real {
            let url = self.url(owner, name);
            fault::point(Step::Send, url.as_ref()).map_err(|err| ApiError(err.to_string()))?;
            let request = self.agent.patch(&url).header("authorization", self.authorization());
            let body = serde_json::json!({ "content": wrapper }).to_string();
            let sent = request.content_type("application/json").send(body);
            self.answer(owner, name, sent)?;
        }
        Ok(ApiCame::IsSo)
    }

    /// Removes our hook from the slot of a repository.
    ///
    /// # Errors
    /// If Gitea refuses, or if the slot contains a foreign hook.
    pub fn take(&self, owner: &str, name: &str, is_real: bool) -> Result<ApiCame, ApiError> {
        if self.own_in_slot(owner, name)?.is_none() {
            return Ok(ApiCame::WasSo);
        }
        if is_real {
            let url = self.url(owner, name);
            fault::point(Step::Send, url.as_ref()).map_err(|err| ApiError(err.to_string()))?;
            let sent = self.agent.delete(&url).header("authorization", self.authorization()).call();
            self.answer(owner, name, sent)?;
        }
        Ok(ApiCame::IsSo)
    }

    /// Returns our text in the slot, or `None` if the slot is empty.
    fn own_in_slot(&self, owner: &str, name: &str) -> Result<Option<String>, ApiError> {
        let url = self.url(owner, name);
        fault::point(Step::Send, url.as_ref()).map_err(|err| ApiError(err.to_string()))?;
        let sent = self.agent.get(&url).header("authorization", self.authorization()).call();
        let body = self.answer(owner, name, sent)?;
        let slot: Slot = serde_json::from_slice(&body).map_err(|_| {
            ApiError(format!("the response from {url} is not a Git hook of Gitea; check the address"))
        })?;
        if !slot.is_active || slot.content.trim().is_empty() {
            return Ok(None);
        }
        if !is_ours(slot.content.as_bytes()) {
            return Err(ApiError(
                "another post-receive hook is on the repository's Git Hooks page, which has room for one; \
                 it was not changed"
                    .into(),
            ));
        }
        Ok(Some(slot.content))
    }

    fn url(&self, owner: &str, name: &str) -> String {
        format!("{}/repos/{}/{}/hooks/git/post-receive", self.base, text::segment(owner), text::segment(name))
    }

    fn authorization(&self) -> String {
        format!("token {}", self.token.expose())
    }

    /// Returns the body of a successful response, and converts any other response to an error.
    fn answer(
        &self,
        owner: &str,
        name: &str,
        sent: Result<Response<Body>, ureq::Error>,
    ) -> Result<Vec<u8>, ApiError> {
        let response = sent.map_err(|err| {
            ApiError(format!("failed to reach {}: {}", self.base, self.shown(&err.to_string())))
        })?;
        let status = response.status().as_u16();
        let location =
            response.headers().get("location").map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let body = read(response)
            .map_err(|err| ApiError(format!("failed to read the response from {}: {err}", self.base)))?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let repository = format!("{}/{}", text::line(owner), text::line(name));
        let why = match status {
            401 => "Gitea rejects the token; create one with the scope write:repository and put it into \
                --token-file"
                .into(),
            403 => format!(
                "the token lacks the permission: it needs the scope write:repository, its owner must be an \
                 administrator of {repository} and either a site administrator or allowed to create Git \
                 hooks, and app.ini needs `[security] DISABLE_GIT_HOOKS = false`; if you have access to \
                 Gitea's files, install without --through-api, which needs none of this"
            ),
            404 => format!(
                "the token's owner cannot see a repository {repository}, or {} is not the address of Gitea",
                self.base.trim_end_matches("/api/v1")
            ),
            300..=399 => match location {
                Some(to) => format!(
                    "the server redirects to {}, and redirects are not followed; use that address",
                    self.shown(&to)
                ),
                None => "the server redirects, and redirects are not followed".into(),
            },
            500.. => "Gitea failed; see its log".into(),
            _ => "unexpected response from Gitea".into(),
        };
        let said =
            said(&body).map(|said| format!(" (Gitea's message: {})", self.shown(&said))).unwrap_or_default();
        Err(ApiError(format!("HTTP {status}: {why}{said}")))
    }

    /// Makes text from the server safe to show, and masks the token.
    fn shown(&self, said: &str) -> String {
        text::line(Mask::of([&self.token]).apply(said))
    }
}

fn read(response: Response<Body>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    response.into_body().into_with_config().limit(MAX_ANSWER).reader().read_to_end(&mut body)?;
    Ok(body)
}

/// Returns Gitea's message in an error response.
fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ErrorBody {
        message: String,
    }
    Some(serde_json::from_slice::<ErrorBody>(body).ok()?.message).filter(|message| !message.is_empty())
}
