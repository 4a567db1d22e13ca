//! The facts of one update, read through the library and not through a hook.

use std::{ffi::OsString, path::Path, rc::Rc};

use gitea_lightstep::internals::{
    Environment, Facts, ObjectId, Push, PushId, RefName, Repository, Source, Timestamp, Update,
};

/// Returns the facts of one update of a repository. An empty id means that the ref does not exist.
pub fn facts_in(dir: &Path, name: &str, old: &str, new: &str) -> Rc<Facts> {
    let null = "0".repeat(old.len().max(new.len()));
    let id = |id: &str| -> ObjectId { if id.is_empty() { &null } else { id }.parse().expect("an id") };
    let update =
        Update::new(RefName::new(name.as_bytes()).expect("a name"), id(old), id(new)).expect("an update");
    let source = Source::read(&Environment::from_fn(|_| None::<OsString>), dir);
    let repository = Repository::open(&source.git_dir).map(Rc::new);
    let push = Push::new(PushId::now(), Timestamp::now(), source, vec![update]);
    Rc::new(Facts::new(Rc::new(push), 0, repository))
}
