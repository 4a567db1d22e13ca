//! The `update.push` object: the pusher, the repository and the transport.

use std::rc::Rc;

use rhai::Dynamic;

use super::{
    property::{ApiFunction, Property, Type, View, list, maybe, word},
    string_map::StringMap,
    time::TimeView,
};
use crate::{
    facts::Facts,
    push::{MergeStep, OrganisationRecord, Pusher, Source},
};

/// The push, as seen by a script.
#[derive(Clone)]
pub(super) struct PushView(Rc<Facts>);

/// The pusher, as seen by a script.
#[derive(Clone)]
pub(super) struct PusherView {
    pusher: Pusher,
    /// The push, if Gitea vouches for the pusher, and Gitea's ID of that user.
    vouched: Option<(Rc<Facts>, i64)>,
}

/// The repository, as seen by a script.
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
    const ABOUT: &'static str = "One run of the hook: who pushed, where and how. Outside Gitea most \
                                 properties are `()`.";
    const WORDS: &'static [Property<Self>] = &[
        word("id", Type::Text, "the push's id, a UUID", "update.push.id.len() == 36", |p| {
            Ok(p.0.push().id().to_string().into())
        }),
        word(
            "time",
            Type::Object("time"),
            "the time of the capture; scripts have no other clock",
            "update.push.time.year >= 2026",
            |p| Ok(Dynamic::from(TimeView::new(p.0.push().time()))),
        ),
        word(
            "pusher",
            Type::Maybe(&Type::Object("pusher")),
            "the pusher; for a deploy key, Gitea names the repository's owner; for a scan, who made the change as Gitea's \
             API says, if `[gitea]` is configured",
            r#"update.push.pusher.name == "ann""#,
            |p| Ok(maybe(p.source().pusher.clone().map(|pusher| PusherView::of(pusher, &p.0)))),
        ),
        word(
            "repository",
            Type::Object("repository"),
            "the repository that was pushed to",
            r#"update.push.repository.full_name == "acme/shop""#,
            |p| Ok(Dynamic::from(RepositoryView(p.0.clone()))),
        ),
        word(
            "options",
            Type::Object("texts"),
            "the options of `git push -o key=value`, by key and without white space around them; anyone who may \
             push can set them",
            r#"update.push.options.deploy == "prod""#,
            |p| Ok(Dynamic::from(StringMap::of(p.source().options.iter()))),
        ),
        word(
            "source",
            Type::Text,
            "`push`, `scan` (found by comparing refs), `command` (`mark`, which moves no ref) or `backfill`",
            r#"update.push.source == "push""#,
            |p| Ok(p.source().found_by.as_str().into()),
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
            "the number of the pull request that was merged or updated (Gitea 1.26 or newer)",
            "update.push.pull_request == ()",
            |p| Ok(maybe(p.source().pull_request.and_then(|request| request.number))),
        ),
        word(
            "is_merge",
            Type::Bool,
            "true if a pull request was merged (Gitea 1.22 or newer)",
            "!update.push.is_merge",
            |p| Ok(p.source().pull_request.is_some_and(|pr| pr.step == MergeStep::Merged).into()),
        ),
        word(
            "is_internal",
            Type::Bool,
            "true if Gitea itself pushed: the first commit of a new repository, or the head of a pull \
             request",
            "!update.push.is_internal",
            |p| Ok(p.source().is_internal.into()),
        ),
        word("is_wiki", Type::Bool, "true if the repository is a wiki", "!update.push.is_wiki", |p| {
            Ok(p.source().repository.is_wiki.into())
        }),
        word(
            "is_deploy_key",
            Type::Bool,
            "true if a deploy key was used; the person who pushed is then unknown",
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
    const WORDS: &'static [Property<Self>] = &[
        word("name", Type::Text, "the login", r#"update.push.pusher.name == "ann""#, |p| {
            Ok(p.pusher.name.clone().into())
        }),
        word(
            "id",
            Type::Maybe(&Type::Int),
            "Gitea's id of the user, negative for robots",
            "update.push.pusher.id == 7",
            |p| Ok(maybe(p.pusher.id)),
        ),
        word(
            "teams",
            Type::Maybe(&Type::List(&Type::Text)),
            "the teams, as `acme/release-managers`, in the organisations of `[gitea]` and `[[trust]]`; `()` if Gitea's API has \
             not answered or the answer is too old, for deploy keys, Actions tasks, commands, and the author of a release",
            "update.push.pusher.teams == ()",
            |p| Ok(p.teams().map_or(Dynamic::UNIT, |teams| list(teams, Into::into))),
        ),
        word(
            "teams_age",
            Type::Maybe(&Type::Int),
            "the age of the oldest of these answers at the time of the push, in seconds; `()` if there is none",
            "update.push.pusher.teams_age == ()",
            |p| Ok(maybe(p.teams_age())),
        ),
    ];
    const METHODS: &'static [ApiFunction] = &[ApiFunction {
        name: "is_in",
        takes: &[("team", Type::Text)],
        gives: Type::Bool,
        about: "Returns true if the pusher is in this team: `acme/release-managers`, or `release-managers` for a team of the \
                repository's owner. Returns false where `teams` is `()`.",
        example: r#"!update.push.pusher.is_in("release-managers")"#,
        register: |engine, name| {
            engine.register_fn(name, |pusher: &mut Self, team: &str| pusher.is_in(team));
        },
    }];
}

impl PusherView {
    fn of(pusher: Pusher, facts: &Rc<Facts>) -> Self {
        let vouched = facts.push().person(facts.index()).map(|id| (facts.clone(), id));
        Self { pusher, vouched }
    }

    /// A user whom Gitea names, and who need not have made the update.
    pub fn unvouched(pusher: Pusher) -> Self {
        Self { pusher, vouched: None }
    }

    fn records(&self) -> Option<(&[OrganisationRecord], i64)> {
        let (facts, id) = self.vouched.as_ref()?;
        Some((facts.push().access().organisations(), *id)).filter(|(records, _)| !records.is_empty())
    }

    fn teams(&self) -> Option<Vec<String>> {
        let (records, id) = self.records()?;
        let of_record = |record: &OrganisationRecord| {
            let teams = record.members.get(&id).into_iter().flatten();
            teams.map(|team| format!("{}/{team}", record.name)).collect::<Vec<_>>()
        };
        Some(records.iter().flat_map(of_record).collect())
    }

    fn teams_age(&self) -> Option<i64> {
        let (records, _) = self.records()?;
        let oldest = records.iter().map(|record| record.time).min()?;
        Some(self.vouched.as_ref()?.0.push().time().duration_since(oldest).as_secs().max(0))
    }

    fn is_in(&self, team: &str) -> bool {
        let Some((facts, id)) = &self.vouched else { return false };
        let owner = facts.push().source().repository.owner.as_deref().unwrap_or_default();
        let (organisation, team) = team.split_once('/').unwrap_or((owner, team));
        facts.push().access().organisation(organisation).is_some_and(|record| record.has(*id, Some(team)))
    }
}

impl View for RepositoryView {
    const NAME: &'static str = "repository";
    const ABOUT: &'static str = "The repository that was pushed to.";
    const WORDS: &'static [Property<Self>] = &[
        word(
            "owner",
            Type::Maybe(&Type::Text),
            "the user or organization",
            r#"update.push.repository.owner == "acme""#,
            |r| Ok(maybe(r.0.push().source().repository.owner.clone())),
        ),
        word(
            "name",
            Type::Text,
            "the name without `.git`, in the spelling of Gitea or, over SSH, of the client",
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
            "Gitea's id of the repository, which never changes",
            "update.push.repository.id == 42",
            |r| Ok(maybe(r.0.push().source().repository.id)),
        ),
    ];
}
