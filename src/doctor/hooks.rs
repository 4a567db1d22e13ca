//! Whether every push reaches us, once, and nobody else who is not known.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{access::is_noexec, report::Check};
use crate::{
    install::{GitVersion, HookCommand, Oddity, Survey, Trap},
    text,
};

/// How many places are named of those where the same is wrong.
const MAX_NAMED: usize = 5;

/// What is known of how pushes are to come to us.
pub struct Covering<'a> {
    /// Where repositories are.
    pub root: &'a Path,
    /// What the config hook starts, if there is one.
    pub config_hook: Option<&'a HookCommand>,
    /// Whether this git runs it.
    pub version: GitVersion,
    /// Programs beside Gitea's hooks that somebody has vouched for, by their names.
    pub expected: &'a BTreeSet<String>,
}

impl Covering<'_> {
    /// Returns whether the config hook takes every push.
    fn is_config_hook_at_work(&self) -> bool {
        self.config_hook.is_some() && self.version.has_config_hooks()
    }

    /// Says what is wrong with the hooks in the repositories.
    pub fn check(&self, survey: &Survey) -> Check {
        let with_file: usize = survey.commands.values().sum();
        let how = if self.is_config_hook_at_work() {
            "one config hook takes every push".to_string()
        } else {
            format!("{with_file} with a file of ours")
        };
        let repositories = match survey.repositories {
            1 => "1 repository".to_string(),
            n => format!("{n} repositories"),
        };
        let without = match survey.without_delegate {
            0 => String::new(),
            n => format!(", {n} in which Gitea runs no hooks, as in pull mirrors"),
        };
        let mut check = Check::new("hooks").saw(format!("{repositories}, {how}{without}"));
        self.covered(survey, with_file, &mut check);
        if is_noexec(self.root) {
            check.found(
                format!(
                    "`{}` is on a file system that is mounted noexec: no hook runs, Gitea's own neither",
                    text::path(self.root)
                ),
                "mount it with exec",
            );
        }
        for (oddity, paths) in &survey.oddities {
            self.odd(oddity, paths, &mut check);
        }
        check
    }

    fn covered(&self, survey: &Survey, with_file: usize, check: &mut Check) {
        if self.is_config_hook_at_work() {
            if with_file > 0 {
                check.found(
                    format!("{with_file} repositories have a file of ours beside the config hook: each push there would be taken twice"),
                    "`gitea-lightstep install` takes the files out",
                );
            }
            return;
        }
        if self.config_hook.is_some() {
            check.found(
                format!(
                    "the config hook is never run by git {}, which is older than {}",
                    self.version,
                    GitVersion::WITH_CONFIG_HOOKS
                ),
                "`gitea-lightstep install` puts a file into each repository instead",
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
                "`gitea-lightstep install` puts it there; a timer (`install.sh --timer`) does so for those that are adopted or restored later",
            );
        }
    }

    fn odd(&self, oddity: &Oddity, paths: &[PathBuf], check: &mut Check) {
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
                "Gitea's own post-receive hook is not there or not executable, so no hook is run".to_string(),
                "`gitea admin regenerate hooks`, as Gitea's user".to_string(),
            ),
            Oddity::WrapperDead => {
                ("our hook is not executable, and is passed over in silence".into(), "`gitea-lightstep install` mends it".into())
            }
            Oddity::WrapperForeign => (
                "a file of somebody else's has the name of our hook".into(),
                "look what it is; once it has another name, `gitea-lightstep install`".into(),
            ),
            Oddity::WrapperChanged => (
                "our hook was changed by hand, and starts something else".into(),
                "`gitea-lightstep install` writes it anew".into(),
            ),
            Oddity::PageMarked => (
                "the Git Hooks page begins with a byte-order mark, so the system runs its text as a shell script, and the pusher reads errors".into(),
                "save the page once more without it".into(),
            ),
            Oddity::Unexpected => (
                "programs run at every push that neither Gitea nor gitea-lightstep has put there".into(),
                "look what each is: this is where an intruder leaves one. Those that you know, name with --expected".into(),
            ),
            Oddity::Loose => (
                "others than Gitea's user may write there, and so have Gitea run what they like".into(),
                "`chmod go-w` each; Gitea 1.27.3 and newer make them so".into(),
            ),
            Oddity::Owner(owner) => (
                format!("the user {owner} owns it, and not Gitea's: Gitea 1.27.3 and newer cannot start then when their path changes"),
                "`chown` each to Gitea's user".into(),
            ),
            Oddity::Unseen(why) => (why.clone(), "what cannot be looked at cannot be covered either".into()),
        };
        check.found(format!("{what}: {}", self.some(paths)), fix);
    }

    /// Names some of many, below the root.
    fn some(&self, paths: &[PathBuf]) -> String {
        let below = |path: &PathBuf| text::path(path.strip_prefix(self.root).unwrap_or(path));
        let named: Vec<String> = paths.iter().take(MAX_NAMED).map(below).collect();
        let rest = paths.len().saturating_sub(MAX_NAMED);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        format!("{}{more}", named.join(", "))
    }
}

/// Says what in Gitea's git configuration keeps hooks from running.
pub fn git_config(path: &Path, traps: &[Trap], check: &mut Check) {
    let shown = text::path(path);
    for trap in traps {
        match trap {
            Trap::Malformed { line } => check.found(
                format!("{shown}:{line}: git cannot read this line, and does nothing at all for Gitea"),
                "mend the line, or put back the file as it was",
            ),
            Trap::EventAlone { hook, line } => check.found(
                format!("{shown}:{line}: the hook `{hook}` has an `event` and no `command`, so every push fails"),
                "give it a `command`, or take the `event` out first of all",
            ),
            Trap::BareCommand { hook, line } => check.found(
                format!("{shown}:{line}: the `command` of the hook `{hook}` cannot be run; git stops there, and Gitea never hears of any push"),
                "write it as `test ! -x PROGRAM || PROGRAM; :`, which a shell runs whatever becomes of PROGRAM",
            ),
            Trap::HooksPath { line } => check.found(
                format!("{shown}:{line}: with `core.hooksPath`, the hooks of the repositories are not run, Gitea's protection of branches neither"),
                "take it out",
            ),
        }
    }
}
