//! `install` and `uninstall` for single repositories, through Gitea's API.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{Completion, terminal::Terminal};
use crate::{
    install::{Api, ApiCame, ApiError, HookCommand},
    secret::SecretSource,
};

/// Time limit for reading the token. Reading it from a file takes far less.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct ThroughApiArgs {
    /// Use the Git Hooks API of the Gitea at URL instead of its files
    ///
    /// The API has one slot per repository. It is disabled unless app.ini has `[security]
    /// DISABLE_GIT_HOOKS = false`, and needs the token of a user who may create Git Hooks.
    #[arg(long = "through-api", value_name = "URL", requires_all = ["repositories", "token_file"])]
    url: Option<String>,
    /// Read the token for --through-api from FILE
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Allow sending the token unencrypted to an http:// address
    #[arg(long, requires = "url")]
    insecure: bool,
}

impl ThroughApiArgs {
    /// Returns a client for the named Gitea, if one is named.
    pub fn api(&self) -> anyhow::Result<Option<Api>> {
        let (Some(url), Some(file)) = (&self.url, &self.token_file) else { return Ok(None) };
        let source = SecretSource::File(file.clone());
        let token =
            source.read(PATIENCE).with_context(|| format!("failed to read the token from {source}"))?;
        Ok(Some(Api::new(url, token, self.insecure)?))
    }
}

/// Installs the hook in these repositories, or removes it if `command` is `None`.
pub(super) fn run(
    api: &Api,
    repositories: &[(String, String)],
    command: Option<&HookCommand>,
    (is_dry, as_json): (bool, bool),
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    let mut ending = Completion::Done;
    let mut told = Vec::new();
    for (owner, name) in repositories {
        let came = match command {
            Some(command) => api.put(owner, name, command, !is_dry),
            None => api.take(owner, name, !is_dry),
        };
        let repository = format!("{owner}/{name}");
        if as_json {
            told.push(json!({
                "repository": repository,
                "changed": came.as_ref().ok().map(|came| *came == ApiCame::IsSo),
                "why": came.as_ref().err().map(ApiError::to_string),
            }));
        }
        match came {
            Ok(came) if !as_json => {
                terminal.say(format_args!("{repository}: {}", words(came, command.is_some(), is_dry)))?;
            }
            Ok(_) => {}
            Err(err) => {
                ending = Completion::Found;
                terminal.message(format_args!("{repository}: {err}"));
            }
        }
    }
    if as_json {
        terminal.json(json!({ "dry_run": is_dry, "repositories": told }))?;
    }
    Ok(ending)
}

fn words(came: ApiCame, is_put: bool, is_dry: bool) -> &'static str {
    match (came, is_put, is_dry) {
        (ApiCame::WasSo, true, _) => "the hook is already installed",
        (ApiCame::WasSo, false, _) => "our hook is not installed",
        (ApiCame::IsSo, true, false) => "the hook was installed",
        (ApiCame::IsSo, true, true) => "the hook would be installed",
        (ApiCame::IsSo, false, false) => "the hook was removed",
        (ApiCame::IsSo, false, true) => "the hook would be removed",
    }
}
