use super::*;

#[test]
fn conventional_commit_titles_are_parsed() {
    let said = |message| {
        Conventional::parse(message).map(|c| {
            let scope = c.scope.unwrap_or_default();
            format!("{} {scope} {} {}", c.kind, c.is_breaking, c.description)
        })
    };
    assert_eq!(said("fix: a"), Some("fix  false a".into()));
    assert_eq!(said("Feat(api)!: drop v1"), Some("feat api true drop v1".into()));
    assert_eq!(said("feat: x\n\nBREAKING CHANGE: y"), Some("feat  true x".into()));
    assert_eq!(said("feat: x\n\nBREAKING-CHANGE #y"), Some("feat  true x".into()));
    for none in ["", "fix", "fix:a", "two words: x", "fix(): x", "(api): x", "fix: ", ": x"] {
        assert_eq!(said(none), None, "{none}");
    }
}

#[test]
fn gitea_revert_button_messages_are_parsed() {
    let id = "9d59409acf479dfa0df1aa568182e43e43df8bbe";
    assert_eq!(button(&format!("revert {id}\n\nrevert a\n\nb\n")), Some((id, "a\n\nb")));
    assert_eq!(button(&format!("Revert: {id}")), Some((id, "")));
    for none in ["revert 9d5940", "revert the tax", &format!("revert {id} and more"), "Revert \"a\""] {
        assert_eq!(button(none), None, "{none}");
    }
}
