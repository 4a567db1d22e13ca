//! A destination whose script says what is sent: a marker at a time, each in the requests that the script makes of it.

use std::time::Duration;

use super::{http::Client, retry::Outcome};
use crate::{
    config::{Http, Limits},
    marker::{Marker, name},
    policy::{Accepted, Rendered, Renderer, Request, Subject, Value},
};

/// Why a script passes a marker over, if it does not say.
const NOT_FOR_IT: &str = "its script makes no request of it";

/// A destination with its script.
pub(super) struct Scripted<'a> {
    http: &'a Http,
    renderer: Renderer,
}

/// What became of a marker.
pub(super) enum Fate {
    /// It is there.
    Arrived,
    /// It is not for this destination, and why.
    PassedOver(String),
    /// It was refused for good, or nothing can be made of it, and why.
    Refused(String),
    /// It may work later.
    Later {
        /// How long the destination asked to be left alone.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
}

impl<'a> Scripted<'a> {
    /// Compiles the script.
    ///
    /// # Errors
    /// With what is wrong with it, and where.
    pub fn load(http: &'a Http, limits: &Limits) -> Result<Self, String> {
        let renderer = Renderer::load(http, limits).map_err(|err| err.to_string())?;
        Ok(Self { http, renderer })
    }

    /// Sends a marker.
    pub fn send(&self, client: &Client<'_>, marker: &Marker) -> Fate {
        let requests = match self.renderer.render(&subject(marker)) {
            Ok(Rendered::Requests(requests)) => requests,
            Ok(Rendered::Nothing { why }) if why.is_empty() => return Fate::PassedOver(NOT_FOR_IT.into()),
            Ok(Rendered::Nothing { why }) => return Fate::PassedOver(why),
            Err(err) => return Fate::Refused(err.to_string()),
        };
        for (nth, request) in requests.iter().enumerate() {
            // Of several, it matters which.
            let which = if requests.len() == 1 {
                String::new()
            } else {
                format!("request {} of {}: ", nth + 1, requests.len())
            };
            match self.make(client, request) {
                Outcome::Accepted { .. } => {}
                Outcome::Retry { after, why } => return Fate::Later { after, why: format!("{which}{why}") },
                Outcome::Refused { why, .. } => return Fate::Refused(format!("{which}{why}")),
            }
        }
        Fate::Arrived
    }

    /// Makes the request with which it can be seen whether the destination knows us, if the script has one.
    pub fn probe(&self, client: &Client<'_>) -> Option<Outcome> {
        match self.renderer.probe() {
            Ok(request) => Some(self.make(client, &request?)),
            Err(err) => Some(Outcome::Refused { status: 0, why: err.to_string() }),
        }
    }

    fn make(&self, client: &Client<'_>, request: &Request) -> Outcome {
        let (status, body) = match client.make(&self.http.endpoint, request) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match self.renderer.accepts(status, &body) {
            Ok(Accepted::Yes) => Outcome::Accepted { rejected: String::new() },
            Ok(Accepted::No(why)) => {
                Outcome::Refused { status, why: format!("HTTP {status}, but: {}", client.shown(why)) }
            }
            Ok(Accepted::Later(why)) => {
                Outcome::Retry { after: None, why: format!("HTTP {status}, but: {}", client.shown(why)) }
            }
            Err(err) => Outcome::Refused { status, why: client.shown(err.to_string()) },
        }
    }
}

/// Returns a marker as scripts get it.
fn subject(marker: &Marker) -> Subject {
    let text = |name: &str| match marker.attributes.get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let commit_id = text(name::HEAD_REVISION);
    let page = |url: String| Some(format!("{}/commit/{}", url.trim_end_matches('/'), commit_id.as_ref()?));
    Subject {
        kind: marker.kind,
        service: marker.service.clone(),
        version: marker.version.clone(),
        environment: marker.environment.clone(),
        title: marker.title.clone(),
        time: marker.time,
        id: marker.id.to_string(),
        trace_id: marker.trace_id.to_string(),
        span_id: marker.span_id().to_string(),
        repository: (text(name::OWNER), text(name::REPOSITORY)),
        ref_name: text(name::HEAD_NAME),
        pusher: text(name::USER_NAME),
        url: text(name::REPOSITORY_URL).and_then(page),
        commit_id,
        attributes: marker.attributes.clone(),
    }
}
