use super::*;

#[test]
fn version_tag_is_split_into_service_and_version() {
    let said = |tag| {
        VersionTag::parse(tag).map(|v| (v.service().unwrap_or("-").to_string(), v.version().to_string()))
    };
    let is = |service: &str, version: &str| Some((service.to_string(), version.to_string()));
    assert_eq!(said("v1.2.3"), is("-", "1.2.3"));
    assert_eq!(said("1.2.3-rc.1+build.5"), is("-", "1.2.3-rc.1+build.5"));
    assert_eq!(said("checkout/v1.2.3"), is("checkout", "1.2.3"));
    assert_eq!(said("checkout@1.2.3"), is("checkout", "1.2.3"));
    assert_eq!(said("libs/money/v0.1.0"), is("libs/money", "0.1.0"));
    assert_eq!(said("@acme/money@2.0.0"), is("@acme/money", "2.0.0"));
    for none in ["v1", "v1.2", "1.2.3.4", "nightly", "v01.2.3", "@1.2.3", "/v1.2.3", "v", ""] {
        assert_eq!(said(none), None, "{none}");
    }
}
