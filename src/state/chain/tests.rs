use super::*;

#[test]
fn link_is_read_as_it_was_written() {
    let mut tip = Tip::of_new_chain();
    let mut text = Vec::new();
    tip.link(b"{\"a\":1}\n{\"b\":\"}\"}\n", &mut text);
    let mut walked = Tip::default();
    let links: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(|line| walked.pass(line)).collect();
    assert_eq!(links.iter().map(|link| link.n).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(links[0].prev, LineHash::default());
    assert_eq!(walked.n, 2);
    // The empty text after the last line break is not a line.
    let mut again = Tip::default();
    text.trim_ascii_end().split(|byte| *byte == b'\n').for_each(|line| {
        again.pass(line);
    });
    assert_eq!(again, tip);
}

#[test]
fn text_that_only_resembles_a_link_is_none() {
    let whole = r#"{"a":1,"chain":"3f9a0c12","n":812,"prev":"5b9f8efff7980381035b8efff7980381"}"#;
    assert_eq!(Link::of(whole.as_bytes()).expect("a link").n, 812);
    for other in [
        whole.replace("812", "0812"),
        whole.replace("812", "+812"),
        whole.replace("812", ""),
        whole.replace("812", "99999999999999999999"),
        whole.replace("3f9a", "3F9a"),
        whole.replace("\"n\"", "\"m\""),
        whole.replace("5b9f", "5b9"),
        whole.replace(":\"5", ":\"g"),
        format!("{whole} "),
        whole[1..].replace(",\"chain", "{\"chain"),
        String::new(),
        "\"}".into(),
    ] {
        assert_eq!(Link::of(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn line_without_a_link_is_covered_by_the_next_one() {
    let mut tip = Tip::of_new_chain();
    let mut text = Vec::new();
    tip.link(b"{\"a\":1}\n", &mut text);
    let before = tip.hash;
    assert_eq!(tip.pass(b"{\"time\":\"2026-1"), None);
    assert!(tip.hash != before && tip.n == 1);
    // Ahead of the chain, each record stands for itself.
    let mut old = Tip::default();
    old.pass(b"{\"a\":1}");
    old.pass(b"{\"b\":1}");
    assert_eq!(old.hash, LineHash::of(b"{\"b\":1}"));
}
