//! Runs a program on a pseudo-terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::{BINARY, Ran, Sandbox};

/// Runs the binary on a terminal, and types `typed` and a return when the binary asks for input.
/// The output of the result is what the terminal showed.
pub fn on_terminal(sandbox: &Sandbox, args: &[&str], typed: &str) -> Ran {
    let is_asking = |shown: &str| shown.ends_with("] ");
    watched_on_terminal(
        sandbox,
        args,
        |shown| if is_asking(shown) { format!("{typed}\n") } else { String::new() },
    )
}

/// Runs the binary on a wide terminal. `watch` gets what the terminal has shown so far whenever there
/// is more of it, and returns what to type.
pub fn watched_on_terminal(sandbox: &Sandbox, args: &[&str], watch: impl FnMut(&str) -> String) -> Ran {
    let mut command = sandbox.command(BINARY, &sandbox.path(""));
    command.args(args).arg("--config").arg(sandbox.path("config.toml"));
    let ran = run_on_terminal(command.env("TERM", "xterm").env("NO_COLOR", "1"), 500, watch);
    Ran { stdout: sandbox.without_config(&ran.stdout), ..ran }
}

/// Runs a command on a terminal with this number of columns.
pub fn run_on_terminal(command: &mut Command, columns: u16, mut watch: impl FnMut(&str) -> String) -> Ran {
    let start = Instant::now();
    let terminal =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&terminal).expect("access to the terminal");
    unlockpt(&terminal).expect("unlock the terminal");
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("set the size");
    let name = ptsname(&terminal, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let side = || Stdio::from(rustix::fs::open(&*name, flags, Mode::empty()).expect("open the terminal"));
    let mut child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("start the program");
    // Only the program and its children may keep the other side open.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());

    let mut terminal = File::from(terminal);
    let mut shown = Vec::new();
    let mut part = [0; 4096];
    // Linux fails with EIO when the other side is closed.
    while let Ok(read @ 1..) = terminal.read(&mut part) {
        shown.extend_from_slice(&part[..read]);
        let typed = watch(&String::from_utf8_lossy(&shown));
        terminal.write_all(typed.as_bytes()).expect("type");
    }
    let code = child.wait().expect("wait for the program").code();
    let stdout = String::from_utf8_lossy(&shown).into_owned();
    Ran { code, stdout, stderr: String::new(), took: start.elapsed() }
}
