use super::*;

#[test]
fn line_escapes_control_characters() {
    assert_eq!(line("a\x1b[31mred\n\u{202e}"), "a\\u{1b}[31mred\\n\\u{202e}");
    assert_eq!(
        line("\u{61c}\u{ad}\u{180e}\u{206a}\u{e0041}a"),
        "\\u{61c}\\u{ad}\\u{180e}\\u{206a}\\u{e0041}a"
    );
    assert_eq!(line(b"caf\xe9"), "caf\u{fffd}");
    assert_eq!(line("x".repeat(300)).chars().count(), SHOWN + 1);
}

#[test]
fn printable_keeps_only_colour_escapes() {
    let text = "\x1b[1;31mred\x1b[0m\t\x1b[2J\x1b]0;t\x07\u{202e}\n";
    assert_eq!(printable(text, true), "\x1b[1;31mred\x1b[0m\t\\u{1b}[2J\\u{1b}]0;t\\u{7}\\u{202e}\n");
    assert!(printable(text, false).starts_with("\\u{1b}[1;31mred"));
    assert!(matches!(printable("as it is\n", false), Cow::Borrowed(_)));
}

#[test]
fn json_escapes_hidden_characters_and_round_trips() {
    for chunk in ('\0'..=char::MAX).collect::<Vec<_>>().chunks(4096) {
        let text: String = chunk.iter().collect();
        let written = serde_json::to_string_pretty(&[&text]).expect("JSON");
        let shown = json(&written);
        assert!(!shown.contains(|c: char| is_hidden(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).expect("JSON"), [text]);
    }
}

#[test]
fn bounded_text_keeps_newlines_and_marks_truncation() {
    assert_eq!(bounded(b"one\ntwo\x07", 20), "one\ntwo");
    assert_eq!(bounded("äöüß".as_bytes(), 3), "äö…");
    assert_eq!(bounded("äöü".as_bytes(), 3), "äöü");
    assert_eq!(bounded(b"", 0), "");
}

#[test]
fn shell_paths_are_quoted_as_one_word() {
    assert_eq!(shell(Path::new("/it's $HOME")), r"'/it'\''s $HOME'");
    assert_eq!(shell(Path::new("/a\nb")), r"'/a\nb'");
}

#[test]
fn hex_displays_bytes_as_lower_case_digits() {
    assert_eq!(Hex(&[0, 0x9f, 0xff]).to_string(), "009fff");
    assert_eq!(Hex(&[1; 40]).to_string(), "01".repeat(40));
}

#[test]
fn nearest_suggests_only_similar_words() {
    assert_eq!(nearest("endpont", ["endpoint", "name"]), Some("endpoint"));
    assert_eq!(nearest("zzz", ["endpoint", "name"]), None);
}

#[test]
fn segment_keeps_only_unreserved_characters() {
    assert_eq!(segment("aZ09-._~"), "aZ09-._~");
    assert_eq!(segment("a b/c?d#e%\r\n\u{e9}"), "a%20b%2Fc%3Fd%23e%25%0D%0A%C3%A9");
}
