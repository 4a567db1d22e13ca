//! What waits, for how long, and who holds it.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _};

use super::report::Check;
use crate::{
    config::{self, Config},
    state::{
        State, StateError,
        queue::{Entry, Place},
    },
    text,
    time::Timestamp,
};

/// Looks for what has waited too long, for dead letters, and for a delivery that holds a lock and does not get on.
///
/// # Errors
/// If the state directory cannot be read.
pub fn spool(config: &Config, state: &State, now: Timestamp) -> Result<Check, StateError> {
    let mut waiting = 0;
    let mut dead = 0;
    let mut oldest: BTreeMap<String, Entry> = BTreeMap::new();
    state.each_entry(&[Place::Inbox, Place::Outbox, Place::Dead], |entry| {
        if entry.place == Place::Dead {
            dead += 1;
            return Ok::<_, StateError>(());
        }
        waiting += 1;
        let is_older = oldest.get(&entry.from).is_none_or(|oldest| entry.time() < oldest.time());
        if entry.time().is_some() && is_older {
            oldest.insert(entry.from.clone(), entry);
        }
        Ok(())
    })?;
    let mut check = Check::new("spool").saw(format!(
        "{} waiting, {}",
        text::count(waiting, "file"),
        text::count(dead, "dead letter")
    ));
    let limit = now.checked_sub(config.older_than).unwrap_or(Timestamp::MIN);
    for oldest in oldest.values() {
        let Some(time) = oldest.time() else { continue };
        if time < limit {
            too_old(oldest, time, config, state, &mut check);
        } else if time > now {
            check.found(
                format!("{} is from the future, {}: the clock was set back", oldest.id(), minute(time)),
                "let the machine's clock follow a time server; markers bear the time of their push",
            );
        }
    }
    if dead > 0 {
        check.found(
            format!("there are {}: a destination refused them for good, or they cannot be read", text::count(dead, "dead letter")),
            "`gitea-lightstep queue list --dead` says why; once that is mended, `gitea-lightstep queue retry --all`",
        );
    }
    Ok(check)
}

fn too_old(oldest: &Entry, time: Timestamp, config: &Config, state: &State, check: &mut Check) {
    let from = text::line(&oldest.from);
    let what = format!(
        "{} in `{from}` waits since {}, longer than {}",
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
                "`ps -fp {process}` says what it is; if it hangs, `kill {process}`: its lock goes with it"
            ),
        ),
        None if has_destination => check.found(
            what,
            "`gitea-lightstep status` says what was answered last, `gitea-lightstep deliver` tries now",
        ),
        None => check.found(
            format!("{what}, and no destination of that name is configured"),
            format!(
                "configure it again, or `gitea-lightstep queue list --destination {from}` and `queue drop`"
            ),
        ),
    }
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// Returns the process that holds the lock of an outbox, as the system lists locks (proc_locks(5)).
fn holder(state: &State, destination: &str) -> Option<u32> {
    let lock = fs::metadata(state.outbox(destination).lock_path()).ok()?;
    holder_of(&fs::read_to_string("/proc/locks").ok()?, lock.dev(), lock.ino())
}

/// Finds who holds a `flock` of the file with this device and inode: `1: FLOCK  ADVISORY  WRITE 734 08:01:1572 0 EOF`.
fn holder_of(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| match *line.split_ascii_whitespace().collect::<Vec<_>>() {
        [_, "FLOCK", _, _, process, locked, ..] if locked == file => process.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_in_the_systems_list() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:1572 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 734 fe:00:1572 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 735 fe:00:1572 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 9 fe:01:1572 0 EOF\n";
        let device = rustix::fs::makedev(0xfe, 0);
        assert_eq!(holder_of(locks, device, 1572), Some(734));
        assert_eq!(holder_of(locks, device, 1573), None);
        assert_eq!(holder_of(locks, rustix::fs::makedev(0xfe, 1), 1572), Some(9));
        assert_eq!(holder_of("garbage\n1:\n", device, 1572), None);
    }
}
