use std::path::Path;

use super::{complaints, unknown_environment};
use crate::push::{GitDir, PushOptions, RepositoryIdentity, Source};

fn said(options: &[&str]) -> Vec<String> {
    let git_dir = GitDir::resolve(None, Path::new("/acme/shop.git"));
    let repository = RepositoryIdentity::of_dir(&git_dir);
    let options = PushOptions::new(options.iter().map(ToString::to_string));
    complaints(&Source { options, ..Source::unknown(git_dir, repository) }, |key| key == "deploys")
}

#[test]
fn misspelt_options_are_reported_and_others_are_not() {
    for (option, meant) in [
        ("Deploy=prod", "deploy"),
        ("DEPLOY=prod", "deploy"),
        ("deploi=prod", "deploy"),
        ("depoly=prod", "deploy"),
        ("deploy.servce=a", "deploy.service"),
        ("Deploy.Id=7", "deploy.id"),
        ("deploy.stauts=failed", "deploy.status"),
        ("deploy_service=a", "deploy.service"),
        ("tracparent=0", "traceparent"),
    ] {
        let key = option.split_once('=').map_or(option, |(key, _)| key);
        let expected = format!("the push option `{key}` is unknown; did you mean `{meant}`?");
        assert_eq!(said(&[option]), [expected], "{option}");
    }
    for option in
        ["deploy=prod", " deploy = prod", "deploys=a", "topic=deploy", "ci.skip", "deployment=a", "=", ""]
    {
        assert!(said(&[option]).is_empty(), "{option}: {:?}", said(&[option]));
    }
}

#[test]
fn number_of_complaints_is_limited() {
    let many: Vec<String> = (0..60).map(|nth| format!("deploy{}", char::from(b'!' + nth))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(said(&many).len(), 3);
}

#[test]
fn contradictions_are_reported_once_and_repetitions_are_not() {
    assert!(said(&["deploy=prod", "deploy=prod ", "deploy.id=1"]).is_empty());
    assert_eq!(
        said(&["deploy=staging", "deploy=prod", "deploy=lab"]),
        [
            "no deployment: the push option `deploy` has two values, `staging` and `prod`; push once for each environment"
        ]
    );
    assert_eq!(
        said(&["deploy=prod", "deploy"]),
        [
            "no deployment: the push option `deploy` has two values, `prod` and nothing; push once for each environment"
        ]
    );
    assert_eq!(
        said(&["deploy=prod", "deploy.status=failed", "deploy.status=succeeded"]),
        ["no deployment: the push option `deploy.status` has two values, `failed` and `succeeded`; give one"]
    );
}

#[test]
fn closed_list_hints_at_case_first() {
    let known = ["Prod".to_string(), "production".to_string()];
    let asked = |name| unknown_environment(Some(&known), name);
    assert_eq!(asked("production"), None);
    assert_eq!(asked("prod").as_deref(), Some("this site has no environment `prod`; did you mean `Prod`?"));
    assert_eq!(
        asked("prodution").as_deref(),
        Some("this site has no environment `prodution`; did you mean `production`?")
    );
    assert_eq!(
        asked("x").as_deref(),
        Some("this site has no environment `x`, expected one of `Prod`, `production`")
    );
    assert_eq!(unknown_environment(None, "anything"), None);
}
