//! `install` and `uninstall` on a Gitea with repositories in every state, as root and as Gitea's
//! user: install twice, push, and uninstall to the original state.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
};

use serde_json::Value;

use crate::support::{
    Ran, assert_as_it_is,
    estate::{Estate, Tree, assert_same},
    host::proposed_for,
};

/// Adds 300 repositories in every possible state.
fn in_every_state(estate: &Estate) {
    for nth in 0..250 {
        estate.repository(&format!("owner{}/repository{nth}.git", nth % 7));
    }
    for (nth, name) in [
        "acme/shop.wiki.git",
        "acme/.profile.git",
        "acme/two words.git",
        "acme/it's \"quoted\".git",
        "acme/größe.git",
        "acme/$(id);`id`.git",
        "a.b/..c...git",
        "-f/-rf.git",
    ]
    .into_iter()
    .enumerate()
    {
        estate.repository(name);
        // The user's own hooks, one with the name that Gitea's web interface uses.
        if nth % 2 == 0 {
            estate
                .sandbox
                .executable(&format!("git/{name}/hooks/post-receive.d/post-receive"), "#!/bin/sh\nexit 0\n");
            estate
                .sandbox
                .executable(&format!("git/{name}/hooks/post-receive.d/zz own"), "#!/bin/sh\nexit 3\n");
        }
    }
    let plain = estate.repository("bytes/plain.git");
    fs::rename(plain, estate.path("git/bytes").join(OsStr::from_bytes(b"caf\xe9.git"))).expect("renamed");
    for nth in 0..30 {
        // A pull mirror does not have Gitea's hooks.
        estate.sandbox.write(&format!("git/mirrors/mirror{nth}.git/HEAD"), "ref: refs/heads/main\n");
        if nth % 2 == 0 {
            fs::create_dir_all(estate.path(&format!("git/mirrors/mirror{nth}.git/hooks")))
                .expect("a directory");
        }
    }
    // Symbolic links at each level that lead to a valid repository.
    estate.repository("planted/target.git");
    fs::rename(estate.path("git/planted"), estate.path("elsewhere")).expect("renamed");
    let target = estate.path("elsewhere/target.git");
    estate.link(estate.path("elsewhere"), "git/linked-owner");
    for name in ["repository", "hooks", "dir", "file"] {
        estate.repository(&format!("links/{name}.git"));
    }
    let replace = |name: &str, target: &Path| {
        let place = estate.path("git/links").join(name);
        if place.is_dir() {
            fs::remove_dir_all(&place).expect("removed");
        }
        estate.link(target, &format!("git/links/{name}"));
    };
    replace("repository.git", &target);
    replace("hooks.git/hooks", &target.join("hooks"));
    replace("dir.git/hooks/post-receive.d", &target.join("hooks/post-receive.d"));
    replace("file.git/hooks/post-receive.d/gitea-lightstep", &target.join("hooks/post-receive.d/gitea"));
    estate.repository("links/dangling.git");
    replace("dangling.git/hooks/post-receive.d/gitea-lightstep", Path::new("/nonexistent"));
    // Files and directories that are not repositories.
    estate.sandbox.write("git/gitconfig", "");
    estate.sandbox.write("git/acme/file.git", "");
    estate.sandbox.write("git/acme/no repository/hooks/post-receive.d/gitea", "");
    // Foreign files, and a directory, under the name of our wrapper.
    estate.repository("foreign/file.git");
    estate
        .sandbox
        .executable("git/foreign/file.git/hooks/post-receive.d/gitea-lightstep", "#!/bin/sh\n# another\n");
    estate.repository("foreign/large.git");
    estate.sandbox.write("git/foreign/large.git/hooks/post-receive.d/gitea-lightstep", "#\n".repeat(20_000));
    estate.repository("foreign/directory.git");
    fs::create_dir(estate.wrapper("foreign/directory.git")).expect("a directory");
    estate.hand_over();
    let readonly = estate.repository("owner0/readonly.git").join("hooks/post-receive.d");
    estate.hand_over();
    estate.take_from_user(&readonly);
}

/// Repositories of [`in_every_state`] that `install` skips, with the reason.
const SKIPPED: [(&str, &str); 10] = [
    ("foreign/directory.git/hooks/post-receive.d/gitea-lightstep", "is not a file"),
    ("foreign/file.git/hooks/post-receive.d/gitea-lightstep", "is not ours"),
    ("foreign/large.git/hooks/post-receive.d/gitea-lightstep", "is not ours"),
    ("linked-owner", "is a symbolic link"),
    ("links/dangling.git/hooks/post-receive.d/gitea-lightstep", "is a symbolic link"),
    ("links/dir.git/hooks/post-receive.d", "is a symbolic link"),
    ("links/file.git/hooks/post-receive.d/gitea-lightstep", "is a symbolic link"),
    ("links/hooks.git/hooks", "is a symbolic link"),
    ("links/repository.git", "is a symbolic link"),
    ("owner0/readonly.git/hooks/post-receive.d", "failed to write to `post-receive.d`: Permission denied"),
];

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {}{}", ran.stdout, ran.stderr))
}

#[test]
fn repositories_in_every_state_are_covered_and_restored() {
    let estate = Estate::new();
    fs::write(estate.git_config(), "[user]\n\tname = Gitea").expect("written");
    in_every_state(&estate);
    let before = (estate.seen("git"), estate.seen("data"), estate.seen("elsewhere"));
    let user = estate.uid();

    let ran = estate.install(&["--json"]);
    assert_eq!(ran.code, Some(1), "not every repository could be covered: {}", ran.stderr);
    let said = json(&ran);
    let repositories = &said["repositories"];
    let root = estate.path("git").display().to_string();
    let skipped: Vec<_> = repositories["skipped"].as_array().expect("a list").iter().collect();
    let mut names: Vec<_> = skipped
        .iter()
        .map(|skipped| {
            let path = skipped["path"].as_str().expect("text");
            (path.strip_prefix(&format!("{root}/")).expect("below").to_string(), skipped["why"].to_string())
        })
        .collect();
    names.sort();
    assert_eq!(names.len(), SKIPPED.len(), "{names:#?}");
    for ((path, why), (expected, reason)) in names.iter().zip(SKIPPED) {
        assert!(path == expected && why.contains(reason), "{path}: {why}, expected {expected}: {reason}");
    }
    // 250 normal repositories, eight with odd names, one whose name is not UTF-8, acme/shop, and 15 pull
    // mirrors. 15 more have no hooks at all.
    assert_eq!(
        (&repositories["changed"], &repositories["without_delegate"]),
        (&275.into(), &30.into()),
        "{said}"
    );
    assert_eq!((said["way"].as_str(), said["problems"].as_array().map(Vec::len)), (Some("files"), Some(0)));

    // Each repository has the complete wrapper, executable by all users and owned by Gitea's user.
    // Nothing else is new, and existing files are unchanged.
    let mut installed = estate.seen("git");
    let wrapper = fs::read(estate.wrapper("acme/shop.git")).expect("the wrapper");
    let mut count = 0;
    installed.retain(|path, seen| {
        let is_new = !before.0.contains_key(path);
        if is_new && path.starts_with("mirrors") && path.ends_with("hooks/post-receive.d") {
            assert!(seen.mode & 0o7777 == 0o755 && seen.uid == user, "{}", path.display());
        } else if is_new {
            assert!(path.ends_with("hooks/post-receive.d/gitea-lightstep"), "{}", path.display());
            assert!(
                seen.content == wrapper && seen.mode & 0o7777 == 0o755 && seen.uid == user,
                "{}",
                path.display()
            );
            count += 1;
        }
        // A new entry changes the modification time of its directory.
        if seen.mode & 0o170_000 == 0o040_000 {
            seen.modified = before.0.get(path).map_or((0, 0), |seen| seen.modified);
        }
        !is_new
    });
    assert_eq!(count, 275);
    assert_same(&before.0, &installed, "files from before the installation");
    assert_same(&before.2, &estate.seen("elsewhere"), "nothing was written through a link");
    assert!(estate.seen("data").values().all(|seen| seen.uid == user));

    // The second run changes nothing, including modification times.
    let (git, data) = (estate.seen("git"), estate.seen("data"));
    let again = json(&estate.install(&["--json"]));
    assert_eq!(
        (&again["repositories"]["changed"], &again["repositories"]["unchanged"]),
        (&0.into(), &275.into())
    );
    assert_eq!(
        (&again["git_config"]["changed"], &again["template"]["changed"]),
        (&false.into(), &false.into())
    );
    assert_same(&git, &estate.seen("git"), "the repositories");
    assert_same(&data, &estate.seen("data"), "git's home");

    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    for repository in ["acme/shop.git", "acme/it's \"quoted\".git", "owner3/repository3.git"] {
        estate.regenerate(repository);
    }
    let readonly = estate.path("git/owner0/readonly.git/hooks/post-receive.d");
    estate.take_from_user(&readonly);
    estate.commit("Two");
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    assert_eq!(estate.sandbox.waiting("unassigned").len(), 2, "each push has one marker");
    // A new repository gets the wrapper from the template.
    let mut git = estate.command("git");
    git.args(["init", "-q", "--bare", "git/acme/new.git"]);
    estate.sandbox.run(&mut git, b"").succeeded();
    assert_eq!(fs::read(estate.wrapper("acme/new.git")).expect("the wrapper"), wrapper);
    fs::remove_dir_all(estate.path("git/acme/new.git")).expect("removed");
    // An adopted repository gets it from the next run of `install`.
    estate.repository("acme/adopted.git");
    estate.hand_over();
    estate.take_from_user(&readonly);
    assert_eq!(json(&estate.install(&["--json"]))["repositories"]["changed"], 1);
    fs::remove_dir_all(estate.path("git/acme/adopted.git")).expect("removed");

    let ran = estate.uninstall(&[]);
    assert_eq!((ran.succeeded().code, ran.stderr.as_str()), (Some(0), ""));
    let settled = |mut seen: Tree| {
        // Ignore what git wrote for the pushes.
        seen.retain(|path, _| path.starts_with("acme/shop.git/hooks") || !path.starts_with("acme/shop.git"));
        seen.values_mut().for_each(|seen| seen.modified = (0, 0));
        seen
    };
    assert_same(&settled(before.0), &settled(estate.seen("git")), "the repositories, after uninstall");
    assert_same(&settled(before.1), &settled(estate.seen("data")), "git's home, after uninstall");
    estate.commit("Three");
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 0);
    assert_eq!(estate.sandbox.waiting("unassigned").len(), 2, "uninstall keeps the state");
}

impl Estate {
    /// Compares the output of a run with a golden file.
    #[track_caller]
    fn read_by_a_person(&self, name: &str, ran: &Ran) {
        let text = format!("{}{}exit status {}\n", ran.stdout, ran.stderr, ran.code.unwrap_or(-1));
        let text = text.replace(&format!("user {}", self.user()), "user USER");
        // Root runs git for Gitea's user.
        let text = text.replace(&format!("`runuser -u {} -- git ", self.user()), "`git ");
        assert_as_it_is(&self.sandbox, &format!("install/{name}.txt"), &text);
    }
}

#[test]
fn text_output_matches_the_golden_files() {
    let estate = Estate::new();
    for nth in 0..5 {
        estate.repository(&format!("acme/repository{nth}.git"));
        estate.repository(&format!("acme/link{nth}.git"));
        fs::remove_dir_all(estate.path(&format!("git/acme/link{nth}.git/hooks"))).expect("removed");
        estate.link("/tmp", &format!("git/acme/link{nth}.git/hooks"));
    }
    estate.sandbox.write("git/acme/mirror.git/HEAD", "");
    estate.hand_over();
    let untouched = (estate.seen("git"), estate.seen("data"));
    estate.read_by_a_person("files-dry-run", &estate.install(&["--dry-run"]));
    assert_same(&untouched.0, &estate.seen("git"), "a dry run");
    assert_same(&untouched.1, &estate.seen("data"), "a dry run");
    estate.read_by_a_person("files", &estate.install(&[]));
    estate.read_by_a_person("files-again-verbose", &estate.install(&["-v"]));
    estate
        .sandbox
        .executable("git/acme/repository0.git/hooks/reference-transaction", "#!/bin/sh\n# another\n");
    estate.hand_over();
    estate.read_by_a_person("files-ref-hook", &estate.install(&["--ref-hook"]));
    let quiet = estate.install(&["-q"]);
    assert!(quiet.stdout.is_empty() && quiet.stderr.contains("skipped"), "{}{}", quiet.stdout, quiet.stderr);

    let newer = estate.git_that_says("2.55.0");
    let untouched = (estate.seen("git"), estate.seen("data"));
    estate.read_by_a_person("config-dry-run", &estate.install(&["--git", &newer, "--dry-run"]));
    assert_same(&untouched.0, &estate.seen("git"), "a dry run");
    assert_same(&untouched.1, &estate.seen("data"), "a dry run");
    estate.read_by_a_person("config", &estate.install(&["--git", &newer]));
    estate.read_by_a_person("config-again", &estate.install(&["--git", &newer]));
    estate.read_by_a_person(
        "config-repository",
        &estate.install(&["--git", &newer, "--repository", "acme/shop"]),
    );
    estate.read_by_a_person("uninstall-dry-run", &estate.uninstall(&["--dry-run"]));
    estate.read_by_a_person("uninstall-repository", &estate.uninstall(&["--repository", "acme/shop"]));
    estate.read_by_a_person("uninstall-config", &estate.uninstall(&[]));
    estate.install(&[]).succeeded_or_found();
    estate.read_by_a_person("uninstall-files", &estate.uninstall(&[]));
    estate.read_by_a_person("uninstall-again", &estate.uninstall(&[]));
    for command in ["install", "uninstall"] {
        let help = estate.sandbox.run(&mut estate.lightstep(&[command, "--help"]), b"");
        assert_as_it_is(&estate.sandbox, &format!("install/{command}-help.txt"), &help.succeeded().stdout);
    }
}

#[test]
fn wrapper_and_config_hook_replace_each_other() {
    let estate = Estate::new();
    fs::write(estate.git_config(), "[core]\n\tbare = true\n").expect("written");
    estate.hand_over();
    let before = (estate.lasting("git"), fs::read(estate.git_config()).expect("the file"));
    let newer = estate.git_that_says("2.54.0");
    let wrapper = estate.wrapper("acme/shop.git");
    let template = estate.home().join("gitea-lightstep-template");
    let config = || fs::read_to_string(estate.git_config()).expect("the file");

    estate.install(&[]).succeeded();
    assert!(
        wrapper.exists()
            && template.exists()
            && config().contains("templateDir")
            && !config().contains("[hook")
    );
    estate.install(&["--git", &newer]).succeeded();
    assert!(!wrapper.exists() && !template.exists() && !config().contains("templateDir"));
    let (binary, lightstep) = (estate.path("bin/gitea-lightstep"), estate.path("config.toml"));
    let block = format!(
        "[core]\n\tbare = true\n\
         # gitea-lightstep: begin. Made by `gitea-lightstep install`; `gitea-lightstep uninstall` takes it out.\n\
         [hook \"gitea-lightstep\"]\n\
         \tcommand = \"test ! -x '{0}' || '{0}' hook --config '{1}' --state-dir '{2}'; :\"\n\
         \tevent = post-receive\n\
         [hook \"gitea-lightstep-refs\"]\n\
         \tcommand = \"test \\\"$1$GITEA_REPO_ID\\\" != committed || test ! -x '{0}' || '{0}' hook \
         --reference-transaction --config '{1}' >/dev/null 2>&1; :\"\n\
         \tevent = reference-transaction\n\
         # gitea-lightstep: end.\n",
        binary.display(),
        lightstep.display(),
        estate.sandbox.state().display()
    );
    assert_eq!(config(), block);
    let unchanged = estate.seen("data");
    estate.install(&["--git", &newer]).succeeded();
    assert_same(&unchanged, &estate.seen("data"), "the second run");

    estate.install(&[]).succeeded();
    assert!(wrapper.exists() && template.exists() && !config().contains("[hook"));
    estate.install(&["--git", &newer]).succeeded();
    estate.uninstall(&[]).succeeded();
    assert_same(&before.0, &estate.lasting("git"), "after uninstall");
    assert_eq!(fs::read(estate.git_config()).expect("the file"), before.1);
}

#[test]
fn existing_template_directory_is_extended_and_restored() {
    let estate = Estate::new();
    estate.sandbox.write("templates/bare/description", "Unnamed");
    estate.sandbox.write("templates/full/hooks/post-receive.d/own", "own");
    estate.sandbox.write("templates/full/hooks/update", "own");
    estate.hand_over();
    for (template, written) in [
        ("templates/bare", estate.path("templates/bare").display().to_string()),
        ("templates/full", "~/../../templates/full".to_string()),
    ] {
        let before = (estate.lasting("templates"), format!("[init]\n\ttemplateDir = {written}\n"));
        fs::write(estate.git_config(), &before.1).expect("written");
        estate.hand_over();
        estate.install(&[]).succeeded();
        let placed = estate.path(template).join("hooks/post-receive.d/gitea-lightstep");
        assert_eq!(fs::metadata(&placed).expect("the wrapper").mode() & 0o777, 0o755);
        assert!(!estate.home().join("gitea-lightstep-template").exists());
        let unchanged = (estate.seen("templates"), estate.seen("data"));
        estate.install(&[]).succeeded();
        assert_same(&unchanged.0, &estate.seen("templates"), "the second run");
        assert_same(&unchanged.1, &estate.seen("data"), "the second run");
        let mut git = estate.command("git");
        git.args(["init", "-q", "--bare", "git/acme/new.git"]);
        estate.sandbox.run(&mut git, b"").succeeded();
        assert!(estate.wrapper("acme/new.git").exists());
        fs::remove_dir_all(estate.path("git/acme/new.git")).expect("removed");
        estate.uninstall(&[]).succeeded();
        assert_same(&before.0, &estate.lasting("templates"), "after uninstall");
        assert_eq!(fs::read_to_string(estate.git_config()).expect("the file"), before.1);
    }

    // A template directory that Gitea is going to set at its next start is used too.
    fs::remove_file(estate.git_config()).expect("removed");
    estate
        .app_ini(&format!("[git.config]\nINIT.templatedir = {}\n", estate.path("templates/bare").display()));
    estate.hand_over();
    let before = estate.lasting("templates");
    estate.install(&[]).succeeded();
    assert!(estate.path("templates/bare/hooks/post-receive.d/gitea-lightstep").exists());
    // When another directory is configured, the wrapper moves there.
    estate
        .app_ini(&format!("[git.config]\nINIT.templatedir = {}\n", estate.path("templates/full").display()));
    estate.install(&[]).succeeded();
    assert!(!estate.path("templates/bare/hooks").exists());
    assert!(estate.path("templates/full/hooks/post-receive.d/gitea-lightstep").exists());
    // Without a configured directory, our own template is used.
    estate.app_ini("");
    estate.install(&[]).succeeded();
    assert_same(&before, &estate.lasting("templates"), "after uninstall");
    assert!(estate.home().join("gitea-lightstep-template").exists());
    estate.uninstall(&[]).succeeded();
    assert_eq!(fs::read_dir(estate.home()).expect("the directory").count(), 0);

    for (written, why) in [
        ("templates", "make it absolute"),
        ("/nonexistent/templates", "`/nonexistent/templates`: No such file or directory"),
    ] {
        fs::write(estate.git_config(), format!("[init]\n\ttemplateDir = {written}\n")).expect("written");
        estate.hand_over();
        let ran = estate.install(&[]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stderr.contains("new repositories are not covered") && ran.stderr.contains(why),
            "{}",
            ran.stderr
        );
        assert!(estate.wrapper("acme/shop.git").exists(), "the other repositories are covered");
    }
}

#[test]
fn one_install_takes_the_place_of_a_later_template_directory() {
    let estate = Estate::new();
    estate.install(&[]).succeeded();
    estate.sandbox.write("templates/description", "Unnamed");
    let block = fs::read_to_string(estate.git_config()).expect("the file");
    let foreign = format!("[init]\n\ttemplateDir = {}\n", estate.path("templates").display());
    for (text, is_ours_last) in [(format!("{block}{foreign}"), false), (format!("{foreign}{block}"), true)] {
        fs::write(estate.git_config(), text).expect("written");
        estate.hand_over();
        for run in ["first", "second"] {
            estate.install(&[]).succeeded();
            let mut git = estate.command("git");
            git.args(["init", "-q", "--bare", "git/acme/new.git"]);
            estate.sandbox.run(&mut git, b"").succeeded();
            assert!(estate.wrapper("acme/new.git").exists(), "{run} run, ours last: {is_ours_last}");
            fs::remove_dir_all(estate.path("git/acme/new.git")).expect("removed");
        }
    }
}

#[test]
fn own_hook_without_giteas_directory_is_left_alone() {
    let estate = Estate::new();
    estate.sandbox.executable("git/own/one.git/hooks/post-receive", "#!/bin/sh\nexit 0\n");
    fs::write(estate.path("git/own/one.git/HEAD"), "ref: refs/heads/main\n").expect("written");
    estate.hand_over();
    let before = estate.lasting("git/own");
    let said = json(&estate.install(&["--json"]));
    assert_eq!(said["repositories"]["without_delegate"], 1, "{said}");
    assert_same(&before, &estate.lasting("git/own"), "after install");
    estate.uninstall(&[]).succeeded();
    assert_same(&before, &estate.lasting("git/own"), "after uninstall");
}

#[test]
fn pull_mirror_is_covered_once_it_is_an_ordinary_repository() {
    let estate = Estate::new();
    let hooks = estate.path("git/acme/shop.git/hooks");
    fs::remove_dir_all(&hooks).expect("removed");
    fs::create_dir(&hooks).expect("a directory");
    estate.hand_over();
    let mirror = estate.lasting("git");
    estate.install(&["--dry-run"]).succeeded();
    assert_same(&mirror, &estate.lasting("git"), "after a dry run");
    estate.install(&[]).succeeded();
    estate.uninstall(&[]).succeeded();
    assert_same(&mirror, &estate.lasting("git"), "after uninstall");

    estate.install(&[]).succeeded();
    estate.regenerate("acme/shop.git");
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    estate.uninstall(&[]).succeeded();
    assert!(hooks.join("post-receive.d/gitea").exists());
}

#[test]
fn excluded_repository_has_no_file() {
    let estate = Estate::new();
    estate.repository("acme/other.git");
    estate.hand_over();
    let switch = |value: &str| {
        let mut git = estate.command("git");
        git.current_dir(estate.sandbox.bare()).args(["config", "hook.gitea-lightstep.enabled", value]);
        estate.sandbox.run(&mut git, b"").succeeded();
    };
    let wrapper = estate.wrapper("acme/shop.git");
    estate.install(&["--ref-hook"]).succeeded();
    let ran = estate.uninstall(&["--repository", "acme/shop"]);
    let proposed = ran.succeeded().stdout.split('`').find(|part| part.contains("git -C "));
    assert!(
        proposed.is_some_and(|line| line.ends_with(" config hook.gitea-lightstep.enabled false")),
        "{ran:?}"
    );
    assert_eq!(json(&estate.install(&["--json"]))["repositories"]["changed"], 2, "it came back");
    switch("false");
    for args in [&["--dry-run"][..], &[], &["--ref-hook"], &["--repository", "acme/shop"]] {
        let ran = estate.install(&[args, &["--json"]].concat());
        ran.succeeded();
        assert_eq!(json(&ran)["repositories"]["excluded"], 1, "{args:?}: {}", ran.stdout);
        assert_eq!(wrapper.exists(), args == ["--dry-run"], "{args:?}");
        assert!(!estate.sandbox.bare().join("hooks/reference-transaction").exists());
    }
    assert!(estate.wrapper("acme/other.git").exists());
    assert_eq!(estate.push(&["main"]).succeeded().remote(), [""; 0]);
    estate.sandbox.executable(&wrapper.display().to_string(), "#!/bin/sh\n# another\n");
    estate.hand_over();
    assert_eq!(json(estate.install(&["--json"]).succeeded())["repositories"]["excluded"], 1);
    assert_eq!(fs::read_to_string(&wrapper).expect("the file"), "#!/bin/sh\n# another\n");
    fs::remove_file(&wrapper).expect("removed");
    switch("true");
    let said = json(&estate.install(&["--json"]));
    assert_eq!(said["repositories"]["excluded"], 0, "{said}");
    assert!(wrapper.exists());
}

#[test]
fn files_belong_to_giteas_user_whoever_installs() {
    let estate = Estate::new();
    // Neither a strict umask nor root's home directory affects the result.
    let mut shell = estate.sandbox.command("sh", Path::new("/"));
    shell.arg("-c").arg("umask 077; exec \"$0\" install \"$@\"").arg(estate.path("bin/gitea-lightstep"));
    let ran = estate.sandbox.run(
        shell
            .args(estate.options())
            .args(estate.with_git(&[]))
            .env("HOME", "/root")
            .env("SECRET", "hush-hush"),
        b"",
    );
    ran.succeeded();
    for (path, seen) in estate.seen("data").into_iter().chain(estate.seen("git")) {
        assert_eq!(seen.uid, estate.uid(), "{}", path.display());
        if path.ends_with("gitea-lightstep") || path.ends_with("post-receive.d") {
            assert_eq!(seen.mode & 0o777, 0o755, "{}", path.display());
        }
    }
    assert_eq!(fs::metadata(estate.git_config()).expect("the file").permissions().mode() & 0o777, 0o644);
    estate.uninstall(&[]).succeeded();

    // Run as Gitea's user.
    let mut own = estate.command(estate.path("bin/gitea-lightstep"));
    estate.sandbox.run(own.arg("install").args(estate.options()).args(estate.with_git(&[])), b"").succeeded();
    assert!(estate.wrapper("acme/shop.git").exists());

    let refused = |args: &[&str], why: &str| {
        let ran = estate.install(args);
        assert_eq!(ran.code, Some(1), "{args:?}");
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
    };
    refused(&["--run-user", "nobody-of-this-name"], "there is no user `nobody-of-this-name` in /etc/passwd");
    let mut other = estate.command(estate.path("bin/gitea-lightstep"));
    let ran =
        estate.sandbox.run(other.arg("install").args(estate.options()).args(["--run-user", "12345"]), b"");
    let fix = format!("run `{}", proposed_for(Some("'#12345'")));
    assert!(ran.stderr.contains(&fix), "{}", ran.stderr);
}
