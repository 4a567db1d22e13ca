//! What scripts can call and read. One table an object, one a group of functions; [`objects`] and [`functions`] are
//! all of them.

mod answers;
mod commit;
mod marker;
mod missing;
mod paths;
mod push;
mod text;
mod texts;
mod time;
mod update;
mod version;
mod word;

use rhai::Engine;

pub(super) use answers::{MarkAnswer, RefuseAnswer, SkipAnswer};
pub(super) use marker::MarkerView;
pub(super) use missing::missing;
pub(super) use texts::Texts;
pub(super) use time::TimeView;
pub(super) use update::UpdateView;
pub(super) use version::VersionView;
pub use word::{Function, Object, Told, Type};
pub(super) use word::{View, Word, list, maybe, mistake, number, register_functions, register_words, word};
use word::{register_often_read, register_ordered};

/// How many results a function lists.
const MAX_LIST: usize = 1000;

/// What the built-in policy reads of every update and its push.
const OFTEN_READ: [&str; 11] = [
    "branch",
    "deploys",
    "environments",
    "is_default_branch",
    "is_deleted",
    "is_internal",
    "is_wiki",
    "options",
    "push",
    "tag",
    "version",
];

/// Returns every object that a script can meet, in the order in which it meets them.
pub fn objects() -> Vec<Object> {
    vec![
        Object::of::<update::UpdateView>(),
        Object::of::<push::PushView>(),
        Object::of::<push::PusherView>(),
        Object::of::<push::RepositoryView>(),
        Object::of::<commit::CommitView>(),
        Object::of::<commit::PersonView>(),
        Object::of::<commit::ConventionalView>(),
        Object::of::<commit::TagView>(),
        Object::of::<paths::PathsView>(),
        Object::of::<texts::Texts>(),
        Object::of::<time::TimeView>(),
        Object::of::<version::VersionView>(),
        Object::of::<marker::MarkerView>(),
    ]
}

/// Returns every function that belongs to no object.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [answers::FUNCTIONS, text::FUNCTIONS, version::FUNCTIONS, time::FUNCTIONS].into_iter().flatten()
}

/// Makes an engine know what every script needs, the built-in one as well: the words of `update` and the answers.
pub(super) fn register(engine: &mut Engine) {
    register_words::<update::UpdateView>(engine);
    register_words::<push::PushView>(engine);
    register_often_read::<update::UpdateView>(engine, &OFTEN_READ);
    register_often_read::<push::PushView>(engine, &OFTEN_READ);
    texts::register(engine);
    answers::register(engine);
    register_functions(engine, answers::FUNCTIONS);
}

/// Makes an engine know all the rest, for scripts of others.
pub(super) fn register_all(engine: &mut Engine) {
    register_words::<push::PusherView>(engine);
    register_words::<push::RepositoryView>(engine);
    register_words::<commit::CommitView>(engine);
    register_words::<commit::PersonView>(engine);
    register_words::<commit::ConventionalView>(engine);
    register_words::<commit::TagView>(engine);
    register_words::<paths::PathsView>(engine);
    register_words::<time::TimeView>(engine);
    register_words::<version::VersionView>(engine);
    register_words::<marker::MarkerView>(engine);
    paths::register(engine);
    time::register(engine);
    register_ordered::<version::VersionView>(engine);
    marker::register(engine);
    text::register(engine);
    for functions in [
        text::FUNCTIONS,
        version::FUNCTIONS,
        time::FUNCTIONS,
        update::UpdateView::METHODS,
        paths::PathsView::METHODS,
        texts::Texts::METHODS,
        version::VersionView::METHODS,
    ] {
        register_functions(engine, functions);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn often_read_is_what_the_built_in_policy_reads() {
        let script = include_str!("../../../scripts/built-in.rhai");
        let uses = regex_lite::Regex::new(r"\b(?:update|push)\.(\w+)").expect("valid");
        let read: BTreeSet<&str> =
            uses.captures_iter(script).filter_map(|found| found.get(1)).map(|word| word.as_str()).collect();
        assert!(read.into_iter().eq(OFTEN_READ), "{OFTEN_READ:?}");
    }
}
