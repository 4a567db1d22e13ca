use super::*;

fn service(name: &str, patterns: &[&str], paths: &[&str]) -> TaggedService {
    let pattern = |text: &&str| TagPattern::parse(text).expect("a pattern");
    TaggedService {
        name: name.into(),
        patterns: patterns.iter().map(pattern).collect(),
        paths: paths.iter().map(ToString::to_string).collect(),
    }
}

fn names(services: impl IntoIterator<Item = TaggedService>) -> TagNames {
    TagNames { services: services.into_iter().collect(), no_services: None }
}

/// Returns `SERVICE VERSION`, with `-` for no service, or an empty text.
fn read(names: &TagNames, tag: &str) -> String {
    let shown = |tag: VersionTag| format!("{} {}", tag.service().unwrap_or("-"), tag.version());
    names.parse(tag).map(shown).unwrap_or_default()
}

#[test]
fn without_services_the_text_before_a_version_is_the_service() {
    for (tag, expected) in [
        ("v1.2.3", "- 1.2.3"),
        ("1.2.3-rc.1+build.5", "- 1.2.3-rc.1+build.5"),
        ("checkout/v1.2.3", "checkout 1.2.3"),
        ("checkout@1.2.3", "checkout 1.2.3"),
        ("checkout-v1.2.3", "checkout 1.2.3"),
        ("checkout-1.2.3", "checkout 1.2.3"),
        ("checkout-api2-1.2.3-rc.1", "checkout-api2 1.2.3-rc.1"),
        ("grep-pcre2-0.2.6", "grep-pcre2 0.2.6"),
        ("app-2-1.0.0", "app-2 1.0.0"),
        ("name-1.2-3.4", "name 1.2-3.4"),
        ("gopls/v0.1.0-pre.1", "gopls 0.1.0-pre.1"),
        ("libs/money/v0.1.0", "libs/money 0.1.0"),
        ("@acme/money@2.0.0", "money 2.0.0"),
        ("curl-7_1_2", "curl 7_1_2"),
        ("version-1.2.3", "- 1.2.3"),
        ("release/1.2.3", "- 1.2.3"),
        ("Releases/v1.2.3", "- 1.2.3"),
        ("hotfix/1.2.4", "- 1.2.4"),
        ("deploy/production/1.2.3", "- 1.2.3"),
        ("debian/1.2.3-1", "- 1.2.3-1"),
        ("release/checkout/v1.2.3", "checkout 1.2.3"),
        ("TEST-0.0.0", "- 0.0.0"),
    ] {
        assert_eq!(read(&names([]), tag), expected, "{tag}");
    }
    for none in [
        "v1",
        "nightly",
        "latest",
        "2024",
        "@1.2.3",
        "/v1.2.3",
        "v",
        "",
        "1-2.3",
        "REL_16_1",
        "foo_1_2",
        "nightly-2024.05.01",
        "backup/v1.2.3",
        "build20241128.1x",
        "x-20241128",
        "checkout-",
        "checkout-v",
        "-1.2.3",
    ] {
        assert_eq!(read(&names([]), none), "", "{none}");
    }
}

#[test]
fn configured_services_are_found_by_name_and_directory() {
    let known = names([
        service("checkout", &[], &["services/checkout/**"]),
        service("checkout-api2", &[], &["services/api2/**"]),
    ]);
    for (tag, expected) in [
        ("v1.2.3", "- 1.2.3"),
        ("checkout-v1.2.3", "checkout 1.2.3"),
        ("checkout-api2-1.2.3-rc.1", "checkout-api2 1.2.3-rc.1"),
        ("@acme/checkout@1.2.3", "checkout 1.2.3"),
        ("services/checkout/v1.2.3", "checkout 1.2.3"),
        ("services/api2/v1.2.3", "checkout-api2 1.2.3"),
        ("services/api2/client/v1.2.3", "checkout-api2 1.2.3"),
        ("release/checkout/1.2.3", "checkout 1.2.3"),
        ("release-1.2.3", "- 1.2.3"),
        ("web-1.2.3", ""),
        ("services/web/v1.2.3", ""),
        ("services/v1.2.3", ""),
    ] {
        assert_eq!(read(&known, tag), expected, "{tag}");
    }
    assert_eq!(known.unknown_prefix("web-1.2.3"), Some("web"));
    assert_eq!(known.unknown_prefix("checkout-1.2.3"), None);
    assert_eq!(known.unknown_prefix("nightly-1.2.3"), None);
    // The longest configured name wins.
    let close = names([service("app", &[], &[]), service("app-1.0", &[], &["one/**"])]);
    assert_eq!(read(&close, "app-1.0-2.0"), "app-1.0 2.0");
    assert_eq!(read(&close, "app-1.0"), "app 1.0");
}

#[test]
fn patterns_take_any_version() {
    let known = names([
        service("checkout", &["checkout-v{version}", "rel/{version}/checkout"], &["services/checkout/**"]),
        service("pg", &["REL_{version}"], &[]),
        service("pg-next", &["REL_NEXT_{version}"], &[]),
    ]);
    for (tag, expected) in [
        ("checkout-v1.2.3", "checkout 1.2.3"),
        ("checkout-vblue", "checkout blue"),
        ("rel/9/checkout", "checkout 9"),
        ("REL_16_1", "pg 16_1"),
        ("REL_NEXT_17", "pg-next 17"),
        // With patterns, nothing else names these services.
        ("checkout-1.2.3", ""),
        ("services/checkout/v1.2.3", ""),
        ("v1.2.3", ""),
        ("REL_", ""),
    ] {
        assert_eq!(read(&known, tag), expected, "{tag}");
    }
    let mixed = names([service("pg", &["REL_{version}"], &[]), service("web", &[], &["web/**"])]);
    assert_eq!(read(&mixed, "v1.2.3"), "- 1.2.3");
    assert_eq!(read(&mixed, "web-1.2.3"), "web 1.2.3");
    assert_eq!(read(&mixed, "pg-1.2.3"), "");
}

#[test]
fn site_chooses_the_words_that_are_not_services() {
    let known = TagNames { services: Vec::new(), no_services: Some(vec!["ship".into()]) };
    assert_eq!(read(&known, "ship-1.2.3"), "- 1.2.3");
    assert_eq!(read(&known, "SHIP/1.2.3"), "- 1.2.3");
    assert_eq!(read(&known, "release-1.2.3"), "release 1.2.3");
}

#[test]
fn final_version_ranks_above_any_prerelease() {
    let tag = |tag: &str| names([]).parse(tag).expect("a version");
    assert!(tag("v1.0.0").rank() > tag("v1.1.0-rc.1").rank());
    assert!(tag("v1.1.0").rank() > tag("v1.0.0").rank());
    assert!(tag("v1.1.0-rc.2").rank() > tag("v1.1.0-rc.1").rank());
}

#[test]
fn long_names_are_read_in_time_linear_in_their_length() {
    let known = names([service("checkout", &[], &["services/checkout/**"])]);
    let tag = "-1.1".repeat(1 << 20) + "!";
    assert_eq!((read(&known, &tag), read(&names([]), &tag)), (String::new(), String::new()));
}
