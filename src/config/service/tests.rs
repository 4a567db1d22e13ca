use super::*;

fn own(source: &str) -> Result<Vec<ServiceRule>, String> {
    own_services(".gitea/lightstep.toml", source).map_err(|problem| problem.to_string())
}

#[test]
fn repository_file_defines_its_own_services() {
    let rules = own(r#"
            [[service]]
            name = "pay"
            paths = ["pay/**"]
            version = { file = "pay/Cargo.toml" }
            environments = { staging = "main", production = ["deploy/production", "v*"], lab = [] }
        "#)
    .expect("valid");
    assert_eq!(rules[0].name, "pay");
    assert_eq!(rules[0].version, Some(VersionRule::File { path: "pay/Cargo.toml".into(), key: None }));
    let refs = |name| rules[0].environments.iter().find(|e| e.name == name).map(|e| e.refs.len());
    assert_eq!([refs("staging"), refs("production"), refs("lab")], [Some(1), Some(2), Some(0)]);
}

#[test]
fn errors_name_line_and_column() {
    for (source, expected) in [
        (
            "[[service]]\nname = \"a\"\nrepository = \"x/y\"",
            "toml:3:14: a repository may define only its own services",
        ),
        ("[[service]]\nname = \"\"", "toml:2:8: a service needs a name"),
        ("[[service]]\nname = \"a\"\nversion = \"latest\"", "toml:3:11: expected \"tag\", \"describe\""),
        (
            "[[service]]\nname = \"a\"\nversion = { file = \"../x\" }",
            "toml:3:11: expected the path of a file",
        ),
        ("[[service]]\nname = \"a\"\nowned = \"b\"", "did you mean `owner`?"),
        ("[[service]]\nname = \"a\"\nlinks = { r = \"https://x/{servce}\" }", "did you mean `{service}`?"),
        ("[lightstep]", "unknown field `lightstep`"),
    ] {
        let said = own(source).expect_err(source);
        assert!(said.contains(expected), "{source}\n{said}");
    }
}
