//! install.sh, as the user that Gitea runs as.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{BINARY, Ran, Sandbox, manifest_dir};

fn install(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let mut id = sandbox.command("id", &sandbox.path(""));
    let user = sandbox.run(id.arg("-un"), b"").succeeded().stdout.trim().to_string();
    let mut script = sandbox.command("sh", &sandbox.path(""));
    script.arg(manifest_dir().join("install.sh")).args(["--user", &user, "--binary", BINARY]);
    script.arg("--prefix").arg(sandbox.path("usr")).arg("--config").arg(sandbox.path("etc/config.toml"));
    script.arg("--state").arg(sandbox.state()).args(args);
    sandbox.run(&mut script, b"")
}

#[test]
fn what_it_installs_takes_a_push_and_can_be_taken_out_again() {
    let sandbox = Sandbox::new();
    let hook = sandbox.bare().join("hooks/post-receive.d/gitea-lightstep");
    fs::remove_file(&hook).expect("the sandbox's own hook goes");
    let root = sandbox.path("git").display().to_string();

    let dry = install(&sandbox, &["--dry-run", "--all", &root]);
    dry.succeeded();
    assert!(!hook.exists() && !sandbox.path("usr").exists(), "{}", dry.stdout);

    let ran = install(&sandbox, &["--all", &root]);
    assert!(ran.succeeded().stdout.ends_with("1 file checked, all is well\n"), "{}", ran.stdout);
    let mode = fs::metadata(&hook).expect("the hook").permissions().mode() & 0o777;
    assert_eq!(mode, 0o755);
    sandbox.commit("Installed", &[]);
    let push = sandbox.push(&["main"]);
    assert_eq!(push.succeeded().remote().len(), 1, "{}", push.stderr);
    assert_eq!(sandbox.waiting("unassigned").len(), 1);

    fs::write(
        sandbox.path("etc/config.toml"),
        format!("state_dir = \"{}\"\n[reply]\nto_pusher = \"nothing\"\n", sandbox.state().display()),
    )
    .expect("written");
    let again = install(&sandbox, &[&sandbox.bare().display().to_string()]);
    assert!(again.succeeded().stdout.contains("(kept)"), "{}", again.stdout);
    sandbox.commit("Kept", &[]);
    assert_eq!(sandbox.push(&["main"]).succeeded().remote(), [""; 0], "the configuration was kept");

    install(&sandbox, &["--uninstall", "--all", &root]).succeeded();
    assert!(!hook.exists());
    assert!(sandbox.path("etc/config.toml").exists() && sandbox.state().exists());
}

#[test]
fn a_foreign_file_and_a_foreign_directory_are_left_alone() {
    let sandbox = Sandbox::new();
    let hook = sandbox.bare().join("hooks/post-receive.d/gitea-lightstep");
    sandbox.executable("git/acme/shop.git/hooks/post-receive.d/gitea-lightstep", "#!/bin/sh\nexit 0\n");
    fs::create_dir_all(sandbox.path("git/acme/mirror.git/hooks")).expect("a directory");
    let root = sandbox.path("git").display().to_string();
    let ran = install(&sandbox, &["--all", &root]);
    assert!(ran.succeeded().stdout.contains("is not ours"), "{}", ran.stdout);
    assert!(ran.stdout.contains("mirror.git: no hooks/post-receive.d"), "{}", ran.stdout);
    assert_eq!(fs::read_to_string(&hook).expect("the file"), "#!/bin/sh\nexit 0\n");
    install(&sandbox, &["--uninstall", "--all", &root]).succeeded();
    assert!(hook.exists());
}

#[test]
fn wrong_usage_is_named() {
    let sandbox = Sandbox::new();
    for (args, code, why) in [
        (&["--bogus"][..], 2, "install.sh: unknown option --bogus"),
        (&["--all", "/nonexistent"], 1, "install.sh: /nonexistent is no directory"),
        (&["--prefix", "relative"], 1, "install.sh: a path must begin with /: relative"),
        (&["--user", "nobody-of-this-name"], 1, "install.sh: there is no user nobody-of-this-name"),
        (&["--config"], 1, "install.sh: --config needs a value"),
    ] {
        let ran = install(&sandbox, args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn without_the_binary_the_wrapper_does_no_harm() {
    let sandbox = Sandbox::new();
    let wrapper = fs::read_to_string(manifest_dir().join("hooks/gitea-lightstep")).expect("the wrapper");
    sandbox.executable(
        "git/acme/shop.git/hooks/post-receive.d/gitea-lightstep",
        &wrapper.replace("bin=/usr/local/bin", "bin=/nonexistent"),
    );
    sandbox.commit("Uninstalled", &[]);
    assert_eq!(sandbox.push(&["main"]).succeeded().remote(), [""; 0]);
}
