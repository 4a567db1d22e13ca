//! Interrupts install.sh at every step. For each n, the n-th command of the script or the n-th
//! file operation of `install --system` kills it, interrupts it, or fails. The script's `PATH`
//! contains only a directory of shims, which count every command. The test uses a copy of the script
//! that does not set its own `PATH`, and a binary with fault points.
//!
//! After a signal or a failure, the previous state is restored. After a kill, each file is either old
//! or new, and the next run gives the same result as an uninterrupted one.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use crate::support::{
    Ran,
    host::{Host, Who, which},
    is_long,
    spool::faulty,
};

/// Commands that install.sh calls here. It cannot find any other command.
const COMMANDS: [&str; 3] = ["id", "sha256sum", "tr"];

/// Counts the commands and triggers the fault at the n-th one.
const SHIM: &str = r#"#!/bin/sh
read -r n <"$SHIMS/count"
n=$((n + 1))
echo $n >"$SHIMS/count"
if [ "$n" = "$AT" ]; then
    case $HOW in
        EIO*) exit 1 ;;
        kill) kill -KILL "$SCRIPT" && exit 1 ;;
        INT) kill -INT "$SCRIPT" ;;
        TERM)
            COMMAND "$@"
            status=$?
            kill -TERM "$SCRIPT"
            exit $status
            ;;
    esac
fi
exec COMMAND "$@"
"#;

/// All paths on the machine.
type Listing = BTreeMap<PathBuf, String>;

/// The run of install.sh that is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    FirstInstallation,
    Upgrade,
    Removal,
    Purge,
}

impl Task {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::FirstInstallation | Self::Upgrade => &[],
            Self::Removal => &["--uninstall"],
            Self::Purge => &["--uninstall", "--purge", "--yes"],
        }
    }
}

/// The place of a fault.
#[derive(Clone, Copy, Debug)]
enum At {
    Nowhere,
    /// The n-th command of the script.
    Command(usize),
    /// The n-th file operation of the binary.
    Step(usize),
}

/// A machine on which install.sh is interrupted.
struct Stopping {
    host: Host,
    who: Who,
    task: Task,
    /// The binary to install, and its SHA-256.
    binary: (String, String),
    before: Listing,
    after: Listing,
}

impl Stopping {
    /// Creates the machine, and records what an uninterrupted run does.
    fn new(task: Task) -> Self {
        let who = Who::everybody()[0];
        let host = Host::new();
        let open = |name: &str, text: &str| {
            host.sandbox.write(name, text);
            fs::set_permissions(host.sandbox.path(name), fs::Permissions::from_mode(0o777))
                .expect("permissions");
        };
        open("shims/count", "0\n");
        for name in COMMANDS {
            let command = format!("'{}'", which(name).display());
            open(&format!("shims/{name}"), &SHIM.replace("COMMAND", &command));
        }
        let real = host.linked(&faulty());
        let stand_in = |name: &str| {
            let path = host.stand_in_for(&real, &format!("{name}/gitea-lightstep"), name);
            let mut sha256sum = host.command(who, "sha256sum");
            let sum = host.sandbox.run(sha256sum.arg(&path), b"").succeeded().stdout[..64].to_uppercase();
            (path, sum)
        };
        let (one, two) = (stand_in("one"), stand_in("two"));
        host.script_with_callers_path("script/install.sh");
        let mut stopping = Self {
            host,
            who,
            task: Task::FirstInstallation,
            binary: one,
            before: Listing::new(),
            after: Listing::new(),
        };
        if task != Task::FirstInstallation {
            stopping.run(At::Nowhere, "").0.succeeded();
            stopping.binary = two;
            stopping.task = task;
        }
        stopping.host.save("before");
        stopping.before = stopping.host.listing(false);
        stopping.run(At::Nowhere, "").0.succeeded();
        stopping.after = stopping.host.listing(false);
        assert_ne!(stopping.before, stopping.after);
        stopping
    }

    /// Runs install.sh with this fault. Returns true if the fault occurred.
    fn run(&self, at: At, how: &str) -> (Ran, bool) {
        let shims = self.host.sandbox.path("shims");
        let report = self.host.sandbox.path("report");
        let _ = fs::remove_file(&report);
        fs::write(shims.join("count"), "0\n").expect("written");
        let mut command = self.host.command(self.who, "/bin/sh");
        command.args(["-c", "SCRIPT=$$; export SCRIPT; exec \"$@\"", "sh"]).arg(which("dash"));
        command.arg(self.host.sandbox.path("script/install.sh")).args(self.host.places());
        command.args(["--binary", &self.binary.0, "--sha256", &self.binary.1]);
        command.args(["--cron-dir", &self.host.text("srv/cron")]);
        command.args(self.task.options());
        command.env("PATH", &shims).env("SHIMS", &shims).env("HOW", how);
        match at {
            At::Nowhere => {}
            At::Command(nth) => {
                command.env("AT", nth.to_string());
            }
            At::Step(nth) => {
                let fault = match how.strip_suffix('+') {
                    Some(how) => format!("system:{how}@{nth}+"),
                    None => format!("system:{how}@{nth}"),
                };
                command.env("GITEA_LIGHTSTEP_FAULT", fault).env("GITEA_LIGHTSTEP_FAULT_REPORT", &report);
            }
        }
        let ran = self.host.sandbox.run(&mut command, b"");
        let count = fs::read_to_string(shims.join("count")).expect("the count");
        let has_occurred = match at {
            At::Nowhere => false,
            At::Command(nth) => count.trim().parse::<usize>().expect("a number") >= nth,
            At::Step(_) => report.exists(),
        };
        (ran, has_occurred)
    }

    /// Interrupts a run at each command and each step, alternating between `ways`, and calls `judge`
    /// on the result.
    fn at_each(&self, ways: &[&str], judge: impl Fn(&str, &Ran, &Listing)) {
        for (at, at_least) in [(At::Command as fn(usize) -> At, COMMANDS.len()), (At::Step, 8)] {
            for (nth, how) in (1..).zip(ways.iter().cycle()) {
                self.host.restore("before");
                let (ran, has_occurred) = self.run(at(nth), how);
                let what = format!("{how} at {:?}\n{}{}", at(nth), ran.stdout, ran.stderr);
                if !has_occurred {
                    assert!(nth > at_least, "{what}");
                    break;
                }
                judge(&what, &ran, &self.host.listing(false));
            }
        }
    }

    /// Asserts that the machine is unchanged.
    fn is_undone(&self, what: &str, ran: &Ran, listing: &Listing) {
        assert_eq!(difference(listing, &self.before), [""; 0], "{what}");
        assert_ne!(ran.code, Some(0), "{what}");
        assert_ne!(ran.stderr, "", "{what}");
    }

    fn killed(&self) {
        // Skip states that were already tested, because the next run does the same from them.
        let seen = RefCell::new(BTreeSet::new());
        self.at_each(&["kill"], |what, _, listing| {
            for (path, content) in listing {
                let is_old_or_new =
                    [&self.before, &self.after].iter().any(|state| state.get(path) == Some(content));
                let is_on_its_way = path.to_string_lossy().contains(".install-");
                assert!(is_old_or_new || is_on_its_way, "{what}: {}: {content}", path.display());
            }
            if seen.borrow_mut().insert(without_ids(listing)) {
                self.run(At::Nowhere, "").0.succeeded();
                assert_eq!(difference(&self.host.listing(false), &self.after), [""; 0], "{what}");
            }
        });
        assert!(seen.borrow().len() > 3, "{}", seen.borrow().len());
    }

    /// Interrupts the script at each command with one of these signals.
    fn stopped(&self, ways: &[&str]) {
        self.at_each(ways, |what, ran, listing| {
            if ran.code == Some(0) {
                // The signal came after the last step.
                assert_eq!(difference(listing, &self.after), [""; 0], "{what}");
            } else {
                let (signal, _) = what.split_once(' ').expect("the fault begins with a signal name");
                let status = if signal == "TERM" { 143 } else { 130 };
                assert_eq!(ran.code, Some(status), "{what}");
                assert!(ran.stderr.contains(&format!("stopped by SIG{signal} while trying to ")), "{what}");
                self.is_undone(what, ran, listing);
            }
        });
    }

    fn failing(&self, ways: &[&str]) {
        self.at_each(ways, |what, ran, listing| {
            let missing = difference(listing, &self.after);
            if ran.code == Some(0) {
                // Without a hard link the file is copied, and a file that cannot be compared is
                // written again.
                assert_eq!(missing, [""; 0], "{what}");
            } else if ran.stderr.contains("or run this again") {
                // The changes are complete, but a replaced file could not be removed.
                assert_eq!(ran.code, Some(1), "{what}");
                self.run(At::Nowhere, "").0.succeeded();
                assert_eq!(difference(&self.host.listing(false), &self.after), [""; 0], "{what}");
            } else {
                assert_eq!(ran.code, Some(1), "{what}");
                self.is_undone(what, ran, listing);
            }
        });
    }
}

/// Returns the listing without the process IDs in the names of temporary files.
fn without_ids(listing: &Listing) -> Vec<(String, String)> {
    let settled = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.split_once(".install-").map_or(path.to_string(), |(name, rest)| {
            format!("{name}.install-{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        })
    };
    listing.iter().map(|(path, content)| (settled(path), content.clone())).collect()
}

/// Returns the paths that differ between two machines.
fn difference(one: &Listing, other: &Listing) -> Vec<String> {
    let paths = one.keys().chain(other.keys().filter(|path| !one.contains_key(*path)));
    paths.filter(|path| one.get(*path) != other.get(*path)).map(|path| path.display().to_string()).collect()
}

#[test]
fn killed_first_installation_is_completed_by_the_next_run() {
    Stopping::new(Task::FirstInstallation).killed();
}

#[test]
fn killed_upgrade_is_completed_by_the_next_run() {
    Stopping::new(Task::Upgrade).killed();
}

#[test]
fn interrupted_first_installation_is_rolled_back() {
    stopped_in_turns(&Stopping::new(Task::FirstInstallation));
}

#[test]
fn interrupted_upgrade_is_rolled_back() {
    stopped_in_turns(&Stopping::new(Task::Upgrade));
}

/// Alternates between the two signals, which take the same path through the script. The long run
/// sends both at each command.
fn stopped_in_turns(stopping: &Stopping) {
    stopping.stopped(&["TERM", "INT"]);
    if is_long() {
        stopping.stopped(&["INT", "TERM"]);
    }
}

#[test]
fn failed_first_installation_is_rolled_back() {
    Stopping::new(Task::FirstInstallation).failing(&["EIO"]);
}

#[test]
fn failed_upgrade_is_rolled_back() {
    Stopping::new(Task::Upgrade).failing(&["EIO"]);
}

#[test]
fn killed_removal_is_completed_by_the_next_run() {
    Stopping::new(Task::Removal).killed();
}

#[test]
fn killed_purge_is_completed_by_the_next_run() {
    Stopping::new(Task::Purge).killed();
}

#[test]
fn interrupted_removal_is_rolled_back() {
    stopped_in_turns(&Stopping::new(Task::Removal));
}

#[test]
fn failed_removal_is_rolled_back() {
    Stopping::new(Task::Removal).failing(&["EIO"]);
}

#[test]
fn upgrade_on_a_disk_that_stops_working_is_rolled_back() {
    Stopping::new(Task::Upgrade).failing(&["EIO+"]);
}
