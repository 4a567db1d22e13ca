//! `connect`: sends a test marker to each destination, and sets the Lightstep side up as far as its API can.

mod destinations;
mod event_query;
mod told;

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{Common, Ending, terminal::Terminal};
use crate::{
    config::{Config, Destination},
    text,
};

/// The name of the preset's destination.
const LIGHTSTEP: &str = "lightstep";

#[derive(Debug, Args)]
pub(super) struct ConnectArgs {
    /// Send the test marker to this destination alone (can be repeated)
    #[arg(long = "destination", value_name = "NAME")]
    destinations: Vec<String>,
    /// Have the event query find these log records, in UQL
    ///
    /// Without it the query finds deployments and rollbacks. What is given here is kept for later runs.
    #[arg(long, value_name = "UQL", value_parser = NonEmptyStringValueParser::new())]
    query: Option<String>,
    /// Take the event query with this id, which is there already
    #[arg(long, value_name = "ID", conflicts_with = "again", value_parser = NonEmptyStringValueParser::new())]
    event_query: Option<String>,
    /// Create an event query although an earlier run may have done so
    #[arg(long)]
    again: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ConnectArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let Some(chosen) = chosen(args, &config, terminal) else { return Ok(Ending::Misused) };
    let api = config.lightstep_api.as_ref().filter(|_| chosen.iter().any(|d| d.name == LIGHTSTEP));
    let asked_for_one = args.query.is_some() || args.event_query.is_some() || args.again;
    if api.is_none() && asked_for_one {
        terminal.message(
            "an event query is made with `organization`, `project` and `api_key` of [lightstep], which the configuration does not have",
        );
        return Ok(Ending::Misused);
    }
    // Before anything is sent: what is made has to be remembered.
    let state = api.map(|_| super::own_state(&config, "connect")).transpose()?;
    let tests = chosen.iter().map(|destination| destinations::test(destination, &config)).collect();
    let event_query = match (api, &state) {
        (Some(api), Some(state)) => Some(event_query::set_up(args, api, state, config.delivery.timeout)?),
        _ => None,
    };
    let told = told::Told::new(tests, event_query, chosen.iter().any(|d| d.name == LIGHTSTEP));
    if args.json {
        terminal.answer(serde_json::to_string_pretty(&told)?)?;
    } else {
        told.print(terminal)?;
    }
    Ok(if told.is_well() { Ending::Done } else { Ending::Found })
}

/// Returns the destinations that are meant, `None` after a message if that cannot be.
fn chosen<'c>(args: &ConnectArgs, config: &'c Config, terminal: &Terminal) -> Option<Vec<&'c Destination>> {
    if config.destinations.is_empty() {
        terminal.message(
            "no destination is configured: name one with [lightstep] or [[destination]], as in docs/config.toml",
        );
        return None;
    }
    let names = || config.destinations.iter().map(|destination| destination.name.as_str());
    for name in &args.destinations {
        if !names().any(|known| known == name) {
            let near = text::nearest(name, names()).map(|near| format!("; did you mean `{near}`?"));
            let known: Vec<_> = names().map(|name| format!("`{name}`")).collect();
            let near = near.unwrap_or_else(|| format!("; there is {}", known.join(", ")));
            terminal.message(format_args!("no destination is named `{}`{near}", text::line(name)));
            return None;
        }
    }
    let is_meant = |destination: &&Destination| {
        args.destinations.is_empty() || args.destinations.contains(&destination.name)
    };
    Some(config.destinations.iter().filter(is_meant).collect())
}
