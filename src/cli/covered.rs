//! What came of an installation or a removal, told to a person and as JSON.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::{Ending, gitea::Subject, terminal::Terminal};
use crate::{
    install::{Covered, GitVersion, Gitea, Obstacle, Way},
    text,
};

/// How many repositories are named of those with which the same is wrong; all, if asked for more.
const MAX_NAMED: usize = 3;

/// How wide the first column is.
const WIDTH: usize = 14;

/// What is to be told.
pub(super) struct Told<'a> {
    subject: &'a Subject,
    covered: &'a Covered,
    /// The version of git, if the way was chosen by it.
    version: Option<GitVersion>,
    is_removal: bool,
    is_dry: bool,
}

impl<'a> Told<'a> {
    pub fn install(subject: &'a Subject, covered: &'a Covered, version: GitVersion, is_dry: bool) -> Self {
        Self { subject, covered, version: Some(version), is_removal: false, is_dry }
    }

    pub fn uninstall(subject: &'a Subject, covered: &'a Covered, is_dry: bool) -> Self {
        Self { subject, covered, version: None, is_removal: true, is_dry }
    }

    /// Prints it.
    pub fn print(&self, as_json: bool, terminal: &Terminal) -> anyhow::Result<Ending> {
        if as_json {
            terminal.answer(self.json())?;
        } else {
            for line in self.lines() {
                terminal.say(line)?;
            }
            for line in self.complaints(terminal.is_verbose()) {
                terminal.message(line);
            }
        }
        let is_whole = self.covered.repositories.skipped.is_empty() && self.covered.problems.is_empty();
        Ok(if is_whole { Ending::Done } else { Ending::Found })
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
            let (new, old) = match (self.is_removal, self.covered.way) {
                (true, _) => ("the lines of ours are taken out", "no line of ours in it"),
                (false, Some(Way::ConfigHook)) => ("the config hook is put in", "the config hook is in it"),
                (false, _) => ("the template is named in it", "names the template"),
            };
            line("git's config", format!("{}: {}", text::path(path), if *is_changed { new } else { old }));
        }
        if let Some(template) = &self.covered.template {
            let is_taken = self.is_removal || self.covered.way == Some(Way::ConfigHook);
            let what = match (is_taken, template.is_joined, template.is_changed) {
                (true, true, _) => "the file of ours is taken out",
                (true, false, _) => "is taken away",
                (false, true, true) => "yours, with a file of ours in it now",
                (false, true, false) => "yours, with a file of ours in it",
                (false, false, true) => "is made: new repositories are covered",
                (false, false, false) => "covers new repositories",
            };
            line("template", format!("{}: {what}", text::path(&template.dir)));
        }
        line("repositories", self.repositories());
        if self.is_dry {
            lines.push("Nothing was changed: this is what would be done.".into());
        }
        lines
    }

    fn why(&self, version: GitVersion, way: Way) -> String {
        match way {
            Way::ConfigHook => "one config hook covers every repository".into(),
            Way::Files if version.has_config_hooks() => {
                "without an app.ini nobody knows where a config hook belongs, so each repository gets a file"
                    .into()
            }
            Way::Files => {
                format!(
                    "older than {}, which has config hooks, so each repository gets a file",
                    GitVersion::WITH_CONFIG_HOOKS
                )
            }
        }
    }

    fn repositories(&self) -> String {
        let walked = &self.covered.repositories;
        let is_taken = self.is_removal || self.covered.way == Some(Way::ConfigHook);
        let mut parts = if is_taken {
            vec![format!("{} had a file of ours", walked.are_so), format!("{} had none", walked.were_so)]
        } else {
            vec![format!("{} got the file", walked.are_so), format!("{} had it", walked.were_so)]
        };
        if walked.without_delegate > 0 && !is_taken {
            parts.push(format!("{} without a delegate yet, as pull mirrors are", walked.without_delegate));
        }
        if !walked.skipped.is_empty() {
            parts.push(format!("{} skipped", walked.skipped.len()));
        }
        parts.join(", ")
    }

    /// Returns what could not be done, for each cause a few repositories.
    fn complaints(&self, names_all: bool) -> Vec<String> {
        let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for obstacle in &self.covered.repositories.skipped {
            by_reason.entry(obstacle.reason()).or_default().push(self.name_of(obstacle));
        }
        let max = if names_all { usize::MAX } else { MAX_NAMED };
        let skipped = by_reason.into_iter().map(|(reason, names)| {
            let more = names.len().saturating_sub(max);
            let shown = names[..names.len() - more].join(", ");
            let rest = if more > 0 { format!(" and {more} more (-v names them)") } else { String::new() };
            format!("skipped {shown}{rest}: {reason}")
        });
        self.covered.problems.iter().map(Clone::clone).chain(skipped).collect()
    }

    /// Returns the repository, or the directory above it, in which something is in the way.
    fn name_of(&self, obstacle: &Obstacle) -> String {
        let path = obstacle.path();
        let below = path.strip_prefix(self.subject.place.root()).unwrap_or(path);
        let repository: std::path::PathBuf = below.components().take(2).collect();
        text::path(&repository)
    }

    fn json(&self) -> Value {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let walked = &self.covered.repositories;
        let gitea = self.subject.place.gitea();
        let skipped: Vec<Value> = walked
            .skipped
            .iter()
            .map(|obstacle| json!({ "path": shown(obstacle.path()), "why": obstacle.reason() }))
            .collect();
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
            "git_config": self.covered.git_config.as_ref().map(|(path, is_changed)| {
                json!({ "path": shown(path), "changed": is_changed })
            }),
            "template": self.covered.template.as_ref().map(|template| {
                json!({ "path": shown(&template.dir), "joined": template.is_joined, "changed": template.is_changed })
            }),
            "repositories": {
                "changed": walked.are_so,
                "unchanged": walked.were_so,
                "without_delegate": walked.without_delegate,
                "skipped": skipped,
            },
            "problems": self.covered.problems,
            "home": gitea.map(Gitea::home).map(shown),
        })
    }
}
