use super::*;

#[test]
fn labels_are_those_of_iconv() {
    for (label, text, expected) in [
        ("ISO-8859-1", &b"Gr\xf6\xdfe"[..], "Größe"),
        ("latin1", b"\x85", "\u{85}"),
        ("Latin-1", b"\xe4", "ä"),
        ("cp1252", b"\x85", "…"),
        ("iso-8859-15", b"\xa4", "€"),
        ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"),
        ("CP1251", b"\xcf", "П"),
        ("KOI8-R", b"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"),
        ("SHIFT_JIS", b"\x93\xfa\x96\x7b", "日本"),
        ("CP932", b"\x93\xfa", "日"),
        ("EUC-JP", b"\xc6\xfc\xcb\xdc", "日本"),
        ("eucJP", b"\xc6\xfc", "日"),
        ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本"),
        ("GBK", b"\xd6\xd0\xce\xc4", "中文"),
        ("gb18030", b"\x81\x30\x81\x30", "\u{80}"),
        ("EUC-KR", b"\xc7\xd1", "한"),
        ("Big5", b"\xa4\xa4", "中"),
    ] {
        assert_eq!(decode(text, label.as_bytes()), expected.as_bytes(), "{label}");
    }
}

#[test]
fn text_that_is_not_of_its_encoding_stays() {
    for (label, text) in [
        ("utf-8", &b"\xf6"[..]),
        ("UTF-16", b"\xf6a"),
        ("us-ascii", b"\xf6"),
        ("x-nonsense", b"\xf6"),
        ("", b"\xf6"),
        ("\u{fffd}", b"\xf6"),
        ("utf-7", b"\xf6"),
        ("iso-2022-kr", b"\xf6"),
        ("shift_jis", b"\x93"),
        ("gbk", b"\xff"),
        ("iso-2022-jp", b"\x1b$B\xff"),
    ] {
        assert_eq!(decode(text, label.as_bytes()), text, "{label}");
    }
    let large = vec![0xf6; MAX_DECODED + 1];
    assert!(matches!(decode(&large, b"iso-8859-1"), Cow::Borrowed(_)));
}
