//! Runs tests: builds the scenario of each and decides its push with the hook's decider.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    actual::ActualUpdate,
    difference::{self, Difference},
    expect::Expectation,
    fixture_repo::FixtureRepo,
    load::{GoldenTest, Suite},
};
use crate::{
    config::{Config, Limits},
    decide::{Budget, Decider, InMemoryHistory},
    state::journal::RecordedOutcome,
};

/// Time limit for deciding one update. The limits of the site are not used, so that results do not
/// depend on the site's configuration or on a busy machine.
const TIME: Duration = Duration::from_secs(10);

/// The result of one test.
#[derive(Debug)]
pub struct TestResult {
    /// Name of the test.
    pub name: String,
    /// Line of the test in its file.
    pub line: usize,
    /// Time that the test took.
    pub took: Duration,
    /// Outcome of the test.
    pub ending: TestOutcome,
    /// Notes on a result that does not make the test fail: what scripts printed, and markers that
    /// were left out.
    pub notes: Vec<String>,
    /// Actual results, if the push was decided.
    pub(super) found: Vec<ActualUpdate>,
}

/// The outcome of a test.
#[derive(Debug)]
pub enum TestOutcome {
    /// All results match.
    Passed,
    /// Some results differ. Holds a difference for each such update.
    Differs(Vec<Difference>),
    /// The test states no expectations. Holds the actual results.
    Unexpecting(Vec<Difference>),
    /// The test could not run.
    Broken(String),
}

impl Suite {
    /// Keeps the tests whose label and name contain `filter`, ignoring case.
    pub fn select(&mut self, filter: &str) {
        let filter = filter.to_lowercase();
        let label = self.label();
        self.tests.retain(|test| format!("{label} {}", test.name).to_lowercase().contains(&filter));
    }

    /// Returns the subject of the tests, such as `site` or `acme/shop`.
    pub fn label(&self) -> String {
        self.place.label()
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Runs the tests one after another in `stage`.
    pub fn run(&self, stage: &mut FixtureRepo) -> Vec<TestResult> {
        let config = self.config();
        self.tests.iter().map(|test| self.test(&config, test, stage)).collect()
    }

    fn config(&self) -> Config {
        Config {
            limits: Limits { time: TIME, ..Limits::default() },
            services: self.services.clone(),
            ..Config::default()
        }
    }

    fn test(&self, config: &Config, test: &GoldenTest, stage: &mut FixtureRepo) -> TestResult {
        let start = Instant::now();
        let mut notes = Vec::new();
        let (ending, found) = match self.play(config, test, stage, &mut notes) {
            Ok(found) => (judge(&test.expectations, &found), found),
            Err(err) => (TestOutcome::Broken(format!("{err:#}")), Vec::new()),
        };
        TestResult { name: test.name.clone(), line: test.line, took: start.elapsed(), ending, notes, found }
    }

    fn play(
        &self,
        config: &Config,
        test: &GoldenTest,
        stage: &mut FixtureRepo,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Vec<ActualUpdate>> {
        let played = stage.set(&test.scene)?;
        let memory = InMemoryHistory::default();
        let decider = Decider::with_scripts(config, played.push, &self.scripts, &memory).listening();
        let scripts = self.place.scripts.join("").display().to_string();
        let mut names = played.names.into_iter();
        let decide = |(index, update)| {
            let verdict = decider.decide(index, Budget::Update).context("an update was not decided")?;
            let printed = verdict.printed.iter();
            notes.extend(printed.map(|line| line.strip_prefix(&*scripts).unwrap_or(line).to_string()));
            let found = ActualUpdate::of(verdict, update, names.next().unwrap_or_default(), &scripts);
            let is_repeated = found.outcome == RecordedOutcome::Marked && !found.why.is_empty();
            notes.extend(is_repeated.then(|| format!("note: {}", found.why)));
            Ok(found)
        };
        decider.push().updates().iter().enumerate().map(decide).collect()
    }
}

/// Compares the results with the expectations.
pub(super) fn judge(expectations: &[Expectation], found: &[ActualUpdate]) -> TestOutcome {
    if expectations.is_empty() {
        return TestOutcome::Unexpecting(found.iter().map(difference::unexpected).collect());
    }
    let differences: Vec<_> = expectations
        .iter()
        .zip(found)
        .filter_map(|(expected, found)| difference::compare(expected, found))
        .collect();
    if differences.is_empty() { TestOutcome::Passed } else { TestOutcome::Differs(differences) }
}
