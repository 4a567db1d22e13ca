//! Repositories that came without git's template, which `scan` covers where `install` uses wrappers.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{
    Ran,
    estate::{Estate, assert_same, without_gitea},
    wait_until,
};

/// An installation with these options and one pushed commit, whose repositories were scanned once.
fn scanned_once(options: &[&str]) -> Estate {
    let estate = Estate::new();
    estate.install(options).succeeded();
    estate.push(&["main"]).succeeded();
    let outcome = estate.scanned();
    assert_eq!((&outcome["first_seen"], &outcome["covered"]), (&1.into(), &json!([])), "{outcome}");
    estate
}

/// Copies `acme/shop` without our files.
fn copy(estate: &Estate, name: &str) -> PathBuf {
    let place = estate.path("git").join(name);
    let mut mkdir = estate.command("mkdir");
    estate.sandbox.run(mkdir.arg("-p").arg(place.parent().expect("an owner")), b"").succeeded();
    let mut cp = estate.command("cp");
    estate.sandbox.run(cp.arg("-a").arg(estate.sandbox.bare()).arg(&place), b"").succeeded();
    strip(&place);
    place
}

/// Removes our files from a repository.
fn strip(repository: &Path) {
    for file in ["hooks/post-receive.d/gitea-lightstep", "hooks/reference-transaction"] {
        let _ = fs::remove_file(repository.join(file));
    }
}

/// Pushes a commit to a repository as Gitea does.
fn push_to(estate: &Estate, owner: &str, name: &str) -> Ran {
    estate.commit("More");
    let place = estate.path(&format!("git/{owner}/{name}.git"));
    let mut git = estate.command("git");
    git.current_dir(estate.path("clone")).arg("push").arg(place).arg("main");
    git.env("GITEA_REPO_ID", "77").env("GITEA_REPO_NAME", name).env("GITEA_REPO_USER_NAME", owner);
    estate.sandbox.run(&mut git, b"")
}

fn paths(dirs: &[&PathBuf]) -> Value {
    dirs.iter().map(|dir| dir.display().to_string()).collect()
}

#[test]
fn copied_repository_is_covered_by_the_next_scan() {
    let estate = scanned_once(&[]);
    let wrapper = fs::read(estate.wrapper("acme/shop.git")).expect("the wrapper");
    let adopted = copy(&estate, "acme/adopted.git");
    let outcome = estate.scanned();
    assert_eq!((&outcome["first_seen"], &outcome["covered"]), (&1.into(), &paths(&[&adopted])), "{outcome}");
    let placed = estate.wrapper("acme/adopted.git");
    let metadata = fs::metadata(&placed).expect("the wrapper");
    assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o755, estate.uid()));
    assert_eq!(fs::read(&placed).expect("the wrapper"), wrapper);
    assert!(!adopted.join("hooks/reference-transaction").exists());

    let before = estate.decided().len();
    assert_eq!(push_to(&estate, "acme", "adopted").succeeded().remote().len(), 1);
    let outcome = estate.scanned();
    assert_eq!((&outcome["changes"], &outcome["covered"]), (&json!([]), &json!([])), "{outcome}");
    assert_eq!(estate.decided().len(), before + 1);
    assert_eq!(estate.sandbox.troubles(), [""; 0]);
    // A person reads it too.
    for name in ["corp/two words.git", "acme/shop.wiki.git", "corp/größe.git"] {
        let other = copy(&estate, name);
        let ran = estate.scan(&[]);
        assert!(
            ran.succeeded().stdout.contains(&format!("covered  {}\n", other.display())),
            "{}",
            ran.stdout
        );
    }
    // A pull mirror has no hooks of Gitea's until it becomes an ordinary repository.
    let mirror = copy(&estate, "corp/mirror.git");
    fs::remove_dir_all(mirror.join("hooks")).expect("removed");
    fs::create_dir(mirror.join("hooks")).expect("a directory");
    estate.hand_over();
    assert_eq!(estate.scanned()["covered"], paths(&[&mirror]));
    estate.regenerate("corp/mirror.git");
    assert_eq!(push_to(&estate, "corp", "mirror").succeeded().remote().len(), 1);
}

#[test]
fn clone_gets_the_hook_for_ref_changes_too() {
    let estate = scanned_once(&["--ref-hook"]);
    let cloned = estate.path("git/acme/cloned.git");
    let mut git = estate.command("git");
    without_gitea(&mut git);
    git.env("HOME", "/nonexistent").args(["clone", "-q", "--bare"]).arg(estate.sandbox.bare()).arg(&cloned);
    estate.sandbox.run(&mut git, b"").succeeded();
    // With it, the built-in policy would see a fork.
    let mut git = estate.command("git");
    estate.sandbox.run(git.current_dir(&cloned).args(["remote", "remove", "origin"]), b"").succeeded();
    fs::create_dir_all(cloned.join("hooks")).expect("a directory");
    estate.hand_over();
    assert_eq!(estate.scanned()["covered"], paths(&[&cloned]));
    // Gitea adopts it.
    estate.regenerate("acme/cloned.git");
    let before = estate.decided().len();
    assert_eq!(push_to(&estate, "acme", "cloned").succeeded().remote().len(), 1);
    assert_eq!(estate.decided().len(), before + 1);
    let mut git = estate.command("git");
    without_gitea(&mut git);
    estate.sandbox.run(git.current_dir(&cloned).args(["tag", "v1.0.0", "main"]), b"").said_nothing();
    wait_until("the tag is decided", || estate.decided().len() == before + 2);
    assert_eq!(estate.scanned()["changes"], json!([]));
    // Nothing is left of it.
    estate.uninstall(&[]).succeeded();
    assert!(!cloned.join("hooks/reference-transaction").exists());
    assert!(!estate.wrapper("acme/cloned.git").exists());
}

#[test]
fn other_repository_in_the_place_of_one_is_covered() {
    let estate = scanned_once(&[]);
    let bare = estate.sandbox.bare();
    // Renamed.
    let renamed = estate.path("git/acme/renamed.git");
    fs::rename(&bare, &renamed).expect("renamed");
    strip(&renamed);
    let outcome = estate.scanned();
    assert_eq!((&outcome["first_seen"], &outcome["covered"]), (&0.into(), &paths(&[&renamed])), "{outcome}");
    fs::rename(&renamed, &bare).expect("renamed");
    assert_eq!(estate.scanned()["covered"], json!([]));
    // Restored from a copy.
    let saved = copy(&estate, "acme/saved");
    fs::remove_dir_all(&bare).expect("removed");
    fs::rename(&saved, &bare).expect("renamed");
    let outcome = estate.scanned();
    assert_eq!((&outcome["made_again"], &outcome["covered"]), (&json!([]), &paths(&[&bare])), "{outcome}");
    // Restored after a scan saw that it was gone.
    let saved = copy(&estate, "acme/saved");
    fs::remove_dir_all(&bare).expect("removed");
    assert_eq!(estate.scanned()["gone"].as_array().map(Vec::len), Some(1));
    fs::rename(&saved, &bare).expect("renamed");
    assert_eq!(estate.scanned()["covered"], paths(&[&bare]));
    // Made again.
    fs::remove_dir_all(&bare).expect("removed");
    let mut git = estate.command("git");
    git.env("HOME", "/nonexistent").args(["init", "-q", "--bare"]).arg(&bare);
    estate.sandbox.run(&mut git, b"").succeeded();
    estate.repository("acme/shop.git");
    estate.hand_over();
    let outcome = estate.scanned();
    assert_eq!(outcome["covered"], paths(&[&bare]), "{outcome}");
    assert_eq!(push_to(&estate, "acme", "shop").succeeded().remote().len(), 1);
}

#[test]
fn nothing_is_covered_where_install_uses_no_template() {
    let estate = scanned_once(&[]);
    let newer = estate.git_that_says("2.55.0");
    let mut nth = 0;
    let mut stays = |what: &str| {
        nth += 1;
        let copied = copy(&estate, &format!("acme/copied{nth}.git"));
        let before = estate.lasting("git");
        let outcome = estate.scanned();
        let seen = (&outcome["first_seen"], &outcome["covered"], &outcome["uncovered"]);
        assert_eq!(seen, (&1.into(), &json!([]), &json!([])), "{what}");
        assert_same(&before, &estate.lasting("git"), what);
        fs::remove_dir_all(copied).expect("removed");
    };
    // The administrator took the wrapper out of the template.
    let template = estate.home().join("gitea-lightstep-template/hooks/post-receive.d/gitea-lightstep");
    fs::remove_file(&template).expect("removed");
    stays("template without the wrapper");
    fs::write(&template, "#!/bin/sh\n# another\n").expect("written");
    stays("template with another file");
    fs::remove_dir_all(estate.home().join("gitea-lightstep-template")).expect("removed");
    stays("template that is gone");
    estate.install(&["--git", &newer]).succeeded();
    stays("config hook");
    estate.install(&[]).succeeded();
    estate.uninstall(&[]).succeeded();
    stays("uninstalled");
    estate.install(&["--repository", "acme/shop"]).succeeded();
    stays("one repository");
}

#[test]
fn excluded_repository_stays_out() {
    let estate = scanned_once(&[]);
    let copied = copy(&estate, "acme/copied.git");
    let config = |value: &str| {
        let mut git = estate.command("git");
        git.current_dir(&copied).args(["config", "hook.gitea-lightstep.enabled", value]);
        estate.sandbox.run(&mut git, b"").succeeded();
    };
    config("false");
    assert_eq!(estate.scanned()["covered"], json!([]));
    assert!(!estate.wrapper("acme/copied.git").exists());
    config("true");
    assert_eq!(estate.scanned()["covered"], paths(&[&copied]));
}

#[test]
fn repositories_that_cannot_be_covered_are_named() {
    let estate = scanned_once(&["--ref-hook"]);
    for name in ["fine", "foreign", "linked", "readonly", "refs"] {
        copy(&estate, &format!("acme/{name}.git"));
    }
    let dir = |name: &str| format!("git/acme/{name}.git/hooks/post-receive.d");
    estate.sandbox.executable(&format!("{}/gitea-lightstep", dir("foreign")), "#!/bin/sh\n# another\n");
    symlink("/nonexistent", estate.path(&dir("linked")).join("gitea-lightstep")).expect("a link");
    estate.sandbox.executable("git/acme/refs.git/hooks/reference-transaction", "#!/bin/sh\n# another\n");
    estate.hand_over();
    estate.take_from_user(&estate.path(&dir("readonly")));
    estate.git_for_pages("git", &["tag", "v1.0.0", "main"], b"").said_nothing();
    let ran = estate.scan(&["--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let outcome: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(outcome["first_seen"], 5, "{outcome}");
    let covered = outcome["covered"].as_array().expect("a list");
    assert!(covered.contains(&json!(estate.path("git/acme/fine.git").display().to_string())), "{outcome}");
    let uncovered: Vec<String> = outcome["uncovered"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| format!("{} {}", one["git_dir"].as_str().expect("a path"), one["why"]))
        .collect();
    for (name, why) in [
        ("foreign", "is not ours"),
        ("linked", "is a symbolic link"),
        ("readonly", "Permission denied"),
        ("refs", "`reference-transaction` is not ours"),
    ] {
        let is_named = |line: &&String| line.contains(&format!("/{name}.git ")) && line.contains(why);
        assert_eq!(uncovered.iter().filter(is_named).count(), 1, "{name}: {uncovered:?}");
    }
    assert_eq!(uncovered.len(), 4, "{uncovered:?}");
    assert!(estate.wrapper("acme/refs.git").exists());
    let text = fs::read_to_string(estate.wrapper("acme/foreign.git")).expect("the file");
    assert_eq!(text, "#!/bin/sh\n# another\n");
    // The next scan has nothing to say, and the tag is marked once.
    let outcome = estate.scanned();
    assert_eq!((&outcome["covered"], &outcome["uncovered"]), (&json!([]), &json!([])), "{outcome}");
    wait_until("the tag is decided", || estate.decided().contains(&"refs/tags/v1.0.0".into()));
}

#[test]
fn foreign_template_and_linked_root_are_used() {
    let estate = Estate::new();
    estate.sandbox.write("templates/description", "Unnamed");
    fs::write(
        estate.git_config(),
        format!("[init]\n\ttemplateDir = {}\n", estate.path("templates").display()),
    )
    .expect("written");
    fs::rename(estate.path("git"), estate.path("real")).expect("renamed");
    estate.link(estate.path("real"), "git");
    estate.hand_over();
    estate.install(&[]).succeeded();
    assert_eq!(estate.scanned()["first_seen"], 1);
    copy(&estate, "acme/copied.git");
    assert_eq!(estate.scanned()["covered"], paths(&[&estate.path("real/acme/copied.git")]));
    assert!(estate.wrapper("acme/copied.git").exists());
}
