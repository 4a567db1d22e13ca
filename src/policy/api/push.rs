//! `update.push`: who pushed, where to and how.

use std::rc::Rc;

use rhai::Dynamic;

use super::{
    texts::Texts,
    time::TimeView,
    word::{Type, View, Word, maybe, word},
};
use crate::{
    facts::Facts,
    push::{MergeStep, Pusher, Source},
};

/// `update.push` in a script.
#[derive(Clone)]
pub(super) struct PushView(Rc<Facts>);

/// `update.push.pusher` in a script.
#[derive(Clone)]
pub(super) struct PusherView(Pusher);

/// `update.push.repository` in a script.
#[derive(Clone)]
pub(super) struct RepositoryView(Rc<Facts>);

impl PushView {
    pub fn new(facts: &Rc<Facts>) -> Self {
        Self(facts.clone())
    }

    fn source(&self) -> &Source {
        self.0.push().source()
    }
}

impl View for PushView {
    const NAME: &'static str = "push";
    const ABOUT: &'static str = "One run of the hook: who, where and how. Outside Gitea most of it is `()`.";
    const WORDS: &'static [Word<Self>] = &[
        word("id", Type::Text, "the push's id, a UUID", "update.push.id.len() == 36", |p| {
            Ok(p.0.push().id().to_string().into())
        }),
        word(
            "time",
            Type::Object("time"),
            "when it was captured, the only clock that a script has",
            "update.push.time.year >= 2026",
            |p| Ok(Dynamic::from(TimeView::new(p.0.push().time()))),
        ),
        word(
            "pusher",
            Type::Maybe(&Type::Object("pusher")),
            "who pushed; with a deploy key, Gitea names the repository's owner",
            r#"update.push.pusher.name == "ann""#,
            |p| Ok(maybe(p.source().pusher.clone().map(PusherView))),
        ),
        word(
            "repository",
            Type::Object("repository"),
            "where to",
            r#"update.push.repository.full_name == "acme/shop""#,
            |p| Ok(Dynamic::from(RepositoryView(p.0.clone()))),
        ),
        word(
            "options",
            Type::Object("texts"),
            "what was said with `git push -o key=value`, by key; anybody who may push may say it",
            r#"update.push.options.deploy == "prod""#,
            |p| Ok(Dynamic::from(Texts::of(p.source().options.iter()))),
        ),
        word(
            "transport",
            Type::Text,
            "`ssh`, `http`, `internal` (merges and edits on the web) or `local`",
            r#"update.push.transport == "ssh""#,
            |p| Ok(p.source().transport.as_str().into()),
        ),
        word(
            "pull_request",
            Type::Maybe(&Type::Int),
            "the number of the pull request that is merged or brought up to date (Gitea 1.26 or newer)",
            "update.push.pull_request == ()",
            |p| Ok(maybe(p.source().pull_request.and_then(|request| request.number))),
        ),
        word(
            "is_merge",
            Type::Bool,
            "whether a pull request was merged (Gitea 1.22 or newer)",
            "!update.push.is_merge",
            |p| Ok(p.source().pull_request.is_some_and(|pr| pr.step == MergeStep::Merged).into()),
        ),
        word(
            "is_internal",
            Type::Bool,
            "whether Gitea pushed for itself: a new repository's first commit, a pull request's head",
            "!update.push.is_internal",
            |p| Ok(p.source().is_internal.into()),
        ),
        word("is_wiki", Type::Bool, "whether this is a wiki", "!update.push.is_wiki", |p| {
            Ok(p.source().repository.is_wiki.into())
        }),
        word(
            "is_deploy_key",
            Type::Bool,
            "whether a deploy key was used, so that nobody knows who pushed",
            "!update.push.is_deploy_key",
            |p| Ok(p.source().deploy_key_id.is_some().into()),
        ),
        word(
            "actions_task",
            Type::Maybe(&Type::Int),
            "the number of the Gitea Actions task whose token was used (Gitea 1.26 or newer)",
            "update.push.actions_task == ()",
            |p| Ok(maybe(p.source().actions_task_id)),
        ),
    ];
}

impl View for PusherView {
    const NAME: &'static str = "pusher";
    const ABOUT: &'static str = "The person or robot that pushed, as Gitea names them.";
    const WORDS: &'static [Word<Self>] = &[
        word("name", Type::Text, "the login", r#"update.push.pusher.name == "ann""#, |p| {
            Ok(p.0.name.clone().into())
        }),
        word(
            "id",
            Type::Maybe(&Type::Int),
            "Gitea's number of the user, negative for robots",
            "update.push.pusher.id == 7",
            |p| Ok(maybe(p.0.id)),
        ),
    ];
}

impl View for RepositoryView {
    const NAME: &'static str = "repository";
    const ABOUT: &'static str = "The repository that was pushed to.";
    const WORDS: &'static [Word<Self>] = &[
        word(
            "owner",
            Type::Maybe(&Type::Text),
            "the user or organisation",
            r#"update.push.repository.owner == "acme""#,
            |r| Ok(maybe(r.0.push().source().repository.owner.clone())),
        ),
        word(
            "name",
            Type::Text,
            "the name without `.git`, as Gitea or, over SSH, the client writes it",
            r#"update.push.repository.name == "shop""#,
            |r| Ok(r.0.push().source().repository.name.clone().into()),
        ),
        word(
            "full_name",
            Type::Text,
            "`owner/name`",
            r#"update.push.repository.full_name == "acme/shop""#,
            |r| Ok(r.0.push().source().repository.full_name().into()),
        ),
        word(
            "id",
            Type::Maybe(&Type::Int),
            "Gitea's number of the repository, the one name that never changes",
            "update.push.repository.id == 42",
            |r| Ok(maybe(r.0.push().source().repository.id)),
        ),
    ];
}
