use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILgaFdZm1jYWx0bzqoIWgQoLZ7Nn9j5Zx2Jbbd0DkCT";

#[track_caller]
fn signer(before: &str) -> AllowedSigner {
    let mut signers = parse(&format!("# a comment\n\n{before} {KEY} a comment\n")).expect("a signer");
    assert_eq!(signers.len(), 1);
    signers.remove(0)
}

#[track_caller]
fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

#[test]
fn first_principal_is_the_signer() {
    for (line, principal) in [
        ("ann@example.org", "ann@example.org"),
        ("ann@example.org,ben@example.org", "ann@example.org"),
        ("*@example.org", "*@example.org"),
        ("\"Ann Author\"", "Ann Author"),
        ("\"Ann, Author\"", "Ann"),
        ("ssh@example.org", "ssh@example.org"),
    ] {
        assert_eq!(signer(line).principal(), principal, "{line}");
    }
    assert!(parse(&format!("\u{feff}# from Windows\r\nöl@example.org {KEY}\r\n")).is_ok());
    for line in ["!ann", "ann,!ben", "\"\"", ",ann", "\"Ann"] {
        assert!(parse(&format!("{line} {KEY}\n")).is_err(), "{line}");
    }
}

#[test]
fn namespaces_are_patterns() {
    for (options, may_sign) in [
        ("", true),
        ("namespaces=\"git\"", true),
        ("NAMESPACES=\"git\"", true),
        ("namespaces=\"file, git\"", true),
        ("namespaces=\"g*\"", true),
        ("namespaces=\"*\"", true),
        ("namespaces=\"file\"", false),
        ("namespaces=\"gitea\"", false),
        ("namespaces=\"*,!git\"", false),
        ("namespaces=\"!git,*\"", false),
        ("namespaces=\"!file\"", false),
    ] {
        assert_eq!(signer(&format!("ann {options}")).may_sign("git"), may_sign, "{options}");
    }
}

#[test]
fn times_limit_a_key_inclusively() {
    let signer = signer("ann valid-after=\"20260102Z\",valid-before=\"20260201123000Z\"");
    for (time, is_valid) in [
        ("2026-01-01T23:59:59Z", false),
        ("2026-01-02T00:00:00Z", true),
        ("2026-02-01T12:30:00Z", true),
        ("2026-02-01T12:30:01Z", false),
    ] {
        assert_eq!(matches!(signer.period_at(at(time)), Period::Valid), is_valid, "{time}");
    }
    let with_minutes = self::signer("ann valid-before=\"202601021230Z\"");
    assert!(matches!(with_minutes.period_at(at("2026-01-02T12:30:00Z")), Period::Valid));
}

#[test]
fn options_that_are_not_understood_are_errors() {
    for options in [
        "cert-authority",
        "cert-authority,namespaces=\"git\"",
        "namespaces",
        "namespaces=git",
        "namespaces=\"\"",
        "valid-after=\"2026\"",
        "valid-after=\"20261301Z\"",
        "valid-after=\"+0260101Z\"",
        "valid-after=\"20260102Z\",valid-before=\"20260101Z\"",
        "no-touch-required",
        "namespaces=\"git",
    ] {
        assert!(parse(&format!("ann {options} {KEY}\n")).is_err(), "{options}");
    }
    for line in [
        "ann",
        "ann ssh-ed25519",
        "ann ssh-ed25519 AAAA",
        "ann ssh-rsa AAAAC3NzaC1lZDI1NTE5",
        "ann AAAA",
        KEY,
    ] {
        assert!(parse(&format!("{line}\n")).is_err(), "{line}");
    }
}
