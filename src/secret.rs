//! Reads secrets from files, commands, systemd credentials and environment variables, into a type
//! that is never printed.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    fs::Metadata,
    io::{self, ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getegid, geteuid, set_dumpable_behavior, setrlimit,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    proposal,
    sys::{child, regular_file, time::Deadline, users},
    text,
};

const GROUP_READS: u32 = 0o040;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// Maximum size of a secret, in bytes.
const MAX_SECRET: u64 = 16 << 10;

/// A token or password in use. Its `Debug` prints `[redacted]` and it has no `Display`.
/// [`Secret::expose`] gives access to the text, for setting a request's header. Its memory is
/// overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Creates a secret from `text`, without the newline at its end.
    ///
    /// # Errors
    /// If it is empty or has characters that an HTTP header cannot hold.
    pub fn new(text: &str) -> io::Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "the secret is empty"));
        }
        if !text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the secret has characters that an HTTP header cannot carry",
            ));
        }
        Ok(Self(Zeroizing::new(text.to_string())))
    }

    /// Returns the secret text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The source of a secret. It is read for every delivery, and again when a back end refuses the
/// secret, so a rotated secret is picked up without a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file.
    File(PathBuf),
    /// The output of a command, which runs without a shell.
    Command(Vec<String>),
    /// A file in systemd's `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential).
    Credential(String),
    /// An environment variable.
    Env(String),
}

impl SecretSource {
    /// Reads the secret. Kills a command that takes longer than `time`.
    ///
    /// # Errors
    /// If the source cannot be read, is empty or is too long. The error names the source and never
    /// the content.
    pub fn read(&self, time: Duration) -> io::Result<Secret> {
        keep_to_ourselves();
        let text = Zeroizing::new(match self {
            Self::File(path) => read_guarded(path)?,
            Self::Command(words) => run(words, time)?,
            Self::Credential(name) => {
                let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    missing("$CREDENTIALS_DIRECTORY is not set; systemd sets it in units with LoadCredential")
                })?;
                read_file(&Path::new(&dir).join(name))?
            }
            Self::Env(name) => {
                std::env::var(name).map_err(|_| missing(&format!("the variable `{name}` is not set")))?
            }
        });
        Secret::new(&text)
    }

    /// Returns the environment variable that holds or locates this secret, so that a detached
    /// process can be given it.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Credential(_) => Some("CREDENTIALS_DIRECTORY"),
            Self::Env(name) => Some(name),
            Self::File(_) | Self::Command(_) => None,
        }
    }

    /// Makes a file's path absolute, relative to the directory of the configuration.
    pub fn relative_to(self, dir: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(dir.join(path)),
            other => other,
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            // Arguments may be confidential; print the program only.
            Self::Command(words) => {
                write!(f, "command `{}`", words.first().map_or("", String::as_str))
            }
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Env(name) => write!(f, "environment variable `{name}`"),
        }
    }
}

/// Disables core dumps, and stops other processes of the same user from reading this process's
/// memory.
fn keep_to_ourselves() {
    static ONCE: Once = Once::new();
    // Ignore failures: the secret is no less safe than before.
    ONCE.call_once(|| {
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    });
}

fn missing(what: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, what)
}

fn read_file(path: &Path) -> io::Result<String> {
    let file = regular_file::open(path)?;
    // No permission check: systemd sets the modes of credentials, and their directory is private.
    bounded(file)
}

/// Reads a file that the configuration names, after checking that no other user can read or change
/// it.
fn read_guarded(path: &Path) -> io::Result<String> {
    let file = regular_file::open(path)?;
    match exposed(path, &file.metadata()?) {
        Some(why) => Err(io::Error::new(ErrorKind::PermissionDenied, why)),
        None => bounded(file),
    }
}

/// Returns an explanation, with a command that fixes it, if users other than the owner and this
/// process can read or change the file. The group may read it if this process runs in that group:
/// `install.sh` creates the file as root with the group of Gitea's user and mode 0640.
fn exposed(path: &Path, at: &Metadata) -> Option<String> {
    let (us, group) = (geteuid().as_raw(), getegid().as_raw());
    let is_our_group = at.gid() == group || us == 0;
    let of_group = if is_our_group { GROUP_WRITES } else { GROUP_READS | GROUP_WRITES };
    let bits = at.mode() & (OTHERS_READ | OTHERS_WRITE | of_group);
    let who = match bits & (OTHERS_READ | OTHERS_WRITE) {
        _ if bits == 0 => return None,
        0 => format!("the group `{}`", users::group_word(at.gid())),
        _ => "others".into(),
    };
    let act = if bits & (OTHERS_READ | GROUP_READS) == 0 { "change" } else { "read" };
    let shown = text::shell(path);
    let fix = if at.uid() == us {
        format!("chmod 600 {shown}")
    } else if at.gid() == group {
        proposal::as_root(&format!("chmod 640 {shown}"))
    } else {
        let group = users::group_word(group);
        proposal::as_root_all(&[format!("chown :{group} {shown}"), format!("chmod 640 {shown}")])
    };
    Some(format!("{who} may {act} it (mode {:04o}); run `{fix}`", at.mode() & 0o7777))
}

/// Runs a command and returns its output. The time limit is needed because a command may block
/// forever on a network or on a password prompt, while the caller holds an outbox's lock or keeps a
/// push waiting.
fn run(words: &[String], time: Duration) -> io::Result<String> {
    let (program, args) = words.split_first().ok_or_else(|| missing("the command is empty"))?;
    let mut command = child::command(program);
    let ran = child::output(command.args(args), Deadline::after(time), MAX_SECRET);
    match ran.map_err(|err| if err.kind() == ErrorKind::InvalidData { too_large() } else { err })? {
        None => Err(io::Error::new(ErrorKind::TimedOut, format!("the command timed out after {time:?}"))),
        Some((status, _)) if !status.success() => {
            Err(io::Error::other(format!("the command failed with {status}")))
        }
        Some((_, printed)) => String::from_utf8(printed).map_err(|err| {
            err.into_bytes().zeroize();
            io::Error::new(ErrorKind::InvalidData, "the secret is not valid UTF-8")
        }),
    }
}

fn too_large() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the secret is larger than {MAX_SECRET} bytes"))
}

fn bounded(source: impl io::Read) -> io::Result<String> {
    // Growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET as usize + 1));
    source.take(MAX_SECRET + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SECRET {
        return Err(too_large());
    }
    Ok(std::mem::take(&mut *text))
}

impl JsonSchema for SecretSource {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "where a secret is read from: one of these",
            "properties": {
                "file": { "type": "string" },
                "command": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                "credential": { "type": "string" },
                "env": { "type": "string" },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum SecretSetting {
            Text(String),
            Words(Vec<String>),
        }
        const EXPECTED: &str = "expected a table with one of `file`, `command`, `credential`, `env`; \
                                the configuration must not contain the secret itself";
        let table = BTreeMap::<String, SecretSetting>::deserialize(deserializer)
            .map_err(|_| de::Error::custom(EXPECTED))?;
        let mut entries = table.into_iter();
        match (entries.next(), entries.next()) {
            (Some((key, value)), None) => match (key.as_str(), value) {
                ("file", SecretSetting::Text(path)) => Ok(Self::File(path.into())),
                ("command", SecretSetting::Words(words)) if !words.is_empty() => Ok(Self::Command(words)),
                ("command", _) => {
                    Err(de::Error::custom("expected `command` as an array of strings, run without a shell"))
                }
                ("credential", SecretSetting::Text(name)) if !name.contains('/') => {
                    Ok(Self::Credential(name))
                }
                ("env", SecretSetting::Text(name)) => Ok(Self::Env(name)),
                _ => Err(de::Error::custom(EXPECTED)),
            },
            _ => Err(de::Error::custom(EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests;
