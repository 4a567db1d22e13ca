//! The report of `explain` when no update matched: what was searched, and possible causes.

use super::{
    query::{SearchResult, Wanted},
    report::{heading, when},
};
use crate::{
    cli::{
        Completion,
        repository_names::{MeantRepository, RepositoryNames},
        terminal::Terminal,
    },
    state::{
        State,
        contents::{self, Glance},
        queue::QueuePlace,
    },
    text,
};

/// Path of the installed hook in a repository.
const HOOK: &str = "hooks/post-receive.d/gitea-lightstep";

/// Reports that nothing was found.
pub(super) fn tell(
    state: &State,
    meant: &MeantRepository,
    wanted: &Wanted,
    found: &SearchResult,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    let waiting = captures_of(state, &wanted.repository)?;
    let causes = causes(meant, wanted, found, &waiting);
    if json {
        let answer = serde_json::json!({
            "repository": wanted.repository.newest(),
            "rev": wanted.rev,
            "matches": 0,
            "updates": [],
            "looked_for": wanted.meanings(),
            "decisions": found.decisions,
            "journal_begins": found.begins,
            "undecided": waiting,
            "causes": causes,
        });
        terminal.json(serde_json::to_string_pretty(&answer)?)?;
        return Ok(Completion::Found);
    }
    let repository = text::line(wanted.repository.newest());
    terminal.answer(format_args!("no matching update in {repository}: {}", wanted.meanings().join(", ")))?;
    terminal.answer(format_args!(
        "  searched {}, which has {}",
        state.dir().display(),
        extent(found, &repository)
    ))?;
    for cause in causes {
        terminal.answer(format_args!("  - {cause}"))?;
    }
    Ok(Completion::Found)
}

fn extent(found: &SearchResult, repository: &str) -> String {
    let Some(begins) = found.begins else { return "no journal yet".to_string() };
    let mut extent = format!(
        "a journal since {} with {} on {repository}",
        when(begins),
        text::count(found.decisions, "decision")
    );
    if let Some(newest) = &found.newest {
        extent.push_str(&format!(", the newest {}: {}", when(newest.time), heading(&newest.decision)));
    }
    extent
}

fn causes(meant: &MeantRepository, wanted: &Wanted, found: &SearchResult, waiting: &[String]) -> Vec<String> {
    let mut causes = Vec::new();
    if !waiting.is_empty() {
        causes.push(format!(
            "{} of this repository not decided yet: `gitea-lightstep queue show {}`",
            text::count(waiting.len(), "push"),
            waiting.join("`, `gitea-lightstep queue show ")
        ));
    }
    if let Some(git_dir) = &meant.git_dir {
        let hook = git_dir.as_path().join(HOOK);
        if !hook.exists() {
            causes.push(format!(
                "the hook is not installed: there is no `{}`, unless Gitea uses a config hook",
                hook.display()
            ));
        }
    }
    if found.decisions == 0 {
        if !wanted.repository.newest().contains('/') {
            causes.push("the owner is not known: name the repository as OWNER/NAME".to_string());
        }
        causes.push(
            "the hook was not installed, or the repository has another name: `gitea-lightstep log --json` \
             shows the names"
                .to_string(),
        );
        causes.push(
            "another node of a Gitea cluster handled the push; each node has its own state directory"
                .to_string(),
        );
    } else {
        causes
            .push("it was pushed before the journal began, or while the hook was not installed".to_string());
        if wanted.digits().is_some() {
            let how = if meant.git_dir.is_some() {
                "no push in the journal contains it"
            } else {
                "the journal names only the last commit of each push; give the path of the repository to \
                 find the push that contains a commit"
            };
            causes.push(how.to_string());
        }
    }
    causes.push(
        "this is the state of another user or configuration: check `state_dir`, and run `gitea-lightstep \
         check`"
            .to_string(),
    );
    causes
}

/// Returns the IDs of the repository's pushes that are not decided yet.
fn captures_of(state: &State, repository: &RepositoryNames) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    state.each_entry(&[QueuePlace::Inbox, QueuePlace::Failed, QueuePlace::Dead], |entry| {
        if entry.is_capture()
            && let Ok(Glance::Push { repository: theirs, .. }) =
                contents::glance(&state.path_of(&entry), true)
            && repository.has(&theirs)
        {
            ids.push(entry.id().to_string());
        }
        anyhow::Ok(())
    })?;
    Ok(ids)
}
