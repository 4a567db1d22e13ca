//! A named pipe in place of the configuration.

use std::{fs, time::Duration};

use crate::support::{BINARY, Sandbox};

/// The configuration cannot be read, so the hook uses the default state directory. The script
/// mounts an empty one.
const PIPE: &str = r#"
    mount -t tmpfs -o mode=755 state /var/lib
    "$0" hook --config "$1" <"$2"
    echo "== $?"
    cat /var/lib/gitea-lightstep/journal/*
"#;

#[test]
fn configuration_that_is_a_named_pipe_fails_immediately() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("config.toml")).expect("it goes");
    let mut mkfifo = sandbox.command("mkfifo", &sandbox.path(""));
    sandbox.run(mkfifo.arg("config.toml"), b"").succeeded();
    sandbox.write("stdin", format!("{} {} refs/heads/main\n", "0".repeat(40), "1".repeat(40)));
    let mut unshare = sandbox.command("unshare", &sandbox.bare());
    unshare.args(if rustix::process::geteuid().is_root() { &["-m"][..] } else { &["-rm"] });
    unshare.args(["sh", "-c", PIPE, BINARY]).args([sandbox.path("config.toml"), sandbox.path("stdin")]);
    let ran = sandbox.run(unshare.env("GIT_DIR", "."), b"");
    assert!(ran.succeeded().took < Duration::from_secs(10), "{:?}", ran.took);
    assert_eq!((ran.stderr.as_str(), ran.stdout.lines().next()), ("", Some("== 0")));
    let report = "this push waits in the inbox until the configuration is fixed: ";
    assert!(ran.stdout.contains(report) && ran.stdout.contains("it is not a regular file"), "{}", ran.stdout);
}
