use super::*;
use crate::{facts::Person, push::ObjectId};

/// Makes a commit. The digit determines its id, and the last paragraph of the message its
/// trailers.
fn commit(digit: char, author: &str, message: &str, parents: usize) -> Rc<Commit> {
    let id = |digit: char| ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).expect("an id");
    let person =
        Person { name: author.into(), email: format!("{}@example.org", author.to_lowercase()), time: None };
    let last = message.rsplit_once("\n\n").map_or("", |(_, last)| last);
    let trailers = last.lines().filter_map(|line| line.split_once(": "));
    Rc::new(Commit {
        id: id(digit),
        author: person.clone(),
        committer: person,
        title: message.lines().next().unwrap_or_default().into(),
        message: message.into(),
        trailers: trailers.map(|(name, value)| (name.into(), value.into())).collect(),
        parents: vec![id('0'); parents],
        is_signed: false,
        tree: id('0'),
    })
}

fn summary(commits: &[Rc<Commit>]) -> RangeSummary {
    RangeSummary::of(commits, &MessageRules::default())
}

#[test]
fn authors_are_listed_once_newest_first() {
    let contents = summary(&[
        commit('1', "Bo", "a\n\nCo-authored-by: Cy <cy@example.org>\nCo-authored-by: Ann <a@x>", 1),
        commit('2', "Ann", "b\n\nCo-Authored-By: Robert <BO@example.org>\nCo-authored-by: Di <>", 1),
        commit('3', "Bo", "c\n\nCo-authored-by: Cy <other@example.org>", 1),
    ]);
    assert_eq!(contents.authors, ["Bo", "Ann"]);
    assert_eq!(contents.co_authors, ["Cy", "Di"], "Robert has Bo's address");
    assert_eq!(summary(&[]), RangeSummary::default());
    let merge = commit('4', "Mo", "Merge branch 'a'", 2);
    let contents = summary(&[merge, commit('1', "Bo", "a\n\nCo-authored-by: Mo <mo@x>", 1)]);
    assert_eq!((contents.authors, contents.co_authors), (vec!["Bo".into()], vec!["Mo".into()]));
}

#[test]
fn ai_assisted_commits_are_counted_by_trailer_without_merges() {
    let assisted = |message: &str| {
        let contents = summary(&[commit('1', "Bo", message, 1)]);
        assert_eq!(contents.written, 1);
        contents.with_ai == 1
    };
    for yes in [
        "a\n\nCo-authored-by: Claude <noreply@anthropic.com>",
        "a\n\nCo-Authored-By: copilot-swe-agent[bot] <198982749+Copilot@users.noreply.github.com>",
        "a\n\nCo-authored-by: aider (gpt-5) <noreply@aider.chat>",
        "a\n\nCo-authored-by: Amazon Q Developer <q@example.org>",
        "a\n\nASSISTED-BY: some model",
        "a\n\nGenerated-by: some tool",
        "a\n\nAI-Assisted-by: someone",
    ] {
        assert!(assisted(yes), "{yes}");
    }
    for no in [
        "Ask Claude",
        "a\n\nCo-authored-by: Claudette Cursorini <claudette@example.org>",
        "a\n\nReviewed-by: Claude <claude@example.org>",
        "a\n\nCo-authored-by: my_codex <x@y>",
    ] {
        assert!(!assisted(no), "{no}");
    }
    let contents = summary(&[
        commit('1', "Bo", "Merge branch 'x'\n\nAssisted-by: some model", 2),
        commit('2', "Bo", "a\n\nAssisted-by: one\nGenerated-by: two", 1),
        commit('3', "Bo", "b", 0),
        commit('4', "Bo", "c", 1),
    ]);
    assert_eq!((contents.with_ai, contents.written), (1, 3));
    assert_eq!(contents.ai_share().map(|share| (share * 100.0).round()), Some(33.0));
    assert_eq!(summary(&[commit('1', "Bo", "Merge", 2)]).ai_share(), None);
}

#[test]
fn pull_requests_are_read_only_from_gitea_messages() {
    let told = |message: &str, parents| {
        summary(&[commit('1', "Bo", message, parents)]).pull_requests.first().copied()
    };
    let merge = "Merge pull request 'Pay (#3) by card' (#12) from pay into main";
    let reviewed = "\n\nReviewed-on: https://git.example.com/acme/shop/pulls/14\nReviewed-by: Ann <a@x>";
    assert_eq!(told(merge, 2), Some(12));
    assert_eq!(told("Merge pull request 'Pay' (!12) from bo/shop:pay into main", 2), Some(12));
    assert_eq!(told(&format!("Pay (#12){reviewed}"), 1), Some(14), "the `Reviewed-on` URL takes precedence");
    assert_eq!(told(&format!("Pay{reviewed}\n\nCo-authored-by: Cy <c@x>"), 1), Some(14));
    for no in [
        "Pay (#12)",
        "Fix #12",
        "Merge pull request #12 from bo/pay",
        "a\n\nReviewed-on: https://go-review.example.com/c/go/+/12",
        "a\n\nReviewed-on: https://git.example.com/acme/shop/pulls/0",
        "a\n\nSee: https://git.example.com/acme/shop/pulls/12",
        "revert 9d59409acf479dfa0df1aa568182e43e43df8bbe\n\nrevert Pay (#12)\n\nReviewed-on: https://git.example.com/acme/shop/pulls/12",
    ] {
        assert_eq!(told(no, 1), None, "{no}");
    }
    assert_eq!(told(merge, 1), None, "a merge has two parents");
    assert_eq!(told("Merge branch 'pay' (#12)", 2), None);
}

#[test]
fn reverts_are_listed_unless_undone_later() {
    let back = |title: &str, digit: char| {
        format!("{title}\n\nThis reverts commit {}.", digit.to_string().repeat(40))
    };
    let reverts = |commits: &[Rc<Commit>]| -> String {
        let contents = summary(commits);
        contents.reverts.iter().filter_map(|id| id.chars().next()).collect()
    };
    let revert = || commit('2', "Bo", &back("Revert \"a\"", '1'), 1);
    let first = || commit('1', "Bo", "a", 1);
    assert_eq!(reverts(&[revert(), first()]), "1");
    assert_eq!(reverts(&[revert()]), "1", "the reverted commit is outside the range");
    for title in ["Revert \"Revert \"a\"\"", "Reapply \"a\"", "Once more"] {
        let again = || commit('3', "Bo", &back(title, '2'), 1);
        assert_eq!(reverts(&[again(), revert(), first()]), "", "{title}");
        if title != "Once more" {
            assert_eq!(reverts(&[again()]), "", "{title}");
        }
        let not = commit('4', "Bo", &back("Revert \"Reapply \"a\"\"", '3'), 1);
        assert_eq!(reverts(&[not, again(), revert(), first()]), "31", "{title}");
    }
    // Gitea's button has its own wording, and quotes the message.
    let press = |quoted: &str, digit: char| format!("revert {}\n\n{quoted}", digit.to_string().repeat(40));
    let pressed = press("revert a", '1');
    let again = press(&format!("revert {pressed}"), '2');
    assert_eq!(reverts(&[commit('2', "Bo", &pressed, 1)]), "1");
    assert_eq!(reverts(&[commit('3', "Bo", &again, 1)]), "");
    assert_eq!(reverts(&[commit('3', "Bo", &again, 1), commit('2', "Bo", &pressed, 1), first()]), "");
    let bare = || commit('3', "Bo", &press("", '2'), 1);
    assert_eq!(
        reverts(&[bare(), commit('2', "Bo", &pressed, 1), first()]),
        "",
        "the reverted commit is itself a revert"
    );
    let mixed = press(&format!("revert {}", back("Revert \"a\"", '1')), '2');
    assert_eq!(reverts(&[commit('3', "Bo", &mixed, 1)]), "");
    // Two commits that claim to revert each other must not cause an endless search.
    let knot = [commit('5', "Bo", &back("x", '6'), 1), commit('6', "Bo", &back("y", '5'), 1)];
    assert!(reverts(&knot).len() <= 2);
}

#[test]
fn ticket_list_is_bounded_and_marked_as_cut() {
    let tickets: Vec<String> = (1..=MAX_TOLD).map(|nth| format!("ACME-{nth}")).collect();
    let mut commits = vec![commit('1', "Bo", &tickets.join(" "), 1)];
    let contents = summary(&commits);
    assert_eq!((contents.tickets.len(), contents.is_cut), (MAX_TOLD, false));
    commits.push(commit('2', "Bo", "ACME-1 and SHOP-1", 1));
    let contents = summary(&commits);
    assert_eq!((contents.tickets.len(), contents.is_cut), (MAX_TOLD, true));
    assert_eq!(contents.tickets[0], "ACME-1");
}
