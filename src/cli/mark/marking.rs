//! Finds what a command marks, and has it decided like a push.

use std::{path::PathBuf, rc::Rc};

use anyhow::Context as _;
use bstr::ByteSlice as _;

use super::MarkArgs;
use crate::{
    cli::{
        hook_owner, named_repository::NamedRepository, own_or_new_state, start_delivery, terminal::Terminal,
    },
    config::Config,
    decide::{Budget, Decider, MarkRequest},
    facts::{Facts, Repository},
    push::{
        GitDir, ObjectId, Push, PushId, Pusher, RefName, RepositoryIdentity, Source, Update, UpdateSource,
    },
    settle::{Mode, Settled, settle},
    state::{State, cap, inbox::Captured},
    sys::time::{self, Deadline},
    text,
};

/// Maximum length of a user's name, in characters.
const MAX_NAME: usize = 256;

/// A decided mark.
pub(super) struct DecidedMark {
    /// The push that stands for the mark.
    pub push: Push,
    /// The commit that REV leads to.
    pub commit: ObjectId,
    /// The outcome.
    pub settled: Settled,
}

/// The object that REV names, and the ref that counts as updated.
struct MarkTarget {
    named: NamedRepository,
    git_dir: GitDir,
    ref_name: RefName,
    id: ObjectId,
}

impl MarkTarget {
    /// Looks for the repository and the object. If the object is given, `rev` only names the ref.
    fn find(repo: &str, rev: &str, object: Option<ObjectId>, state: &State) -> anyhow::Result<Self> {
        let named = NamedRepository::find(repo, None, Some(&state.journal()))?;
        let git_dir = named.dir()?.clone();
        let repository = Repository::open(&git_dir)?;
        let (ref_name, id) = match (named.resolve(&repository, rev), object) {
            (Ok((ref_name, id)), object) => (ref_name, object.unwrap_or(id)),
            (Err(_), Some(object)) => (None, object),
            (Err(err), None) => return Err(err),
        };
        let ref_name = match ref_name.filter(|name| name.as_bstr() != "HEAD") {
            Some(name) => name,
            None => default_branch(&repository, rev)?,
        };
        Ok(Self { named, git_dir, ref_name, id })
    }
}

/// Returns the full name of the default branch, which stands for a revision that is not a ref.
fn default_branch(repository: &Repository, rev: &str) -> anyhow::Result<RefName> {
    let branch = repository.default_branch()?;
    branch.and_then(|branch| RefName::new(&[b"refs/heads/", branch.as_bytes()].concat())).with_context(|| {
        format!(
            "`{}` is not a branch or a tag, and the repository has no default branch; name one of its branches",
            text::line(rev)
        )
    })
}

/// Returns the object that REV names now.
///
/// # Errors
/// If there is no such repository or object.
pub(super) fn object(repo: &str, rev: &str, config: &Config) -> anyhow::Result<ObjectId> {
    let target = MarkTarget::find(repo, rev, None, &State::at(&config.state_dir))?;
    Ok(target.id)
}

/// Decides the mark, and writes its markers unless this is a dry run.
///
/// # Errors
/// If there is no such commit, or if the state cannot be written.
pub(super) fn mark(
    args: &MarkArgs,
    request: &MarkRequest,
    config: &Config,
    terminal: &Terminal,
) -> anyhow::Result<DecidedMark> {
    let state = if args.dry_run { State::at(&config.state_dir) } else { own_or_new_state(config)? };
    let MarkTarget { named, git_dir, ref_name, id } =
        MarkTarget::find(&args.repo, &args.rev, args.object, &state)?;
    // The ref stays where it is, so both ids are the same.
    let update = Update::new(ref_name, id, id).context("the object id is all zeros")?;
    let identity = RepositoryIdentity {
        id: named.names.id(),
        is_wiki: RepositoryIdentity::of_dir(&git_dir).is_wiki,
        ..named.identity()
    };
    if !named.names.is_known() {
        terminal.message(format_args!(
            "the journal has no push to `{}`, so its ID in Gitea and its earlier deployments are unknown",
            text::line(identity.full_name())
        ));
    }
    let hook_page = hook_owner::page_of(git_dir.as_path());
    let source = Source {
        found_by: UpdateSource::Command,
        pusher: args.by.as_ref().map(|name| Pusher { name: text::name(name.as_bytes(), MAX_NAME), id: None }),
        options: request.options(),
        root_url: named.names.root_url().map(ToString::to_string),
        ..Source::unknown(git_dir.clone(), identity)
    };
    let time = time::now();
    let push = Push::new(PushId::at(time), time, source, vec![update]);
    let repository = Repository::open(&git_dir).map(Rc::new);
    let commit = Facts::new(Rc::new(push.clone()), 0, repository).commit_id()?;
    let commit = commit.with_context(|| format!("`{}` is not a commit", text::line(&args.rev)))?;
    let settled = if args.dry_run {
        decide(push.clone(), hook_page, config, &state)?
    } else {
        capture_and_settle(push.clone(), hook_page, config, &state, terminal)?
    };
    Ok(DecidedMark { push, commit, settled })
}

/// Decides the mark, and writes nothing.
fn decide(push: Push, hook_page: Option<PathBuf>, config: &Config, state: &State) -> anyhow::Result<Settled> {
    let memory = state.memory().only_to_look();
    let decider = Decider::new(config, push, hook_page, &memory);
    let verdict = decider.decide(0, Budget::Update).context("the policy returned no decision")?;
    Ok(verdict.into())
}

/// Captures the mark, decides it and starts its delivery, as the hook does for a push. No git waits, so
/// the capture is synchronised first, and the policy has the time of the background.
fn capture_and_settle(
    push: Push,
    hook_page: Option<PathBuf>,
    config: &Config,
    state: &State,
    terminal: &Terminal,
) -> anyhow::Result<Settled> {
    let [update] = push.updates() else { anyhow::bail!("a mark has one update") };
    let id = update.raw_new_id();
    let stdin = [format!("{id} {id} ").as_bytes(), update.ref_name().as_bstr(), b"\n"].concat();
    let inbox = state.inbox();
    let mut capture = inbox.capture(push.id(), push.time(), push.source(), hook_page.as_deref(), &stdin)?;
    let waits = |err| anyhow::Error::from(err).context("the mark waits in the inbox");
    capture.keep().map_err(waits)?;
    let captured = Captured { push, hook_page, malformed: Vec::new(), more_malformed: 0, times: Vec::new() };
    let mode = Mode::Background { turn: Deadline::never() };
    let settled = settle(config, state, &mut capture, captured, mode).map_err(waits)?;
    drop(capture);
    let trouble = |what: &str| terminal.message(what);
    if !settled.failed.is_empty()
        && let Err(err) = cap::make_room_in_inbox(state, config.spool)
    {
        trouble(&err.to_string());
    }
    start_delivery::start(config, state, &settled, &|| {}, &trouble);
    Ok(settled)
}
