use super::*;

fn said(path: &str, content: &str) -> String {
    read(path, None, content).unwrap_or_else(|why| format!("! {why}"))
}

#[test]
fn version_is_read_from_each_file_format() {
    assert_eq!(said("Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.2.3\""), "1.2.3");
    assert_eq!(said("a/Cargo.toml", "[workspace.package]\nversion = \"2.0.0\""), "2.0.0");
    assert_eq!(said("package.json", r#"{"name": "a", "version": "3.1.0"}"#), "3.1.0");
    assert_eq!(said("pyproject.toml", "[project]\nversion = \"4.0\""), "4.0");
    assert_eq!(said("pyproject.toml", "[tool.poetry]\nversion = \"4.1\""), "4.1");
    assert_eq!(said("VERSION", "\n  go1.27.3 \ntime 2026\n"), "go1.27.3");
    assert_eq!(
        said(
            "Chart.yaml",
            "dependencies:\n- name: a\n  version: 9.9.9\nmaintainers: {version: 8}\nversion: 5.0.1 # so\n"
        ),
        "5.0.1"
    );
    assert_eq!(read("Chart.yaml", Some("appVersion"), "appVersion: \"1.10\"\n"), Ok("1.10".into()));
    assert_eq!(
        read("values.yaml", Some("image.tag"), "image:\n  x: [a, {tag: 1}]\n  tag: 7\n"),
        Ok("7".into())
    );
    assert_eq!(read("a.json", Some("a.b"), r#"{"a": {"b": 7}}"#), Ok("7".into()));
}

#[test]
fn invalid_versions_are_reported() {
    assert_eq!(said("VERSION", " \n"), "! it is empty");
    assert_eq!(said("package.json", "{}"), "! it has no `version`");
    assert_eq!(
        said("Cargo.toml", "[package]\nname = \"a\""),
        "! it has no `package.version` and no `workspace.package.version`"
    );
    assert!(
        said("Cargo.toml", "[package]\nversion.workspace = true").contains("inherited from the workspace")
    );
    assert!(said("package.json", r#"{"version": []}"#).contains("is not a string"));
    assert!(said("Chart.yaml", "version: [1]").contains("is not a string"));
    assert!(said("Cargo.toml", "[package").starts_with("! "));
    assert!(said("package.json", &"[".repeat(100_000)).starts_with("! "));
    assert!(said("Chart.yaml", &"[".repeat(100_000)).starts_with("! "));
    assert_eq!(said("VERSION", "1\u{1b}[31m"), "1[31m");
}

#[test]
fn yaml_aliases_are_not_expanded() {
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for n in 1..40 {
        bomb.push_str(&format!("a{n}: &a{n} [*a{p}, *a{p}]\n", p = n - 1));
    }
    bomb.push_str("version: 1.0.0\n");
    assert_eq!(said("Chart.yaml", &bomb), "1.0.0");
}
