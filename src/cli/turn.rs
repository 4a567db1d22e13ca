//! Whose turn a push is, when both Gitea's Git Hooks page and an installed hook run for it.
//!
//! Gitea's delegate runs each executable file of `hooks/post-receive.d`: the page, whose first line may name us as its
//! interpreter, and the installed hook. Each of the two sees the other's file, and both come to the same
//! answer by the same rule, so that an update is decided once, with the page's script as a layer:
//!
//! 1. A page that is not ours, or that the system cannot start, leaves the push to the installed hook.
//! 2. The page takes the push if it is run by the binary and with the configuration of the installed hook.
//! 3. Otherwise the installed hook takes it, unless the page cannot recognise it: then the page does, and the
//!    installed hook, which looks at itself as the page does, knows.
//!
//! Where the installed hook is a config hook, no file in the repository says so, and a git that is too old to run it says nothing at
//! all. There the page takes the push whenever it is started, with the configuration of the config hook.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;
use rustix::fs::{Access, access};

use crate::{
    config,
    install::{self, HookCommand},
};

/// The page's file and the installed hook's, in the repository.
const PAGE: &str = "hooks/post-receive.d/post-receive";
const INSTALLED: &str = "hooks/post-receive.d/gitea-lightstep";
/// What runs them.
const DELEGATE: &str = "hooks/post-receive";

/// What a file calls us in its first line.
const NAME: &str = "gitea-lightstep";

/// How long the first line may be, in bytes, for Linux to take all of it (execve(2)).
const MAX_LINE: usize = 255;

/// How much of a file is read to recognise it, in bytes; the installed hook has 500.
const MAX_READ: u64 = 8 << 10;

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Turn {
    /// That of this process.
    Ours {
        /// The script of the page, if there is one.
        page: Option<Script>,
        /// The configuration to take it with, if it is not that of this process.
        config: Option<PathBuf>,
    },
    /// That of the repository's other hook.
    Theirs,
}

/// The script of a Git Hooks page, or one that was named outright.
#[derive(Debug)]
pub(super) struct Script {
    pub path: PathBuf,
    /// Why the system runs the page as something else besides.
    pub flaw: Option<&'static str>,
}

impl Turn {
    /// Tells whose turn it is. `script` is what this process was started with, by the page or by hand; `config` is
    /// its configuration, and `home` is where git finds its own.
    pub fn of(git_dir: &Path, script: Option<PathBuf>, config: Option<&Path>, home: Option<&Path>) -> Self {
        let ours = |page| Self::Ours { page, config: None };
        let page = Page::read(&git_dir.join(PAGE));
        match script {
            Some(script) => {
                let Some(page) = page.filter(|page| is_same(&page.path, &script)) else {
                    return ours(Some(Script { path: script, flaw: None }));
                };
                match Installed::of(git_dir) {
                    Some(installed) if !page.is_run_as(&installed) => Self::Theirs,
                    Some(_) => ours(Some(page.into_script())),
                    None => {
                        let hook = home.and_then(install::config_hook_in);
                        let config = hook.map(|hook| hook.config().to_path_buf());
                        Self::Ours { page: Some(page.into_script()), config }
                    }
                }
            }
            None => {
                let Some(page) = page else { return ours(None) };
                let this = Installed::this(config);
                let is_seen =
                    || this.as_ref().is_some_and(|this| Installed::of(git_dir).as_ref() == Some(this));
                let is_run_as_this = this.as_ref().is_some_and(|this| page.is_run_as(this));
                if page.is_started(git_dir) && (is_run_as_this || !is_seen()) {
                    return Self::Theirs;
                }
                ours(Some(page.into_script()))
            }
        }
    }
}

/// Returns whether a file is a script whose first line names us.
pub(super) fn is_page(path: &Path) -> bool {
    Page::read(path).is_some()
}

/// A script whose first line names us.
#[derive(Debug)]
struct Page {
    path: PathBuf,
    /// What the system starts.
    interpreter: PathBuf,
    /// Whether that is us, `hook` is all that it says, and the system takes all of the line.
    is_plain: bool,
    has_byte_order_mark: bool,
}

impl Page {
    fn read(path: &Path) -> Option<Self> {
        Self::parse(path, &head_of(path)?)
    }

    fn parse(path: &Path, head: &[u8]) -> Option<Self> {
        let marked = head.strip_prefix("\u{feff}".as_bytes());
        let line = marked.unwrap_or(head).strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let words: Vec<&[u8]> = line.fields_with(|c| c.is_ascii_whitespace()).collect();
        let is_us = |word: &&[u8]| Path::new(OsStr::from_bytes(word)).file_name() == Some(OsStr::new(NAME));
        let us = words.iter().position(is_us)?;
        if words.get(us + 1).is_some_and(|word| *word != b"hook") {
            return None;
        }
        // The system takes spaces and tabs away, and leaves what another system ends its lines with.
        let taken = line.trim_start_with(|c| matches!(c, ' ' | '\t'));
        let interpreter = taken.split(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
        Some(Self {
            path: path.into(),
            interpreter: OsStr::from_bytes(interpreter).into(),
            is_plain: us == 0 && words.len() <= 2 && line.len() + 2 <= MAX_LINE,
            has_byte_order_mark: marked.is_some(),
        })
    }

    /// Returns whether the delegate starts it, and the system what it names.
    fn is_started(&self, git_dir: &Path) -> bool {
        let delegate = git_dir.join(DELEGATE);
        let is_delegate = is_executable(&delegate) && Installed::read(&delegate).is_none();
        is_delegate
            && is_executable(&self.path)
            && !self.has_byte_order_mark
            && is_executable(&self.interpreter)
    }

    /// Returns whether it is run by that binary, and finds that configuration by itself.
    fn is_run_as(&self, installed: &Installed) -> bool {
        self.is_plain
            && fs::canonicalize(&self.interpreter).is_ok_and(|binary| binary == installed.binary)
            && config::find(None).is_some_and(|config| is_same(&config, &installed.config))
    }

    fn into_script(self) -> Script {
        let flaw = self.has_byte_order_mark.then_some(
            "it begins with a byte-order mark, so the system takes it for a shell script and runs it as one; save it without",
        );
        Script { path: self.path, flaw }
    }
}

/// A hook that was installed, by what it starts.
#[derive(Debug)]
struct Installed {
    binary: PathBuf,
    config: PathBuf,
}

impl Installed {
    /// Returns what the installed hook of a repository starts, if it starts anything.
    fn of(git_dir: &Path) -> Option<Self> {
        let path = git_dir.join(INSTALLED);
        Self::read(&path).filter(|_| is_executable(&path))
    }

    /// Returns what this process is, if it was given a configuration.
    fn this(config: Option<&Path>) -> Option<Self> {
        Some(Self { binary: std::env::current_exe().ok()?, config: config?.into() })
    }

    fn read(path: &Path) -> Option<Self> {
        let starts = HookCommand::of_wrapper(&head_of(path)?)?;
        let binary = fs::canonicalize(starts.binary()).ok().filter(|binary| is_executable(binary))?;
        Some(Self { binary, config: starts.config().into() })
    }
}

impl PartialEq for Installed {
    fn eq(&self, other: &Self) -> bool {
        self.binary == other.binary && is_same(&self.config, &other.config)
    }
}

/// Returns the beginning of a regular file.
fn head_of(path: &Path) -> Option<Vec<u8>> {
    // To open a named pipe would wait for whoever writes into it.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(MAX_READ).read_to_end(&mut head).ok()?;
    Some(head)
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Returns the arguments with the first one divided, if it is `hook` and more: from the first line of a script, Linux hands
/// on everything after the interpreter as one argument, and the carriage return of a text from Windows with it.
pub(super) fn divided(args: &[OsString]) -> Option<Vec<OsString>> {
    let first = args.first()?.to_str()?;
    let words: Vec<_> = first.split_ascii_whitespace().map(OsString::from).collect();
    if words.first().is_none_or(|word| word != "hook") {
        return None;
    }
    Some(words.into_iter().chain(args[1..].iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Option<(String, bool, bool)> {
        let page = Page::parse(Path::new("page"), head.as_bytes())?;
        let interpreter = page.interpreter.display().to_string();
        Some((interpreter, page.is_plain, page.has_byte_order_mark))
    }

    #[test]
    fn the_first_line_names_us_or_does_not() {
        let ours =
            |interpreter: &str, is_plain, has_mark| Some((interpreter.to_string(), is_plain, has_mark));
        for (head, expected) in [
            ("#!/bin/gitea-lightstep hook\nfn", ours("/bin/gitea-lightstep", true, false)),
            ("#! \t/bin/gitea-lightstep\thook ", ours("/bin/gitea-lightstep", true, false)),
            ("#!/bin/gitea-lightstep hook\r\nfn", ours("/bin/gitea-lightstep", true, false)),
            ("#!/bin/gitea-lightstep\r\nfn", ours("/bin/gitea-lightstep\r", true, false)),
            ("#!/bin/gitea-lightstep", ours("/bin/gitea-lightstep", true, false)),
            ("\u{feff}#!/bin/gitea-lightstep hook\n", ours("/bin/gitea-lightstep", true, true)),
            ("#!/bin/gitea-lightstep hook --config /x\n", ours("/bin/gitea-lightstep", false, false)),
            ("#!/usr/bin/env -S gitea-lightstep hook\n", ours("/usr/bin/env", false, false)),
            ("#!/bin/sh\n# gitea-lightstep hook\n", None),
            ("#!/bin/gitea-lightstep deliver\n", None),
            ("#!/bin/other-gitea-lightstep hook\n", None),
            ("// #!/bin/gitea-lightstep hook\n", None),
            ("#!", None),
            ("", None),
        ] {
            assert_eq!(parse(head), expected, "{head:?}");
        }
    }

    #[test]
    fn one_argument_of_a_first_line_is_divided() {
        let divided = |args: &[&str]| divided(&args.iter().map(OsString::from).collect::<Vec<_>>());
        let words = |words: &[&str]| Some(words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(divided(&["hook", "a b"]), words(&["hook", "a b"]));
        assert_eq!(divided(&["hook\r", "x"]), words(&["hook", "x"]));
        assert_eq!(divided(&["hook --config /x\r", "x"]), words(&["hook", "--config", "/x", "x"]));
        assert_eq!(divided(&["hooks"]), None);
        assert_eq!(divided(&[]), None);
    }
}
