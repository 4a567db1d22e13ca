use super::*;

fn at(format: DocumentFormat, document: &str, key: &str) -> String {
    match read(format, document) {
        Ok(node) => match node.at(key) {
            Some(found) => found.text().map_or_else(|| format!("{found:?}"), std::borrow::Cow::into_owned),
            None => "nothing".into(),
        },
        Err(err) => format!("! {err}"),
    }
}

#[test]
fn properties_are_read_as_java_reads_them() {
    let document = "# a comment\n! another\n\n  a.b = 1.2.3 \r\nc:4\nd 5\ne=one \\\n    two\\\n  three\n\
                    f\\:g\\=h = x\\ty\nu=\\u0031\\u002\nlast\nodd = \\\\\\\n  z\nsame=1\nsame=2\neven=\\\\\nq=\\q";
    let said = |key| at(DocumentFormat::Properties, document, key);
    assert_eq!([said("a.b"), said("c"), said("d")], ["1.2.3 ", "4", "5"]);
    assert_eq!([said("e"), said("f:g=h"), said("u")], ["one twothree", "x\ty", "1\u{2}"]);
    assert_eq!([said("last"), said("odd"), said("same")], ["", "\\z", "2"]);
    assert_eq!([said("even"), said("q"), said("gone")], ["\\", "q", "nothing"]);
    assert_eq!(at(DocumentFormat::Properties, "\u{feff}version=1\rb=2", "b"), "2");
    assert_eq!(at(DocumentFormat::Properties, "a=\\", "a"), "");
    assert_eq!(at(DocumentFormat::Properties, "a=\\ud800", "a"), "\u{fffd}");
}

#[test]
fn ini_is_read_as_configparser_reads_it() {
    let document = "# a\n[metadata]\nName = x\nVersion : 1.2\n; b\nlong =\n  one\n  # no\n  two\nbare\n[options]\nversion = 3\n";
    let said = |key| at(DocumentFormat::Ini, document, key);
    assert_eq!(
        [said("metadata.version"), said("metadata.long"), said("options.version")],
        ["1.2", "\none\ntwo", "3"]
    );
    assert_eq!(
        at(DocumentFormat::Ini, "\n a=1", "a"),
        "! line 2, column 1: this line is before the first section"
    );
}

#[test]
fn xml_becomes_maps() {
    let document = "\u{feff}<?xml version=\"1.0\"?>\r\n<!DOCTYPE p [<!ENTITY e \"evil\">]>\n\
        <m:p xmlns:m=\"urn:m\" xmlns=\"urn:d\" m:k=\"a&lt;&e;\" j='2'><!-- <v>0</v> --><m:v>1<![CDATA[.2]]>.&#51;</m:v>\
        <l>a</l><l n='1'>b</l><l/><e> &amp;&e; </e><mix>x<b/>y</mix></m:p>";
    let said = |key| at(DocumentFormat::Xml, document, key);
    assert_eq!([said("p.v"), said("p.@k"), said("p.@j")], ["1.2.3", "a&lt;&e;", "2"]);
    assert_eq!([said("p.l"), said("p.l.@n"), said("p.e"), said("p.mix")], ["a", "1", "&&e;", "xy"]);
    assert_eq!(said("p.@m"), "nothing");
    for (document, why) in [
        ("", "line 1, column 1: it has no element"),
        ("text", "line 1, column 5: it has no element"),
        ("<a>\n<b>", "line 2, column 4: the element `b` has no end"),
        ("<a></b>", "line 1, column 4: "),
        ("<a/><b/>", "there is more than one root element"),
        ("<a b></a>", "line 1, column 1: "),
        ("<a", "line 1, column 1: "),
    ] {
        let said = at(DocumentFormat::Xml, document, "a");
        assert!(said.starts_with("! line ") && said.contains(why), "{document}: {said}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    for (format, open, close) in [
        (DocumentFormat::Json, "[", "]"),
        (DocumentFormat::Yaml, "[", "]"),
        (DocumentFormat::Yaml, "{a: ", "}"),
        (DocumentFormat::Xml, "<a>", "</a>"),
    ] {
        assert!(read(format, &nested(open, close, MAX_DEPTH)).is_ok(), "{format:?} {open}");
        let err = read(format, &nested(open, close, MAX_DEPTH + 1)).expect_err("too deep");
        let is_too_deep = matches!(err, DocumentError::TooDeep { line: 1, .. });
        assert!(is_too_deep, "{format:?} {open}: {err}");
        assert!(read(format, &nested(open, close, 20_000)).is_err());
    }
    assert!(read(DocumentFormat::Toml, &format!("a = {}", nested("[", "]", MAX_DEPTH - 1))).is_ok());
    for n in [MAX_DEPTH, 100, 20_000] {
        assert!(read(DocumentFormat::Toml, &format!("a = {}", nested("[", "]", n))).is_err());
    }
    assert!(read(DocumentFormat::Toml, &format!("{}a = 1", "a.".repeat(50_000))).is_err());
    let chain: String = (1..=MAX_DEPTH).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    let err = read(DocumentFormat::Yaml, &format!("a0: &a0 []\n{chain}")).expect_err("too deep");
    assert!(matches!(err, DocumentError::TooDeep { .. }), "{err}");
}

#[test]
fn errors_have_positions() {
    for (format, document, why) in [
        (DocumentFormat::Json, "{\n  \"a\": x}", "line 2, column 8: expected value"),
        (DocumentFormat::Json, "{} x", "line 1, column 4: trailing characters"),
        (DocumentFormat::Toml, "\"é\" = 1\nb = ", "line 2, column 5: "),
        (DocumentFormat::Yaml, "a: 1\nb: [", "line 3, column 1: "),
        (DocumentFormat::Yaml, "a: &a [*a]", "line 1, column 8: an alias refers to the value that it is in"),
    ] {
        let said = at(format, document, "a");
        assert!(said.starts_with(&format!("! {why}")), "{said}");
    }
    assert_eq!(
        at(DocumentFormat::Json, &" ".repeat(MAX_SIZE + 1), "a"),
        "! it has 262145 bytes, the limit is 262144"
    );
}

#[test]
fn values_keep_their_types() {
    let json = read(DocumentFormat::Json, r#"{"a": null, "b": true, "c": 18446744073709551615, "a": -1}"#);
    let json = json.expect("JSON");
    assert_eq!([json.get("a"), json.get("b")], [Some(&Node::Int(-1)), Some(&Node::Bool(true))]);
    assert_eq!(json.get("c"), Some(&Node::Float(18_446_744_073_709_551_615.0)));
    assert_eq!(
        at(DocumentFormat::Toml, "d = 2026-11-29T10:00:00Z\n[a]\nb = 1.5", "d"),
        "2026-11-29T10:00:00Z"
    );
    let yaml = read(DocumentFormat::Yaml, "a: 1.10\nb: '1'\nc: !!str 2\n---\na: 7").expect("YAML");
    assert_eq!(yaml.get("a"), Some(&Node::Plain("1.10".into())));
    assert_eq!(
        [yaml.get("b"), yaml.get("c")],
        [Some(&Node::Text("1".into())), Some(&Node::Text("2".into()))]
    );
}

#[test]
fn all_documents_of_yaml_are_read_up_to_a_limit() {
    let read = |text: &str| read_yaml_documents(text).map(|documents| documents.len());
    assert_eq!(read(""), Ok(0));
    assert_eq!(read("\u{feff}a: 1\n---\nb: 2\n---\n"), Ok(3));
    assert_eq!(read(&"---\na: 1\n".repeat(1000)), Ok(MAX_DOCUMENTS));
    assert!(read("a: &x 1\n---\nb: *x\n").is_err(), "an anchor ends with its document");
    assert_eq!(read(&"a".repeat(MAX_SIZE + 1)), Err(DocumentError::TooLarge(MAX_SIZE + 1)));
    let documents = read_yaml_documents("a: 1\n---\na: 2\n").expect("YAML");
    let texts: Vec<_> = documents.iter().filter_map(|document| document.get("a")?.text()).collect();
    assert_eq!(texts, ["1", "2"]);
}

#[test]
fn yaml_aliases_stand_for_the_value_of_their_anchor() {
    let yaml = "a: ~\nd: &d\n  e: 1.10\nf: *d\ng: &g 2.0\nh: *g\ni: '~'\nj: &n ~\nk: *n\n*g : 3\n";
    let said = |key| at(DocumentFormat::Yaml, yaml, key);
    assert_eq!([said("d.e"), said("f.e"), said("h"), said("i")], ["1.10", "1.10", "2.0", "~"]);
    let node = read(DocumentFormat::Yaml, yaml).expect("YAML");
    assert_eq!([node.get("a"), node.get("k")], [Some(&Node::Plain("~".into())); 2]);
    assert_eq!(node.get("2.0").and_then(Node::text).as_deref(), Some("3"));
}
