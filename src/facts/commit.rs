//! Commits and annotated tags, read once and bounded.

use std::rc::Rc;

use bstr::ByteSlice as _;
use gix::objs::{CommitRef, Kind, TagRef, commit::MessageRef};

use super::{
    FactError, Repository,
    message::button,
    repository::{own_id, told},
};
use crate::{push::ObjectId, text, time::Timestamp};

/// How long a title may be, in characters.
const MAX_TITLE: usize = 256;
/// How long a message may be, in characters.
const MAX_MESSAGE: usize = 16_384;
/// How long a person's name or address may be, in characters.
pub(super) const MAX_NAME: usize = 256;
/// How many trailers are kept, and how long each may be.
const MAX_TRAILERS: usize = 64;
const MAX_TRAILER: usize = 1024;
/// How many annotated tags may stand on each other.
const MAX_TAGS: usize = 8;

/// What an id comes to when every annotated tag is followed.
#[derive(Debug)]
pub struct Target {
    /// The outermost annotated tag, `None` if the id names an object directly.
    pub tag: Option<Tag>,
    /// The commit at the end, `None` if a tree or a blob stands there.
    pub commit: Option<Rc<Commit>>,
}

/// An annotated tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// The id of the tag object.
    pub id: ObjectId,
    /// Who made the tag; some old tags name nobody.
    pub tagger: Option<Person>,
    /// The whole message, without a signature.
    pub message: String,
    /// The trailers at the end of the message, in order.
    pub trailers: Vec<(String, String)>,
    /// Whether it bears a signature; whose it is, and whether it is right, nobody has asked.
    pub is_signed: bool,
}

/// A commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The full id.
    pub id: ObjectId,
    /// Who wrote the change.
    pub author: Person,
    /// Who made the commit.
    pub committer: Person,
    /// The first paragraph of the message as one line.
    pub title: String,
    /// The whole message.
    pub message: String,
    /// The trailers at the end of the message, in order.
    pub trailers: Vec<(String, String)>,
    /// The parents in order.
    pub parents: Vec<ObjectId>,
    /// Whether it bears a signature; whose it is, and whether it is right, nobody has asked.
    pub is_signed: bool,
    pub(super) tree: ObjectId,
}

/// A person and a time, as a commit or a tag states them. Both are what somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The mail address. It is personal data and goes into no marker of itself.
    pub email: String,
    /// The time, `None` where it is beyond any calendar.
    pub time: Option<Timestamp>,
}

/// Follows `id` to its commit.
pub(super) fn peel(repository: &Repository, id: ObjectId) -> Result<Target, FactError> {
    let mut outermost = None;
    let mut next = id;
    for _ in 0..=MAX_TAGS {
        let object = repository.object(next)?;
        let broken =
            |err: &gix::Error| FactError::new(format!("failed to decode object {next}: {}", told(err)));
        match object.kind {
            Kind::Commit => {
                let commit =
                    CommitRef::from_bytes(&object.data, repository.hash()).map_err(|err| broken(&err))?;
                return Ok(Target { tag: outermost, commit: Some(Rc::new(Commit::read(next, &commit)?)) });
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
                return Ok(Target { tag: outermost, commit: None });
            }
        }
    }
    Err(FactError::new(format!("object {id} is a tag of more than {MAX_TAGS} tags")))
}

impl Commit {
    fn read(id: ObjectId, commit: &CommitRef<'_>) -> Result<Self, FactError> {
        let message = MessageRef::from_bytes(commit.message);
        let text = text::bounded(commit.message, MAX_MESSAGE);
        Ok(Self {
            id,
            author: Person::read(commit.author),
            committer: Person::read(commit.committer),
            title: title(commit.message),
            // Those that Gitea's button quotes are another commit's.
            trailers: if button(&text).is_some() { Vec::new() } else { trailers(&message) },
            message: text,
            parents: commit.parents().map(|id| own_id(&id)).collect::<Result<_, _>>()?,
            is_signed: commit.extra_headers().pgp_signature().is_some(),
            tree: own_id(&commit.tree())?,
        })
    }

    /// Returns the value of the last trailer of this name, whose case does not matter.
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

/// Returns the first paragraph on one line, as git's `%s` does. (`MessageRef::summary` trims white space of all of Unicode: to
/// set up its tables was 3 % of a push's instructions.)
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
    /// Reads `Name <address> seconds zone`; what cannot be read is empty, because a commit that
    /// somebody could push must not be refused for its author.
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
mod tests {
    use super::*;

    #[test]
    fn a_title_is_what_git_shows_of_a_message_in_one_line() {
        // Beside `git log --format=%s`, which keeps white space at the beginning.
        for (message, shown) in [
            ("one", "one"),
            ("\n\n  \n  Pay by card \nand  by\n\tcash  \n\nbody", "Pay by card and  by \tcash"),
            ("a\r\nb\r\n\r\nc", "a b"),
            (" \n", ""),
            ("", ""),
        ] {
            assert_eq!(title(message.as_bytes()), shown, "{message:?}");
        }
        assert_eq!(title("ä".repeat(300).as_bytes()).chars().count(), MAX_TITLE);
    }
}
