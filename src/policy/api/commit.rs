//! Script views of commits, annotated tags, people and Conventional Commits titles.

use std::rc::Rc;

use rhai::Dynamic;

use super::{
    property::{Property, Type, View, fact, list, maybe, word},
    signature::SignatureView,
    string_map::StringMap,
    time::TimeView,
};
use crate::facts::{Commit, Conventional, Facts, PeeledObject, Person, Tag};

/// A commit, as seen by a script.
#[derive(Clone)]
pub(super) struct CommitView(Rc<Commit>, Rc<Facts>);

/// An annotated tag, as seen by a script.
#[derive(Clone)]
pub(super) struct TagView(Rc<PeeledObject>, Rc<Facts>);

/// A person, as seen by a script.
#[derive(Clone)]
pub(super) struct PersonView(Person);

/// A Conventional Commits title, as seen by a script.
#[derive(Clone)]
pub(super) struct ConventionalView(Rc<Conventional>);

impl CommitView {
    /// Creates the view of a commit that belongs to an update.
    pub fn new(commit: Rc<Commit>, facts: &Rc<Facts>) -> Self {
        Self(commit, facts.clone())
    }
}

impl TagView {
    /// Creates the view. The target must have a tag.
    pub fn new(target: Rc<PeeledObject>, facts: &Rc<Facts>) -> Self {
        Self(target, facts.clone())
    }

    fn read<T>(&self, read: impl FnOnce(&Tag) -> T) -> Option<T> {
        self.0.tag.as_ref().map(read)
    }
}

impl PersonView {
    pub fn new(person: Person) -> Self {
        Self(person)
    }
}

impl ConventionalView {
    pub fn new(conventional: Conventional) -> Self {
        Self(Rc::new(conventional))
    }
}

const PERSON: Type = Type::Object("person");

impl View for CommitView {
    const NAME: &'static str = "commit";
    const ABOUT: &'static str = "A commit. Only the id is reliable; authors can write anything into the \
                                 rest.";
    const WORDS: &'static [Property<Self>] = &[
        word("id", Type::Text, "the full id", "update.commit.id == update.commit_id", |c| {
            Ok(c.0.id.to_string().into())
        }),
        word(
            "title",
            Type::Text,
            "the first paragraph of the message as one line",
            r#"update.commit.title.starts_with("feat")"#,
            |c| Ok(c.0.title.clone().into()),
        ),
        word(
            "message",
            Type::Text,
            "the whole message",
            r#"update.commit.message.contains("ACME-8")"#,
            |c| Ok(c.0.message.clone().into()),
        ),
        word("author", PERSON, "the author", r#"update.commit.author.name == "Ann Author""#, |c| {
            Ok(Dynamic::from(PersonView::new(c.0.author.clone())))
        }),
        word(
            "committer",
            PERSON,
            "the committer; for a merge on the web, Gitea or the person who merged",
            r#"update.commit.committer.name == "Ann Author""#,
            |c| Ok(Dynamic::from(PersonView::new(c.0.committer.clone()))),
        ),
        word(
            "co_authors",
            Type::List(&PERSON),
            "the people named in `Co-authored-by` trailers",
            r#"update.commit.co_authors.map(|person| person.name) == ["Bo Bot"]"#,
            |c| Ok(list(c.0.co_authors(), |person| Dynamic::from(PersonView(person)))),
        ),
        word(
            "trailers",
            Type::Object("texts"),
            "the trailers at the end of the message, by name in lower case",
            r#"update.commit.trailers.ticket == "ACME-8""#,
            |c| Ok(Dynamic::from(StringMap::of_trailers(&c.0.trailers))),
        ),
        word(
            "tickets",
            Type::List(&Type::Text),
            "the tickets that the message names outside of quotations, without duplicates",
            r#"update.commit.tickets == ["ACME-8"]"#,
            |c| Ok(list(c.0.tickets(&c.1.message_rules().projects), Dynamic::from)),
        ),
        word(
            "conventional",
            Type::Maybe(&Type::Object("conventional")),
            "the title as a Conventional Commit; `()` if it is not one",
            r#"update.commit.conventional.type == "feat""#,
            |c| Ok(maybe(c.0.conventional().map(ConventionalView::new))),
        ),
        word(
            "reverts",
            Type::Maybe(&Type::Text),
            "the id of the commit that this one reverts, according to its message; the first one of several",
            "update.commit.reverts == ()",
            |c| Ok(maybe(c.0.reverts().into_iter().next())),
        ),
        word(
            "parents",
            Type::List(&Type::Text),
            "the ids of the parents",
            "update.commit.parents.len() == 1",
            |c| Ok(list(&c.0.parents, |id| id.to_string().into())),
        ),
        word("is_merge", Type::Bool, "true if it has several parents", "!update.commit.is_merge", |c| {
            Ok((c.0.parents.len() > 1).into())
        }),
        word(
            "is_signed",
            Type::Bool,
            "true if there is a signature, whether it is good or not",
            "!update.commit.is_signed",
            |c| Ok(c.0.is_signed.into()),
        ),
        word(
            "signature",
            Type::Object("signature"),
            "the signature, verified with the keys of `[signatures]`",
            r#"update.commit.signature.result == "unsigned""#,
            |c| Ok(Dynamic::from(SignatureView::new(fact(c.1.signature_of_commit(c.0.id))?))),
        ),
    ];
}

impl View for TagView {
    const NAME: &'static str = "tag";
    const ABOUT: &'static str = "An annotated tag.";
    const WORDS: &'static [Property<Self>] = &[
        word("id", Type::Text, "the id of the tag object", "update.annotated_tag.id == update.new_id", |t| {
            Ok(maybe(t.read(|tag| tag.id.to_string())))
        }),
        word(
            "message",
            Type::Text,
            "the message, without a signature",
            r#"update.annotated_tag.message.starts_with("Checkout 1.3.0")"#,
            |t| Ok(maybe(t.read(|tag| tag.message.clone()))),
        ),
        word(
            "trailers",
            Type::Object("texts"),
            "the trailers at the end of the message, by name in lower case",
            r#"update.annotated_tag.trailers["approved-by"] == "Bo""#,
            |t| Ok(maybe(t.read(|tag| StringMap::of_trailers(&tag.trailers)))),
        ),
        word(
            "tagger",
            Type::Maybe(&PERSON),
            "the person who made the tag",
            r#"update.annotated_tag.tagger.name == "Ann Author""#,
            |t| Ok(maybe(t.read(|tag| tag.tagger.clone()).flatten().map(PersonView))),
        ),
        word(
            "is_signed",
            Type::Bool,
            "true if there is a signature, whether it is good or not",
            "!update.annotated_tag.is_signed",
            |t| Ok(t.read(|tag| tag.is_signed).unwrap_or_default().into()),
        ),
        word(
            "signature",
            Type::Object("signature"),
            "the signature, verified with the keys of `[signatures]`; one of a tag with another name is \
             `bad`",
            r#"update.annotated_tag.signature.result == "unsigned""#,
            |t| Ok(Dynamic::from(SignatureView::new(fact(t.1.signature())?))),
        ),
    ];
}

impl View for PersonView {
    const NAME: &'static str = "person";
    const ABOUT: &'static str = "A person as named in a commit or a tag; authors can write anything here.";
    const WORDS: &'static [Property<Self>] = &[
        word("name", Type::Text, "the name", r#"update.author.name == "Ann Author""#, |p| {
            Ok(p.0.name.clone().into())
        }),
        word(
            "email",
            Type::Text,
            "the mail address; this is personal data, so think before you make it an attribute",
            r#"update.author.email == "ann@example.org""#,
            |p| Ok(p.0.email.clone().into()),
        ),
        word(
            "time",
            Type::Maybe(&Type::Object("time")),
            "the time by the person's own clock; `()` for a co-author",
            "update.author.time <= update.push.time",
            |p| Ok(maybe(p.0.time.map(TimeView::new))),
        ),
    ];
}

impl View for ConventionalView {
    const NAME: &'static str = "conventional";
    const ABOUT: &'static str = "A title such as `fix(api)!: reject empty names` (conventionalcommits.org).";
    const WORDS: &'static [Property<Self>] = &[
        word("type", Type::Text, "the type, in lower case", r#"conventional("Fix: x").type == "fix""#, |c| {
            Ok(c.0.kind.clone().into())
        }),
        word(
            "scope",
            Type::Maybe(&Type::Text),
            "the part in parentheses",
            r#"conventional("fix(api): x").scope == "api""#,
            |c| Ok(maybe(c.0.scope.clone())),
        ),
        word(
            "is_breaking",
            Type::Bool,
            "true with a `!` or a footer `BREAKING CHANGE:`",
            r#"conventional("feat!: x").is_breaking"#,
            |c| Ok(c.0.is_breaking.into()),
        ),
        word(
            "description",
            Type::Text,
            "the text after the colon",
            r#"conventional("fix: x").description == "x""#,
            |c| Ok(c.0.description.clone().into()),
        ),
    ];
}
