//! Recognises history: the releases of old tags, for example after `git push --mirror`, and the
//! updates that `backfill` finds. They are not events of today, so they are dated by their tag or
//! their commit.

use std::time::Duration;

use super::is_deployment;
use crate::{
    facts::Facts,
    marker::Kind,
    push::{RefKind, UpdateSource},
    sys::time::{self, Timestamp},
};

/// Returns the time of an update that `backfill` found. For a push, returns the date of the updated
/// tag, if it is older than `after` and can be believed, and `None` for deployments, which happen
/// when they are pushed.
///
/// An annotated tag has its own date. Any other tag has that of its commit.
pub(super) fn date(facts: &Facts, kind: Kind, after: Duration) -> Option<Timestamp> {
    let push = facts.push();
    if push.source().found_by == UpdateSource::Backfill {
        return Some(push.time());
    }
    if is_deployment(kind) || !matches!(facts.update().ref_name().kind(), RefKind::Tag(_)) {
        return None;
    }
    let target = facts.target().ok()?;
    let tagger = target.tag.as_ref().and_then(|tag| tag.tagger.as_ref());
    let date = match tagger {
        Some(tagger) => tagger.time?,
        None => target.commit.as_ref()?.committer.time?,
    };
    let age = Duration::try_from(push.time().duration_since(date)).ok()?;
    (age > after && !time::is_absurd(date)).then_some(date)
}
