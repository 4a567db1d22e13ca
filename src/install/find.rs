//! Finds the Gitea to work on: the `app.ini` that the administrator named, else one in a usual
//! location, else that of a running process.
//!
//! Any user can start a process called `gitea` with an `app.ini` of their choice. Processes are
//! therefore the last resort, and are trusted only if the user named in `app.ini` runs them, and no
//! other user can change the program or that file.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{gitea::Gitea, process::Process};
use crate::text;

/// Locations used by packages, container images and the documentation.
const USUAL: [&str; 7] = [
    "/etc/gitea/app.ini",
    "/etc/forgejo/app.ini",
    "/data/gitea/conf/app.ini",
    "/var/lib/gitea/custom/conf/app.ini",
    "/var/lib/forgejo/custom/conf/app.ini",
    "/home/git/gitea/custom/conf/app.ini",
    "/usr/local/etc/gitea/conf/app.ini",
];

/// An `app.ini`, and the trusted process that runs with it, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundConfig {
    config: PathBuf,
    process: Option<Process>,
}

impl FoundConfig {
    /// Returns the path of `app.ini`.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the process.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }
}

/// A failure to determine the Gitea.
#[derive(Debug, PartialEq, Eq)]
pub enum FindError {
    /// There is none.
    None {
        /// ID of a process that runs in another mount namespace.
        elsewhere: Option<u32>,
        /// ID of a process that is not trusted, and the reason.
        doubtful: Option<(u32, String)>,
    },
    /// There are several.
    Several(Vec<PathBuf>),
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { elsewhere: Some(pid), .. } => write!(
                f,
                "the Gitea that runs here as process {pid} is in a container, which has its own files; run \
                 this command in the container, for instance with `docker exec`"
            ),
            Self::None { doubtful: Some((pid, why)), .. } => write!(
                f,
                "found no Gitea in the usual places, and process {pid}, which has its name, is not \
                 trusted: {why}; if it is your Gitea, fix this or name its app.ini with --gitea-config"
            ),
            Self::None { .. } => write!(
                f,
                "found no Gitea: none of {} exists, and no process is called gitea or forgejo; name its \
                 app.ini with --gitea-config, or a directory of OWNER/NAME.git repositories with --root",
                USUAL.join(", ")
            ),
            Self::Several(configs) => {
                let configs: Vec<_> =
                    configs.iter().map(|config| format!("`{}`", text::path(config))).collect();
                write!(f, "found more than one Gitea: {}; choose one with --gitea-config", configs.join(", "))
            }
        }
    }
}

impl std::error::Error for FindError {}

/// Finds a Gitea. `named` is the path that the administrator gave.
///
/// # Errors
/// If none is found, or several.
pub fn find(named: Option<&Path>) -> Result<FoundConfig, FindError> {
    let (elsewhere, here): (Vec<_>, Vec<_>) = Process::all().into_iter().partition(Process::is_elsewhere);
    let running = |config: &Path| {
        let is_of = |process: &&Process| is_same(process.config(), config) && doubt(process).is_none();
        here.iter().find(is_of).cloned()
    };
    let found = |config: PathBuf| FoundConfig { process: running(&config), config };
    if let Some(named) = named {
        return Ok(found(named.into()));
    }
    let usual = USUAL.into_iter().map(PathBuf::from).filter(|path| is_there(path));
    let mut several = different(usual.map(found).collect());
    // Prefer files that a running Gitea uses; the others may be leftovers.
    if several.len() > 1 && several.iter().any(|found| found.process.is_some()) {
        several.retain(|found| found.process.is_some());
    }
    let mut doubtful = None;
    if several.is_empty() {
        let mut believed = Vec::new();
        for process in &here {
            match doubt(process) {
                None => {
                    believed.push(FoundConfig {
                        config: process.config().into(),
                        process: Some(process.clone()),
                    });
                }
                Some(why) => doubtful = Some((process.pid(), why)),
            }
        }
        several = different(believed);
    }
    match (several.pop(), several.is_empty()) {
        (Some(found), true) => Ok(found),
        (None, _) => Err(FindError::None { elsewhere: elsewhere.first().map(Process::pid), doubtful }),
        (Some(last), false) => {
            Err(FindError::Several(several.into_iter().chain([last]).map(|found| found.config).collect()))
        }
    }
}

/// Returns the reason not to trust a process, or `None` to trust it.
fn doubt(process: &Process) -> Option<String> {
    let believe = || {
        let gitea =
            Gitea::read(process.config(), Some(process.work_path())).map_err(|err| err.to_string())?;
        let user = gitea.user().map_err(|err| err.to_string())?;
        gitea.check(&user).map_err(|err| err.to_string())?;
        process.is_run_by(&user).map_err(|err| err.to_string())
    };
    believe().err()
}

/// Removes duplicates of the same `app.ini`.
fn different(all: Vec<FoundConfig>) -> Vec<FoundConfig> {
    let mut different: Vec<FoundConfig> = Vec::new();
    for one in all {
        if !different.iter().any(|other| is_same(&other.config, &one.config)) {
            different.push(one);
        }
    }
    different
}

/// Returns true if the file exists, or if permissions prevent checking.
fn is_there(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(metadata) => metadata.is_file(),
        Err(err) => err.kind() == io::ErrorKind::PermissionDenied,
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
