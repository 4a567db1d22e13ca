//! Client for Gitea's API, which only reads. The server is not trusted: its answers have a size limit,
//! no text of it is used before it is cut and cleaned, and the token goes to no other host.

use std::{cell::RefCell, io::Read as _, time::Duration};

use serde::de::DeserializeOwned;
use ureq::Agent;

use super::{
    connection::{self, MAX_CONNECT},
    renamed,
};
use crate::{
    config::GiteaApi,
    mask::Mask,
    secret::Secret,
    state::State,
    sys::fault::{self, Step},
    sys::time::{self, Deadline},
    text,
};

/// Maximum time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time for the questions about one push.
pub(super) const LONGEST: Duration = Duration::from_secs(20);

/// Maximum number of bytes of an answer.
const MAX_ANSWER: u64 = 1 << 20;

/// Maximum length of an error's text, in characters.
const MAX_SAID: usize = 400;

/// The scope that the token needs, as messages name it.
const SCOPE: &str = "the token of `[gitea]` needs the scope read:repository, and its owner must be able to read \
                     the repository";

/// The scope and the membership that questions about organisations need.
const ORGANISATION_SCOPE: &str = "for teams, the token of `[gitea]` needs the scope read:organization, and its \
                                  owner must be a member of the organisation";

/// A question that Gitea did not answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Gitea may answer later.
    Now(String),
    /// Gitea does not take the token, or it cannot be sent.
    Refused(String),
    /// The answer to this question cannot be used.
    Useless(String),
}

impl Unanswered {
    /// Returns the reason.
    pub fn why(&self) -> &str {
        match self {
            Self::Now(why) | Self::Refused(why) | Self::Useless(why) => why,
        }
    }
}

/// Records an answer or a failure for `status`. Without the record, the journal still has the failure.
pub(super) fn note_answer(state: &State, failure: Option<&Unanswered>) {
    let _ = state.note_api(time::now(), failure.map(Unanswered::why));
}

/// An answer of any status.
struct ApiAnswer {
    status: u16,
    location: Option<String>,
    /// `None` if it is too large.
    body: Option<Vec<u8>>,
}

/// The API, with its token.
pub(super) struct GiteaClient {
    agent: Agent,
    base: String,
    token: Secret,
    deadline: Deadline,
    /// A repository that was renamed: the address below which Gitea asked for it, and the present one.
    moved: RefCell<Option<(String, String)>>,
}

impl GiteaClient {
    /// Reads the token. Does not connect yet. `root_url` is the address if the configuration names none.
    ///
    /// # Errors
    /// If the address is unknown, the token cannot be read, or it would cross the network unencrypted.
    pub fn new(api: &GiteaApi, root_url: Option<&str>, deadline: Deadline) -> Result<Self, Unanswered> {
        let refused = |why: String| Unanswered::Refused(why);
        let base = api
            .url
            .as_deref()
            .or(root_url)
            .ok_or_else(|| refused("the address of Gitea is not known; set `url` in `[gitea]`".into()))?;
        let is_url = ["https://", "http://"].iter().any(|scheme| base.starts_with(scheme));
        if !is_url || base.contains(['@', '?', '#']) {
            let base = text::line(base);
            return Err(refused(format!("`{base}` is not the address of a Gitea; set `url` in `[gitea]`")));
        }
        if api.is_exposed_at(base) {
            return Err(refused(format!(
                "the token for Gitea's API would cross the network unencrypted to `{}`; set `url` in `[gitea]` to \
                 an https:// address, or `insecure = true` if you trust the network",
                text::line(base)
            )));
        }
        let token = api.token.read(TIMEOUT).map_err(|err| {
            refused(format!("failed to read the `token` of `[gitea]` from {}: {err}", api.token))
        })?;
        let agent = connection::agent_reached_by(
            api.proxy.as_deref(),
            api.ca_file.as_deref(),
            TIMEOUT.min(MAX_CONNECT),
            TIMEOUT,
        )
        .map_err(|err| refused(format!("[gitea]: {}", text::chain(&err))))?;
        let base = base.trim_end_matches('/').to_string();
        Ok(Self { agent, base, token, deadline, moved: RefCell::default() })
    }

    /// Asks about a repository, and returns the answer. `None` if there is no such thing. `path` and
    /// `query` follow the repository's address.
    pub fn of_repository<T: DeserializeOwned>(
        &self,
        (owner, name): (&str, &str),
        path: &str,
        query: &str,
    ) -> Result<Option<T>, Unanswered> {
        let named = format!("{}/api/v1/repos/{}/{}", self.base, text::segment(owner), text::segment(name));
        let known = self.moved.borrow().clone().filter(|(from, _)| *from == named).map(|(_, to)| to);
        let repository = known.unwrap_or_else(|| named.clone());
        let mut answer = self.get(&format!("{repository}{path}{query}"))?;
        if let (301 | 302 | 307 | 308, Some(to)) = (answer.status, &answer.location)
            && let Some(url) = renamed::moved_to(&self.base, to.split('?').next().unwrap_or_default())
        {
            answer = self.get(&format!("{url}{query}"))?;
            if let Some(to) = url.strip_suffix(path) {
                *self.moved.borrow_mut() = Some((named, to.to_string()));
            }
        }
        if answer.status == 404 { Ok(None) } else { self.parsed(&answer).map(Some) }
    }

    /// Asks for a list that does not belong to a repository. Nothing there is a failure.
    pub fn list<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<Vec<T>, Unanswered> {
        let answer = self.get(&format!("{}/api/v1{path}{query}", self.base))?;
        match answer.status {
            403 => Err(Unanswered::Refused(self.shown(&format!(
                "{} does not let the token read {path} (HTTP 403); {ORGANISATION_SCOPE}",
                self.base
            )))),
            404 => Err(Unanswered::Useless(self.shown(&format!(
                "{} has no {path}, or does not show it to the token's owner (HTTP 404); {ORGANISATION_SCOPE}",
                self.base
            )))),
            _ => self.parsed(&answer),
        }
    }

    /// Returns the name of the token's owner, which the API tells only with the scope read:user, and
    /// otherwise `None`.
    pub fn user(&self) -> Result<Option<String>, Unanswered> {
        #[derive(serde::Deserialize)]
        struct TokenOwner {
            login: String,
        }
        let answer = self.get(&format!("{}/api/v1/user", self.base))?;
        if answer.status == 403 {
            return Ok(None);
        }
        let owner: TokenOwner = self.parsed(&answer)?;
        Ok(Some(text::line(self.masked(&owner.login))))
    }

    fn get(&self, url: &str) -> Result<ApiAnswer, Unanswered> {
        if self.deadline.is_over() {
            return Err(Unanswered::Now(format!("{} answers too slowly", self.base)));
        }
        fault::point(Step::Send, url.as_ref()).map_err(|err| Unanswered::Now(err.to_string()))?;
        let request = self.agent.get(url).header("accept", "application/json");
        let request = request.header("authorization", format!("token {}", self.token.expose()));
        let left = TIMEOUT.min(self.deadline.left());
        let failed = |what: &str, err: &dyn std::fmt::Display| {
            Unanswered::Now(self.shown(&format!("failed to {what} {}: {err}", self.base)))
        };
        let sent = request.config().timeout_global(Some(left)).build().call();
        let response = sent.map_err(|err| failed("reach", &err))?;
        let status = response.status().as_u16();
        let location = response.headers().get("location");
        let location = location.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let mut body = Vec::new();
        let mut reader = response.into_body().into_with_config().limit(MAX_ANSWER).reader();
        match reader.read_to_end(&mut body) {
            Ok(_) => Ok(ApiAnswer { status, location, body: Some(body) }),
            Err(_) if body.len() as u64 >= MAX_ANSWER => Ok(ApiAnswer { status, location, body: None }),
            Err(err) => Err(failed("read the answer of", &err)),
        }
    }

    fn parsed<T: DeserializeOwned>(&self, answer: &ApiAnswer) -> Result<T, Unanswered> {
        let ApiAnswer { status, location, body } = answer;
        let base = &self.base;
        let useless = |why: &str| Unanswered::Useless(self.shown(&format!("{base} {why}")));
        Err(match status {
            200..=299 => match body {
                Some(body) => match serde_json::from_slice(body) {
                    Ok(parsed) => return Ok(parsed),
                    Err(_) => useless("does not answer like Gitea's API; check `url` in `[gitea]`"),
                },
                None => useless(&format!("sends an answer of more than {} MiB", MAX_ANSWER >> 20)),
            },
            300..=399 => useless(&format!(
                "redirects to {}, which is not followed; check `url` in `[gitea]`",
                location.as_deref().unwrap_or("no address")
            )),
            401 => Unanswered::Refused(format!("{base} rejects the token (HTTP 401); {SCOPE}")),
            403 => Unanswered::Refused(format!("{base} does not let the token read (HTTP 403); {SCOPE}")),
            429 | 500.. => Unanswered::Now(format!("{base} answers with HTTP {status}")),
            _ => useless(&format!("answers with HTTP {status}")),
        })
    }

    /// Removes the token from a server's text. The text is not cut or cleaned yet.
    pub fn masked(&self, said: &str) -> String {
        Mask::of([&self.token]).apply(said)
    }

    fn shown(&self, said: &str) -> String {
        text::line_of(self.masked(said), MAX_SAID)
    }
}
