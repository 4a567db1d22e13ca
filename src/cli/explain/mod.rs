//! `explain`: the whole way of an update, from the push to what the back end answered, and what each layer of the policy
//! says of it.

mod account;
mod anew;
mod nothing;
mod scripts;
mod story;
mod told;
mod wanted;

use std::path::Path;

use clap::Args;

use self::{account::Account, anew::Anew, story::Story, wanted::Wanted};
use super::{Common, Ending, terminal::Terminal};
use crate::{
    facts,
    push::{self, GitDir},
    state::State,
    text,
    time::Timestamp,
};

/// How many updates are explained unless somebody wants more.
const LAST: usize = 5;

/// How many updates are asked whether they brought a commit that no update names.
const MAX_ASKED: usize = 500;

/// How far apart two clocks may be: a commit may be dated after the push that brought it.
const CLOCKS: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// OWNER/NAME, or the path of the repository
    #[arg(value_name = "REPO")]
    repository: String,
    /// A ref, branch or tag, or a commit's id or its beginning; otherwise the repository's latest update
    #[arg(value_name = "REV")]
    rev: Option<String>,
    /// Only the newest N updates that match
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: usize,
    /// Take the path for this repository; otherwise the path says it
    #[arg(long = "repository", value_name = "OWNER/NAME", value_parser = super::repository)]
    named: Option<push::Repository>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// The repository that is meant, and where it is if a path was given.
struct Meant {
    name: String,
    git_dir: Option<GitDir>,
}

pub(super) fn run(args: &ExplainArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let meant = Meant::of(args)?;
    let open = meant.git_dir.as_ref().and_then(|dir| facts::Repository::open(dir).ok());
    let mut wanted = Wanted { repository: meant.name.clone(), rev: args.rev.clone(), objects: Vec::new() };
    let commit = match (&open, wanted.digits()) {
        (Some(repository), Some(digits)) => repository.commit_of(&digits)?,
        _ => None,
    };
    if let (Some(repository), Some(commit)) = (&open, commit) {
        wanted.objects = repository.tags_of(commit)?;
    }
    let found = wanted.find(&state.journal(), args.last.max(1))?;
    let mut hits: Vec<_> = found.hits.iter().cloned().collect();
    let mut came_with = None;
    if let (true, Some(repository), Some(commit)) = (hits.is_empty(), &open, commit) {
        hits.extend(first_with(&wanted, &state, repository, commit)?);
        came_with = (!hits.is_empty()).then_some(commit);
    }
    if hits.is_empty() {
        return nothing::tell(&state, &meant, &wanted, &found, args.json, terminal);
    }
    let memory = state.memory().only_to_look();
    let stories: Vec<(Story, Result<Anew, String>)> = story::follow(&state, hits)?
        .into_iter()
        .map(|story| {
            let anew = anew::decide(&config, &memory, &story, meant.git_dir.clone());
            (story, anew)
        })
        .collect();
    if args.json {
        let told: Vec<_> = stories.iter().map(|(story, anew)| told::Told::of(story, anew.as_ref())).collect();
        let answer = serde_json::json!({
            "repository": meant.name,
            "rev": args.rev,
            "matches": found.matches.max(told.len()),
            "came_with": came_with,
            "updates": told,
        });
        terminal.answer(serde_json::to_string_pretty(&answer)?)?;
        return Ok(Ending::Done);
    }
    if let Some(commit) = came_with {
        terminal.answer(format_args!(
            "commit {} was not the tip of any push; it came in with this one:\n",
            commit.short()
        ))?;
    }
    let account = Account { terminal, config: &config };
    for (nth, (story, anew)) in stories.iter().enumerate() {
        if nth > 0 {
            terminal.answer("")?;
        }
        account.tell(story, anew.as_ref())?;
    }
    if found.matches > stories.len() {
        let older = text::count(found.matches - stories.len(), "older update");
        terminal.say(format_args!("\n{older} of the same; --last N shows more"))?;
    }
    Ok(Ending::Done)
}

/// Finds the first update that brought a commit which no update names.
fn first_with(
    wanted: &Wanted,
    state: &State,
    repository: &facts::Repository,
    commit: push::ObjectId,
) -> anyhow::Result<Option<wanted::Hit>> {
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

impl Meant {
    /// A directory that is there is meant as such; anything else is a name.
    fn of(args: &ExplainArgs) -> anyhow::Result<Self> {
        let path = Path::new(&args.repository);
        if path.is_dir() {
            let git_dir = facts::Repository::locate(path)?;
            let named = args.named.clone().unwrap_or_else(|| push::Repository::of_dir(&git_dir));
            return Ok(Self { name: named.full_name(), git_dir: Some(git_dir) });
        }
        let name = args.repository.trim_end_matches('/');
        let name = name.strip_suffix(".git").unwrap_or(name);
        Ok(Self {
            name: args.named.as_ref().map_or_else(|| name.to_string(), push::Repository::full_name),
            git_dir: None,
        })
    }
}
