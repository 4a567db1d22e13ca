use super::*;

fn of(text: &str) -> ReleaseVersion {
    ReleaseVersion::parse(text).unwrap_or_else(|| panic!("`{text}` is not a version"))
}

#[test]
fn forms_of_release_tools_are_versions() {
    for (text, shown, is_prerelease) in [
        ("1.2.3", "1.2.3", false),
        ("v1.2.3", "1.2.3", false),
        ("V1.2.3", "1.2.3", false),
        ("1.2.3-rc.1+build.5", "1.2.3-rc.1+build.5", true),
        ("1.2.3+build.5", "1.2.3+build.5", false),
        ("v1.2", "1.2", false),
        ("1.2.3.4", "1.2.3.4", false),
        ("2024.05.01", "2024.05.01", false),
        ("24.04.1", "24.04.1", false),
        ("20241128.1", "20241128.1", false),
        ("v2026.0123.0", "2026.0123.0", false),
        ("2021.01.07-1", "2021.01.07-1", false),
        ("1.2.3rc1", "1.2.3rc1", true),
        ("1.2.3a1", "1.2.3a1", true),
        ("1.2.3.post1", "1.2.3.post1", false),
        ("1.2.3.dev4", "1.2.3.dev4", true),
        ("v7.0.1.rc1", "7.0.1.rc1", true),
        ("v0.0.1.alpha.2", "0.0.1.alpha.2", true),
        ("v0.0.1.alpha", "0.0.1.alpha", true),
        ("2.7.18.RELEASE", "2.7.18.RELEASE", false),
        ("6.6.0.Final", "6.6.0.Final", false),
        ("1.0.2u", "1.0.2u", false),
        ("1.0-rc1", "1.0-rc1", true),
        ("v3.2beta5", "3.2beta5", true),
        ("0.0.0-20241128101112-abcdefabcdef", "0.0.0-20241128101112-abcdefabcdef", true),
        ("1.2.3-stripped", "1.2.3-stripped", true),
    ] {
        let version = of(text);
        assert_eq!((version.as_str(), version.is_prerelease()), (shown, is_prerelease), "{text}");
    }
}

#[test]
fn other_text_is_not_a_version() {
    for text in [
        "",
        "v",
        "v1",
        "2024",
        "latest",
        "nightly",
        "1.",
        ".1",
        "1..2",
        "1.2.",
        "1.2.x",
        "1.2.3foo",
        "v-1.2",
        "1.2.3-",
        "1.2.3+",
        "1.2.3-a..b",
        "1.2.3 ",
        "1,2",
        "1.2.3-ä",
        "1.2/3",
        "vv1.2",
        "1234567890123456789.1",
        "1.2.3.4.5.6.7.8.9",
    ] {
        assert_eq!(ReleaseVersion::parse(text), None, "{text}");
    }
    assert_eq!(ReleaseVersion::with_underscores("7_1"), None);
    assert_eq!(
        ReleaseVersion::with_underscores("7_1_2").map(|known| known.to_string()),
        Some("7_1_2".into())
    );
}

#[test]
fn versions_are_in_the_order_of_their_numbers() {
    let in_order = [
        "0.9.9",
        "1.0.0.dev1",
        "1.0.0a1",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc2",
        "1.0.0-rc10",
        "1.0.0",
        "1.0.0.post1",
        "1.0.1",
        "1.0.10",
        "1.2",
        "1.2.0.1",
        "1.2.1",
        "2024.05.01",
        "2024.10.1",
        "20241128.1",
        "20241128.12",
    ];
    for pair in in_order.windows(2) {
        assert!(of(pair[0]) < of(pair[1]), "{pair:?}");
    }
    assert_eq!(of("1.2").cmp(&of("1.2.0")), "1.2".cmp("1.2.0"), "equal but for the text");
    let any = ReleaseVersion::any;
    assert!(any("16_1") < any("16_10") && any("16_10") < any("17_0"));
    assert!(any("blue") < any("green") && !any("green").is_prerelease());
    assert_eq!(any("v1.2.3").as_str(), "v1.2.3", "a pattern says where the version begins");
}

proptest::proptest! {
    /// Only words with digits in them are compared differently: `rc10` comes after `rc2`.
    #[test]
    fn order_of_semantic_versions_is_theirs(
        one in "[0-9]{1,2}\\.[0-9]\\.[0-9](-(alpha|beta|rc|x|[1-9])(\\.[1-9][0-9]?)?)?",
        other in "[0-9]{1,2}\\.[0-9]\\.[0-9](-(alpha|beta|rc|x|[1-9])(\\.[1-9][0-9]?)?)?",
    ) {
        let strict = |text: &str| semver::Version::parse(text);
        if let (Ok(first), Ok(second)) = (strict(&one), strict(&other)) {
            proptest::prop_assert_eq!(of(&one).cmp(&of(&other)), first.cmp(&second));
            proptest::prop_assert_eq!(of(&one).is_prerelease(), !first.pre.is_empty());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        if let Some(version) = ReleaseVersion::parse(&text) {
            proptest::prop_assert!(text.ends_with(version.as_str()));
        }
        let any = ReleaseVersion::any(&text);
        proptest::prop_assert_eq!(any.as_str(), text.as_str());
    }
}
