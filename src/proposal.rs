//! Commands that messages propose, written so that they work when they are pasted: with the options
//! that this process was started with, quoted, and as a user who may run them.
//!
//! Messages arise in every module, and how this process was started is the same for all of them. So
//! `cli` sets it once, and a process that sets nothing proposes the plain commands.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::{sys::users, text};

/// Commands that create files in the state directory, so only its owner may run them.
const OF_STATE_OWNER: [&str; 3] = ["deliver", "queue retry", "queue drop"];

/// Commands that work on a Gitea. Root and Gitea's user run them.
const OF_GITEA: [&str; 3] = ["install", "uninstall", "doctor"];

/// Directories that hold the programs of the system, whatever the `PATH` is.
const SYSTEM: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/bin"];

/// How this process was started, and by whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CalledAs {
    /// The program as a word of a shell.
    pub program: String,
    /// Path of the program, for a command that does not keep the `PATH`.
    pub path: PathBuf,
    /// The arguments except the options below, with a space before each word.
    pub arguments: String,
    /// Options that every command needs, with a space before each word.
    pub options: String,
    /// Options that commands which work on a Gitea need, each with its value.
    pub gitea: Vec<String>,
    /// ID of the user who reads the messages.
    pub reader: u32,
}

/// Finds out how this process was started, which only a proposal needs.
static SOURCE: OnceLock<fn() -> CalledAs> = OnceLock::new();

static CALLED_AS: OnceLock<CalledAs> = OnceLock::new();

/// State directory, once the configuration is known.
static STATE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Sets the function that finds out how this process was started.
pub fn set(source: fn() -> CalledAs) {
    let _ = SOURCE.set(source);
}

/// Returns how this process was started.
pub fn called_as() -> &'static CalledAs {
    let plain = || CalledAs {
        program: "gitea-lightstep".into(),
        path: "gitea-lightstep".into(),
        reader: geteuid().as_raw(),
        ..CalledAs::default()
    };
    CALLED_AS.get_or_init(|| SOURCE.get().map_or_else(plain, |source| source()))
}

/// Sets the state directory, whose owner has to run some commands.
pub fn set_state(dir: &Path) {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(dir.into());
}

/// Returns a command of this program, such as `queue retry --all`, to be put between backticks.
pub fn command(words: &str) -> String {
    command_with(words, None)
}

/// Returns a command of this program with this configuration instead of the one in use.
pub fn command_with(words: &str, config: Option<&Path>) -> String {
    let called = called_as();
    let is_one_of = |commands: &[&str]| {
        let is_rest = |rest: &str| rest.is_empty() || rest.starts_with(' ');
        commands.iter().any(|command| words.strip_prefix(command).is_some_and(is_rest))
    };
    let gitea = if is_one_of(&OF_GITEA) { called.gitea.concat() } else { String::new() };
    let options = config.map_or(called.options.clone(), |config| format!(" --config {}", word(config)));
    let line = |program: &str| format!("{program} {words}{options}{gitea}");
    let Some(owner) = other_owner() else { return line(&called.program) };
    if called.reader == 0 {
        // Root reads everything, and changes to Gitea's user by itself where that is needed.
        let is_of_owner = is_one_of(&OF_STATE_OWNER);
        return if is_of_owner { by_root(owner, &line(&called.program)) } else { line(&called.program) };
    }
    as_user(owner, &line(&program_for(called)))
}

/// Returns the owner of the state directory, if it is not the reader.
pub fn other_owner() -> Option<u32> {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let owner = state.as_ref().and_then(|dir| fs::metadata(dir).ok()).map(|dir| dir.uid());
    owner.filter(|owner| *owner != called_as().reader)
}

/// Returns a command of this program that works on a Gitea, for another user than was named.
pub fn command_as_user(words: &str, uid: u32) -> String {
    let called = called_as();
    let gitea = called.gitea.iter().filter(|option| !option.starts_with(" --run-user ")).cloned();
    let gitea: String = gitea.collect();
    as_user(uid, &format!("{} {words}{}{gitea}", program_for(called), called.options))
}

/// Returns the command of this process as the user `uid` has to run it.
pub fn same_as_user(uid: u32) -> String {
    let called = called_as();
    let program = program_for(called);
    as_user(uid, &format!("{program}{}{}{}", called.arguments, called.options, called.gitea.concat()))
}

/// Returns the command of this process, to repeat it.
pub fn again() -> String {
    same_as_user(called_as().reader)
}

/// Returns the program as another user runs it. sudo may not search its directory.
fn program_for(called: &CalledAs) -> String {
    if called.reader == 0 { called.program.clone() } else { word(&called.path) }
}

/// Returns a command as the user `uid` has to run it.
pub fn as_user(uid: u32, line: &str) -> String {
    match called_as().reader {
        reader if reader == uid => line.to_string(),
        0 => by_root(uid, line),
        _ if uid == 0 => as_root(line),
        _ if is_there("sudo") => format!("sudo -u {} {line}", sudo_user(uid)),
        _ => as_root(&by_root(uid, line)),
    }
}

/// Returns a command that needs root.
pub fn as_root(line: &str) -> String {
    as_root_all(&[line.to_string()])
}

/// Returns several commands that need root, as one line.
pub fn as_root_all(lines: &[String]) -> String {
    if called_as().reader == 0 {
        lines.join(" && ")
    } else if is_there("sudo") {
        lines.iter().map(|line| format!("sudo {line}")).collect::<Vec<_>>().join(" && ")
    } else {
        format!("su -c {}", text::shell(Path::new(&lines.join(" && "))))
    }
}

/// Returns a command that changes a file, as its owner or root runs it.
pub fn on_file(path: &Path, line: &str) -> String {
    let is_readers = fs::symlink_metadata(path).is_ok_and(|file| file.uid() == called_as().reader);
    if is_readers { line.to_string() } else { as_root(line) }
}

/// Returns a command as root runs it for another user.
fn by_root(uid: u32, line: &str) -> String {
    let Some(name) = users::user_name(uid) else {
        return format!("setpriv --reuid {uid} --clear-groups {line}");
    };
    // busybox has no runuser.
    if is_there("runuser") {
        format!("runuser -u {name} -- {line}")
    } else {
        format!("su -s /bin/sh {name} -c {}", text::shell(Path::new(line)))
    }
}

fn is_there(program: &str) -> bool {
    SYSTEM.iter().any(|dir| Path::new(dir).join(program).exists())
}

fn sudo_user(uid: u32) -> String {
    users::user_name(uid).unwrap_or_else(|| format!("'#{uid}'"))
}

fn word(path: &Path) -> String {
    text::word(&text::path(path))
}
