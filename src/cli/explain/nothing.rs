//! When nothing is known: what was looked for, where, and why it may not be there.

use super::{
    Meant,
    account::{heading, when},
    wanted::{Found, Wanted},
};
use crate::{
    cli::{Ending, terminal::Terminal},
    state::{
        State,
        contents::{self, Glance},
        queue::Place,
    },
    text,
};

/// Where the installed hook is in a repository.
const HOOK: &str = "hooks/post-receive.d/gitea-lightstep";

/// Tells that nothing was found.
pub(super) fn tell(
    state: &State,
    meant: &Meant,
    wanted: &Wanted,
    found: &Found,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Result<Ending> {
    let waiting = captures_of(state, &meant.name)?;
    let causes = causes(meant, wanted, found, &waiting);
    if json {
        let answer = serde_json::json!({
            "repository": meant.name,
            "rev": wanted.rev,
            "matches": 0,
            "updates": [],
            "looked_for": wanted.meanings(),
            "decisions": found.decisions,
            "journal_begins": found.begins,
            "undecided": waiting,
            "causes": causes,
        });
        terminal.answer(serde_json::to_string_pretty(&answer)?)?;
        return Ok(Ending::Found);
    }
    let repository = text::line(&meant.name);
    terminal
        .answer(format_args!("nothing is known of this in {repository}: {}", wanted.meanings().join(", ")))?;
    terminal.answer(format_args!(
        "  looked in {}, which has {}",
        state.dir().display(),
        extent(found, &repository)
    ))?;
    for cause in causes {
        terminal.answer(format_args!("  - {cause}"))?;
    }
    Ok(Ending::Found)
}

fn extent(found: &Found, repository: &str) -> String {
    let Some(begins) = found.begins else { return "no journal yet".to_string() };
    let mut extent = format!(
        "a journal that begins {} with {} of {repository}",
        when(begins),
        text::count(found.decisions, "decision")
    );
    if let Some(newest) = &found.newest {
        extent.push_str(&format!(", the newest {}: {}", when(newest.time), heading(&newest.decision)));
    }
    extent
}

fn causes(meant: &Meant, wanted: &Wanted, found: &Found, waiting: &[String]) -> Vec<String> {
    let mut causes = Vec::new();
    if !waiting.is_empty() {
        causes.push(format!(
            "{} of this repository is captured and not decided yet: `queue show {}`",
            text::count(waiting.len(), "push"),
            waiting.join("`, `queue show ")
        ));
    }
    if let Some(git_dir) = &meant.git_dir {
        let hook = git_dir.as_path().join(HOOK);
        if !hook.exists() {
            causes.push(format!("the hook is not installed there: `{}` is missing", hook.display()));
        }
    }
    if found.decisions == 0 {
        if !meant.name.contains('/') {
            causes.push("the owner is not known: name the repository as OWNER/NAME".to_string());
        }
        causes.push(
            "the hook was not installed, or another name is meant: `log --json` has the names".to_string(),
        );
        causes.push(
            "on a Gitea of many nodes each has a state of its own, and another one took the push".to_string(),
        );
    } else {
        causes
            .push("it was pushed before the journal begins, or while the hook was not installed".to_string());
        if wanted.digits().is_some() {
            let how = if meant.git_dir.is_some() {
                "no push in the journal brought it"
            } else {
                "only the last commit of a push is named in the journal; with the path of the repository, the push that brought a commit is looked for"
            };
            causes.push(how.to_string());
        }
    }
    causes
        .push("the state is that of another user or configuration: see `state_dir`, and `check`".to_string());
    causes
}

/// Returns the ids of the pushes to a repository that are not decided yet.
fn captures_of(state: &State, repository: &str) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    state.each_entry(&[Place::Inbox, Place::Dead], |entry| {
        if entry.is_capture()
            && let Ok(Glance::Push { repository: theirs, .. }) =
                contents::glance(&state.path_of(&entry), true)
            && theirs.eq_ignore_ascii_case(repository)
        {
            ids.push(entry.id().to_string());
        }
        anyhow::Ok(())
    })?;
    Ok(ids)
}
