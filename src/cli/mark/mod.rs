//! `mark`: marks what no push marks, such as a redeploy, a promotion or a rollback. The policy decides
//! it like a push that moves no ref.

mod marking;
mod report;
mod wrapped;

use std::{ffi::OsString, path::Path};

use anyhow::anyhow;
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};

use super::{
    Common, Completion,
    gitea::{GITEA, GiteaArgs},
    terminal::Terminal,
    when,
};
use crate::{
    decide::{DeploymentStatus, MarkRequest, possible_interval},
    marker::{Kind, Traceparent},
    proposal,
    push::ObjectId,
    sys::time::{self, Timestamp},
};

#[derive(Debug, Args)]
pub(super) struct MarkArgs {
    /// Present or former OWNER/NAME; or path of the repository
    #[arg(value_name = "REPO")]
    repo: String,
    /// Branch, tag, (abbreviated) commit id, or another revision such as HEAD~2
    #[arg(value_name = "REV", default_value = "HEAD")]
    rev: String,
    /// Mark this kind of event
    #[arg(long, value_name = "KIND", default_value = "deployment", value_parser = kinds())]
    kind: Kind,
    /// Name the environment of a deployment or rollback, which must have one
    #[arg(long, value_name = "ENV", value_parser = named)]
    environment: Option<String>,
    /// Mark only this service of the repository
    #[arg(long, value_name = "NAME", value_parser = named)]
    service: Option<String>,
    /// Use this version (default: the one that a push would have)
    #[arg(long, value_name = "VERSION", value_parser = named)]
    version: Option<String>,
    /// Use this title (default: that of the commit)
    #[arg(long, value_name = "TEXT", value_parser = named)]
    title: Option<String>,
    /// Say how the deployment ended
    ///
    /// After a failed one, the previous deployment is still the last one of its environment.
    #[arg(long, value_name = "STATUS", value_parser = statuses())]
    status: Option<DeploymentStatus>,
    /// Say when the deployment began: 2026-11-22T10:00:00Z, 10:24, 5min
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    started: Option<Timestamp>,
    /// Say when it ended (default: now)
    #[arg(long, value_name = "TIME", value_parser = when::parse, requires = "started")]
    ended: Option<Timestamp>,
    /// Give the deployment the ID that its tool or its change request has for it
    #[arg(long, value_name = "ID", value_parser = named)]
    id: Option<String>,
    /// Link the marker to the trace that contains the deployment. Can be repeated
    #[arg(long, value_name = "TRACEPARENT")]
    traceparent: Vec<Traceparent>,
    /// Name the user who deployed, as the policy's `pusher`
    #[arg(long, value_name = "USER", value_parser = named)]
    by: Option<String>,
    /// Run COMMAND, and mark it as a deployment with its start, end and outcome
    ///
    /// COMMAND keeps the terminal, the environment and the user. It also gets the variables of
    /// `resource`, unless they are set. Whatever happens to the mark, COMMAND runs, and its exit
    /// status is passed on.
    #[arg(long, requires = "command", conflicts_with_all = ["status", "started", "ended", "dry_run", "json"])]
    run: bool,
    /// Show what would be marked, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Mark a deployment that `--run` has run
    #[arg(long, hide = true)]
    after_run: bool,
    /// Object that REV named before
    #[arg(long, hide = true, value_name = "ID")]
    object: Option<ObjectId>,
    /// Command for --run, with its arguments
    #[arg(value_name = "COMMAND", last = true, requires = "run")]
    command: Vec<OsString>,
    #[command(flatten, next_help_heading = GITEA)]
    gitea: GiteaArgs,
}

pub(super) fn run(args: &MarkArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let request = match args.request(time::now()) {
        Ok(request) => request,
        Err(why) => {
            terminal.message(why);
            return Ok(Completion::Misused);
        }
    };
    if args.run {
        return Ok(Completion::Status(wrapped::run(args, common, terminal)));
    }
    let marked = mark(args, &request, common, terminal);
    // The deployment cannot be repeated for its mark. `--run` started this process with all times.
    // The error of a foreign state directory proposes the same command.
    marked.map_err(|err| match proposal::other_owner() {
        None if args.after_run => {
            let again = proposal::again();
            anyhow!("{err:#}; the deployment is not marked; when this is fixed, run `{again}`")
        }
        _ => err,
    })
}

fn mark(
    args: &MarkArgs,
    request: &MarkRequest,
    common: &Common,
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    if let Some(ended) = args.gitea.as_gitea_user(common, || args.words(request))? {
        return Ok(ended);
    }
    let config = common.load()?;
    let mark = marking::mark(args, request, &config, terminal)?;
    mark.report(args, &config, terminal)
}

impl MarkArgs {
    /// Returns the request, or says which options do not go together.
    fn request(&self, now: Timestamp) -> Result<MarkRequest, String> {
        let kind = self.kind.as_str();
        if self.kind.is_deployment() {
            if self.environment.is_none() {
                return Err(format!("a {kind} needs --environment ENV"));
            }
        } else {
            let of_deployments = [
                ("--environment", self.environment.is_some()),
                ("--status", self.status.is_some()),
                ("--id", self.id.is_some()),
                ("--started", self.started.is_some()),
                ("--run", self.run),
            ];
            if let Some((option, _)) = of_deployments.into_iter().find(|(_, is_given)| *is_given) {
                return Err(format!("{option} is for deployments and rollbacks, and a {kind} is neither"));
            }
        }
        let interval = |start: Timestamp| {
            let end = self.ended.unwrap_or(now);
            possible_interval(start, end, now).map_err(|why| {
                let [start, end] = [start, end].map(when::local);
                format!("the deployment from {start} to {end} {why}; check --started and --ended")
            })
        };
        Ok(MarkRequest {
            kind: self.kind,
            environment: self.environment.clone(),
            service: self.service.clone(),
            version: self.version.clone(),
            title: self.title.clone(),
            status: self.status,
            id: self.id.clone(),
            traceparents: self.traceparent.clone(),
            interval: self.started.map(interval).transpose()?,
        })
    }

    /// Returns the command and its options, for the process of Gitea's user.
    fn words(&self, request: &MarkRequest) -> Vec<OsString> {
        let path = Some(Path::new(&self.repo)).filter(|path| path.is_dir());
        let path = path.and_then(|path| std::path::absolute(path).ok());
        let repo = path.map_or_else(|| self.repo.clone().into(), Into::into);
        let mut words: Vec<OsString> = vec!["mark".into(), repo, self.rev.clone().into()];
        let mut say = |option: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{option}={value}").into()));
        };
        say("--kind", Some(request.kind.as_str().into()));
        say("--environment", request.environment.clone());
        say("--service", request.service.clone());
        say("--version", request.version.clone());
        say("--title", request.title.clone());
        say("--status", request.status.map(|status| status.as_str().into()));
        say("--started", request.interval.map(|interval| interval.start.to_string()));
        say("--ended", request.interval.map(|interval| interval.end.to_string()));
        say("--id", request.id.clone());
        say("--by", self.by.clone());
        say("--object", self.object.map(|object| object.to_string()));
        words.extend(request.traceparents.iter().map(|context| format!("--traceparent={context}").into()));
        words.extend(self.after_run.then(|| "--after-run".into()));
        words.extend(self.dry_run.then(|| "--dry-run".into()));
        words.extend(self.json.then(|| "--json".into()));
        words
    }
}

/// Parses a name, without the white space around it.
fn named(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("it must not be empty"),
        text if text.contains(char::is_control) => Err("it must be one line, without control characters"),
        text => Ok(text.to_string()),
    }
}

fn kinds() -> impl clap::builder::TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::as_str))
        .try_map(|name| Kind::parse(&name).ok_or("it is not a kind"))
}

fn statuses() -> impl clap::builder::TypedValueParser<Value = DeploymentStatus> {
    PossibleValuesParser::new(DeploymentStatus::ALL.map(DeploymentStatus::as_str)).try_map(|name| {
        DeploymentStatus::ALL.into_iter().find(|status| status.as_str() == name).ok_or("it is not a status")
    })
}
