//! What `connect` made in Lightstep, so that it makes it once however often it is run.

use std::{fs::File, io::Read as _};

use serde::{Deserialize, Serialize};

use super::{State, StateError, files};
use crate::fault::{self, Step};

/// The file with what was made, and the one that is locked meanwhile.
pub(super) const FILE: &str = "connect.json";
pub(super) const LOCK: &str = "connect.lock";

/// How large the file may be, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// One event query, or the one that may have been made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The address of the API.
    pub api: String,
    /// The organization.
    pub organization: String,
    /// The project.
    pub project: String,
    /// The id of the event query; `None` from before it is asked for until its id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_query: Option<String>,
    /// The query that a person chose in place of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// What was made, held for the one process that makes it.
#[derive(Debug)]
pub struct Connections {
    state: State,
    all: Vec<Connection>,
    _lock: File,
}

impl Connections {
    /// Reads what was made, and keeps every other process from making it too until this is dropped. Waits for one that is at it.
    ///
    /// # Errors
    /// If the state directory cannot be written, or its file not be understood: then it is unknown what was made.
    pub fn open(state: &State) -> Result<Self, StateError> {
        let path = state.dir().join(LOCK);
        files::make_dir(state.dir())?;
        let lock = files::open_to_append(&path)?;
        fault::point(Step::Lock, &path)
            .and_then(|()| lock.lock())
            .map_err(|err| StateError::new("lock", &path, err))?;
        let path = state.dir().join(FILE);
        let mut text = String::new();
        let all = match files::open(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(err) => return Err(err),
            Ok(file) => file
                .take(MAX_FILE)
                .read_to_string(&mut text)
                .and_then(|_| Ok(serde_json::from_str(&text)?))
                .map_err(|err| StateError::new("read", &path, err))?,
        };
        Ok(Self { state: state.clone(), all, _lock: lock })
    }

    /// Returns what was made for a project.
    pub fn of(&self, api: &str, organization: &str, project: &str) -> Option<&Connection> {
        self.all.iter().find(|known| known.is_of(api, organization, project))
    }

    /// Writes down what was made for a project, or is about to be.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&mut self, connection: Connection) -> Result<(), StateError> {
        self.all.retain(|known| !known.is_of(&connection.api, &connection.organization, &connection.project));
        self.all.push(connection);
        self.write()
    }

    /// Forgets what was to be made for a project, because it certainly was not.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget(&mut self, api: &str, organization: &str, project: &str) -> Result<(), StateError> {
        self.all.retain(|known| !known.is_of(api, organization, project));
        self.write()
    }

    fn write(&self) -> Result<(), StateError> {
        let unwritable = |err: serde_json::Error| StateError::in_dir(self.state.dir(), err);
        let mut json = serde_json::to_vec_pretty(&self.all).map_err(unwritable)?;
        json.push(b'\n');
        files::write_durable(self.state.dir(), FILE, &[&json], None)
    }
}

impl Connection {
    fn is_of(&self, api: &str, organization: &str, project: &str) -> bool {
        (self.api.as_str(), self.organization.as_str(), self.project.as_str()) == (api, organization, project)
    }
}
