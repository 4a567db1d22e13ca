//! Gitea's Git Hooks API, for one repository at a time where there is no access to its files. It has one slot, the text of the
//! Git Hooks page; a text of somebody else's in it is left.

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

use super::command::{HookCommand, is_wrapper};
use crate::{
    delivery,
    fault::{self, Step},
    secret::Secret,
    text,
};

/// How long one request may take, and before that the connection.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_CONNECT: Duration = Duration::from_secs(5);

/// How much of the body of an answer is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// A Gitea that is reached by HTTP.
#[derive(Debug)]
pub struct Api {
    agent: Agent,
    base: String,
    token: Secret,
}

/// What came of a hook that was to be put in or taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiCame {
    /// The slot was as it is to be.
    WasSo,
    /// It is now, or would be.
    IsSo,
}

/// Why a hook was not put in or taken out.
#[derive(Debug)]
pub struct ApiError(String);

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ApiError {}

/// What Gitea says of the slot.
#[derive(Debug, Deserialize)]
struct Slot {
    #[serde(default)]
    is_active: bool,
    #[serde(default)]
    content: String,
}

impl Api {
    /// Takes the address of a Gitea, without `/api/v1`, and a token for it. Nothing is connected to yet.
    ///
    /// # Errors
    /// If the address is none.
    pub fn new(url: &str, token: Secret) -> Result<Self, ApiError> {
        let wrong = || {
            ApiError(format!(
                "`{}` is no address of a Gitea, such as https://git.example.com",
                text::line(url)
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || uri.query().is_some()
        {
            // What is in there may be secret.
            return Err(ApiError(
                "the address of a Gitea is host and path alone, such as https://git.example.com; the token is read from --token-file".into(),
            ));
        }
        if !matches!(uri.scheme_str(), Some("https" | "http")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        let agent = delivery::agent_for_others(MAX_CONNECT, PATIENCE);
        Ok(Self { agent, base: format!("{}/api/v1", url.trim_end_matches('/')), token })
    }

    /// Has the hook in the slot of a repository.
    ///
    /// # Errors
    /// If Gitea does not allow it, or somebody else's hook is in there.
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

    /// Has no hook of ours in the slot of a repository.
    ///
    /// # Errors
    /// If Gitea does not allow it, or somebody else's hook is in there.
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

    /// Returns the text of ours in the slot, `None` if the slot is empty.
    fn own_in_slot(&self, owner: &str, name: &str) -> Result<Option<String>, ApiError> {
        let url = self.url(owner, name);
        fault::point(Step::Send, url.as_ref()).map_err(|err| ApiError(err.to_string()))?;
        let sent = self.agent.get(&url).header("authorization", self.authorization()).call();
        let body = self.answer(owner, name, sent)?;
        let slot: Slot = serde_json::from_slice(&body).map_err(|_| {
            ApiError(format!("expected Gitea to tell its Git Hook at {url}, and something else came; is that Gitea's address?"))
        })?;
        if !slot.is_active || slot.content.trim().is_empty() {
            return Ok(None);
        }
        if !is_wrapper(slot.content.as_bytes()) {
            return Err(ApiError(
                "the Git Hooks page has a hook of somebody else's in its one slot for post-receive; it is left as it is".into(),
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

    /// Reads an answer, and returns its body if it is a yes.
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
            .map_err(|err| ApiError(format!("failed to read the answer of {}: {err}", self.base)))?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let repository = format!("{}/{}", text::line(owner), text::line(name));
        let why = match status {
            401 => "Gitea does not accept the token; make one with the scope write:repository and put it into --token-file".into(),
            403 => format!(
                "the token may not do that: it needs the scope write:repository, its owner must be an administrator of {repository} and \
                 either of the site or allowed to create Git Hooks, and app.ini must have `[security] DISABLE_GIT_HOOKS = false`; where \
                 you have access to Gitea's files, install without --through-api, which needs none of that"
            ),
            404 => format!(
                "there is no repository {repository} for the owner of this token, or {} is not Gitea's own address",
                self.base.trim_end_matches("/api/v1")
            ),
            300..=399 => match location {
                Some(to) => format!("it redirects to {}, and is not followed: name that address", self.shown(&to)),
                None => "it redirects, and is not followed".into(),
            },
            500.. => "Gitea failed; its own log says why".into(),
            _ => "this is no answer of Gitea's that we know".into(),
        };
        let said = said(&body).map(|said| format!(" (it says: {})", self.shown(&said))).unwrap_or_default();
        Err(ApiError(format!("HTTP {status}: {why}{said}")))
    }

    /// Makes a stranger's text fit to be shown, without the token in it.
    fn shown(&self, said: &str) -> String {
        text::line(said.replace(self.token.expose(), "[redacted]"))
    }
}

fn read(response: Response<Body>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    response.into_body().into_with_config().limit(MAX_ANSWER).reader().read_to_end(&mut body)?;
    Ok(body)
}

/// Returns what Gitea says of an error.
fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    Some(serde_json::from_slice::<Said>(body).ok()?.message).filter(|message| !message.is_empty())
}
