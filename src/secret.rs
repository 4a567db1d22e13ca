//! Secrets: where they come from, and a type that shows itself to nobody.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::{Deserialize, Deserializer, de};

use crate::{child, regular, time::Deadline};

/// How large a secret may be, in bytes.
const MAX_SECRET: u64 = 16 << 10;

/// A token or password in use. Its `Debug` says `[redacted]`, it has no `Display` and is written
/// nowhere; [`Secret::expose`] is called where a request's header is set.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text that came from outside, without the newline that files end in.
    ///
    /// # Errors
    /// If it is empty or holds what no header can.
    pub fn new(text: &str) -> io::Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "the secret is empty"));
        }
        if !text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the secret has characters that no header can hold",
            ));
        }
        Ok(Self(text.to_string()))
    }

    /// Returns the secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Where a secret comes from. It is read anew for every delivery, and when a back end refuses it, so that a
/// rotated one is used without anybody's doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file.
    File(PathBuf),
    /// What a command prints, run without a shell.
    Command(Vec<String>),
    /// A file in systemd's `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential).
    Credential(String),
    /// An environment variable.
    Env(String),
}

impl SecretSource {
    /// Reads the secret. A command that has not printed it after `time` is ended.
    ///
    /// # Errors
    /// If it cannot be read, is empty or too long. The error names the source and never the content.
    pub fn read(&self, time: Duration) -> io::Result<Secret> {
        let text = match self {
            Self::File(path) => read_file(path)?,
            Self::Command(words) => run(words, time)?,
            Self::Credential(name) => {
                let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    missing("$CREDENTIALS_DIRECTORY is not set: is this not started by systemd?")
                })?;
                read_file(&Path::new(&dir).join(name))?
            }
            Self::Env(name) => {
                std::env::var(name).map_err(|_| missing(&format!("the environment has no `{name}`")))?
            }
        };
        Secret::new(&text)
    }

    /// Returns the environment variable that this secret needs, so that a detached process gets it.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Credential(_) => Some("CREDENTIALS_DIRECTORY"),
            Self::Env(name) => Some(name),
            Self::File(_) | Self::Command(_) => None,
        }
    }

    /// Makes a file's path absolute against the directory of the configuration.
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
            // Arguments may hold what nobody should read.
            Self::Command(words) => {
                write!(f, "command `{}`", words.first().map_or("", String::as_str))
            }
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Env(name) => write!(f, "environment variable `{name}`"),
        }
    }
}

fn missing(what: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, what)
}

fn read_file(path: &Path) -> io::Result<String> {
    bounded(regular::open(path)?)
}

/// Whoever waits here holds an outbox's lock, and a command may wait for ever: for a network, or for a
/// password at a terminal that is not there.
fn run(words: &[String], time: Duration) -> io::Result<String> {
    let (program, args) = words.split_first().ok_or_else(|| missing("the command is empty"))?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        // The pipe may outlive the command, in a child of its own; then the thread stays behind.
        thread::spawn(move || sender.send(bounded(stdout)));
    }
    let deadline = Deadline::after(time);
    let printed = receiver.recv_timeout(deadline.left());
    let Some(status) = child::wait(&mut child, deadline)? else {
        return Err(io::Error::new(ErrorKind::TimedOut, format!("the command ran on for {time:?}")));
    };
    match printed {
        // A command that is not read to its end dies of that, and its status would hide why.
        Ok(Err(err)) => Err(err),
        _ if !status.success() => Err(io::Error::other(format!("the command ended with {status}"))),
        Ok(printed) => printed,
        Err(_) => Err(io::Error::new(ErrorKind::TimedOut, "the command left its output open")),
    }
}

fn bounded(source: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MAX_SECRET + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SECRET {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("the secret is larger than {MAX_SECRET} bytes"),
        ));
    }
    Ok(text)
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Words(Vec<String>),
        }
        const EXPECTED: &str = "expected a table with one of `file`, `command`, `credential`, `env`; \
                                a secret is never written into the configuration itself";
        let table = BTreeMap::<String, Written>::deserialize(deserializer)
            .map_err(|_| de::Error::custom(EXPECTED))?;
        let mut entries = table.into_iter();
        match (entries.next(), entries.next()) {
            (Some((key, value)), None) => match (key.as_str(), value) {
                ("file", Written::Text(path)) => Ok(Self::File(path.into())),
                ("command", Written::Words(words)) if !words.is_empty() => Ok(Self::Command(words)),
                ("command", _) => {
                    Err(de::Error::custom("expected `command` to be an array of words, run without a shell"))
                }
                ("credential", Written::Text(name)) if !name.contains('/') => Ok(Self::Credential(name)),
                ("env", Written::Text(name)) => Ok(Self::Env(name)),
                _ => Err(de::Error::custom(EXPECTED)),
            },
            _ => Err(de::Error::custom(EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_WHILE: Duration = Duration::from_secs(20);

    #[test]
    fn a_secret_shows_itself_to_nobody() {
        let secret = Secret::new("s3cr3t\n").expect("valid");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(secret.expose(), "s3cr3t");
    }

    #[test]
    fn what_no_header_can_hold_is_refused_without_being_shown() {
        for bad in ["", " \n", "two\nlines", "caf\u{e9}"] {
            let said = Secret::new(bad).expect_err("refused").to_string();
            assert!(said.starts_with("the secret"), "{said}");
        }
    }

    #[test]
    fn a_command_is_run_without_a_shell() {
        let source = SecretSource::Command(vec!["echo".into(), "$HOME;id".into()]);
        assert_eq!(source.read(A_WHILE).expect("runs").expose(), "$HOME;id");
        let failing = SecretSource::Command(vec!["false".into()]);
        assert_eq!(
            failing.read(A_WHILE).expect_err("fails").to_string(),
            "the command ended with exit status: 1"
        );
    }
    #[test]
    fn a_command_that_hangs_is_ended() {
        for script in ["exec sleep 600", "exec >&-; exec sleep 600"] {
            let source = SecretSource::Command(["sh", "-c", script].map(Into::into).into());
            let said = source.read(Duration::from_millis(50)).expect_err("ended").to_string();
            assert_eq!(said, "the command ran on for 50ms");
        }
        let leaving = SecretSource::Command(["sh", "-c", "sleep 5 & echo s3cr3t"].map(Into::into).into());
        let said = leaving.read(Duration::from_millis(200)).expect_err("open").to_string();
        assert_eq!(said, "the command left its output open");
    }
}
