//! A test at work: its scene is set, and the decider that the hook uses decides its push.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{
    bless::{self, Blessed},
    difference::{self, Difference},
    expect::Expectation,
    found::Found,
    load::{Suite, Test},
    stage::Stage,
};
use crate::{
    config::{Config, Limits},
    decide::{Budget, Decider, Passing},
};

/// How long the policy may take for one update. The limits of a site are not asked, so that a test says the same
/// everywhere, and a busy machine is no reason to fail.
const TIME: Duration = Duration::from_secs(10);

/// What came of one test.
#[derive(Debug)]
pub struct Tested {
    /// The test's name.
    pub name: String,
    /// Where it is in its file.
    pub line: usize,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub ending: Ending,
    /// What was found, if it was decided.
    pub(super) found: Vec<Found>,
}

/// How a test ended.
#[derive(Debug)]
pub enum Ending {
    /// Everything is as expected.
    Passed,
    /// Something is not, for the updates of which there is a difference.
    Differs(Vec<Difference>),
    /// The test says nothing of what it expects; this is what there is.
    Unexpecting(Vec<Difference>),
    /// It could not be played.
    Broken(String),
}

impl Suite {
    /// Keeps the tests whose name, or the name of what they are of, holds `filter`; case does not matter.
    pub fn select(&mut self, filter: &str) {
        let filter = filter.to_lowercase();
        let label = self.label();
        self.tests.retain(|test| format!("{label} {}", test.name).to_lowercase().contains(&filter));
    }

    /// Returns what the tests are of: `site`, `acme/shop`.
    pub fn label(&self) -> String {
        self.place.label()
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Returns how many tests there are.
    pub fn n_tests(&self) -> usize {
        self.tests.len()
    }

    /// Plays one test after the other on `stage`.
    pub fn run(&self, stage: &mut Stage) -> Vec<Tested> {
        let config = self.config();
        self.tests.iter().map(|test| self.test(&config, test, stage)).collect()
    }

    /// Returns the text of the file with the expectations of those `tested` that failed as they were found.
    ///
    /// # Errors
    /// With the reason why there is none.
    pub fn bless(&self, tested: &[Tested]) -> anyhow::Result<Blessed> {
        bless::bless(self, tested)
    }

    fn config(&self) -> Config {
        Config {
            limits: Limits { time: TIME, ..Limits::default() },
            services: self.services.clone(),
            ..Config::default()
        }
    }

    fn test(&self, config: &Config, test: &Test, stage: &mut Stage) -> Tested {
        let start = Instant::now();
        let (ending, found) = match self.play(config, test, stage) {
            Ok(found) => (judge(&test.expectations, &found), found),
            Err(err) => (Ending::Broken(format!("{err:#}")), Vec::new()),
        };
        Tested { name: test.name.clone(), line: test.line, took: start.elapsed(), ending, found }
    }

    fn play(&self, config: &Config, test: &Test, stage: &mut Stage) -> anyhow::Result<Vec<Found>> {
        let played = stage.set(&test.scene)?;
        let memory = Passing::default();
        let decider = Decider::with_scripts(config, played.push, &self.scripts, &memory);
        let scripts = self.place.scripts.join("").display().to_string();
        let mut names = played.names.into_iter();
        let mut found = Vec::new();
        let end = decider.push().updates().len();
        while found.len() < end {
            let decided = decider.decide(found.len()..end, Budget::Update);
            ensure!(!decided.verdicts.is_empty(), "an update was not decided");
            for verdict in decided.verdicts {
                let update = &decider.push().updates()[verdict.update];
                found.push(Found::of(verdict, update, names.next().unwrap_or_default(), &scripts));
            }
        }
        Ok(found)
    }
}

/// Holds what was found beside what is expected.
pub(super) fn judge(expectations: &[Expectation], found: &[Found]) -> Ending {
    if expectations.is_empty() {
        return Ending::Unexpecting(found.iter().map(difference::unexpected).collect());
    }
    let differences: Vec<_> = expectations
        .iter()
        .zip(found)
        .filter_map(|(expected, found)| difference::compare(expected, found))
        .collect();
    if differences.is_empty() { Ending::Passed } else { Ending::Differs(differences) }
}
