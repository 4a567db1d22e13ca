//! Checks that the secrets and certificates of the configuration can be read, also by the hook.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use super::{Findings, endpoints};
use crate::{
    config::{Config, Destination, LIGHTSTEP, why_denied},
    delivery,
    install::RunUser,
    secret::SecretSource,
    text::{self, Hinted},
};

impl Findings {
    /// Reads each secret, as a delivery does.
    pub(super) fn secrets(&mut self, config: &Config) {
        for destination in &config.destinations {
            for (what, source) in destination.secrets() {
                match source.read(config.delivery.timeout) {
                    Ok(secret) if endpoints::is_percent_encoded(secret.expose()) => {
                        self.warnings.push(endpoints::percent_encoded(&destination.name, what));
                    }
                    Ok(_) => {}
                    Err(err) => {
                        let subject = format!(
                            "destination `{}`: failed to read the secret for `{what}`",
                            destination.name
                        );
                        let problem =
                            self.in_config(&keys(destination, what), unread(&subject, source, &err));
                        self.problems.push(problem);
                    }
                }
            }
        }
        if let Some(api) = &config.lightstep_api
            && let Err(err) = api.key.read(config.delivery.timeout)
        {
            let why = unread("[lightstep]: failed to read the `api_key`", &api.key, &err);
            self.problems.push(self.in_config(&["lightstep", "api_key"], why));
        }
        if let Some(gitea) = &config.gitea
            && let Err(err) = gitea.token.read(config.delivery.timeout)
        {
            let why = unread("[gitea]: failed to read the `token`", &gitea.token, &err);
            self.problems.push(self.in_config(&["gitea", "token"], why));
        }
        self.unreadable_by_hook(config);
    }

    /// Checks the certificates that destinations trust.
    pub(super) fn trusted(&mut self, config: &Config) {
        for destination in &config.destinations {
            if let Some(Err(err)) = destination.ca_file.as_deref().map(delivery::check_ca_file) {
                let message = format!("destination `{}`: `ca_file`: {}", destination.name, text::chain(&err));
                self.problems.push(self.in_config(&keys(destination, "ca_file"), message));
            }
        }
        let ca_file = config.gitea.as_ref().and_then(|gitea| gitea.ca_file.as_deref());
        if let Some(Err(err)) = ca_file.map(delivery::check_ca_file) {
            let message = format!("[gitea]: `ca_file`: {}", text::chain(&err));
            self.problems.push(self.in_config(&["gitea", "ca_file"], message));
        }
    }

    /// Warns of files that root can read and the hook cannot. The owner of the state directory runs the
    /// hook.
    fn unreadable_by_hook(&mut self, config: &Config) {
        let Ok(state) = fs::metadata(&config.state_dir) else { return };
        if !geteuid().is_root() || state.uid() == 0 {
            return;
        }
        let hook = RunUser::with_ids(state.uid(), state.gid());
        let mut files: Vec<&Path> = config
            .secrets()
            .filter_map(|source| match source {
                SecretSource::File(path) => Some(path.as_path()),
                _ => None,
            })
            .chain(config.path.as_deref())
            .collect();
        files.dedup();
        for file in files {
            let Ok(at) = fs::metadata(file) else { continue };
            let bits = match () {
                () if at.uid() == hook.uid() => 0o400,
                () if at.gid() == hook.gid() => 0o040,
                () => 0o004,
            };
            if at.mode() & bits == 0 {
                self.warnings.push(format!(
                    "`{}` cannot be read by `{hook}`, the user that runs hooks; run `chgrp {} {2} && chmod g+r {2}`",
                    text::path(file),
                    hook.gid(),
                    text::shell(file)
                ));
            }
        }
    }
}

/// Returns the path of a destination's secret or setting in the configuration.
fn keys<'a>(destination: &'a Destination, what: &'a str) -> Vec<&'a str> {
    let is_secret = destination.secrets().any(|(name, _)| name == what);
    match (&*destination.name, destination.target.scripted()) {
        (LIGHTSTEP, _) if is_secret => vec!["lightstep", "token"],
        (LIGHTSTEP, _) => vec!["lightstep", what],
        (name, Some(http)) if http.secrets.contains_key(what) => vec!["destination", name, "secrets", what],
        (name, _) if is_secret => vec!["destination", name, "headers", what],
        (name, _) => vec!["destination", name, what],
    }
}

/// Explains why a secret cannot be read.
fn unread(subject: &str, source: &SecretSource, err: &std::io::Error) -> Hinted {
    let path: Option<&PathBuf> = match source {
        SecretSource::File(path) => Some(path),
        _ => None,
    };
    // Without a number, the error is our own, and says what to do.
    let is_denied = err.kind() == ErrorKind::PermissionDenied && err.raw_os_error().is_some();
    match path.filter(|_| is_denied) {
        Some(path) => {
            let Hinted { message, hint } = why_denied(path);
            Hinted { message: format!("{subject}: {message}"), hint }
        }
        None => format!("{subject} from {source}: {err}").into(),
    }
}
