//! The throw-away repository that tests are played in: a bare one, written object by object. Nothing in it is
//! synchronised, and one test after the other has its refs; objects bear their own names, so those stay.

use std::{
    collections::HashSet,
    fs,
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gix::{
    actor::Signature,
    date::Time,
    objs::{self, Kind, Write as _, WriteTo, tree},
};

use super::{
    names::Names,
    scene::{Person, Point, Scene},
};
use crate::{
    push::{GitDir, ObjectId, Push, PushId, Source, Update},
    time::Timestamp,
};

/// The id of every push of a test, so that what is computed from it stays the same.
const PUSH_ID: &str = "019b7952-5c00-7000-8000-000000000001";

/// What stands in the place of a signature: nobody here verifies one.
const SIGNATURE: &str =
    "-----BEGIN PGP SIGNATURE-----\n\nbm9ib2R5IHZlcmlmaWVzIHRoaXM=\n-----END PGP SIGNATURE-----\n";

/// The directory that Linux keeps in memory.
const IN_MEMORY: &str = "/dev/shm";

/// The repository, which goes when this does.
pub struct Stage {
    dir: PathBuf,
    objects: gix::odb::loose::Store,
    written: HashSet<gix::ObjectId>,
}

/// A scene that was set: what the hook would be told of it.
pub(super) struct Played {
    pub push: Push,
    /// For each update, what its ids are called.
    pub names: Vec<Names>,
}

impl Stage {
    /// Makes an empty repository in the directory for temporary files.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn make() -> anyhow::Result<Self> {
        let name = format!("gitea-lightstep-test-{:016x}", fastrand::u64(..));
        // In memory, where there is a place for that: thousands of small files are a matter of seconds on a disk.
        let in_memory = Path::new(IN_MEMORY).join(&name);
        let is_free_to_choose = std::env::var_os("TMPDIR").is_none();
        let made = is_free_to_choose.then(|| make_dir(&in_memory)).and_then(Result::ok);
        let dir = match made {
            Some(()) => in_memory,
            None => {
                let dir = std::env::temp_dir().join(name);
                make_dir(&dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
                dir
            }
        };
        let objects = gix::odb::loose::Store::at(dir.join("objects"), gix::hash::Kind::Sha1);
        let stage = Self { dir, objects, written: HashSet::new() };
        make_dir(&stage.dir.join("objects"))
            .and_then(|()| make_dir(&stage.dir.join("refs")))
            .and_then(|()| {
                fs::write(stage.dir.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
            })
            .with_context(|| format!("failed to make a repository in `{}`", stage.dir.display()))?;
        Ok(stage)
    }

    /// Writes the commits and refs of a scene as they are when its push has landed.
    pub(super) fn set(&mut self, scene: &Scene) -> anyhow::Result<Played> {
        let (commits, tags) = self
            .write_objects(scene)
            .with_context(|| format!("failed to write to the repository in `{}`", self.dir.display()))?;
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
            updates.push(update.context("an update changes nothing")?);
            let commit = change.new.map(|point| commits[scene.commit_of(point)]);
            let named =
                |name: &str, id: Option<gix::ObjectId>| id.map(|id| (name.to_string(), id.to_string()));
            // Of two names for one id, the first one is shown.
            let known = named("commit_id", commit).into_iter().chain(labels.iter().cloned());
            let known = known.chain(named("new_id", change.new.map(id_of)));
            names.push(Names::new(known.chain(named("old_id", change.old.map(id_of)))));
        }
        let origin = &scene.origin;
        let source = Source {
            git_dir: GitDir::resolve(None, &self.dir),
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
        };
        let id: PushId = PUSH_ID.parse()?;
        Ok(Played { push: Push::new(id, origin.time, source, updates), names })
    }

    fn write_objects(&mut self, scene: &Scene) -> anyhow::Result<(Vec<gix::ObjectId>, Vec<gix::ObjectId>)> {
        let mut commits: Vec<gix::ObjectId> = Vec::with_capacity(scene.commits.len());
        let mut labels = Names::default();
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
                // Before a signature, the end of the line is the writer's.
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

    /// Writes a directory of files, which are sorted by path.
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

    fn write_refs(&self, scene: &Scene, id_of: &dyn Fn(Point) -> gix::ObjectId) -> anyhow::Result<()> {
        let mut packed = Vec::new();
        writeln!(packed, "# pack-refs with: peeled fully-peeled sorted ")?;
        for (name, point) in &scene.refs {
            writeln!(packed, "{} {name}", id_of(*point))?;
            if let Point::Tag(_) = point {
                writeln!(packed, "^{}", id_of(Point::Commit(scene.commit_of(*point))))?;
            }
        }
        fs::write(self.dir.join("packed-refs"), packed)
            .and_then(|()| fs::write(self.dir.join("HEAD"), format!("ref: {}\n", scene.head)))
            .with_context(|| format!("failed to write the refs in `{}`", self.dir.display()))
    }
}

/// Makes a directory of our own. Under a name that is there already, this fails: nobody else's is used or removed.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir)
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It lies where what is left behind is removed sooner or later.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn signature(person: &Person, time: Timestamp) -> Signature {
    Signature {
        name: person.name.as_str().into(),
        email: person.email.as_str().into(),
        time: Time { seconds: time.as_second(), offset: 0 },
    }
}

/// Returns a message as git writes it, with a newline at its end.
fn text(message: &str) -> bstr::BString {
    let end = if message.ends_with('\n') { "" } else { "\n" };
    format!("{message}{end}").into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::golden::{find::Place, load};

    #[test]
    fn git_finds_nothing_wrong_with_what_is_written() {
        let source = r#"
            policy = "x.rhai"
            [[test]]
            name = "x"
            history = [
                { message = "One", files = { "a/b/c" = "1", "a.txt" = "1", "a-b" = "1" } },
                { message = "Side", branch = "side", files = { "a/b/d" = "1" }, is_signed = true },
                { message = "", files = { "a/b/c" = false, "a0" = "" }, tag = "v1" },
            ]
            update = [
                { branch = "main", commits = [{ message = "Merge", merge = ["side", "v1~1"], author = "Bob <>", time = 1970-01-02T00:00:00Z }] },
                { tag = "v2", annotated_tag = { message = "Two", is_signed = true } },
                { tag = "v3", annotated_tag = {} },
                { tag = "v1", delete = true },
            ]
        "#;
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("x.rhai"), "").expect("a script");
        let place = Place::of_file(&dir.path().join("x.test.toml"), None);
        let suite = load::parse(place, source.to_string()).expect("a suite");
        let mut stage = Stage::make().expect("a repository");
        let played = stage.set(&suite.tests[0].scene).expect("a scene");
        let git = |args: &[&str]| {
            let ran =
                Command::new("git").arg("--git-dir").arg(&stage.dir).args(args).output().expect("git runs");
            let text = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
            assert!(ran.status.success(), "git {args:?}: {text}");
            text
        };
        assert_eq!(git(&["fsck", "--strict", "--full", "--no-dangling"]), "");
        let main = git(&["rev-parse", "refs/heads/main"]);
        assert_eq!(played.push.updates()[0].raw_new_id().to_string(), main.trim());
        assert_eq!(git(&["cat-file", "-t", "v2"]), "tag\n");
        assert_eq!(git(&["rev-parse", "v2^{commit}"]), main);
        assert_eq!(
            git(&["for-each-ref", "--format=%(refname)"]),
            "refs/heads/main\nrefs/heads/side\nrefs/tags/v2\nrefs/tags/v3\n"
        );
        assert_eq!(git(&["ls-tree", "-r", "--name-only", "main"]), "a-b\na.txt\na/b/d\na0\n");
        assert_eq!(git(&["rev-list", "--parents", "-1", "main"]).split_whitespace().count(), 4);
        assert_eq!(git(&["symbolic-ref", "HEAD"]), "refs/heads/main\n");
    }
}
