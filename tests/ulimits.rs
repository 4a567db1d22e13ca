//! A hook with low resource limits, with any signal, and with any clock: it exits successfully, and
//! the push is on disk or the pusher is informed that it is not.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    BINARY, Ran, Sandbox,
    backend::Backend,
    spool::{Ground, OUTBOX},
    wait_until,
};

/// A repository and the hook's input for a push to it.
struct Target {
    sandbox: Sandbox,
    stdin: String,
}

impl Target {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let commit = sandbox.commit("A push", &[]);
        sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
        sandbox.clear_state();
        Self { sandbox, stdin: format!("{} {commit} refs/heads/main\n", "0".repeat(40)) }
    }

    /// Runs the program in a shell after `prelude`. `args` run the hook or a harmless command.
    fn run(&self, prelude: &str, args: &str, stdin: &str) -> Ran {
        let config = self.sandbox.path("config.toml");
        let mut shell = self.sandbox.command("sh", &self.sandbox.bare());
        shell.args(["-c", &format!("{prelude}\nexec \"$0\" {args}"), BINARY]).arg(config).env("GIT_DIR", ".");
        self.sandbox.run(&mut shell, stdin.as_bytes())
    }

    /// Returns true if the journal or stderr reports that the push has no markers.
    fn is_told(&self, ran: &Ran) -> bool {
        let report = [ran.stderr.clone(), self.sandbox.troubles().concat()].concat();
        report.contains("this push has no markers: ")
    }

    /// Returns true if a push was captured or decided, and resets the state.
    fn take(&self) -> bool {
        let waits =
            ["inbox", "failed", "outbox/unassigned/new"].map(|dir| !self.sandbox.files(dir).is_empty());
        let is_decided = self.sandbox.journal().iter().any(|entry| entry["record"] == "decision");
        self.sandbox.clear_state();
        waits.contains(&true) || is_decided
    }

    /// Runs the hook, and asserts that it exits successfully and reports a lost push.
    fn survives(&self, prelude: &str) {
        let ran = self.run(prelude, "hook --config \"$1\"", &self.stdin);
        assert_eq!((ran.code, &*ran.stdout), (Some(0), ""), "{prelude}: {ran:?}");
        assert!(ran.stderr.lines().all(|line| line.starts_with("gitea-lightstep: ")), "{prelude}: {ran:?}");
        assert!(ran.stderr.lines().count() <= 2 && !ran.stderr.contains("panic"), "{prelude}: {ran:?}");
        let is_told = self.is_told(&ran);
        assert_eq!(self.take(), !is_told, "{prelude}: {ran:?}");
    }
}

#[test]
fn hook_exits_successfully_under_every_limit() {
    let target = Target::new();
    let limits = [
        ("f", &[0, 1, 2, 4, 8, 64][..]),
        ("n", &[3, 4, 5, 6, 7, 8, 9, 10, 12, 16]),
        ("v", &[12_000, 16_000, 20_000, 24_000, 32_000, 48_000, 64_000, 96_000, 128_000, 256_000]),
        ("s", &[16, 64, 128, 256, 512, 1024]),
        ("t", &[1]),
        ("c", &[0]),
        ("l", &[0]),
    ];
    for (limit, values) in limits {
        let mut tried = 0;
        for value in values {
            for kind in ["-S", ""] {
                let prelude = format!("ulimit {kind} -{limit} {value}");
                // Skip limits under which the program cannot even start.
                if target.run(&prelude, "--version", "").code == Some(0) {
                    target.survives(&prelude);
                    tried += 1;
                }
            }
        }
        assert!(tried > 0, "-{limit}");
    }
}

#[test]
fn hook_exits_successfully_in_an_unusual_environment() {
    let target = Target::new();
    for odd in [
        "exec >&-",
        "exec 2>&-",
        "exec >&- 2>&-",
        "export TZ=:/nonsense LANG=\\377 LC_ALL=xx_YY.utf-99",
        "trap '' TERM INT HUP QUIT CHLD XFSZ PIPE",
        "nice -n 19 true",
        "umask 0",
        "unset HOME PATH TMPDIR",
    ] {
        target.survives(odd);
    }
    // Root can use a directory of mode 0, so check the modes too.
    let ran = target.run("umask 0777", "hook --config \"$1\"", &target.stdin);
    for dir in ["", "inbox", "journal"] {
        let mode = target.sandbox.state().join(dir).metadata().expect("a directory").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{dir}: {ran:?}");
    }
    assert_eq!((ran.code, &*ran.stdout, target.take()), (Some(0), "", true), "{ran:?}");
    // Without standard input there is no push.
    for odd in ["exec <&-", "exec <&- >&- 2>&-"] {
        let ran = target.run(odd, "hook --config \"$1\"", "");
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(0), "", ""), "{odd}");
    }
    // The repository is removed while the hook runs.
    let gone = target.sandbox.path("gone");
    fs::create_dir(&gone).expect("a directory");
    target.survives(&format!("cd '{0}'; rmdir '{0}'", gone.display()));
    let mut nameless = target.sandbox.command(BINARY, &target.sandbox.bare());
    nameless.arg0("").args(["hook", "--config"]).arg(target.sandbox.path("config.toml")).env("GIT_DIR", ".");
    let ran = target.sandbox.run(&mut nameless, target.stdin.as_bytes());
    assert_eq!((ran.code, target.take()), (Some(0), true), "{ran:?}");
}

#[test]
fn hook_captures_its_push_despite_signals() {
    let target = Target::new();
    // Skip signals that cannot be caught, that indicate a crash, or that stop the process.
    let others = [4, 5, 6, 7, 8, 9, 11, 19, 20, 21, 22, 31];
    for number in (1..=31).filter(|number| !others.contains(number)) {
        let signal = Signal::from_named_raw(number).expect("a signal");
        let mut hook = target.sandbox.command(BINARY, &target.sandbox.bare());
        hook.args(["hook", "--config"]).arg(target.sandbox.path("config.toml")).env("GIT_DIR", ".");
        let mut child = hook
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the hook starts");
        let status = format!("/proc/{}/status", child.id());
        wait_until("the hook catches signals", || {
            let status = fs::read_to_string(&status).expect("the process");
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))
                .expect("the status has a SigCgt line");
            u64::from_str_radix(caught.trim(), 16).expect("a mask") & (1 << (Signal::TERM.as_raw() - 1)) != 0
        });
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("the signal is sent");
        let mut stdin = child.stdin.take().expect("a pipe");
        let written = stdin.write_all(target.stdin.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{signal:?}: {output:?}");
        written.expect("the hook reads its input");
        assert!(target.take(), "{signal:?}");
    }
}

#[test]
fn child_processes_have_default_signal_handlers() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("children", &backend);
    let seen = spool.dir().join("seen");
    // All child processes start in the same way as a secret's command.
    spool.configure(&format!(
        "mode = \"inline\"\n[[destination]]\nname = \"second\"\nkind = \"otlp\"\nendpoint = \"{}\"\n\
         headers = {{ x-token = {{ command = [\"/bin/sh\", \"-c\", \"cat /proc/$$/status > {}; echo secret\"] }} }}\n",
        backend.endpoint(),
        seen.display()
    ));
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    let status = fs::read_to_string(&seen).expect("the command ran");
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a mask");
        u64::from_str_radix(line.trim(), 16).expect("a mask")
    };
    let ours = (1 << (Signal::XFSZ.as_raw() - 1)) | (1 << (Signal::TERM.as_raw() - 1));
    assert_eq!((mask("SigIgn:") & ours, mask("SigCgt:") & ours), (0, 0), "{status}");
}

#[test]
fn push_is_captured_and_sent_with_any_clock() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let clocks = [
        "0",
        "-1",
        "-86400",
        "-99999999999",
        "-377705116800",
        "-9999999999999",
        "253402207199",
        "253402300799",
        "99999999999999",
        "18446744074",
        "4102444800",
    ];
    for clock in clocks {
        for is_delivered_then in [false, true] {
            backend.forget();
            let spool = ground.spool(&format!("clock{clock}-{is_delivered_then}"), &backend).at_clock(clock);
            let push = ground.typical(0);
            let ended = spool.hook(&push, "");
            ended.was_a_good_hook();
            assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{clock}");
            assert_eq!(spool.files(OUTBOX).len(), 1, "{clock}: the push is decided");
            if is_delivered_then {
                spool.deliver("").was_a_good_delivery();
            }
            let spool = spool.at_clock("");
            spool.holds_after_drain(&[push]);
            assert!(spool.files("dead").is_empty(), "{clock}: {}", spool.describe());
            assert_eq!(spool.torn_lines(), 0, "{clock}");
        }
        // A later process decides the push in the inbox.
        backend.forget();
        let spool =
            ground.spool(&format!("clock{clock}-left"), &backend).with_policy_time("0ms").at_clock(clock);
        let push = ground.typical(1);
        spool.hook(&push, "").was_a_good_hook();
        spool.at_clock("").with_policy_time("20s").holds_after_drain(&[push]);
    }
}

#[test]
fn wrong_arguments_do_not_fail_the_push() {
    // Wrong arguments are reported, and the input is read completely.
    let target = Target::new();
    let ran = target.run(":", "hook --nonsense", &"x".repeat(1 << 20));
    assert_eq!((ran.code, &*ran.stdout), (Some(0), ""), "{ran:?}");
    let mut command = Command::new(BINARY);
    let ran = target.sandbox.run(command.args(["hook", "--config", ""]), b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
