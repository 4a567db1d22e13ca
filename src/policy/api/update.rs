//! `update`: one ref change and what the repository says of it. Every word is read when it is asked for, and
//! once.

use std::rc::Rc;

use bstr::ByteSlice as _;
use rhai::{Dynamic, ImmutableString};

use super::{
    commit::{CommitView, PersonView, TagView},
    paths::PathsView,
    push::PushView,
    texts::Texts,
    word::{Function, Read, Type, View, Word, fact, list, maybe, number, word},
};
use crate::{
    facts::{Commit, FactError, Facts, Range, tickets},
    policy::Matter,
    push::{ObjectId, RefKind},
    service::Services,
};

/// `update` in a script.
#[derive(Clone)]
pub(in crate::policy) struct UpdateView(Rc<Facts>, Rc<Services>);

impl UpdateView {
    pub fn new(matter: &Matter) -> Self {
        Self(matter.facts.clone(), matter.services.clone())
    }

    /// Returns a word of the update's commit, `()` for a tag of a tree or a blob.
    fn of_commit(&self, read: impl FnOnce(Rc<Commit>) -> Dynamic) -> Read {
        Ok(fact(self.0.commit())?.map_or(Dynamic::UNIT, read))
    }
}

const TEXT: Type = Type::Maybe(&Type::Text);

impl View for UpdateView {
    const NAME: &'static str = "update";
    const ABOUT: &'static str = "One ref change of a push.";
    const WORDS: &'static [Word<Self>] = &[
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
            "old_id",
            TEXT,
            "the id that the ref had, as git gave it; `()` if the push created it",
            "update.is_created == (update.old_id == ())",
            |u| Ok(id(u.0.update().old_id())),
        ),
        word(
            "new_id",
            TEXT,
            "the id that the ref has now, that of the tag object for an annotated tag; `()` if the push deleted it",
            "update.new_id.len() == 40",
            |u| Ok(id(u.0.update().new_id())),
        ),
        word(
            "commit_id",
            TEXT,
            "the commit that the ref names in the end; `()` for a tag of a tree or a blob",
            "update.commit_id == update.commit.id",
            |u| Ok(id(fact(u.0.commit_id())?)),
        ),
        word("is_created", Type::Bool, "whether the push made the ref", "!update.is_created", |u| {
            Ok(u.0.update().is_created().into())
        }),
        word("is_deleted", Type::Bool, "whether the push removed the ref", "!update.is_deleted", |u| {
            Ok(u.0.update().is_deleted().into())
        }),
        word(
            "is_rewind",
            Type::Bool,
            "whether the old commit is not in the new one's history: a forced push (walks history)",
            "!update.is_rewind",
            |u| Ok(fact(u.0.is_rewind())?.into()),
        ),
        word(
            "is_default_branch",
            Type::Bool,
            "whether it is the branch that `HEAD` names",
            "update.is_default_branch",
            |u| Ok(fact(u.0.is_default_branch())?.into()),
        ),
        word(
            "commit",
            Type::Maybe(&Type::Object("commit")),
            "the commit that the ref names in the end",
            r#"update.commit.title == "feat(search)!: search faster""#,
            |u| Ok(maybe(fact(u.0.commit())?.map(CommitView::new))),
        ),
        word(
            "annotated_tag",
            Type::Maybe(&Type::Object("tag")),
            "the tag object of an annotated tag",
            r#"update.annotated_tag.message.starts_with("Checkout 1.3.0")"#,
            |u| {
                let target = fact(u.0.target())?;
                Ok(maybe(target.tag.is_some().then(|| TagView::new(target))))
            },
        ),
        word(
            "commits",
            Type::List(&Type::Object("commit")),
            "the newest 250 commits that the push brought, newest first (walks history)",
            r#"update.commits.map(|commit| commit.title)[1] == "fix: pay by card""#,
            |u| Ok(commits(&*fact(u.0.range())?)),
        ),
        word(
            "commit_count",
            Type::Int,
            "how many commits the push brought; the walk ends after 10,000",
            "update.commit_count == 2",
            |u| Ok(number(fact(u.0.range())?.count)),
        ),
        word(
            "authors",
            Type::List(&Type::Text),
            "the names of their authors, each once (walks history)",
            r#"update.authors == ["Ann Author"]"#,
            |u| Ok(list(fact(u.0.range())?.authors(), |name| name.to_string().into())),
        ),
        word(
            "tickets",
            Type::List(&Type::Text),
            "the tickets that the messages of `commits` name, each once (walks history)",
            r#"update.tickets == ["ACME-8", "ACME-7"]"#,
            |u| {
                let range = fact(u.0.range())?;
                let messages: Vec<&str> =
                    range.commits.iter().map(|commit| commit.message.as_str()).collect();
                Ok(list(tickets(&messages.join("\n")), Dynamic::from))
            },
        ),
        word(
            "changed_paths",
            Type::Object("paths"),
            "the paths in which the new commit differs from the old one; for a created ref, from its first parent",
            r#"update.changed_paths.any("services/search/**")"#,
            |u| Ok(Dynamic::from(PathsView::new(fact(u.0.changed_paths())?))),
        ),
        word(
            "version",
            TEXT,
            "the version that a tag names: `1.2.3` for `v1.2.3`, `1.2.3`, `checkout/v1.2.3`, `checkout@1.2.3`",
            r#"update.version == "1.3.0""#,
            |u| Ok(maybe(u.0.version_tag().map(|tag| tag.version().to_string()))),
        ),
        word("service", TEXT, "the service that such a tag names", r#"update.service == "checkout""#, |u| {
            Ok(maybe(u.0.version_tag().and_then(|tag| tag.service().map(ToString::to_string))))
        }),
        word("deploys", Type::Bool, "whether there are any `environments`", "!update.deploys", |u| {
            Ok((!u.1.environments_of(u.0.update()).is_empty()).into())
        }),
        word(
            "environments",
            Type::List(&Type::Text),
            "the environments that a push to this ref deploys to, as the rules of the repository's services say",
            "update.environments.is_empty()",
            |u| Ok(list(u.1.environments_of(u.0.update()), |name| name.to_string().into())),
        ),
        word(
            "previous_version",
            TEXT,
            "the nearest version tag in the history, of the same service and not the update's own; a pre-release \
             only if the update names one (walks history, at most 10,000 commits)",
            r#"semver(update.version).bump_from(semver(update.previous_version)) == "minor""#,
            |u| Ok(maybe(fact(u.0.previous_version())?.map(|tag| tag.version().to_string()))),
        ),
        word(
            "commits_since_version",
            Type::List(&Type::Object("commit")),
            "the newest 250 commits since `previous_version`, newest first; without one, of the whole history \
             (walks history, at most 10,000 commits)",
            r#"update.commits_since_version.map(|commit| commit.title).contains("fix: pay by card")"#,
            |u| Ok(commits(&*fact(u.0.range_since_version())?)),
        ),
        word(
            "merged_pull_request",
            Type::Maybe(&Type::Int),
            "the number of the pull request that the push merged; `()` if it merged none, or Gitea does not say \
             so (before 1.22)",
            "update.merged_pull_request == ()",
            |u| Ok(maybe(fact(u.0.merged_pull_request())?)),
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
            "who wrote the commit",
            r#"update.author.name == "Ann Author""#,
            |u| u.of_commit(|commit| Dynamic::from(PersonView::new(commit.author.clone()))),
        ),
        word(
            "committer",
            Type::Maybe(&Type::Object("person")),
            "who made the commit",
            r#"update.committer.email == "ann@example.org""#,
            |u| u.of_commit(|commit| Dynamic::from(PersonView::new(commit.committer.clone()))),
        ),
        word(
            "trailers",
            Type::Maybe(&Type::Object("texts")),
            "the commit's trailers, by their names in lower case",
            r#"update.trailers.ticket == "ACME-8""#,
            |u| u.of_commit(|commit| Dynamic::from(Texts::of_trailers(&commit.trailers))),
        ),
        word(
            "push",
            Type::Object("push"),
            "the push that the update is a part of",
            r#"update.push.pusher.name == "ann""#,
            |u| Ok(Dynamic::from(PushView::new(&u.0))),
        ),
    ];
    const METHODS: &'static [Function] = &[
        Function {
            name: "file",
            takes: &[("path", Type::Text)],
            gives: TEXT,
            about: "Returns the text of a file at the new commit, `()` if it is not there. It may have 256 KiB.",
            example: r#"update.file("deploy/values.yaml").contains("tag: 1.3.0")"#,
            register: |engine, name| {
                engine.register_fn(name, |update: &mut Self, path: &str| text(update.0.file(path)));
            },
        },
        Function {
            name: "file_before",
            takes: &[("path", Type::Text)],
            gives: TEXT,
            about: "Returns the text of a file as it was before the push: at the old commit; for a created ref, at the \
                    new commit's first parent.",
            example: r#"update.file_before("deploy/values.yaml").contains("tag: 1.2.0")"#,
            register: |engine, name| {
                engine.register_fn(name, |update: &mut Self, path: &str| text(update.0.file_before(path)));
            },
        },
        Function {
            name: "describe",
            takes: &[],
            gives: TEXT,
            about: "Returns the nearest tag in the history and the distance from it, as `git describe --tags` does: \
                    `v1.2.0-2-g0123456789ab`. `()` if there is none in the newest 10,000 commits.",
            example: r#"update.describe() == "v1.2.0-2-g" + short(update.commit_id)"#,
            register: |engine, name| {
                engine.register_fn(name, |update: &mut Self| -> Read {
                    Ok(maybe(fact(update.0.describe())?.map(|found| found.to_string())))
                });
            },
        },
    ];
}

fn id(id: Option<ObjectId>) -> Dynamic {
    maybe(id.map(|id| id.to_string()))
}

fn commits(range: &Range) -> Dynamic {
    list(&range.commits, |commit| Dynamic::from(CommitView::new(commit.clone())))
}

fn text(read: Result<Option<Rc<str>>, FactError>) -> Read {
    Ok(maybe(fact(read)?.map(|text| ImmutableString::from(&*text))))
}
