//! Checks that every push runs our hook exactly once, and that no unknown program runs beside it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use super::{access::is_noexec, report::Check};
use crate::{
    install::{GitVersion, HookCommand, Oddity, Survey, Trap},
    proposal::{self, command},
    sys::users,
    text,
};

/// Maximum number of paths named for one problem.
const MAX_NAMED: usize = 5;

/// The facts that decide how pushes reach our hook.
pub struct Covering<'a> {
    /// Directory of the repositories.
    pub root: &'a Path,
    /// Command of the config hook, if there is one.
    pub config_hook: Option<&'a HookCommand>,
    /// True if there is a config hook for ref changes that no push brings.
    pub has_ref_hook: bool,
    /// Version of git, which decides if config hooks run.
    pub version: GitVersion,
    /// File names of programs beside Gitea's hooks that the administrator expects.
    pub expected: &'a BTreeSet<String>,
    /// Advice to have Gitea write its own hooks again.
    pub regenerate: &'a str,
}

impl Covering<'_> {
    /// Returns true if the config hook handles every push.
    fn is_config_hook_at_work(&self) -> bool {
        self.config_hook.is_some() && self.version.has_config_hooks()
    }

    /// Reports problems with the hooks in the repositories.
    pub fn check(&self, survey: &Survey) -> Check {
        let with_file: usize = survey.commands.values().sum();
        let how = if self.is_config_hook_at_work() {
            let noticed = if self.has_ref_hook { ", and one notices other ref changes" } else { "" };
            format!("one config hook handles every push{noticed}")
        } else {
            let noticed = match survey.ref_hooks {
                0 => String::new(),
                n => format!(", {n} with the one that notices other ref changes"),
            };
            format!("{with_file} with our hook file{noticed}")
        };
        let repositories = match survey.repositories {
            1 => "1 repository".to_string(),
            n => format!("{n} repositories"),
        };
        let without = match survey.without_delegate {
            0 => String::new(),
            n => format!(", {n} in which Gitea runs no hooks, such as pull mirrors"),
        };
        let mut check = Check::new("hooks").saw(format!("{repositories}, {how}{without}"));
        self.covered(survey, with_file, &mut check);
        if is_noexec(self.root) {
            check.found(
                format!(
                    "`{}` is on a file system that is mounted noexec: no hook runs, not even Gitea's own",
                    text::path(self.root)
                ),
                "mount it with exec",
            );
        }
        for (oddity, paths) in &survey.oddities {
            self.odd(oddity, paths, &install_again(survey), &mut check);
        }
        check
    }

    fn covered(&self, survey: &Survey, with_file: usize, check: &mut Check) {
        if self.is_config_hook_at_work() {
            if with_file > 0 {
                check.found(
                    format!(
                        "{with_file} repositories have our hook file and the config hook: each push there \
                         would be handled twice"
                    ),
                    format!("`{}` removes the files", command("install")),
                );
            }
            return;
        }
        if self.config_hook.is_some() {
            check.found(
                format!(
                    "git {} does not run the config hook, because it is older than {}",
                    self.version,
                    GitVersion::WITH_CONFIG_HOOKS
                ),
                format!("`{}` puts a file into each repository instead", command("install")),
            );
        }
        if !survey.uncovered.is_empty() {
            let what = if with_file == 0 && self.config_hook.is_none() {
                "no hook of ours is installed"
            } else {
                "not every repository has our hook"
            };
            check.found(
                format!("{what}: {}", self.some(&survey.uncovered)),
                format!(
                    "`{}` adds it; the timer that install.sh sets up covers repositories that are \
                     adopted or restored later",
                    install_again(survey)
                ),
            );
        }
    }

    fn odd(&self, oddity: &Oddity, paths: &[PathBuf], install_again: &str, check: &mut Check) {
        let unknown: Vec<PathBuf>;
        let paths = if *oddity == Oddity::Unexpected {
            let is_expected = |path: &&PathBuf| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| self.expected.contains(name))
            };
            unknown = paths.iter().filter(|path| !is_expected(path)).cloned().collect();
            &unknown
        } else {
            paths
        };
        if paths.is_empty() {
            return;
        }
        let (what, fix) = match oddity {
            Oddity::DelegateDead => (
                "Gitea's own post-receive hook is missing or not executable, so no hook runs".to_string(),
                self.regenerate.to_string(),
            ),
            Oddity::Dead => {
                let fix = format!("`{install_again}` fixes it");
                ("our hook is not executable, so it is skipped".into(), fix)
            }
            Oddity::WrapperForeign => (
                "a file that is not ours has the name of our hook".into(),
                format!("inspect and rename it, then run `{install_again}`"),
            ),
            Oddity::Changed => (
                "our hook was edited by hand, and starts something else".into(),
                format!("`{install_again}` rewrites it"),
            ),
            Oddity::PageMarked => (
                "the Git Hooks page begins with a byte-order mark, so the system runs its text as a shell \
                 script, and the pusher sees errors".into(),
                "save the page again without it".into(),
            ),
            Oddity::Unexpected => (
                "programs that neither Gitea nor gitea-lightstep installed run at every push".into(),
                "inspect each one, because intruders leave such programs here; name those that you know with \
                 --expected".into(),
            ),
            Oddity::Loose => (
                "users other than Gitea's may write there, and so make Gitea run any program".into(),
                format!("{}; Gitea 1.27.3 and newer create them this way", run_on("chmod go-w", paths)),
            ),
            Oddity::Owner(owner) => (
                format!("{} owns it instead of Gitea's user: Gitea 1.27.3 and newer then cannot start after \
                         their path changes", users::user(*owner)),
                run_on(&format!("chown {}", users::user_word(geteuid().as_raw())), paths),
            ),
            Oddity::Format(why) => (
                format!("{why}; pushes to it cannot be decided"),
                "update gitea-lightstep and git; a newer git changed the format of the repository".into(),
            ),
            Oddity::Unseen(why) => (why.clone(), "let Gitea's user read it, so that it can be covered".into()),
        };
        check.found(format!("{what}: {}", self.some(paths)), fix);
    }

    /// Names a few of the paths, relative to the root.
    fn some(&self, paths: &[PathBuf]) -> String {
        let below = |path: &PathBuf| text::path(path.strip_prefix(self.root).unwrap_or(path));
        let named: Vec<String> = paths.iter().take(MAX_NAMED).map(below).collect();
        let rest = paths.len().saturating_sub(MAX_NAMED);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        format!("{}{more}", named.join(", "))
    }
}

/// Returns the command that repairs the hooks and has the same options as the installation.
pub fn install_again(survey: &Survey) -> String {
    command(if survey.ref_hooks > 0 { "install --ref-hook" } else { "install" })
}

/// Returns advice to run a command on the first of these paths.
fn run_on(command: &str, paths: &[PathBuf]) -> String {
    let named = paths.iter().take(MAX_NAMED);
    let words: String = named.clone().map(|path| format!(" {}", text::shell(path))).collect();
    let is_ours = command.starts_with("chmod") && named.clone().all(|path| users::owns(path));
    let line = format!("{command}{words}");
    let line = if is_ours { line } else { proposal::as_root(&line) };
    if paths.len() <= MAX_NAMED {
        return format!("run `{line}`");
    }
    format!("run `{line}`, which names the first, and then `{}` again", proposal::command("doctor"))
}

/// Reports settings in Gitea's git configuration that keep hooks from running.
pub fn git_config(path: &Path, traps: &[Trap], check: &mut Check) {
    let shown = text::path(path);
    for trap in traps {
        match trap {
            Trap::Malformed { line } => check.found(
                format!("{shown}:{line}: git cannot parse this line, so every git command of Gitea fails"),
                "fix the line, or restore the file",
            ),
            Trap::EventAlone { hook, line } => check.found(
                format!(
                    "{shown}:{line}: the hook `{hook}` has an `event` and no `command`, so every push fails"
                ),
                "give it a `command`, or remove the `event`",
            ),
            Trap::BareCommand { hook, line, command } => check.found(
                format!(
                    "{shown}:{line}: the `command` of the hook `{hook}` cannot be run; git stops there, and \
                     Gitea is not notified of any push"
                ),
                format!("write it as `test ! -x {command} || {command}; :`, which succeeds if the program is missing"),
            ),
            Trap::HooksPath { line } => check.found(
                format!(
                    "{shown}:{line}: `core.hooksPath` keeps the hooks of the repositories from running, \
                     including Gitea's branch protection"
                ),
                "remove it",
            ),
        }
    }
}
