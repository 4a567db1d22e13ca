use super::*;

#[test]
fn commit_head_is_parsed_without_the_message() {
    let parent = "1".repeat(40);
    let read = |parents: &str, committer: &str| {
        CommitHead::parse(
            format!(
                "tree {}\n{parents}author A <a@x> 1 +0000\n{committer}\n\ncommitter No <b> 9 +0000\n",
                "0".repeat(40)
            )
            .as_bytes(),
        )
        .map(|head| (head.time, head.parents.len()))
    };
    let lines = format!("parent {parent}\nparent {parent}\n");
    assert_eq!(read(&lines, "committer A > B <a@x> 1700000000 +0200"), Some((1_700_000_000, 40)));
    assert_eq!(read("", "committer A <a@x> -5 +0000"), Some((-5, 0)));
    assert_eq!(read("", "committer A <a@x>"), Some((0, 0)));
    assert_eq!(read("", "committer A <a@x> soon"), Some((0, 0)));
    assert_eq!(read("", "encoding x"), Some((0, 0)));
    assert_eq!(read("parent 12\n", "committer A <a@x> 1 +0000"), None);
}
