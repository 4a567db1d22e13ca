//! Finding the Gitea that is meant: the one that was named, else the one that runs, else one in the usual places.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::process::Process;
use crate::text;

/// Where packages, containers and the documentation have app.ini.
const USUAL: [&str; 7] = [
    "/etc/gitea/app.ini",
    "/etc/forgejo/app.ini",
    "/data/gitea/conf/app.ini",
    "/var/lib/gitea/custom/conf/app.ini",
    "/var/lib/forgejo/custom/conf/app.ini",
    "/home/git/gitea/custom/conf/app.ini",
    "/usr/local/etc/gitea/conf/app.ini",
];

/// An app.ini, and the process that runs with it, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    config: PathBuf,
    process: Option<Process>,
}

impl Found {
    /// Returns the app.ini.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the process.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }
}

/// Why it is not known which Gitea is meant.
#[derive(Debug, PartialEq, Eq)]
pub enum FindError {
    /// None is here; perhaps one runs that sees other files.
    None {
        /// Its id.
        elsewhere: Option<u32>,
    },
    /// Several are here.
    Several(Vec<PathBuf>),
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { elsewhere: Some(pid) } => write!(
                f,
                "the Gitea that runs here as process {pid} is in a container, with files of its own; run this in there, \
                 for instance with `docker exec`"
            ),
            Self::None { elsewhere: None } => write!(
                f,
                "found no Gitea: no process is called gitea or forgejo, and none of {} is there; name its app.ini with \
                 --gitea-config, or a directory of OWNER/NAME.git with --root",
                USUAL.join(", ")
            ),
            Self::Several(configs) => {
                let configs: Vec<_> =
                    configs.iter().map(|config| format!("`{}`", text::path(config))).collect();
                write!(f, "found more than one Gitea: {}; say which with --gitea-config", configs.join(", "))
            }
        }
    }
}

impl std::error::Error for FindError {}

/// Finds a Gitea. `named` is what the administrator said.
///
/// # Errors
/// If none or several are found.
pub fn find(named: Option<&Path>) -> Result<Found, FindError> {
    let processes = Process::all();
    if let Some(named) = named {
        let is_of = |process: &Process| !process.is_elsewhere() && is_same(process.config(), named);
        return Ok(Found { config: named.into(), process: processes.into_iter().find(is_of) });
    }
    let elsewhere = processes.iter().find(|process| process.is_elsewhere()).map(Process::pid);
    let running =
        processes.into_iter().filter(|process| !process.is_elsewhere() && is_there(process.config()));
    let mut found: Vec<Found> =
        running.map(|process| Found { config: process.config().into(), process: Some(process) }).collect();
    if found.is_empty() {
        let usual = USUAL.into_iter().map(PathBuf::from).filter(|path| is_there(path));
        found = usual.map(|config| Found { config, process: None }).collect();
    }
    let mut several: Vec<Found> = Vec::new();
    for one in found {
        if !several.iter().any(|other| is_same(&other.config, &one.config)) {
            several.push(one);
        }
    }
    match (several.pop(), several.is_empty()) {
        (Some(found), true) => Ok(found),
        (None, _) => Err(FindError::None { elsewhere }),
        (Some(last), false) => {
            Err(FindError::Several(several.into_iter().chain([last]).map(|found| found.config).collect()))
        }
    }
}

/// Returns whether there is a file; one in a directory that we may not look into may be there.
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
