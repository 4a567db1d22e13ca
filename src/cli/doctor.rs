//! `doctor`: every cause of "no marker came" that is known, each with what to do about it.

use std::{collections::BTreeSet, ffi::OsString, path::Path, time::Duration};

use clap::Args;

use super::{
    Common, Ending,
    check::Findings,
    gitea::{GiteaArgs, Subject, Worker},
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config::{self, Config},
    doctor::{self, Check, Covering, Rehearsal, Server},
    install::{self, Gitea, HookCommand, Survey, Walking},
    state::State,
    text,
    time::Timestamp,
};

/// How long Gitea may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    gitea: GiteaArgs,
    /// A program beside Gitea's hooks that you know of, by its name (can be repeated)
    #[arg(long, value_name = "NAME")]
    expected: Vec<String>,
    /// Do not try a push to a throw-away repository
    #[arg(long)]
    no_push: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config_path = config::find(common.config.as_deref());
    let words = || {
        let mut words: Vec<OsString> = vec!["doctor".into()];
        if let Some(path) = &config_path {
            words.extend(["--config".into(), std::path::absolute(path)?.into()]);
        }
        words.extend(args.expected.iter().flat_map(|name| ["--expected".into(), name.into()]));
        words.extend(args.no_push.then(|| "--no-push".into()));
        words.extend(args.json.then(|| "--json".into()));
        Ok(words)
    };
    let subject = match args.gitea.worker(common, words) {
        Ok(Worker::This(subject)) => Ok(subject),
        Ok(Worker::Other(ending)) => return Ok(ending),
        // What can be looked at without a Gitea is looked at all the same.
        Err(err) => Err(err),
    };
    let (config, mut checks) = own(common)?;
    match subject {
        Ok(subject) => {
            let look = Look { args, subject: &subject, config: config.as_ref(), terminal };
            checks.extend(look.at_gitea()?);
        }
        Err(err) => {
            let mut check = Check::new("gitea");
            check.found(
                format!("{err:#}"),
                "name its app.ini with --gitea-config, or a tree of repositories with --root",
            );
            checks.push(check);
        }
    }
    show(&checks, args.json, terminal)
}

/// Looks at what is ours: the configuration, the state, the destinations.
fn own(common: &Common) -> anyhow::Result<(Option<Config>, Vec<Check>)> {
    let (config, findings) = Findings::of_all(common);
    let mut check =
        Check::new("configuration").saw(format!("{} checked", text::count(findings.checked(), "file")));
    for (problem, fix) in findings.brief() {
        check.found(problem, fix.unwrap_or("`gitea-lightstep check` shows the place"));
    }
    let mut checks = vec![check];
    if let Some(config) = &config {
        checks.push(doctor::configuration(config));
        checks.push(doctor::state(config));
        match doctor::spool(config, &State::at(&config.state_dir), Timestamp::now()) {
            Ok(check) => checks.push(check),
            Err(err) => {
                let mut check = Check::new("spool");
                check.found(err.to_string(), "make it readable to Gitea's user");
                checks.push(check);
            }
        }
        checks.push(doctor::destinations(config));
    }
    Ok((config, checks))
}

/// What is needed to look at a Gitea.
struct Look<'a> {
    args: &'a DoctorArgs,
    subject: &'a Subject,
    config: Option<&'a Config>,
    terminal: &'a Terminal,
}

impl Look<'_> {
    fn at_gitea(&self) -> anyhow::Result<Vec<Check>> {
        let place = &self.subject.place;
        let mut checks = Vec::new();
        let walking = Walking::default();
        let survey = self.survey(&walking)?;
        checks.push(self.gitea(&survey));

        let home = place.gitea().map(Gitea::home);
        let config_hook = home.and_then(install::config_hook_in);
        let mut commands: Vec<&HookCommand> = config_hook.iter().chain(survey.commands.keys()).collect();
        commands.dedup();
        for command in &commands {
            checks.push(self.starts(command));
        }

        let git = self.subject.git().and_then(|git| Ok((git.version()?, git)));
        let (version, git) = match git {
            Ok(found) => found,
            Err(err) => {
                let mut check = Check::new("git");
                check.found(format!("{err:#}"), "name the git that Gitea runs with --git");
                checks.push(check);
                return Ok(checks);
            }
        };
        let mut check = Check::new("git").saw(format!("{version}, {}", text::path(git.program())));
        if let Some(gitea) = place.gitea() {
            let path = gitea.git_config();
            match install::traps(&path, version.has_config_hooks()) {
                Ok(traps) => doctor::git_config(&path, &traps, &mut check),
                Err(err) => {
                    check.found(format!("failed to read `{}`: {err}", text::path(&path)), "make it readable");
                }
            }
        }
        checks.push(check);

        let expected: BTreeSet<String> = self.args.expected.iter().cloned().collect();
        let covering =
            Covering { root: place.root(), config_hook: config_hook.as_ref(), version, expected: &expected };
        checks.push(covering.check(&survey));

        let is_file = !(config_hook.is_some() && version.has_config_hooks());
        let is_covered = !is_file || !survey.commands.is_empty();
        if let Some(config) = self.config.filter(|_| is_covered && !self.args.no_push) {
            let rehearsal = Rehearsal {
                git: &git,
                home,
                root: place.root(),
                like: survey.example.as_deref(),
                wrapper: survey.commands.keys().next().filter(|_| is_file),
            };
            checks.push(rehearsal.check(&State::at(&config.state_dir)));
        }
        Ok(checks)
    }

    fn gitea(&self, survey: &Survey) -> Check {
        let mut check = Check::new("gitea");
        let server = survey.gitea.as_deref().map(|program| server(program, &mut check));
        let place = &self.subject.place;
        let whose =
            place.gitea().map_or_else(|| text::path(place.root()), |gitea| text::path(gitea.config()));
        let server = server.unwrap_or_else(|| "no repository tells its version".into());
        check.saw(format!("{server}, {whose}, user {}", self.subject.run_user))
    }

    fn survey(&self, walking: &Walking) -> anyhow::Result<Survey> {
        let look = || install::survey(&self.subject.place, walking);
        let how_far = || {
            let (done, of) = walking.now();
            HowFar { done, of, what: "repositories".into() }
        };
        let is_watched = !self.args.json && self.terminal.is_watched();
        Ok(if is_watched { while_working(how_far, look) } else { look() }?)
    }

    /// Looks at what a hook starts: the binary, and whether it has the configuration that was looked at.
    fn starts(&self, command: &HookCommand) -> Check {
        let mut check = doctor::binary(command.binary());
        let looked_at = self.config.and_then(|config| config.path.as_deref());
        let is_same =
            |one: &Path, other: &Path| std::fs::canonicalize(one).ok() == std::fs::canonicalize(other).ok();
        if !looked_at.is_some_and(|path| is_same(path, command.config())) {
            check.found(
                format!(
                    "hooks run with the configuration `{}`, which is not the one that was looked at here",
                    text::path(command.config())
                ),
                format!("`gitea-lightstep doctor --config '{}'`", text::path(command.config())),
            );
        }
        check
    }
}

/// Asks Gitea's own program what it is.
fn server(program: &Path, check: &mut Check) -> String {
    match install::run(install::bare(program).arg("--version").current_dir("/"), PATIENCE) {
        Ok(said) => {
            let said = String::from_utf8_lossy(&said.stdout);
            let Some(server) = Server::parse(&said) else {
                return format!("a build that says no release: {}", text::line(said.trim()));
            };
            server.holes(check);
            server.to_string()
        }
        Err(err) => {
            check.found(
                format!("Gitea's hooks start `{}`, which cannot be run: {err}", text::path(program)),
                "`gitea admin regenerate hooks`, as Gitea's user, writes them for the program that there is",
            );
            text::path(program)
        }
    }
}

fn show(checks: &[Check], as_json: bool, terminal: &Terminal) -> anyhow::Result<Ending> {
    let findings: usize = checks.iter().map(|check| check.findings.len()).sum();
    if as_json {
        terminal.answer(serde_json::json!({ "findings": findings, "checks": checks }))?;
    } else {
        for check in checks {
            let line = format!("{:<14} {}", check.name, check.seen);
            let line = line.trim_end();
            if check.is_well() {
                terminal.say(format_args!("{}  {line}", terminal.green("well ")))?;
            } else {
                terminal.answer(format_args!("{}  {line}", terminal.red("found")))?;
            }
            for finding in &check.findings {
                terminal.answer(format_args!("         {}", finding.what))?;
                terminal.answer(format_args!("         -> {}", finding.fix))?;
            }
        }
        match findings {
            0 => terminal.say("\nall is well")?,
            n => terminal.say(format_args!("\n{}", text::count(n, "finding")))?,
        }
    }
    Ok(if findings == 0 { Ending::Done } else { Ending::Found })
}
