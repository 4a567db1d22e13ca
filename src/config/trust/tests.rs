use super::*;

#[test]
fn entries_are_written_as_they_are_read() {
    for text in [
        "user:ann#7",
        "team:acme/release-managers",
        "org:acme",
        "protected",
        "approved:2",
        "signed",
        "signed:ann@example.org",
        "signed:SHA256:x+/y",
        "deploy_key",
        "deploy_key:3",
        "actions",
        "command",
    ] {
        assert_eq!(Allowed::parse(text).map(|allowed| allowed.to_string()).as_deref(), Some(text));
    }
}

#[test]
fn entries_that_could_mean_anything_are_refused() {
    for text in [
        "",
        "ann",
        "user:",
        "user:ann",
        "user:ann#",
        "user:ann#0",
        "user:ann#-2",
        "user:ann#7x",
        "team:acme",
        "team:/x",
        "team:acme/",
        "team:acme/a/b",
        "org",
        "org: ",
        "approved",
        "approved:0",
        "approved:many",
        "deploy_key:0",
        "protected:main",
        "Actions",
        "everybody",
    ] {
        assert_eq!(Allowed::parse(text), None, "{text:?}");
    }
}
