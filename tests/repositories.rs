//! Which repository a push belongs to, whatever name was typed, and which service that is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Sandbox, recorder::Recorder};

/// Returns the newest marker without a destination.
#[track_caller]
fn newest(sandbox: &Sandbox) -> Value {
    sandbox.waiting("unassigned").pop().expect("a marker")
}

#[test]
fn names_as_typed_are_one_repository_with_one_history() {
    let mut sandbox = Sandbox::new();
    sandbox.configure(
        "[[service]]\nrepository = \"Acme/Casey\"\nname = \"till\"\n\
         [[service]]\nrepository = \"bank/*\"\nname = \"payments\"\n",
    );
    sandbox.rename("git/acme/casey.git");
    sandbox.set("GITEA_REPO_ID", "7");
    for (nth, (owner, name)) in
        [("acme", "Casey"), ("Acme", "casey"), ("acme", "old-name"), ("ACME", "CASEY.wiki")]
            .into_iter()
            .enumerate()
    {
        sandbox.set("GITEA_REPO_USER_NAME", owner);
        sandbox.set("GITEA_REPO_NAME", name);
        sandbox.set("GITEA_REPO_IS_WIKI", "false");
        sandbox.commit(&format!("Change {nth}"), &[]);
        sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
        let deployment = newest(&sandbox);
        assert_eq!(deployment["service"], "till", "{owner}/{name}");
        let decision = sandbox.decisions().pop().expect("a decision");
        assert_eq!(decision["repository"], "acme/casey", "{owner}/{name}");
        // It continues the deployment before, so the range holds one commit.
        let range = &deployment["attributes"]["gitea_lightstep.range.commits"];
        assert_eq!(range.as_i64(), (nth > 0).then_some(1), "{owner}/{name}: {deployment}");
    }
}

#[test]
fn owner_in_another_directory_keeps_the_name_that_gitea_says() {
    let mut sandbox = Sandbox::new();
    sandbox.rename("git/big-disk/shop.git");
    std::os::unix::fs::symlink("big-disk", sandbox.path("git/acme-link")).expect("a link");
    sandbox.set("GITEA_REPO_NAME", "Shop");
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(sandbox.decisions().pop().expect("a decision")["repository"], "acme/shop");
}

#[test]
fn rename_and_transfer_keep_the_history_of_deployments() {
    // The service of the configuration, and the repository's own, whose name changes.
    for services in ["[[service]]\nrepository = \"*/*\"\nname = \"cash\"\n", ""] {
        let mut sandbox = Sandbox::new();
        sandbox.set("GITEA_REPO_ID", "7");
        sandbox.configure(services);
        sandbox.commit("One", &[]);
        sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
        sandbox.rename("git/bank/till.git");
        sandbox.set("GITEA_REPO_USER_NAME", "bank");
        sandbox.set("GITEA_REPO_NAME", "till");
        sandbox.commit("Two", &[]);
        sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
        let marker = newest(&sandbox);
        assert_eq!(marker["attributes"]["gitea_lightstep.range.commits"], 1, "{marker}");
    }
}

#[test]
fn repository_outside_of_gitea_is_its_directory() {
    let mut sandbox = Sandbox::new();
    sandbox.unset("GITEA_");
    sandbox.configure("[[service]]\nrepository = \"*\"\nname = \"till\"\n");
    sandbox.commit("One", &[]);
    sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
    // Another repository of the same name.
    sandbox
        .git_in(&sandbox.path(""), &["clone", "-q", "--mirror", "git/acme/shop.git", "other/acme/shop.git"]);
    sandbox.git_in(&sandbox.path("other/acme/shop.git"), &["config", "receive.advertisePushOptions", "true"]);
    sandbox.git_in(&sandbox.path("other/acme/shop.git"), &["config", "--remove-section", "remote.origin"]);
    std::fs::remove_dir_all(sandbox.path("other/acme/shop.git/hooks")).expect("removed");
    std::os::unix::fs::symlink(sandbox.bare().join("hooks"), sandbox.path("other/acme/shop.git/hooks"))
        .expect("a link");
    sandbox.git(&["remote", "set-url", "origin", &sandbox.path("other/acme/shop.git").display().to_string()]);
    sandbox.commit("Two", &[]);
    sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
    assert_eq!(newest(&sandbox)["attributes"]["gitea_lightstep.range.relation"], "first_deployment");
}

#[test]
fn explain_finds_a_repository_by_present_and_former_names_and_by_path() {
    let mut sandbox = Sandbox::new();
    sandbox.set("GITEA_REPO_ID", "7");
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.rename("git/bank/till.git");
    sandbox.set("GITEA_REPO_USER_NAME", "bank");
    sandbox.set("GITEA_REPO_NAME", "till");
    sandbox.push(&["main:refs/heads/two"]).succeeded();
    let path = sandbox.path("git/bank/till.git").display().to_string();
    std::os::unix::fs::symlink(&path, sandbox.path("link.git")).expect("a link");
    let link = sandbox.path("link.git").display().to_string();
    for repository in ["acme/shop", "ACME/Shop", "bank/till", "Bank/TILL.git", &path, &link] {
        for branch in ["main", "two"] {
            let explained = sandbox.binary(&["explain", repository, branch]);
            let update = format!("refs/heads/{branch}");
            assert!(explained.succeeded().stdout.contains(&update), "{repository}: {}", explained.stdout);
        }
        let json = sandbox.binary(&["explain", repository, "--json"]);
        let json: Value = serde_json::from_str(&json.succeeded().stdout).expect("JSON");
        assert_eq!(json["repository"], "bank/till", "{repository}");
    }
    // Another repository gets the old name.
    sandbox.git_in(&sandbox.path(""), &["clone", "-q", "--mirror", "git/bank/till.git", "git/acme/shop.git"]);
    sandbox.git_in(&sandbox.bare(), &["config", "--remove-section", "remote.origin"]);
    std::fs::remove_dir_all(sandbox.bare().join("hooks")).expect("removed");
    std::os::unix::fs::symlink(sandbox.path("git/bank/till.git/hooks"), sandbox.bare().join("hooks"))
        .expect("a link");
    sandbox.git(&["remote", "set-url", "origin", &sandbox.bare().display().to_string()]);
    sandbox.set("GITEA_REPO_USER_NAME", "acme");
    sandbox.set("GITEA_REPO_NAME", "shop");
    sandbox.set("GITEA_REPO_ID", "8");
    sandbox.push(&["main:refs/heads/three"]).succeeded();
    let found = |repository: &str, branch: &str| sandbox.binary(&["explain", repository, branch]).code;
    assert_eq!([found("acme/shop", "three"), found("acme/shop", "main")], [Some(0), Some(1)]);
    assert_eq!([found("bank/till", "three"), found("bank/till", "main")], [Some(1), Some(0)]);
}

#[test]
fn explain_finds_a_plain_repository_by_its_directory() {
    let mut sandbox = Sandbox::new();
    sandbox.unset("GITEA_");
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    for repository in ["shop", "acme/shop", "git/acme/shop.git", &sandbox.bare().display().to_string()] {
        let explained = sandbox.binary(&["explain", repository]);
        assert!(
            explained.succeeded().stdout.contains("refs/heads/main"),
            "{repository}: {}",
            explained.stdout
        );
    }
}

/// Pushes a change and returns the attributes of the resource that it is delivered with.
fn resource(sandbox: &Sandbox, recorder: &Recorder) -> BTreeMap<String, String> {
    let before = recorder.requests().len();
    sandbox.commit("A change", &[]);
    sandbox.push(&["main"]).succeeded();
    let request = recorder.wait_for(before + 1).remove(before);
    let json: Value = serde_json::from_slice(&request.body).expect("JSON");
    let attributes = json["resourceLogs"][0]["resource"]["attributes"].as_array().expect("attributes");
    let text = |value: &Value| value.as_str().expect("text").to_string();
    let pair = |attribute: &Value| (text(&attribute["key"]), text(&attribute["value"]["stringValue"]));
    attributes.iter().map(pair).collect()
}

#[test]
fn namespace_is_the_owner_or_what_the_configuration_says() {
    let recorder = Recorder::start([]);
    let sandbox = Sandbox::new();
    let services = "[[service]]\nrepository = \"acme/shop\"\nname = \"till\"\n";
    for (site, service, expected) in [
        ("", "", Some("acme")),
        ("namespace = \"owner\"", "", Some("acme")),
        ("namespace = \"none\"", "", None),
        ("namespace = \"retail\"", "", Some("retail")),
        ("namespace = \"none\"", "namespace = \"owner\"", Some("acme")),
        ("", "namespace = \"till team\"", Some("till team")),
        ("", "namespace = \"none\"", None),
    ] {
        sandbox.deliver_to(
            &recorder.endpoint(),
            &format!("protocol = \"http/json\"\ncompression = \"none\"\n{services}{service}\n"),
        );
        let config = std::fs::read_to_string(sandbox.path("config.toml")).expect("the configuration");
        sandbox.write("config.toml", format!("{site}\n{config}"));
        let found = resource(&sandbox, &recorder);
        assert_eq!(found.get("service.namespace").map(String::as_str), expected, "{site} {service}");
        // A build reports the same.
        let printed = sandbox.binary(&["resource", "git/acme/shop.git", "main", "--json"]);
        let printed: Value = serde_json::from_str(&printed.succeeded().stdout).expect("JSON");
        assert_eq!(printed["attributes"]["service.namespace"].as_str(), expected, "{printed}");
    }
    for (text, why) in
        [("\" \"", "`namespace` is empty"), ("\"a\\u200bb\"", "visible characters"), ("7", "string")]
    {
        sandbox.configure(services);
        let config = std::fs::read_to_string(sandbox.path("config.toml")).expect("the configuration");
        sandbox.write("config.toml", format!("namespace = {text}\n{config}"));
        let checked = sandbox.binary(&["check"]);
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(checked.code == Some(1) && said.contains(why) && said.contains("config.toml:1:"), "{said}");
    }
}

/// Forks the bare repository as Gitea does, with these additional arguments of `git clone`, and makes
/// the clone push to it.
fn fork(sandbox: &mut Sandbox, args: &[&str]) {
    std::fs::create_dir_all(sandbox.path("git/casey")).expect("a directory");
    let (parent, fork) = (sandbox.bare(), sandbox.path("git/casey/shop.git"));
    let path = |path: &std::path::Path| path.display().to_string();
    sandbox.git_in(
        &sandbox.path(""),
        &[&["clone", "-q", "--bare"], args, &[&path(&parent), &path(&fork)]].concat(),
    );
    sandbox.git_in(&fork, &["config", "receive.advertisePushOptions", "true"]);
    std::fs::remove_dir_all(fork.join("hooks")).expect("removed");
    std::os::unix::fs::symlink(parent.join("hooks"), fork.join("hooks")).expect("a link");
    sandbox.git(&["remote", "set-url", "origin", &path(&fork)]);
    sandbox.set("GITEA_REPO_USER_NAME", "casey");
    sandbox.set("GITEA_REPO_ID", "43");
}

#[test]
fn fork_marks_nothing_unless_it_is_named() {
    for args in [&[][..], &["--shared"], &["--single-branch", "--branch", "main"]] {
        let mut sandbox = Sandbox::new();
        sandbox.commit("One", &[]);
        sandbox.push(&["main"]).succeeded();
        fork(&mut sandbox, args);
        let count = sandbox.waiting("unassigned").len();
        // A pattern for all repositories of an owner does not name this one.
        sandbox.configure("[[service]]\nrepository = \"casey/*\"\nname = \"till\"\n");
        sandbox.commit("Two", &[]);
        sandbox.git(&["tag", "v1.0.0"]);
        sandbox.push(&["-o", "deploy=production", "main", "v1.0.0"]).succeeded();
        assert_eq!(sandbox.waiting("unassigned").len(), count, "{args:?}");
        for decision in sandbox.decisions().iter().rev().take(2) {
            assert_eq!(decision["outcome"], "skipped");
            assert_eq!(
                decision["why"],
                "a fork of acme/shop marks nothing; to change that, add a [[service]] with repository = \
                 \"casey/shop\"",
                "{args:?}"
            );
        }
        let explained = sandbox.binary(&["explain", "casey/shop", "v1.0.0"]);
        assert!(explained.succeeded().stdout.contains("a fork of acme/shop"), "{}", explained.stdout);
        sandbox.configure("[[service]]\nrepository = \"Casey/Shop\"\nname = \"till\"\n");
        sandbox.commit("Three", &[]);
        sandbox.push(&["main"]).succeeded();
        assert_eq!(newest(&sandbox)["service"], "till", "{args:?}");
        // A script of the repository names it too.
        sandbox.configure("[policy]\nscripts = \"scripts\"\n");
        sandbox.write(
            "scripts/casey/shop.rhai",
            "fn enrich(marker, update) { marker.service = \"kasse\"; marker }",
        );
        sandbox.commit("Four", &[]);
        sandbox.push(&["main"]).succeeded();
        assert_eq!(newest(&sandbox)["service"], "kasse", "{args:?}");
    }
}

#[test]
fn fork_of_a_renamed_repository_is_still_a_fork() {
    let mut sandbox = Sandbox::new();
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    fork(&mut sandbox, &[]);
    let count = sandbox.waiting("unassigned").len();
    std::fs::remove_file(sandbox.path("git/casey/shop.git/hooks")).expect("removed");
    std::fs::rename(sandbox.bare().join("hooks"), sandbox.path("git/casey/shop.git/hooks")).expect("moved");
    std::fs::rename(sandbox.bare(), sandbox.path("git/acme/till.git")).expect("renamed");
    sandbox.commit("Two", &[]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(sandbox.waiting("unassigned").len(), count);
}

#[test]
fn clone_from_elsewhere_is_no_fork() {
    for origin in [
        "https://git.example.org/acme/shop.git",
        "git@git.example.org:acme/shop.git",
        "file:///srv/shop.git",
        "/srv/git/acme/shop.git",
        "../acme/other.git",
        "HERE",
        "ROOT/casey/a.txt",
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.commit("One", &[]);
        sandbox.push(&["main"]).succeeded();
        fork(&mut sandbox, &[]);
        let count = sandbox.waiting("unassigned").len();
        let bare = sandbox.path("git/casey/shop.git");
        let root = sandbox.path("git").display().to_string();
        let origin = origin.replace("HERE", &bare.display().to_string()).replace("ROOT", &root);
        sandbox.git_in(&bare, &["config", "remote.origin.url", &origin]);
        sandbox.commit("Two", &[]);
        sandbox.push(&["main"]).succeeded();
        assert_eq!(sandbox.waiting("unassigned").len(), count + 1, "{origin}");
    }
}

#[test]
fn submodules_links_and_replaced_directories_are_changes_below_them() {
    let sandbox = Sandbox::new();
    let service = |name: &str, path: &str| {
        format!("[[service]]\nrepository = \"*/*\"\nname = \"{name}\"\npaths = [\"{path}\"]\n")
    };
    sandbox.configure(
        &[
            service("checkout", "services/checkout/**"),
            service("source", "services/checkout/src/*.rs"),
            service("any", "services/*/**"),
            service("search", "services/search/**"),
        ]
        .concat(),
    );
    sandbox.commit("Begin", &[("README", "1")]);
    sandbox.push(&["main"]).succeeded();
    let marked = |what: &str| {
        let before = sandbox.waiting("unassigned").len();
        sandbox.git(&["commit", "-q", "-m", what]);
        sandbox.push(&["main"]).succeeded();
        let mut services: Vec<String> = sandbox.waiting("unassigned")[before..]
            .iter()
            .map(|marker| marker["service"].as_str().expect("text").to_string())
            .collect();
        services.sort();
        services
    };
    let module = |id: &str| format!("160000,{},services/checkout", id.repeat(40));
    let below = ["any", "checkout", "source"];
    sandbox.git(&["update-index", "--add", "--cacheinfo", &module("1")]);
    assert_eq!(marked("Add a submodule"), below);
    sandbox.git(&["update-index", "--cacheinfo", &module("2")]);
    assert_eq!(marked("Bump the submodule"), below);
    sandbox.git(&["rm", "-q", "--cached", "services/checkout"]);
    std::fs::create_dir_all(sandbox.path("clone/services")).expect("a directory");
    std::os::unix::fs::symlink("../elsewhere", sandbox.path("clone/services/checkout")).expect("a link");
    sandbox.git(&["add", "services"]);
    assert_eq!(marked("A link in its place"), below);
    std::fs::remove_file(sandbox.path("clone/services/checkout")).expect("removed");
    std::os::unix::fs::symlink("../other", sandbox.path("clone/services/checkout")).expect("a link");
    sandbox.git(&["add", "services"]);
    assert_eq!(marked("Another target"), below);
    std::fs::remove_file(sandbox.path("clone/services/checkout")).expect("removed");
    sandbox.write("clone/services/checkout/src/pay.rs", "1");
    sandbox.git(&["add", "-A", "services"]);
    assert_eq!(marked("A directory in its place"), below);
    std::fs::remove_dir_all(sandbox.path("clone/services/checkout")).expect("removed");
    sandbox.write("clone/services/checkout", "moved");
    sandbox.git(&["add", "-A", "services"]);
    assert_eq!(marked("A file in its place"), below);
    // A plain file is nothing but itself.
    sandbox.write("clone/services/checkout", "moved again");
    sandbox.git(&["add", "-A", "services"]);
    assert_eq!(marked("The file"), [""; 0]);
}

#[test]
fn scripts_match_submodules_as_directories() {
    let sandbox = Sandbox::new();
    sandbox.configure("[policy]\nscripts = \"scripts\"\n");
    sandbox.write(
        "scripts/site.rhai",
        r#"fn decide(update) {
    let paths = update.changed_paths;
    skip(`${paths.any("services/checkout/**")} ${paths.all("services/**")} ${paths.any("services/search/**")} `
        + `${paths.all("**/*.md")} ${paths.any("**/*.md")} ${paths.without("services/checkout/**").len()}`)
}"#,
    );
    sandbox.commit("Begin", &[("README", "1")]);
    sandbox.push(&["main"]).succeeded();
    let module = format!("160000,{},services/checkout", "1".repeat(40));
    sandbox.git(&["update-index", "--add", "--cacheinfo", &module]);
    sandbox.git(&["commit", "-q", "-m", "Add a submodule"]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(sandbox.decisions().pop().expect("a decision")["why"], "true true false false false 0");
}

#[test]
fn first_branch_of_an_empty_repository_is_the_default_branch() {
    for (refs, marked) in [
        (&["main:master"][..], &["master"][..]),
        (&["main:trunk", "main:topic"], &["trunk"]),
        // HEAD names the second one.
        (&["main:topic", "main"], &["main"]),
        (&["main:refs/tags/nightly", "main:refs/notes/x", "main:develop"], &["develop"]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.make_empty();
        sandbox.git_in(&sandbox.bare(), &["symbolic-ref", "HEAD", "refs/heads/main"]);
        sandbox.commit("One", &[]);
        sandbox.push(refs).succeeded();
        let decisions = sandbox.decisions();
        let marked_refs: Vec<&str> = decisions
            .iter()
            .filter(|decision| decision["outcome"] == "marked")
            .map(|decision| decision["ref"].as_str().expect("a ref").rsplit('/').next().expect("a name"))
            .collect();
        assert_eq!(marked_refs, marked, "{refs:?}");
        // It is the first only once. Gitea has moved HEAD by now, but if it did not, nothing is guessed.
        sandbox.push(&["main:refs/heads/later"]).succeeded();
        assert_eq!(
            sandbox.decisions().pop().expect("a decision")["why"],
            "not the default branch",
            "{refs:?}"
        );
    }
}

/// Replaces the bare repository by one with reftables, which has the same hooks.
fn with_reftables(sandbox: &Sandbox) {
    let old = sandbox.path("git/acme/old.git");
    std::fs::rename(sandbox.bare(), &old).expect("renamed");
    sandbox.git_in(
        &sandbox.path(""),
        &["init", "-q", "--bare", "--ref-format=reftable", "-b", "main", "git/acme/shop.git"],
    );
    sandbox.git_in(&sandbox.bare(), &["config", "receive.advertisePushOptions", "true"]);
    std::fs::remove_dir_all(sandbox.bare().join("hooks")).expect("removed");
    std::fs::rename(old.join("hooks"), sandbox.bare().join("hooks")).expect("renamed");
}

#[test]
fn reftable_repository_is_decided_like_any_other() {
    let mut sandbox = Sandbox::new();
    with_reftables(&sandbox);
    sandbox.set("GITEA_REPO_ID", "7");
    sandbox.configure("[[service]]\nrepository = \"*/*\"\nname = \"till\"\nversion = \"describe\"\n");
    sandbox.commit("One", &[]);
    sandbox.git(&["tag", "-a", "-m", "One", "v1.0.0"]);
    sandbox.push(&["main", "v1.0.0"]).succeeded();
    let what = |marker: &Value| {
        ["kind", "service", "version"].map(|key| marker[key].as_str().expect("text").to_string()).join(" ")
    };
    let said: Vec<String> = sandbox.waiting("unassigned").iter().map(what).collect();
    assert_eq!(said, ["change till v1.0.0", "release till 1.0.0"]);
    let two = sandbox.commit("Two", &[]);
    sandbox.push(&["-o", "deploy=prod", "main:refs/heads/env"]).succeeded();
    assert_eq!(what(&newest(&sandbox)), format!("deployment till v1.0.0-1-g{}", &two[..12]));
    sandbox.push(&["main:refs/heads/topic"]).succeeded();
    assert_eq!(sandbox.decisions().pop().expect("a decision")["why"], "not the default branch");
    // The other commands read it too.
    for args in [
        &["try", "git/acme/shop.git"][..],
        &["explain", "git/acme/shop.git", "v1.0.0"],
        &["resource", "git/acme/shop.git", "main"],
        &["resource", "git/acme/shop.git", "v1.0.0"],
        &["resource", "git/acme/shop.git"],
    ] {
        sandbox.binary(args).succeeded();
    }
    let resource = sandbox.binary(&["resource", "git/acme/shop.git", "v1.0.0"]).succeeded().stdout.clone();
    assert!(resource.contains("service.version=1.0.0"), "{resource}");
    let nothing = sandbox.binary(&["resource", "git/acme/shop.git", "nothing"]);
    assert!(nothing.stderr.contains("is not a branch, a tag or a unique prefix"), "{}", nothing.stderr);
}

#[test]
fn first_branch_of_an_empty_reftable_repository_is_the_default_branch() {
    let sandbox = Sandbox::new();
    with_reftables(&sandbox);
    sandbox.commit("One", &[]);
    sandbox.push(&["main:master"]).succeeded();
    assert_eq!(sandbox.decisions().pop().expect("a decision")["outcome"], "marked");
}

#[test]
fn resource_takes_directories_and_revisions_as_git_does() {
    let sandbox = Sandbox::new();
    let first = sandbox.commit("One", &[("deep/er/file", "1")]);
    let second = sandbox.commit("Two", &[("deep/er/file", "2")]);
    sandbox.git(&["tag", "-a", "-m", "one", "v1.0.0", &first]);
    sandbox.git(&["push", "-q", "-u", "origin", "main"]);
    let third = sandbox.commit("A third: fix/x", &[]);
    sandbox.git(&["branch", "with-dash", &first]);
    let clone = sandbox.path("clone");
    std::os::unix::fs::symlink(clone.join("deep/er"), sandbox.path("link")).expect("a link");
    sandbox.git(&[
        "worktree",
        "add",
        "-q",
        "--detach",
        &sandbox.path("linked").display().to_string(),
        &second,
    ]);
    let resource = |dir: &std::path::Path, args: &[&str]| {
        let mut command = sandbox.command(crate::support::BINARY, dir);
        sandbox.run(command.arg("resource").args(args).args(["--format", "json"]), b"")
    };
    let head_of = |dir: &std::path::Path, args: &[&str]| {
        let ran = resource(dir, args);
        let printed: Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
        assert!(!ran.stderr.contains("not committed"), "{args:?}: {}", ran.stderr);
        printed["attributes"]["vcs.ref.head.revision"].as_str().expect("a revision").to_string()
    };
    for (dir, args, expected) in [
        (&*clone, &["deep/er"][..], &third),
        (&clone.join("deep/er"), &["."], &third),
        (&clone.join("deep/er"), &["..", "main"], &third),
        (&clone, &["../link"], &third),
        (&sandbox.path("linked/deep"), &["."], &second),
        (&sandbox.bare().join("refs"), &["."], &second),
        (&clone, &[".", "HEAD~2"], &first),
        (&clone, &[".", "HEAD^"], &second),
        (&clone, &[".", "v1.0.0^{}"], &first),
        (&clone, &[".", "v1.0.0^0"], &first),
        (&clone, &[".", "@{u}"], &second),
        (&clone, &[".", "@"], &third),
        (&clone, &[".", "HEAD@{0}"], &third),
        (&clone, &[".", ":/A third"], &third),
        (&clone, &[".", "with-dash~0"], &first),
        (&clone, &[".", &format!("{third}~1")], &second),
        (&clone.join("deep"), &[".", "main~1"], &second),
        (&sandbox.path(""), &["git/acme/shop.git", "main~1"], &first),
    ] {
        assert_eq!(head_of(dir, args), *expected, "{args:?} in {}", dir.display());
    }
    for (rev, why) in [
        ("HEAD~9", "finds nothing either"),
        ("nothing", "nothing"),
        ("main..v1.0.0", "main..v1.0.0"),
        ("HEAD^{tree}", "not to a commit"),
        ("@{nonsense}", "finds nothing either"),
    ] {
        let ran = resource(&clone, &[".", rev]);
        assert!(ran.code == Some(1) && ran.stderr.contains(why), "{rev}: {:?} {}", ran.code, ran.stderr);
    }
    let nowhere = resource(&sandbox.path(""), &["home"]);
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("one above it"), "{}", nowhere.stderr);
    // Changes that are not committed, in a file, in the index and of a file that git does not know.
    sandbox.write("clone/unknown", "x");
    head_of(&clone, &["."]);
    for index in [false, true] {
        sandbox.write("clone/deep/er/file", "changed");
        if index {
            sandbox.git(&["add", "deep/er/file"]);
        }
        let ran = resource(&clone.join("deep"), &["."]);
        assert!(ran.succeeded().stderr.contains("changes that are not committed"), "{}", ran.stderr);
        assert!(serde_json::from_str::<Value>(&ran.stdout).is_ok(), "{}", ran.stdout);
        head_of(&clone, &[".", "HEAD~1"]);
    }
}
