//! Checks the backlog: its size, its age, and the processes that hold its locks.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use super::report::Check;
use crate::{
    config::{self, Config},
    proposal::{self, command},
    state::{
        State, StateError, Strays,
        journal_check::Verification,
        queue::{QueueEntry, QueuePlace},
    },
    sys::time::Timestamp,
    text,
};

/// Map keys for the two kinds of captured pushes that were not decided.
const FAILED: &str = "failed";
const POSTPONED: &str = "postponed";

/// Reports entries that have waited too long, dead letters, and a delivery that holds a lock
/// without making progress.
///
/// # Errors
/// If the state directory cannot be read.
pub fn spool(config: &Config, state: &State, now: Timestamp) -> Result<Check, StateError> {
    let mut waiting = 0;
    let (mut dead, mut failed, mut postponed) = (0, 0, 0);
    let mut newest: BTreeMap<&'static str, QueueEntry> = BTreeMap::new();
    let mut oldest: BTreeMap<String, (Timestamp, QueueEntry)> = BTreeMap::new();
    state.each_entry(&QueuePlace::ALL, |entry| {
        if entry.place == QueuePlace::Dead {
            dead += 1;
            return Ok::<_, StateError>(());
        }
        if entry.place == QueuePlace::Failed {
            failed += 1;
            newest.insert(FAILED, entry);
            return Ok(());
        }
        if entry.place == QueuePlace::Inbox && state.reason(&entry).is_some() {
            postponed += 1;
            newest.insert(POSTPONED, entry.clone());
        }
        waiting += 1;
        if let Some(time) = state.waits_since(&entry)
            && oldest.get(&entry.from).is_none_or(|(oldest, _)| time < *oldest)
        {
            oldest.insert(entry.from.clone(), (time, entry));
        }
        Ok(())
    })?;
    let mut check = Check::new("spool").saw(format!(
        "{} waiting, {}",
        text::count(waiting, "file"),
        text::count(dead, "dead letter")
    ));
    let limit = now.checked_sub(config.older_than).unwrap_or(Timestamp::MIN);
    for (time, oldest) in oldest.values() {
        let time = *time;
        if time < limit {
            too_old(oldest, time, config, state, &mut check);
        } else if time > now {
            check.found(
                format!("{} is from the future, {}: the clock was set back", oldest.id(), minute(time)),
                "synchronize the machine's clock with a time server; markers carry the time of their push",
            );
        }
    }
    let reason_of = |which| {
        let reason = newest.get(which).and_then(|entry| state.reason(entry));
        reason.map_or_else(|| "the reason cannot be read".into(), |reason| text::line(reason.why))
    };
    if failed > 0 {
        check.found(
            format!("the policy failed on {}: {}", text::count(failed, "push"), reason_of(FAILED)),
            format!(
                "fix the script, and the pushes are retried automatically; to retry now, run `{}`, then `{}`",
                command("queue retry --all"),
                command("deliver")
            ),
        );
    }
    if postponed > 0 {
        check.found(
            format!("{} could not be decided: {}", text::count(postponed, "push"), reason_of(POSTPONED)),
            format!(
                "fix the cause, and they are retried automatically, at most an hour later; `{}` retries now",
                command("deliver")
            ),
        );
    }
    if dead > 0 {
        check.found(
            format!(
                "{}, refused permanently by a destination or unreadable",
                text::count(dead, "dead letter")
            ),
            format!(
                "`{}` shows the reasons; fix them, then run `{}`",
                command("queue list --dead"),
                command("queue retry --all")
            ),
        );
    }
    if let Some(gap) = state.journal_gap() {
        let since = gap.since.map(|since| format!(" since {}", minute(since))).unwrap_or_default();
        check.found(
            format!("the journal cannot be written{since}: {}", text::line(&gap.why)),
            "let Gitea's user write there, or free disk space; the next delivery records in the journal that \
             lines are missing",
        );
    }
    // The checks of access report a journal that cannot be read.
    if let Ok(Verification { fault: Some(fault), .. }) = state.journal().verify_newest() {
        check.found(
            format!(
                "the journal does not verify: {} at line {} of `{}`: {}",
                fault.what.as_str(),
                fault.place.line,
                text::line(&fault.place.file),
                fault.why
            ),
            format!("keep a copy of it and run `{}`, which checks all of it", command("log --verify")),
        );
    }
    if let Some(Strays { state, captures, others }) = Strays::find(config) {
        check.found(
            format!(
                "{} in `{}`, used by hooks that cannot read the configuration and do not name the state \
                 directory",
                text::count(captures + others, "file"),
                text::path(state.dir())
            ),
            format!(
                "run `{}` to take over captured pushes, and `{}` to write the state directory into the hooks",
                command("deliver"),
                command("install")
            ),
        );
    }
    Ok(check)
}

fn too_old(oldest: &QueueEntry, time: Timestamp, config: &Config, state: &State, check: &mut Check) {
    let from = text::line(&oldest.from);
    let what = format!(
        "{} in `{from}` has waited since {}, longer than {}",
        oldest.id(),
        minute(time),
        config::duration_text(config.older_than)
    );
    let has_destination =
        oldest.is_capture() || config.destinations.iter().any(|destination| destination.name == oldest.from);
    match holder(state, &oldest.from) {
        Some(process) => check.found(
            format!("{what}, and the process {process} holds the lock"),
            format!(
                "`ps -fp {process}` shows it; if it hangs, `{}` ends it and releases the lock",
                proposal::on_file(&PathBuf::from(format!("/proc/{process}")), &format!("kill {process}"))
            ),
        ),
        None if has_destination => check.found(
            what,
            format!("`{}` shows the last error; `{}` retries now", command("status"), command("deliver")),
        ),
        None => check.found(
            format!("{what}, and no destination of that name is configured"),
            format!(
                "configure it again, or list what waits for it with `{}` and drop each by its id, this one with `{}`",
                command(&format!("queue list --destination={}", text::word(&from))),
                command(&format!("queue drop {}", oldest.id()))
            ),
        ),
    }
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// Returns the ID of the process that holds an outbox's lock, from the kernel's list of locks
/// (proc_locks(5)).
fn holder(state: &State, destination: &str) -> Option<u32> {
    let lock = fs::metadata(state.outbox(destination).lock_path()).ok()?;
    holder_of(&fs::read_to_string("/proc/locks").ok()?, lock.dev(), lock.ino())
}

/// Finds the holder of a `flock` on the file with this device and inode. A line of the list looks
/// like `1: FLOCK  ADVISORY  WRITE 734 08:01:1572 0 EOF`.
fn holder_of(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| match *line.split_ascii_whitespace().collect::<Vec<_>>() {
        [_, "FLOCK", _, _, process, locked, ..] if locked == file => process.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
