//! `check`: the configuration and every script, with positions and fixes.

mod problem;
mod scripts;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use problem::{Problem, Sources};

use super::{Common, Ending, terminal::Terminal};
use crate::{
    config::{self, Config, Http, Limits, RenderScript, ServiceRule, Target},
    delivery,
    policy::{self, Kind, Policy, Rendered, Renderer},
    text,
};

/// The configuration to begin with; in the program, so that one binary is all that an installation needs.
const SAMPLE: &str = include_str!("../../../docs/config.toml");

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Check these scripts instead of the configured ones
    #[arg(value_name = "SCRIPT")]
    scripts: Vec<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Print what scripts can call and read, for editors with Rhai's language server, and check nothing
    ///
    /// Save it beside the scripts as gitea-lightstep.d.rhai.
    #[arg(long, conflicts_with_all = ["scripts", "json"])]
    definitions: bool,
    /// Print a configuration to begin with, which has every key, and check nothing
    #[arg(long, conflicts_with_all = ["scripts", "json", "definitions"])]
    sample: bool,
}

/// What was looked at, and what is wrong.
#[derive(Default)]
pub(super) struct Findings {
    checked: Vec<String>,
    /// What render scripts make of markers that could be some.
    rehearsed: Vec<String>,
    problems: Vec<Problem>,
}

pub(super) fn run(args: &CheckArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    if args.definitions {
        terminal.answer(policy::definitions().trim_end())?;
        return Ok(Ending::Done);
    }
    if args.sample {
        terminal.answer(SAMPLE.trim_end())?;
        return Ok(Ending::Done);
    }
    let findings = if args.scripts.is_empty() {
        Findings::of_all(common).1
    } else {
        let mut findings = Findings::default();
        let config = findings.config(common);
        let limits = config.as_ref().map_or_else(Limits::default, |config| config.limits);
        // Those of destinations were checked with the configuration.
        let is_policy =
            |script: &&PathBuf| !config.as_ref().is_some_and(|config| is_of_a_destination(script, config));
        let policies: Vec<PathBuf> = args.scripts.iter().filter(is_policy).cloned().collect();
        findings.scripts(&policies, config.as_ref().and_then(|config| config.scripts.as_deref()), &limits);
        findings
    };
    findings.show(args.json, terminal)
}

impl Findings {
    /// Checks the configuration and every script, and returns the configuration unless it is wrong.
    pub fn of_all(common: &Common) -> (Option<Config>, Self) {
        let mut findings = Self::default();
        let config = findings.config(common);
        if let Some(config) = &config
            && let Some(dir) = &config.scripts
        {
            let mut scripts = scripts::find(dir, &mut findings.problems);
            scripts.retain(|script| !is_of_a_destination(script, config));
            let imported = findings.scripts(&scripts, Some(dir), &config.limits);
            findings.problems.extend(scripts::unreachable(dir, &scripts, &imported));
        }
        (config, findings)
    }

    /// Returns how many files were looked at.
    pub fn checked(&self) -> usize {
        self.checked.len()
    }

    /// Returns each problem on a line, and what to do about it.
    pub fn brief(&self) -> impl Iterator<Item = (String, Option<&str>)> {
        self.problems.iter().map(|problem| (problem.brief(), problem.fix.as_deref()))
    }

    fn config(&mut self, common: &Common) -> Option<Config> {
        let path = config::find(common.config.as_deref());
        self.checked.extend(path.as_ref().map(|path| path.display().to_string()));
        match config::load(path.as_deref()) {
            Ok(config) => {
                self.secrets(&config);
                self.api_key(&config);
                self.trusted(&config);
                self.services(&config);
                self.renders(&config);
                Some(config)
            }
            Err(err) => {
                self.problems.extend(err.problems().iter().map(Problem::of_config));
                None
            }
        }
    }

    fn secrets(&mut self, config: &Config) {
        for destination in &config.destinations {
            for (what, source) in destination.secrets() {
                if let Err(err) = source.read(config.delivery.timeout) {
                    let message = format!(
                        "destination `{}`: failed to read the secret for `{what}` from {source}: {err}",
                        destination.name
                    );
                    self.problems.push(Problem::with(self.checked.first().cloned(), message));
                }
            }
        }
    }

    /// Checks the scripts of destinations, as a delivery would use them.
    fn renders(&mut self, config: &Config) {
        for destination in &config.destinations {
            let Target::Http(http) = &destination.target else { continue };
            let renderer = match Renderer::load(http, &config.limits) {
                Ok(renderer) => renderer,
                Err(err) => {
                    self.problems.push(Problem::of_policy(&err));
                    continue;
                }
            };
            if let RenderScript::File(_) = http.render {
                self.checked.push(renderer.name().to_string());
            }
            let findings = renderer.findings();
            // What is found in the text fails when it runs, too.
            let (rendered, errors) =
                if findings.is_empty() { renderer.rehearse(&http.kinds) } else { Default::default() };
            let told = rendered.iter().map(|(kind, what)| told(&destination.name, *kind, what));
            self.rehearsed.extend(told);
            let found = findings.into_iter().map(|finding| Problem::of_finding(renderer.name(), finding));
            self.problems.extend(found.chain(errors.iter().map(Problem::of_script)));
            let names = [
                ("setting", http.settings.keys().collect::<Vec<_>>()),
                ("secret", http.secrets.keys().collect()),
            ];
            for (what, names) in names {
                for name in names.into_iter().filter(|name| !renderer.names(name)) {
                    let message = format!(
                        "destination `{}`: its script never asks for the {what} `{name}`",
                        destination.name
                    );
                    self.problems.push(Problem::with(self.checked.first().cloned(), message));
                }
            }
        }
    }

    fn api_key(&mut self, config: &Config) {
        let Some(api) = &config.lightstep_api else { return };
        if let Err(err) = api.key.read(config.delivery.timeout) {
            let message = format!("[lightstep]: failed to read the `api_key` from {}: {err}", api.key);
            self.problems.push(Problem::with(self.checked.first().cloned(), message));
        }
    }

    fn trusted(&mut self, config: &Config) {
        for destination in &config.destinations {
            if let Some(Err(why)) = destination.ca_file.as_deref().map(delivery::check_ca_file) {
                let message = format!("destination `{}`: `ca_file`: {why}", destination.name);
                self.problems.push(Problem::with(self.checked.first().cloned(), message));
            }
        }
    }

    /// Finds services that another one leaves nothing to say.
    fn services(&mut self, config: &Config) {
        let file = config.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        for (nth, rule) in config.services.iter().enumerate() {
            let before = &config.services[..nth];
            if let Some(other) = before.iter().find(|other| shadows(other, rule)) {
                let message = format!(
                    "the service `{}` of `{}` is there already, in line {}",
                    rule.name, rule.repository, other.line
                );
                let fix =
                    "each path is of the first of them; take this one out, or give it a name of its own";
                self.problems.push(Problem::at_line(file.clone(), rule.line, message).fixed_by(fix));
            }
        }
    }

    /// Checks scripts, and returns what they import.
    fn scripts(&mut self, scripts: &[PathBuf], dir: Option<&Path>, limits: &Limits) -> BTreeSet<String> {
        let mut imported = BTreeSet::new();
        let mut without_a_say = Vec::new();
        for script in scripts {
            let name = script.display().to_string();
            self.checked.push(name.clone());
            match Policy::check(script, dir, limits) {
                Ok(checked) => {
                    let findings = checked.findings.into_iter();
                    self.problems.extend(findings.map(|finding| Problem::of_finding(&name, finding)));
                    imported.extend(checked.imports.into_iter().map(|import| import.file));
                    without_a_say.extend(checked.without_a_say.map(|why| (name, Problem::of_script(&why))));
                }
                Err(err) => {
                    let problem = Problem::of_policy(&err);
                    // A mistake in a script is found again in those that import it.
                    if !self.problems.contains(&problem) {
                        self.problems.push(problem);
                    }
                }
            }
        }
        for (name, why) in without_a_say {
            // A function that was meant to have a say is told of by itself.
            let is_told = self.problems.iter().any(|problem| problem.file.as_ref() == Some(&name));
            if !imported.contains(&name) && !is_told {
                self.problems.push(why);
            }
        }
        imported
    }

    fn show(mut self, as_json: bool, terminal: &Terminal) -> anyhow::Result<Ending> {
        let mut sources = Sources::default();
        self.problems.iter_mut().for_each(|problem| sources.complete(problem));
        if as_json {
            let answer = serde_json::json!({ "checked": self.checked, "problems": self.problems });
            terminal.answer(answer)?;
        } else {
            for checked in &self.checked {
                terminal.detail(format_args!("checked {checked}"));
            }
            for rehearsed in &self.rehearsed {
                terminal.detail(rehearsed);
            }
            for problem in &self.problems {
                terminal.answer(format_args!("{}\n", sources.render(problem, terminal.has_colour())))?;
            }
            let checked = text::count(self.checked.len(), "file");
            match self.problems.len() {
                0 => terminal.say(format_args!("{checked} checked, all is well"))?,
                n => terminal.say(format_args!("{checked} checked, {} found", text::count(n, "problem")))?,
            }
        }
        Ok(if self.problems.is_empty() { Ending::Done } else { Ending::Found })
    }
}

/// Returns what a script makes of a marker that could be one, as people are shown it.
fn told(destination: &str, kind: Kind, rendered: &Rendered) -> String {
    let mut told = format!("{destination}, a {}:", kind.as_str());
    match rendered {
        Rendered::Nothing { why } if why.is_empty() => told.push_str(" nothing"),
        Rendered::Nothing { why } => told.push_str(&format!(" nothing: {}", text::line(why))),
        Rendered::Requests(requests) => {
            for line in requests
                .iter()
                .flat_map(|request| request.to_string().lines().map(text::line).collect::<Vec<_>>())
            {
                told.push_str("\n    ");
                told.push_str(&line);
            }
        }
    }
    told
}

/// Returns whether a destination renders with this script.
fn is_of_a_destination(script: &Path, config: &Config) -> bool {
    let same = |file: &Path| file == script || fs::canonicalize(file).ok() == fs::canonicalize(script).ok();
    config.destinations.iter().any(|destination| match &destination.target {
        Target::Http(Http { render: RenderScript::File(file), .. }) => same(file),
        _ => false,
    })
}

/// Returns whether everything that `rule` says, `other` has said before it.
fn shadows(other: &ServiceRule, rule: &ServiceRule) -> bool {
    let has_paths = other.paths.is_empty() || rule.paths.iter().all(|path| other.paths.contains(path));
    other.name == rule.name
        && other.repository == rule.repository
        && has_paths
        && (other.paths.is_empty() || !rule.paths.is_empty())
}
