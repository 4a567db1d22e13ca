//! The repository acme/shop in Gitea: its users, its commits with their ages, and its pushes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::support::Sandbox;

/// Seconds per day.
pub const DAY: i64 = 86_400;

/// Prefixes of the variables that Gitea sets for a push.
const SAID: [&str; 6] = [
    "GITEA_PUSHER",
    "GITEA_KEY_ID",
    "GITEA_DEPLOY_KEY_ID",
    "GITEA_PR_",
    "GITEA_PUSH_TRIGGER",
    "SSH_ORIGINAL_COMMAND",
];

/// A user account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub login: &'static str,
    pub id: &'static str,
    pub name: &'static str,
}

pub const ANN: Person = Person { login: "ann", id: "7", name: "Ann Author" };
pub const BO: Person = Person { login: "bo", id: "8", name: "Bo Builder" };
pub const CY: Person = Person { login: "cy", id: "9", name: "Cy Coder" };
pub const MARIA: Person = Person { login: "maria", id: "10", name: "Maria Merger" };
/// The user that Gitea uses for pushes of Actions jobs.
pub const ACTIONS: Person = Person { login: "gitea-actions", id: "-2", name: "gitea-actions" };
/// The owner of the repository, whom Gitea names as the pusher for a deploy key.
const ACME: Person = Person { login: "acme", id: "2", name: "Acme" };

/// The origin of a push, which determines the hook's environment. The variables are those captured
/// from running servers (`fixtures/captures`).
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Ssh,
    Http,
    /// An edit in the web interface.
    Web,
    /// The merge button. Gitea 1.26 and later pass the number of the pull request.
    Merge(&'static str),
    /// The merge button. Gitea before 1.26 passes only the database ID of the pull request.
    OldMerge(&'static str),
    /// The head ref of a pull request, which Gitea itself pushes.
    PullRef,
    Job(&'static str),
    DeployKey(&'static str),
}

/// A completed push.
#[derive(Debug)]
pub struct Pushed {
    pub name: String,
    pub id: String,
    /// Each update in the journal: its outcome, the reason, and missing facts.
    pub said: Vec<String>,
}

pub struct Shop {
    pub sandbox: Sandbox,
    /// Time of the test's start, in seconds since 1970; ages count back from it.
    pub start: i64,
    began: Instant,
    pub commits: BTreeMap<String, String>,
    pub pushed: Vec<Pushed>,
}

impl Shop {
    pub fn new(sandbox: Sandbox) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
        let start = since.as_secs().try_into().expect("a time that fits");
        Self { sandbox, start, began: Instant::now(), commits: BTreeMap::new(), pushed: Vec::new() }
    }

    /// Returns the time since the start.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// Runs git with an author and a committer, both with a date `age` days ago.
    #[track_caller]
    pub fn as_of(&mut self, age: i64, author: Person, committer: Person, args: &[&str]) {
        self.written(age, age, author, committer, args);
    }

    #[track_caller]
    fn written(&mut self, authored: i64, committed: i64, author: Person, committer: Person, args: &[&str]) {
        for (role, person, age) in [("AUTHOR", author, authored), ("COMMITTER", committer, committed)] {
            self.sandbox.set(&format!("GIT_{role}_NAME"), person.name);
            self.sandbox.set(&format!("GIT_{role}_EMAIL"), &format!("{}@example.org", person.login));
            self.sandbox.set(&format!("GIT_{role}_DATE"), &format!("@{} +0000", self.start - age * DAY));
        }
        self.sandbox.git(args);
        self.sandbox.unset("GIT_AUTHOR_");
        self.sandbox.unset("GIT_COMMITTER_");
    }

    /// Makes a commit and remembers it under a name.
    #[track_caller]
    pub fn commit(&mut self, name: &str, age: i64, author: Person, message: &str, files: &[(&str, &str)]) {
        self.stage(files);
        self.as_of(age, author, author, &["commit", "-q", "-m", message]);
        self.name(name);
    }

    /// Makes a commit with different authors and committers, like Gitea for a pull request.
    #[track_caller]
    pub fn commit_for(
        &mut self,
        name: &str,
        ages: (i64, i64),
        people: (Person, Person),
        message: &str,
        files: &[(&str, &str)],
    ) {
        self.stage(files);
        self.written(ages.0, ages.1, people.0, people.1, &["commit", "-q", "-m", message]);
        self.name(name);
    }

    fn stage(&self, files: &[(&str, &str)]) {
        for (path, content) in files {
            self.sandbox.write(&format!("clone/{path}"), content);
        }
        self.sandbox.git(&["add", "-A"]);
    }

    /// Remembers the checked-out commit under a name.
    pub fn name(&mut self, name: &str) {
        let id = self.sandbox.git(&["rev-parse", "HEAD"]);
        self.commits.insert(name.into(), id);
    }

    /// Pushes as a user, and records the result under a name.
    #[track_caller]
    pub fn push(&mut self, name: &str, person: Person, way: Way, args: &[&str]) {
        for prefix in SAID.iter().chain(&["GITEA_ACTIONS_TASK_ID", "GITEA_INTERNAL_PUSH"]) {
            self.sandbox.unset(prefix);
        }
        let person = if matches!(way, Way::DeployKey(_)) { ACME } else { person };
        let mut said = vec![("GITEA_PUSHER_NAME", person.login), ("GITEA_PUSHER_ID", person.id)];
        let mail = format!("{}@example.org", person.login);
        said.push(("GITEA_PUSHER_EMAIL", &mail));
        let internal = ("SSH_ORIGINAL_COMMAND", "gitea-internal");
        let over_ssh = ("SSH_ORIGINAL_COMMAND", "git-receive-pack '/acme/shop.git'");
        match way {
            Way::Ssh => {
                said.extend([
                    over_ssh,
                    ("GITEA_KEY_ID", "3"),
                    ("GITEA_DEPLOY_KEY_ID", "0"),
                    ("GITEA_PR_ID", "0"),
                ]);
            }
            Way::DeployKey(id) => {
                said.extend([
                    over_ssh,
                    ("GITEA_KEY_ID", "4"),
                    ("GITEA_DEPLOY_KEY_ID", id),
                    ("GITEA_PR_ID", "0"),
                ]);
            }
            Way::Http => said.push(("SSH_ORIGINAL_COMMAND", "receive-pack")),
            Way::Job(id) => {
                said.extend([("SSH_ORIGINAL_COMMAND", "receive-pack"), ("GITEA_ACTIONS_TASK_ID", id)]);
            }
            Way::Web => said.extend([internal, ("GITEA_PR_ID", "0"), ("GITEA_PR_INDEX", "0")]),
            Way::PullRef => said.extend([internal, ("GITEA_PR_ID", "0"), ("GITEA_INTERNAL_PUSH", "true")]),
            Way::Merge(number) => said.extend([
                internal,
                ("GITEA_PR_ID", "512"),
                ("GITEA_PR_INDEX", number),
                ("GITEA_PUSH_TRIGGER", "pr-merge-to-base"),
            ]),
            Way::OldMerge(id) => {
                said.extend([internal, ("GITEA_PR_ID", id), ("GITEA_PUSH_TRIGGER", "pr-merge-to-base")]);
            }
        }
        for (variable, value) in said {
            self.sandbox.set(variable, value);
        }
        let before = self.sandbox.decisions().len();
        self.sandbox.push(args).succeeded();
        let decisions = self.sandbox.decisions().split_off(before);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
        let id = decisions.first().map(|decision| text(&decision["push"])).expect("the push was decided");
        let said = decisions
            .iter()
            .flat_map(|decision| ["why", "missing"].map(|key| text(&decision[key])))
            .filter(|said| !said.is_empty())
            .collect();
        self.pushed.push(Pushed { name: name.into(), id, said });
    }
}
