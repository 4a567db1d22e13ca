//! Runs the functions of each script once for each kind of sample push.

use std::{path::Path, rc::Rc};

use super::{Findings, problem::Problem};
use crate::{
    config::Config,
    facts::{Facts, Repository},
    golden::SamplePushes,
    policy::{Policy, SampleRun, ScriptLocations, UpdateContext},
    push::RepositoryIdentity,
    service::Services,
};

/// Name of the repository that stands for all repositories of an owner.
const EXAMPLE: &str = "shop";

impl Findings {
    /// Tries scripts in which no problem was found, and reports what throws.
    pub(super) fn try_samples(&mut self, scripts: &[&Path], dir: Option<&Path>, config: &Config) {
        if scripts.is_empty() {
            return;
        }
        let mut samples = match SamplePushes::make() {
            Ok(samples) => samples,
            Err(err) => return self.warnings.push(format!("the scripts were not tried on samples: {err:#}")),
        };
        for script in scripts {
            if let Err(err) = self.try_script(script, dir, config, &mut samples) {
                self.warnings.push(format!("`{}` was not tried on samples: {err:#}", script.display()));
            }
        }
    }

    fn try_script(
        &mut self,
        script: &Path,
        dir: Option<&Path>,
        config: &Config,
        samples: &mut SamplePushes,
    ) -> anyhow::Result<()> {
        let owned = dir.and_then(|dir| repository_of(script, dir));
        let repository = owned.as_ref().map(|(owner, name)| (owner.as_str(), name.as_str()));
        let locations = ScriptLocations {
            dir: dir.map(Path::to_path_buf),
            draft: Some(script.to_path_buf()),
            ..ScriptLocations::default()
        };
        let identity = RepositoryIdentity::named(None, EXAMPLE.to_string());
        let mut run = SampleRun::of(Policy::load(&locations, &identity, &config.limits)?, &config.limits);
        samples.each(repository, |name, push| {
            let opened = Repository::open(&push.source().git_dir).map(Rc::new);
            let facts = Rc::new(Facts::new(Rc::new(push), 0, opened));
            let services = Rc::new(Services::of(config, &facts));
            run.on(name, &UpdateContext { facts, services });
        })?;
        self.problems.extend(run.errors().iter().map(Problem::of_script));
        self.warnings.extend(run.repeated().cloned());
        let printed = run.printed().iter();
        self.rehearsed.extend(printed.map(|line| format!("{}: {line}", script.display())));
        Ok(())
    }
}

/// Returns owner and name of the repository that a script is for, unless it is that of the site.
fn repository_of(script: &Path, dir: &Path) -> Option<(String, String)> {
    let inside = script.strip_prefix(dir).ok()?.with_extension("");
    let names: Vec<_> = inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    match &names[..] {
        [owner] if !owner.eq_ignore_ascii_case("site") => Some((owner.clone(), EXAMPLE.into())),
        [owner, name] => Some((owner.clone(), name.clone())),
        _ => None,
    }
}
