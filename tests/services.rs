//! `[[service]]`: where versions come from, what links become, and how far a repository's own file reaches.

use serde_json::Value;

use crate::support::Sandbox;

/// Pushes a commit with these files to main and returns its markers.
fn markers(sandbox: &Sandbox, files: &[(&str, &str)]) -> Vec<Value> {
    let before = sandbox.waiting("unassigned").len();
    sandbox.commit("A change", files);
    sandbox.push(&["main"]).succeeded();
    sandbox.waiting("unassigned").split_off(before)
}

fn missing(sandbox: &Sandbox) -> String {
    sandbox.decisions().pop().expect("a decision")["missing"].as_str().unwrap_or_default().to_string()
}

fn service(more: &str) -> String {
    format!("[[service]]\nrepository = \"acme/*\"\nname = \"pay\"\n{more}\n")
}

#[test]
fn a_version_is_read_where_the_rule_says() {
    let sandbox = Sandbox::new();
    for (rule, file, content, expected) in [
        ("{ file = \"Cargo.toml\" }", "Cargo.toml", "[package]\nversion = \"1.2.3\"\n", "1.2.3"),
        (
            "{ file = \"a/Cargo.toml\" }",
            "a/Cargo.toml",
            "[workspace.package]\nversion = \"1.2.4\"\n",
            "1.2.4",
        ),
        ("{ file = \"package.json\" }", "package.json", "{\"version\": \"1.2.5\"}\n", "1.2.5"),
        ("{ file = \"pyproject.toml\" }", "pyproject.toml", "[project]\nversion = \"1.2.6\"\n", "1.2.6"),
        ("{ file = \"Chart.yaml\" }", "Chart.yaml", "version: 1.2.7\nappVersion: \"8\"\n", "1.2.7"),
        ("{ file = \"Chart.yaml\", key = \"appVersion\" }", "x", "1", "8"),
        ("{ file = \"VERSION\" }", "VERSION", "\n1.2.9\n", "1.2.9"),
    ] {
        sandbox.configure(&service(&format!("version = {rule}")));
        assert_eq!(markers(&sandbox, &[(file, content)])[0]["version"], expected, "{rule}");
        assert_eq!(missing(&sandbox), "", "{rule}");
    }
    sandbox.configure(&service("version = \"describe\""));
    sandbox.git(&["tag", "v2.0.0"]);
    sandbox.push(&["v2.0.0"]).succeeded();
    let described = markers(&sandbox, &[("x", "2")]);
    assert!(described[0]["version"].as_str().expect("text").starts_with("v2.0.0-1-g"), "{described:?}");
    sandbox.configure(&service("version = { option = \"version\" }"));
    sandbox.commit("By option", &[]);
    sandbox.push(&["-o", "version=2026-48", "main"]).succeeded();
    assert_eq!(sandbox.waiting("unassigned").pop().expect("a marker")["version"], "2026-48");
}

#[test]
fn a_version_that_is_not_there_costs_the_version_only() {
    let sandbox = Sandbox::new();
    for (rule, why) in [
        ("{ file = \"VERSION\" }", "the version of `pay` is to be read in `VERSION`, which is not there"),
        (
            "{ file = \"Cargo.toml\" }",
            "no version of `pay` in `Cargo.toml`: it is inherited from the workspace",
        ),
        ("{ file = \"a.json\", key = \"b.c\" }", "no version of `pay` in `a.json`: it has no `b.c`"),
        ("{ file = \"bad.yaml\" }", "no version of `pay` in `bad.yaml`: "),
    ] {
        sandbox.configure(&service(&format!("version = {rule}")));
        let files = [
            ("Cargo.toml", "[package]\nversion.workspace = true\n"),
            ("a.json", "{\"b\": {}}"),
            ("bad.yaml", "a: [\n"),
            ("x", rule),
        ];
        let made = markers(&sandbox, &files);
        assert_eq!(made[0]["version"], made[0]["attributes"]["vcs.ref.head.revision"], "{rule}");
        assert!(missing(&sandbox).starts_with(why), "{rule}: {}", missing(&sandbox));
    }
}

#[test]
fn links_and_owner_are_in_the_marker_and_nothing_leaves_its_place() {
    let sandbox = Sandbox::new();
    sandbox.configure(&service(
        "owner = \"team payments\"\nversion = { option = \"version\" }\n\
         links = { runbook = \"https://wiki.example.com/{service}?v={version}\", board = \"https://g.example.com/{environment}\", \
         code = \"https://git.example.com/{repository}/commit/{commit}\" }",
    ));
    sandbox.commit("One", &[]);
    sandbox.push(&["-o", "version=1/../&x=\"#", "-o", "deploy=a b", "main"]).succeeded();
    let made = sandbox.waiting("unassigned");
    let of = |nth: usize, name: &str| made[nth]["attributes"][name].clone();
    assert_eq!(of(0, "gitea_lightstep.service.owner"), "team payments");
    assert_eq!(
        of(0, "gitea_lightstep.link.runbook"),
        "https://wiki.example.com/pay?v=1%2F..%2F%26x%3D%22%23"
    );
    assert_eq!(of(0, "gitea_lightstep.link.board"), Value::Null, "a change goes to no environment");
    assert_eq!(of(1, "gitea_lightstep.link.board"), "https://g.example.com/a%20b");
    let commit = of(0, "vcs.ref.head.revision");
    let code = format!("https://git.example.com/acme/shop/commit/{}", commit.as_str().expect("text"));
    assert_eq!(of(0, "gitea_lightstep.link.code"), code);
}

const OWN: &str = ".gitea/lightstep.toml";

fn names(markers: &[Value]) -> Vec<&str> {
    markers.iter().map(|marker| marker["service"].as_str().expect("text")).collect()
}

#[test]
fn a_repositorys_own_file_counts_where_the_site_lets_it() {
    let sandbox = Sandbox::new();
    let own = "[[service]]\nname = \"search\"\nowner = \"them\"\nenvironments = { staging = \"main\" }\n";
    assert_eq!(names(&markers(&sandbox, &[(OWN, own)])), ["shop"], "nobody lets it");
    sandbox.configure("[policy]\nrepository_services = [\"other/*\"]\n");
    assert_eq!(names(&markers(&sandbox, &[("x", "1")])), ["shop"], "others are let");
    sandbox.configure("[policy]\nrepository_services = [\"Acme/*\"]\n");
    let made = markers(&sandbox, &[("x", "2")]);
    assert_eq!(names(&made), ["search", "search"]);
    assert_eq!((&made[1]["kind"], &made[1]["environment"]), (&"deployment".into(), &"staging".into()));

    // What the site says of a service stays.
    sandbox.configure(
        "[policy]\nrepository_services = [\"acme/*\"]\n[[service]]\nrepository = \"acme/shop\"\nname = \"search\"\nowner = \"us\"\n",
    );
    let made = markers(&sandbox, &[("x", "3")]);
    assert_eq!(names(&made), ["search", "search"]);
    assert_eq!(made[0]["attributes"]["gitea_lightstep.service.owner"], "us");

    // A name that is another repository's is not for this one.
    sandbox.configure(
        "[policy]\nrepository_services = [\"acme/*\"]\n[[service]]\nrepository = \"acme/other\"\nname = \"search\"\n",
    );
    assert_eq!(names(&markers(&sandbox, &[("x", "4")])), ["shop"]);
    assert!(missing(&sandbox).contains("the site gives the name `search` to another repository's service"));
}

#[test]
fn a_wrong_file_defines_nothing_and_the_journal_has_the_place() {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "[policy]\nrepository_services = [\"acme/*\"]\n[[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\n",
    );
    let many = "[[service]]\nname = \"a\"\n".repeat(65);
    for (own, why) in [
        ("[[service]]\nname = \"a\"\nowned = \"b\"\n", ".gitea/lightstep.toml:3:1: unknown field `owned`"),
        (
            "[[service]]\nname = \"a\"\nrepository = \"x/y\"\n",
            ".gitea/lightstep.toml:3:14: a repository defines services of itself alone",
        ),
        ("[lightstep]\n", ".gitea/lightstep.toml:1:2: unknown field `lightstep`"),
        ("\u{1b}[2J", ".gitea/lightstep.toml:1:2: "),
        (&many, ".gitea/lightstep.toml: it defines 65 services, the limit is 64"),
    ] {
        assert_eq!(names(&markers(&sandbox, &[(OWN, own)])), ["pay"], "{why}");
        assert!(missing(&sandbox).starts_with(why), "{why}: {}", missing(&sandbox));
        assert!(!missing(&sandbox).contains('\u{1b}'));
    }
    // A file that is larger than any such file is not read, and costs nothing.
    assert_eq!(names(&markers(&sandbox, &[(OWN, &"#".repeat(300 << 10))])), ["pay"]);
}

#[test]
fn a_wrong_rule_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    for (rule, why) in [
        ("version = \"latest\"", ":9:11: expected \"tag\", \"describe\", \"commit\""),
        ("version = { file = \"/etc/passwd\" }", ":9:11: expected the path of a file in the repository"),
        ("links = { a = \"https://x/{servce}\" }", ":9:15: there is no placeholder `{servce}`"),
        ("links = { a = \"https://{service}.example.com\" }", ":9:15: the host is never a placeholder"),
        ("environments = { \"\" = \"main\" }", ":9:18: an environment needs a name"),
        ("environments = { a = 1 }", ":9:22: expected the name of a branch or a tag"),
    ] {
        sandbox.configure(&service(rule));
        let ran = sandbox.binary(&["check"]);
        assert_eq!(ran.code, Some(1), "{rule}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let place = why.split(' ').next().expect("a place").trim_end_matches(':');
        assert!(said.contains(place) && said.contains(&why[place.len() + 2..]), "{rule}\n{said}");
    }
}
