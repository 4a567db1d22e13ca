//! `explain`: shows an update's history from the push to the back end's answer, and what each layer
//! of today's policy decides for it.

mod history;
mod json;
mod nothing;
mod query;
mod replay;
mod report;
mod scripts;

use clap::Args;

use self::{
    history::Story,
    nothing::Searched,
    query::Wanted,
    replay::{Replay, ReplayError},
    report::ExplainReport,
};
use super::{Common, Completion, named_repository::NamedRepository, terminal::Terminal};
use crate::{facts, push, state::State, sys::time::Timestamp, text};

/// Default number of updates to explain.
const LAST: usize = 5;

/// Maximum number of updates examined for the one that brought a commit which no update names.
const MAX_ASKED: usize = 500;

/// Allowed difference between two clocks. A commit may be dated after the push that brought it.
const CLOCKS: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Present or former OWNER/NAME, or the path of a repository
    #[arg(value_name = "REPO")]
    repository: String,
    /// Ref, branch, tag or (abbreviated) commit id (default: the latest update)
    #[arg(value_name = "REV")]
    rev: Option<String>,
    /// Show only the newest N matching updates
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: usize,
    /// Treat the path as this repository (default: from the path itself)
    #[arg(long = "repository", value_name = "OWNER/NAME", value_parser = super::repository)]
    named: Option<push::RepositoryIdentity>,
    /// Print the updates as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ExplainArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let mut meant = NamedRepository::find(&args.repository, args.named.as_ref(), Some(&state.journal()))?;
    let open = meant.git_dir.as_ref().and_then(|dir| facts::Repository::open(dir).ok());
    let names = std::mem::take(&mut meant.names);
    let mut wanted = Wanted { repository: names, rev: args.rev.clone(), objects: Vec::new() };
    let mut commit = wanted.commit_in(open.as_ref())?;
    let mut found = wanted.find(&state.journal(), args.last.max(1))?;
    // The journal knows refs that are gone. What it does not know is meant as git understands it.
    let resolved = open.as_ref().zip(args.rev.as_ref()).filter(|_| found.hits.is_empty());
    let resolved = resolved.and_then(|(repository, rev)| meant.resolve(repository, rev).ok());
    let there = resolved.as_ref().and_then(|(ref_name, _)| ref_name.clone());
    if let Some((ref_name, id)) = resolved {
        wanted.rev = Some(ref_name.map_or_else(|| id.to_string(), |name| name.to_text()));
        commit = wanted.commit_in(open.as_ref())?.or(commit);
        found = wanted.find(&state.journal(), args.last.max(1))?;
    }
    let mut hits: Vec<_> = found.hits.iter().cloned().collect();
    let mut came_with = None;
    if let (true, Some(repository), Some(commit)) = (hits.is_empty(), &open, commit) {
        hits.extend(first_with(&wanted, &state, repository, commit)?);
        came_with = (!hits.is_empty()).then_some(commit);
    }
    if hits.is_empty() {
        if there.is_some() {
            wanted.rev.clone_from(&args.rev);
        }
        let searched = Searched { meant: &meant, wanted: &wanted, found: &found, there };
        return nothing::tell(&state, &searched, args.json, terminal);
    }
    let memory = state.memory().only_to_look();
    let stories: Vec<(Story, Result<Replay, ReplayError>)> = history::follow(&state, hits)?
        .into_iter()
        .map(|story| {
            let replayed = replay::decide(&config, &state, &memory, &story, meant.git_dir.clone());
            (story, replayed)
        })
        .collect();
    if args.json {
        let told: Vec<_> = stories
            .iter()
            .map(|(story, replayed)| json::ExplanationJson::of(story, replayed.as_ref()))
            .collect();
        let answer = serde_json::json!({
            "repository": wanted.repository.newest(),
            "rev": args.rev,
            "matches": found.matches.max(told.len()),
            "came_with": came_with,
            "updates": told,
        });
        terminal.json(serde_json::to_string_pretty(&answer)?)?;
        return Ok(Completion::Done);
    }
    if let Some(commit) = came_with {
        terminal.row(format_args!(
            "commit {} was not the tip of any push; it came in with this one:\n",
            commit.short()
        ))?;
    }
    let account = ExplainReport { terminal, config: &config };
    for (nth, (story, replayed)) in stories.iter().enumerate() {
        if nth > 0 {
            terminal.row("")?;
        }
        account.tell(story, replayed.as_ref())?;
    }
    if found.matches > stories.len() {
        let older = text::count(found.matches - stories.len(), "older update");
        terminal.say(format_args!("\n{older} not shown; --last N shows more"))?;
    }
    Ok(Completion::Done)
}

/// Finds the first update that brought a commit which no update names.
fn first_with(
    wanted: &Wanted,
    state: &State,
    repository: &facts::Repository,
    commit: push::ObjectId,
) -> anyhow::Result<Option<query::Hit>> {
    let made = repository.time_of(commit);
    let since = made.checked_sub(CLOCKS).unwrap_or(Timestamp::MIN);
    let mut asked = 0;
    wanted.find_first(&state.journal(), since, |decision| {
        asked += 1;
        let not_null = |id: push::ObjectId| (!id.is_null()).then_some(id);
        asked <= MAX_ASKED
            && not_null(decision.new_id).is_some_and(|new| {
                repository.brought(not_null(decision.old_id), new, commit).unwrap_or(false)
            })
    })
}
