//! `[[service]]` and a repository's own `.gitea/lightstep.toml`: versions, environments, links and
//! malicious names.

use serde_json::Value;

use crate::support::{Ran, Sandbox};

const OWN: &str = ".gitea/lightstep.toml";

/// Pushes and returns its markers, sorted by service.
#[track_caller]
fn pushed(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let before = sandbox.waiting("unassigned").len();
    sandbox.push(args).succeeded();
    let mut markers = sandbox.waiting("unassigned").split_off(before);
    markers.sort_by_key(|marker| (said(marker, "service").to_string(), said(marker, "kind").to_string()));
    markers
}

/// Returns a string field of a marker or a decision, "" if it is missing.
fn said<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_default()
}

fn attribute<'a>(marker: &'a Value, name: &str) -> &'a str {
    marker["attributes"][name].as_str().unwrap_or_default()
}

/// Returns the kind, service, version and environment of each marker.
fn describe(markers: &[Value]) -> Vec<String> {
    let parts = |marker| ["kind", "service", "version", "environment"].map(|key| said(marker, key));
    markers.iter().map(|marker| parts(marker).join(" ").trim_end().to_string()).collect()
}

/// Returns the reason of the last decision, and its missing facts.
fn last(sandbox: &Sandbox) -> (String, String) {
    let decision = sandbox.decisions().pop().expect("a decision");
    (said(&decision, "why").into(), said(&decision, "missing").into())
}

/// Configures the service `pay` for the repository, with this version rule.
fn versioned(sandbox: &Sandbox, version: &str) {
    sandbox.configure(&format!(
        "[[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\nversion = {version}\n"
    ));
}

#[test]
fn version_is_read_in_the_format_of_its_file() {
    let sandbox = Sandbox::new();
    for (version, file, content, expected) in [
        (
            "{ file = \"Cargo.toml\" }",
            "Cargo.toml",
            "[package]\nname = \"pay\"\nversion = \"1.2.3\"\n",
            "1.2.3",
        ),
        ("{ file = \"Cargo.toml\" }", "Cargo.toml", "[workspace.package]\nversion = \"1.3.0\"\n", "1.3.0"),
        (
            "{ file = \"web/package.json\" }",
            "web/package.json",
            "{\"name\": \"pay\", \"version\": \"2.0.1\"}",
            "2.0.1",
        ),
        ("{ file = \"pyproject.toml\" }", "pyproject.toml", "[project]\nversion = \"3.1\"\n", "3.1"),
        ("{ file = \"pyproject.toml\" }", "pyproject.toml", "[tool.poetry]\nversion = \"3.2\"\n", "3.2"),
        ("{ file = \"Chart.yaml\" }", "Chart.yaml", "version: 4.0.0\nappVersion: \"4.1\"\n", "4.0.0"),
        (
            "{ file = \"Chart.yaml\", key = \"appVersion\" }",
            "Chart.yaml",
            "version: 4.0.0\nappVersion: \"4.1\"\n",
            "4.1",
        ),
        ("{ file = \"values.yaml\", key = \"image.tag\" }", "values.yaml", "image: {tag: b7}\n", "b7"),
        ("{ file = \"VERSION\" }", "VERSION", "\n 5.0.0-rc.1 \nmore\n", "5.0.0-rc.1"),
        ("{ file = \"VERSION\" }", "VERSION", "\u{feff}5.0.1\r\n", "5.0.1"),
    ] {
        versioned(&sandbox, version);
        sandbox.commit(version, &[(file, content)]);
        let markers = pushed(&sandbox, &["main"]);
        assert_eq!(describe(&markers), [format!("change pay {expected}")], "{version}");
        assert_eq!(last(&sandbox), (String::new(), String::new()), "{version}");
    }
}

#[test]
fn version_comes_from_tag_description_commit_or_option() {
    let sandbox = Sandbox::new();
    versioned(&sandbox, "\"describe\"");
    let first = sandbox.commit("Without a tag", &[]);
    assert_eq!(describe(&pushed(&sandbox, &["main"])), [format!("change pay {first}")]);
    sandbox.git(&["tag", "v1.0.0"]);
    assert_eq!(describe(&pushed(&sandbox, &["v1.0.0"])), ["release pay 1.0.0"]);

    sandbox.commit("After it", &[]);
    let described = sandbox.git(&["describe", "--tags", "--abbrev=12"]);
    assert_eq!(describe(&pushed(&sandbox, &["main"])), [format!("change pay {described}")]);

    versioned(&sandbox, "\"tag\"");
    let untagged = sandbox.commit("Untagged", &[]);
    assert_eq!(describe(&pushed(&sandbox, &["main"])), [format!("change pay {untagged}")]);
    sandbox.commit("Tagged", &[]);
    sandbox.git(&["tag", "v1.1.0"]);
    sandbox.git(&["tag", "pay/v7.0.0"]);
    sandbox.push(&["v1.1.0", "pay/v7.0.0"]).succeeded();
    assert_eq!(
        describe(&pushed(&sandbox, &["main"])),
        ["change pay 7.0.0"],
        "the version comes from the tag that names the service"
    );

    versioned(&sandbox, "\"commit\"");
    let commit = sandbox.commit("By its id", &[]);
    assert_eq!(describe(&pushed(&sandbox, &["main"])), [format!("change pay {commit}")]);

    versioned(&sandbox, "{ option = \"build\" }");
    sandbox.commit("By option", &[]);
    assert_eq!(describe(&pushed(&sandbox, &["-o", "build= 2026.11 ", "main"])), ["change pay 2026.11"]);
    let commit = sandbox.commit("Without the option", &[]);
    assert_eq!(describe(&pushed(&sandbox, &["-o", "build= ", "main"])), [format!("change pay {commit}")]);
}

#[test]
fn unreadable_version_falls_back_to_the_commit() {
    let sandbox = Sandbox::new();
    for (version, content, why) in [
        ("{ file = \"gone/Cargo.toml\" }", "", "there is no `gone/Cargo.toml` at this commit"),
        (
            "{ file = \"Cargo.toml\" }",
            "[package]\n",
            "no `package.version` and no `workspace.package.version`",
        ),
        (
            "{ file = \"Cargo.toml\", key = \"package.vers\" }",
            "[package]\nversion = \"1\"\n",
            "no `package.vers`",
        ),
        (
            "{ file = \"Cargo.toml\" }",
            "[package]\nversion.workspace = true\n",
            "inherited from the workspace",
        ),
        ("{ file = \"Cargo.toml\" }", "[package]\nversion = 3\n", "`package.version` is not a string"),
        ("{ file = \"Cargo.toml\" }", "[package\n", "cannot read the version of `pay` from `Cargo.toml`"),
        ("{ file = \"Cargo.toml\" }", &"#".repeat(300 << 10), "the limit is 262144"),
    ] {
        versioned(&sandbox, version);
        let commit = sandbox.commit(why, &[("Cargo.toml", content)]);
        assert_eq!(describe(&pushed(&sandbox, &["main"])), [format!("change pay {commit}")], "{why}");
        let (_, missing) = last(&sandbox);
        assert!(missing.contains(why), "{missing}");
        assert!(missing.contains("pay") || missing.contains("Cargo.toml"), "{missing}");
    }
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn monorepo_push_creates_a_marker_for_each_touched_service() {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/*\"\nname = \"pay\"\npaths = [\"pay/**\"]\nowner = \"team pay\"\n\
         version = { file = \"pay/VERSION\" }\n\
         [[service]]\nrepository = \"ACME/shop\"\nname = \"pay\"\npaths = [\"shared/money/**\"]\nowner = \"nobody\"\n\
         [[service]]\nrepository = \"acme/shop\"\nname = \"cart\"\npaths = [\"cart/**\"]\n\
         [[service]]\nrepository = \"acme/other\"\nname = \"other\"\n",
    );
    sandbox.commit("Begin", &[("pay/VERSION", "1.0\n"), ("cart/a", "")]);
    let both = pushed(&sandbox, &["main"]);
    let services: Vec<_> = both.iter().map(|marker| said(marker, "service")).collect();
    assert_eq!(services, ["cart", "pay"]);
    assert_eq!(said(&both[1], "version"), "1.0");
    assert_eq!(attribute(&both[1], "gitea_lightstep.service.owner"), "team pay", "the first rule decides");
    assert_eq!(both[0]["attributes"].get("gitea_lightstep.service.owner"), None);

    sandbox.commit("Money", &[("shared/money/a", "")]);
    assert_eq!(describe(&pushed(&sandbox, &["main"])), ["change pay 1.0"]);
    sandbox.commit("Text", &[("README", "")]);
    assert_eq!(describe(&pushed(&sandbox, &["main"])), [""; 0]);
    assert_eq!(last(&sandbox).0, "no configured service has any of the changed paths");
}

#[test]
fn ref_of_an_environment_creates_a_deployment() {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\nversion = { file = \"VERSION\" }\n\
         [service.environments]\nstaging = \"main\"\nproduction = [\"deploy/production\", \"v*\"]\n\
         canary = \"refs/heads/canary-*\"\nlab = []\n",
    );
    sandbox.commit("Begin", &[("VERSION", "0.1\n")]);
    for (args, expected) in [
        (&["main"][..], &["change pay 0.1", "deployment pay 0.1 staging"][..]),
        (&["HEAD:refs/heads/deploy/production"], &["deployment pay 0.1 production"]),
        (&["HEAD:refs/heads/canary-3"], &["deployment pay 0.1 canary"]),
        (&["HEAD:refs/heads/canary-9/x"], &[]),
        (&["HEAD:refs/tags/canary-4"], &[]),
        (&["HEAD:refs/tags/v1.0.0"], &["deployment pay 1.0.0 production", "release pay 1.0.0"]),
        (&["HEAD:refs/heads/topic"], &[]),
        // The push option takes precedence over the ref.
        (&["-o", "deploy=lab", "HEAD:refs/heads/canary-5"], &["deployment pay 1.0.0 lab"]),
        (&["--delete", "canary-5"], &[]),
    ] {
        assert_eq!(describe(&pushed(&sandbox, args)), expected, "{args:?}");
    }
}

#[test]
fn unknown_environment_is_reported() {
    let sandbox = Sandbox::new();
    let rule = "[[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\n\
                environments = { production = \"release\", lab = [] }\n";
    sandbox.configure(rule);
    sandbox.commit("Begin", &[]);
    let not = "no service of this repository has the environment";
    for (environment, why) in [
        ("prodution", format!("{not} `prodution`; did you mean `production`?")),
        ("moon", format!("{not} `moon`, expected one of `lab`, `production`")),
    ] {
        let option = format!("deploy={environment}");
        assert_eq!(
            describe(&pushed(&sandbox, &["-o", &option, &format!("HEAD:refs/heads/{environment}")])),
            [""; 0]
        );
        assert_eq!(last(&sandbox), (why.clone(), String::new()));
        // The change is marked anyway, and the error is reported.
        sandbox.commit(environment, &[]);
        let markers = pushed(&sandbox, &["-o", &option, "main"]);
        assert_eq!(markers.iter().map(|marker| said(marker, "kind")).collect::<Vec<_>>(), ["change"]);
        assert_eq!(last(&sandbox), (String::new(), why));
    }
    // A service without environments may be deployed to any.
    sandbox.configure(&format!("{rule}[[service]]\nrepository = \"acme/shop\"\nname = \"tool\"\n"));
    let markers = pushed(&sandbox, &["-o", "deploy=moon", "HEAD:refs/heads/anywhere"]);
    assert_eq!(markers.iter().map(|marker| said(marker, "service")).collect::<Vec<_>>(), ["tool"]);
    let named = ["-o", "deploy=moon", "-o", "deploy.service=pay", "HEAD:refs/heads/named"];
    assert_eq!(describe(&pushed(&sandbox, &named)), [""; 0]);
    // For a wrong service name, the error is reported in addition to the marker, because a script
    // may know more services than the configuration.
    let named = ["-o", "deploy=moon", "-o", "deploy.service=tol", "HEAD:refs/heads/misnamed"];
    let markers = pushed(&sandbox, &named);
    assert_eq!(markers.iter().map(|marker| said(marker, "service")).collect::<Vec<_>>(), ["tol"]);
    let why = "no service of this repository is called `tol`; did you mean `tool`?";
    assert_eq!(last(&sandbox), (String::new(), why.to_string()));
}

#[test]
fn link_placeholders_are_filled_in_and_encoded() {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/shop\"\nname = \"pay/../é?x=1&y#z\"\nversion = { option = \"v\" }\n\
         [service.links]\nrunbook = \"https://wiki.example.com/{service}/{version}\"\n\
         commit = \"https://git.example.com/{repository}/commit/{commit}?t={trace_id}\"\n\
         board = \"https://graph.example.com/d?env={environment}&from={from}&to={to}\"\n",
    );
    let commit = sandbox.commit("Begin", &[]);
    let hostile = "v=a b\"><script>/../\u{1b}[31m%0d";
    let markers = pushed(&sandbox, &["-o", hostile, "-o", "deploy=a/b&c", "main"]);
    let [change, deployment] = &markers[..] else { panic!("{markers:?}") };
    let link = |marker, name: &str| attribute(marker, &format!("gitea_lightstep.link.{name}")).to_string();
    let service = "pay%2F..%2F%C3%A9%3Fx%3D1%26y%23z";
    let runbook = link(change, "runbook");
    assert!(
        runbook.starts_with(&format!("https://wiki.example.com/{service}/a%20b%22%3E%3Cscript%3E%2F..%2F"))
    );
    assert!(
        runbook.is_ascii() && !runbook.contains(['"', '<', ' ', '\u{1b}']) && runbook.ends_with("%250d"),
        "{runbook}"
    );
    let trace = said(change, "trace_id");
    assert_eq!(
        link(change, "commit"),
        format!("https://git.example.com/acme/shop/commit/{commit}?t={trace}")
    );
    assert_eq!(link(change, "board"), "", "a change has no environment, so this link is left out");

    let time: gitea_lightstep::internals::Timestamp = said(deployment, "time").parse().expect("a time");
    let (from, to) = (time.as_millisecond() - 1_800_000, time.as_millisecond() + 1_800_000);
    let board = format!("https://graph.example.com/d?env=a%2Fb%26c&from={from}&to={to}");
    assert_eq!(link(deployment, "board"), board);
}

/// Creates a sandbox with two services, whose site permits matching repositories to define their
/// own.
fn with_own_file(allowed: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.configure(&format!(
        "[policy]\nrepository_services = [\"{allowed}\"]\n\
         [[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\npaths = [\"pay/**\"]\nowner = \"site\"\n\
         [[service]]\nrepository = \"acme/vault\"\nname = \"vault\"\n"
    ));
    sandbox
}

const OWN_SERVICES: &str = "[[service]]\nname = \"cart\"\npaths = [\"cart/**\"]\nowner = \"us\"\n\
    environments = { staging = \"main\" }\n\
    [[service]]\nname = \"pay\"\nowner = \"us\"\npaths = [\"**\"]\nversion = { file = \"VERSION\" }\n";

#[test]
fn repository_defines_services_if_permitted() {
    let sandbox = with_own_file("Acme/*");
    sandbox.commit("Begin", &[(OWN, OWN_SERVICES), ("cart/a", ""), ("pay/a", ""), ("VERSION", "3\n")]);
    let markers = pushed(&sandbox, &["main"]);
    let who: Vec<_> = markers
        .iter()
        .map(|m| (said(m, "kind"), said(m, "service"), attribute(m, "gitea_lightstep.service.owner")))
        .collect();
    assert_eq!(who, [("change", "cart", "us"), ("deployment", "cart", "us"), ("change", "pay", "site")]);
    assert_eq!(said(&markers[2], "version"), "3", "the file adds what the site does not set");

    sandbox.commit("Elsewhere", &[("README", "")]);
    assert!(
        pushed(&sandbox, &["main"]).iter().all(|m| said(m, "service") != "pay"),
        "the site's rule decides the paths"
    );

    // The file is read from the pushed commit.
    sandbox.git(&["rm", "-q", OWN]);
    sandbox.commit("Without", &[("cart/a", "1"), ("pay/a", "1")]);
    let markers = pushed(&sandbox, &["main"]);
    assert_eq!(markers.iter().map(|m| said(m, "service")).collect::<Vec<_>>(), ["pay"]);
}

#[test]
fn service_file_is_ignored_without_permission() {
    for allowed in ["acme/other", "other/*", "*", "acme/sho"] {
        let sandbox = with_own_file(allowed);
        sandbox.commit("Begin", &[(OWN, OWN_SERVICES), ("cart/a", ""), ("pay/a", "")]);
        let markers = pushed(&sandbox, &["main"]);
        assert_eq!(markers.iter().map(|m| said(m, "service")).collect::<Vec<_>>(), ["pay"], "{allowed}");
        sandbox.commit("Broken", &[(OWN, "[[["), ("pay/a", "1")]);
        assert_eq!(pushed(&sandbox, &["main"]).len(), 1);
        assert_eq!(last(&sandbox).1, "", "{allowed}");
    }
}

#[test]
fn invalid_service_file_is_ignored_and_site_rules_apply() {
    let sandbox = with_own_file("acme/*");
    let many =
        |count: usize| (0..count).map(|n| format!("[[service]]\nname = \"s{n}\"\n")).collect::<String>();
    let huge = format!("{OWN_SERVICES}# {}\n", "x".repeat(300 << 10));
    for (nth, (content, why)) in [
        ("[[service]]\nname = \"cart\"\nname = \"again\"\n".to_string(), ".gitea/lightstep.toml:3:1: "),
        ("[[service]]\nname = \"cart\"\nown = 1\n".into(), ".gitea/lightstep.toml:3:1: "),
        (
            "[[service]]\nname = \"cart\"\nrepository = \"acme/vault\"\n".into(),
            ".gitea/lightstep.toml:3:14: ",
        ),
        ("[policy]\nrepository_services = [\"**\"]\n".into(), ".gitea/lightstep.toml:1:"),
        (many(65), ".gitea/lightstep.toml: the file defines 65 services, the limit is 64"),
        (huge, "262144"),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.commit(why, &[(OWN, &content), ("cart/a", &nth.to_string()), ("pay/a", &nth.to_string())]);
        let markers = pushed(&sandbox, &["main"]);
        assert_eq!(markers.iter().map(|m| said(m, "service")).collect::<Vec<_>>(), ["pay"], "{why}");
        let (_, missing) = last(&sandbox);
        assert!(missing.contains(why), "expected {why}\n{missing}");
    }
    sandbox.commit("At the limit", &[(OWN, &many(64))]);
    assert_eq!(pushed(&sandbox, &["main"]).len(), 64);
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn untrusted_names_are_sanitised() {
    let sandbox = with_own_file("acme/*");
    let long = "n".repeat(5_000);
    let own = format!(
        "[[service]]\nname = \"a\\u001b[31m\\nremote: ok\\u202e\"\nowner = \"o\\u0000\\u009b\"\n\
         environments = {{ \"e\\u001b\\n\" = \"main\" }}\n[[service]]\nname = \"{long}\"\n"
    );
    sandbox.commit("Hostile", &[(OWN, &own)]);
    let ran: Ran = sandbox.push(&["main"]);
    ran.succeeded();
    let markers = sandbox.waiting("unassigned");
    assert_eq!(
        markers.len(),
        3,
        "two changes, and a deployment of the service with an environment: {:?}",
        describe(&markers)
    );
    let hostile = |c: char| c.is_control() || c == '\u{202e}';
    for marker in &markers {
        for text in [
            said(marker, "service"),
            said(marker, "environment"),
            attribute(marker, "gitea_lightstep.service.owner"),
        ] {
            assert!(!text.contains(hostile) && text.chars().count() <= 256, "{text:?}");
        }
    }
    assert!(ran.remote().iter().all(|line| !line.contains(hostile)), "{:?}", ran.remote());
}

#[test]
fn deletions_and_wikis_have_no_own_services() {
    let mut sandbox = with_own_file("acme/*");
    sandbox.commit("Begin", &[(OWN, "[[["), ("pay/a", "")]);
    sandbox.push(&["main", "HEAD:refs/heads/topic"]).succeeded();
    sandbox.push(&["--delete", "topic"]).succeeded();
    assert_eq!(last(&sandbox), ("a deletion changes nothing that runs".into(), String::new()));
    sandbox.set("GITEA_REPO_IS_WIKI", "true");
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    sandbox.commit("Page", &[("cart/a", "1"), ("pay/a", "1")]);
    let markers = pushed(&sandbox, &["main"]);
    assert_eq!(
        markers.iter().map(|m| said(m, "service")).collect::<Vec<_>>(),
        ["pay"],
        "only the site's rules apply"
    );
    assert_eq!(last(&sandbox).1, "");
}

#[test]
fn invalid_rule_is_reported_with_line_and_column() {
    let sandbox = Sandbox::new();
    let before = "[[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\n";
    // The sandbox's own configuration takes the first six lines.
    for (rule, expected) in [
        (
            "links = { a = \"https://x.example/{servce}\" }\n",
            ["config.toml:9:15: ", "did you mean `{service}`?"],
        ),
        (
            "links = { a = \"https://{service}.example/\" }\n",
            ["config.toml:9:15: ", "the host must not contain a placeholder"],
        ),
        (
            "links = { \"A b\" = \"https://x.example/\" }\n",
            ["config.toml:9:11: ", "the name of a link must be 1 to 64 characters from a-z"],
        ),
        ("version = \"latest\"\n", ["config.toml:9:11: ", "expected \"tag\", \"describe\", \"commit\""]),
        (
            "version = { file = \"../VERSION\" }\n",
            ["config.toml:9:11: ", "expected the path of a file in the repository"],
        ),
        ("version = { path = \"VERSION\" }\n", ["config.toml:9:11: ", "{ file = \"Cargo.toml\" }"]),
        ("environments = { \" \" = \"main\" }\n", ["config.toml:9:18: ", "an environment needs a name"]),
        (
            "environments = { a = 1 }\n",
            ["config.toml:9:", "expected the name of a branch or a tag, or an array of them"],
        ),
        ("envronments = {}\n", ["config.toml:9:1: ", "did you mean `environments`?"]),
    ] {
        sandbox.configure(&format!("{before}{rule}"));
        let problems = sandbox.problems().join("\n");
        for part in expected {
            assert!(problems.contains(part), "{rule}expected {part}\n{problems}");
        }
    }
    sandbox.configure("[policy]\nrepository_service = [\"a/*\"]\n");
    let problems = sandbox.problems().join("\n");
    assert!(problems.contains("did you mean `repository_services`?"), "{problems}");
    sandbox.configure("[people]\nemails = \"hash\"\n");
    let problems = sandbox.problems().join("\n");
    assert!(problems.contains("config.toml:7:10: ") && problems.contains("hashed"), "{problems}");
}

#[test]
fn service_name_of_another_repository_is_refused() {
    let sandbox = with_own_file("acme/*");
    sandbox.commit("Begin", &[(OWN, "[[service]]\nname = \"vault\"\n"), ("pay/a", "")]);
    assert_eq!(describe(&pushed(&sandbox, &["main"])).len(), 1, "only the site's own service is marked");
    let why = ".gitea/lightstep.toml:2: the service `vault` belongs to another repository; ";
    assert!(last(&sandbox).1.starts_with(why), "{}", last(&sandbox).1);
}
