//! The `update.release` object: the release of a tag, as Gitea's API tells it.

use super::{
    property::{Property, Type, View, maybe, word},
    push::PusherView,
};
use crate::push::ReleasePage;

/// The release, as seen by a script.
#[derive(Clone)]
pub(super) struct ReleaseView(pub(super) ReleasePage);

impl View for ReleaseView {
    const NAME: &'static str = "release";
    const ABOUT: &'static str = "The release of a tag on Gitea's pages, as its API tells it. Anyone who may write to \
                                 the repository may change it.";
    const WORDS: &'static [Property<Self>] = &[
        word(
            "title",
            Type::Maybe(&Type::Text),
            "the title; `()` if it is empty",
            r#"update.release == () || update.release.title == "Spring""#,
            |r| Ok(maybe(r.0.title.clone())),
        ),
        word(
            "is_prerelease",
            Type::Bool,
            "true if it is marked as a pre-release",
            "update.release == () || !update.release.is_prerelease",
            |r| Ok(r.0.is_prerelease.into()),
        ),
        word(
            "is_draft",
            Type::Bool,
            "true if it is not published",
            "update.release == () || !update.release.is_draft",
            |r| Ok(r.0.is_draft.into()),
        ),
        word(
            "author",
            Type::Maybe(&Type::Object("pusher")),
            "the user who made it",
            r#"update.release == () || update.release.author.name == "ann""#,
            |r| Ok(maybe(r.0.author.clone().map(PusherView::unvouched))),
        ),
    ];
}
