//! `doctor`: checks every known cause of missing markers, and says how to fix each one found.

use std::{
    collections::BTreeSet, ffi::OsString, io::ErrorKind, os::unix::fs::MetadataExt as _, path::Path,
    time::Duration,
};

use clap::Args;
use rustix::process::geteuid;

use super::{
    Common, Completion,
    check::Findings,
    gitea::{GiteaArgs, GiteaInstance, Worker, WrongUser},
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config::{self, Config},
    doctor::{self, Check, Covering, Rehearsal, ServerRelease},
    install::{self, Gitea, HookCommand, RunUser, Survey, Walking},
    proposal,
    state::State,
    sys::{paths, time, users},
    text,
};

/// Time limit for Gitea to print its version.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    gitea: GiteaArgs,
    /// Accept this program beside Gitea's hooks, or this script (can be repeated)
    ///
    /// NAME is the file name of a program, or a script such as acme/shop.rhai that its group may
    /// write.
    #[arg(long, value_name = "NAME")]
    expected: Vec<String>,
    /// Skip the test push to a throw-away repository
    #[arg(long)]
    no_push: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
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
        // The checks that need no Gitea run anyway.
        Err(err) => Err(err),
    };
    if let Some(check) = wrong_user(subject.as_deref(), config_path.as_deref()) {
        return show(&[check], args.json, terminal);
    }
    let user = subject.as_ref().ok().map(|subject| &subject.run_user);
    // Root started this process as Gitea's user. A configuration that another user can change may
    // name commands, which must not run as Gitea's user.
    let exposed = config_path.as_deref().zip(user.filter(|_| args.gitea.is_from_root()));
    let exposed = exposed.and_then(|(path, user)| install::check(path, user).err());
    let (config, mut checks) = match exposed.filter(|exposed| !exposed.is_unseen()) {
        Some(exposed) => {
            let mut check = Check::new("files");
            check.found(
                format!("{exposed}; the configuration may name commands, so it was not read"),
                exposed.fix(),
            );
            (None, vec![check])
        }
        None => own(common, user, &args.expected)?,
    };
    match subject {
        Ok(subject) => {
            let look = DoctorInputs {
                args,
                subject: &subject,
                config: config.as_ref(),
                config_path: config_path.as_deref(),
                terminal,
            };
            checks.extend(look.at_gitea()?);
        }
        Err(err) => {
            let mut check = Check::new("gitea");
            check.found(
                format!(
                    "{err:#}; the user that hooks run as is unknown, so the owners and modes of the state, \
                     the configuration and the scripts were not checked"
                ),
                "name Gitea's app.ini with --gitea-config, or the directory of the repositories with --root",
            );
            checks.push(check);
        }
    }
    show(&checks, args.json, terminal)
}

/// Returns a finding if this process runs as a user whom hooks do not run as. What it cannot read
/// there is in order, and what it would propose could take the files away from the hook.
fn wrong_user(subject: Result<&GiteaInstance, &anyhow::Error>, config_path: Option<&Path>) -> Option<Check> {
    let us = geteuid().as_raw();
    let found = |why: String, fix: String| {
        let mut check = Check::new("user");
        check.found(format!("{why}; nothing was checked"), fix);
        Some(check)
    };
    let owner_of = |path: &Path| std::fs::metadata(path).ok().map(|file| file.uid());
    let err = match subject {
        Ok(subject) => {
            let root = subject.place.root();
            let owner = owner_of(root).filter(|owner| ![0, us].contains(owner))?;
            let why = format!(
                "`{}` belongs to {}, so Gitea does not run as `{}`",
                text::path(root),
                users::user(owner),
                subject.run_user
            );
            return found(why, format!("run `{}`", proposal::command_as_user("doctor", owner)));
        }
        Err(err) => err,
    };
    if let Some(WrongUser { why, fix }) = err.downcast_ref() {
        return found(why.clone(), fix.clone());
    }
    if us == 0 {
        return None;
    }
    let us = users::user(us);
    if let Some(path) = config_path.filter(|path| is_denied(path)) {
        let why = format!("{us} may not read `{}`, which hooks read", text::path(path));
        return found(why, format!("run `{}`", proposal::same_as_user(0)));
    }
    let state = config_path.and_then(config::state_dir_meant)?;
    let owner = owner_of(&state).filter(|owner| *owner != geteuid().as_raw())?;
    let why = format!("hooks do not run as {us}: `{}` belongs to {}", text::path(&state), users::user(owner));
    found(why, format!("run `{}`", proposal::same_as_user(owner)))
}

fn is_denied(path: &Path) -> bool {
    std::fs::File::open(path).is_err_and(|err| err.kind() == ErrorKind::PermissionDenied)
}

/// Checks the configuration, the state and the destinations. File ownership is judged for `user`.
fn own(
    common: &Common,
    user: Option<&RunUser>,
    expected: &[String],
) -> anyhow::Result<(Option<Config>, Vec<Check>)> {
    let (config, findings) = Findings::of_all(common);
    let mut check =
        Check::new("configuration").saw(format!("{} checked", text::count(findings.checked(), "file")));
    for (problem, fix) in findings.brief() {
        let shows = || format!("`{}` shows the position", proposal::command("check"));
        check.found(problem, fix.map_or_else(shows, ToString::to_string));
    }
    let mut checks = vec![check];
    if let Some(config) = &config {
        proposal::set_state(&config.state_dir);
        checks.push(doctor::configuration(config, user, &expected.iter().cloned().collect()));
        checks.push(doctor::state(config, user));
        match doctor::spool(config, &State::at(&config.state_dir), time::now()) {
            Ok(check) => checks.push(check),
            Err(err) => {
                let mut check = Check::new("spool");
                check.found(err.to_string(), "let Gitea's user read it");
                checks.push(check);
            }
        }
        checks.push(doctor::scan(&State::at(&config.state_dir), time::now()));
        // If this fails, the configuration check has already reported it.
        if super::may_run_commands(config).is_ok() {
            checks.push(doctor::destinations(config));
            checks.extend(doctor::gitea_api(config, &State::at(&config.state_dir)));
        }
    }
    Ok((config, checks))
}

/// The inputs for the checks of a Gitea.
struct DoctorInputs<'a> {
    args: &'a DoctorArgs,
    subject: &'a GiteaInstance,
    config: Option<&'a Config>,
    config_path: Option<&'a Path>,
    terminal: &'a Terminal,
}

impl DoctorInputs<'_> {
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
            checks.push(self.starts(command, &survey));
        }

        let git = self.subject.git().and_then(|git| Ok((git.version()?, git)));
        let (version, git) = match git {
            Ok(found) => found,
            Err(err) => {
                let mut check = Check::new("git");
                check.found(format!("{err:#}"), "use --git to name the git that Gitea runs");
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
            if let Some(dir) = install::template_without_hook(gitea) {
                check.found(
                    format!(
                        "new repositories are created from `{dir}` (git's `init.templateDir`), which does not \
                         have our hook"
                    ),
                    format!("`{}` adds it", doctor::install_again(&survey)),
                );
            }
        }
        checks.push(check);

        let expected: BTreeSet<String> = self.args.expected.iter().cloned().collect();
        let covering = Covering {
            root: place.root(),
            config_hook: config_hook.as_ref(),
            has_ref_hook: home.is_some_and(install::has_ref_hook),
            version,
            expected: &expected,
            regenerate: &self.regenerate(&survey),
        };
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
            checks.push(match install::check(place.root(), &self.subject.run_user) {
                Ok(()) => rehearsal.check(&State::at(&config.state_dir)),
                Err(exposed) => {
                    let mut check = Check::new("rehearsal");
                    check.found(format!("{exposed}; the test push was skipped"), exposed.fix());
                    check
                }
            });
        }
        Ok(checks)
    }

    fn gitea(&self, survey: &Survey) -> Check {
        let mut check = Check::new("gitea");
        let server = survey.gitea.as_deref().map(|program| self.server(program, &mut check));
        let place = &self.subject.place;
        let whose =
            place.gitea().map_or_else(|| text::path(place.root()), |gitea| text::path(gitea.config()));
        let server = server.unwrap_or_else(|| "unknown version".into());
        check.saw(format!("{server}, {whose}, user {}", self.subject.run_user))
    }

    /// Returns advice to have Gitea write its hooks again.
    fn regenerate(&self, survey: &Survey) -> String {
        let (Some(program), Some(gitea)) = (&survey.gitea, self.subject.place.gitea()) else {
            return "have Gitea write its hooks again, with its command admin regenerate hooks".into();
        };
        let line = format!(
            "{} --config {} admin regenerate hooks",
            text::shell(program),
            text::shell(gitea.config())
        );
        format!("run `{}`", proposal::as_user(self.subject.run_user.uid(), &line))
    }

    /// Runs Gitea's own program to get its version.
    fn server(&self, program: &Path, check: &mut Check) -> String {
        // A hook file that another user can write could name any program.
        if let Err(exposed) = install::check(program, &self.subject.run_user)
            && !exposed.is_unseen()
        {
            check.found(
                format!("Gitea's hooks start a program that other users can change: {exposed}"),
                exposed.fix(),
            );
            return text::path(program);
        }
        match install::run(install::bare(program).arg("--version").current_dir("/"), PATIENCE) {
            Ok(said) => {
                let said = String::from_utf8_lossy(&said.stdout);
                let Some(server) = ServerRelease::parse(&said) else {
                    return format!("a build without a release number: {}", text::line(said.trim()));
                };
                server.report_age(check);
                server.to_string()
            }
            Err(err) => {
                check.found(
                    format!("Gitea's hooks start `{}`, which cannot be run: {err}", text::path(program)),
                    "have the installed Gitea write its hooks again, with its command admin regenerate hooks",
                );
                text::path(program)
            }
        }
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

    /// Checks the binary and the configuration that a hook names.
    fn starts(&self, command: &HookCommand, survey: &Survey) -> Check {
        let mut check = doctor::binary(command.binary(), &self.subject.run_user);
        if !self.config_path.is_some_and(|path| paths::is_same(path, command.config())) {
            check.found(
                format!(
                    "hooks use the configuration `{}`, which is not the one that was checked here",
                    text::path(command.config())
                ),
                format!("run `{}`", proposal::command_with("doctor", Some(command.config()))),
            );
        } else if let Some(config) = self.config {
            match command.state_dir() {
                None => check.found(
                    "hooks do not name the state directory, so pushes are captured elsewhere if the \
                     configuration cannot be read",
                    format!("`{}` writes it into the hooks", doctor::install_again(survey)),
                ),
                Some(dir) if !paths::is_same(dir, &config.state_dir) => check.found(
                    format!(
                        "hooks name the state directory `{}`, but the configuration names `{}`: if the \
                         configuration cannot be read, pushes are captured in the wrong one",
                        text::path(dir),
                        text::path(&config.state_dir)
                    ),
                    format!("`{}` writes the configured one into the hooks", doctor::install_again(survey)),
                ),
                Some(_) => {}
            }
        }
        check
    }
}

fn show(checks: &[Check], as_json: bool, terminal: &Terminal) -> anyhow::Result<Completion> {
    let findings: usize = checks.iter().map(|check| check.findings.len()).sum();
    if as_json {
        terminal.json(serde_json::json!({ "findings": findings, "checks": checks }))?;
    } else {
        for check in checks {
            let line = format!("{:<14} {}", check.name, check.seen);
            let line = line.trim_end();
            if check.is_well() {
                terminal.say(format_args!("{}  {line}", terminal.green("well ")))?;
            } else {
                terminal.row(format_args!("{}  {line}", terminal.red("found")))?;
            }
            for finding in &check.findings {
                terminal.row(format_args!("         {}", finding.what))?;
                terminal.row(format_args!("         -> {}", finding.fix))?;
            }
        }
        match findings {
            0 => terminal.say("\nall is well")?,
            n => terminal.say(format_args!("\n{}", text::count(n, "finding")))?,
        }
    }
    Ok(if findings == 0 { Completion::Done } else { Completion::Found })
}
