use super::*;

#[track_caller]
fn assert_tickets(projects: &TicketProjects, text: &str, expected: &str) {
    assert_eq!(projects.find(text).join(" "), expected, "{text}");
}

#[test]
fn tickets_are_listed_once_and_standard_names_are_ignored() {
    let any = TicketProjects::Any;
    assert_tickets(&any, "ACME-7: fix (AB2-10), ACME-7 and X-1", "ACME-7 AB2-10");
    assert_tickets(&any, "See https://jira.example.com/browse/ACME-7?x=1 ok", "ACME-7");
    assert_tickets(&any, "Closes MY_APP-12, [OPS-3].", "MY_APP-12 OPS-3");
    for none in [
        "PSR-4",
        "GPL-3",
        "UTF-8",
        "GPT-4",
        "IEEE-754",
        "PEP-8",
        "KB-5001",
        "SHA-256",
        "CVE-2024-1",
        "acme-7",
        "ACME-",
        "ACME-7a",
        "A-1",
        "7-7",
        "LGPL-2.1",
        "ACME-7.1",
        "Q3-2024",
        "ACME-007",
        "ACME-12345678",
        "xACME-7",
        "ACME-7-8",
        "PRE-ACME-7",
    ] {
        assert_tickets(&any, &format!("Use {none}"), "");
    }
}

#[test]
fn listed_projects_count_alone() {
    let only = TicketProjects::Only(vec!["ACME".into(), "KB".into()]);
    assert_tickets(&only, "ACME-7 OPS-3 KB-5001 acme-9 UTF-8", "ACME-7 KB-5001");
    assert_tickets(&TicketProjects::Only(Vec::new()), "ACME-7 OPS-3", "");
}

#[test]
fn branches_name_tickets() {
    let (any, only) = (TicketProjects::Any, TicketProjects::Only(vec!["ACME".into()]));
    for (branch, of_any, of_only) in [
        ("feature/ACME-7-pay", "ACME-7", "ACME-7"),
        ("ACME-7", "ACME-7", "ACME-7"),
        ("feature/acme-7-pay", "", "ACME-7"),
        ("feature/ACME-7_pay", "ACME-7", "ACME-7"),
        ("ann/pay-ACME-7", "ACME-7", "ACME-7"),
        ("feature_ACME-7", "ACME-7", "ACME-7"),
        ("ACME-7-OPS-3", "ACME-7 OPS-3", "ACME-7"),
        ("feature/UTF-8-names", "", ""),
        ("feature/ACME-7pay", "", ""),
        ("release-2024-05", "", ""),
        ("v1.2-rc-3", "", ""),
        ("renovate/node-20.x", "", ""),
        ("", "", ""),
        ("-", "", ""),
    ] {
        assert_tickets(&any, branch, of_any);
        assert_tickets(&only, branch, of_only);
    }
}
