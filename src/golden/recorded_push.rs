//! Exports a push from the journal as a test.

use anyhow::{Context as _, anyhow, bail, ensure};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::{
    actual::ActualUpdate,
    bless,
    edit::{TomlTable, spread},
    export::{ExportedCommit, ExportedPush, ExportedUpdate, Exporter, MAX_COMMITS},
    find::TestFilePath,
    load,
    placeholders::Placeholders,
    services as written,
};
use crate::{
    config::ServiceRule,
    facts::{Commit, Person},
    proposal,
    push::{GitDir, MergeStep, PushId, RefKind, RefName, Source, Transport, Update},
    service,
    state::journal::{DecisionRecord, Journal, PushRecord, Record},
    sys::time::Timestamp,
};

/// A push and its decisions, read from the journal.
pub struct RecordedPush {
    push: PushRecord<'static>,
    /// Latest decision for each ref, in order.
    decisions: Vec<DecisionRecord<'static>>,
}

/// Options for exporting a push.
pub struct ExportOptions<'a> {
    /// Repository to read, or `None` for the one that the journal names.
    pub git_dir: Option<GitDir>,
    /// Paths of the files whose content is exported.
    pub with_files: &'a [String],
    /// Services of the configuration.
    pub services: &'a [ServiceRule],
}

impl RecordedPush {
    /// Finds a push in the journal.
    ///
    /// # Errors
    /// If the journal cannot be read, does not have the push, or has no decision for it.
    pub fn find(journal: &Journal, id: PushId) -> anyhow::Result<Self> {
        let mut push = None;
        let mut decisions: Vec<DecisionRecord<'static>> = Vec::new();
        journal.read(|entry| {
            match entry.record {
                Record::Push(pushed) if pushed.push == id => push = Some(*pushed),
                Record::Decision(decision) if decision.push == id => {
                    match decisions.iter_mut().find(|there| there.ref_name == decision.ref_name) {
                        Some(there) => *there = decision,
                        None => decisions.push(decision),
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        let push = push.ok_or_else(|| {
            let log = proposal::command("log --json");
            anyhow!("the journal has no push `{id}`; `{log}` shows the ids")
        })?;
        ensure!(!decisions.is_empty(), "the push `{id}` is not decided yet");
        Ok(Self { push, decisions })
    }

    /// Returns the text of a test file: `old` with the test appended, or a new file.
    ///
    /// # Errors
    /// If `old` is not a valid test file, the repository cannot be read, or the push cannot be
    /// expressed as a test.
    pub fn write(
        &self,
        wish: &ExportOptions<'_>,
        place: &TestFilePath,
        old: Option<&str>,
    ) -> anyhow::Result<String> {
        let git_dir =
            wish.git_dir.clone().or_else(|| self.push.git_dir.clone().map(std::borrow::Cow::into_owned));
        let git_dir = git_dir
            .context("the journal does not have the path of the repository; give it with `--git-dir DIR`")?;
        let source = self.push.source(git_dir);
        let exporter = Exporter::open(source.clone(), wish.with_files)?;
        let updates: Vec<Update> = self.decisions.iter().map(update).collect::<anyhow::Result<_>>()?;
        let retold = exporter.tell(&updates)?;

        let is_new = old.is_none();
        let mut document: DocumentMut = match old {
            Some(old) => load::parse(place.clone(), old.to_string())
                .map_err(|problems| anyhow!("{}", problems[0]))
                .and_then(|_| Ok(old.parse()?))?,
            None => self.beginning(wish, place, &source),
        };
        let mut test = Table::new();
        test.decor_mut().set_prefix(self.comment(&retold, wish, is_new && document.is_empty()));
        self.test(&mut test, &source, &retold, exporter.default_branch());
        if !is_new && source.repository.full_name() != place.label() && !document.contains_key("repository") {
            test.insert("repository", text(source.repository.full_name()).into());
        }
        let tests = document.entry("test").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let tests = tests
            .as_array_of_tables_mut()
            .context("`test` is written as `test = [...]`; write each test as `[[test]]`")?;
        tests.push(test);
        let written = document.to_string();
        match load::parse(place.clone(), written.clone()) {
            Ok(_) => Ok(written),
            Err(problems) => bail!("this push cannot be written as a test: {}", problems[0]),
        }
    }

    /// Returns the head of a new file: the repository, and the services that the configuration
    /// defines for it.
    fn beginning(&self, wish: &ExportOptions<'_>, place: &TestFilePath, source: &Source) -> DocumentMut {
        let mut document = DocumentMut::new();
        let name = source.repository.full_name();
        if name != place.label() {
            document.insert("repository", text(&name).into());
        }
        let mut services = ArrayOfTables::new();
        for rule in wish.services.iter().filter(|rule| service::is_of(rule, &source.repository)) {
            services.push(written::table(rule));
        }
        if !services.is_empty() {
            document.insert("service", Item::ArrayOfTables(services));
        }
        document
    }

    fn comment(&self, retold: &ExportedPush, wish: &ExportOptions<'_>, is_first: bool) -> String {
        let mut lines = vec![format!("Push {}, from the journal.", self.push.push)];
        let names_content = !wish.with_files.is_empty();
        lines.push(match names_content {
            true => "The content of files not named with `--with-file` is left out.".into(),
            false => "The content of files is left out; add it with `--with-file PATH`.".into(),
        });
        let is_cut = |update: &&ExportedUpdate| update.has_more_commits || update.n_commits > MAX_COMMITS;
        for update in retold.updates.iter().filter(is_cut) {
            let name = crate::text::line(update.ref_name.to_text());
            let n_commits = match update.has_more_commits {
                true => "many".to_string(),
                false => update.n_commits.to_string(),
            };
            lines.push(format!(
                "Of the {n_commits} commits of {name}, only the newest {MAX_COMMITS} are here."
            ));
        }
        if self.push.hook_page.is_some() {
            lines.push(
                "A script on Gitea's hook page took part: save it beside this file, and name it with \
                 `hook_page`."
                    .into(),
            );
        }
        if self.decisions.len() < self.push.updates {
            lines.push(format!(
                "Of its {} updates, only {} are decided.",
                self.push.updates,
                self.decisions.len()
            ));
        }
        let newline = if is_first { "" } else { "\n" };
        let lines: String = lines.iter().map(|line| format!("# {line}\n")).collect();
        format!("{newline}{lines}")
    }

    fn test(&self, test: &mut Table, source: &Source, retold: &ExportedPush, default_branch: &str) {
        test.insert("name", text(self.name()).into());
        if default_branch != "main" {
            test.insert("default_branch", text(default_branch).into());
        }
        let mut history: Array = retold.history.iter().map(commit).collect();
        spread(&mut history);
        test.insert("history", Value::from(history).into());
        test.insert("push", Item::Table(self.push(source)));
        if let [only] = &retold.updates[..] {
            let mut table = dotted();
            change(&mut TomlTable::Table(&mut table), only);
            test.insert("update", Item::Table(table));
        } else {
            let updates = retold.updates.iter().map(|update| {
                let mut table = InlineTable::new();
                change(&mut TomlTable::Inline(&mut table), update);
                table
            });
            let mut updates: Array = updates.collect();
            spread(&mut updates);
            test.insert("update", Value::from(updates).into());
        }
        let found: Vec<ActualUpdate> = self
            .decisions
            .iter()
            .zip(&retold.updates)
            .map(|(decision, update)| {
                let ids = [
                    ("commit_id", update.commit_id),
                    ("new_id", Some(decision.new_id).filter(|id| !id.is_null())),
                    ("old_id", Some(decision.old_id).filter(|id| !id.is_null())),
                ];
                let names =
                    ids.into_iter().filter_map(|(name, id)| Some((name.to_string(), id?.to_string())));
                ActualUpdate::noted(decision, Placeholders::new(names))
            })
            .collect();
        bless::expect(&mut TomlTable::Table(test), &[], &found);
    }

    fn name(&self) -> String {
        let pusher = self.push.pusher.as_ref().map_or("somebody", |pusher| pusher.name.as_str());
        let refs: Vec<_> = self.decisions.iter().take(3).map(|decision| short(&decision.ref_name)).collect();
        let more = if self.decisions.len() > 3 { ", ..." } else { "" };
        format!(
            "{pusher} pushes {}{more} on {}",
            refs.join(", "),
            self.push.captured.strftime("%Y-%m-%d %H:%M:%S%.3f")
        )
    }

    fn push(&self, source: &Source) -> Table {
        let mut table = dotted();
        let mut say = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                table.insert(key, Item::Value(value));
            }
        };
        match &source.pusher {
            Some(pusher) => {
                say("pusher", Some(text(&pusher.name)));
                say("pusher_id", pusher.id.map(Value::from));
            }
            None => say("pusher", Some(false.into())),
        }
        let options: InlineTable = source.options.iter().map(|(key, value)| (key, text(value))).collect();
        say("options", (!options.is_empty()).then(|| options.into()));
        say("source", (!source.found_by.is_push()).then(|| text(source.found_by.as_str())));
        let usual = if source.pusher.is_some() { Transport::Ssh } else { Transport::Local };
        say("transport", (source.transport != usual).then(|| text(source.transport.as_str())));
        let pull_request = source.pull_request;
        say("pull_request", pull_request.and_then(|pull_request| pull_request.number).map(Value::from));
        say(
            "is_merge",
            pull_request.filter(|pull_request| pull_request.step == MergeStep::Merged).map(|_| true.into()),
        );
        say("is_internal", source.is_internal.then(|| true.into()));
        say("is_wiki", source.repository.is_wiki.then(|| true.into()));
        say("is_deploy_key", source.deploy_key_id.map(|_| true.into()));
        say("actions_task", source.actions_task_id.map(Value::from));
        say("time", Some(time(self.push.captured)));
        table
    }
}

fn dotted() -> Table {
    let mut table = Table::new();
    table.set_dotted(true);
    table
}

fn update(decision: &DecisionRecord<'_>) -> anyhow::Result<Update> {
    let name = RefName::new(decision.ref_name.as_bytes());
    name.and_then(|name| Update::new(name, decision.old_id, decision.new_id)).with_context(|| {
        format!("the journal has an invalid update of `{}`", crate::text::line(&*decision.ref_name))
    })
}

fn change(block: &mut TomlTable<'_>, update: &ExportedUpdate) {
    let full = update.ref_name.to_text();
    match update.ref_name.kind() {
        RefKind::Branch(_) => block.set("branch", short(&full)),
        RefKind::Tag(_) => block.set("tag", short(&full)),
        RefKind::Other => block.set("ref", &*full),
    }
    if let Some(to) = &update.to {
        block.set("to", to);
    }
    if update.is_deleted {
        block.set("delete", true);
    }
    if !update.commits.is_empty() {
        let mut commits: Array = update.commits.iter().map(commit).collect();
        spread(&mut commits);
        block.set("commits", commits);
    }
    if let Some(tag) = &update.tag {
        let mut annotation = InlineTable::new();
        annotation.insert("message", text(tag.message.trim_end()));
        if let Some(tagger) = &tag.tagger {
            annotation.insert("tagger", text(person(tagger)));
            annotation.extend(tagger.time.map(|at| ("time", time(at))));
        }
        annotation.extend(tag.is_signed.then(|| ("is_signed", Value::from(true))));
        block.set("annotated_tag", annotation);
    }
}

fn commit(told: &ExportedCommit) -> InlineTable {
    let mut table = InlineTable::new();
    match &told.commit {
        Some(commit) => describe(&mut table, commit),
        None => {
            table.insert("message", text("Before"));
        }
    }
    table.extend(told.label.as_ref().map(|label| ("label", text(label))));
    table.extend(told.branch.as_ref().map(|branch| ("branch", text(branch))));
    if !told.refs.is_empty() {
        table.insert("refs", told.refs.iter().collect::<Array>().into());
    }
    match &told.merge[..] {
        [] => {}
        [one] => drop(table.insert("merge", text(one))),
        several => drop(table.insert("merge", several.iter().collect::<Array>().into())),
    }
    if !told.files.is_empty() {
        let files = told
            .files
            .iter()
            .map(|(path, content)| (path, content.as_ref().map_or_else(|| false.into(), text)));
        table.insert("files", Value::from(files.collect::<InlineTable>()));
    }
    table
}

fn describe(table: &mut InlineTable, commit: &Commit) {
    table.insert("message", text(commit.message.trim_end()));
    table.insert("author", text(person(&commit.author)));
    if person(&commit.committer) != person(&commit.author) {
        table.insert("committer", text(person(&commit.committer)));
    }
    table.extend(commit.committer.time.map(|at| ("time", time(at))));
    table.extend(commit.is_signed.then(|| ("is_signed", Value::from(true))));
}

/// Formats a person for a test. A commit may have an empty name, but git refuses to write one.
fn person(person: &Person) -> String {
    let clean = |text: &str| text.replace(['<', '>', '\n', '\t'], " ").trim().to_string();
    let name = clean(&person.name);
    let name = if name.is_empty() { "nobody".to_string() } else { name };
    format!("{name} <{}>", clean(&person.email))
}

/// Returns a time in whole seconds, the precision that git keeps.
fn time(at: Timestamp) -> Value {
    let text = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    text.parse::<toml_edit::Datetime>().map_or_else(|_| text.into(), Value::from)
}

/// Returns a TOML string that fits on one line.
fn text(text: impl AsRef<str>) -> Value {
    let text = text.as_ref();
    if !text.contains('\n') {
        return text.into();
    }
    // toml_edit would write a multi-line string, which makes the table around it hard to read.
    let one_line = serde_json::to_string(text).unwrap_or_default();
    one_line.parse().unwrap_or_else(|_| text.into())
}

fn short(ref_name: &str) -> &str {
    let of = |prefix| ref_name.strip_prefix(prefix);
    of("refs/heads/").or_else(|| of("refs/tags/")).unwrap_or(ref_name)
}
