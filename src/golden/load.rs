//! From a file of golden tests to the suite that it is: whose policy speaks, and what each test plays and expects.

use std::{collections::HashSet, fs, io::Read as _, path::PathBuf};

use toml::Spanned;

use super::{
    complaints::Complaints,
    expect::Expectation,
    file::{CommitFile, SuiteFile, TestFile},
    find::Place,
    plot::Plot,
    scene::Scene,
};
use crate::{
    config::{Problem, ServiceRule},
    policy::Scripts,
    push::Repository,
    text,
};

/// How large a file of tests may be, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What the repository of a test is called where neither it nor the file's name says so.
const EXAMPLE: &str = "example";

/// The tests of one file.
#[derive(Debug)]
pub struct Suite {
    pub(super) place: Place,
    pub(super) source: String,
    pub(super) scripts: Scripts,
    pub(super) services: Vec<ServiceRule>,
    pub(super) tests: Vec<Test>,
}

/// One test.
#[derive(Debug)]
pub(super) struct Test {
    pub name: String,
    /// Where its name is in the file, counted from 1.
    pub line: usize,
    pub scene: Scene,
    /// One for each update, or none at all.
    pub expectations: Vec<Expectation>,
}

/// Reads the file at `place`.
///
/// # Errors
/// With everything that is wrong with it.
pub(super) fn load(place: Place) -> Result<Suite, Vec<Problem>> {
    let mut source = String::new();
    let path = place.path.clone();
    let read = fs::File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut source));
    let of_file = |message: String| vec![Problem::with_file(&path, message)];
    read.map_err(|err| of_file(format!("failed to read the tests: {err}")))?;
    if source.len() as u64 > MAX_FILE {
        return Err(of_file(format!("the file is larger than {} MiB", MAX_FILE >> 20)));
    }
    parse(place, source)
}

/// Reads the text of a file, which is or would be at `place`.
///
/// # Errors
/// With everything that is wrong with it.
pub(super) fn parse(place: Place, source: String) -> Result<Suite, Vec<Problem>> {
    let file: SuiteFile =
        toml::from_str(&source).map_err(|err| vec![Problem::from_toml(&place.path, &source, &err)])?;
    let mut reading = Reading { complaints: Complaints::new(&place.path, &source) };
    let suite = reading.suite(&place, file);
    let problems = reading.complaints.into_problems();
    if !problems.is_empty() {
        return Err(problems);
    }
    let (scripts, services, tests) = suite;
    Ok(Suite { place, source, scripts, services, tests })
}

/// One file on its way to a suite.
struct Reading<'a> {
    complaints: Complaints<'a>,
}

/// What the tests of a file share.
struct Shared<'a> {
    repository: Repository,
    history: Option<&'a [CommitFile]>,
    default_branch: Option<&'a Spanned<String>>,
}

impl Reading<'_> {
    fn suite(&mut self, place: &Place, file: SuiteFile) -> (Scripts, Vec<ServiceRule>, Vec<Test>) {
        let scripts = self.scripts(place, &file);
        let stated = file.repository.as_ref().and_then(|written| self.repository(written));
        let shared = Shared {
            repository: stated.unwrap_or_else(|| self.repository_of(place, &file)),
            history: file.history.as_deref(),
            default_branch: file.default_branch.as_ref(),
        };
        let mut names = HashSet::new();
        let mut tests = Vec::new();
        for test in &file.test {
            if !names.insert(test.name.get_ref().as_str()) {
                let message = format!(
                    "two tests are called `{}`; give each its own name",
                    text::line(test.name.get_ref())
                );
                self.complaints.at(&test.name, message);
            }
            tests.extend(self.test(test, &shared));
        }
        let services = self.complaints.services(file.service);
        (scripts, services, tests)
    }

    /// Finds the scripts that speak: `policy` alone, or those that would for such a repository.
    fn scripts(&mut self, place: &Place, file: &SuiteFile) -> Scripts {
        let mut script = |written: &Spanned<PathBuf>| {
            let path = place.dir().join(written.get_ref());
            if !path.is_file() {
                let message =
                    format!("there is no script `{}`; the path is relative to this file", path.display());
                self.complaints.at(written, message);
            }
            path
        };
        let draft = file.policy.as_ref().map(&mut script);
        let hook_page = file.hook_page.as_ref().map(&mut script);
        if let (Some(_), Some(hook_page)) = (&file.policy, &file.hook_page) {
            let message = "`policy` is the only script that speaks; leave `hook_page` or `policy` out";
            self.complaints.at(hook_page, message);
        }
        Scripts { dir: Some(place.scripts.clone()), hook_page, draft }
    }

    /// Returns the repository that the file's name stands for.
    fn repository_of(&mut self, place: &Place, file: &SuiteFile) -> Repository {
        if file.policy.is_some() {
            return repository(EXAMPLE, EXAMPLE);
        }
        let script = place.script();
        if !place.scripts.join(&script).is_file() {
            self.complaints.of_file(format!(
                "there is no `{}` in `{}` for which these tests could be; \
                 say `policy = \"FILE.rhai\"` or `repository = \"OWNER/NAME\"`",
                script.display(),
                place.scripts.display()
            ));
        }
        let label = place.label();
        match label.split('/').collect::<Vec<_>>()[..] {
            ["site"] => repository(EXAMPLE, EXAMPLE),
            [owner] => repository(owner, EXAMPLE),
            [owner, name] => repository(owner, name),
            _ => {
                self.complaints.of_file("these tests are for no script of the site, an owner or a repository; say `policy` or `repository`");
                repository(EXAMPLE, EXAMPLE)
            }
        }
    }

    fn repository(&mut self, written: &Spanned<String>) -> Option<Repository> {
        let is_name =
            |name: &str| !name.is_empty() && !name.contains(|c: char| c.is_control() || c.is_whitespace());
        match written.get_ref().split('/').collect::<Vec<_>>()[..] {
            [owner, name] if is_name(owner) && is_name(name) => Some(repository(owner, name)),
            _ => {
                let found = text::line(written.get_ref());
                self.complaints
                    .at(written, format!("expected a repository such as `acme/shop`, found `{found}`"));
                None
            }
        }
    }

    fn test(&mut self, file: &TestFile, shared: &Shared<'_>) -> Option<Test> {
        let stated = file.repository.as_ref().and_then(|written| self.repository(written));
        let default_branch = file.default_branch.as_ref().or(shared.default_branch);
        let mut plot = Plot::new(&mut self.complaints, default_branch);
        plot.history(file.history.as_deref().or(shared.history));
        let updates: Vec<_> =
            file.update.0.iter().filter_map(|update| plot.update(update, &file.name)).collect();
        let scene = plot.end(updates, stated.unwrap_or_else(|| shared.repository.clone()), &file.push);
        let n_updates = file.update.0.len();
        if n_updates == 0 {
            self.complaints.at(&file.name, "a test needs an update, such as `update.tag = \"v1.2.3\"`");
            return None;
        }
        let expectations = &file.expect.0;
        if !expectations.is_empty() && expectations.len() != n_updates {
            let message = format!(
                "{} and {}; a test says one `expect` for each `update`, in the same order",
                text::count(n_updates, "update"),
                text::count(expectations.len(), "expectation")
            );
            self.complaints.at(&file.name, message);
        }
        Some(Test {
            name: file.name.get_ref().clone(),
            line: self.complaints.line_of(&file.name),
            scene,
            expectations: expectations.clone(),
        })
    }
}

fn repository(owner: &str, name: &str) -> Repository {
    Repository { owner: Some(owner.to_string()), name: name.to_string(), id: Some(1), is_wiki: false }
}
