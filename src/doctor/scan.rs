//! Checks that the timer scans the repositories for ref changes that no hook saw.

use std::time::Duration;

use super::report::Check;
use crate::{
    proposal::command,
    state::{LastScan, State},
    sys::time::Timestamp,
    text,
};

/// Minimum age of the first record of the journal before a scan is missed.
const SETTLED: Duration = Duration::from_secs(3600);

/// Reports that no scan of all repositories has run for some time, or that one failed on some
/// repositories.
pub fn scan(state: &State, now: Timestamp) -> Check {
    let mut check = Check::new("scan");
    let Some(last) = state.last_scan() else {
        let is_settled = state
            .journal()
            .begins()
            .is_some_and(|begin| now.checked_sub(SETTLED).is_ok_and(|limit| begin < limit));
        if state.has_scanned() || is_settled {
            check.found(
                "no scan of all repositories has run, so tags and releases made in Gitea's pages have no markers",
                run_it(),
            );
        }
        return check.saw("none yet");
    };
    if last.is_stale(now) {
        check.found(
            format!(
                "the last scan ended more than {} minutes ago, at {}",
                LastScan::MAX_AGE.as_secs() / 60,
                last.time.strftime("%Y-%m-%d %H:%M UTC")
            ),
            run_it(),
        );
    }
    if last.failed > 0 {
        check.found(
            format!("{} could not be scanned", text::count(last.failed, "repository")),
            format!("`{}` names each of them and the reason", command("scan")),
        );
    }
    check.saw(format!("{} at the last scan", text::count(last.repositories, "repository")))
}

fn run_it() -> String {
    format!(
        "`{}` scans them now, and shows what is wrong; the timer that install.sh sets up does that every minute, \
         in a container the timer of the host (docs/containers.md)",
        command("scan")
    )
}
