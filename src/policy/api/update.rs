//! The `update` object: one ref change, with facts from the repository. Each fact is read when a
//! script first asks for it, and then kept.

use std::rc::Rc;

use bstr::ByteSlice as _;
use rhai::{Dynamic, EvalAltResult, ImmutableString};

use super::{
    commit::{CommitView, PersonView, TagView},
    paths::PathsView,
    property::{ApiFunction, Property, PropertyResult, Type, View, fact, list, maybe, number, word},
    push::PushView,
    release::ReleaseView,
    signature::SignatureView,
    string_map::StringMap,
};
use crate::{
    facts::{Commit, FactError, Facts, MAX_VISITED, Range, RefUpdate, VersionTag, WalkLimit},
    policy::UpdateContext,
    push::{ObjectId, RefKind, RefName},
    service::Services,
};

/// The update, as seen by a script.
#[derive(Clone)]
pub(in crate::policy) struct UpdateView(Rc<Facts>, Rc<Services>);

impl UpdateView {
    pub fn new(update_context: &UpdateContext) -> Self {
        Self(update_context.facts.clone(), update_context.services.clone())
    }

    fn ref_update(&self) -> Result<Option<RefUpdate>, Box<EvalAltResult>> {
        fact(self.0.ref_update(WalkLimit::Visits(MAX_VISITED)))
    }

    /// Reads a property of the update's commit. Returns `()` for a tag of a tree or a blob.
    fn of_commit(&self, read: impl FnOnce(Rc<Commit>) -> Dynamic) -> PropertyResult {
        Ok(fact(self.0.commit())?.map_or(Dynamic::UNIT, read))
    }
}

const TEXT: Type = Type::Maybe(&Type::Text);

impl View for UpdateView {
    const NAME: &'static str = "update";
    const ABOUT: &'static str = "One ref change of a push.";
    const WORDS: &'static [Property<Self>] = &[
        word("ref", Type::Text, "the full name of the ref", r#"update.ref == "refs/heads/main""#, |u| {
            Ok(u.0.update().ref_name().to_text().into())
        }),
        word("branch", TEXT, "the short name of a branch", r#"update.branch == "main""#, |u| {
            Ok(match u.0.update().ref_name().kind() {
                RefKind::Branch(name) => name.to_str_lossy().into_owned().into(),
                RefKind::Tag(_) | RefKind::Other => Dynamic::UNIT,
            })
        }),
        word("tag", TEXT, "the short name of a tag", r#"update.tag == "checkout/v1.3.0""#, |u| {
            Ok(match u.0.update().ref_name().kind() {
                RefKind::Tag(name) => name.to_str_lossy().into_owned().into(),
                RefKind::Branch(_) | RefKind::Other => Dynamic::UNIT,
            })
        }),
        word(
            "renamed_from",
            TEXT,
            "the branch that the same push deleted at the commit at which it created this one",
            "update.renamed_from == ()",
            |u| {
                Ok(match u.0.push().renamed_from(u.0.index()).map(RefName::kind) {
                    Some(RefKind::Branch(name)) => name.to_str_lossy().into_owned().into(),
                    _ => Dynamic::UNIT,
                })
            },
        ),
        word(
            "old_id",
            TEXT,
            "the object id before the push, from git; `()` if the push created the ref",
            "update.is_created == (update.old_id == ())",
            |u| Ok(id(u.0.update().old_id())),
        ),
        word(
            "new_id",
            TEXT,
            "the object id after the push, that of the tag object for an annotated tag; `()` if the push \
             deleted the ref",
            "update.new_id.len() == 40",
            |u| Ok(id(u.0.update().new_id())),
        ),
        word(
            "commit_id",
            TEXT,
            "the id of the commit that the ref points to, through any tag object; `()` for a tag of a tree \
             or a blob",
            "update.commit_id == update.commit.id",
            |u| Ok(id(fact(u.0.commit_id())?)),
        ),
        word("is_created", Type::Bool, "true if the push created the ref", "!update.is_created", |u| {
            Ok(u.0.update().is_created().into())
        }),
        word("is_deleted", Type::Bool, "true if the push deleted the ref", "!update.is_deleted", |u| {
            Ok(u.0.update().is_deleted().into())
        }),
        word(
            "is_rewind",
            Type::Bool,
            "true for a forced push: the old commit is not in the history of the new one; false if that is unknown, as \
             `ref_update` tells (walks history)",
            "!update.is_rewind",
            |u| Ok(fact(u.0.is_rewind())?.into()),
        ),
        word(
            "ref_update",
            TEXT,
            "`created`, `fast_forward`, `forced`, `rewound` (the new commit is in the history of the old one) or \
             `deleted`; `()` if that is unknown (walks history, at most 10,000 commits, and a million in the \
             commit-graph)",
            r#"update.ref_update == if update.tag == () { "fast_forward" } else { "created" }"#,
            |u| Ok(maybe(u.ref_update()?.map(|moved| moved.as_str().to_string()))),
        ),
        word(
            "removed_count",
            Type::Maybe(&Type::Int),
            "the number of commits that the push took out of the ref, 0 unless it was forced or rewound; `()` if \
             that is unknown (walks history, at most 10,000 commits)",
            "update.removed_count == 0",
            |u| Ok(u.ref_update()?.and_then(RefUpdate::removed).map_or(Dynamic::UNIT, number)),
        ),
        word(
            "is_default_branch",
            Type::Bool,
            "true for the branch that `HEAD` names",
            "update.is_default_branch",
            |u| Ok(fact(u.0.is_default_branch())?.into()),
        ),
        word(
            "commit",
            Type::Maybe(&Type::Object("commit")),
            "the commit that the ref points to, through any tag object",
            r#"update.commit.title == "feat(search)!: search faster""#,
            |u| Ok(maybe(fact(u.0.commit())?.map(|commit| CommitView::new(commit, &u.0)))),
        ),
        word(
            "annotated_tag",
            Type::Maybe(&Type::Object("tag")),
            "the tag object of an annotated tag",
            r#"update.annotated_tag.message.starts_with("Checkout 1.3.0")"#,
            |u| {
                let target = fact(u.0.target())?;
                Ok(maybe(target.tag.is_some().then(|| TagView::new(target, &u.0))))
            },
        ),
        word(
            "signature",
            Type::Object("signature"),
            "the signature of the annotated tag, or without one that of the commit, verified with the keys of \
             `[signatures]`",
            "!update.signature.is_good",
            |u| Ok(Dynamic::from(SignatureView::new(fact(u.0.signature())?))),
        ),
        word(
            "commits",
            Type::List(&Type::Object("commit")),
            "the newest 250 commits that the push added, newest first (walks history)",
            r#"update.commits.map(|commit| commit.title)[1] == "fix: pay by card""#,
            |u| Ok(commits(&*fact(u.0.range())?, &u.0)),
        ),
        word(
            "commit_count",
            Type::Maybe(&Type::Int),
            "the number of commits that the push added; `()` if they are too many to count (walks history, at most \
             10,000 commits)",
            "update.commit_count == 2",
            |u| Ok(fact(u.0.range())?.exact_count().map_or(Dynamic::UNIT, number)),
        ),
        word(
            "authors",
            Type::List(&Type::Text),
            "the names of the authors of `commits`, without duplicates (walks history)",
            r#"update.authors == ["Ann Author"]"#,
            |u| Ok(list(fact(u.0.range())?.authors(), |name| name.to_string().into())),
        ),
        word(
            "tickets",
            Type::List(&Type::Text),
            "the tickets that the messages of `commits` and the branch name, without duplicates (walks history)",
            r#"update.tickets == ["ACME-8", "ACME-7"]"#,
            |u| {
                let projects = &u.0.message_rules().projects;
                let mut tickets = fact(u.0.range())?.tickets(projects);
                let of_branch = u.0.tickets_of_branch(projects);
                tickets.extend(
                    of_branch.into_iter().filter(|ticket| !tickets.contains(ticket)).collect::<Vec<_>>(),
                );
                Ok(list(tickets, Dynamic::from))
            },
        ),
        word(
            "changed_paths",
            Type::Object("paths"),
            "the paths that differ between the old and the new commit; for a created ref, between the new \
             commit and its first parent",
            r#"update.changed_paths.any("services/search/**")"#,
            |u| Ok(Dynamic::from(PathsView::new(fact(u.0.changed_paths())?))),
        ),
        word(
            "version",
            TEXT,
            "the version that a tag names: `1.2.3` for `v1.2.3`, `checkout-v1.2.3`, `checkout/1.2.3` and \
             `@acme/checkout@1.2.3`; docs/services.md lists the forms",
            r#"update.version == "1.3.0""#,
            |u| Ok(maybe(u.0.version_tag().map(|tag| tag.version().to_string()))),
        ),
        word("service", TEXT, "the service in a version tag", r#"update.service == "checkout""#, |u| {
            Ok(maybe(u.0.version_tag().and_then(|tag| tag.service().map(ToString::to_string))))
        }),
        word(
            "unknown_service",
            TEXT,
            "the text before the version in a tag, if it is not a service of the repository; `version` is `()` \
             then",
            "update.unknown_service == ()",
            |u| Ok(maybe(u.0.unknown_tag_prefix().map(ToString::to_string))),
        ),
        word(
            "is_prerelease",
            Type::Bool,
            "true if `version` is a pre-release, such as `1.2.3-rc.1` and `1.2.3rc1`",
            "!update.is_prerelease",
            |u| Ok(u.0.version_tag().is_some_and(VersionTag::is_prerelease).into()),
        ),
        word("deploys", Type::Bool, "true if there are any `environments`", "!update.deploys", |u| {
            Ok((!u.1.environments_of(u.0.update()).is_empty()).into())
        }),
        word(
            "environments",
            Type::List(&Type::Text),
            "the environments that a push to this ref deploys to, by the rules of the repository's services",
            "update.environments.is_empty()",
            |u| Ok(list(u.1.environments_of(u.0.update()), |name| name.to_string().into())),
        ),
        word(
            "previous_version",
            TEXT,
            "the version of the nearest version tag of the same service in the history, other than the \
             update's own tag; a pre-release only if the update names one (walks history, at most 10,000 \
             commits)",
            r#"semver(update.version).bump_from(semver(update.previous_version)) == "minor""#,
            |u| Ok(maybe(fact(u.0.previous_version())?.map(|tag| tag.version().to_string()))),
        ),
        word(
            "commits_since_version",
            Type::List(&Type::Object("commit")),
            "the newest 250 commits since `previous_version`, newest first; without one, of the whole history \
             (walks history, at most 10,000 commits)",
            r#"update.commits_since_version.map(|commit| commit.title).contains("fix: pay by card")"#,
            |u| Ok(commits(&*fact(u.0.range_since_version())?, &u.0)),
        ),
        word(
            "merged_pull_request",
            Type::Maybe(&Type::Int),
            "the number of the pull request that the push merged; `()` if it merged none, or if Gitea is \
             older than 1.22",
            "update.merged_pull_request == ()",
            |u| Ok(maybe(fact(u.0.merged_pull_request())?)),
        ),
        word(
            "release",
            Type::Maybe(&Type::Object("release")),
            "the release of a tag that a scan found, as Gitea's API tells it; `()` for a push, and without `[gitea]`",
            "update.release == ()",
            |u| Ok(maybe(u.0.release().cloned().map(ReleaseView))),
        ),
        word("title", TEXT, "the commit's title", "update.title == update.commit.title", |u| {
            u.of_commit(|commit| commit.title.clone().into())
        }),
        word("message", TEXT, "the commit's message", "update.message == update.commit.message", |u| {
            u.of_commit(|commit| commit.message.clone().into())
        }),
        word(
            "author",
            Type::Maybe(&Type::Object("person")),
            "the author of the commit",
            r#"update.author.name == "Ann Author""#,
            |u| u.of_commit(|commit| Dynamic::from(PersonView::new(commit.author.clone()))),
        ),
        word(
            "committer",
            Type::Maybe(&Type::Object("person")),
            "the committer of the commit",
            r#"update.committer.email == "ann@example.org""#,
            |u| u.of_commit(|commit| Dynamic::from(PersonView::new(commit.committer.clone()))),
        ),
        word(
            "trailers",
            Type::Maybe(&Type::Object("texts")),
            "the commit's trailers, by name in lower case",
            r#"update.trailers.ticket == "ACME-8""#,
            |u| u.of_commit(|commit| Dynamic::from(StringMap::of_trailers(&commit.trailers))),
        ),
        word(
            "push",
            Type::Object("push"),
            "the push that the update belongs to",
            r#"update.push.pusher.name == "ann""#,
            |u| Ok(Dynamic::from(PushView::new(&u.0))),
        ),
    ];
    const METHODS: &'static [ApiFunction] = &[
        ApiFunction {
            name: "file",
            takes: &[("path", Type::Text)],
            gives: TEXT,
            about: "Returns the text of a file at the new commit; `()` if it does not exist. The file may \
                    have at most 256 KiB. Symbolic links inside the repository are followed; one that \
                    leads out of it is an error.",
            example: r#"update.file("deploy/values.yaml").contains("tag: 1.3.0")"#,
            register: |engine, name| {
                engine.register_fn(name, |update: &mut Self, path: &str| text(update.0.file(path)));
            },
        },
        ApiFunction {
            name: "file_before",
            takes: &[("path", Type::Text)],
            gives: TEXT,
            about: "Returns the text of a file before the push: at the old commit or, for a created ref, \
                    at the first parent of the new commit.",
            example: r#"update.file_before("deploy/values.yaml").contains("tag: 1.2.0")"#,
            register: |engine, name| {
                engine.register_fn(name, |update: &mut Self, path: &str| text(update.0.file_before(path)));
            },
        },
        ApiFunction {
            name: "describe",
            takes: &[],
            gives: TEXT,
            about: "Returns the nearest tag in the history and the distance from it, like `git describe \
                    --tags`: `v1.2.0-2-g0123456789ab`. `()` if the newest 10,000 commits have no tag.",
            example: r#"update.describe() == "v1.2.0-2-g" + short(update.commit_id)"#,
            register: |engine, name| {
                engine.register_fn(name, |update: &mut Self| -> PropertyResult {
                    Ok(maybe(fact(update.0.describe())?.map(|found| found.to_string())))
                });
            },
        },
    ];
}

fn id(id: Option<ObjectId>) -> Dynamic {
    maybe(id.map(|id| id.to_string()))
}

fn commits(range: &Range, facts: &Rc<Facts>) -> Dynamic {
    list(&range.commits, |commit| Dynamic::from(CommitView::new(commit.clone(), facts)))
}

fn text(read: Result<Option<Rc<str>>, FactError>) -> PropertyResult {
    Ok(maybe(fact(read)?.map(|text| ImmutableString::from(&*text))))
}
