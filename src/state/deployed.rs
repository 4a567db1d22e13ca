//! What runs where: the last deployments of each service to each environment; and the key of the hashes that stand for mail
//! addresses.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::files::{self, StateError};
use crate::{
    decide::{Deployed, Memory, Place},
    fault::{self, Step},
    marker::AddressKey,
    push::{ObjectId, PushId},
    text::Hex,
    time::Timestamp,
};

/// How many deployments of one place are kept: pushes that wait for the background may be decided after later ones.
const KEPT: usize = 16;

/// How many places are kept. Whoever may push may name environments; beyond this number those go that were deployed to the
/// longest time ago.
const MAX_PLACES: usize = 20_000;

/// How large the file of a place may be, in bytes.
const MAX_FILE: u64 = 64 << 10;

const LOCK: &str = "lock";
pub(super) const KEY: &str = "address.key";

/// The memory of this machine.
pub struct Remembered {
    dir: PathBuf,
    state_dir: PathBuf,
    key: OnceCell<Option<AddressKey>>,
    makes_key: bool,
}

/// The file of a place.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    repository: String,
    service: String,
    environment: String,
    deployments: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    push: PushId,
    time: Timestamp,
    commit: ObjectId,
    version: String,
}

impl Remembered {
    pub(super) fn at(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("deployed"),
            state_dir: state_dir.into(),
            key: OnceCell::new(),
            makes_key: true,
        }
    }

    /// Has it write nothing, not even a key that is not there yet.
    #[must_use]
    pub fn only_to_look(self) -> Self {
        Self { makes_key: false, ..self }
    }

    /// Remembers deployments; one that is known already is not noted twice.
    ///
    /// # Errors
    /// If they cannot be written. What is not remembered is found in history, as far as that tells it.
    pub fn remember(&self, deployments: &[(Place, Deployed)]) -> Result<(), StateError> {
        if deployments.is_empty() {
            return Ok(());
        }
        files::make_dir(&self.dir)?;
        // Of a push that deploys many commits to one place, the last is what runs there.
        let last: BTreeMap<String, &(Place, Deployed)> =
            deployments.iter().map(|note| (file_name(&note.0), note)).collect();
        for (name, (place, deployed)) in last {
            // A few locks, so that those who deploy elsewhere seldom wait for each other's disk writes.
            let path = self.dir.join(format!("{LOCK}.{}", &name[..1]));
            let lock = files::open_to_append(&path)?;
            fault::point(Step::Lock, &path)
                .and_then(|()| lock.lock())
                .map_err(|err| StateError::new("lock", &path, err))?;
            let known = self.read(place)?;
            if known.is_none() {
                self.make_room()?;
            }
            let mut known = known.unwrap_or_else(|| Known {
                repository: place.repository().into(),
                service: place.service().into(),
                environment: place.environment().into(),
                deployments: Vec::new(),
            });
            known.deployments.retain(|entry| entry.push != deployed.push);
            known.deployments.push(Entry {
                push: deployed.push,
                time: deployed.time,
                commit: deployed.commit,
                version: deployed.version.clone(),
            });
            known.deployments.sort_by_key(|entry| entry.push);
            let surplus = known.deployments.len().saturating_sub(KEPT);
            known.deployments.drain(..surplus);
            let json =
                serde_json::to_vec(&known).map_err(|err| StateError::new("write", &self.dir, err.into()))?;
            files::write_durable(&self.dir, &name, &[&json, b"\n"], None)?;
        }
        Ok(())
    }

    fn read(&self, place: &Place) -> Result<Option<Known>, StateError> {
        let path = self.dir.join(file_name(place));
        let file = match files::open(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut json = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut json).map_err(|err| StateError::new("read", &path, err))?;
        // What is no such file any more is nothing that could be asked.
        let known: Option<Known> = serde_json::from_slice(&json).ok();
        Ok(known.filter(|known| {
            known.repository == place.repository()
                && known.service == place.service()
                && known.environment == place.environment()
        }))
    }

    /// Removes the tenth that was deployed to the longest time ago, once there are too many.
    fn make_room(&self) -> Result<(), StateError> {
        let failed = |err| StateError::new("list", &self.dir, err);
        let names = fs::read_dir(&self.dir).map_err(failed)?.flatten();
        let files: Vec<_> = names
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
            .collect();
        if files.len() < MAX_PLACES {
            return Ok(());
        }
        let mut dated: Vec<(SystemTime, PathBuf)> = files
            .iter()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        dated.sort();
        dated.iter().take(MAX_PLACES / 10).try_for_each(|(_, path)| files::remove(path))
    }

    /// Reads the key, or makes one.
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
                    // Of two processes that make one, the first one's counts for both.
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

impl Memory for Remembered {
    fn last_deployment(&self, place: &Place, before: PushId) -> Option<Deployed> {
        let known = self.read(place).ok()??;
        let entry =
            known.deployments.into_iter().filter(|entry| entry.push < before).max_by_key(|e| e.push)?;
        let Entry { push, time, commit, version } = entry;
        Some(Deployed { push, time, commit, version })
    }

    fn address_key(&self) -> Option<&AddressKey> {
        self.key.get_or_init(|| self.read_key().ok()).as_ref()
    }
}

/// Returns the name of a place's file. Names of services and environments are strangers' texts; a hash of them is a name.
fn file_name(place: &Place) -> String {
    let mut hash = Sha256::new();
    for part in [place.repository(), place.service(), place.environment()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("{}.json", Hex(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Repository;

    fn deployed(push: PushId, version: &str) -> Deployed {
        let commit = "9d59409acf479dfa0df1aa568182e43e43df8bbe".parse().expect("an id");
        Deployed { push, time: Timestamp::UNIX_EPOCH, commit, version: version.into() }
    }

    #[test]
    fn a_push_is_told_what_was_deployed_before_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = Remembered::at(dir.path());
        let repository = Repository::of_full_name("Acme/Shop");
        let place = Place::new(&repository, "pay", "production");
        let pushes: Vec<PushId> = (0..40).map(|_| PushId::now()).collect();
        // Decided in another order than captured, and one of them twice.
        for at in [1, 0, 2, 2] {
            let note = (place.clone(), deployed(pushes[at], &at.to_string()));
            memory.remember(&[note]).expect("remembered");
        }
        let version = |push| memory.last_deployment(&place, push).map(|deployed| deployed.version);
        assert_eq!(version(pushes[0]), None);
        assert_eq!(version(pushes[2]).as_deref(), Some("1"));
        assert_eq!(version(pushes[3]).as_deref(), Some("2"));
        let other = Place::new(&repository, "pay", "staging");
        assert!(memory.last_deployment(&other, pushes[3]).is_none());
        let same = Place::new(&Repository::of_full_name("acme/shop"), "pay", "production");
        assert!(memory.last_deployment(&same, pushes[3]).is_some());
        for push in &pushes {
            memory.remember(&[(place.clone(), deployed(*push, "n"))]).expect("remembered");
        }
        assert!(version(pushes[pushes.len() - KEPT]).is_none(), "the oldest are forgotten");
    }

    #[test]
    fn a_key_is_made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let make = || Remembered::at(dir.path()).address_key().map(|key| key.hash("ann@example.org"));
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        let empty = AddressKey::new(&[0; 32]).hash("ann@example.org");
        assert!(keys[0].as_ref().is_some_and(|key| *key != empty));
    }
}
