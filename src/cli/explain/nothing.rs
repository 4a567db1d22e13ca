//! The report of `explain` when no update matched: what was searched, and possible causes.

use super::{
    query::{SearchResult, Wanted},
    report::{heading, when},
};
use crate::{
    cli::{
        Completion, named_repository::NamedRepository, repository_names::RepositoryNames,
        seen_names::SeenNames, terminal::Terminal,
    },
    proposal::command,
    push::{RefKind, RefName},
    state::{
        State,
        contents::{self, Glance},
        queue::QueuePlace,
    },
    text,
};

/// Maximum length of a name that is shown, in characters.
const MAX_NAME: usize = 256;

/// Path of the installed hook in a repository.
const HOOK: &str = "hooks/post-receive.d/gitea-lightstep";

/// A search that found no update.
pub(super) struct Searched<'a> {
    pub meant: &'a NamedRepository,
    pub wanted: &'a Wanted,
    pub found: &'a SearchResult,
    /// The ref with the name that was searched for, if the repository is open and has one.
    pub there: Option<RefName>,
}

/// Reports that nothing was found.
pub(super) fn tell(
    state: &State,
    searched: &Searched<'_>,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    let Searched { wanted, found, .. } = searched;
    let waiting = captures_of(state, &wanted.repository)?;
    let mut causes = causes(searched, &waiting);
    if found.decisions == 0 {
        let seen = SeenNames::of(&state.journal())?;
        let unknown = seen.unknown_repository(wanted.repository.newest(), &wanted.repository);
        if let Some(near) = unknown.filter(|unknown| unknown.hint.is_some()) {
            causes.insert(0, near.to_string());
        }
    }
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
    terminal.row(format_args!("no matching update in {repository}: {}", wanted.meanings().join(", ")))?;
    terminal.row(format_args!(
        "  searched {}, which has {}",
        state.dir().display(),
        extent(found, &repository)
    ))?;
    for cause in causes {
        terminal.row(format_args!("  - {cause}"))?;
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

fn causes(searched: &Searched<'_>, waiting: &[String]) -> Vec<String> {
    let Searched { meant, wanted, found, .. } = searched;
    let mut causes = Vec::new();
    causes.extend(without_hook(searched));
    if !waiting.is_empty() {
        let shows: Vec<_> =
            waiting.iter().map(|id| format!("`{}`", command(&format!("queue show {id}")))).collect();
        causes.push(format!(
            "{} of this repository not decided yet: {}",
            text::count(waiting.len(), "push"),
            shows.join(", ")
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
        causes.push(format!(
            "the hook was not installed, or the repository has another name: `{}` shows the names",
            command("log --json")
        ));
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
    causes.push(format!(
        "this is the state of another user or configuration: check `state_dir`, and run `{}`",
        command("check")
    ));
    causes
}

/// Returns the cause that Gitea runs no hook for what makes or renames such a ref. Without the
/// repository, a name may be that of a tag.
fn without_hook(searched: &Searched<'_>) -> Option<String> {
    const NO_HOOK: &str = "Gitea runs no hook for a tag or a release that is made in its pages or API, nor for \
                           what a pull mirror fetches or a migration brings";
    let rev = searched.wanted.rev.as_deref()?;
    match searched.there.as_ref().map(RefName::kind) {
        Some(RefKind::Tag(tag)) => {
            let tag = text::name(tag, MAX_NAME);
            Some(format!(
                "the tag `{tag}` exists, but no push in the journal made it: {NO_HOOK}; to mark it, delete it in \
                 Gitea and push it"
            ))
        }
        Some(RefKind::Branch(branch)) => Some(format!(
            "the branch `{}` exists, but no push in the journal made it: Gitea runs no hook when a branch is \
             renamed in its pages or API, nor for what a pull mirror fetches or a migration brings",
            text::name(branch, MAX_NAME)
        )),
        Some(RefKind::Other) => None,
        None if searched.meant.git_dir.is_some() => None,
        None => {
            let is_tag = !rev.starts_with("refs/heads/") && searched.wanted.digits().is_none();
            is_tag.then(|| format!("it is a tag, and {NO_HOOK}"))
        }
    }
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
