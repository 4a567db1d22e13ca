//! Commits and annotated tags, read once and within bounds.

use std::rc::Rc;

use bstr::ByteSlice as _;
use gix::objs::Kind;

use super::{
    FactError, Person, Repository,
    message::button,
    object_headers::{CommitHeaders, TagHeaders},
    repository::own_id,
    trailers,
};
use crate::{push::ObjectId, signature::begins_signature, text};

/// Maximum length of a title, in characters.
const MAX_TITLE: usize = 256;
/// Maximum length of a message, in characters.
const MAX_MESSAGE: usize = 16_384;
/// Maximum depth of annotated tags that point to tags.
const MAX_TAGS: usize = 8;

/// The object that an id leads to through annotated tags.
#[derive(Debug)]
pub struct PeeledObject {
    /// The outermost annotated tag, `None` if the id names an object directly.
    pub tag: Option<Tag>,
    /// The commit at the end, `None` if a tree or a blob is there.
    pub commit: Option<Rc<Commit>>,
}

/// An annotated tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Id of the tag object.
    pub id: ObjectId,
    /// The tagger. Some old tags have none.
    pub tagger: Option<Person>,
    /// The whole message, without a signature.
    pub message: String,
    /// The trailers at the end of the message, in order.
    pub trailers: Vec<(String, String)>,
    /// True if the tag has a signature. The signature is not verified.
    pub is_signed: bool,
}

/// A commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Full id.
    pub id: ObjectId,
    /// Author of the change.
    pub author: Person,
    /// Person who made the commit.
    pub committer: Person,
    /// The first paragraph of the message, as one line.
    pub title: String,
    /// The whole message.
    pub message: String,
    /// The trailers at the end of the message, in order.
    pub trailers: Vec<(String, String)>,
    /// The first parents in order, at most 256.
    pub parents: Vec<ObjectId>,
    /// True if the commit has a signature. The signature is not verified.
    pub is_signed: bool,
    pub(super) tree: ObjectId,
}

/// Follows `id` to its commit.
pub(super) fn peel(repository: &Repository, id: ObjectId) -> Result<PeeledObject, FactError> {
    let mut outermost = None;
    let mut next = id;
    for _ in 0..=MAX_TAGS {
        let object = repository.object(next)?;
        let malformed = || FactError::new(format!("failed to decode object {next}: it is malformed"));
        match object.kind {
            Kind::Commit => {
                let head = CommitHeaders::parse(&object.data, repository.hash()).ok_or_else(malformed)?;
                return Ok(PeeledObject {
                    tag: outermost,
                    commit: Some(Rc::new(Commit::read(next, &head)?)),
                });
            }
            Kind::Tag => {
                let tag = TagHeaders::parse(&object.data, repository.hash()).ok_or_else(malformed)?;
                let target = own_id(&tag.target)?;
                if outermost.is_none() {
                    outermost = Some(Tag::read(next, &tag));
                }
                next = target;
            }
            Kind::Tree | Kind::Blob => {
                return Ok(PeeledObject { tag: outermost, commit: None });
            }
        }
    }
    Err(FactError::new(format!("object {id} starts a chain of more than {MAX_TAGS} tags")))
}

/// Parses a commit that is not in a repository, for the fuzz targets.
pub(crate) fn commit_of_bytes(data: &[u8]) -> Option<Commit> {
    if let Some(tag) = TagHeaders::parse(data, gix::hash::Kind::Sha1) {
        Tag::read(own_id(&tag.target).ok()?, &tag);
    }
    let head = CommitHeaders::parse(data, gix::hash::Kind::Sha1)?;
    Commit::read(own_id(&head.tree).ok()?, &head).ok()
}

impl Commit {
    fn read(id: ObjectId, commit: &CommitHeaders<'_>) -> Result<Self, FactError> {
        let message = commit.text.message();
        let text = text::bounded(message, MAX_MESSAGE);
        Ok(Self {
            id,
            author: Person::read(commit.text.last(b"author ").unwrap_or_default()),
            committer: Person::read(commit.text.last(b"committer ").unwrap_or_default()),
            title: title(message),
            // Gitea's Revert button quotes another commit's message, with the trailers of that
            // commit.
            trailers: if button(&text).is_some() { Vec::new() } else { trailers::read(message) },
            message: text,
            parents: commit.parents.iter().map(|parent| own_id(parent)).collect::<Result<_, _>>()?,
            is_signed: commit.is_signed,
            tree: own_id(&commit.tree)?,
        })
    }

    /// Returns the value of the last trailer with this name, ignoring case.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers
            .iter()
            .rev()
            .find(|(token, _)| token.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Tag {
    fn read(id: ObjectId, tag: &TagHeaders<'_>) -> Self {
        let (message, is_signed) = unsigned(tag.text.message());
        Self {
            id,
            tagger: tag.text.last(b"tagger ").map(Person::read),
            message: text::bounded(message.trim_ascii_end(), MAX_MESSAGE),
            trailers: trailers::read(message),
            is_signed,
        }
    }
}

/// Returns a tag's message without its signature, and true if there is one. As in git, the last line
/// that begins a signature counts.
fn unsigned(message: &[u8]) -> (&[u8], bool) {
    let mut signature = None;
    let mut at = 0;
    for line in message.lines_with_terminator() {
        if begins_signature(line) {
            signature = Some(at);
        }
        at += line.len();
    }
    (signature.and_then(|at| message.get(..at)).unwrap_or(message), signature.is_some())
}

/// Returns the first paragraph on one line, as git's `%s` does.
///
/// `MessageRef::summary` does the same but trims all Unicode white space. Setting up the tables for
/// that took 3 % of a push's instructions.
fn title(message: &[u8]) -> String {
    let lines = message.lines().map(<[u8]>::trim_ascii_end);
    let paragraph = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    text::bounded(bstr::join(b" ", paragraph).trim_ascii(), MAX_TITLE)
}

#[cfg(test)]
mod tests;
