//! Builds a [`Scenario`] from the history and the push of a test file. Resolves names to commits and
//! determines parents.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    diagnostics::Complaints,
    file::{CommitFile, ContentFile, OneOrMore, OptionFile, PushFile, PusherFile, UpdateFile},
    scenario::{
        Point, PushOrigin, Scenario, ScenarioCommit, ScenarioPerson, ScenarioTag, ScenarioUpdate,
        pull_request,
    },
};
use crate::{
    config::Spanned,
    push::{PushOptions, Pusher, RefName, RepositoryIdentity, Transport},
    sys::time::Timestamp,
    text::{self, Hinted},
};

/// Maximum number of commits in one test.
const MAX_COMMITS: usize = 1000;

/// Capture time of a push without `time`.
const PUSH_TIME: i64 = 1_767_268_800; // 2026-01-01T12:00:00Z

/// Builds a scene step by step, and reports problems in the file.
pub(super) struct Plot<'a, 'b> {
    complaints: &'a mut Complaints<'b>,
    head: String,
    commits: Vec<ScenarioCommit>,
    tags: Vec<ScenarioTag>,
    refs: BTreeMap<String, Point>,
    labels: HashMap<String, usize>,
}

impl<'a, 'b> Plot<'a, 'b> {
    /// Starts with an empty repository. The default branch is `default_branch`, or `main`.
    pub fn new(complaints: &'a mut Complaints<'b>, default_branch: Option<&Spanned<String>>) -> Self {
        let mut plot = Self {
            complaints,
            head: "refs/heads/main".into(),
            commits: Vec::new(),
            tags: Vec::new(),
            refs: BTreeMap::new(),
            labels: HashMap::new(),
        };
        if let Some(head) = default_branch.and_then(|branch| plot.ref_name("refs/heads/", branch)) {
            plot.head = head;
        }
        plot
    }

    /// Creates the history before the push. Without `history`, this is one commit on the default
    /// branch.
    pub fn history(&mut self, history: Option<&[CommitFile]>) {
        let Some(history) = history else {
            let before = CommitFile { message: Some("Before".into()), ..CommitFile::default() };
            return self.history(Some(&[before]));
        };
        for file in history {
            let branch = match &file.branch {
                Some(branch) => match self.ref_name("refs/heads/", branch) {
                    Some(name) => name,
                    None => continue,
                },
                None => self.head.clone(),
            };
            let parent = self.commit_at(&branch).or_else(|| self.commit_at(&self.head));
            let Some(number) = self.commit(file, parent) else { return };
            self.refs.insert(branch, Point::Commit(number));
            let tag = file.tag.iter().map(|tag| ("refs/tags/", tag));
            for (prefix, written) in tag.chain(file.refs.iter().map(|name| ("", name))) {
                if let Some(name) = self.ref_name(prefix, written) {
                    self.refs.insert(name, Point::Commit(number));
                }
            }
        }
    }

    /// Creates the commits of an update and moves its ref. Reports at `test` if the update does not
    /// name exactly one ref.
    pub fn update(&mut self, file: &UpdateFile, test: &Spanned<String>) -> Option<ScenarioUpdate> {
        let (name, place) = match (&file.branch, &file.tag, &file.full_name) {
            (Some(branch), None, None) => (self.ref_name("refs/heads/", branch)?, branch),
            (None, Some(tag), None) => (self.ref_name("refs/tags/", tag)?, tag),
            (None, None, Some(full)) => (self.ref_name("", full)?, full),
            _ => {
                let message = "an update has exactly one of `branch`, `tag` and `ref`, such as `update.branch = \"main\"`";
                self.complaints.at(test, message);
                return None;
            }
        };
        let old = self.refs.get(&name).copied();
        let new = if file.delete {
            if old.is_none() {
                let message =
                    format!("`{name}` does not exist, so it cannot be deleted; create it in `history`");
                self.complaints.at(place, message);
                return None;
            }
            if file.to.is_some() || !file.commits.is_empty() || file.annotated_tag.is_some() {
                self.complaints.at(place, "`delete = true` excludes `to`, `commits` and `annotated_tag`");
            }
            None
        } else {
            Some(self.target(file, &name, place)?)
        };
        if old == new {
            let message =
                format!("the update does not change `{name}`; set `commits`, `to` or `delete = true`");
            self.complaints.at(place, message);
            return None;
        }
        match new {
            Some(point) => self.refs.insert(name.clone(), point),
            None => self.refs.remove(&name),
        };
        Some(ScenarioUpdate { ref_name: RefName::new(name.as_bytes())?, old, new })
    }

    /// Returns the object that the ref points to after the update.
    fn target(&mut self, file: &UpdateFile, name: &str, place: &Spanned<String>) -> Option<Point> {
        let is_tag = name.starts_with("refs/tags/");
        let start = match &file.to {
            Some(to) => Some(self.resolve(to)?),
            None if is_tag => self.commit_at(&self.head),
            None => self.commit_at(name).or_else(|| self.commit_at(&self.head)),
        };
        let mut tip = start;
        for commit in &file.commits {
            for key in commit.branch.iter().chain(&commit.tag).chain(&commit.refs) {
                self.complaints.at(
                    key,
                    "a commit of an update always goes to the update's ref; `branch`, `tag` and `refs` are \
                     for commits in `history`",
                );
            }
            tip = Some(self.commit(commit, tip)?);
        }
        let Some(tip) = tip else {
            let message =
                format!("there is no commit for `{name}`; set `commits`, or add a commit to `history`");
            self.complaints.at(place, message);
            return None;
        };
        let Some(annotation) = &file.annotated_tag else { return Some(Point::Commit(tip)) };
        let Some(short) = name.strip_prefix("refs/tags/") else {
            self.complaints.at(place, "only a tag can be annotated; use `tag` instead of `branch` or `ref`");
            return None;
        };
        let tag = ScenarioTag {
            name: short.to_string(),
            commit: tip,
            message: annotation.message.clone(),
            tagger: self.person(annotation.tagger.as_ref()).unwrap_or_else(ScenarioPerson::somebody),
            time: annotation.time.as_ref().map(|time| time.0),
            is_signed: annotation.is_signed,
        };
        self.tags.push(tag);
        Some(Point::Tag(self.tags.len() - 1))
    }

    /// Finishes the scene with the origin of the push.
    pub fn end(
        self,
        updates: Vec<ScenarioUpdate>,
        repository: RepositoryIdentity,
        push: &PushFile,
    ) -> Scenario {
        Scenario {
            commits: self.commits,
            tags: self.tags,
            refs: self.refs,
            head: self.head,
            updates,
            origin: origin(repository, push),
        }
    }

    /// Creates a commit on top of `parent` and returns its number.
    fn commit(&mut self, file: &CommitFile, parent: Option<usize>) -> Option<usize> {
        let number = self.commits.len();
        if number == MAX_COMMITS {
            self.complaints.of_file(format!("a test may have at most {MAX_COMMITS} commits"));
            return None;
        }
        let mut files = parent.map(|parent| self.commits[parent].files.clone()).unwrap_or_default();
        let mut parents: Vec<usize> = parent.into_iter().collect();
        if let Some(merge) = &file.merge {
            let OneOrMore(names) = merge.get_ref();
            for name in names {
                let merged = self.resolve_at(name, merge.span())?;
                self.merge(&mut files, parent, merged);
                parents.push(merged);
            }
        }
        for (path, content) in &file.files {
            self.put(&mut files, path, content);
        }
        if let Some(label) = &file.label {
            let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if label.get_ref().is_empty() || !label.get_ref().chars().all(is_word) {
                self.complaints.at(label, "a label may contain only letters, digits, `-`, `_`, `.` and `/`");
            } else if self.labels.insert(label.get_ref().clone(), number).is_some() {
                let message = format!("two commits have the label `{}`; give each its own", label.get_ref());
                self.complaints.at(label, message);
            }
        }
        let author = self.person(file.author.as_ref()).unwrap_or_else(ScenarioPerson::somebody);
        let commit = ScenarioCommit {
            label: file.label.as_ref().map(|label| label.get_ref().clone()),
            message: file.message.clone().unwrap_or_else(|| format!("Commit {}", number + 1)),
            committer: self.person(file.committer.as_ref()).unwrap_or_else(|| author.clone()),
            author,
            time: file.time.as_ref().map(|time| time.0),
            files,
            parents,
            is_signed: file.is_signed,
        };
        self.commits.push(commit);
        Some(number)
    }

    /// Applies to `files` the changes on the branch that ends with `merged`, since it forked from
    /// `own`.
    fn merge(&self, files: &mut BTreeMap<String, Rc<str>>, own: Option<usize>, merged: usize) {
        let ours = own.map(|own| self.ancestors(own)).unwrap_or_default();
        let theirs = self.ancestors(merged);
        let fork = theirs.iter().rfind(|number| ours.contains(number));
        let before = fork.map(|fork| &self.commits[*fork].files);
        let after = &self.commits[merged].files;
        for path in before.into_iter().flat_map(BTreeMap::keys).filter(|path| !after.contains_key(*path)) {
            files.remove(path);
        }
        for (path, content) in after {
            if before.and_then(|before| before.get(path)) != Some(content) {
                files.insert(path.clone(), content.clone());
            }
        }
    }

    /// Returns a commit and all its ancestors, oldest first.
    fn ancestors(&self, number: usize) -> Vec<usize> {
        let mut found = vec![false; number + 1];
        found[number] = true;
        for commit in (0..=number).rev() {
            if found[commit] {
                self.commits[commit].parents.iter().for_each(|parent| found[*parent] = true);
            }
        }
        (0..=number).filter(|commit| found[*commit]).collect()
    }

    fn put(&mut self, files: &mut BTreeMap<String, Rc<str>>, path: &Spanned<String>, content: &ContentFile) {
        let name = path.get_ref();
        let shown = text::line(name);
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git") && !part.contains('\0')
        };
        if !name.split('/').all(is_part) {
            let message = format!(
                "`{shown}` is not a path in a repository, expected one such as `services/checkout/pay.rs`"
            );
            return self.complaints.at(path, message);
        }
        match content {
            ContentFile::Removed if files.remove(name).is_none() => {
                self.complaints.at(path, format!("`{shown}` does not exist, so it cannot be removed"));
            }
            ContentFile::Removed => {}
            ContentFile::Text(content) => {
                let is_above = |above: &str| files.contains_key(above);
                let above = name.match_indices('/').map(|(at, _)| &name[..at]).find(|above| is_above(above));
                let below = format!("{name}/");
                let below =
                    files.range(below.clone()..).next().filter(|(there, _)| there.starts_with(&below));
                let in_the_way = above.or(below.map(|(there, _)| there.as_str()));
                if let Some(there) = in_the_way {
                    let message =
                        format!("`{shown}` cannot be a file, because `{}` is one", text::line(there));
                    return self.complaints.at(path, message);
                }
                files.insert(name.clone(), content.as_str().into());
            }
        }
    }

    fn person(&mut self, written: Option<&Spanned<String>>) -> Option<ScenarioPerson> {
        let written = written?;
        match ScenarioPerson::parse(written.get_ref()) {
            Ok(person) => Some(person),
            Err(err) => {
                self.complaints.at(written, err.to_string());
                None
            }
        }
    }

    /// Returns the full name of a ref, or reports that git would not accept it.
    fn ref_name(&mut self, prefix: &str, written: &Spanned<String>) -> Option<String> {
        let name = format!("{prefix}{}", written.get_ref());
        let is_full = name.starts_with("refs/") && gix::refs::FullName::try_from(name.as_str()).is_ok();
        if !is_full {
            let message = format!(
                "`{}` is not a valid ref name, expected one such as `{}`",
                text::line(&name),
                match prefix {
                    "" => "refs/notes/commits",
                    "refs/tags/" => "v1.2.3",
                    _ => "main",
                }
            );
            self.complaints.at(written, message);
        }
        is_full.then_some(name)
    }

    fn resolve(&mut self, written: &Spanned<String>) -> Option<usize> {
        self.resolve_at(written.get_ref(), written.span())
    }

    /// Resolves a name to a commit: a label, a branch, a tag or a full ref name, optionally with
    /// `~N`, which goes back along first parents.
    fn resolve_at(&mut self, written: &str, span: std::ops::Range<usize>) -> Option<usize> {
        let (name, back) = match written.rsplit_once('~') {
            Some((name, "")) => (name, Some(1)),
            Some((name, steps)) => (name, steps.parse().ok()),
            None => (written, Some(0)),
        };
        let named = self.labels.get(name).copied();
        let named = named.or_else(|| {
            ["refs/heads/", "refs/tags/", ""]
                .iter()
                .find_map(|prefix| self.commit_at(&format!("{prefix}{name}")))
        });
        let (Some(named), Some(back)) = (named, back) else {
            let shown = text::line(written);
            let names = self.refs.keys().map(|name| name.splitn(3, '/').nth(2).unwrap_or(name));
            let known = self.labels.keys().map(String::as_str).chain(names);
            let mut message = Hinted::near(format!("unknown commit `{shown}`"), name, known);
            if message.hint.is_none() {
                message.message += "; expected a label, a branch or a tag, such as `main~1`";
            }
            self.complaints.over(span, message);
            return None;
        };
        let mut commit = named;
        for _ in 0..back {
            let Some(parent) = self.commits[commit].parents.first() else {
                let message = format!("`{}` goes back beyond the first commit", text::line(written));
                self.complaints.over(span, message);
                return None;
            };
            commit = *parent;
        }
        Some(commit)
    }

    /// Returns the commit that a ref points to, through an annotated tag if it is one.
    fn commit_at(&self, name: &str) -> Option<usize> {
        self.refs.get(name).map(|point| match point {
            Point::Commit(number) => *number,
            Point::Tag(number) => self.tags[*number].commit,
        })
    }
}

fn origin(repository: RepositoryIdentity, push: &PushFile) -> PushOrigin {
    let pusher = match &push.pusher {
        None => Some("ann"),
        Some(PusherFile::Name(name)) => Some(name.as_str()),
        Some(PusherFile::Nobody) => None,
    };
    let options = push.options.iter().map(|(key, value)| match value {
        OptionFile::Value(value) => format!("{key}={value}"),
        OptionFile::Bare => key.clone(),
    });
    PushOrigin {
        repository: RepositoryIdentity { is_wiki: push.is_wiki, ..repository },
        pusher: pusher.map(|name| Pusher { name: name.to_string(), id: Some(push.pusher_id.unwrap_or(1)) }),
        options: PushOptions::new(options),
        found_by: push.source,
        transport: push.transport.unwrap_or(if pusher.is_some() { Transport::Ssh } else { Transport::Local }),
        pull_request: pull_request(push.pull_request, push.is_merge),
        is_internal: push.is_internal,
        is_deploy_key: push.is_deploy_key,
        actions_task: push.actions_task,
        time: push.time.as_ref().map_or_else(
            || Timestamp::from_second(PUSH_TIME).unwrap_or(Timestamp::UNIX_EPOCH),
            |time| time.0,
        ),
    }
}
