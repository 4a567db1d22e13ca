//! Creates Lightstep's event query, once for all runs, and updates it if it was changed.

use std::time::Duration;

use serde::Serialize;

use super::ConnectArgs;
use crate::{
    config::LightstepApi,
    delivery::{EventQueries, EventQuery, RestError},
    marker::name,
    state::{
        State, StateError,
        connected::{ConnectedQueries, ConnectedQuery},
    },
};

/// Name of the event query.
const NAME: &str = "Deployments from Gitea";

/// Result of setting up the event query.
#[derive(Debug, Serialize)]
pub(super) struct SetUp {
    pub organization: String,
    pub project: String,
    pub outcome: EventQueryOutcome,
    pub id: Option<String>,
    pub name: &'static str,
    pub query: String,
    /// HTTP status of a refusal.
    pub status: Option<u16>,
    /// Text of the answer, or the error.
    pub why: Option<String>,
    /// Advice on how to fix it.
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventQueryOutcome {
    /// The query was missing, and this run created it.
    Created,
    /// The query exists and is correct.
    Unchanged,
    /// The query differed, and this run corrected it.
    Updated,
    /// An earlier run may have created the query, but its ID is not known.
    Uncertain,
    /// The query is missing or incorrect.
    Failed,
}

/// A failure to set up the event query.
enum SetUpError {
    Api(RestError),
    State(StateError),
}

impl From<RestError> for SetUpError {
    fn from(err: RestError) -> Self {
        Self::Api(err)
    }
}

impl From<StateError> for SetUpError {
    fn from(err: StateError) -> Self {
        Self::State(err)
    }
}

/// Creates the event query in the project unless an earlier run did, and corrects it if it differs.
///
/// # Errors
/// If the state directory cannot be read or written.
pub(super) fn set_up(
    args: &ConnectArgs,
    api: &LightstepApi,
    state: &State,
    timeout: Duration,
) -> Result<SetUp, StateError> {
    let mut made = ConnectedQueries::open(state)?;
    let known = made.of(&api.base, &api.organization, &api.project).cloned();
    let chosen = args.query.clone().or_else(|| known.as_ref()?.query.clone());
    let wanted = wanted(chosen.as_deref());
    let mut set_up = SetUp {
        organization: api.organization.clone(),
        project: api.project.clone(),
        outcome: EventQueryOutcome::Failed,
        id: None,
        name: NAME,
        query: wanted.query.clone(),
        status: None,
        why: None,
        fix: None,
    };
    let note = |id: Option<&str>| ConnectedQuery {
        api: api.base.clone(),
        organization: api.organization.clone(),
        project: api.project.clone(),
        event_query: id.map(Into::into),
        query: chosen.clone(),
    };
    let is_certain = args.again || args.event_query.is_some();
    if known.as_ref().is_some_and(|known| known.event_query.is_none()) && !is_certain {
        set_up.uncertain("an earlier run requested it, but did not get its id");
        return Ok(set_up);
    }
    let id = args.event_query.clone().or_else(|| known.as_ref()?.event_query.clone());
    let mut has_begun = false;
    let came = (|| {
        let queries = EventQueries::of(api, timeout)?;
        queries.check_key()?;
        if let Some(id) = id.filter(|_| !args.again) {
            if let Some(there) = queries.read(&id)? {
                let is_right = there == wanted;
                if !is_right {
                    queries.update(&id, &wanted)?;
                }
                made.put(note(Some(&id)))?;
                return Ok((
                    if is_right { EventQueryOutcome::Unchanged } else { EventQueryOutcome::Updated },
                    id,
                ));
            }
            if args.event_query.is_some() {
                let why = format!("project {} has no event query with this id", api.project);
                return Err(RestError::Refused { status: 404, why, after: None }.into());
            }
        }
        // Record this before the request. If this process dies, the next run knows that the query
        // may exist.
        made.put(note(None))?;
        has_begun = true;
        let id = queries.create(&wanted)?;
        made.put(note(Some(&id)))?;
        Ok((EventQueryOutcome::Created, id))
    })();
    match came {
        Ok((outcome, id)) => {
            set_up.outcome = outcome;
            set_up.id = Some(id);
        }
        Err(SetUpError::State(err)) => return Err(err),
        Err(SetUpError::Api(err)) if has_begun && err.may_have_acted() => set_up.uncertain(&err.to_string()),
        Err(SetUpError::Api(err)) => {
            if has_begun {
                // The query was certainly not created. Restore the previous record, because an ID
                // that is not found now may be found later.
                match known {
                    Some(known) => made.put(known)?,
                    None => made.forget(&api.base, &api.organization, &api.project)?,
                }
            }
            set_up.status = err.status();
            set_up.fix = Some(advice(&err, args).into());
            set_up.why = Some(err.to_string());
        }
    }
    Ok(set_up)
}

impl SetUp {
    fn uncertain(&mut self, why: &str) {
        self.outcome = EventQueryOutcome::Uncertain;
        self.why = Some(format!("{why}, so it may exist"));
        self.fix = Some(format!(
            "look for `{NAME}` among the event queries of the project: if it exists, run this again with \
             `--event-query ID`, else with `--again`"
        ));
    }
}

/// Returns the event query as it should be. The attribute's name is quoted as in Lightstep's
/// documentation of log queries (docs.lightstep.com/docs/gs-with-log-queries).
fn wanted(chosen: Option<&str>) -> EventQuery {
    let is = |kind: &str| format!("\"{}\" == \"gitea_lightstep.{kind}\"", name::EVENT_NAME);
    let query = chosen.map_or_else(
        || format!("logs | filter {} || {}", is("deployment"), is("rollback")),
        ToString::to_string,
    );
    let fields = [
        name::SERVICE_NAME,
        name::SERVICE_VERSION,
        name::ENVIRONMENT,
        name::USER_NAME,
        name::HEAD_NAME,
        name::HEAD_REVISION,
        name::COMMIT_TITLE,
    ];
    EventQuery {
        name: NAME.into(),
        query,
        source: "gitea".into(),
        kind: "deployment".into(),
        description: "Created by gitea-lightstep connect, which restores it on each run".into(),
        tooltip_fields: fields.map(Into::into).into(),
    }
}

fn advice(err: &RestError, args: &ConnectArgs) -> &'static str {
    match err {
        RestError::Unready(_) => "put the API key where `api_key` says, and let Gitea's user read it",
        RestError::NoAnswer { .. } => {
            "check that this machine can reach `api`, or set `proxy` if only a proxy can; then run this \
             again"
        }
        RestError::Garbled(_) => "check that `api` is the address of Lightstep's API, and run this again",
        RestError::Refused { status: 400 | 422, .. } => {
            "Lightstep does not accept the query: write it as the query editor for logs does, and pass it \
             with `--query`"
        }
        RestError::Refused { status: 401, .. } => {
            "the API key is wrong, expired (after a year) or not of this `organization`: create one in \
             Account settings > API Keys, with a role that may edit the project; an access token does not \
             work"
        }
        RestError::Refused { status: 403, .. } => {
            "the API key has no permission: it needs a role that may edit the project"
        }
        RestError::Refused { status: 404, .. } if args.event_query.is_some() => {
            "pass the id of an existing event query, or omit `--event-query` to create one"
        }
        RestError::Refused { status: 404, .. } => {
            "check that `organization` and `project` are as in Lightstep's addresses, and that `api` is \
             right"
        }
        RestError::Refused { status: 429, .. } => "too many requests: run this again in a few minutes",
        RestError::Refused { status: 300..400, .. } => "set `api` to the address that it redirects to",
        RestError::Refused { .. } => "run this again later",
    }
}
