//! Versions in files of every format, through the hook: what each file gives, what is not a version,
//! symbolic links, and hostile files.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::support::Sandbox;

/// A version file in its own directory, with other files beside it.
struct VersionCase {
    file: &'static str,
    key: Option<&'static str>,
    files: Vec<(&'static str, Vec<u8>)>,
    /// The version, or with `! ` in front a part of the message that explains why there is none.
    expected: &'static str,
}

fn case(file: &'static str, content: impl Into<Vec<u8>>, expected: &'static str) -> VersionCase {
    VersionCase { file, key: None, files: vec![(file, content.into())], expected }
}

impl VersionCase {
    fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    fn beside(mut self, file: &'static str, content: &str) -> Self {
        self.files.push((file, content.into()));
        self
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_default()
}

/// Configures one service for each case and pushes all of their files. A decision names at most
/// eight problems, so no push has more cases.
#[track_caller]
fn pushed(cases: &[VersionCase]) {
    let sandbox = Sandbox::new();
    let mut wrong = Vec::new();
    for (nth, cases) in cases.chunks(8).enumerate() {
        let mut config = String::new();
        for (n, case) in cases.iter().enumerate() {
            let dir = format!("p{nth}/c{n}");
            let key = case.key.map(|key| format!(", key = {key:?}")).unwrap_or_default();
            config.push_str(&format!(
                "[[service]]\nrepository = \"acme/*\"\nname = \"s{n}\"\nversion = {{ file = \"{dir}/{}\"{key} }}\n",
                case.file
            ));
            for (file, content) in &case.files {
                sandbox.write(&format!("clone/{dir}/{file}"), content);
            }
        }
        sandbox.configure(&config);
        let commit = sandbox.commit("Versions", &[]);
        let before = sandbox.waiting("unassigned").len();
        sandbox.push(&["main"]).succeeded();
        let markers = sandbox.waiting("unassigned").split_off(before);
        let decision = sandbox.decisions().pop().expect("a decision");
        let missing = text(&decision, "missing");
        for (n, case) in cases.iter().enumerate() {
            let name = format!("s{n}");
            let marker = markers.iter().find(|marker| text(marker, "service") == name).expect("a marker");
            let version = text(marker, "version");
            let about =
                |part: &&str| part.contains(&format!("`{name}`")) || part.contains(&format!("/c{n}/"));
            let why = missing.split("; the commit ID is used instead").find(about).unwrap_or_default();
            let is_right = match case.expected.strip_prefix("! ") {
                Some(part) => version == commit && why.contains(part),
                None => version == case.expected && why.is_empty(),
            };
            if !is_right {
                let content = String::from_utf8_lossy(&case.files[0].1);
                let content: String = content.chars().take(300).collect();
                wrong.push(format!(
                    "{} {:?} {content:?}\n  expected {}\n  found {version} {why}",
                    case.file, case.key, case.expected
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn maven_projects() {
    let pom = |inner: &str| format!("<project>{inner}</project>");
    pushed(&[
        case(
            "pom.xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- <version>0</version> -->\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\"\n  \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"a b\">\n  <modelVersion>4.0.0</modelVersion>\n  \
             <parent><groupId>g</groupId><version>9.9.9</version></parent>\n  <dependencies><dependency><version>8</version></dependency></dependencies>\n  \
             <version>\n    1.2.3-SNAPSHOT\n  </version>\n</project>\n",
            "1.2.3-SNAPSHOT",
        ),
        case("pom.xml", pom("<parent><version>2.0.0</version></parent>"), "2.0.0"),
        case(
            "pom.xml",
            pom("<version>${revision}</version><properties><revision>1.4.0</revision></properties>"),
            "1.4.0",
        ),
        case(
            "pom.xml",
            pom(
                "<version>${revision}${sha1}-${app.tag}</version><properties><revision>1.${minor}</revision><minor>5</minor><sha1/><app.tag>rc1</app.tag></properties>",
            ),
            "1.5-rc1",
        ),
        case(
            "pom.xml",
            pom("<version>${revision}</version>"),
            "! `${revision}` needs `revision`, which this file does not define",
        ),
        case(
            "pom.xml",
            pom("<version>${project.parent.version}</version><parent><version>3.1</version></parent>"),
            "3.1",
        ),
        case("pom.xml", pom("<version>${project.version}</version>"), "! needs `project.version`"),
        case(
            "pom.xml",
            pom("<artifactId>a</artifactId>"),
            "! it has no `project.version` and no `project.parent.version`",
        ),
        case(
            "pom.xml",
            "\u{feff}<m:project xmlns:m=\"urn:x\">\r\n<m:version><![CDATA[1.2]]>.&#x33;</m:version>\r\n</m:project>\r\n",
            "1.2.3",
        ),
        case("pom.xml", pom("<version>1<!-- x -->.2</version>"), "1.2"),
        case("pom.xml", pom("<properties><app.version>7.1</app.version></properties>"), "7.1")
            .key("project.properties.app.version"),
        case(
            "pom.xml",
            pom("<version>1</version>").replace("</project>", ""),
            "! line 1, column 30: the element `project` has no end",
        ),
        case("pom.xml", "<project>\n<version>1</vers>\n</project>", "! line 2, column "),
        case("pom.xml", "", "! line 1, column 1: it has no element"),
        case("pom.xml", pom("<version/>"), "! it is empty"),
        case("pom.xml", pom("<version>1 2</version>"), "! it has white space"),
        case(
            "pom.xml",
            "<!DOCTYPE p [<!ENTITY a \"1\"><!ENTITY b \"&a;&a;&a;\">]><project><version>&b;</version></project>",
            "! is not a version",
        ),
        case(
            "package.xml",
            "<package format=\"3\"><name>n</name><version compatibility=\"1\">1.0.2</version></package>",
            "1.0.2",
        ),
        case("a.nuspec", "<package><metadata><version>4.5.6</version></metadata></package>", "4.5.6"),
        case(
            "a.nuspec",
            "<package><metadata><version>$version$</version></metadata></package>",
            "! a build replaces parts of it",
        ),
        case("config.xml", "<widget version=\"2.3\"/>", "2.3").key("widget.@version"),
    ]);
}

#[test]
fn dotnet_projects() {
    let project = |inner: &str| format!("<Project Sdk=\"Microsoft.NET.Sdk\">\n{inner}\n</Project>");
    let group = |inner: &str| project(&format!("<PropertyGroup>{inner}</PropertyGroup>"));
    pushed(&[
        case(
            "App.csproj",
            group("<TargetFramework>net9.0</TargetFramework><Version>1.2.3</Version>"),
            "1.2.3",
        ),
        case(
            "App.fsproj",
            group("<VersionPrefix>1.2.3</VersionPrefix><VersionSuffix>beta.1</VersionSuffix>"),
            "1.2.3-beta.1",
        ),
        case("App.vbproj", group("<VersionPrefix>1.2.3</VersionPrefix>"), "1.2.3"),
        case(
            "Directory.Build.props",
            "<Project>\r\n<PropertyGroup>\r\n<Version>2.0.0</Version>\r\n</PropertyGroup>\r\n</Project>\r\n",
            "2.0.0",
        ),
        case(
            "Directory.Build.props",
            project(
                "<PropertyGroup Condition=\"'$(Configuration)' == 'Debug'\"><Version>9.0.0</Version></PropertyGroup>\
                 <PropertyGroup><Deterministic>true</Deterministic></PropertyGroup>\
                 <PropertyGroup><Version>1.0.0</Version><Version>1.1.0</Version></PropertyGroup>\
                 <PropertyGroup><Version Condition=\"'$(CI)' == 'true'\">1.1.0-ci</Version></PropertyGroup>",
            ),
            "1.1.0",
        ),
        case(
            "Directory.Build.props",
            group("<Version Condition=\" '$(Version)' == '' \">1.3.0</Version>"),
            "1.3.0",
        ),
        case(
            "Directory.Build.props",
            group("<Version Condition=\"'$(CI)' == ''\">1.3.0</Version>"),
            "! `Version` depends on a condition",
        ),
        case(
            "a.csproj",
            group(
                "<VersionPrefix>1.0</VersionPrefix><VersionSuffix Condition=\"'$(CI)' != ''\">ci</VersionSuffix>",
            ),
            "! `VersionSuffix` depends on a condition",
        ),
        case(
            "a.csproj",
            group(
                "<Version>$(VersionPrefix).$(build)</Version><VersionPrefix>1.0</VersionPrefix><Build>7</Build>",
            ),
            "1.0.7",
        ),
        case(
            "a.csproj",
            group("<Version>1.0.$(BuildNumber)</Version>"),
            "! `1.0.$(BuildNumber)` needs `BuildNumber`",
        ),
        case(
            "a.csproj",
            group("<Version>$([System.DateTime]::Now.ToString())</Version>"),
            "! which this file does not define",
        ),
        case(
            "a.csproj",
            "<Project xmlns=\"http://schemas.microsoft.com/developer/msbuild/2003\"><PropertyGroup><version>4.0</version></PropertyGroup></Project>",
            "4.0",
        ),
        case(
            "a.csproj",
            project("<ItemGroup><PackageReference Include=\"x\" Version=\"9\"/></ItemGroup>"),
            "! it has no `Version` and no `VersionPrefix`",
        ),
        case("a.csproj", group("<FileVersion>1.2.3.4</FileVersion>"), "1.2.3.4")
            .key("Project.PropertyGroup.FileVersion"),
        case(
            "a.csproj",
            project("<PropertyGroup/><PropertyGroup><FileVersion>$(V)</FileVersion><V>5</V></PropertyGroup>"),
            "5",
        )
        .key("Project.PropertyGroup.FileVersion"),
        case("a.csproj", group("<VersionPrefix>1.2</VersionPrefix><VersionSuffix></VersionSuffix>"), "1.2"),
    ]);
}

#[test]
fn java_properties() {
    pushed(&[
        case("gradle.properties", "# Gradle\norg.gradle.jvmargs=-Xmx2g\nversion=1.2.3\n", "1.2.3"),
        case("gradle.properties", "! x\r\nversion : 1.2.3\r\n", "1.2.3"),
        case("gradle.properties", "\u{feff}version 1.2.3", "1.2.3"),
        case("gradle.properties", "version = 1.\\\n    2.\\\n  3\n", "1.2.3"),
        case("gradle.properties", "version=\\u0031.2\\u002e3   \n", "1.2.3"),
        case("gradle.properties", "version=0\nversion=1.2.3", "1.2.3"),
        case("app.properties", "app.version=2.0\n", "2.0").key("app.version"),
        case("app.properties", "app\\:version=2.1\n", "2.1").key("app:version"),
        case("gradle.properties", "# Gradle\n#version=1\n", "! it has no `version`"),
        case("gradle.properties", "version=", "! it is empty"),
        case("gradle.properties", "version=${revision}", "! a build replaces parts of it"),
        case("gradle.properties", "version=unspecified", "! placeholder"),
        case("gradle.properties", b"v=caf\xe9\nversion=1.2.3\n".to_vec(), "1.2.3"),
        case("gradle.properties", b"version=1\xe9\n".to_vec(), "! invisible or invalid"),
        case("gradle.properties", "version=1\\u202e2", "! invisible or invalid"),
        case("gradle.properties", "version=1\\n2", "! is not a version"),
    ]);
}

#[test]
fn python_projects() {
    pushed(&[
        case("setup.cfg", "[metadata]\nname = a\nversion = 1.2.3\n[options]\nversion = 9\n", "1.2.3"),
        case("setup.cfg", "# x\r\n[options]\r\nx = 1\r\n[metadata]\r\nVersion: 1.2.3\r\n", "1.2.3"),
        case("setup.cfg", "[metadata]\nversion = attr: pkg.__version__\n", "! the version is dynamic"),
        case("setup.cfg", "[metadata]\nversion = file: VERSION\n", "! the version is dynamic"),
        case("setup.cfg", "[metadata]\nlong =\n  version = 8\nversion = 1.4\n", "1.4")
            .key("metadata.version"),
        case("setup.cfg", "[metadata]\nname = x\n", "! it has no `metadata.version`"),
        case(
            "setup.cfg",
            "version = 1\n[metadata]\n",
            "! line 1, column 1: this line is before the first section",
        ),
        case("setup.py", "from setuptools import setup\nsetup(version='1.2.3')\n", "! it has white space"),
        case("pyproject.toml", "[project]\nversion = \"3.1\"\n[tool.poetry]\nversion = \"9\"\n", "3.1"),
        case("pyproject.toml", "[tool.poetry]\nname = \"a\"\nversion = \"3.2\"\n", "3.2"),
        case(
            "pyproject.toml",
            "[project]\nname = \"a\"\ndynamic = [\"version\"]\n",
            "! the version is dynamic",
        ),
        case(
            "pyproject.toml",
            "[project]\ndynamic = [\"readme\", \"version\"]\n[tool.setuptools.dynamic]\nversion = {attr = \"a.b\"}\n",
            "! the version is dynamic",
        ),
        case(
            "pyproject.toml",
            "[project]\ndynamic = [\"version\"]\n[tool.poetry]\nversion = \"3.3\"\n",
            "3.3",
        ),
        case(
            "pyproject.toml",
            "[tool.poetry]\nversion = \"0.0.0\"\n[tool.poetry-dynamic-versioning]\nenable = true\n",
            "! the version is dynamic",
        ),
        case(
            "pyproject.toml",
            "[project]\nname = \"a\"\ndynamic = [\"readme\"]\n",
            "! it has no `project.version` and no `tool.poetry.version`",
        ),
        case(
            "pyproject.toml",
            "[project]\nversion = 3\n",
            "! `project.version` is not a string but of type integer",
        ),
        case("pyproject.toml", "\u{feff}# x\r\n[project]\r\nversion = '3.4'\r\n", "3.4"),
        case("pyproject.toml", "[project]\nversion = \"1\"\nversion = \"2\"\n", "! line 3, column 1: "),
    ]);
}

#[test]
fn cargo_packages_inherit_from_their_workspace() {
    let member = "[package]\nname = \"a\"\nversion.workspace = true\n";
    let root = "[workspace]\nmembers = [\"crates/*\"]\n[workspace.package]\nversion = \"1.2.3\"\n";
    pushed(&[
        case("crates/a/Cargo.toml", member, "1.2.3").beside("Cargo.toml", root),
        case("crates/a/Cargo.toml", member, "1.2.3")
            .beside("crates/Cargo.toml", root)
            .beside("Cargo.toml", "[workspace.package]\nversion = \"9\"\n"),
        case("crates/a/Cargo.toml", member, "1.2.3")
            .beside("crates/Cargo.toml", "[package]\nname = \"b\"\n")
            .beside("Cargo.toml", root),
        case("Cargo.toml", format!("{member}[workspace.package]\nversion = \"4.5.6\"\n"), "4.5.6"),
        case("a/Cargo.toml", "[package]\nworkspace = \"../w\"\nversion = { workspace = true }\n", "1.2.3")
            .beside("w/Cargo.toml", root),
        case("crates/a/Cargo.toml", member, "! inherited from the workspace"),
        case("crates/a/Cargo.toml", member, "! `p0/c6/Cargo.toml`: line 1, column ")
            .beside("Cargo.toml", "[workspace\n"),
        case("crates/a/Cargo.toml", member, "! `workspace.package.version` is not a string")
            .beside("Cargo.toml", "[workspace.package]\nversion = 1\n"),
        case(
            "a/Cargo.toml",
            "[package]\nversion.workspace = false\n",
            "! `package.version` is not a string but of type table",
        ),
        case("a/Cargo.toml", member, "! `${revision}`")
            .beside("Cargo.toml", "[workspace.package]\nversion = \"${revision}\"\n"),
    ]);
}

#[test]
fn json_yaml_and_plain_files() {
    pushed(&[
        case(
            "package.json",
            r#"{"config": {"version": "9"}, "version": "1.2.3", "x": [{"version": "8"}]}"#,
            "1.2.3",
        ),
        case(
            "package.json",
            r#"{"config": {"version": "9"}, "engines": {"version": "8"}}"#,
            "! it has no `version`",
        ),
        case(
            "package.json",
            "{\"version\": \"0.0.0-development\"}",
            "! `0.0.0-development` is not a version: release tools use it as a placeholder",
        ),
        case("package.json", "\u{feff}{\r\n  \"version\": \"1.2.3\"\r\n}\r\n", "1.2.3"),
        case("package.json", "{\n  // x\n  \"version\": \"1\"}", "! line 2, column 3: "),
        case("package.json", "{\"version\": null}", "! `version` is not a string but of type null"),
        case("package.json", "{\"version\": \"1\", \"version\": \"2.0\"}", "2.0"),
        case("package.json", "[]", "! it has no `version`"),
        case("Chart.yaml", "v: &v 1.10\nversion: *v\n", "1.10"),
        case("Chart.yaml", "# x\r\nversion: '1.2.3' # y\r\n", "1.2.3"),
        case("Chart.yaml", "version: >-\n  1.2.3\n---\nversion: 9\n", "1.2.3"),
        case("Chart.yaml", "version: \"{{ .Version }}\"\n", "! it has white space"),
        case("values.yaml", "labels:\n  app.kubernetes.io/version: 4.5\n", "4.5")
            .key("labels.app.kubernetes.io/version"),
        case("VERSION", "# do not edit\n\n1.2.3\n", "1.2.3"),
        case("VERSION", "\u{feff}// x\r\n; y\r\n  v1.2.3 # z\r\nmore\r\n", "v1.2.3"),
        case("VERSION", "# only\n#comments\n", "! all lines are empty or comments"),
        case("VERSION", "", "! all lines are empty or comments"),
        case("VERSION", "1.2.3\r4\r", "1.2.3"),
        case("VERSION", "VERSION=1.2.3\n", "! punctuation"),
        case("VERSION", "release 1.2.3\n", "! it has white space"),
        case("VERSION", "@VERSION@\n", "! a build replaces parts of it"),
        case("VERSION", b"\xff\xfe1\x00".to_vec(), "! invisible or invalid"),
        case("VERSION", "1\u{1b}[31m", "! invisible or invalid"),
        case("build.gradle", "plugins {\n}\nversion = '1.2.3'\n", "! it has white space"),
    ]);
}

#[test]
fn hostile_files_are_refused() {
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for n in 1..60 {
        bomb.push_str(&format!("a{n}: &a{n} [*a{p}, *a{p}]\n", p = n - 1));
    }
    let attributes: String = (0..20_000).map(|n| format!(" a{n}='1'")).collect();
    pushed(&[
        case(
            "pom.xml",
            deep("<a>", "</a>", 20_000),
            "! line 1, column 193: it is nested more than 64 levels deep",
        ),
        case("package.json", deep("[", "]", 100_000), "! nested more than 64 levels deep"),
        case("package.json", deep("{\"a\":", "}", 40_000), "! nested more than 64 levels deep"),
        case("Chart.yaml", deep("[", "]", 100_000), "! line 1, column "),
        case(
            "Chart.yaml",
            (0..400).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>(),
            "! nested more than 64",
        ),
        case("Chart.yaml", format!("{bomb}version: 1.0.0\n"), "1.0.0"),
        case("Chart.yaml", format!("{bomb}version: *a59\n"), "! is not a string but of type array"),
        case("Cargo.toml", format!("a = {}", deep("[", "]", 100_000)), "! line 1, column "),
        case("Cargo.toml", format!("{}z = 1", "a.".repeat(120_000)), "! line 1, column "),
        case("pom.xml", format!("<project{attributes}><version>1.0.1</version></project>"), "1.0.1"),
        case("pom.xml", "<a/>".repeat(60_000), "! more than one root element"),
        case("pom.xml", format!("<project>{}</project>", "<version>2</version>".repeat(12_000)), "2"),
        case("pom.xml", "<".repeat(200_000), "! line 1, column "),
        case(
            "pom.xml",
            format!("<project><version>{}</version></project>", "&#48;".repeat(40_000)),
            "! it has more than 256 characters",
        ),
        case("gradle.properties", "\\\n".repeat(120_000), "! it has no `version`"),
        case("gradle.properties", format!("version={}", "\\u".repeat(100_000)), "! invisible or invalid"),
    ]);
    let mut large = vec![b' '; 9 << 20];
    large.extend_from_slice(b"{\"version\": \"1\"}");
    let why = "! has 9437200 bytes, the limit is 262144";
    pushed(&[
        case("package.json", large.clone(), why),
        case("pom.xml", large.clone(), why),
        case("VERSION", large, why),
    ]);
}

/// Pushes the links (path, target) and returns the version of a file, with its problem.
fn linked(files: &[(&str, &str)], links: &[(&str, &str)], file: &str) -> (String, String) {
    let sandbox = Sandbox::new();
    sandbox.configure(&format!(
        "[[service]]\nrepository = \"acme/*\"\nname = \"pay\"\nversion = {{ file = \"{file}\" }}\n"
    ));
    for (path, content) in files {
        sandbox.write(&format!("clone/{path}"), content);
    }
    for (path, target) in links {
        let path = sandbox.path("clone").join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        symlink(target, path).expect("a link");
    }
    let commit = sandbox.commit("Links", &[]);
    sandbox.push(&["main"]).succeeded();
    let markers = sandbox.waiting("unassigned");
    let missing = text(&sandbox.decisions().pop().expect("a decision"), "missing").to_string();
    let version = text(&markers[0], "version").replace(&commit, "COMMIT");
    (version, missing)
}

#[test]
fn symbolic_links_inside_the_tree_are_followed() {
    let files = [("VERSION", "1.2.3\n"), ("services/pay/VERSION", "4.5.6\n")];
    for (links, file, expected) in [
        (&[("services/link/VERSION", "../../VERSION")][..], "services/link/VERSION", "1.2.3"),
        (&[("link", "services/pay/VERSION")], "link", "4.5.6"),
        (&[("link", "services//./pay")], "link/VERSION", "4.5.6"),
        (&[("services/a", "pay"), ("b", "services/a")], "b/VERSION", "4.5.6"),
        (&[("a", "b"), ("b", "c"), ("c", "VERSION")], "a", "1.2.3"),
        (&[("d/e", "../services/../services/pay/../../VERSION")], "d/e", "1.2.3"),
    ] {
        assert_eq!(linked(&files, links, file), (expected.into(), String::new()), "{links:?}");
    }
    let eight: Vec<_> = (0..8)
        .map(|n| (format!("l{n}"), if n == 7 { "VERSION".into() } else { format!("l{}", n + 1) }))
        .collect();
    let eight: Vec<_> = eight.iter().map(|(path, target)| (path.as_str(), target.as_str())).collect();
    assert_eq!(linked(&files, &eight, "l0").0, "1.2.3");
    let nine = [&[("first", "l0")][..], &eight].concat();
    let (version, why) = linked(&files, &nine, "first");
    assert_eq!(version, "COMMIT");
    assert!(why.contains("`first`") && why.contains("more than 8 links"), "{why}");

    // A member behind a link finds the workspace above the path that the rule names.
    let cargo = [
        ("Cargo.toml", "[workspace.package]\nversion = \"1.0.0\"\n"),
        ("real/Cargo.toml", "[package]\nversion.workspace = true\n"),
    ];
    assert_eq!(linked(&cargo, &[("a/b", "../real")], "a/b/Cargo.toml").0, "1.0.0");
}

#[test]
fn links_that_leave_the_tree_or_go_in_circles_are_errors() {
    let outside = "`link`: a symbolic link on its path leads out of the repository";
    for (links, why) in [
        (&[("link", "/etc/hostname")][..], "has the absolute target `/etc/hostname`"),
        (&[("link", "../VERSION")], outside),
        (&[("link", "services/../../VERSION")], outside),
        (&[("link", "a"), ("a", "../../x")], outside),
        (&[("link", "link")], "more than 8 links"),
        (&[("link", "a"), ("a", "link")], "more than 8 links"),
        (&[("link", "a/x"), ("a", "a")], "more than 8 links"),
        (&[("link", "gone")], "there is no `link` at this commit"),
        (&[("link", "services")], "there is no `link` at this commit"),
        (&[("link", "VERSION/x")], "there is no `link` at this commit"),
    ] {
        let files = [("VERSION", "1\n"), ("services/VERSION", "2\n")];
        let (version, said) = linked(&files, links, "link");
        assert_eq!(version, "COMMIT", "{links:?}");
        assert!(said.contains(why), "{links:?}: {said}");
        assert!(said.ends_with("; the commit ID is used instead"), "{said}");
    }
}

#[test]
fn keys_of_files_without_keys_are_refused() {
    let sandbox = Sandbox::new();
    for (rule, why) in [
        (
            "{ file = \"VERSION\", key = \"a\" }",
            "`VERSION` has no keys, its first line is the version; remove `key`, or name a file with keys: .json, .toml",
        ),
        ("{ file = \"pay/setup.py\", key = \"version\" }", "`pay/setup.py` has no keys"),
        ("{ file = \"pay/version.txt\", key = \"version\" }", "`pay/version.txt` has no keys"),
        ("{ file = \"a.json\", key = \"\" }", "`key` is empty"),
        (
            "{ file = \"a.json\", key = \"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q\" }",
            "`key` has 17 parts, the limit is 16",
        ),
    ] {
        sandbox
            .configure(&format!("[[service]]\nrepository = \"acme/*\"\nname = \"pay\"\nversion = {rule}\n"));
        let problems = sandbox.problems().join("\n");
        assert!(problems.contains("config.toml:9:11: ") && problems.contains(why), "{rule}: {problems}");
    }
    for file in [
        "a.xml",
        "App.csproj",
        "a.fsproj",
        "a.vbproj",
        "Directory.Build.props",
        "a.properties",
        "setup.cfg",
        "a.ini",
        "a.json",
        "a.toml",
        "a.yml",
        "a.nuspec",
    ] {
        sandbox.configure(&format!(
            "[[service]]\nrepository = \"acme/*\"\nname = \"pay\"\nversion = {{ file = \"{file}\", key = \"a.b\" }}\n"
        ));
        assert_eq!(sandbox.binary(&["check"]).code, Some(0), "{file}");
    }
}

#[test]
fn many_large_files_do_not_hold_up_a_push() {
    let sandbox = Sandbox::new();
    sandbox.configure("[policy]\nrepository_services = [\"acme/*\"]\n[policy.limits]\ntime = \"250ms\"\n");
    let mut own = String::new();
    for n in 0..64 {
        own.push_str(&format!(
            "[[service]]\nname = \"s{n}\"\nversion = {{ file = \"f{n}.yaml\", key = \"z\" }}\n"
        ));
        let content = format!("# {n}\n{}", "- a: [b, c, {d: e}]\n".repeat(13_000));
        sandbox.write(&format!("clone/f{n}.yaml"), content);
    }
    sandbox.write("clone/.gitea/lightstep.toml", own);
    sandbox.commit("Large", &[]);
    let ran = sandbox.push(&["main"]);
    ran.succeeded();
    assert!(ran.took < std::time::Duration::from_secs(10), "{:?}", ran.took);
}
