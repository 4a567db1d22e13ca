use super::*;

fn value_of(line: &str) -> String {
    let ini = Ini::parse(line).unwrap_or_else(|err| panic!("{line:?}: {err}"));
    ini.get("", "K").map(|value| value.text).unwrap_or_default()
}

#[test]
fn values_parse_like_go_ini() {
    for (line, expected) in [
        ("K = v", "v"),
        ("K=v", "v"),
        ("K: v", "v"),
        ("  K\t=\tv  \r", "v"),
        ("K = a=b:c", "a=b:c"),
        ("K = a ; comment", "a"),
        ("K = a#comment", "a"),
        ("K = `a;b#c` ; comment", "a;b#c"),
        ("K = \"a b\"", "a b"),
        ("K = 'a b'", "a b"),
        ("K = \"a\" \"b\"", "\"a\" \"b\""),
        ("K = \"a;b\"", "\"a"),
        ("K = \"\"\"a \" b\"\"\"", "a \" b"),
        ("K = \"\"\"a\nb\"\"\"", "a\nb"),
        ("K = \"\"\"", "\"\"\""),
        ("K = `a\nb` ; c\nL = d", "a\nb"),
        ("K = a\\", "a\\"),
        ("K = a\nK = b", "b"),
        ("`K` = v", "v"),
        ("\"K\" = v", "v"),
        ("\"\"\"K\"\"\" = v", "v"),
        ("[DEFAULT]\nK = v", "v"),
        ("\u{feff}K = v", "v"),
        ("# K = v\n; K = v", ""),
        ("K =", ""),
        ("k = v", ""),
    ] {
        assert_eq!(value_of(line), expected, "{line:?}");
    }
}

/// Results of go-ini 1.66.2 for random texts, with Gitea's options: values by section and key,
/// or null if it rejects the text.
const GO_INI: &str = include_str!("../../../tests/fixtures/go-ini.jsonl");

#[test]
fn parser_agrees_with_go_ini_fixtures() {
    type Sections = BTreeMap<String, BTreeMap<String, String>>;
    for line in GO_INI.lines() {
        let (text, theirs): (String, Option<Sections>) = serde_json::from_str(line).expect("JSON");
        let ours = Ini::parse(&text).ok();
        assert_eq!(ours.is_some(), theirs.is_some(), "{text:?}");
        for (section, keys) in theirs.iter().flatten() {
            for (key, expected) in keys {
                let value = ours.as_ref().and_then(|ours| ours.get(section, key)).map(|value| value.text);
                assert_eq!(&value.unwrap_or_default(), expected, "{text:?}, [{section}] {key}");
            }
        }
    }
    assert_eq!(GO_INI.lines().count(), 200);
}

#[test]
fn references_resolve_in_section_then_default_section() {
    let text = "BASE = /srv\n[server]\nDATA = %(BASE)s/data\nALL = %(DATA)s/all\n\
                    [git]\nHOME = %(BASE)s/%(NONE)s\nSELF = %(SELF)s\nBASE = /git\n[git.config]\na = %(HOME)s";
    let ini = Ini::parse(text).expect("well-formed");
    let get = |section, key| ini.get(section, key).map(|value| value.text);
    assert_eq!(get("server", "ALL").as_deref(), Some("/srv/data/all"));
    assert_eq!(get("git", "HOME").as_deref(), Some("/git/%(NONE)s"));
    assert_eq!(get("git", "SELF").as_deref(), Some("%(SELF)s"));
    assert_eq!(get("git.config", "a").as_deref(), Some("/git/%(NONE)s"));
    assert_eq!(get("server", "HOME"), None);
    assert_eq!(ini.get_ignoring_case("git.config", "A").map(|value| value.line), Some(10));
}

#[test]
fn syntax_errors_name_the_line_without_its_content() {
    for (text, line) in
        [("K = v\n\nsecret", 3), ("[section", 1), ("[]", 1), ("K = `secret\nmore", 1), ("`secret = v", 1)]
    {
        let wrong = Ini::parse(text).err().expect("refused");
        assert_eq!(wrong.line, line, "{text:?}");
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
    }
}

#[test]
fn recursive_reference_expansion_is_bounded() {
    let ini = Ini::parse("A = %(B)s%(B)s\nB = %(A)s%(A)s").expect("well-formed");
    assert!(ini.get("", "A").is_some_and(|value| value.text.len() <= MAX_VALUE));
}
