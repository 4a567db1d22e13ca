//! Golden tests of policies, in `*.test.toml` files beside the scripts. A test describes a small
//! history and a push, and the expected result. It runs in a temporary repository and uses the same
//! [`Decider`](crate::decide::Decider) as the hook.

mod actual;
mod bless;
mod diagnostics;
mod difference;
mod edit;
mod expect;
mod export;
mod file;
mod find;
mod fixture_repo;
mod load;
mod placeholders;
mod recorded_push;
mod run;
mod samples;
mod scenario;
mod scenario_builder;
mod services;

pub use bless::Blessed;
pub use difference::{Difference, Line};
pub use find::{TestFilePath, find};
pub use fixture_repo::FixtureRepo;
pub use load::Suite;
pub(crate) use load::parse;
pub use recorded_push::{ExportOptions, RecordedPush};
pub use run::{TestOutcome, TestResult};
pub use samples::SamplePushes;

use crate::config::{self, ConfigProblem};

/// Returns the JSON schema of test files.
pub fn schema() -> schemars::Schema {
    config::schema_of::<file::SuiteFile>("Golden tests of a policy of gitea-lightstep")
}

impl Suite {
    /// Loads the file at `place`.
    ///
    /// # Errors
    /// With every problem in the file.
    pub fn load(place: TestFilePath) -> Result<Self, Vec<ConfigProblem>> {
        load::load(place)
    }
}
