//! Loads a test file: selects the scripts to run, and builds the scenario and the expectations of
//! each test.

use std::{collections::HashSet, io::Read as _, path::PathBuf};

use super::{
    diagnostics::Complaints,
    expect::Expectation,
    file::{CommitFile, SuiteFile, TestFile},
    find::TestFilePath,
    scenario::Scenario,
    scenario_builder::Plot,
};
use crate::{
    config::{ConfigProblem, ServiceRule, Spanned},
    policy::ScriptLocations,
    push::RepositoryIdentity,
    sys::regular_file,
    text,
};

/// Maximum size of a test file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Owner and name of a test's repository if neither the test nor the file name determines them.
const EXAMPLE: &str = "example";

/// The tests of one file.
#[derive(Debug)]
pub struct Suite {
    pub(super) place: TestFilePath,
    pub(super) source: String,
    pub(super) scripts: ScriptLocations,
    pub(super) services: Vec<ServiceRule>,
    pub(super) tests: Vec<GoldenTest>,
}

/// One test.
#[derive(Debug)]
pub(super) struct GoldenTest {
    pub name: String,
    /// Line of the test's name in the file, counted from 1.
    pub line: usize,
    pub scene: Scenario,
    /// One for each update, or empty.
    pub expectations: Vec<Expectation>,
}

/// Loads the file at `place`.
///
/// # Errors
/// With every problem in the file.
pub(super) fn load(place: TestFilePath) -> Result<Suite, Vec<ConfigProblem>> {
    let mut source = String::new();
    let path = place.path.clone();
    let read = regular_file::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut source));
    let of_file = |message: String| vec![ConfigProblem::with_file(&path, message)];
    read.map_err(|err| of_file(format!("failed to read the tests: {err}")))?;
    if source.len() as u64 > MAX_FILE {
        return Err(of_file(format!("the file is larger than {} MiB", MAX_FILE >> 20)));
    }
    parse(place, source)
}

/// Parses the text of a file that is, or will be, at `place`.
///
/// # Errors
/// With every problem in the text.
pub(crate) fn parse(place: TestFilePath, source: String) -> Result<Suite, Vec<ConfigProblem>> {
    let file: SuiteFile =
        toml::from_str(&source).map_err(|err| vec![ConfigProblem::from_toml(&place.path, &source, &err)])?;
    let mut reading = TestFileReader { complaints: Complaints::new(&place.path, &source) };
    let suite = reading.suite(&place, file);
    let problems = reading.complaints.into_problems();
    if !problems.is_empty() {
        return Err(problems);
    }
    let (scripts, services, tests) = suite;
    Ok(Suite { place, source, scripts, services, tests })
}

/// A file that is being loaded.
struct TestFileReader<'a> {
    complaints: Complaints<'a>,
}

/// Settings that the tests of a file share.
struct Shared<'a> {
    repository: RepositoryIdentity,
    history: Option<&'a [CommitFile]>,
    default_branch: Option<&'a Spanned<String>>,
}

impl TestFileReader<'_> {
    fn suite(
        &mut self,
        place: &TestFilePath,
        file: SuiteFile,
    ) -> (ScriptLocations, Vec<ServiceRule>, Vec<GoldenTest>) {
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

    /// Selects the scripts to run: `policy` alone, or those that apply to the repository.
    fn scripts(&mut self, place: &TestFilePath, file: &SuiteFile) -> ScriptLocations {
        let mut script = |written: &Spanned<PathBuf>| {
            let path = place.dir().join(written.get_ref());
            if !path.is_file() {
                let message =
                    format!("unknown script `{}`; the path is relative to this file", path.display());
                self.complaints.at(written, message);
            }
            path
        };
        let draft = file.policy.as_ref().map(&mut script);
        let hook_page = file.hook_page.as_ref().map(&mut script);
        if let (Some(_), Some(hook_page)) = (&file.policy, &file.hook_page) {
            let message = "with `policy`, no other script runs; remove `hook_page` or `policy`";
            self.complaints.at(hook_page, message);
        }
        ScriptLocations { dir: Some(place.scripts.clone()), hook_page, draft }
    }

    /// Returns the repository that the file name implies.
    fn repository_of(&mut self, place: &TestFilePath, file: &SuiteFile) -> RepositoryIdentity {
        if file.policy.is_some() {
            return repository(EXAMPLE, EXAMPLE);
        }
        let script = place.script();
        if !place.scripts.join(&script).is_file() {
            self.complaints.of_file(format!(
                "these tests need the script `{}` in `{}`, which does not exist; set `policy = \
                 \"FILE.rhai\"` or `repository = \"OWNER/NAME\"`",
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
                self.complaints.of_file(
                    "this file does not belong to a script of the site, an owner or a repository; set \
                     `policy` or `repository`",
                );
                repository(EXAMPLE, EXAMPLE)
            }
        }
    }

    fn repository(&mut self, written: &Spanned<String>) -> Option<RepositoryIdentity> {
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

    fn test(&mut self, file: &TestFile, shared: &Shared<'_>) -> Option<GoldenTest> {
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
                "{} and {}; a test needs one `expect` for each `update`, in the same order",
                text::count(n_updates, "update"),
                text::count(expectations.len(), "expectation")
            );
            self.complaints.at(&file.name, message);
        }
        Some(GoldenTest {
            name: file.name.get_ref().clone(),
            line: self.complaints.line_of(&file.name),
            scene,
            expectations: expectations.clone(),
        })
    }
}

fn repository(owner: &str, name: &str) -> RepositoryIdentity {
    RepositoryIdentity { owner: Some(owner.to_string()), name: name.to_string(), id: Some(1), is_wiki: false }
}
