//! install.sh, stopped at every step. Each external command that it calls is counted by a shim, the first and only
//! directory of its PATH, so that none is left out; at the n-th one the script is killed, interrupted, or the command
//! fails, for every n.
//!
//! Whoever is told to stop, or meets a failure, puts everything back. Whoever is killed leaves each piece old or new, and
//! the next run leaves what an undisturbed one does.

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
    is_long, manifest_dir,
};

/// What install.sh calls here. What is not in this list, it does not find.
const COMMANDS: [&str; 20] = [
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cmp",
    "cp",
    "grep",
    "id",
    "ln",
    "mkdir",
    "mv",
    "rm",
    "rmdir",
    "runuser",
    "sed",
    "sh",
    "sha256sum",
    "stat",
    "tail",
    "tr",
];

/// What may fail without harm: what is the same is written once more, what cannot be linked is copied, and whether the
/// binary before took the configuration (asked as the run user), and where the state is, is not known then; who Gitea runs
/// as, the owner of the state tells too (`uninstall`, when it is only asked that).
const TOLERATED: [&str; 6] =
    ["cmp", "ln", "runuser", "gitea-lightstep check", "gitea-lightstep status", "gitea-lightstep uninstall"];

/// Counts, and does at the n-th command what it was told to. Of the user that Gitea runs as, it cannot kill what belongs
/// to root.
const SHIM: &str = r#"#!/bin/sh
read -r n <"$SHIMS/count"
n=$((n + 1))
echo $n >"$SHIMS/count"
echo "NAME" >>"$SHIMS/log"
case " $NEVER " in *" NAME "*) exit 1 ;; esac
if [ "$n" = "$AT" ]; then
    case $HOW in
        fail) exit 1 ;;
        KILL) kill -KILL "$SCRIPT" 2>/dev/null && exit 1 ;;
        INT) kill -INT "$SCRIPT" 2>/dev/null ;;
        TERM)
            COMMAND "$@"
            status=$?
            kill -TERM "$SCRIPT" 2>/dev/null
            exit $status
            ;;
    esac
fi
exec COMMAND "$@"
"#;

/// What is on the machine.
type Listing = BTreeMap<PathBuf, String>;

/// What install.sh is stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    FirstInstallation,
    Upgrade,
    Removal,
}

/// A machine on which install.sh is stopped.
struct Stopping {
    host: Host,
    who: Who,
    task: Task,
    binary: String,
    before: Listing,
    after: Listing,
    /// The commands of an undisturbed run.
    commands: Vec<String>,
}

impl Stopping {
    /// Makes the machine, and runs install.sh undisturbed to see what it does.
    fn new(task: Task) -> Self {
        let who = Who::everybody()[0];
        let host = Host::new();
        let open = |name: &str, text: &str| {
            host.sandbox.write(name, text);
            fs::set_permissions(host.sandbox.path(name), fs::Permissions::from_mode(0o777))
                .expect("permissions");
        };
        open("shims/count", "0\n");
        open("shims/log", "");
        for name in COMMANDS {
            open(&format!("shims/{name}"), &shim(name, &format!("'{}'", which(name).display())));
        }
        let counted = |name: &str| {
            let real = host.stand_in(&format!("{name}/real"), name);
            open(&format!("{name}/gitea-lightstep"), &shim("gitea-lightstep $1", &format!("'{real}'")));
            host.sandbox.path(name).join("gitea-lightstep").display().to_string()
        };
        let (one, two) = (counted("one"), counted("two"));
        let mut stopping = Self {
            host,
            who,
            task: Task::FirstInstallation,
            binary: one,
            before: Listing::new(),
            after: Listing::new(),
            commands: Vec::new(),
        };
        if task != Task::FirstInstallation {
            stopping.run(0, "").succeeded();
            stopping.binary = two;
            stopping.task = task;
        }
        stopping.host.save("before");
        stopping.before = stopping.host.listing(false);
        stopping.run(0, "").succeeded();
        stopping.commands = stopping.log();
        stopping.after = stopping.host.listing(false);
        assert_ne!(stopping.before, stopping.after);
        stopping
    }

    /// Runs install.sh, with a fault at the n-th command.
    fn run(&self, at: usize, how: &str) -> Ran {
        self.run_without("", at, how)
    }

    /// Runs install.sh, with a fault at the n-th command, on a machine on which some commands always fail.
    fn run_without(&self, never: &str, at: usize, how: &str) -> Ran {
        let shims = self.host.sandbox.path("shims");
        fs::write(shims.join("count"), "0\n").expect("written");
        fs::write(shims.join("log"), "").expect("written");
        let mut command = self.host.command(self.who, "/bin/sh");
        command.args(["-c", "SCRIPT=$$; export SCRIPT; exec \"$@\"", "sh"]).arg(which("dash"));
        command.arg(manifest_dir().join("install.sh")).args(self.host.places());
        command.args(["--binary", &self.binary, "--cron-dir", &self.host.text("srv/cron")]);
        command.args((self.task == Task::Removal).then_some("--uninstall"));
        command
            .env("PATH", &shims)
            .env("SHIMS", &shims)
            .env("AT", at.to_string())
            .env("HOW", how)
            .env("NEVER", never);
        self.host.sandbox.run(&mut command, b"")
    }

    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.host.sandbox.path("shims/log")).expect("the log");
        log.lines().map(ToString::to_string).collect()
    }

    /// Stops a run at each command, in the ways that take turns, and has `judge` look at what it left.
    fn at_each(&self, ways: &[&str], judge: impl Fn(&str, &Ran, &Listing)) {
        for (nth, (name, how)) in self.commands.iter().zip(ways.iter().cycle()).enumerate() {
            self.host.restore("before");
            let ran = self.run(nth + 1, how);
            let what = format!("{how} at {} ({name})\n{}{}", nth + 1, ran.stdout, ran.stderr);
            judge(&what, &ran, &self.host.listing(false));
        }
    }

    /// Asserts that the machine is as it was before.
    fn is_undone(&self, what: &str, ran: &Ran, listing: &Listing) {
        assert_eq!(difference(listing, &self.before), [""; 0], "{what}");
        assert_ne!(ran.code, Some(0), "{what}");
        assert!(ran.stderr.contains("install.sh: "), "{what}");
    }

    fn killed(&self) {
        // From what was seen once, the next run goes the same way again.
        let seen = RefCell::new(BTreeSet::new());
        self.at_each(&["KILL"], |what, _, listing| {
            for (path, content) in listing {
                let is_old_or_new =
                    [&self.before, &self.after].iter().any(|state| state.get(path) == Some(content));
                let is_on_its_way = path.to_string_lossy().contains(".install-");
                assert!(is_old_or_new || is_on_its_way, "{what}: {}: {content}", path.display());
            }
            if seen.borrow_mut().insert(without_ids(listing)) {
                self.run(0, "").succeeded();
                assert_eq!(difference(&self.host.listing(false), &self.after), [""; 0], "{what}");
            }
        });
        assert!(seen.borrow().len() > 5, "{:?}", self.commands);
    }

    /// `ways` are signals.
    fn stopped(&self, ways: &[&str]) {
        self.at_each(ways, |what, ran, listing| {
            if ran.code == Some(0) {
                // It came when all was done, or from one who may not send it.
                assert_eq!(difference(listing, &self.after), [""; 0], "{what}");
            } else {
                let (signal, _) = what.split_once(' ').expect("which it was");
                let status = if signal == "TERM" { 143 } else { 130 };
                assert_eq!(ran.code, Some(status), "{what}");
                assert!(ran.stderr.contains(&format!("stopped by SIG{signal}, on the way to ")), "{what}");
                self.is_undone(what, ran, listing);
            }
        });
    }

    fn failing(&self) {
        self.at_each(&["fail"], |what, ran, listing| {
            let mut missing = difference(listing, &self.after);
            if ran.stderr.contains("needs attention") {
                assert_eq!((ran.code, missing.len()), (Some(1), 0), "{what}");
            } else if ran.stderr.contains("cannot run") {
                // Whoever cannot be started has no hook put in.
                missing.retain(|path| !path.starts_with("gitea"));
                assert_eq!((ran.code, missing.len()), (Some(1), 0), "{what}");
            } else if ran.code == Some(0) {
                // Empty directories are removed when all is done; that one stays is no reason to take everything back.
                let is_removal = self.task == Task::Removal;
                missing.retain(|path| !is_removal || !listing[&PathBuf::from(path)].starts_with("40755 "));
                assert_eq!(missing, [""; 0], "{what}");
                let is_tolerated = TOLERATED.iter().any(|name| what.contains(&format!("({name})")));
                assert!(is_tolerated || is_removal && difference(listing, &self.after) != [""; 0], "{what}");
            } else {
                assert_eq!(ran.code, Some(1), "{what}");
                self.is_undone(what, ran, listing);
            }
        });
    }
}

fn shim(name: &str, command: &str) -> String {
    SHIM.replace("NAME", name).replace("COMMAND", command)
}

/// Returns a listing in which what is on its way does not have the id of the process that made it.
fn without_ids(listing: &Listing) -> Vec<(String, String)> {
    let settled = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.split_once(".install-").map_or(path.to_string(), |(name, rest)| {
            format!("{name}.install-{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        })
    };
    listing.iter().map(|(path, content)| (settled(path), content.clone())).collect()
}

/// Returns the paths in which two machines differ.
fn difference(one: &Listing, other: &Listing) -> Vec<String> {
    let paths = one.keys().chain(other.keys().filter(|path| !one.contains_key(*path)));
    paths.filter(|path| one.get(*path) != other.get(*path)).map(|path| path.display().to_string()).collect()
}

#[test]
fn a_first_installation_that_is_killed_is_completed_by_the_next() {
    Stopping::new(Task::FirstInstallation).killed();
}

#[test]
fn an_upgrade_that_is_killed_is_completed_by_the_next() {
    Stopping::new(Task::Upgrade).killed();
}

#[test]
fn a_first_installation_that_is_stopped_leaves_nothing() {
    stopped_in_turns(&Stopping::new(Task::FirstInstallation));
}

#[test]
fn an_upgrade_that_is_stopped_leaves_what_was_there() {
    stopped_in_turns(&Stopping::new(Task::Upgrade));
}

/// The two signals go the same way through the script; the long run has each of them at each command.
fn stopped_in_turns(stopping: &Stopping) {
    stopping.stopped(&["TERM", "INT"]);
    if is_long() {
        stopping.stopped(&["INT", "TERM"]);
    }
}

#[test]
fn a_first_installation_that_fails_leaves_nothing() {
    Stopping::new(Task::FirstInstallation).failing();
}

#[test]
fn an_upgrade_that_fails_leaves_what_was_there() {
    Stopping::new(Task::Upgrade).failing();
}

#[test]
fn a_removal_that_is_killed_is_completed_by_the_next() {
    Stopping::new(Task::Removal).killed();
}

#[test]
fn a_removal_that_is_stopped_leaves_what_was_there() {
    stopped_in_turns(&Stopping::new(Task::Removal));
}

#[test]
fn a_removal_that_fails_leaves_what_was_there() {
    Stopping::new(Task::Removal).failing();
}

#[test]
fn where_there_are_no_links_and_no_room_what_was_there_stays() {
    let stopping = Stopping::new(Task::Upgrade);
    for never in ["ln", "ln cp"] {
        stopping.host.restore("before");
        let ran = stopping.run_without(never, 0, "");
        let listing = stopping.host.listing(false);
        if never == "ln" {
            ran.succeeded();
            assert_eq!(difference(&listing, &stopping.after), [""; 0]);
        } else {
            stopping.is_undone(never, &ran, &listing);
        }
    }
}
