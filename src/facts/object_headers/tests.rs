use super::*;

const ID: &str = "1111111111111111111111111111111111111111";

fn commit(headers: &str) -> Option<(usize, Vec<u8>, Vec<u8>)> {
    let object = format!("tree {ID}\n{headers}");
    let commit = CommitHeaders::parse(object.as_bytes(), gix::hash::Kind::Sha1)?;
    let author = commit.text.last(b"author ").unwrap_or_default().to_vec();
    Some((commit.parents.len(), author, commit.text.message().to_vec()))
}

#[test]
fn only_the_ids_must_be_well_formed() {
    let parent = format!("parent {ID}\n");
    for (headers, expected) in [
        (format!("{parent}{parent}author A\ncommitter B\n\nText\n"), Some((2, &b"A"[..], &b"Text\n"[..]))),
        ("author A\nauthor B\n\nText".into(), Some((0, b"B", b"Text"))),
        ("committer B\nauthor A\n\nText".into(), Some((0, b"A", b"Text"))),
        ("\nauthor A\n\nText".into(), Some((0, b"", b"author A\n\nText"))),
        ("author A".into(), Some((0, b"A", b""))),
        (String::new(), Some((0, b"", b""))),
        ("parent 12\nauthor A\n\nText".into(), None),
        (format!("parent {ID} \n\nText"), None),
    ] {
        let expected = expected.map(|(n, author, message)| (n, author.to_vec(), message.to_vec()));
        assert_eq!(commit(&headers), expected, "{headers}");
    }
    assert!(CommitHeaders::parse(b"", gix::hash::Kind::Sha1).is_none());
    assert!(CommitHeaders::parse(format!("tree {ID}").as_bytes(), gix::hash::Kind::Sha1).is_none());
    let tag = format!("object {ID}\ntagger <\n\nText");
    let tag = TagHeaders::parse(tag.as_bytes(), gix::hash::Kind::Sha1).expect("a tag");
    assert_eq!((tag.text.last(b"tagger "), tag.text.message()), (Some(&b"<"[..]), &b"Text"[..]));
}

#[test]
fn text_is_decoded_by_the_first_encoding_in_the_headers() {
    let object = format!("tree {ID}\nauthor \u{1}\nencoding koi8-r\nencoding utf-8\n\n\u{2}");
    let object = object.replace(['\u{1}', '\u{2}'], "?").into_bytes();
    let object: Vec<u8> = object.into_iter().map(|byte| if byte == b'?' { 0xc1 } else { byte }).collect();
    let commit = CommitHeaders::parse(&object, gix::hash::Kind::Sha1).expect("a commit");
    assert_eq!((commit.text.last(b"author "), commit.text.message()), (Some("а".as_bytes()), "а".as_bytes()));
}
