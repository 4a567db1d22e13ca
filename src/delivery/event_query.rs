//! Lightstep's event queries: saved queries over logs, whose hits a dashboard draws as event
//! markers (reference/lightstep.md, section 1c).

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Method;

use super::rest::{Rest, RestError};
use crate::{config::LightstepApi, text};

/// Maximum length of an id, in bytes. The id becomes a part of a URL.
const MAX_ID: usize = 128;

/// An event query, without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Name of the query.
    pub name: String,
    /// UQL over logs.
    pub query: String,
    /// Source of the events.
    pub source: String,
    /// Type of the events.
    pub kind: String,
    /// Description for people who find the query.
    pub description: String,
    /// Fields that the tooltip shows.
    pub tooltip_fields: Vec<String>,
}

/// Client for the event queries of a project.
pub struct EventQueries {
    rest: Rest,
    path: String,
}

impl EventQueries {
    /// Reads the API key. This does not connect yet. `timeout` applies to each request.
    ///
    /// # Errors
    /// Returns an error if the key cannot be read, or if the proxy or the `ca_file` cannot be used.
    pub fn of(api: &LightstepApi, timeout: Duration) -> Result<Self, RestError> {
        let path = format!("projects/{}/event_queries", text::segment(&api.project));
        Ok(Self { rest: Rest::new(api, timeout)?, path })
    }

    /// Checks that the API key is valid for the organization.
    ///
    /// # Errors
    /// Returns an error if it is not, or if the API does not answer.
    pub fn check_key(&self) -> Result<(), RestError> {
        match self.rest.call(&Method::GET, "test", None) {
            // The content of a successful response is not documented.
            Ok(_) | Err(RestError::Garbled(_)) => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// Reads the event query with this id, `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if the API refuses the request or does not answer.
    pub fn read(&self, id: &str) -> Result<Option<EventQuery>, RestError> {
        match self.rest.call(&Method::GET, &self.path_of(id), None) {
            Ok(answer) => {
                let attributes = answer.pointer("/data/attributes").filter(|value| value.is_object());
                let attributes =
                    attributes.ok_or_else(|| RestError::Garbled("no event query in the response".into()))?;
                Ok(Some(EventQuery::from_json(attributes)))
            }
            Err(RestError::Refused { status: 404, .. }) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Creates an event query, and returns its id.
    ///
    /// # Errors
    /// Returns an error if the API refuses the request or does not answer. The query may exist
    /// nevertheless if [`RestError::may_have_acted`] is true.
    pub fn create(&self, query: &EventQuery) -> Result<String, RestError> {
        let answer = self.rest.call(&Method::POST, &self.path, Some(&query.body("")))?;
        let id = ["/data/id", "/data/attributes/id"].iter().find_map(|path| answer.pointer(path)?.as_str());
        id.filter(|id| is_id(id))
            .map(ToString::to_string)
            .ok_or_else(|| RestError::Garbled("no id of the new event query in the response".into()))
    }

    /// Replaces the event query with this id by `query`.
    ///
    /// # Errors
    /// Returns an error if the API refuses the request or does not answer.
    pub fn update(&self, id: &str, query: &EventQuery) -> Result<(), RestError> {
        match self.rest.call(&Method::PUT, &self.path_of(id), Some(&query.body(id))) {
            // The status says that it was accepted, so ignore the body.
            Ok(_) | Err(RestError::Garbled(_)) => Ok(()),
            Err(err) => Err(err),
        }
    }

    fn path_of(&self, id: &str) -> String {
        format!("{}/{}", self.path, text::segment(id))
    }
}

/// Returns true if a text can be the id of an event query.
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
