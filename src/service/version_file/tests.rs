use super::*;

fn said(path: &str, content: &str) -> String {
    keyed(path, None, content)
}

fn keyed(path: &str, key: Option<&str>, content: &str) -> String {
    read(path, key, content, &|_| Ok(None)).unwrap_or_else(|why| format!("! {why}"))
}

/// Reads `path` of a repository with these files.
fn among(files: &[(&str, &str)], path: &str) -> String {
    let other = |path: &str| {
        Ok(files.iter().find(|(known, _)| *known == path).map(|(_, content)| Rc::from(*content)))
    };
    let content = other(path).ok().flatten().unwrap_or_default();
    read(path, None, &content, &other).unwrap_or_else(|why| format!("! {why}"))
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
    assert_eq!(keyed("Chart.yaml", Some("appVersion"), "appVersion: \"1.10\"\n"), "1.10");
    assert_eq!(keyed("values.yaml", Some("image.tag"), "image:\n  x: [a, {tag: 1}]\n  tag: 7\n"), "7");
    assert_eq!(keyed("values.yaml", Some("image.tag"), "image: {tag: 1.10}\n"), "1.10");
    assert_eq!(keyed("values.yaml", Some("a.b.c/d"), "a: {b.c/d: 7}\n"), "7");
    assert_eq!(keyed("a.json", Some("a.b"), r#"{"a": {"b": 7}}"#), "7");
}

#[test]
fn invalid_versions_are_reported() {
    assert_eq!(said("VERSION", " \n# a\n"), "! it has no version: all lines are empty or comments");
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
    assert_eq!(said("Cargo.toml", "\n[package").split(": ").next(), Some("! line 2, column 9"));
    assert!(said("package.json", &"[".repeat(100_000)).contains("nested more than 64 levels"));
    assert!(said("Chart.yaml", &"[".repeat(100_000)).starts_with("! line 1, column "));
    assert!(said("VERSION", "1\u{1b}[31m").ends_with("it has invisible or invalid characters"));
}

#[test]
fn text_that_is_not_a_version_is_refused() {
    for not in [
        "<project>",
        "<Project Sdk=\"Microsoft.NET.Sdk\">",
        "0.0.0-development",
        "0.0.0-PLACEHOLDER",
        "${revision}",
        "$(Version)",
        "{{ version }}",
        "@VERSION@",
        "VERSION=1.2.3",
        "attr: x",
        "from setuptools import setup",
        "1.2\u{0}",
        "1.2\u{202e}",
        "caf\u{fffd}",
        "--",
        &"9".repeat(257),
    ] {
        assert!(said("VERSION", not).starts_with("! `"), "{not}: {}", said("VERSION", not));
    }
    for version in ["v1.2.3", "go1.27.3", "b7", "1.2.3+build~5", "1:2.3-4", "2024.05.01", "release/1.2"] {
        assert_eq!(said("VERSION", version), version);
    }
}

#[test]
fn yaml_aliases_are_not_expanded() {
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for n in 1..40 {
        bomb.push_str(&format!("a{n}: &a{n} [*a{p}, *a{p}]\n", p = n - 1));
    }
    bomb.push_str("v: &v 1.0.0\nversion: *v\n");
    assert_eq!(said("Chart.yaml", &bomb), "1.0.0");
}

#[test]
fn inherited_version_is_read_from_the_nearest_workspace() {
    let member = "[package]\nversion.workspace = true\n";
    let root = "[workspace.package]\nversion = \"1.2.3\"\n";
    for files in [
        &[("a/b/Cargo.toml", member), ("Cargo.toml", root)][..],
        &[
            ("a/b/Cargo.toml", member),
            ("a/Cargo.toml", root),
            ("Cargo.toml", "[workspace.package]\nversion = \"9.9.9\"\n"),
        ],
        &[("a/b/Cargo.toml", member), ("a/Cargo.toml", "[workspace]\n"), ("Cargo.toml", root)],
        &[
            ("a/b/Cargo.toml", "[package]\nworkspace = \"../../c\"\nversion = { workspace = true }\n"),
            ("c/Cargo.toml", root),
        ],
        &[(
            "a/b/Cargo.toml",
            "[package]\nversion.workspace = true\n[workspace.package]\nversion = \"1.2.3\"\n",
        )],
    ] {
        assert_eq!(among(files, "a/b/Cargo.toml"), "1.2.3", "{files:?}");
    }
    let outside = "[package]\nworkspace = \"../../..\"\nversion = { workspace = true }\n";
    assert!(among(&[("a/b/Cargo.toml", outside)], "a/b/Cargo.toml").contains("inherited"));
    let broken = among(&[("a/Cargo.toml", member), ("Cargo.toml", "[a\n")], "a/Cargo.toml");
    assert!(broken.starts_with("! in `Cargo.toml`: line 1, column "), "{broken}");
    let deep = format!("{}Cargo.toml", "a/".repeat(2000));
    assert!(among(&[(&deep, member), ("Cargo.toml", root)], &deep).contains("inherited"));
}

#[test]
fn references_end() {
    let pom = |properties: &str| {
        format!("<project><version>${{a}}</version><properties>{properties}</properties></project>")
    };
    assert_eq!(said("pom.xml", &pom("<a>1.${b}</a><b>2${c.d}</b><c.d>-x</c.d>")), "1.2-x");
    for endless in
        ["<a>${a}</a>", "<a>${b}${b}</a><b>${a}</b>", "<a>x</a>".repeat(2).replace('x', "${a}").as_str()]
    {
        assert!(said("pom.xml", &pom(endless)).contains("does not define"), "{endless}");
    }
    let long = format!("<a>{}${{a}}</a>", "x".repeat(2000));
    assert!(said("pom.xml", &pom(&long)).starts_with("! "));
}

#[test]
fn null_booleans_and_numbers_with_lost_digits_are_not_versions() {
    let not = |found: &str| format!("! `version` is not a string but of type {found}");
    for (text, expected) in [
        ("version: ~\n", not("null")),
        ("version: null\n", not("null")),
        ("version: NULL", not("null")),
        ("version:\n", not("null")),
        ("x: &v ~\nversion: *v\n", not("null")),
        ("version: true\n", not("boolean")),
        ("version: {}\n", not("table")),
        ("version: 'null'\n", "null".to_string()),
        ("version: nullable\n", "nullable".to_string()),
        ("version: 1.10\n", "1.10".to_string()),
        ("x: &v 1.10\nversion: *v\n", "1.10".to_string()),
    ] {
        assert_eq!(said("Chart.yaml", text), expected, "{text}");
    }
    for (number, expected) in [
        ("1.10", not("float")),
        ("1.0", not("float")),
        ("1e3", not("float")),
        ("12345678901234567890", not("float")),
        ("null", not("null")),
        ("true", not("boolean")),
        ("2", "2".to_string()),
        ("\"1.10\"", "1.10".to_string()),
    ] {
        assert_eq!(said("package.json", &format!("{{\"version\": {number}}}")), expected, "{number}");
    }
}
