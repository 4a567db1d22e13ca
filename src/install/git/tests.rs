use super::*;

#[test]
fn git_version_ignores_vendor_suffixes() {
    for (said, expected) in [
        ("git version 2.47.3", Some("2.47.3")),
        ("git version 2.54.0", Some("2.54.0")),
        ("git version 2.39.5 (Apple Git-154)", Some("2.39.5")),
        ("git version 2.45.1.windows.1", Some("2.45.1")),
        ("git version 2.55.0-rc1", Some("2.55.0")),
        ("git version 2.55.0.rc1.12.gabcdef", Some("2.55.0")),
        ("git version 2.30.2.523.gabcdef", Some("2.30.2")),
        ("git version 3.0", Some("3.0.0")),
        ("git version 2", None),
        ("git version x", None),
        ("git version 99999999999.1", None),
        ("gitea version 1.27.0", None),
        ("", None),
    ] {
        let version = said.parse::<GitVersion>().ok().map(|version| version.to_string());
        assert_eq!(version.as_deref(), expected, "{said}");
    }
}

#[test]
fn config_hooks_need_git_2_54() {
    let has = |said: &str| said.parse::<GitVersion>().is_ok_and(GitVersion::has_config_hooks);
    assert!(has("git version 2.54.0") && has("git version 2.55.0-rc1") && has("git version 3.0.0"));
    assert!(!has("git version 2.53.9") && !has("git version 1.60.0"));
}
