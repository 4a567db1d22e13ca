//! From the file to the config: finding it, reading it, and saying everything that is wrong with it.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    file::ConfigFile,
    meant::{Config, DEFAULT_STATE_DIR, Delivery, Limits, Reply, SpoolCap},
    problem::Problem,
    units::{SizeText, size_text},
};
use crate::regular;

/// The environment variable that names the file.
pub const VARIABLE: &str = "GITEA_LIGHTSTEP_CONFIG";

/// The last place that is looked at.
const SYSTEM_FILE: &str = "/etc/gitea-lightstep/config.toml";

/// How large the file may be, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The outbox of markers that were made before there was a destination.
pub const UNASSIGNED: &str = "unassigned";

/// What a dead letter that was no destination's is said to be from.
pub const INBOX: &str = "inbox";

/// Why there is no config: every problem of the file.
#[derive(Debug)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Returns the problems in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Returns the file that holds the configuration: the one that was named, else
/// `$GITEA_LIGHTSTEP_CONFIG`, `config.toml` beside the binary, `/etc/gitea-lightstep/config.toml`.
pub fn find(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.into());
    }
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let beside = std::env::current_exe().ok().map(|binary| binary.with_file_name("config.toml"));
    beside.into_iter().chain([PathBuf::from(SYSTEM_FILE)]).find(|path| path.is_file())
}

/// Reads the configuration at `path`; no path is the default configuration.
///
/// # Errors
/// If the file cannot be read, or with everything that is wrong with it.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let Some(path) = path else {
        return Ok(Config::default());
    };
    let source = read(path).map_err(|problem| ConfigError { problems: vec![problem] })?;
    let file: ConfigFile = toml::from_str(&source)
        .map_err(|err| ConfigError { problems: vec![Problem::from_toml(path, &source, &err)] })?;
    let mut reading = Reading { path, source: &source, problems: Vec::new() };
    let config = reading.config(file);
    if reading.problems.is_empty() { Ok(config) } else { Err(ConfigError { problems: reading.problems }) }
}

/// Returns the state directory that a broken file names, as far as that can be made out: a push is
/// captured and a journal kept even then.
pub fn state_dir_of_broken(path: Option<&Path>) -> PathBuf {
    #[derive(Deserialize)]
    struct OnlyStateDir {
        state_dir: PathBuf,
    }
    let named = path.and_then(|path| {
        let source = read(path).ok()?;
        let dir = toml::from_str::<OnlyStateDir>(&source)
            .ok()
            .or_else(|| source.lines().find_map(|line| toml::from_str::<OnlyStateDir>(line).ok()))?;
        Some(absolute_dir_of(path).join(dir.state_dir))
    });
    named.unwrap_or_else(|| DEFAULT_STATE_DIR.into())
}

fn read(path: &Path) -> Result<String, Problem> {
    use std::io::Read as _;
    let mut source = String::new();
    regular::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut source))
        .map_err(|err| Problem::with_file(path, format!("failed to read the configuration: {err}")))?;
    if source.len() as u64 > MAX_FILE {
        return Err(Problem::with_file(
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

/// One file on its way to a config, with the problems found so far.
pub(super) struct Reading<'a> {
    pub path: &'a Path,
    pub source: &'a str,
    pub problems: Vec<Problem>,
}

impl Reading<'_> {
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
        for destination in file.destination {
            destinations.extend(self.destination(destination, &dir));
        }
        let mut seen = HashSet::new();
        for destination in &destinations {
            if !seen.insert(destination.name.clone()) {
                let message =
                    format!("two destinations are named `{}`; give each its own name", destination.name);
                self.problems.push(Problem::with_file(self.path, message));
            }
        }
        if let Some(merge_at) = file.spool.merge_at.as_ref().filter(|merge_at| *merge_at.get_ref() < 2) {
            self.complain(merge_at, "`merge_at` must be 2 or more: so many small files become one");
        }
        let limits = Limits::default();
        let spool = SpoolCap::default();
        let delivery = Delivery::default();
        Config {
            path: Some(std::path::absolute(self.path).unwrap_or_else(|_| self.path.into())),
            state_dir: file.state_dir.map_or(default.state_dir, |state| dir.join(state)),
            public_url: file.public_url.and_then(|url| self.url(&url)),
            destinations,
            lightstep_api,
            scripts: match file.policy.scripts {
                Some(scripts) => Some(dir.join(scripts)),
                None => Some(dir.join("scripts")).filter(|scripts| scripts.is_dir()),
            },
            limits: Limits {
                operations: file.policy.limits.operations.unwrap_or(limits.operations),
                time: file.policy.limits.time.map_or(limits.time, |text| text.0),
                memory: file.policy.limits.memory.map_or(limits.memory, |text| self.memory(&text)),
            },
            services: file.service.into_iter().filter_map(|service| self.service(service)).collect(),
            repository_services: file
                .policy
                .repository_services
                .iter()
                .map(|pattern| pattern.to_lowercase())
                .collect(),
            emails: file.people.emails.unwrap_or_default(),
            spool: SpoolCap {
                files: file.spool.files.unwrap_or(spool.files),
                bytes: file.spool.bytes.map_or(spool.bytes, |text| text.0),
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
                        self.complain(&link, "a trace link needs `{trace_id}` in it");
                    }
                    link.into_inner()
                }),
            },
        }
    }

    /// Returns the line, from 1 on, of a byte of the file.
    pub fn line(&self, at: usize) -> usize {
        self.source.get(..at).unwrap_or_default().matches('\n').count() + 1
    }

    fn memory(&mut self, text: &Spanned<SizeText>) -> u64 {
        let bytes = text.get_ref().0;
        if bytes < Limits::LEAST_MEMORY {
            let least = size_text(Limits::LEAST_MEMORY);
            let message = format!("`memory` is {}, but a script needs {least} or more", size_text(bytes));
            self.complain(text, &message);
        }
        bytes
    }

    pub fn complain<T>(&mut self, at: &Spanned<T>, message: &str) {
        self.problems.push(Problem::at(self.path, self.source, at.span(), message));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_state_directory_of_a_broken_file_is_found_if_its_line_is_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        for (content, expected) in [
            ("state_dir = \"here\"\nnonsense", dir.path().join("here")),
            ("[unclosed\nstate_dir = \"/there\" # so", "/there".into()),
            ("state_dir = 7", DEFAULT_STATE_DIR.into()),
        ] {
            fs::write(&path, content).expect("written");
            assert_eq!(state_dir_of_broken(Some(&path)), expected, "{content}");
        }
        assert_eq!(state_dir_of_broken(None), Path::new(DEFAULT_STATE_DIR));
    }
}
