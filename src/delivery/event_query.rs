//! Event queries of Lightstep: the saved query whose hits are drawn as event markers over dashboards (reference/lightstep.md,
//! section 1c). What is drawn are the log records that it finds.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Method;

use super::rest::{Rest, RestError};
use crate::{config::LightstepApi, text};

/// How long an id may be, in bytes. It becomes a part of an address.
const MAX_ID: usize = 128;

/// An event query, without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// What it is called.
    pub name: String,
    /// UQL over logs.
    pub query: String,
    /// Where the events come from.
    pub source: String,
    /// What they are.
    pub kind: String,
    /// What a person reads who finds it.
    pub description: String,
    /// What is shown where the mouse is.
    pub tooltip_fields: Vec<String>,
}

/// The event queries of a project.
pub struct EventQueries {
    rest: Rest,
    path: String,
}

impl EventQueries {
    /// Reads the API key; nothing is connected to yet. `timeout` is for one request.
    ///
    /// # Errors
    /// If the key cannot be read or the connection not be tried.
    pub fn of(api: &LightstepApi, timeout: Duration) -> Result<Self, RestError> {
        let path = format!("projects/{}/event_queries", text::segment(&api.project));
        Ok(Self { rest: Rest::new(api, timeout)?, path })
    }

    /// Asks whether the API key is good for the organization.
    ///
    /// # Errors
    /// If it is not, or no answer comes.
    pub fn check_key(&self) -> Result<(), RestError> {
        match self.rest.call(&Method::GET, "test", None) {
            // What it says beside its yes is not documented.
            Ok(_) | Err(RestError::Garbled(_)) => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// Reads the event query with this id, `None` if there is none.
    ///
    /// # Errors
    /// If the API says no, or no answer comes.
    pub fn read(&self, id: &str) -> Result<Option<EventQuery>, RestError> {
        match self.rest.call(&Method::GET, &self.path_of(id), None) {
            Ok(answer) => {
                let attributes = answer.pointer("/data/attributes").filter(|value| value.is_object());
                let attributes =
                    attributes.ok_or_else(|| RestError::Garbled("the answer holds no event query".into()))?;
                Ok(Some(EventQuery::from_json(attributes)))
            }
            Err(RestError::Refused { status: 404, .. }) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Makes an event query, and returns its id.
    ///
    /// # Errors
    /// If the API says no, or no answer comes; [`RestError::may_have_acted`] tells whether it may be there all the same.
    pub fn create(&self, query: &EventQuery) -> Result<String, RestError> {
        let answer = self.rest.call(&Method::POST, &self.path, Some(&query.body("")))?;
        let id = ["/data/id", "/data/attributes/id"].iter().find_map(|path| answer.pointer(path)?.as_str());
        id.filter(|id| is_id(id))
            .map(ToString::to_string)
            .ok_or_else(|| RestError::Garbled("the answer names no id of what was created".into()))
    }

    /// Makes the event query with this id what `query` says.
    ///
    /// # Errors
    /// If the API says no, or no answer comes.
    pub fn update(&self, id: &str, query: &EventQuery) -> Result<(), RestError> {
        match self.rest.call(&Method::PUT, &self.path_of(id), Some(&query.body(id))) {
            // That it was taken is all that matters.
            Ok(_) | Err(RestError::Garbled(_)) => Ok(()),
            Err(err) => Err(err),
        }
    }

    fn path_of(&self, id: &str) -> String {
        format!("{}/{}", self.path, text::segment(id))
    }
}

/// Returns whether a text can be the id of an event query.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

impl EventQuery {
    fn body(&self, id: &str) -> Value {
        json!({ "data": { "attributes": {
            "id": id,
            "name": self.name,
            "query_string": self.query,
            "source": self.source,
            "type": self.kind,
            "description": self.description,
            "tooltip_fields": self.tooltip_fields,
        } } })
    }

    fn from_json(attributes: &Value) -> Self {
        let text = |key: &str| attributes.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let fields = attributes.get("tooltip_fields").and_then(Value::as_array);
        let fields = fields.into_iter().flatten().filter_map(Value::as_str);
        Self {
            name: text("name"),
            query: text("query_string"),
            source: text("source"),
            kind: text("type"),
            description: text("description"),
            tooltip_fields: fields.map(ToString::to_string).collect(),
        }
    }
}
