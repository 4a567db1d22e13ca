//! `check`: checks the configuration and every script, and reports problems with positions and
//! fixes.

mod endpoints;
mod never;
mod problem;
mod samples;
mod scripts;
mod secrets;
mod services;
mod signatures;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use problem::{Problem, Sources};
use services::ServiceFindings;

use super::{
    Common, Completion, Verbosity,
    gitea::{GITEA, GiteaArgs},
    terminal::Terminal,
};
use crate::{
    config::{self, Config, Http, RenderScript, Shipped},
    golden,
    marker::Kind,
    policy::{self, Policy, Rendered, Renderer},
    proposal,
    text::{self, Hinted},
};

/// The sample configuration. It is part of the binary, so that an installation needs no other file.
pub(super) const SAMPLE: &str = include_str!("../../../docs/config.toml");

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Check these scripts instead of the configured ones
    #[arg(value_name = "SCRIPT")]
    scripts: Vec<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Print the definitions for Rhai's language server, and check nothing
    ///
    /// They declare what scripts can call and read. Save them beside the scripts as
    /// gitea-lightstep.d.rhai.
    #[arg(long, conflicts_with_all = ["scripts", "json"])]
    definitions: bool,
    /// Print a sample configuration with every key, and check nothing
    #[arg(long, conflicts_with_all = ["scripts", "json", "definitions"])]
    sample: bool,
    /// Print the JSON schema of the configuration, or of test files, and check nothing
    ///
    /// Editors of TOML complete and check keys with it, as docs/install.md describes.
    #[arg(
        long,
        value_name = "KIND",
        num_args = 0..=1,
        default_missing_value = "config",
        conflicts_with_all = ["scripts", "json", "definitions", "sample"]
    )]
    schema: Option<SchemaOf>,
    #[command(flatten)]
    pub verbosity: Verbosity,
    #[command(flatten, next_help_heading = GITEA)]
    gitea: GiteaArgs,
}

/// A kind of TOML file that has a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    /// The configuration
    Config,
    /// Golden tests, `*.test.toml`
    Test,
}

/// The checked files and the problems in them.
#[derive(Default)]
pub(super) struct Findings {
    checked: Vec<String>,
    /// Output of the render scripts for sample markers.
    rehearsed: Vec<String>,
    problems: Vec<Problem>,
    /// Settings that work but may do harm.
    warnings: Vec<String>,
    /// Text of the configuration.
    source: String,
}

pub(super) fn run(args: &CheckArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    if args.definitions {
        terminal.answer(policy::definitions().trim_end())?;
        return Ok(Completion::Done);
    }
    if args.sample {
        terminal.answer(SAMPLE.trim_end())?;
        return Ok(Completion::Done);
    }
    if let Some(of) = args.schema {
        let schema = match of {
            SchemaOf::Config => config::schema(),
            SchemaOf::Test => golden::schema(),
        };
        terminal.document(&serde_json::to_string_pretty(&schema)?)?;
        return Ok(Completion::Done);
    }
    // A script that is named may be a draft that only root can read.
    if args.scripts.is_empty()
        && let Some(ended) = args.gitea.as_gitea_user(common, || args.words())?
    {
        return Ok(ended);
    }
    let findings = if args.scripts.is_empty() {
        Findings::of_all(common).1
    } else {
        let mut findings = Findings::default();
        let config = findings.config(common);
        // Scripts of destinations were checked together with the configuration.
        let is_policy =
            |script: &&PathBuf| !config.as_ref().is_some_and(|config| is_of_a_destination(script, config));
        let policies: Vec<PathBuf> = args.scripts.iter().filter(is_policy).cloned().collect();
        let config = config.unwrap_or_default();
        findings.scripts(&policies, config.scripts.as_deref(), &config);
        findings
    };
    findings.show(args.json, terminal)
}

impl CheckArgs {
    /// Returns the command and its options, for the process of Gitea's user.
    fn words(&self) -> Vec<OsString> {
        ["check".into()].into_iter().chain(self.json.then(|| "--json".into())).collect()
    }
}

impl Findings {
    /// Checks the configuration and all scripts. Returns the configuration unless it is invalid.
    pub fn of_all(common: &Common) -> (Option<Config>, Self) {
        let mut findings = Self::default();
        let config = findings.config(common);
        if config.as_ref().is_some_and(|config| config.path.is_none()) {
            findings.problems.push(no_configuration());
        }
        if let Some(config) = &config
            && let Some(dir) = &config.scripts
        {
            let mut scripts = policy::scripts_below(dir, |listed, err| {
                let message = format!("failed to list the scripts in `{}`: {err}", text::path(listed));
                let problem = match listed == dir {
                    true => findings.in_config(&["policy", "scripts"], message),
                    false => Problem::with(Some(listed.display().to_string()), message),
                };
                findings.problems.push(problem);
            });
            scripts.retain(|script| !is_of_a_destination(script, config));
            let imported = findings.scripts(&scripts, Some(dir), config);
            findings.problems.extend(scripts::unreachable(dir, &scripts, &imported));
        }
        (config, findings)
    }

    /// Returns the number of checked files.
    pub fn checked(&self) -> usize {
        self.checked.len()
    }

    /// Returns each problem on one line, with its fix.
    pub fn brief(&self) -> impl Iterator<Item = (String, Option<&str>)> {
        self.problems.iter().map(|problem| (problem.brief(), problem.fix.as_deref()))
    }

    fn config(&mut self, common: &Common) -> Option<Config> {
        let path = config::find(common.config.as_deref());
        self.checked.extend(path.as_ref().map(|path| path.display().to_string()));
        match config::load(path.as_deref()) {
            Ok(config) => {
                // It was parsed, so it can be read and has a bounded size.
                self.source = path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
                match super::may_run_commands(&config) {
                    Ok(()) => self.secrets(&config),
                    Err(err) => self
                        .problems
                        .push(self.in_config(&[], err.to_string()).fixed_by("run this as Gitea's user")),
                }
                self.warnings.extend(config.destinations.iter().flat_map(endpoints::warnings));
                self.trusted(&config);
                self.signatures(&config);
                let services = ServiceFindings::of(&config);
                self.problems.extend(services.problems);
                self.warnings.extend(services.warnings);
                self.renders(&config);
                Some(config)
            }
            Err(err) => {
                self.problems.extend(err.problems().iter().map(Problem::of_config));
                None
            }
        }
    }

    /// Runs each destination's script with sample markers, as a delivery would.
    fn renders(&mut self, config: &Config) {
        for destination in &config.destinations {
            let Some(http) = destination.target.scripted() else { continue };
            self.warnings.extend(warning(&destination.name, http));
            let renderer = match Renderer::load(http, &config.limits) {
                Ok(renderer) => renderer,
                Err(err) => {
                    self.problems.push(Problem::of_policy(&err));
                    continue;
                }
            };
            if http.render.path().is_some() {
                self.checked.push(renderer.name().to_string());
            }
            let findings = renderer.findings();
            // Do not run a script with findings: it would fail and report the same problem twice.
            let (rendered, errors) =
                if findings.is_empty() { renderer.rehearse(&http.kinds) } else { Default::default() };
            let told = rendered.iter().map(|(kind, what)| describe_rendered(&destination.name, *kind, what));
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
                        "destination `{}`: its script never uses the {what} `{name}`",
                        destination.name
                    );
                    let table = if what == "setting" { "settings" } else { "secrets" };
                    let keys = ["destination", &destination.name, table, name];
                    self.problems.push(self.in_config(&keys, message));
                }
            }
        }
    }

    /// Returns a problem at a setting of the configuration.
    fn in_config(&self, keys: &[&str], message: impl Into<Hinted>) -> Problem {
        let Hinted { message, hint } = message.into();
        let (line, column) = config::place_of(&self.source, keys).unzip();
        Problem { line, column, fix: hint, ..Problem::with(self.checked.first().cloned(), message) }
    }

    /// Checks scripts, and returns the files that they import.
    fn scripts(&mut self, scripts: &[PathBuf], dir: Option<&Path>, config: &Config) -> BTreeSet<String> {
        let mut imported = BTreeSet::new();
        let (mut without_a_say, mut sound) = (Vec::new(), Vec::new());
        for script in scripts {
            let name = script.display().to_string();
            self.checked.push(name.clone());
            match Policy::check(script, dir, &config.limits) {
                Ok(checked) => {
                    // A script with findings would fail and report the same problem twice.
                    let is_sound = checked.findings.is_empty() && checked.without_a_say.is_none();
                    sound.extend(is_sound.then_some(script.as_path()));
                    let findings = checked.findings.into_iter();
                    self.problems.extend(findings.map(|finding| Problem::of_finding(&name, finding)));
                    imported.extend(checked.imports.into_iter().map(|import| import.file));
                    without_a_say.extend(checked.without_a_say.map(|why| (name, Problem::of_script(&why))));
                }
                Err(err) => {
                    let problem = Problem::of_policy(&err);
                    // An error in an imported script is found again in each script that imports it.
                    if !self.problems.contains(&problem) {
                        self.problems.push(problem);
                    }
                }
            }
        }
        for (name, why) in without_a_say {
            // Skip a script with another problem. Its function may only be misspelled, which is
            // reported already.
            let is_told = self.problems.iter().any(|problem| problem.file.as_ref() == Some(&name));
            if !imported.contains(&name) && !is_told {
                self.problems.push(why);
            }
        }
        self.try_samples(&sound, dir, config);
        imported
    }

    fn show(mut self, as_json: bool, terminal: &Terminal) -> anyhow::Result<Completion> {
        let mut sources = Sources::default();
        self.problems.iter_mut().for_each(|problem| sources.complete(problem));
        if as_json {
            let answer = serde_json::json!({ "checked": self.checked, "problems": self.problems, "warnings": self.warnings });
            terminal.json(answer)?;
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
            for warning in &self.warnings {
                terminal.message(format_args!("warning: {warning}"));
            }
            let checked = text::count(self.checked.len(), "file");
            match (self.problems.len(), self.warnings.len()) {
                (0, 0) => terminal.say(format_args!("{checked} checked, all is well"))?,
                (0, n) => terminal.say(format_args!("{checked} checked, {}", text::count(n, "warning")))?,
                (n, _) => {
                    terminal.say(format_args!("{checked} checked, {} found", text::count(n, "problem")))?;
                }
            }
        }
        Ok(if self.problems.is_empty() { Completion::Done } else { Completion::Found })
    }
}

/// Returns the problem of an installation without a configuration.
fn no_configuration() -> Problem {
    let places: Vec<_> = config::places().iter().map(|place| format!("`{}`", text::path(place))).collect();
    let message = format!(
        "no configuration found, so markers are kept and sent nowhere; looked at $GITEA_LIGHTSTEP_CONFIG, which is not \
         set, and for {}",
        places.join(", ")
    );
    let sample = proposal::command("check --sample");
    Problem::with(None, message)
        .fixed_by(format!("name it with --config, or write one; `{sample}` prints a sample"))
}

/// Formats the output of a render script for a sample marker.
fn describe_rendered(destination: &str, kind: Kind, rendered: &Rendered) -> String {
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

/// Returns a warning if the destination sets commit statuses for changes or releases.
fn warning(destination: &str, http: &Http) -> Option<String> {
    let is_gitea = matches!(&http.render, RenderScript::Shipped(shipped) if shipped.name == Shipped::GITEA);
    let risky: Vec<_> =
        http.kinds.iter().filter(|kind| matches!(kind, Kind::Change | Kind::Release)).collect();
    let [first, ..] = &risky[..] else { return None };
    is_gitea.then(|| {
        format!(
            "destination `{destination}`: a commit status for a `{}` counts as a successful check, and Gitea \
             may merge a pull request that waits for its checks; set `kinds` to [\"deployment\", \
             \"rollback\"]",
            first.as_str()
        )
    })
}

/// Returns true if a destination uses this render script.
fn is_of_a_destination(script: &Path, config: &Config) -> bool {
    let same = |file: &Path| file == script || fs::canonicalize(file).ok() == fs::canonicalize(script).ok();
    let mut scripted = config.destinations.iter().filter_map(|to| to.target.scripted());
    scripted.any(|http| http.render.path().is_some_and(same))
}
