//! `install` and `uninstall` for single repositories, through Gitea's API.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{Ending, terminal::Terminal};
use crate::{
    install::{Api, ApiCame, ApiError, HookCommand},
    secret::SecretSource,
};

/// How long a token may take to be read, which a file never needs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct ThroughApiArgs {
    /// Use the Git Hooks API of the Gitea at URL, where there is no access to its files
    ///
    /// It has one slot a repository, is switched off unless app.ini has `[security] DISABLE_GIT_HOOKS = false`, and needs a token
    /// of somebody who may create Git Hooks.
    #[arg(long = "through-api", value_name = "URL", requires_all = ["repositories", "token_file"])]
    url: Option<String>,
    /// Read the token for --through-api from FILE
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
}

impl ThroughApiArgs {
    /// Returns the Gitea that is meant, if one is.
    pub fn api(&self) -> anyhow::Result<Option<Api>> {
        let (Some(url), Some(file)) = (&self.url, &self.token_file) else { return Ok(None) };
        let source = SecretSource::File(file.clone());
        let token =
            source.read(PATIENCE).with_context(|| format!("failed to read the token from {source}"))?;
        Ok(Some(Api::new(url, token)?))
    }
}

/// Acts on these repositories: with a command it is put in, without one it is taken out.
pub(super) fn run(
    api: &Api,
    repositories: &[(String, String)],
    command: Option<&HookCommand>,
    (is_dry, as_json): (bool, bool),
    terminal: &Terminal,
) -> anyhow::Result<Ending> {
    let mut ending = Ending::Done;
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
                ending = Ending::Found;
                terminal.message(format_args!("{repository}: {err}"));
            }
        }
    }
    if as_json {
        terminal.answer(json!({ "dry_run": is_dry, "repositories": told }))?;
    }
    Ok(ending)
}

fn words(came: ApiCame, is_put: bool, is_dry: bool) -> &'static str {
    match (came, is_put, is_dry) {
        (ApiCame::WasSo, true, _) => "the hook is there",
        (ApiCame::WasSo, false, _) => "there is no hook of ours",
        (ApiCame::IsSo, true, false) => "the hook is put in",
        (ApiCame::IsSo, true, true) => "the hook would be put in",
        (ApiCame::IsSo, false, false) => "the hook is taken out",
        (ApiCame::IsSo, false, true) => "the hook would be taken out",
    }
}
