//! Gitea's `.gitconfig` in every state: changed as git itself would, or left as it is with a reason.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Command,
};

use crate::support::{Sandbox, estate::Estate};

/// What git says of the file, without our block.
fn refused(estate: &Estate, why: &str) {
    let before = estate.lasting("data");
    let ran = estate.install(&["--git", &estate.git_that_says("2.55.0")]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
    crate::support::estate::assert_same(&before, &estate.lasting("data"), why);
}

#[test]
fn the_file_keeps_its_bytes_its_mode_and_its_absence() {
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
fn a_file_that_cannot_be_changed_is_left_and_the_reason_told() {
    let estate = Estate::new();
    let written = |text: &str| {
        let _ = fs::remove_file(estate.git_config());
        fs::write(estate.git_config(), text).expect("written");
        estate.hand_over();
    };
    written("[user]\n\tname = hush\n[broken\n");
    refused(&estate, ".gitconfig:3: git cannot read this line");
    written("[hook \"gitea-lightstep\"]\n\tcommand = hush\n");
    refused(
        &estate,
        ".gitconfig:1: this [hook \"gitea-lightstep\"] was not made by `gitea-lightstep install`",
    );
    written("[a]\n\tb = c\n# gitea-lightstep: begin.\n[hook \"gitea-lightstep\"]\n");
    refused(&estate, ".gitconfig:3: the lines of gitea-lightstep begin here and have no end");
    written("[a]\n");
    estate.sandbox.write("data/home/.gitconfig.lock", "");
    estate.hand_over();
    refused(&estate, ".gitconfig.lock` is there: another process is changing Gitea's git configuration");
    fs::remove_file(estate.home().join(".gitconfig.lock")).expect("removed");

    fs::remove_file(estate.git_config()).expect("removed");
    fs::create_dir(estate.git_config()).expect("a directory");
    refused(&estate, ".gitconfig` is no file");
    fs::remove_dir(estate.git_config()).expect("removed");
    estate.sandbox.write("data/real", "[a]\n");
    estate.link("../real", "data/home/.gitconfig");
    refused(&estate, ".gitconfig` is a symbolic link, and what it names may be somebody else's");
    fs::remove_file(estate.git_config()).expect("removed");

    // git would not read what was to be written: it has the last word.
    let picky = estate.path("bin/git-2.60.0");
    estate.sandbox.executable(
        "bin/git-2.60.0",
        "#!/bin/sh\n[ \"$1\" = version ] && exec echo git version 2.60.0\necho 'fatal: bad config line 3' >&2\nexit 128\n",
    );
    let ran = estate.install(&["--git", &picky.display().to_string()]);
    assert!(
        ran.stderr.contains("because git would not read it any more: fatal: bad config line 3"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_dir(estate.home()).expect("the directory").count(), 0);

    estate.take_from_user(&estate.home());
    refused(&estate, "/data/home`: Permission denied");
}

#[test]
fn a_file_that_cannot_be_changed_keeps_no_repository_from_being_covered() {
    let estate = Estate::new();
    estate.sandbox.write("data/real", "[a]\n");
    estate.link("../real", "data/home/.gitconfig");
    estate.hand_over();
    let before = estate.lasting("data");
    let ran = estate.install(&[]);
    assert_eq!(ran.code, Some(1));
    let why = ".gitconfig` is a symbolic link, and what it names may be somebody else's";
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
fn a_gitea_that_was_never_started_is_covered_by_its_git_configuration() {
    let estate = Estate::new();
    std::fs::rename(estate.path("git"), estate.path("later")).expect("renamed");
    let ran = estate.install(&["--git", &estate.git_that_says("2.55.0")]);
    assert!(
        ran.succeeded().stdout.contains("/git` is not there yet; Gitea makes it when it is started."),
        "{}",
        ran.stdout
    );
    assert!(estate.git_config().exists());
    estate.uninstall(&[]).succeeded();
    assert!(!estate.git_config().exists());
}

#[test]
fn a_file_that_is_mounted_by_itself_is_told_of() {
    let estate = Estate::new();
    estate.sandbox.write("data/mounted", "[a]\n");
    estate.sandbox.write("data/home/.gitconfig", "[a]\n");
    estate.hand_over();
    let newer = estate.git_that_says("2.55.0");
    // Who is not root here is root in a namespace of their own.
    let namespace = if crate::support::estate::is_root() { "-m" } else { "-Urm" };
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
    if !crate::support::estate::is_root() {
        unshare.args(["--run-user", "0"]);
    }
    let ran = estate.sandbox.run(&mut unshare, b"");
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains(".gitconfig` is mounted by itself, and cannot be replaced as a whole"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(estate.path("data/mounted")).expect("the file"), "[a]\n");
    assert_eq!(fs::read_dir(estate.home()).expect("the directory").count(), 1, "no lock, no new file");
}

#[test]
fn git_and_we_take_turns_on_the_file() {
    let estate = Estate::new();
    let newer = estate.git_that_says("2.55.0");
    // Gitea sets its own whenever it starts, and dies if it cannot.
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
            // The file is locked for a moment; git does not wait for it.
            if ran.code == Some(0) {
                nth += 1;
            }
        }
        let mut list: Command = estate.command("git");
        let listed = estate.sandbox.run(list.args(["config", "--global", "--name-only", "--list"]), b"");
        let keys = listed.succeeded().stdout.lines().filter(|line| line.starts_with("test.key")).count();
        assert_eq!(keys, nth, "nothing that git wrote was lost");
    });
}

/// Asserts what `install` says of an app.ini.
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
fn an_app_ini_that_is_wrong_is_named_with_line_and_key() {
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
            "app.ini: `[server] APP_DATA_PATH` is relative to `WORK_PATH`, which is not set, and no running Gitea tells",
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
