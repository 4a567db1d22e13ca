//! The last deployments of each service to each environment, and the key for hashes of mail
//! addresses.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    files::{self, StateError},
    lock, seal,
    span_store::SpanStore,
};
use crate::{
    decide::{AddressKey, Deployed, DeploymentHistory, DeploymentTarget, SpanOwner},
    marker::SpanId,
    push::{ObjectId, PushId},
    sys::time::Timestamp,
    text::Hex,
};

/// Number of deployments kept for one place. A push that is decided late needs the deployment
/// before it, not the latest one.
const KEPT: usize = 16;

/// Number of deployments from a repository's history that are kept for one place, the ones that were
/// recorded last. `backfill` decides at most [`MAX_PAST`] updates before it records them, and after a
/// crash it decides these again, each with the same deployment before it.
const KEPT_PAST: usize = MAX_PAST + KEPT;

/// Maximum number of updates from a repository's history in one capture.
pub const MAX_PAST: usize = 64;

/// Maximum number of places. Anyone with push access can name environments. Beyond this number, the
/// repositories with the most places lose those that were deployed to longest ago.
const MAX_PLACES: usize = 20_000;

/// Maximum number of bytes read from the file of a place.
const MAX_FILE: u64 = 512 << 10;

/// Number of digits at the start of a file's name that identify the repository.
const OF_REPOSITORY: usize = 8;

const LOCK: &str = "lock";
pub(super) const KEY: &str = "address.key";

/// The deployments that this state directory remembers.
pub struct DeploymentStore {
    dir: PathBuf,
    state_dir: PathBuf,
    spans: SpanStore,
    key: OnceCell<Option<AddressKey>>,
    makes_key: bool,
}

/// The content of a place's file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct DeploymentFile {
    repository: String,
    service: String,
    environment: String,
    deployments: Vec<DeploymentEntry>,
    /// Deployments that `backfill` found, in the order in which they were recorded. The newest ones
    /// are among `deployments` as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<DeploymentEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct DeploymentEntry {
    push: PushId,
    time: Timestamp,
    commit: ObjectId,
    version: String,
}

impl DeploymentStore {
    pub(super) fn at(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("deployed"),
            state_dir: state_dir.into(),
            spans: SpanStore::at(state_dir),
            key: OnceCell::new(),
            makes_key: true,
        }
    }

    /// Makes this instance write nothing, not even a missing key.
    #[must_use]
    pub fn only_to_look(self) -> Self {
        Self { makes_key: false, ..self }
    }

    /// Records deployments. One that is recorded already is replaced. `are_past` says that `backfill`
    /// found them: they may be older than all that is kept, and the next one still needs them.
    ///
    /// # Errors
    /// If they cannot be written. The decider then looks for the deployment in the repository's
    /// history.
    pub fn remember(
        &self,
        deployments: &[(DeploymentTarget, Deployed)],
        are_past: bool,
    ) -> Result<(), StateError> {
        if deployments.is_empty() {
            return Ok(());
        }
        files::make_dir(&self.dir)?;
        let mut places: BTreeMap<String, (&DeploymentTarget, Vec<&Deployed>)> = BTreeMap::new();
        for (place, deployed) in deployments {
            let (_, there) = places.entry(file_name(place)).or_insert((place, Vec::new()));
            there.push(deployed);
        }
        for (name, (place, there)) in places {
            // With 16 locks, processes that deploy to other places seldom wait for each other's
            // writes.
            let path = self.dir.join(format!("{LOCK}.{}", &name[..1]));
            let lock = files::open_to_append(&path)?;
            lock::lock_soon(&lock, &path)?;
            let known = self.read(place)?;
            if known.is_none() {
                self.make_room()?;
            }
            let mut known = known.unwrap_or_else(|| DeploymentFile {
                repository: place.repository().into(),
                service: place.service().into(),
                environment: place.environment().into(),
                deployments: Vec::new(),
                past: Vec::new(),
            });
            for deployed in there {
                let Deployed { push, time, commit, version } = deployed.clone();
                let entry = DeploymentEntry { push, time, commit, version };
                if are_past {
                    replace(&mut known.past, entry.clone());
                }
                // If a push deploys several commits to one place, the last one is running there.
                replace(&mut known.deployments, entry);
            }
            known.deployments.sort_by_key(|entry| entry.push);
            keep_last(&mut known.deployments, KEPT);
            keep_last(&mut known.past, KEPT_PAST);
            let json = seal::line(&known).map_err(|err| StateError::new("write", &self.dir, err.into()))?;
            files::write_durable(&self.dir, &name, &[&json], None)?;
        }
        Ok(())
    }

    /// Records the markers that have a span computed from a commit.
    ///
    /// # Errors
    /// If they cannot be written. If the commit is pushed again, two spans may then have one id.
    pub fn remember_spans(&self, spans: &[(SpanId, SpanOwner)]) -> Result<(), StateError> {
        self.spans.remember(spans)
    }

    fn read(&self, place: &DeploymentTarget) -> Result<Option<DeploymentFile>, StateError> {
        let path = self.dir.join(file_name(place));
        let file = match files::open(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let known = match seal::read::<DeploymentFile>(file.take(MAX_FILE)) {
            // A damaged file counts as missing; the repository's history may have the deployment.
            Err(err) if err.kind() == io::ErrorKind::InvalidData || err.raw_os_error().is_none() => None,
            known => Some(known.map_err(|err| StateError::new("read", &path, err))?),
        };
        Ok(known.filter(|known| {
            known.repository == place.repository()
                && known.service == place.service()
                && known.environment == place.environment()
        }))
    }

    /// Removes a tenth of the places if there are too many, from the repositories that have the
    /// most.
    fn make_room(&self) -> Result<(), StateError> {
        let failed = |err| StateError::new("list", &self.dir, err);
        let names = fs::read_dir(&self.dir).map_err(failed)?.flatten();
        let files: Vec<_> = names
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
            .collect();
        if files.len() < MAX_PLACES {
            return Ok(());
        }
        let dated = files.iter().filter_map(|entry| {
            Some((entry.metadata().ok()?.modified().ok()?, entry.file_name().into_string().ok()?))
        });
        let surplus = surplus(dated.collect(), MAX_PLACES / 10);
        surplus.iter().try_for_each(|name| files::remove(&self.dir.join(name)))
    }

    /// Reads the key. Creates it if it is missing and this instance may write.
    fn read_key(&self) -> Result<AddressKey, StateError> {
        let path = self.state_dir.join(KEY);
        let failed = |err| StateError::new("read", &path, err);
        for _ in 0..2 {
            match files::open(&path) {
                Ok(mut file) => {
                    let mut key = [0; 32];
                    file.read_exact(&mut key).map_err(failed)?;
                    return Ok(AddressKey::new(&key));
                }
                Err(err) if err.kind() == io::ErrorKind::NotFound && self.makes_key => {
                    let mut fresh = [0; 32];
                    let n =
                        getrandom(&mut fresh, GetRandomFlags::empty()).map_err(|err| failed(err.into()))?;
                    if n != fresh.len() {
                        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
                    }
                    // If two processes create a key, the first one counts for both.
                    match files::write_once(&self.state_dir, KEY, &[&fresh]) {
                        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(err),
                        _ => {}
                    }
                }
                Err(err) => return Err(err),
            }
        }
        Err(failed(io::ErrorKind::NotFound.into()))
    }
}

impl DeploymentHistory for DeploymentStore {
    fn last_deployment(&self, place: &DeploymentTarget, before: PushId) -> Option<Deployed> {
        let known = self.read(place).ok()??;
        let entries = known.deployments.into_iter().chain(known.past);
        let entry = entries.filter(|entry| entry.push < before).max_by_key(|entry| entry.push)?;
        let DeploymentEntry { push, time, commit, version } = entry;
        Some(Deployed { push, time, commit, version })
    }

    fn span_owner(&self, span: SpanId) -> Option<SpanOwner> {
        self.spans.owner(span)
    }

    fn address_key(&self) -> Option<&AddressKey> {
        self.key.get_or_init(|| self.read_key().ok()).as_ref()
    }
}

/// Puts an entry at the end, in place of one of the same push.
fn replace(entries: &mut Vec<DeploymentEntry>, new: DeploymentEntry) {
    entries.retain(|entry| entry.push != new.push);
    entries.push(new);
}

fn keep_last(entries: &mut Vec<DeploymentEntry>, count: usize) {
    let surplus = entries.len().saturating_sub(count);
    entries.drain(..surplus);
}

/// Returns the names of the `count` files to be removed: the oldest ones of the repositories that
/// have the most.
fn surplus(mut dated: Vec<(SystemTime, String)>, count: usize) -> Vec<String> {
    dated.sort_by(|a, b| b.cmp(a));
    let mut newer: HashMap<String, usize> = HashMap::new();
    let mut ranked: Vec<(usize, SystemTime, String)> = Vec::with_capacity(dated.len());
    for (time, name) in dated {
        let rank = newer.entry(name.chars().take(OF_REPOSITORY).collect()).or_default();
        ranked.push((*rank, time, name));
        *rank += 1;
    }
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    ranked.into_iter().take(count).map(|(_, _, name)| name).collect()
}

/// Returns the name of a place's file. Pushers choose the names of services and environments, so
/// the file name is a hash of them. Its first digits identify the repository.
fn file_name(place: &DeploymentTarget) -> String {
    let of_repository = Hex(&Sha256::digest(place.repository())[..OF_REPOSITORY / 2]).to_string();
    let mut hash = Sha256::new();
    for part in [place.repository(), place.service(), place.environment()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("{of_repository}{}.json", Hex(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests;
