//! `connect`: sends a test marker to each destination, and sets up Lightstep as far as its API
//! allows.

mod destinations;
mod event_query;
mod report;

use std::ffi::OsString;

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{
    Common, Completion,
    gitea::{GITEA, GiteaArgs},
    terminal::Terminal,
};
use crate::{
    config::{Config, Destination, LIGHTSTEP},
    proposal,
    text::{self, Hinted},
};

#[derive(Debug, Args)]
pub(super) struct ConnectArgs {
    /// Send the test marker only to this destination (can be repeated)
    #[arg(long = "destination", value_name = "NAME")]
    destinations: Vec<String>,
    /// Make the event query find these log records, in UQL
    ///
    /// By default, it finds deployments and rollbacks. The value is kept for later runs.
    #[arg(long, value_name = "UQL", value_parser = NonEmptyStringValueParser::new())]
    query: Option<String>,
    /// Use the existing event query with this id
    #[arg(long, value_name = "ID", conflicts_with = "again", value_parser = NonEmptyStringValueParser::new())]
    event_query: Option<String>,
    /// Create an event query even if an earlier run may have created one
    #[arg(long)]
    again: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = GITEA)]
    gitea: GiteaArgs,
}

pub(super) fn run(args: &ConnectArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    if let Some(ended) = args.gitea.as_gitea_user(common, || args.words())? {
        return Ok(ended);
    }
    let config = common.load()?;
    let Some(chosen) = chosen(args, &config, terminal) else { return Ok(Completion::Misused) };
    let api = config.lightstep_api.as_ref().filter(|_| chosen.iter().any(|d| d.name == LIGHTSTEP));
    let asked_for_one = args.query.is_some() || args.event_query.is_some() || args.again;
    if api.is_none() && asked_for_one {
        terminal.message(
            "an event query needs the destination `lightstep`, with `organization`, `project` and `api_key` \
             in [lightstep]",
        );
        return Ok(Completion::Misused);
    }
    // Open the state before sending anything, because the created query has to be recorded there.
    let state = api.map(|_| super::own_or_new_state(&config)).transpose()?;
    let tests = chosen.iter().map(|destination| destinations::test(destination, &config)).collect();
    let event_query = match (api, &state) {
        (Some(api), Some(state)) => Some(event_query::set_up(args, api, state, config.delivery.timeout)?),
        _ => None,
    };
    let told = report::ConnectReport::new(tests, event_query, chosen.iter().any(|d| d.name == LIGHTSTEP));
    if args.json {
        terminal.json(serde_json::to_string_pretty(&told)?)?;
    } else {
        told.print(terminal)?;
    }
    Ok(if told.is_well() { Completion::Done } else { Completion::Found })
}

impl ConnectArgs {
    /// Returns the command and its options, for the process of Gitea's user.
    fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["connect".into()];
        let mut say = |option: &str, value: &str| words.extend([option.into(), value.into()]);
        self.destinations.iter().for_each(|name| say("--destination", name));
        self.query.iter().for_each(|query| say("--query", query));
        self.event_query.iter().for_each(|id| say("--event-query", id));
        words.extend(self.again.then(|| "--again".into()));
        words.extend(self.json.then(|| "--json".into()));
        words
    }
}

/// Returns the selected destinations, or `None` after a message if there are none or a name is
/// unknown.
fn chosen<'c>(args: &ConnectArgs, config: &'c Config, terminal: &Terminal) -> Option<Vec<&'c Destination>> {
    if config.destinations.is_empty() {
        terminal.message(format_args!(
            "no destination is configured; add [lightstep] or a [[destination]], as in `{}`",
            proposal::command("check --sample")
        ));
        return None;
    }
    let names = || config.destinations.iter().map(|destination| destination.name.as_str());
    for name in &args.destinations {
        if !names().any(|known| known == name) {
            let unknown = format!("no destination is named `{}`", text::line(name));
            terminal.message(Hinted::unknown(unknown, name, names()));
            return None;
        }
    }
    let is_meant = |destination: &&Destination| {
        args.destinations.is_empty() || args.destinations.contains(&destination.name)
    };
    Some(config.destinations.iter().filter(is_meant).collect())
}
