//! Finds and reads the configuration file, resolves it to a [`Config`], and reports every problem
//! in it.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

use super::{
    denied::why_denied,
    problem::ConfigProblem,
    raw::ConfigFile,
    reader::ConfigReader,
    resolved::{Config, DEFAULT_STATE_DIR, Delivery, Destination, Limits, Reply, Retention, SpoolCap},
    spanned::Spanned,
    units::{SizeText, size_text},
};
use crate::{
    redact::Redaction,
    signature::pattern_flaw,
    sys::{
        fault::{self, Step},
        paths, regular_file,
    },
};

/// Environment variable that names the configuration file.
pub const VARIABLE: &str = "GITEA_LIGHTSTEP_CONFIG";

/// Name of the configuration file.
const FILE: &str = "config.toml";

/// Fallback location of the configuration file.
pub const SYSTEM_FILE: &str = "/etc/gitea-lightstep/config.toml";

/// Maximum size of the file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Maximum number of patterns in `[redact]`.
const MAX_PATTERNS: usize = 64;

/// A configuration that could not be loaded, with every problem found in it.
#[derive(Debug, Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// Returns the problems, in the order in which they were found.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

/// Returns the configuration file: `named` if given, else `$GITEA_LIGHTSTEP_CONFIG`, else the first
/// that exists of `config.toml` beside the binary, `config.toml` above it if the binary is in
/// `gitea-lightstep/bin` as in a container, and `/etc/gitea-lightstep/config.toml`.
pub fn find(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.into());
    }
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    find_by_default()
}

/// Returns the configuration file if neither an option nor the environment names one.
pub fn find_by_default() -> Option<PathBuf> {
    places().into_iter().find(|path| path.is_file())
}

/// Returns the files that [`find`] looks for if none is named.
pub fn places() -> Vec<PathBuf> {
    let binary = std::env::current_exe().ok();
    let beside = binary.as_deref().map(|binary| binary.with_file_name(FILE));
    let bin = binary.as_deref().and_then(Path::parent).filter(|dir| dir.ends_with("gitea-lightstep/bin"));
    let above = bin.and_then(Path::parent).map(|dir| dir.join(FILE));
    beside.into_iter().chain(above).chain([PathBuf::from(SYSTEM_FILE)]).collect()
}

/// Loads the configuration at `path`, or the defaults without a path.
///
/// # Errors
/// If the file cannot be read or has problems. The error holds all of them.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let Some(path) = path else {
        return Ok(Config::default());
    };
    let source = read(path).map_err(|problem| ConfigError { problems: vec![problem] })?;
    let file: ConfigFile = toml::from_str(&source)
        .map_err(|err| ConfigError { problems: vec![ConfigProblem::from_toml(path, &source, &err)] })?;
    let mut reading = ConfigReader::of(path, &source);
    let config = reading.config(file);
    let problems = reading.into_problems();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
}

/// Returns the state directory to use if the configuration is broken: the one that the file still
/// names, else the one that the installed hook knows, else the default. The hook needs it to
/// capture the push and to write the journal.
pub fn state_dir_of_broken(path: Option<&Path>, known: Option<PathBuf>) -> PathBuf {
    path.and_then(state_dir_named).or(known).unwrap_or_else(|| DEFAULT_STATE_DIR.into())
}

/// Returns true if the default state directory belongs to another configuration than the one at
/// `path`. The other one is the file in `/etc`, if it names the default directory or if its state
/// directory cannot be determined.
pub fn is_default_state_of_another(path: Option<&Path>) -> bool {
    let system = Path::new(SYSTEM_FILE);
    let is_this = path.is_some_and(|path| paths::is_same(path, system));
    let is_there = || system.try_exists().unwrap_or(true);
    !is_this
        && is_there()
        && state_dir_meant(system).is_none_or(|dir| paths::is_same(&dir, Path::new(DEFAULT_STATE_DIR)))
}

/// Returns the state directory that a file configures, even if the file is broken. A valid TOML
/// file that names none configures the default. Returns `None` if the directory cannot be
/// determined.
pub fn state_dir_meant(path: &Path) -> Option<PathBuf> {
    let is_silent =
        || toml::from_str::<OnlyStateDir>(&read(path).ok()?).ok()?.state_dir.is_none().then_some(());
    state_dir_named(path).or_else(|| is_silent().map(|()| DEFAULT_STATE_DIR.into()))
}

fn state_dir_named(path: &Path) -> Option<PathBuf> {
    let source = read(path).ok()?;
    let of = |text: &str| toml::from_str::<OnlyStateDir>(text).ok()?.state_dir;
    let dir = of(&source).or_else(|| source.lines().find_map(of))?;
    Some(absolute_dir_of(path).join(dir))
}

/// The only key that is read from a file that may be broken.
#[derive(Deserialize)]
struct OnlyStateDir {
    state_dir: Option<PathBuf>,
}

fn read(path: &Path) -> Result<String, ConfigProblem> {
    use std::io::Read as _;
    let mut source = String::new();
    regular_file::open(path)
        .and_then(|file| {
            fault::point(Step::Read, path)?;
            file.take(MAX_FILE + 1).read_to_string(&mut source)
        })
        .map_err(|err| match err.kind() {
            io::ErrorKind::PermissionDenied => ConfigProblem::with_file(path, why_denied(path)),
            _ => ConfigProblem::with_file(path, format!("failed to read the configuration: {err}")),
        })?;
    if source.len() as u64 > MAX_FILE {
        return Err(ConfigProblem::with_file(
            path,
            format!("the configuration is larger than {} MiB", MAX_FILE >> 20),
        ));
    }
    Ok(source)
}

fn absolute_dir_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    absolute.parent().map_or_else(|| "/".into(), Path::to_path_buf)
}

impl ConfigReader<'_> {
    fn config(&mut self, file: ConfigFile) -> Config {
        let dir = absolute_dir_of(self.path);
        let default = Config::default();
        let mut destinations = Vec::new();
        let mut lightstep_api = None;
        if let Some(lightstep) = file.lightstep {
            let span = lightstep.span();
            lightstep_api = self.lightstep_api(lightstep.get_ref(), &dir);
            destinations.extend(self.lightstep(lightstep.into_inner(), span, &dir));
        }
        for file in file.destination {
            let name = file.name.clone();
            let Some(destination) = self.destination(file, &dir) else { continue };
            if destinations.iter().any(|other: &Destination| other.name == destination.name) {
                let message =
                    format!("two destinations are named `{}`; give each its own name", destination.name);
                self.complain(&name, message);
            }
            destinations.push(destination);
        }
        if let Some(merge_at) = file.spool.merge_at.as_ref().filter(|merge_at| *merge_at.get_ref() < 2) {
            self.complain(
                merge_at,
                "`merge_at` must be 2 or more; it is the number of small files to merge into one",
            );
        }
        let public_url = file.public_url.and_then(|url| Some(Spanned::new(url.span(), self.url(&url)?)));
        let environments = file.environments.map(|names| self.environments(&names));
        let limits = Limits::default();
        let spool = SpoolCap::default();
        let delivery = Delivery::default();
        Config {
            path: Some(std::path::absolute(self.path).unwrap_or_else(|_| self.path.into())),
            state_dir: file.state_dir.map_or(default.state_dir, |state| dir.join(state)),
            trust: {
                let (has_api, has_keys) = (file.gitea.is_some(), !file.signatures.keys.is_empty());
                file.trust.into_iter().map(|rule| self.trust(rule, has_api, has_keys)).collect()
            },
            gitea: file.gitea.map(|gitea| self.gitea(gitea, public_url.as_ref(), &dir)),
            public_url: public_url.map(Spanned::into_inner),
            environments: environments.clone(),
            destinations,
            lightstep_api,
            scripts: match file.policy.scripts {
                Some(scripts) => Some(dir.join(scripts)),
                None => self.default_scripts(&dir),
            },
            limits: Limits {
                operations: file.policy.limits.operations.unwrap_or(limits.operations),
                time: file.policy.limits.time.map_or(limits.time, |text| text.0),
                memory: file.policy.limits.memory.map_or(limits.memory, |text| self.memory(&text)),
            },
            services: file
                .service
                .into_iter()
                .filter_map(|service| self.service(service, environments.as_deref()))
                .collect(),
            namespace: file.namespace.and_then(|text| self.namespace(&text)).unwrap_or_default(),
            repository_services: file
                .policy
                .repository_services
                .iter()
                .map(|pattern| pattern.to_lowercase())
                .collect(),
            no_services: file
                .policy
                .no_services
                .map(|words| words.iter().map(|word| word.to_ascii_lowercase()).collect()),
            backfill_after: file.policy.backfill_after.map_or(default.backfill_after, |text| text.0),
            tickets: file.tickets.map(|keys| self.tickets(keys)),
            redaction: self.redaction(&file.redact.patterns),
            emails: file.people.emails.unwrap_or_default(),
            signature_keys: self.signature_keys(&file.signatures.keys, &dir),
            spool: SpoolCap {
                files: file.spool.files.unwrap_or(spool.files),
                bytes: file.spool.bytes.map_or(spool.bytes, |text| text.0),
            },
            journal: Retention {
                keep: file.journal.keep.map(|text| text.0),
                max_size: file.journal.max_size.map(|text| text.0),
            },
            merge_at: file.spool.merge_at.map_or(default.merge_at, Spanned::into_inner),
            delivery: Delivery {
                mode: file.delivery.mode.unwrap_or(delivery.mode),
                timeout: file.delivery.timeout.map_or(delivery.timeout, |text| text.0),
                linger: file.delivery.linger.map_or(delivery.linger, |text| text.0),
                give_up_after: file.delivery.give_up_after.map_or(delivery.give_up_after, |text| text.0),
            },
            older_than: file.status.older_than.map_or(default.older_than, |text| text.0),
            reply: Reply {
                to_pusher: file.reply.to_pusher.unwrap_or_default(),
                trace_link: file.reply.trace_link.map(|link| {
                    if !link.get_ref().contains("{trace_id}") {
                        self.complain(&link, "a trace link must contain `{trace_id}`");
                    }
                    link.into_inner()
                }),
            },
        }
    }

    fn redaction(&mut self, patterns: &[Spanned<String>]) -> Redaction {
        let mut redaction = Redaction::default();
        if let Some(pattern) = patterns.get(MAX_PATTERNS) {
            self.complain(
                pattern,
                format!("`patterns` has more than {MAX_PATTERNS} entries; join some with `|`"),
            );
        }
        for pattern in patterns.iter().take(MAX_PATTERNS) {
            if let Err(flaw) = redaction.add(pattern.get_ref()) {
                self.complain(pattern, flaw);
            }
        }
        redaction
    }

    /// Resolves the closed list of environments.
    fn environments(&mut self, names: &Spanned<Vec<Spanned<String>>>) -> Vec<String> {
        if names.get_ref().is_empty() {
            self.complain(
                names,
                "`environments` is empty, so nothing could be deployed; name the environments, or remove the key \
                 to allow any",
            );
        }
        for name in names.get_ref().iter().filter(|name| name.get_ref().trim().is_empty()) {
            self.complain(name, "an environment needs a name");
        }
        names.get_ref().iter().map(|name| name.get_ref().trim().to_string()).collect()
    }

    /// Resolves the patterns of the key files. The files are read when a script asks for a signature.
    fn signature_keys(&mut self, patterns: &[Spanned<String>], dir: &Path) -> Vec<PathBuf> {
        for pattern in patterns {
            if let Some(why) = pattern_flaw(Path::new(pattern.get_ref())) {
                self.complain(pattern, why);
            }
        }
        patterns.iter().map(|pattern| dir.join(pattern.get_ref())).collect()
    }

    fn memory(&mut self, text: &Spanned<SizeText>) -> u64 {
        let bytes = text.get_ref().0;
        if bytes < Limits::LEAST_MEMORY {
            let least = size_text(Limits::LEAST_MEMORY);
            let message = format!("`memory` is {}, but a script needs at least {least}", size_text(bytes));
            self.complain(text, message);
        }
        bytes
    }

    /// Returns the `scripts` directory beside the file, if it exists. If the system cannot tell,
    /// reports a problem, because pushes must not be decided without the site's scripts.
    fn default_scripts(&mut self, dir: &Path) -> Option<PathBuf> {
        let scripts = dir.join("scripts");
        let found = fault::point(Step::Open, &scripts).and_then(|()| scripts.metadata());
        match found {
            Ok(found) => found.is_dir().then_some(scripts),
            Err(err) if err.kind() == io::ErrorKind::NotFound && scripts.symlink_metadata().is_err() => None,
            Err(err) => {
                let what = format!("failed to look for the scripts in `{}`: {err}", scripts.display());
                self.problems.push(ConfigProblem::with_file(self.path, what));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
