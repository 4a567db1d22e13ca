//! A `.gitconfig` that is a mount point.

use std::fs;

use crate::support::{estate::Estate, host::is_root};

#[test]
fn separately_mounted_gitconfig_is_reported() {
    let estate = Estate::new();
    estate.sandbox.write("data/mounted", "[a]\n");
    estate.sandbox.write("data/home/.gitconfig", "[a]\n");
    estate.hand_over();
    let newer = estate.git_that_says("2.55.0");
    // Users other than root need a user namespace to mount.
    let namespace = if is_root() { "-m" } else { "-Urm" };
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
    let mut unshare = estate.sandbox.command("unshare", &estate.path(""));
    unshare
        .args([namespace, "sh", "-c", script, "sh"])
        .arg(estate.path("data/mounted"))
        .arg(estate.git_config());
    unshare
        .arg(estate.path("bin/gitea-lightstep"))
        .arg("install")
        .args(estate.options())
        .args(["--git", &newer]);
    if !is_root() {
        unshare.args(["--run-user", "0"]);
    }
    let ran = estate.sandbox.run(&mut unshare, b"");
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(".gitconfig` is a mount point, so it cannot be replaced"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(estate.path("data/mounted")).expect("the file"), "[a]\n");
    assert_eq!(
        fs::read_dir(estate.home()).expect("the directory").count(),
        1,
        "neither a lock nor a new file is left"
    );
}
