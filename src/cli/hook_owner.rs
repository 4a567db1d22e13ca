//! Decides which of two hooks handles a push: the script on Gitea's Git Hooks page, or the
//! installed hook.
//!
//! Gitea's delegate runs each executable file in `hooks/post-receive.d`. One is the page, whose
//! first line may name this program as its interpreter; another is the installed hook. Each of the
//! two processes reads the other's file and applies the same rules, so exactly one of them decides
//! the push. Either one uses the page's script as a policy layer.
//!
//! 1. If the page does not name this program, or the system cannot start it, the installed hook
//!    handles the push.
//! 2. If the page runs the same binary with the same configuration as the installed hook, the page
//!    handles the push.
//! 3. Otherwise the installed hook handles the push, provided that the page can recognise its file.
//!    If the page cannot, the page handles the push. The installed hook finds this out by reading
//!    its own file the way the page does.
//!
//! A config hook leaves no file in the repository, and a git that is too old for config hooks
//! ignores it silently. In that case the page handles every push for which it is started, with the
//! configuration that the config hook names.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;
use rustix::fs::{Access, access};

use crate::{
    config,
    install::{self, HookCommand},
    sys::regular_file,
};

/// Paths of the page and of the installed hook, in the repository.
pub(super) const PAGE: &str = "hooks/post-receive.d/post-receive";
const INSTALLED: &str = "hooks/post-receive.d/gitea-lightstep";
/// Path of Gitea's script that runs both.
const DELEGATE: &str = "hooks/post-receive";

/// File name of this program in a page's first line.
const NAME: &str = "gitea-lightstep";

/// Length of the longest first line that Linux reads in full, in bytes (execve(2)).
const MAX_LINE: usize = 255;

/// Number of bytes read from a file to recognise it. The installed hook has about 500.
const MAX_READ: u64 = 8 << 10;

/// The hook that handles the push.
#[derive(Debug)]
pub(super) enum Turn {
    /// This process handles the push.
    Ours {
        /// Script of the page, if there is one.
        page: Option<PageScript>,
        /// Configuration to use instead of this process's own.
        config: Option<PathBuf>,
        /// State directory that the installed hook names.
        state_dir: Option<PathBuf>,
    },
    /// The repository's other hook handles the push.
    Theirs,
}

/// Script of a Git Hooks page, or one named on the command line.
#[derive(Debug)]
pub(super) struct PageScript {
    pub path: PathBuf,
    /// Reason why the system also runs the page as a shell script, if it does.
    pub flaw: Option<&'static str>,
}

impl Turn {
    /// Decides which hook handles the push. `script` is the script that this process was started
    /// with, `config` its configuration, and `home` the directory in which git looks for its own
    /// configuration.
    pub fn of(git_dir: &Path, script: Option<PathBuf>, config: Option<&Path>, home: Option<&Path>) -> Self {
        let ours = |page| Self::Ours { page, config: None, state_dir: None };
        let page = Page::read(&git_dir.join(PAGE));
        match script {
            Some(script) => {
                let Some(page) = page.filter(|page| is_same(&page.path, &script)) else {
                    return ours(Some(PageScript { path: script, flaw: None }));
                };
                match Installed::of(git_dir) {
                    Some(installed) if !page.is_run_as(&installed) => Self::Theirs,
                    Some(installed) => Self::Ours {
                        page: Some(page.into_script()),
                        config: None,
                        state_dir: installed.state_dir,
                    },
                    None => {
                        let hook = home.and_then(install::config_hook_in);
                        Self::Ours {
                            page: Some(page.into_script()),
                            config: hook.as_ref().map(|hook| hook.config().to_path_buf()),
                            state_dir: hook.and_then(|hook| hook.state_dir().map(Path::to_path_buf)),
                        }
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

/// Returns true if the file is a script whose first line names this program.
pub(super) fn is_page(path: &Path) -> bool {
    Page::read(path).is_some()
}

/// Returns the script of a repository's Git Hooks page, if it is a policy.
pub(super) fn page_of(git_dir: &Path) -> Option<PathBuf> {
    Page::read(&git_dir.join(PAGE)).map(|page| page.path)
}

/// A script whose first line names this program.
#[derive(Debug)]
struct Page {
    path: PathBuf,
    /// Program that the system starts for the script.
    interpreter: PathBuf,
    /// True if the interpreter is this program, with no argument other than `hook`, and the line is
    /// short enough for Linux to read in full.
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
        // Linux strips spaces and tabs, but keeps a carriage return at the end of the line.
        let taken = line.trim_start_with(|c| matches!(c, ' ' | '\t'));
        let interpreter = taken.split(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
        Some(Self {
            path: path.into(),
            interpreter: OsStr::from_bytes(interpreter).into(),
            is_plain: us == 0 && words.len() <= 2 && line.len() + 2 <= MAX_LINE,
            has_byte_order_mark: marked.is_some(),
        })
    }

    /// Returns true if Gitea's delegate runs the page and the system can start its interpreter.
    fn is_started(&self, git_dir: &Path) -> bool {
        let delegate = git_dir.join(DELEGATE);
        let is_delegate = is_executable(&delegate) && Installed::read(&delegate).is_none();
        is_delegate
            && is_executable(&self.path)
            && !self.has_byte_order_mark
            && is_executable(&self.interpreter)
    }

    /// Returns true if the page runs the installed hook's binary, and that binary finds the same
    /// configuration by default.
    fn is_run_as(&self, installed: &Installed) -> bool {
        self.is_plain
            && fs::canonicalize(&self.interpreter).is_ok_and(|binary| binary == installed.binary)
            && config::find(None).is_some_and(|config| is_same(&config, &installed.config))
    }

    fn into_script(self) -> PageScript {
        let flaw = self.has_byte_order_mark.then_some(
            "it begins with a byte-order mark, so the system runs it as a shell script too; save it without \
             the mark",
        );
        PageScript { path: self.path, flaw }
    }
}

/// An installed hook, identified by its binary and its configuration.
#[derive(Debug)]
struct Installed {
    binary: PathBuf,
    config: PathBuf,
    state_dir: Option<PathBuf>,
}

impl Installed {
    /// Reads the installed hook of a repository, if it is executable and its binary exists.
    fn of(git_dir: &Path) -> Option<Self> {
        let path = git_dir.join(INSTALLED);
        Self::read(&path).filter(|_| is_executable(&path))
    }

    /// Describes this process as an installed hook, if it was given a configuration.
    fn this(config: Option<&Path>) -> Option<Self> {
        Some(Self { binary: std::env::current_exe().ok()?, config: config?.into(), state_dir: None })
    }

    fn read(path: &Path) -> Option<Self> {
        let starts = HookCommand::of_wrapper(&head_of(path)?)?;
        let binary = fs::canonicalize(starts.binary()).ok().filter(|binary| is_executable(binary))?;
        let state_dir = starts.state_dir().map(Path::to_path_buf);
        Some(Self { binary, config: starts.config().into(), state_dir })
    }
}

impl PartialEq for Installed {
    fn eq(&self, other: &Self) -> bool {
        self.binary == other.binary && is_same(&self.config, &other.config)
    }
}

/// Reads the beginning of a regular file.
fn head_of(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    regular_file::open(path).ok()?.take(MAX_READ).read_to_end(&mut head).ok()?;
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

/// Splits the first argument into words if its first word is `hook`. Linux passes everything after
/// the interpreter in a script's first line as one argument, including the carriage return of a
/// CRLF line ending.
pub(super) fn divided(args: &[OsString]) -> Option<Vec<OsString>> {
    let first = args.first()?.to_str()?;
    let words: Vec<_> = first.split_ascii_whitespace().map(OsString::from).collect();
    if words.first().is_none_or(|word| word != "hook") {
        return None;
    }
    Some(words.into_iter().chain(args[1..].iter().cloned()).collect())
}

#[cfg(test)]
mod tests;
