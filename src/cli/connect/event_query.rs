//! The event query in Lightstep: made once, however often this is run, and kept as it should be.

use std::time::Duration;

use serde::Serialize;

use super::ConnectArgs;
use crate::{
    config::LightstepApi,
    delivery::{EventQueries, EventQuery, RestError},
    marker::name,
    state::{
        State, StateError,
        connected::{Connection, Connections},
    },
};

/// What our event query is called.
const NAME: &str = "Deployments from Gitea";

/// What came of the event query.
#[derive(Debug, Serialize)]
pub(super) struct SetUp {
    pub organization: String,
    pub project: String,
    pub outcome: Outcome,
    pub id: Option<String>,
    pub name: &'static str,
    pub query: String,
    /// The HTTP status of a no.
    pub status: Option<u16>,
    /// What was said, or what happened.
    pub why: Option<String>,
    /// What to do.
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It was not there, and is now.
    Created,
    /// It was there, and as it should be.
    Unchanged,
    /// It was there and another, and is as it should be now.
    Updated,
    /// An earlier run may have created it, and it is not known as what.
    Uncertain,
    /// It is not there, or not as it should be.
    Failed,
}

/// Why it is not there.
enum Failure {
    Api(RestError),
    State(StateError),
}

impl From<RestError> for Failure {
    fn from(err: RestError) -> Self {
        Self::Api(err)
    }
}

impl From<StateError> for Failure {
    fn from(err: StateError) -> Self {
        Self::State(err)
    }
}

/// Has the event query in the project, once.
///
/// # Errors
/// If the state directory cannot be read or written.
pub(super) fn set_up(
    args: &ConnectArgs,
    api: &LightstepApi,
    state: &State,
    timeout: Duration,
) -> Result<SetUp, StateError> {
    let mut made = Connections::open(state)?;
    let known = made.of(&api.base, &api.organization, &api.project).cloned();
    let chosen = args.query.clone().or_else(|| known.as_ref()?.query.clone());
    let wanted = wanted(chosen.as_deref());
    let mut set_up = SetUp {
        organization: api.organization.clone(),
        project: api.project.clone(),
        outcome: Outcome::Failed,
        id: None,
        name: NAME,
        query: wanted.query.clone(),
        status: None,
        why: None,
        fix: None,
    };
    let note = |id: Option<&str>| Connection {
        api: api.base.clone(),
        organization: api.organization.clone(),
        project: api.project.clone(),
        event_query: id.map(Into::into),
        query: chosen.clone(),
    };
    let is_certain = args.again || args.event_query.is_some();
    if known.as_ref().is_some_and(|known| known.event_query.is_none()) && !is_certain {
        set_up.uncertain("an earlier run asked for it and never learned its id");
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
                return Ok((if is_right { Outcome::Unchanged } else { Outcome::Updated }, id));
            }
            if args.event_query.is_some() {
                let why = format!("project {} has no event query with this id", api.project);
                return Err(RestError::Refused { status: 404, why, after: None }.into());
            }
        }
        // Should this process die, the next one knows that it may be there.
        made.put(note(None))?;
        has_begun = true;
        let id = queries.create(&wanted)?;
        made.put(note(Some(&id)))?;
        Ok((Outcome::Created, id))
    })();
    match came {
        Ok((outcome, id)) => {
            set_up.outcome = outcome;
            set_up.id = Some(id);
        }
        Err(Failure::State(err)) => return Err(err),
        Err(Failure::Api(err)) if has_begun && err.may_have_acted() => set_up.uncertain(&err.to_string()),
        Err(Failure::Api(err)) => {
            if has_begun {
                // Certainly nothing was made, and an id that was known may be good again another day.
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
        self.outcome = Outcome::Uncertain;
        self.why = Some(format!("{why}, so it may be there"));
        self.fix = Some(format!(
            "look for `{NAME}` among the event queries of the project: if it is there, run this again with `--event-query ID`, \
             else with `--again`"
        ));
    }
}

/// Returns the event query as it should be. The attribute's name stands in quotes, as in the examples of Lightstep's own
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
        description: "Made by gitea-lightstep connect, which puts it right when it is run again".into(),
        tooltip_fields: fields.map(Into::into).into(),
    }
}

fn advice(err: &RestError, args: &ConnectArgs) -> &'static str {
    match err {
        RestError::Unready(_) => "put the API key where `api_key` says, readable to Gitea's user",
        RestError::NoAnswer { .. } => {
            "see that this machine may reach `api`, through `proxy` where only a proxy may go out, and run this again"
        }
        RestError::Garbled(_) => "see that `api` is the address of Lightstep's API, and run this again",
        RestError::Refused { status: 400 | 422, .. } => {
            "the query is not one that it takes: write it as the query editor for logs does, and give it with `--query`"
        }
        RestError::Refused { status: 401, .. } => {
            "the API key is wrong or a year old, or `organization` is not its own: make one in Account settings > API Keys, with a role \
             that may edit the project; an access token is another thing"
        }
        RestError::Refused { status: 403, .. } => {
            "the API key may not do that: it needs a role that may edit the project"
        }
        RestError::Refused { status: 404, .. } if args.event_query.is_some() => {
            "name the id of one that is there, or leave `--event-query` out to have one created"
        }
        RestError::Refused { status: 404, .. } => {
            "see that `organization` and `project` are as in the addresses of Lightstep, and that `api` is right"
        }
        RestError::Refused { status: 429, .. } => "it was asked too often: run this again in a few minutes",
        RestError::Refused { status: 300..400, .. } => "name the address that it redirects to in `api`",
        RestError::Refused { .. } => "run this again later; what it says is all there is to know",
    }
}
