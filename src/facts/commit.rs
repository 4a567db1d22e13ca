//! Commits and annotated tags, read once and within bounds.

use std::rc::Rc;

use bstr::ByteSlice as _;
use gix::objs::{Kind, TagRef, commit::MessageRef};

use super::{FactError, Repository, message::button, repository::own_id};
use crate::{push::ObjectId, sys::time::Timestamp, text};

/// Maximum length of a title, in characters.
const MAX_TITLE: usize = 256;
/// Maximum length of a message, in characters.
const MAX_MESSAGE: usize = 16_384;
/// Maximum length of a person's name or address, in characters.
pub(super) const MAX_NAME: usize = 256;
/// Maximum number of trailers, and maximum length of a token or value, in characters.
const MAX_TRAILERS: usize = 64;
const MAX_TRAILER: usize = 1024;
/// Maximum number of parents that are kept. A merge has two, and git's own octopus merges have a
/// few more.
const MAX_PARENTS: usize = 256;
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

/// A person and a time, as a commit or a tag states them. Both are unverified input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// Mail address. It is personal data, so markers omit it unless the configuration asks for it.
    pub email: String,
    /// Time, `None` if it is out of range.
    pub time: Option<Timestamp>,
}

/// Follows `id` to its commit.
pub(super) fn peel(repository: &Repository, id: ObjectId) -> Result<PeeledObject, FactError> {
    let mut outermost = None;
    let mut next = id;
    for _ in 0..=MAX_TAGS {
        let object = repository.object(next)?;
        let broken =
            |err: &gix::Error| repository.failed(format_args!("failed to decode object {next}"), err);
        match object.kind {
            Kind::Commit => {
                let head = CommitParts::parse(&object.data, repository.hash()).ok_or_else(|| {
                    FactError::new(format!("failed to decode object {next}: it is malformed"))
                })?;
                return Ok(PeeledObject {
                    tag: outermost,
                    commit: Some(Rc::new(Commit::read(next, &head)?)),
                });
            }
            Kind::Tag => {
                let tag = TagRef::from_bytes(&object.data, repository.hash()).map_err(|err| broken(&err))?;
                let target = own_id(&tag.target())?;
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
    if let Ok(tag) = TagRef::from_bytes(data, gix::hash::Kind::Sha1) {
        Tag::read(own_id(&tag.target()).ok()?, &tag);
    }
    let head = CommitParts::parse(data, gix::hash::Kind::Sha1)?;
    Commit::read(own_id(&head.tree).ok()?, &head).ok()
}

/// The parts of a commit object that are read. Other headers are skipped, and so are further
/// parents. A malicious commit can have millions of them.
struct CommitParts<'a> {
    tree: gix::ObjectId,
    parents: Vec<gix::ObjectId>,
    author: &'a [u8],
    committer: &'a [u8],
    is_signed: bool,
    message: &'a [u8],
}

impl<'a> CommitParts<'a> {
    /// Parses a commit object. Returns `None` if it is malformed.
    fn parse(object: &'a [u8], hash: gix::hash::Kind) -> Option<Self> {
        let id = |hex: &[u8]| gix::ObjectId::from_hex(hex).ok().filter(|id| id.kind() == hash);
        let mut lines = object.lines_with_terminator();
        let mut read = 0;
        let mut next = || {
            let line = lines.next()?;
            read += line.len();
            Some((line.strip_suffix(b"\n").unwrap_or(line), read))
        };
        let tree = id(next()?.0.strip_prefix(b"tree ")?)?;
        let mut parents = Vec::new();
        let author = loop {
            let (line, _) = next()?;
            let Some(parent) = line.strip_prefix(b"parent ") else { break line.strip_prefix(b"author ")? };
            let parent = id(parent)?;
            if parents.len() < MAX_PARENTS {
                parents.push(parent);
            }
        };
        let committer = next()?.0.strip_prefix(b"committer ")?;
        let signature: &[u8] = if hash == gix::hash::Kind::Sha256 { b"gpgsig-sha256 " } else { b"gpgsig " };
        let mut is_signed = false;
        let mut message = object.len();
        while let Some((line, end)) = next() {
            if line.is_empty() {
                message = end;
                break;
            }
            is_signed |= line.starts_with(signature);
        }
        Some(Self { tree, parents, author, committer, is_signed, message: &object[message..] })
    }
}

impl Commit {
    fn read(id: ObjectId, commit: &CommitParts<'_>) -> Result<Self, FactError> {
        let message = MessageRef::from_bytes(commit.message.as_bstr());
        let text = text::bounded(commit.message, MAX_MESSAGE);
        Ok(Self {
            id,
            author: Person::read(commit.author),
            committer: Person::read(commit.committer),
            title: title(commit.message),
            // Gitea's Revert button quotes another commit's message, with the trailers of that
            // commit.
            trailers: if button(&text).is_some() { Vec::new() } else { trailers(&message) },
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
    fn read(id: ObjectId, tag: &TagRef<'_>) -> Self {
        Self {
            id,
            tagger: tag.tagger.map(|raw| Person::read(raw)),
            message: text::bounded(tag.message.trim_ascii_end(), MAX_MESSAGE),
            trailers: trailers(&MessageRef::from_bytes(tag.message)),
            is_signed: tag.signature.is_some(),
        }
    }
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

/// Returns the trailers at the end of a message.
fn trailers(message: &MessageRef<'_>) -> Vec<(String, String)> {
    message.body().map_or_else(Vec::new, |body| {
        body.trailers()
            .take(MAX_TRAILERS)
            .map(|t| (text::bounded(t.token, MAX_TRAILER), text::bounded(&t.value, MAX_TRAILER)))
            .collect()
    })
}

impl Person {
    /// Parses `Name <address> seconds zone`. Parts that cannot be parsed are left empty, because an
    /// odd author must not hide a commit that git accepted.
    fn read(raw: &[u8]) -> Self {
        let signature = gix::actor::SignatureRef::from_bytes(raw).ok();
        let time = signature.as_ref().and_then(|s| Timestamp::from_second(s.seconds()).ok());
        let (name, email) = signature.map_or((raw, &b""[..]), |s| (s.name.as_ref(), s.email.as_ref()));
        Self {
            name: text::bounded(name.trim_ascii(), MAX_NAME),
            email: text::bounded(email.trim_ascii(), MAX_NAME),
            time,
        }
    }
}

#[cfg(test)]
mod tests;
