use super::*;

fn parse(head: &str) -> Option<(String, bool, bool)> {
    let page = Page::parse(Path::new("page"), head.as_bytes())?;
    let interpreter = page.interpreter.display().to_string();
    Some((interpreter, page.is_plain, page.has_byte_order_mark))
}

#[test]
fn shebang_line_identifies_our_hook() {
    let ours = |interpreter: &str, is_plain, has_mark| Some((interpreter.to_string(), is_plain, has_mark));
    for (head, expected) in [
        ("#!/bin/gitea-lightstep hook\nfn", ours("/bin/gitea-lightstep", true, false)),
        ("#! \t/bin/gitea-lightstep\thook ", ours("/bin/gitea-lightstep", true, false)),
        ("#!/bin/gitea-lightstep hook\r\nfn", ours("/bin/gitea-lightstep", true, false)),
        ("#!/bin/gitea-lightstep\r\nfn", ours("/bin/gitea-lightstep\r", true, false)),
        ("#!/bin/gitea-lightstep", ours("/bin/gitea-lightstep", true, false)),
        ("\u{feff}#!/bin/gitea-lightstep hook\n", ours("/bin/gitea-lightstep", true, true)),
        ("#!/bin/gitea-lightstep hook --config /x\n", ours("/bin/gitea-lightstep", false, false)),
        ("#!/usr/bin/env -S gitea-lightstep hook\n", ours("/usr/bin/env", false, false)),
        ("#!/bin/sh\n# gitea-lightstep hook\n", None),
        ("#!/bin/gitea-lightstep deliver\n", None),
        ("#!/bin/other-gitea-lightstep hook\n", None),
        ("// #!/bin/gitea-lightstep hook\n", None),
        ("#!", None),
        ("", None),
    ] {
        assert_eq!(parse(head), expected, "{head:?}");
    }
}

#[test]
fn single_shebang_argument_is_split_into_words() {
    let divided = |args: &[&str]| divided(&args.iter().map(OsString::from).collect::<Vec<_>>());
    let words = |words: &[&str]| Some(words.iter().map(OsString::from).collect::<Vec<_>>());
    assert_eq!(divided(&["hook", "a b"]), words(&["hook", "a b"]));
    assert_eq!(divided(&["hook\r", "x"]), words(&["hook", "x"]));
    assert_eq!(divided(&["hook --config /x\r", "x"]), words(&["hook", "--config", "/x", "x"]));
    assert_eq!(divided(&["hooks"]), None);
    assert_eq!(divided(&[]), None);
}
