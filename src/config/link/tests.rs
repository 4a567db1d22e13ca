use super::*;

#[test]
fn placeholder_values_are_percent_encoded() {
    let link = LinkTemplate::parse("https://wiki.example.com/{service}?env={environment}#{repository}")
        .expect("valid");
    let filled = link.fill(|placeholder| match placeholder {
        Placeholder::Service => Some("../a b?x=1&y".into()),
        Placeholder::Environment => Some("é\"".into()),
        Placeholder::Repository => Some("acme/shop".into()),
        _ => None,
    });
    assert_eq!(
        filled.as_deref(),
        Some("https://wiki.example.com/..%2Fa%20b%3Fx%3D1%26y?env=%C3%A9%22#acme/shop")
    );
    assert_eq!(link.fill(|_| None), None);
}

#[test]
fn invalid_link_templates_are_rejected() {
    for wrong in [
        "",
        "javascript:alert(1)",
        "https://{service}/",
        "https://",
        "https://a/{x",
        "https://a/x}",
        "https://a/{servic}",
        "https://a b/",
    ] {
        assert!(LinkTemplate::parse(wrong).is_err(), "{wrong}");
    }
}
