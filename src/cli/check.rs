//! `check`: the configuration and every script, with positions and fixes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Common, Ending, terminal::Terminal};
use crate::{
    config::{self, Config, HeaderValue, Limits},
    policy::Policy,
    text,
};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Check these scripts instead of the configured ones
    #[arg(value_name = "SCRIPT")]
    scripts: Vec<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
struct Findings {
    checked: Vec<String>,
    problems: Vec<String>,
}

pub(super) fn run(args: &CheckArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let mut findings = Findings::default();
    let config = findings.config(common);
    let limits = config.as_ref().map_or_else(Limits::default, |config| config.limits);
    let scripts = if args.scripts.is_empty() {
        config
            .as_ref()
            .and_then(|config| config.scripts.as_deref())
            .map_or_else(Vec::new, |dir| findings.find(dir))
    } else {
        args.scripts.clone()
    };
    let dir = config.as_ref().and_then(|config| config.scripts.as_deref());
    findings.scripts(&scripts, dir, &limits);

    if args.json {
        let answer = serde_json::json!({ "checked": findings.checked, "problems": findings.problems });
        terminal.answer(answer)?;
    } else {
        for checked in &findings.checked {
            terminal.detail(format_args!("checked {checked}"));
        }
        for problem in &findings.problems {
            terminal.answer(problem)?;
        }
        let checked = text::count(findings.checked.len(), "file");
        match findings.problems.len() {
            0 => terminal.say(format_args!("{checked} checked, all is well"))?,
            n => terminal.say(format_args!("{checked} checked, {} found", text::count(n, "problem")))?,
        }
    }
    Ok(if findings.problems.is_empty() { Ending::Done } else { Ending::Found })
}

impl Findings {
    fn config(&mut self, common: &Common) -> Option<Config> {
        let path = config::find(common.config.as_deref());
        self.checked.extend(path.as_ref().map(|path| path.display().to_string()));
        match config::load(path.as_deref()) {
            Ok(config) => {
                self.secrets(&config);
                Some(config)
            }
            Err(err) => {
                self.problems.extend(err.problems().iter().map(ToString::to_string));
                None
            }
        }
    }

    fn secrets(&mut self, config: &Config) {
        for destination in &config.destinations {
            for (header, value) in &destination.headers {
                if let HeaderValue::Secret(source) = value
                    && let Err(err) = source.read(config.delivery.timeout)
                {
                    self.problems.push(format!(
                        "destination `{}`: failed to read the secret for `{header}` from {source}: {err}",
                        destination.name
                    ));
                }
            }
        }
    }

    /// Finds every script below the directory: `site.rhai`, `OWNER.rhai`, `OWNER/REPO.rhai`.
    fn find(&mut self, dir: &Path) -> Vec<PathBuf> {
        let mut scripts = Vec::new();
        let mut dirs = vec![dir.to_path_buf()];
        while let Some(dir) = dirs.pop() {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(err) => {
                    self.problems.push(format!("{}: failed to list the scripts: {err}", dir.display()));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    dirs.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rhai") {
                    scripts.push(path);
                }
            }
        }
        scripts.sort();
        scripts
    }

    fn scripts(&mut self, scripts: &[PathBuf], dir: Option<&Path>, limits: &Limits) {
        let mut imported = BTreeSet::new();
        let mut without_a_say = Vec::new();
        for script in scripts {
            let name = script.display().to_string();
            self.checked.push(name.clone());
            match Policy::check(script, dir, limits) {
                Ok(checked) => {
                    imported.extend(checked.imports.into_iter().map(|import| import.file));
                    without_a_say.extend(checked.without_a_say.map(|why| (name, why)));
                }
                // A mistake in a script is found again in those that import it.
                Err(err) if self.problems.contains(&err.to_string()) => {}
                Err(err) => self.problems.push(err.to_string()),
            }
        }
        let useless = without_a_say.into_iter().filter(|(name, _)| !imported.contains(name));
        self.problems.extend(useless.map(|(_, why)| why.to_string()));
    }
}
