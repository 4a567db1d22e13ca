//! Gitea's `.gitconfig` in every state: `install` edits it like git would, or leaves it unchanged
//! and gives a reason.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Command,
};

use crate::support::{Sandbox, estate::Estate};

/// Asserts that `install` fails with this reason and changes nothing.
fn refused(estate: &Estate, why: &str) {
    let before = estate.lasting("data");
    let ran = estate.install(&["--git", &estate.git_that_says("2.55.0")]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
    crate::support::estate::assert_same(&before, &estate.lasting("data"), why);
}

#[test]
fn gitconfig_keeps_its_content_mode_and_absence() {
    let estate = Estate::new();
    let newer = estate.git_that_says("2.55.0");
    for (text, mode) in [
        (None, 0),
        (Some(""), 0o600),
        (Some("\n"), 0o644),
        (Some("[http]\n\textraHeader = hush-hush"), 0o640),
        (Some("\u{feff}# only a comment\r\n"), 0o600),
    ] {
        if let Some(text) = text {
            fs::write(estate.git_config(), text).expect("written");
            fs::set_permissions(estate.git_config(), fs::Permissions::from_mode(mode)).expect("permissions");
        }
        estate.hand_over();
        for git in [&*newer, &estate.older_git()] {
            estate.install(&["--git", git]).succeeded();
            let metadata = fs::metadata(estate.git_config()).expect("the file");
            let expected = if text.is_some() { mode } else { 0o644 };
            assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (expected, estate.uid()), "{text:?}");
        }
        estate.uninstall(&[]).succeeded();
        assert_eq!(fs::read_to_string(estate.git_config()).ok().as_deref(), text, "{text:?}");
        assert_eq!(fs::read_dir(estate.home()).expect("the directory").count(), usize::from(text.is_some()));
        let _ = fs::remove_file(estate.git_config());
    }
}

#[test]
fn unchangeable_gitconfig_is_left_alone_with_a_reason() {
    let estate = Estate::new();
    let written = |text: &str| {
        let _ = fs::remove_file(estate.git_config());
        fs::write(estate.git_config(), text).expect("written");
        estate.hand_over();
    };
    written("[user]\n\tname = hush\n[broken\n");
    refused(&estate, ".gitconfig:3: git cannot read this line");
    written("[hook \"gitea-lightstep\"]\n\tcommand = hush\n");
    refused(&estate, ".gitconfig:1: this [hook \"gitea-lightstep\"] was not written by gitea-lightstep;");
    written("[a]\n\tb = c\n# gitea-lightstep: begin.\n[hook \"gitea-lightstep\"]\n");
    refused(&estate, ".gitconfig:3: the lines of gitea-lightstep begin here, and their end `");
    written("[a]\n");
    estate.sandbox.write("data/home/.gitconfig.lock", "");
    estate.hand_over();
    refused(&estate, ".gitconfig.lock` exists, so another process may be changing Gitea's git configuration");
    fs::remove_file(estate.home().join(".gitconfig.lock")).expect("removed");

    fs::remove_file(estate.git_config()).expect("removed");
    fs::create_dir(estate.git_config()).expect("a directory");
    refused(&estate, ".gitconfig` is not a file");
    fs::remove_dir(estate.git_config()).expect("removed");
    estate.sandbox.write("data/real", "[a]\n");
    estate.link("../real", "data/home/.gitconfig");
    refused(&estate, ".gitconfig` is a symbolic link, and its target may belong to another user");
    fs::remove_file(estate.git_config()).expect("removed");

    // `install` lets git check the new content, and gives up if git rejects it.
    let picky = estate.path("bin/git-2.60.0");
    estate.sandbox.executable(
        "bin/git-2.60.0",
        "#!/bin/sh\n[ \"$1\" = version ] && exec echo git version 2.60.0\necho 'fatal: bad config line 3' >&2\nexit 128\n",
    );
    let ran = estate.install(&["--git", &picky.display().to_string()]);
    assert!(
        ran.stderr.contains("because git would reject the new version: fatal: bad config line 3"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_dir(estate.home()).expect("the directory").count(), 0);

    estate.take_from_user(&estate.home());
    refused(&estate, "/data/home`: Permission denied");
}

#[test]
fn repositories_are_covered_despite_an_unchangeable_gitconfig() {
    let estate = Estate::new();
    estate.sandbox.write("data/real", "[a]\n");
    estate.link("../real", "data/home/.gitconfig");
    estate.hand_over();
    let before = estate.lasting("data");
    let ran = estate.install(&[]);
    assert_eq!(ran.code, Some(1));
    let why = ".gitconfig` is a symbolic link, and its target may belong to another user";
    assert!(
        ran.stderr.contains("new repositories are not covered: `") && ran.stderr.contains(why),
        "{}",
        ran.stderr
    );
    assert!(estate.wrapper("acme/shop.git").exists());
    let ran = estate.uninstall(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(why) && !estate.wrapper("acme/shop.git").exists(), "{}", ran.stderr);
    crate::support::estate::assert_same(&before, &estate.lasting("data"), "in the end");
}

#[test]
fn gitea_that_has_never_started_gets_a_config_hook() {
    let estate = Estate::new();
    std::fs::rename(estate.path("git"), estate.path("later")).expect("renamed");
    let ran = estate.install(&["--git", &estate.git_that_says("2.55.0")]);
    assert!(
        ran.succeeded().stdout.contains("/git` does not exist yet; Gitea creates it when it starts."),
        "{}",
        ran.stdout
    );
    assert!(estate.git_config().exists());
    estate.uninstall(&[]).succeeded();
    assert!(!estate.git_config().exists());
}

#[test]
fn gitconfig_lock_is_shared_with_git() {
    let estate = Estate::new();
    let newer = estate.git_that_says("2.55.0");
    // Gitea sets its own keys when it starts, and exits if it cannot.
    let set = |nth: usize| {
        let mut git = estate.command("git");
        git.args(["config", "--global", &format!("test.key{nth}"), "value"]);
        git
    };
    std::thread::scope(|scope| {
        let lightstep = scope.spawn(|| {
            for _ in 0..10 {
                let installed = estate.install(&["--git", &newer]);
                assert!(
                    installed.code == Some(0) || installed.stderr.contains("another process"),
                    "{}",
                    installed.stderr
                );
                let removed = estate.uninstall(&[]);
                assert!(
                    removed.code == Some(0) || removed.stderr.contains("another process"),
                    "{}",
                    removed.stderr
                );
            }
        });
        let mut nth = 0;
        while !lightstep.is_finished() {
            let ran = estate.sandbox.run(&mut set(nth), b"");
            // git fails if the file is locked, because it does not wait.
            if ran.code == Some(0) {
                nth += 1;
            }
        }
        let mut list: Command = estate.command("git");
        let listed = estate.sandbox.run(list.args(["config", "--global", "--name-only", "--list"]), b"");
        let keys = listed.succeeded().stdout.lines().filter(|line| line.starts_with("test.key")).count();
        assert_eq!(keys, nth, "every key that git wrote is kept");
    });
}

/// Asserts the error of `install` for this app.ini.
#[track_caller]
fn says(sandbox: &Sandbox, estate: &Estate, ini: &str, why: &str) {
    sandbox.write("app.ini", ini);
    let mut install = estate.lightstep(&["install", "--gitea-config"]);
    let ran = sandbox
        .run(install.arg(sandbox.path("app.ini")).arg("--config").arg(sandbox.path("config.toml")), b"");
    assert_eq!(ran.code, Some(1), "{ini:?}: {}", ran.stdout);
    assert!(ran.stderr.contains(why), "{ini:?}: {}", ran.stderr);
    assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
}

#[test]
fn invalid_app_ini_is_reported_with_line_and_key() {
    let estate = Estate::new();
    let sandbox = &estate.sandbox;
    for (ini, why) in [
        ("WORK_PATH = data\n", "app.ini:1: `WORK_PATH`: expected an absolute path"),
        (
            "[server]\nAPP_DATA_PATH = data\n",
            "app.ini:2: `[server] APP_DATA_PATH` is relative to `WORK_PATH`, which is not set",
        ),
        (
            "",
            "app.ini: `[server] APP_DATA_PATH` is relative to `WORK_PATH`, which is not set, and no running \
             Gitea shows",
        ),
        ("[git]\nHOME_PATH = /h\n[repository]\n\nROOT = r\n", "app.ini:5: `[repository] ROOT` is relative"),
        ("SECRET = hush\nhush\n", "app.ini:2: expected `KEY = VALUE`"),
        ("[security\nSECRET = hush\n", "app.ini:1: expected `]`"),
        ("JWT = `hush\n", "app.ini:1: expected the quote that ends a value"),
    ] {
        says(sandbox, &estate, ini, why);
    }
    says(sandbox, &estate, &"# a comment\n".repeat(100_000), "it is larger than 1048576 bytes");
    let missing =
        sandbox.run(&mut estate.lightstep(&["install", "--gitea-config", "/nonexistent/app.ini"]), b"");
    assert!(
        missing.stderr.contains(
            "/nonexistent/app.ini: failed to read Gitea's configuration: No such file or directory"
        ),
        "{}",
        missing.stderr
    );
    let both = sandbox.run(&mut estate.lightstep(&["install", "--gitea-config", "a", "--root", "b"]), b"");
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}
