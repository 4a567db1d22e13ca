use super::*;

fn wanted(repository: &str, rev: Option<&str>) -> Wanted {
    let repository = RepositoryNames::only(repository);
    Wanted { repository, rev: rev.map(ToString::to_string), objects: Vec::new() }
}

fn line(repository: &str, ref_name: &str, new: &str) -> Vec<u8> {
    let (old, new) = ("0".repeat(40), new.repeat(40));
    let line = serde_json::json!({ "ref": ref_name, "old_id": old, "new_id": new });
    let rest = line.to_string();
    format!(
        "{{\"time\":\"2026-11-22T10:00:00.123456789Z\",\"record\":\"decision\",\
             \"push\":\"019aab0a-d2fb-7a26-ba8f-cd4f5a4c4d80\",\"repository\":{},\"outcome\":\"skipped\",{}",
        serde_json::json!(repository),
        &rest[1..]
    )
    .into_bytes()
}

#[test]
fn filter_excludes_only_lines_of_other_repositories() {
    let sieve = DecisionFilter::of(&wanted("acme/shop", None));
    assert!(sieve.is_of_repository(&line("acme/shop", "refs/heads/main", "a")));
    assert!(sieve.is_of_repository(&line("Acme/SHOP", "refs/heads/main", "a")));
    assert!(!sieve.is_of_repository(&line("acme/shop2", "refs/heads/main", "a")));
    assert!(!sieve.is_of_repository(&line("acme/sho", "refs/heads/acme/shop", "a")));
    assert!(!sieve.is_of_repository(b"{\"repository\":\"acme/shop\""));
    let odd = "caf\u{e9}/\"quoted\"";
    assert!(DecisionFilter::of(&wanted(odd, None)).is_of_repository(&line(odd, "refs/heads/main", "a")));
}

#[test]
fn rev_matches_ref_branch_tag_or_id_prefix() {
    let is_it = |rev: &str, ref_name: &str, new: &str| {
        let wanted = wanted("acme/shop", Some(rev));
        let line = line("acme/shop", ref_name, new);
        let hit = hit("2026-11.jsonl", &line).expect("a decision");
        let is_it = wanted.is_it(&hit.decision);
        assert!(!is_it || DecisionFilter::of(&wanted).has_word(&line), "the filter keeps every match: {rev}");
        is_it
    };
    for rev in ["main", "refs/heads/main", "aaaa", "AAAAAAAA", &"a".repeat(40)] {
        assert!(is_it(rev, "refs/heads/main", "a"), "{rev}");
    }
    assert!(is_it("v1.0.0", "refs/tags/v1.0.0", "a"));
    assert!(is_it("dead", "refs/heads/dead", "a"), "a branch name of hexadecimal digits");
    for rev in ["mai", "heads/main", "aaa", "bbbb", "ain", &"a".repeat(41)] {
        assert!(!is_it(rev, "refs/heads/main", "a"), "{rev}");
    }
}
