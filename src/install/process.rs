//! Inspects processes that look like a Gitea, to find their configuration and work path.
//!
//! Any user can start a process under any name. Callers must check [`Process::is_run_by`] before
//! they trust a process. Only selected variables of its environment leave this module.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;
use rustix::fs::{self, Mode, OFlags};
use thiserror::Error;

use super::{ownership, user::RunUser};
use crate::text;

/// Maximum number of bytes read from a process's arguments or environment.
const MAX_READ: u64 = 1 << 20;

/// Names of the programs. Downloaded binaries have a suffix: `gitea-1.27.0-linux-amd64`.
const NAMES: [&[u8]; 2] = [b"gitea", b"forgejo"];

/// Prefix of our own programs.
const OURS: &[u8] = b"gitea-lightstep";

/// A process that is called like Gitea or Forgejo and runs its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    /// User ID, or `None` if the process has several, for example in a setuid program.
    uid: Option<u32>,
    gid: u32,
    config: PathBuf,
    work_path: PathBuf,
    path: Option<OsString>,
    is_elsewhere: bool,
    program: Program,
}

/// The executable of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Program {
    /// Owner and permissions of the file.
    Seen { path: PathBuf, mode: u32, owner: u32, group: u32 },
    /// Error message, if the file could not be inspected.
    Unseen(String),
}

/// The reason not to trust a process.
#[derive(Debug, Error)]
pub enum Distrust {
    /// It runs as another user.
    #[error("it runs as `{owner}`, but its app.ini is for `{user}`")]
    OtherUser {
        /// User that it runs as.
        owner: String,
        /// User that its app.ini is for.
        user: String,
    },
    /// Its user ids differ from each other.
    #[error("it has the rights of more than one user")]
    SeveralUsers,
    /// Its program cannot be inspected, for this reason.
    #[error("its program cannot be inspected: {0}")]
    Unseen(String),
    /// Another user can change its program.
    #[error(transparent)]
    Exposed(#[from] ownership::Exposed),
}

impl Process {
    /// Returns all such processes.
    pub fn all() -> Vec<Self> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut found: Vec<Self> = pids.filter_map(Self::read).collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    fn read(pid: u32) -> Option<Self> {
        // The open directory keeps referring to this process, even if its ID is reused.
        let dir = ProcDir::open(pid)?;
        let arguments = Arguments::parse(&dir.read("cmdline")?)?;
        let (uid, gid) = owner_of(&dir.read("status")?)?;
        let environment = dir.read("environ").unwrap_or_default();
        let variable = |name: &str| variable(&environment, name);
        // After an upgrade, `exe` points to a deleted file, so prefer the name in the arguments.
        let program = Some(arguments.program.clone()).filter(|program| program.is_absolute());
        let program = program.or_else(|| dir.link("exe"));
        let working_dir = dir.link("cwd");
        let work_path = (arguments.work_path.clone())
            .or_else(|| variable("GITEA_WORK_DIR").map(Into::into))
            .or_else(|| Some(program?.parent()?.to_path_buf()))?;
        let custom = (arguments.custom_path.clone())
            .or_else(|| variable("GITEA_CUSTOM").map(Into::into))
            .unwrap_or_else(|| "custom".into());
        let config = match arguments.config {
            Some(config) if config.is_absolute() => config,
            Some(config) => working_dir?.join(config),
            None => work_path.join(custom).join("conf/app.ini"),
        };
        let ours = std::fs::read_link("/proc/self/ns/mnt").ok();
        let is_elsewhere = dir.link("ns/mnt").is_some_and(|theirs| ours != Some(theirs));
        let path = variable("PATH");
        Some(Self { pid, uid, gid, config, work_path, path, is_elsewhere, program: dir.program() })
    }

    /// Checks that the process runs as this user, and that only root and this user can change its
    /// executable.
    ///
    /// # Errors
    /// With the reason not to trust it.
    pub fn is_run_by(&self, user: &RunUser) -> Result<(), Distrust> {
        match self.uid {
            Some(uid) if uid == user.uid() => {}
            Some(uid) => {
                let owner = RunUser::with_ids(uid, self.gid);
                return Err(Distrust::OtherUser { owner: owner.to_string(), user: user.to_string() });
            }
            None => return Err(Distrust::SeveralUsers),
        }
        match &self.program {
            Program::Unseen(why) => Err(Distrust::Unseen(why.clone())),
            Program::Seen { path, mode, owner, group } => {
                Ok(ownership::check_open(path, *mode, (*owner, *group), user)?)
            }
        }
    }

    /// Returns the process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the path of its `app.ini`.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns its work path.
    pub fn work_path(&self) -> &Path {
        &self.work_path
    }

    /// Returns its `PATH`.
    pub fn path(&self) -> Option<&OsStr> {
        self.path.as_deref()
    }

    /// Returns true if the process is in another mount namespace, such as a container.
    pub fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }
}

/// The `/proc` directory of a process, held open.
struct ProcDir(OwnedFd);

impl ProcDir {
    fn open(pid: u32) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok().map(Self)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let fd = fs::openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        File::from(fd).take(MAX_READ).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn link(&self, name: &str) -> Option<PathBuf> {
        let target = fs::readlinkat(&self.0, name, Vec::new()).ok()?;
        Some(path_of(target.as_bytes()))
    }

    fn program(&self) -> Program {
        let seen = || -> io::Result<Program> {
            // Opening `exe` reaches the file even if it was deleted.
            let fd = fs::openat(&self.0, "exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let file = File::from(fd).metadata()?;
            let path = self.link("exe").unwrap_or_default();
            Ok(Program::Seen { path, mode: file.mode(), owner: file.uid(), group: file.gid() })
        };
        seen().unwrap_or_else(|err| Program::Unseen(text::line(err.to_string())))
    }
}

/// Parses user and group from a process's status (proc_pid_status(5)). Each line has the real,
/// effective, saved and file system IDs. The owner of the `/proc` directory is not usable, because
/// it is root for a process that is not dumpable.
fn owner_of(status: &[u8]) -> Option<(Option<u32>, u32)> {
    let ids = |name: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name.as_bytes()))?;
        line.to_str().ok()?.split_ascii_whitespace().map(|id| id.parse().ok()).collect()
    };
    let (uids, gids) = (ids("Uid:")?, ids("Gid:")?);
    let is_one = uids.iter().all(|uid| Some(uid) == uids.first());
    Some((uids.first().copied().filter(|_| is_one), *gids.get(1)?))
}

/// The command-line arguments of a Gitea.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    program: PathBuf,
    config: Option<PathBuf>,
    work_path: Option<PathBuf>,
    custom_path: Option<PathBuf>,
}

impl Arguments {
    /// Parses the NUL-terminated arguments of a process. Returns `None` if it is not a Gitea, or if
    /// it runs another command than the server.
    fn parse(cmdline: &[u8]) -> Option<Self> {
        let mut words = cmdline.strip_suffix(b"\0").unwrap_or(cmdline).split_str("\0");
        let program = path_of(words.next()?);
        if !is_server(program.file_name()?.as_bytes()) {
            return None;
        }
        let mut arguments = Self { program, ..Self::default() };
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix(b"-") else {
                if word == b"web" || word.is_empty() {
                    continue;
                }
                return None;
            };
            // Go accepts one dash or two, and a value after `=` or in the next argument.
            let option = option.strip_prefix(b"-").unwrap_or(option);
            let (name, value) = match option.split_once_str("=") {
                Some((name, value)) => (name, Some(value)),
                None => (option, None),
            };
            let place = match name {
                b"config" | b"c" => &mut arguments.config,
                b"work-path" | b"w" => &mut arguments.work_path,
                b"custom-path" | b"C" => &mut arguments.custom_path,
                b"port" | b"p" | b"install-port" | b"pid" | b"P" => {
                    if value.is_none() {
                        words.next();
                    }
                    continue;
                }
                _ => continue,
            };
            *place = Some(path_of(value.or_else(|| words.next())?));
        }
        Some(arguments)
    }
}

/// Returns one variable of a process's environment.
fn variable(environment: &[u8], name: &str) -> Option<OsString> {
    let mut entries = environment.split_str("\0");
    let value = entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    (!value.is_empty()).then(|| OsStr::from_bytes(value).into())
}

/// Returns true if this is the name of a Gitea or Forgejo executable, of any release.
fn is_server(name: &[u8]) -> bool {
    let is_named = |server: &&[u8]| {
        name.strip_prefix(*server).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'-'))
    };
    NAMES.iter().any(is_named) && !name.starts_with(OURS)
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

#[cfg(test)]
mod tests;
