//! A temporary bare repository in which tests run. Objects and refs are written directly, without
//! fsync. Tests reuse it one after another: each replaces the refs, and objects of earlier tests
//! remain without effect.

use std::{collections::HashSet, fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use anyhow::Context as _;
use gix::{
    actor::Signature,
    date::Time,
    objs::{self, Kind, Write as _, WriteTo, tree},
};
use tempfile::TempDir;

use super::{
    placeholders::Placeholders,
    scenario::{Point, Scenario, ScenarioPerson},
};
use crate::{
    push::{GitDir, ObjectId, Push, PushId, Source, Update},
    sys::time::Timestamp,
};

/// Push ID of every test. It is fixed, so that IDs derived from it do not change.
const PUSH_ID: &str = "019b7952-5c00-7000-8000-000000000001";

/// Placeholder for a signature. Signatures are not verified.
const SIGNATURE: &str =
    "-----BEGIN PGP SIGNATURE-----\n\nbm9ib2R5IHZlcmlmaWVzIHRoaXM=\n-----END PGP SIGNATURE-----\n";

/// Directory in memory on Linux.
const IN_MEMORY: &str = "/dev/shm";

/// The repository. It is removed on drop.
pub struct FixtureRepo {
    dir: TempDir,
    objects: gix::odb::loose::Store,
    written: HashSet<gix::ObjectId>,
}

/// A scenario that was written to the repository, with the push as the hook would see it.
pub(super) struct MaterialisedScenario {
    pub push: Push,
    /// Placeholders for the IDs of each update.
    pub names: Vec<Placeholders>,
}

impl FixtureRepo {
    /// Creates an empty repository in a temporary directory.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn make() -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("gitea-lightstep-test-").permissions(fs::Permissions::from_mode(0o700));
        // Prefer memory: writing thousands of small files to a disk takes seconds.
        let is_free_to_choose = std::env::var_os("TMPDIR").is_none();
        let in_memory = is_free_to_choose.then(|| builder.tempdir_in(IN_MEMORY).ok()).flatten();
        let dir = match in_memory {
            Some(dir) => dir,
            None => builder.tempdir().context("failed to create a temporary directory")?,
        };
        let path = dir.path();
        let objects = gix::odb::loose::Store::at(path.join("objects"), gix::hash::Kind::Sha1);
        fs::create_dir(path.join("objects"))
            .and_then(|()| fs::create_dir(path.join("refs")))
            .and_then(|()| {
                fs::write(path.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
            })
            .with_context(|| format!("failed to create a repository in `{}`", path.display()))?;
        Ok(Self { dir, objects, written: HashSet::new() })
    }

    /// Writes the commits and refs of a scene, in their state after the push.
    pub(super) fn set(&mut self, scene: &Scenario) -> anyhow::Result<MaterialisedScenario> {
        let (commits, tags) = self.write_objects(scene).with_context(|| {
            format!("failed to write to the repository in `{}`", self.dir.path().display())
        })?;
        let id_of = |point: Point| match point {
            Point::Commit(number) => commits[number],
            Point::Tag(number) => tags[number],
        };
        self.write_refs(scene, &id_of)?;

        let null = ObjectId::from_raw(gix::ObjectId::null(gix::hash::Kind::Sha1).as_bytes());
        let own = |point: Option<Point>| match point {
            Some(point) => ObjectId::from_raw(id_of(point).as_bytes()),
            None => null,
        };
        let labels: Vec<(String, String)> = scene
            .commits
            .iter()
            .zip(&commits)
            .filter_map(|(commit, id)| Some((commit.label.clone()?, id.to_string())))
            .collect();
        let mut updates = Vec::new();
        let mut names = Vec::new();
        for change in &scene.updates {
            let (old, new) = (own(change.old), own(change.new));
            let update = old.zip(new).and_then(|(old, new)| Update::new(change.ref_name.clone(), old, new));
            updates.push(update.context("an update does not change its ref")?);
            let commit = change.new.map(|point| commits[scene.commit_of(point)]);
            let named =
                |name: &str, id: Option<gix::ObjectId>| id.map(|id| (name.to_string(), id.to_string()));
            // If an ID has several names, the first is used to show it.
            let known = named("commit_id", commit).into_iter().chain(labels.iter().cloned());
            let known = known.chain(named("new_id", change.new.map(id_of)));
            names.push(Placeholders::new(known.chain(named("old_id", change.old.map(id_of)))));
        }
        let origin = &scene.origin;
        let source = Source {
            found_by: origin.found_by,
            git_dir: GitDir::resolve(None, self.dir.path()),
            repository: origin.repository.clone(),
            pusher: origin.pusher.clone(),
            transport: origin.transport,
            is_internal: origin.is_internal,
            pull_request: origin.pull_request,
            deploy_key_id: origin.is_deploy_key.then_some(1),
            key_id: None,
            actions_task_id: origin.actions_task,
            options: origin.options.clone(),
            root_url: None,
            learned: None,
        };
        let id: PushId = PUSH_ID.parse()?;
        Ok(MaterialisedScenario { push: Push::new(id, origin.time, source, updates), names })
    }

    fn write_objects(
        &mut self,
        scene: &Scenario,
    ) -> anyhow::Result<(Vec<gix::ObjectId>, Vec<gix::ObjectId>)> {
        let mut commits: Vec<gix::ObjectId> = Vec::with_capacity(scene.commits.len());
        let mut labels = Placeholders::default();
        for (number, commit) in scene.commits.iter().enumerate() {
            let time = scene.time_of(number);
            let files: Vec<_> =
                commit.files.iter().map(|(path, text)| (path.as_str(), labels.expand(text))).collect();
            let mut commit_object = objs::Commit {
                tree: self.write_tree(&files)?,
                parents: commit.parents.iter().map(|parent| commits[*parent]).collect(),
                author: signature(&commit.author, time),
                committer: signature(&commit.committer, time),
                encoding: None,
                message: text(&labels.expand(&commit.message)),
                extra_headers: Vec::new(),
            };
            if commit.is_signed {
                commit_object.extra_headers.push(("gpgsig".into(), SIGNATURE.trim_end().into()));
            }
            let id = self.write(Kind::Commit, &commit_object)?;
            if let Some(label) = &commit.label {
                labels.add(label, id.to_string());
            }
            commits.push(id);
        }
        let mut tags = Vec::with_capacity(scene.tags.len());
        for tag in &scene.tags {
            let object = objs::Tag {
                target: commits[tag.commit],
                target_kind: Kind::Commit,
                name: tag.name.as_str().into(),
                tagger: Some(signature(&tag.tagger, tag.time.unwrap_or(scene.origin.time))),
                // gix writes the newline between the message and the signature.
                message: match labels.expand(&tag.message) {
                    message if tag.is_signed => message.trim_end().into(),
                    message => text(&message),
                },
                signature: tag.is_signed.then(|| SIGNATURE.into()),
            };
            tags.push(self.write(Kind::Tag, &object)?);
        }
        Ok((commits, tags))
    }

    /// Writes a tree from files that are sorted by path.
    fn write_tree(&mut self, files: &[(&str, String)]) -> anyhow::Result<gix::ObjectId> {
        let mut entries = Vec::new();
        let mut rest = files;
        while let Some((path, content)) = rest.first() {
            let (name, mode, oid, n_files) = match path.split_once('/') {
                None => (
                    *path,
                    tree::EntryKind::Blob,
                    self.write(Kind::Blob, &objs::BlobRef { data: content.as_bytes() })?,
                    1,
                ),
                Some((name, _)) => {
                    let inside =
                        |path: &str| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
                    let n_files = rest.iter().take_while(|(path, _)| inside(path)).count();
                    let below: Vec<_> = rest[..n_files]
                        .iter()
                        .map(|(path, content)| (&path[name.len() + 1..], content.clone()))
                        .collect();
                    (name, tree::EntryKind::Tree, self.write_tree(&below)?, n_files)
                }
            };
            entries.push(tree::Entry { mode: mode.into(), filename: name.into(), oid });
            rest = &rest[n_files..];
        }
        entries.sort();
        self.write(Kind::Tree, &objs::Tree { entries })
    }

    fn write(&mut self, kind: Kind, object: &dyn WriteTo) -> anyhow::Result<gix::ObjectId> {
        let mut bytes = Vec::new();
        object.write_to(&mut bytes)?;
        let id = objs::compute_hash(gix::hash::Kind::Sha1, kind, &bytes)?;
        if self.written.insert(id) {
            self.objects.write_buf_with_known_id(kind, &bytes, id)?;
        }
        Ok(id)
    }

    fn write_refs(&self, scene: &Scenario, id_of: &dyn Fn(Point) -> gix::ObjectId) -> anyhow::Result<()> {
        let mut packed = Vec::new();
        writeln!(packed, "# pack-refs with: peeled fully-peeled sorted ")?;
        for (name, point) in &scene.refs {
            writeln!(packed, "{} {name}", id_of(*point))?;
            if let Point::Tag(_) = point {
                writeln!(packed, "^{}", id_of(Point::Commit(scene.commit_of(*point))))?;
            }
        }
        fs::write(self.dir.path().join("packed-refs"), packed)
            .and_then(|()| fs::write(self.dir.path().join("HEAD"), format!("ref: {}\n", scene.head)))
            .with_context(|| format!("failed to write the refs in `{}`", self.dir.path().display()))
    }
}

fn signature(person: &ScenarioPerson, time: Timestamp) -> Signature {
    Signature {
        name: person.name.as_str().into(),
        email: person.email.as_str().into(),
        time: Time { seconds: time.as_second(), offset: 0 },
    }
}

/// Returns a message with a newline at its end, as git writes it.
fn text(message: &str) -> bstr::BString {
    let end = if message.ends_with('\n') { "" } else { "\n" };
    format!("{message}{end}").into()
}

#[cfg(test)]
mod tests;
