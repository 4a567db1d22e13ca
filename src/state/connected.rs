//! A record of what `connect` created in Lightstep, so that a second run does not create it again.

use std::{fs::File, io::Read as _};

use serde::{Deserialize, Serialize};

use super::{State, StateError, files, seal};
use crate::sys::fault::{self, Step};

/// The record, and the file that is locked while a process changes it.
pub(super) const FILE: &str = "connect.json";
pub(super) const LOCK: &str = "connect.lock";

/// Maximum number of bytes read from the record.
const MAX_FILE: u64 = 1 << 20;

/// An event query that `connect` created or may have created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedQuery {
    /// URL of the API.
    pub api: String,
    /// The organization.
    pub organization: String,
    /// The project.
    pub project: String,
    /// ID of the event query. It is `None` from before the request that creates it until its ID is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_query: Option<String>,
    /// A query that the administrator chose instead of the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// The content of the file, with a checksum or from before there were checksums.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Sealed { connections: Vec<ConnectedQuery> },
    Unsealed(Vec<ConnectedQuery>),
}

/// The record, locked by this process.
#[derive(Debug)]
pub struct ConnectedQueries {
    state: State,
    all: Vec<ConnectedQuery>,
    _lock: File,
}

impl ConnectedQueries {
    /// Reads the record and locks it until this value is dropped. Waits while another process has
    /// it locked.
    ///
    /// # Errors
    /// If the state directory cannot be written or the record cannot be parsed. In that case, it is
    /// unknown what was created.
    pub fn open(state: &State) -> Result<Self, StateError> {
        let path = state.dir().join(LOCK);
        files::make_dir(state.dir())?;
        let lock = files::open_to_append(&path)?;
        fault::point(Step::Lock, &path)
            .and_then(|()| lock.lock())
            .map_err(|err| StateError::new("lock", &path, err))?;
        let path = state.dir().join(FILE);
        let all = match files::open(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(err) => return Err(err),
            Ok(file) => match seal::read(file.take(MAX_FILE)) {
                Ok(Kept::Sealed { connections } | Kept::Unsealed(connections)) => connections,
                Err(err) => return Err(StateError::new("read", &path, err)),
            },
        };
        Ok(Self { state: state.clone(), all, _lock: lock })
    }

    /// Returns what was created for a project.
    pub fn of(&self, api: &str, organization: &str, project: &str) -> Option<&ConnectedQuery> {
        self.all.iter().find(|known| known.is_of(api, organization, project))
    }

    /// Records what was created for a project, or is about to be.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&mut self, connection: ConnectedQuery) -> Result<(), StateError> {
        self.all.retain(|known| !known.is_of(&connection.api, &connection.organization, &connection.project));
        self.all.push(connection);
        self.write()
    }

    /// Removes the record of a project, because nothing was created for it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget(&mut self, api: &str, organization: &str, project: &str) -> Result<(), StateError> {
        self.all.retain(|known| !known.is_of(api, organization, project));
        self.write()
    }

    fn write(&self) -> Result<(), StateError> {
        let unwritable = |err: serde_json::Error| StateError::in_dir(self.state.dir(), err);
        let json = seal::line(&serde_json::json!({ "connections": self.all })).map_err(unwritable)?;
        files::write_durable(self.state.dir(), FILE, &[&json], None)
    }
}

impl ConnectedQuery {
    fn is_of(&self, api: &str, organization: &str, project: &str) -> bool {
        (self.api.as_str(), self.organization.as_str(), self.project.as_str()) == (api, organization, project)
    }
}
