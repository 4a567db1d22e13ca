use super::*;
use crate::marker::Kind;

fn rule(service: &str) -> TrustRule {
    TrustRule {
        kinds: Some(vec![Kind::Deployment]),
        repository: None,
        service: Some(service.into()),
        environment: Some("production".into()),
        allow: vec![Allowed::Actions],
        otherwise: Otherwise::Skip,
        line: 1,
    }
}

fn draft(kind: Kind, service: &str, environment: Option<&str>) -> Draft {
    Draft {
        kind,
        service: service.into(),
        version: "1".into(),
        environment: environment.map(Into::into),
        title: String::new(),
        attributes: Attributes::new(),
    }
}

#[test]
fn rule_is_about_what_it_names() {
    let rule = rule("check*");
    let is = |kind, service: &str, environment| is_about(&rule, &draft(kind, service, environment));
    assert!(is(Kind::Deployment, "checkout", Some("production")));
    assert!(is(Kind::Rollback, "checkout", Some("production")));
    assert!(!is(Kind::Release, "checkout", None));
    assert!(!is(Kind::Deployment, "cart", Some("production")));
    assert!(!is(Kind::Deployment, "checkout", Some("staging")));
    assert!(!is(Kind::Deployment, "checkout", None));
}

#[test]
fn rule_is_about_names_that_look_like_its_own() {
    let rule = rule("checkout");
    for name in ["checkout", "Checkout", " checkout ", "ch\u{435}ckout", "checkout@1.2.0"] {
        assert!(is_about(&rule, &draft(Kind::Deployment, name, Some("Production"))), "{name:?}");
    }
    let mut renamed = draft(Kind::Deployment, "cart", Some("production"));
    renamed.attributes.insert("service.name".into(), "checkout".into());
    assert!(is_about(&rule, &renamed));
}
