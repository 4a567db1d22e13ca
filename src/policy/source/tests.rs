use super::*;

#[test]
fn shebang_becomes_a_comment_and_byte_order_mark_is_removed() {
    let page = "#!/usr/local/bin/gitea-lightstep hook\r\nfn decide(update) { true }";
    let expected = "///usr/local/bin/gitea-lightstep hook\r\nfn decide(update) { true }";
    assert_eq!(ready(page.into()), expected);
    assert_eq!(ready(format!("\u{feff}{page}")), expected);
    assert_eq!(ready("\u{feff}true".into()), "true");
    assert_eq!(ready("true #!".into()), "true #!");
}
