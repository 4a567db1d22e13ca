//! The tags of a repository, by the commits that they lead to.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    ops::ControlFlow,
    rc::Rc,
};

use bstr::ByteSlice as _;
use gix::{objs::Kind, odb::HeaderExt as _};

use super::{
    FactError, Repository,
    repository::{gix_id, own_id, spent_on},
};
use crate::{sys::time::Timestamp, work::Spent};

/// Maximum number of tags that are read.
const MAX_TAGS: usize = 500_000;

/// Maximum total length of the names of tags, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// Cost of a tag, in units of work, in addition to the cost of the objects that are read for it.
const TAG: u64 = 50;

/// All tags of a repository whose names are UTF-8 and that lead to a commit.
#[derive(Debug, Default)]
pub(super) struct TagList {
    by_commit: HashMap<gix::ObjectId, Vec<KnownTag>>,
    /// The reason if tags are missing.
    missing: Option<FactError>,
}

/// A tag, without `refs/tags/`.
#[derive(Debug)]
pub(super) struct KnownTag {
    name: Box<str>,
    /// The object that the ref names: the tag object if it is annotated.
    object: gix::ObjectId,
}

impl KnownTag {
    /// Returns the short name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl TagList {
    /// Returns the tags of a commit, in the order of their names.
    pub fn of_commit(&self, commit: &gix::ObjectId) -> &[KnownTag] {
        self.by_commit.get(commit).map_or(&[], Vec::as_slice)
    }

    /// Returns the names of all tags.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_commit.values().flatten().map(KnownTag::name)
    }

    /// Returns `Ok(None)` if the list has all tags, so that what was looked for does not exist.
    ///
    /// # Errors
    /// Returns an error if tags are missing.
    pub fn nothing_found<T>(&self) -> Result<Option<T>, FactError> {
        self.missing.clone().map_or(Ok(None), Err)
    }
}

impl Repository {
    /// Returns the tags. They are read once, because a push of many refs needs them for each ref.
    ///
    /// # Errors
    /// Returns an error if they cannot be listed, or if time is up.
    pub(super) fn tag_list(&self) -> Result<Rc<TagList>, FactError> {
        if let Some(known) = &*self.tag_list.borrow() {
            return Ok(known.clone());
        }
        let read = Rc::new(self.read_tags()?);
        self.tag_list.replace(Some(read.clone()));
        Ok(read)
    }

    fn read_tags(&self) -> Result<TagList, FactError> {
        let mut list = TagList::default();
        let (mut count, mut bytes) = (0, 0);
        self.each_ref("refs/tags/", "failed to list the tags", &mut |reference| {
            let is_full = count == MAX_TAGS || bytes > MAX_BYTES;
            match if is_full { Err(Spent::Work) } else { self.spend(TAG) } {
                Ok(()) => {}
                Err(Spent::Time) => return Err(spent_on(Spent::Time, "reading the tags")),
                Err(Spent::Work) => {
                    let why = format!("the repository has too many tags; only {count} of them were read");
                    list.missing = Some(FactError::new(why));
                    return Ok(ControlFlow::Break(()));
                }
            }
            count += 1;
            if let Ok(reference) = reference.map_err(|err| self.failed("failed to read a tag", &err))
                && let Some(object) = reference.target.try_id()
                && let Ok(name) = reference.name.shorten().to_str()
                && let Some(commit) = self.tagged(object, reference.peeled)?
            {
                bytes += name.len();
                let tag = KnownTag { name: name.into(), object: object.to_owned() };
                list.by_commit.entry(commit).or_default().push(tag);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(list)
    }

    /// Returns the commit that a tag leads to, or `None` if it leads to none or cannot be read.
    ///
    /// # Errors
    /// Returns an error if time is up.
    fn tagged(
        &self,
        object: &gix::oid,
        peeled: Option<gix::ObjectId>,
    ) -> Result<Option<gix::ObjectId>, FactError> {
        // `packed-refs` records the peeled id of an annotated tag.
        if peeled.is_some() {
            return Ok(peeled);
        }
        let id = own_id(object)?;
        // Neither of these decompresses the commit of a lightweight tag.
        let is_commit = || self.objects.header(object).is_ok_and(|header| header.kind() == Kind::Commit);
        if self.is_in_commit_graph(id)? || is_commit() {
            return Ok(Some(object.to_owned()));
        }
        match self.target(id) {
            Ok(target) => Ok(target.commit.as_ref().map(|commit| gix_id(commit.id))),
            Err(err) if err.is_out_of_time() => Err(err),
            Err(_) => Ok(None),
        }
    }

    /// Returns the name of the tag of one commit that has the highest rank. Of equal ones, git
    /// describe's choice wins: an annotated tag, then the newest tagger, then the first name.
    pub(super) fn best_tag<R: Ord>(
        &self,
        tags: &[KnownTag],
        rank: impl Fn(&str) -> Option<R>,
    ) -> Result<Option<String>, FactError> {
        let (mut highest, mut equal) = (None, Vec::new());
        for tag in tags {
            let Some(rank) = rank(&tag.name) else { continue };
            match highest.as_ref().map(|highest| rank.cmp(highest)) {
                Some(Ordering::Less) => continue,
                Some(Ordering::Equal) => {}
                Some(Ordering::Greater) | None => {
                    equal.clear();
                    highest = Some(rank);
                }
            }
            equal.push(tag);
        }
        if let [] | [_] = equal.as_slice() {
            return Ok(equal.first().map(|tag| tag.name.to_string()));
        }
        let mut best: Option<(Option<Timestamp>, Reverse<usize>, &KnownTag)> = None;
        for (nth, tag) in equal.into_iter().enumerate() {
            let target = self.target(own_id(&tag.object)?)?;
            let time = |tag: &super::Tag| {
                tag.tagger.as_ref().and_then(|tagger| tagger.time).unwrap_or(Timestamp::UNIX_EPOCH)
            };
            let key = (target.tag.as_ref().map(time), Reverse(nth));
            if best.as_ref().is_none_or(|(time, nth, _)| key > (*time, *nth)) {
                best = Some((key.0, key.1, tag));
            }
        }
        Ok(best.map(|(.., tag)| tag.name.to_string()))
    }
}
