//! Reports the result of an installation or a removal, as text or JSON.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Completion, gitea::GiteaInstance, terminal::Terminal};
use crate::{
    install::{Covered, GitVersion, Gitea, Obstacle, Way},
    state::purge::Purged,
    text,
};

/// Maximum number of repositories named for one problem. With `--verbose`, all are named.
const MAX_NAMED: usize = 3;

/// Width of the first column, in characters.
const WIDTH: usize = 14;

/// The result of an installation or a removal.
pub(super) struct InstallReport<'a> {
    subject: &'a GiteaInstance,
    covered: &'a Covered,
    /// Version of git, if it decided the kind of hook.
    version: Option<GitVersion>,
    is_removal: bool,
    is_dry: bool,
    /// State directory, if it was to be removed, and the outcome unless this is a dry run.
    state: Option<(PathBuf, Option<Purged>)>,
}

impl<'a> InstallReport<'a> {
    pub fn install(
        subject: &'a GiteaInstance,
        covered: &'a Covered,
        version: GitVersion,
        is_dry: bool,
    ) -> Self {
        Self { subject, covered, version: Some(version), is_removal: false, is_dry, state: None }
    }

    pub fn uninstall(subject: &'a GiteaInstance, covered: &'a Covered, is_dry: bool) -> Self {
        Self { subject, covered, version: None, is_removal: true, is_dry, state: None }
    }

    /// Adds the outcome for the state directory.
    pub fn state(&mut self, dir: &Path, purged: Option<Purged>) {
        self.state = Some((dir.into(), purged));
    }

    /// Prints the report.
    pub fn print(&self, as_json: bool, terminal: &Terminal) -> anyhow::Result<Completion> {
        if as_json {
            terminal.json(self.json())?;
        } else {
            for line in self.lines() {
                terminal.say(line)?;
            }
            for line in self.complaints(terminal.is_verbose()) {
                terminal.message(line);
            }
        }
        let walked = &self.covered.repositories;
        let is_whole = walked.skipped.is_empty()
            && walked.without_ref_hook.is_empty()
            && self.covered.problems.is_empty();
        Ok(if is_whole { Completion::Done } else { Completion::Found })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |label: &str, what: String| lines.push(format!("{label:WIDTH$} {what}"));
        let whose = match self.subject.place.gitea() {
            Some(gitea) => text::path(gitea.config()),
            None => text::path(self.subject.place.root()),
        };
        line("Gitea", format!("{whose}, user {}", self.subject.run_user));
        if let (Some(version), Some(way)) = (self.version, self.covered.way) {
            line("git", format!("{version}: {}", self.why(version, way)));
        }
        if let Some((path, is_changed)) = &self.covered.git_config {
            line("git's config", format!("{}: {}", text::path(path), self.what_of_git_config(*is_changed)));
        }
        if let Some(template) = &self.covered.template {
            let what = match (self.is_taking(), template.is_joined, template.is_changed) {
                (true, true, _) => self.tense("our file was removed", "our file would be removed"),
                (true, false, _) => self.tense("removed", "would be removed"),
                (false, true, true) => {
                    self.tense("your own; our file was added", "your own; our file would be added")
                }
                (false, true, false) => "your own, with our file",
                (false, false, true) => {
                    self.tense("created, for new repositories", "would be created, for new repositories")
                }
                (false, false, false) => "for new repositories",
            };
            line("template", format!("{}: {what}", text::path(&template.dir)));
        }
        if self.covered.note.is_none() || self.covered.repositories.seen() > 0 {
            line("repositories", self.repositories());
        }
        lines.extend(self.covered.note.clone());
        let mut line = |label: &str, what: String| lines.push(format!("{label:WIDTH$} {what}"));
        if let Some((dir, purged)) = &self.state {
            let what = match purged {
                None => "would be removed",
                Some(Purged::Gone) => "removed",
                Some(Purged::Emptied) => {
                    "emptied, but not removed: its parent directory belongs to another user"
                }
                Some(Purged::WasNone) => "did not exist",
            };
            line("state", format!("{}: {what}", text::path(dir)));
        }
        if self.is_dry {
            lines.push("Nothing was changed.".into());
        }
        lines
    }

    /// Returns true if hook files are removed from repositories: on a removal, or because a config
    /// hook replaces them.
    fn is_taking(&self) -> bool {
        self.is_removal || self.covered.way == Some(Way::ConfigHook)
    }

    fn tense(&self, is: &'static str, would_be: &'static str) -> &'static str {
        if self.is_dry { would_be } else { is }
    }

    fn what_of_git_config(&self, is_changed: bool) -> &'static str {
        match (self.is_removal, self.covered.way, is_changed) {
            (true, _, true) => self.tense("our lines were removed", "our lines would be removed"),
            (true, _, false) => "has none of our lines",
            (false, Some(Way::ConfigHook), true) => {
                if self.covered.has_ref_hook {
                    self.tense("the config hooks were added", "the config hooks would be added")
                } else {
                    self.tense("the config hook was added", "the config hook would be added")
                }
            }
            (false, Some(Way::ConfigHook), false) if self.covered.has_ref_hook => "has the config hooks",
            (false, Some(Way::ConfigHook), false) => "has the config hook",
            (false, _, true) => self.tense("the template was set", "the template would be set"),
            (false, _, false) => "names the template",
        }
    }

    fn why(&self, version: GitVersion, way: Way) -> String {
        match way {
            Way::ConfigHook if self.covered.has_ref_hook => {
                "supports config hooks, and two cover every repository: for pushes and for other ref changes"
                    .into()
            }
            Way::ConfigHook => "supports config hooks, and one covers every repository".into(),
            Way::Files if version.has_config_hooks() => {
                "without an app.ini, the place for a config hook is unknown, so each repository gets a file"
                    .into()
            }
            Way::Files => {
                let files = if self.covered.has_ref_hook {
                    "two files: for pushes and for other ref changes"
                } else {
                    "a file"
                };
                format!(
                    "does not support config hooks (new in {}), so each repository gets {files}",
                    GitVersion::WITH_CONFIG_HOOKS
                )
            }
        }
    }

    fn repositories(&self) -> String {
        let walked = &self.covered.repositories;
        let taken = format!(
            "{} {}",
            self.tense("our file was removed from", "our file would be removed from"),
            walked.are_so
        );
        let mut parts = match (self.is_removal, self.covered.way) {
            (true, _) => vec![taken, format!("{} had none", walked.were_so + walked.without_hooks)],
            (false, Some(Way::ConfigHook)) => {
                let covered = format!("{} {}", walked.seen(), self.tense("covered", "would be covered"));
                let taken = (walked.are_so > 0).then(|| format!("{taken} of them"));
                [covered].into_iter().chain(taken).collect()
            }
            (false, _) => {
                let (now, before) = if self.is_dry {
                    ("would be covered", "already covered")
                } else {
                    ("newly covered", "already covered")
                };
                vec![format!("{} {now}", walked.are_so), format!("{} {before}", walked.were_so)]
            }
        };
        if walked.without_delegate > 0 && !self.is_taking() {
            parts.push(format!(
                "{} without Gitea's own hook, such as pull mirrors, where nothing runs yet",
                walked.without_delegate
            ));
        }
        if walked.excluded > 0 {
            parts.push(format!("{} excluded", walked.excluded));
        }
        if !walked.without_ref_hook.is_empty() {
            let which = if self.covered.has_ref_hook { "without our" } else { "still with our" };
            parts.push(format!("{} {which} hook for other ref changes", walked.without_ref_hook.len()));
        }
        if !walked.skipped.is_empty() {
            parts.push(format!("{} skipped", walked.skipped.len()));
        }
        parts.join(", ")
    }

    /// Returns the problems, each with a few of the repositories that have it.
    fn complaints(&self, names_all: bool) -> Vec<String> {
        let max = if names_all { usize::MAX } else { MAX_NAMED };
        let group = |what: &str, obstacles: &[Obstacle]| {
            let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for obstacle in obstacles {
                by_reason.entry(obstacle.reason()).or_default().push(self.name_of(obstacle));
            }
            let lines = by_reason.into_iter().map(|(reason, names)| {
                let more = names.len().saturating_sub(max);
                let shown = names[..names.len() - more].join(", ");
                let rest = if more > 0 { format!(" and {more} more (-v names them)") } else { String::new() };
                format!("{what} {shown}{rest}: {reason}")
            });
            lines.collect::<Vec<_>>()
        };
        let walked = &self.covered.repositories;
        let skipped = group("skipped", &walked.skipped);
        let without = group("skipped the hook for other ref changes in", &walked.without_ref_hook);
        self.covered.problems.iter().map(Clone::clone).chain(skipped).chain(without).collect()
    }

    /// Returns the path of the affected repository, or of the directory above it, below the root.
    fn name_of(&self, obstacle: &Obstacle) -> String {
        let path = obstacle.path();
        let below = path.strip_prefix(self.subject.place.root()).unwrap_or(path);
        let repository: PathBuf = below.components().take(2).collect();
        text::path(&repository)
    }

    fn json(&self) -> Value {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let walked = &self.covered.repositories;
        let gitea = self.subject.place.gitea();
        let obstacles = |obstacles: &[Obstacle]| {
            let shown = obstacles
                .iter()
                .map(|obstacle| json!({ "path": shown(obstacle.path()), "why": obstacle.reason() }));
            shown.collect::<Vec<Value>>()
        };
        json!({
            "dry_run": self.is_dry,
            "gitea_config": gitea.map(|gitea| shown(gitea.config())),
            "root": shown(self.subject.place.root()),
            "run_user": self.subject.run_user.to_string(),
            "git": self.version.map(|version| version.to_string()),
            "way": self.covered.way.map(|way| match way {
                Way::ConfigHook => "config_hook",
                Way::Files => "files",
            }),
            "ref_hook": self.covered.has_ref_hook,
            "git_config": self.covered.git_config.as_ref().map(|(path, is_changed)| {
                json!({ "path": shown(path), "changed": is_changed })
            }),
            "template": self.covered.template.as_ref().map(|template| {
                json!({ "path": shown(&template.dir), "joined": template.is_joined, "changed": template.is_changed })
            }),
            "repositories": {
                "changed": walked.are_so,
                "unchanged": walked.were_so,
                "excluded": walked.excluded,
                "without_delegate": walked.without_delegate,
                "without_ref_hook": obstacles(&walked.without_ref_hook),
                "skipped": obstacles(&walked.skipped),
            },
            "note": self.covered.note,
            "problems": self.covered.problems,
            "purged": self.state.as_ref().map(|(dir, purged)| {
                json!({ "path": shown(dir), "gone": purged.map(|purged| purged != Purged::Emptied) })
            }),
            "home": gitea.map(Gitea::home).map(shown),
        })
    }
}
