//! The sample pushes of `check`: one of each kind, in a temporary repository.

use std::path::Path;

use anyhow::anyhow;

use super::{
    find::TestFilePath,
    fixture_repo::FixtureRepo,
    load::{self, GoldenTest},
};
use crate::push::Push;

/// The samples, as a test file without expectations.
const SAMPLES: &str = include_str!("samples.toml");

/// The sample pushes, with the repository in which they happen.
pub struct SamplePushes {
    stage: FixtureRepo,
    samples: Vec<GoldenTest>,
}

impl SamplePushes {
    /// Creates the repository.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn make() -> anyhow::Result<Self> {
        let place = TestFilePath::of_file(Path::new("samples.toml"), None);
        let suite = load::parse(place, SAMPLES.to_string()).map_err(|problems| anyhow!("{}", problems[0]))?;
        Ok(Self { stage: FixtureRepo::make()?, samples: suite.tests })
    }

    /// Calls `run` with the name of each push and the push, to the repository with this owner and name
    /// if they are given. The repository holds one push at a time.
    ///
    /// # Errors
    /// If the repository cannot be written.
    pub fn each(
        &mut self,
        repository: Option<(&str, &str)>,
        mut run: impl FnMut(&str, Push),
    ) -> anyhow::Result<()> {
        for sample in &self.samples {
            let push = self.stage.set(&sample.scene)?.push;
            let mut source = push.source().clone();
            if let Some((owner, name)) = repository {
                (source.repository.owner, source.repository.name) = (Some(owner.into()), name.into());
            }
            run(&sample.name, Push::new(push.id(), push.time(), source, push.updates().to_vec()));
        }
        Ok(())
    }
}
