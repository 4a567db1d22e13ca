//! Finds out how this process was started, so that the commands in its messages repeat what they
//! need of it.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use clap::{ColorChoice, ValueEnum as _};
use rustix::process::geteuid;

use crate::{
    config,
    proposal::{self, CalledAs},
    sys::paths,
    text,
};

/// Name of this program.
const NAME: &str = "gitea-lightstep";

/// Option that tells the process started as Gitea's user not to switch users again.
pub(super) const AS_RUN_USER: &str = "--as-run-user";

/// Variable in which root's process tells the one of Gitea's user how it was started itself.
const VARIABLE: &str = "GITEA_LIGHTSTEP_CALLED_AS";

/// Options that name a Gitea. The value of the last two is not always a path.
const GITEA: [&str; 4] = ["--gitea-config", "--root", "--run-user", "--git"];

/// Finds out how this process was started. The arguments are read as they are, because the message
/// about a wrong one may propose a command.
pub(super) fn called_as() -> CalledAs {
    let args: Vec<OsString> = std::env::args_os().collect();
    let from_root = std::env::var(VARIABLE).ok().filter(|_| args.iter().any(|arg| arg == AS_RUN_USER));
    from_root.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_else(|| of(&args))
}

/// Returns the variable for the process of Gitea's user.
pub(super) fn variable() -> (&'static str, String) {
    (VARIABLE, serde_json::to_string(proposal::called_as()).unwrap_or_default())
}

fn of(args: &[OsString]) -> CalledAs {
    let path = own_binary().unwrap_or_else(|_| NAME.into());
    let real = fs::canonicalize(&path).ok();
    let is_found =
        real.is_some() && in_path(NAME.as_ref()).and_then(|found| fs::canonicalize(found).ok()) == real;
    let program = if is_found { NAME.to_string() } else { text::word(&path.to_string_lossy()) };
    let gitea = GITEA.into_iter().filter_map(|option| Some(option_word(option, value_of(option, args)?)));
    CalledAs {
        program,
        path,
        arguments: other_arguments(args)
            .iter()
            .map(|arg| format!(" {}", text::word(&arg.to_string_lossy())))
            .collect(),
        options: config_option(args),
        gitea: gitea.collect(),
        reader: geteuid().as_raw(),
    }
}

/// Returns the option for the configuration, unless a process that is told nothing finds the same
/// file.
fn config_option(args: &[OsString]) -> String {
    let named = value_of("--config", args).map(Path::new);
    let Some(found) = config::find(named) else { return String::new() };
    let is_default = config::find_by_default().is_some_and(|default| paths::is_same(&default, &found));
    if is_default { String::new() } else { option_word("--config", found.as_os_str()) }
}

fn option_word(option: &str, value: &OsStr) -> String {
    let is_path = !matches!(option, "--run-user" | "--git") || value.as_bytes().contains(&b'/');
    let absolute = std::path::absolute(value).ok().filter(|_| is_path);
    let value = absolute.unwrap_or_else(|| value.into());
    format!(" {option} {}", text::word(&value.to_string_lossy()))
}

/// Returns the choice of colours, also if the other arguments are wrong.
pub(super) fn colour(args: &[OsString]) -> ColorChoice {
    let named = value_of("--color", args).and_then(OsStr::to_str);
    named.and_then(|named| ColorChoice::from_str(named, false).ok()).unwrap_or(ColorChoice::Auto)
}

/// Returns the value of an option, as clap finds it.
fn value_of<'a>(option: &str, args: &'a [OsString]) -> Option<&'a OsStr> {
    let mut args = args.iter().take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == option {
            return args.next().map(OsString::as_os_str);
        }
        let inline = arg.as_bytes().strip_prefix(option.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        if let Some(value) = inline {
            return Some(OsStr::from_bytes(value));
        }
    }
    None
}

/// Returns the arguments without the options that name files for every command.
fn other_arguments(args: &[OsString]) -> Vec<&OsString> {
    let mut others = Vec::new();
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        let name = arg.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
        if !GITEA.iter().chain(&["--config"]).any(|option| option.as_bytes() == name) {
            others.push(arg);
        } else if name.len() == arg.len() {
            args.next();
        }
    }
    others
}

/// Returns this binary under the name it was called by, so that the hook follows a symbolic link
/// when it is moved to a newer version.
///
/// # Errors
/// If the system does not know the path of this process.
pub(super) fn own_binary() -> io::Result<PathBuf> {
    let real = std::env::current_exe()?;
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let candidate = if called.components().nth(1).is_some() {
        std::path::absolute(&called).ok()
    } else {
        in_path(&called)
    };
    let is_real = |candidate: &PathBuf| fs::canonicalize(candidate).is_ok_and(|path| path == real);
    Ok(candidate.filter(is_real).unwrap_or(real))
}

/// Returns the file that a shell finds for this name.
fn in_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}
