//! `hook --reference-transaction`: notices ref changes that no push brings, at once.
//!
//! git runs this hook for every transaction of refs, and waits for it. It must not fail, print or slow
//! the transaction down, so it only notes the repository and starts a scan in the background. The old
//! IDs that git passes are those that the caller expected, not those that the refs had, so only a scan
//! can tell what changed. A push has its own hook: git passes Gitea's variables on to both.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
};

use crate::{
    config, delivery,
    push::{Environment, GitDir, lines},
    state::{
        State,
        journal::{Record, Trouble},
    },
};

/// Handles a committed transaction. The exit status is always 0.
pub(super) fn run(config_path: Option<&Path>) -> ExitCode {
    let _ = panic::catch_unwind(AssertUnwindSafe(|| take(config_path)));
    ExitCode::SUCCESS
}

fn take(config_path: Option<&Path>) {
    let _ = lines::drain(io::stdin().lock());
    let env = Environment::of_process();
    if env.raw("GITEA_REPO_ID").is_some() {
        return;
    }
    let Ok(working_dir) = std::env::current_dir() else { return };
    let git_dir = GitDir::resolve(env.raw("GIT_DIR").as_deref(), &working_dir);
    // A broken configuration is reported by everything else.
    let Ok(config) = config::load(config::find(config_path).as_deref()) else { return };
    let state = State::at(&config.state_dir).for_hook();
    // Only a repository that was scanned before can be compared. Gitea's temporary clones never are.
    if !state.ref_snapshots().has(git_dir.as_path()) {
        return;
    }
    let started =
        state.wanted_scans().want(git_dir.as_path()).map_err(|err| err.to_string()).and_then(|is_new| {
            if is_new { delivery::detach_scan(&config).map_err(|err| err.to_string()) } else { Ok(()) }
        });
    if let Err(why) = started {
        state.journal().note([Record::Trouble(Trouble {
            push: None,
            repository: None,
            what: format!("a ref change waits for the next scan: {why}").into(),
        })]);
    }
}
