//! A Gitea that runs: what its process tells of where it works and which configuration it has.
//!
//! What is read of another process' environment is picked by name; nothing else of it leaves this module.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Read as _,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;

/// How much of a process' arguments and environment is read, in bytes.
const MAX_READ: u64 = 1 << 20;

/// What the programs are called.
const NAMES: [&[u8]; 2] = [b"gitea", b"forgejo"];

/// A process of Gitea's, or of Forgejo's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    uid: u32,
    gid: u32,
    config: PathBuf,
    work_path: PathBuf,
    path: Option<OsString>,
    is_elsewhere: bool,
}

impl Process {
    /// Finds all that run and serve.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut found: Vec<Self> = pids.filter_map(Self::read).collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    fn read(pid: u32) -> Option<Self> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let arguments = Arguments::parse(&read(&dir.join("cmdline"))?)?;
        let owner = fs::metadata(&dir).ok()?;
        let environment = read(&dir.join("environ")).unwrap_or_default();
        let variable = |name: &str| variable(&environment, name);
        // After an upgrade the file of a running program is `(deleted)`, so what it was called with comes first.
        let program = Some(arguments.program.clone()).filter(|program| program.is_absolute());
        let program = program.or_else(|| fs::read_link(dir.join("exe")).ok());
        let working_dir = fs::read_link(dir.join("cwd")).ok();
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
        let namespace = |of: &Path| fs::read_link(of.join("ns/mnt")).ok();
        let is_elsewhere =
            namespace(&dir).is_some_and(|theirs| namespace(Path::new("/proc/self")) != Some(theirs));
        Some(Self {
            pid,
            uid: owner.uid(),
            gid: owner.gid(),
            config,
            work_path,
            path: variable("PATH"),
            is_elsewhere,
        })
    }

    /// Returns its id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the id of the user and of the group that it runs as.
    pub fn owner(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }

    /// Returns its app.ini.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns where it works.
    pub fn work_path(&self) -> &Path {
        &self.work_path
    }

    /// Returns where it looks for programs.
    pub fn path(&self) -> Option<&OsStr> {
        self.path.as_deref()
    }

    /// Returns whether it sees other files than we do, as in a container.
    pub fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }
}

/// What a Gitea was started with.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    program: PathBuf,
    config: Option<PathBuf>,
    work_path: Option<PathBuf>,
    custom_path: Option<PathBuf>,
}

impl Arguments {
    /// Reads the arguments of a process, each of which ends with a NUL; `None` if it is no Gitea, or one that does not
    /// serve but runs one of its other commands.
    fn parse(cmdline: &[u8]) -> Option<Self> {
        let mut words = cmdline.strip_suffix(b"\0").unwrap_or(cmdline).split_str("\0");
        let program = path_of(words.next()?);
        if !NAMES.contains(&program.file_name()?.as_bytes()) {
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
            // Go takes one dash for two, and a value after `=` or as the next word.
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

/// Picks one variable out of the environment of a process.
fn variable(environment: &[u8], name: &str) -> Option<OsString> {
    let mut entries = environment.split_str("\0");
    let value = entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    (!value.is_empty()).then(|| OsStr::from_bytes(value).into())
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_READ).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_from_the_other_commands() {
        let parse = |words: &[&str]| Arguments::parse(format!("{}\0", words.join("\0")).as_bytes());
        let is_server = |words: &[&str]| parse(words).is_some();
        assert!(is_server(&["/usr/local/bin/gitea", "web"]));
        assert!(is_server(&["gitea"]));
        assert!(is_server(&["./forgejo", "web", "-p", "3000"]));
        assert!(is_server(&["gitea", "--port", "3000", "web", "--quiet"]));
        assert!(!is_server(&["gitea", "serv", "key-1", "--config=/etc/gitea/app.ini"]));
        assert!(!is_server(&["gitea", "hook", "--config=/etc/gitea/app.ini", "post-receive"]));
        assert!(!is_server(&["gitea-lightstep", "web"]));
        assert!(!is_server(&["bash", "gitea", "web"]));
        assert!(!is_server(&[""]));

        let all = ["gitea", "-c", "a b.ini", "web", "--work-path=/w", "-custom-path", "/c"];
        let arguments = parse(&all).expect("a server");
        assert_eq!(arguments.config.as_deref(), Some(Path::new("a b.ini")));
        assert_eq!(arguments.work_path.as_deref(), Some(Path::new("/w")));
        assert_eq!(arguments.custom_path.as_deref(), Some(Path::new("/c")));
        assert!(parse(&["gitea", "web", "--config"]).is_none());
    }

    #[test]
    fn a_variable_is_picked_by_its_whole_name() {
        let environment = b"XGITEA_CUSTOM=no\0GITEA_CUSTOM_2=no\0GITEA_CUSTOM=/data/gitea\0EMPTY=\0";
        assert_eq!(variable(environment, "GITEA_CUSTOM").as_deref(), Some(OsStr::new("/data/gitea")));
        assert_eq!(variable(environment, "EMPTY"), None);
        assert_eq!(variable(environment, "GITEA"), None);
    }
}
