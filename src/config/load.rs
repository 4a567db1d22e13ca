//! From the file to the config: finding it, reading it, and saying everything that is wrong with it.

use std::{
    collections::HashSet,
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    file::{ConfigFile, DestinationFile, HeaderFile, LightstepFile, Region},
    meant::{
        Config, DEFAULT_STATE_DIR, Delivery, Destination, HeaderValue, Limits, Reply, ServiceRule, SpoolCap,
    },
    problem::Problem,
    units::{SizeText, size_text},
};

/// The environment variable that names the file.
pub const VARIABLE: &str = "GITEA_LIGHTSTEP_CONFIG";

/// The last place that is looked at.
const SYSTEM_FILE: &str = "/etc/gitea-lightstep/config.toml";

/// How large the file may be, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How long a destination's name may be: it is the name of a directory.
const MAX_NAME: usize = 64;

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
    fs::File::open(path)
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
struct Reading<'a> {
    path: &'a Path,
    source: &'a str,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn config(&mut self, file: ConfigFile) -> Config {
        let dir = absolute_dir_of(self.path);
        let default = Config::default();
        let mut destinations = Vec::new();
        if let Some(lightstep) = file.lightstep {
            let span = lightstep.span();
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
            scripts: match file.policy.scripts {
                Some(scripts) => Some(dir.join(scripts)),
                None => Some(dir.join("scripts")).filter(|scripts| scripts.is_dir()),
            },
            limits: Limits {
                operations: file.policy.limits.operations.unwrap_or(limits.operations),
                time: file.policy.limits.time.map_or(limits.time, |text| text.0),
                memory: file.policy.limits.memory.map_or(limits.memory, |text| self.memory(&text)),
            },
            services: file
                .service
                .into_iter()
                .map(|rule| {
                    if rule.name.get_ref().trim().is_empty() {
                        self.complain(&rule.name, "a service needs a name");
                    }
                    ServiceRule {
                        line: self.line(rule.name.span().start),
                        repository: rule.repository.to_lowercase(),
                        paths: rule.paths,
                        name: rule.name.into_inner(),
                    }
                })
                .collect(),
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

    /// The preset: hosts, paths and header from reference/lightstep.md, section 1d.
    fn lightstep(
        &mut self,
        file: LightstepFile,
        span: std::ops::Range<usize>,
        dir: &Path,
    ) -> Option<Destination> {
        let endpoint = match (&file.region, &file.endpoint) {
            (Some(_), Some(endpoint)) => {
                self.complain(endpoint, "`region` and `endpoint` exclude each other; keep one");
                return None;
            }
            (_, Some(endpoint)) => self.url(endpoint)?,
            (Some(region), None) => Self::host(*region.get_ref()).to_string(),
            (None, None) => Self::host(Region::Us).to_string(),
        };
        if endpoint.starts_with("http://") && !is_loopback(&endpoint) {
            let message = "the access token would cross the network in the clear; use https://";
            self.problems.push(Problem::at(self.path, self.source, span.clone(), message));
        }
        let Some(token) = file.token else {
            let message =
                "[lightstep] needs the project's access token, such as `token = { file = \"/etc/...\" }`";
            self.problems.push(Problem::at(self.path, self.source, span, message));
            return None;
        };
        let token = HeaderValue::Secret(token.relative_to(dir));
        Some(Destination {
            name: "lightstep".into(),
            logs_url: format!("{endpoint}/v1/logs"),
            traces_url: format!("{endpoint}/v1/traces"),
            headers: vec![("lightstep-access-token".into(), token)],
            protocol: file.protocol.unwrap_or_default(),
            compression: file.compression.unwrap_or_default(),
            spans: file.spans.unwrap_or_default(),
        })
    }

    fn host(region: Region) -> &'static str {
        match region {
            Region::Us => "https://ingest.lightstep.com:443",
            Region::Eu => "https://ingest.eu.lightstep.com:443",
        }
    }

    fn destination(&mut self, file: DestinationFile, dir: &Path) -> Option<Destination> {
        let name = file.name.get_ref();
        let is_name = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if !is_name || [UNASSIGNED, INBOX].contains(&name.as_str()) {
            self.complain(
                &file.name,
                &format!(
                    "a destination's name has 1 to {MAX_NAME} of a-z, 0-9, `-` and `_`, \
                     and is neither `{UNASSIGNED}` nor `{INBOX}`"
                ),
            );
        }
        let endpoint = self.url(&file.endpoint)?;
        let mut headers = Vec::new();
        for (key, value) in file.headers {
            let is_token = !key.get_ref().is_empty()
                && key
                    .get_ref()
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            if !is_token {
                self.complain(&key, "a header's name has letters, digits and `-` only");
            }
            let value = match value {
                HeaderFile::Text(text) => HeaderValue::Text(text),
                HeaderFile::Secret(source) => HeaderValue::Secret(source.relative_to(dir)),
            };
            headers.push((key.into_inner().to_lowercase(), value));
        }
        Some(Destination {
            name: file.name.into_inner(),
            logs_url: format!("{endpoint}/v1/logs"),
            traces_url: format!("{endpoint}/v1/traces"),
            headers,
            protocol: file.protocol.unwrap_or_default(),
            compression: file.compression.unwrap_or_default(),
            spans: file.spans.unwrap_or_default(),
        })
    }

    /// Checks an address and drops the slashes at its end.
    fn url(&mut self, url: &Spanned<String>) -> Option<String> {
        let text = url.get_ref();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_url = rest.is_some_and(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty()
                && !host.contains('@')
                && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>".contains(&b))
        });
        if !is_url {
            self.complain(
                url,
                "expected an address such as \"https://host:4318\", without user, query or fragment",
            );
            return None;
        }
        Some(text.trim_end_matches('/').to_string())
    }

    /// Returns the line, from 1 on, of a byte of the file.
    fn line(&self, at: usize) -> usize {
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

    fn complain<T>(&mut self, at: &Spanned<T>, message: &str) {
        self.problems.push(Problem::at(self.path, self.source, at.span(), message));
    }
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.trim_start_matches("http://").split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || endpoint.starts_with("http://[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightstep(more: &str) -> Destination {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        fs::write(&path, format!("[lightstep]\ntoken = {{ env = \"T\" }}\n{more}")).expect("written");
        load(Some(&path)).expect("valid").destinations.remove(0)
    }

    #[test]
    fn the_preset_knows_lightsteps_hosts() {
        let urls = |more| {
            let destination = lightstep(more);
            [destination.logs_url, destination.traces_url]
        };
        let us = ["https://ingest.lightstep.com:443/v1/logs", "https://ingest.lightstep.com:443/v1/traces"];
        let eu =
            ["https://ingest.eu.lightstep.com:443/v1/logs", "https://ingest.eu.lightstep.com:443/v1/traces"];
        assert_eq!(urls(""), us);
        assert_eq!(urls("region = \"us\"\n"), us);
        assert_eq!(urls("region = \"eu\"\n"), eu);
        assert_eq!(
            urls("endpoint = \"https://satellite.example.com/base/\"\n")[0],
            "https://satellite.example.com/base/v1/logs"
        );
        assert_eq!(lightstep("").headers[0].0, "lightstep-access-token");
    }

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
