//! The API for scripts. Each object and each group of functions is a table; [`objects`] and
//! [`functions`] return all of them.

mod answers;
mod commit;
mod documents;
mod marker;
mod marker_property;
mod missing;
mod paths;
mod property;
mod push;
mod release;
mod signature;
mod string_map;
mod text;
mod time;
mod update;
mod value_type;
mod version;
mod yaml_texts;

use rhai::Engine;

pub(super) use answers::{MarkAnswer, RefuseAnswer, SkipAnswer};
pub(super) use documents::value_of;
pub(super) use marker::MarkerView;
pub(super) use marker_property::{MarkerProperty, attributes, to_dynamic, unknown_kind};
pub(super) use missing::{missing, plain};
#[cfg(test)]
pub(super) use paths::PathsView;
pub use property::{ApiFunction, ApiObject, PropertyInfo, Type};
pub(super) use property::{
    Property, ScriptApi, View, list, maybe, mistake, number, register_functions, register_words, word,
};
use property::{register_often_read, register_ordered};
pub(super) use string_map::StringMap;
pub(super) use time::TimeView;
pub(super) use update::UpdateView;
pub(super) use value_type::type_of;
pub(super) use version::VersionView;

/// Maximum number of results that a function returns.
const MAX_LIST: usize = 1000;

/// Properties that the built-in policy reads, of `update` and of `push`.
const OFTEN_READ: [&str; 14] = [
    "branch",
    "deploys",
    "environments",
    "is_default_branch",
    "is_deleted",
    "is_internal",
    "is_wiki",
    "options",
    "push",
    "renamed_from",
    "source",
    "tag",
    "unknown_service",
    "version",
];

/// The API of policy scripts.
pub(super) const POLICY: ScriptApi = ScriptApi {
    given: &[("decide", &["update"]), ("enrich", &["marker", "update"]), ("guard", &["marker", "update"])],
    globals: &[],
    objects,
    functions,
    sets_markers: true,
};

/// Returns all objects of policy scripts, in the order of the reference.
pub fn objects() -> Vec<ApiObject> {
    vec![
        ApiObject::of::<update::UpdateView>(),
        ApiObject::of::<push::PushView>(),
        ApiObject::of::<push::PusherView>(),
        ApiObject::of::<push::RepositoryView>(),
        ApiObject::of::<release::ReleaseView>(),
        ApiObject::of::<commit::CommitView>(),
        ApiObject::of::<commit::PersonView>(),
        ApiObject::of::<commit::ConventionalView>(),
        ApiObject::of::<commit::TagView>(),
        ApiObject::of::<signature::SignatureView>(),
        ApiObject::of::<paths::PathsView>(),
        ApiObject::of::<string_map::StringMap>(),
        ApiObject::of::<time::TimeView>(),
        ApiObject::of::<version::VersionView>(),
        ApiObject::of::<marker::MarkerView>(),
        ApiObject::of::<MarkAnswer>(),
        ApiObject::of::<SkipAnswer>(),
        ApiObject::of::<RefuseAnswer>(),
    ]
}

/// Returns all functions that are not methods.
pub fn functions() -> Vec<&'static ApiFunction> {
    [
        answers::FUNCTIONS,
        text::FUNCTIONS,
        documents::FUNCTIONS,
        yaml_texts::FUNCTIONS,
        version::FUNCTIONS,
        time::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Registers the part of the API that the built-in policy uses: the properties of `update` and
/// `push`, and the return values.
pub(super) fn register(engine: &mut Engine) {
    register_words::<update::UpdateView>(engine);
    register_words::<push::PushView>(engine);
    register_often_read::<update::UpdateView>(engine, &OFTEN_READ);
    register_often_read::<push::PushView>(engine, &OFTEN_READ);
    string_map::register(engine);
    answers::register(engine);
    register_functions(engine, answers::FUNCTIONS);
}

/// Registers the rest of the API, for all other scripts.
pub(super) fn register_all(engine: &mut Engine) {
    register_words::<push::PusherView>(engine);
    register_words::<push::RepositoryView>(engine);
    register_words::<release::ReleaseView>(engine);
    register_words::<commit::CommitView>(engine);
    register_words::<commit::PersonView>(engine);
    register_words::<commit::ConventionalView>(engine);
    register_words::<commit::TagView>(engine);
    register_words::<signature::SignatureView>(engine);
    register_words::<paths::PathsView>(engine);
    register_words::<time::TimeView>(engine);
    register_words::<version::VersionView>(engine);
    register_words::<marker::MarkerView>(engine);
    answers::register_all(engine);
    paths::register(engine);
    time::register(engine);
    register_ordered::<version::VersionView>(engine);
    marker::register(engine);
    text::register(engine);
    for functions in [
        text::FUNCTIONS,
        documents::FUNCTIONS,
        yaml_texts::FUNCTIONS,
        version::FUNCTIONS,
        time::FUNCTIONS,
        update::UpdateView::METHODS,
        paths::PathsView::METHODS,
        string_map::StringMap::METHODS,
        push::PusherView::METHODS,
        version::VersionView::METHODS,
    ] {
        register_functions(engine, functions);
    }
}

#[cfg(test)]
mod tests;
