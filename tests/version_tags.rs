//! Version tags as release tools write them: through the hook, and over the tags of public
//! repositories.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::{Sandbox, manifest_dir};

/// Least share of the releases that are recognised, and greatest share of other tags among what is
/// recognised.
const LEAST_RECOGNISED: f64 = 0.99;
const MOST_WRONG: f64 = 0.01;

/// Tags one commit, pushes the tags in this order, and returns the kind, service, version and
/// environment of each marker, or the reason why a tag has none.
#[track_caller]
fn pushed(sandbox: &Sandbox, options: &[&str], tags: &[&str]) -> Vec<String> {
    for tag in tags {
        sandbox.git(&["tag", tag]);
    }
    let (markers, decisions) = (sandbox.waiting("unassigned").len(), sandbox.decisions().len());
    let refs: Vec<String> = tags.iter().map(|tag| format!("refs/tags/{tag}")).collect();
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    sandbox.push(&[options, &refs].concat()).succeeded();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_string();
    let markers = sandbox.waiting("unassigned").split_off(markers);
    let mut said: Vec<String> = markers
        .iter()
        .map(|marker| ["kind", "service", "version", "environment"].map(|key| text(marker, key)).join(" "))
        .map(|line| line.trim_end().to_string())
        .collect();
    let skipped = sandbox.decisions().split_off(decisions);
    said.extend(skipped.iter().map(|decision| text(decision, "why")).filter(|why| !why.is_empty()));
    said
}

/// Configures services of the repository, each with these additional lines.
fn services(sandbox: &Sandbox, services: &[(&str, &str)]) {
    let tables = services
        .iter()
        .map(|(name, more)| format!("[[service]]\nrepository = \"acme/*\"\nname = \"{name}\"\n{more}\n"));
    sandbox.configure(&tables.collect::<String>());
}

#[test]
fn forms_of_release_tools_need_no_configuration() {
    let sandbox = Sandbox::new();
    sandbox.commit("Release", &[]);
    sandbox.push(&["main"]).succeeded();
    for (tag, expected) in [
        ("checkout-v1.2.3", "release checkout 1.2.3"), // release-please, cargo-release
        ("checkout-1.2.3", "release checkout 1.2.3"),  // chart-releaser, Maven
        ("checkout-api2-1.2.3-rc.1", "release checkout-api2 1.2.3-rc.1"),
        ("cmd/tool/v1.2.3", "release cmd/tool 1.2.3"), // Go modules
        ("checkout@1.2.3", "release checkout 1.2.3"),  // lerna
        ("@acme/checkout@1.2.4", "release checkout 1.2.4"), // changesets
        ("2024.05.01", "release shop 2024.05.01"),
        ("24.04.1", "release shop 24.04.1"),
        ("20241128.1", "release shop 20241128.1"),
        ("v2026.0123.0", "release shop 2026.0123.0"),
        ("1.2.3.4", "release shop 1.2.3.4"),
        ("v1.2", "release shop 1.2"),
        ("1.2.3rc1", "release shop 1.2.3rc1"),
        ("1.2.3.post1", "release shop 1.2.3.post1"),
        ("V1.2.3", "release shop 1.2.3"),
        ("version-1.2.3", "release shop 1.2.3"),
        ("release/1.2.3", "release shop 1.2.3"),
        ("releases/v1.2.3", "release shop 1.2.3"),
        ("hotfix/1.2.4", "release shop 1.2.4"),
        ("prod/v1.2.3", "release shop 1.2.3"),
        ("deploy/production/1.2.3", "release shop 1.2.3"),
        ("debian/1.2.3-1", "release shop 1.2.3-1"),
        ("upstream/1.2.3", "release shop 1.2.3"),
        ("deploy-prod-1.2.3", "release shop 1.2.3"),
        ("hotfix_release/v1.2.5", "release shop 1.2.5"),
    ] {
        assert_eq!(pushed(&sandbox, &[], &[tag]), [expected], "{tag}");
    }
    let why = "the tag names no version, as v1.2.3, 2024.05.1 and NAME-1.2.3 do; for others set `tags` of a \
               [[service]]";
    for tag in ["latest", "nightly", "2024", "v1", "REL_16_1", "built20241128.1x", "nightly-2024.05.01"] {
        assert_eq!(pushed(&sandbox, &[], &[tag]), [why], "{tag}");
    }
}

#[test]
fn tags_of_configured_services_are_found_by_name_directory_and_pattern() {
    let sandbox = Sandbox::new();
    sandbox.commit("Release", &[]);
    sandbox.push(&["main"]).succeeded();
    services(
        &sandbox,
        &[
            (
                "checkout",
                "paths = [\"services/checkout/**\"]\nenvironments = { production = [\"services/checkout/v*\", \"checkout-v*\"] }",
            ),
            ("checkout-api2", "paths = [\"services/api2/**\"]"),
            ("database", "paths = [\"db/**\"]\ntags = [\"REL_{version}\", \"db-{version}-final\"]"),
        ],
    );
    for (tag, expected) in [
        ("checkout-v1.2.3", &["release checkout 1.2.3", "deployment checkout 1.2.3 production"][..]),
        ("services/checkout/v1.2.4", &["release checkout 1.2.4", "deployment checkout 1.2.4 production"]),
        ("@acme/checkout@1.2.3", &["release checkout 1.2.3"]),
        ("checkout-api2-1.2.3-rc.1", &["release checkout-api2 1.2.3-rc.1"]),
        ("REL_16_1", &["release database 16_1"]),
        ("db-blue-final", &["release database blue"]),
        ("web-1.2.3", &["the tag names no service of this repository: no [[service]] is called \"web\""]),
        (
            "cmd/tool/v1.2.3",
            &["the tag names no service of this repository: no [[service]] is called \"cmd/tool\""],
        ),
        (
            "database-1.2.3",
            &["the tag names no service of this repository: no [[service]] is called \"database\""],
        ),
    ] {
        assert_eq!(pushed(&sandbox, &[], &[tag]), expected, "{tag}");
    }
}

#[test]
fn wrong_patterns_are_reported_with_their_line() {
    let sandbox = Sandbox::new();
    for (tags, why) in [
        ("\"checkout-v\"", "must contain `{version}` once"),
        ("[\"{version}-{version}\"]", "must contain `{version}` only once"),
        ("[\"v{version}\", \"refs/tags/{version}\"]", "leave that out"),
        ("7", "expected a pattern such as \"checkout-v{version}\", or an array of them"),
    ] {
        services(&sandbox, &[("checkout", &format!("tags = {tags}"))]);
        let ran = sandbox.binary(&["check"]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(1), "{tags}: {said}");
        assert!(said.contains(why) && said.contains("config.toml:"), "{tags}: {said}");
    }
}

#[test]
fn site_replaces_the_words_that_are_not_services() {
    let sandbox = Sandbox::new();
    sandbox.commit("Release", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.configure("[policy]\nno_services = [\"Ship\"]\n");
    assert_eq!(pushed(&sandbox, &[], &["ship-1.2.3"]), ["release shop 1.2.3"]);
    assert_eq!(pushed(&sandbox, &[], &["release-1.2.3"]), ["release release 1.2.3"]);
}

#[test]
fn tag_of_a_tree_or_a_file_is_neither_a_release_nor_a_deployment() {
    let sandbox = Sandbox::new();
    sandbox.commit("Release", &[("file", "content\n")]);
    sandbox.push(&["main"]).succeeded();
    sandbox.git(&["tag", "v1.0.0", "HEAD^{tree}"]);
    sandbox.git(&["tag", "-a", "-m", "A file", "v1.0.1", "HEAD:file"]);
    let before = sandbox.waiting("unassigned").len();
    sandbox.push(&["-o", "deploy=prod", "v1.0.0", "v1.0.1"]).succeeded();
    assert_eq!(sandbox.waiting("unassigned").len(), before);
    for decision in sandbox.decisions().iter().rev().take(2) {
        assert_eq!(decision["why"], "the tag points to a tree or a file, not a commit");
    }
    // A tag of a tag leads to the commit.
    sandbox.git(&["tag", "-a", "-m", "One", "one"]);
    sandbox.git(&["tag", "-a", "-m", "Two", "v2.0.0", "one"]);
    sandbox.push(&["v2.0.0"]).succeeded();
    assert_eq!(sandbox.waiting("unassigned").pop().expect("a marker")["version"], "2.0.0");
}

#[test]
fn final_version_of_a_commit_counts_before_its_prereleases() {
    let sandbox = Sandbox::new();
    for (tags, version) in [
        (&["v1.0.0", "v1.1.0-rc.1"][..], "1.0.0"),
        (&["v2.0.0-rc.2", "v2.0.0-rc.10"], "2.0.0-rc.10"),
        (&["2024.05.01", "2024.10.1rc1", "2024.04.30"], "2024.05.01"),
        (&["3.0.dev1", "3.0a1"], "3.0a1"),
    ] {
        sandbox.commit(version, &[]);
        for tag in tags {
            sandbox.git(&["tag", tag]);
        }
        sandbox.push(&["--tags"]).succeeded();
        let branch = format!("HEAD:refs/heads/{version}");
        sandbox.push(&["-o", "deploy=prod", &branch]).succeeded();
        let marker = sandbox.waiting("unassigned").pop().expect("a marker");
        assert_eq!(
            (&marker["kind"], &marker["version"]),
            (&"deployment".into(), &version.into()),
            "{tags:?}"
        );
    }
}

#[test]
fn try_proposes_a_pattern_for_tags_that_are_no_versions() {
    let sandbox = Sandbox::new();
    sandbox.commit("Release", &[]);
    for tag in ["REL_16_1", "REL_16_2", "REL_17_0", "nightly"] {
        sandbox.git(&["tag", tag]);
    }
    let tried = || sandbox.binary(&["try", "clone", "--repository", "acme/shop"]).succeeded().stdout.clone();
    let hint =
        "0 of 4 tags are versions; many are like `REL_16_1`: set tags = [\"REL_{version}\"] of a [[service]]";
    assert!(tried().contains(hint), "{}", tried());
    // The proposal works.
    sandbox.configure("[[service]]\nrepository = \"*/*\"\nname = \"database\"\ntags = [\"REL_{version}\"]\n");
    assert!(tried().contains("3 release") && !tried().contains("tags are versions"), "{}", tried());
    sandbox.configure("[[service]]\nrepository = \"*/*\"\nname = \"database\"\n");
    sandbox.git(&["tag", "-d", "REL_16_1", "REL_16_2", "REL_17_0"]);
    for tag in ["web-1.0", "web-1.1", "web-1.2"] {
        sandbox.git(&["tag", tag]);
    }
    let hint = "0 of 4 tags are versions; many are like `web-1.0`, and no [[service]] of the repository is called `web`";
    assert!(tried().contains(hint), "{}", tried());
}

/// Pushes each list of tag names and compares what becomes a release with what a person calls one.
/// `GITEA_LIGHTSTEP_TAGS=DIR` takes other lists; `--no-capture` shows the table.
#[test]
#[allow(clippy::print_stderr, reason = "the table is for --no-capture")]
fn tags_of_public_repositories_are_recognised() {
    let dir = std::env::var_os("GITEA_LIGHTSTEP_TAGS").map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| manifest_dir().join("tests/fixtures/tags"));
    let not_releases = fs::read_to_string(dir.join("not-releases.tsv")).unwrap_or_default();
    let not_releases: BTreeSet<(&str, &str)> =
        not_releases.lines().filter_map(|line| line.split_once('\t')).collect();
    let mut lists: Vec<PathBuf> =
        fs::read_dir(&dir).expect("the lists").map(|entry| entry.expect("an entry").path()).collect();
    lists.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    lists.sort();
    let (mut releases, mut recognised, mut wrong) = (0, 0, 0);
    let mut table =
        vec![format!("{:44} {:>6} {:>10} {:>6}  missed", "repository", "tags", "recognised", "wrong")];
    for list in lists {
        let repository = list.file_stem().expect("a name").to_str().expect("text").to_string();
        let names = fs::read_to_string(&list).expect("a list");
        let names: Vec<&str> = names.lines().filter(|name| !name.is_empty()).collect();
        let marked = recognised_in(&list, &names);
        let is_release = |name: &str| !not_releases.contains(&(repository.as_str(), name));
        let missed: Vec<&str> =
            names.iter().copied().filter(|name| is_release(name) && !marked.contains(*name)).collect();
        let n_of_releases = names.iter().filter(|name| is_release(name)).count();
        let n_wrong = marked.iter().filter(|name| !is_release(name)).count();
        table.push(format!(
            "{repository:44} {:>6} {:>10} {n_wrong:>6}  {}",
            names.len(),
            n_of_releases - missed.len(),
            missed.iter().take(8).copied().collect::<Vec<_>>().join(" ")
        ));
        releases += n_of_releases;
        recognised += n_of_releases - missed.len();
        wrong += n_wrong;
    }
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    table.push("No [[service]] is configured.".to_string());
    table.push(format!(
        "{:.2} % of {releases} releases are recognised; {:.2} % of what is recognised is wrong",
        100.0 * share(recognised, releases),
        100.0 * share(wrong, recognised + wrong)
    ));
    let table = table.join("\n");
    eprintln!("{table}");
    assert!(releases > 0, "{} has no lists", dir.display());
    assert!(share(recognised, releases) >= LEAST_RECOGNISED, "{table}");
    assert!(share(wrong, recognised + wrong) <= MOST_WRONG, "{table}");
}

/// Runs the hook for a push of all these tags and returns those that became releases.
fn recognised_in(list: &Path, names: &[&str]) -> BTreeSet<String> {
    let sandbox = Sandbox::new();
    sandbox.configure("[policy.limits]\ntime = \"60s\"\n");
    let commit = sandbox.commit("Release", &[]);
    sandbox.push(&["-q", "main"]).succeeded();
    let before = sandbox.decisions().len();
    let zeros = "0".repeat(commit.len());
    let lines = names.iter().map(|name| format!("{zeros} {commit} refs/tags/{name}\n"));
    sandbox.hook(lines.collect::<String>().as_bytes()).succeeded();
    let decisions = sandbox.decisions().split_off(before);
    assert_eq!(decisions.len(), names.len(), "{}", list.display());
    let name = |decision: &Value| decision["ref"].as_str().expect("a ref")["refs/tags/".len()..].to_string();
    decisions.iter().filter(|decision| decision["outcome"] == "marked").map(name).collect()
}

#[test]
fn every_tag_of_a_repository_with_many_counts() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Release", &[]);
    sandbox.push(&["main"]).succeeded();
    let mut refs = String::new();
    for nth in 0..30_000 {
        refs.push_str(&format!("create refs/tags/build-{nth} {commit}\n"));
    }
    refs.push_str(&format!("create refs/tags/v1.2.3 {commit}\n"));
    let mut git = sandbox.command("git", &sandbox.bare());
    sandbox.run(git.args(["update-ref", "--stdin"]), refs.as_bytes()).succeeded();
    for is_packed in [false, true] {
        if is_packed {
            sandbox.git_in(&sandbox.bare(), &["pack-refs", "--all"]);
        }
        let branch = format!("main:refs/heads/env-{is_packed}");
        sandbox.push(&["-o", "deploy=prod", &branch]).succeeded();
        sandbox.wait_for_deliverers_to_end();
        let marker = sandbox.waiting("unassigned").pop().expect("a marker");
        assert_eq!(
            (&marker["kind"], &marker["version"]),
            (&"deployment".into(), &"1.2.3".into()),
            "{is_packed}"
        );
    }
}
