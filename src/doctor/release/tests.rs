use super::*;

#[test]
fn server_release_is_parsed_from_version_output() {
    let gitea = |a, b, c| Some(ServerRelease::Gitea(Release(a, b, c)));
    assert_eq!(ServerRelease::parse("Gitea version 1.26.3 built with GNU Make 4.4, go1.24"), gitea(1, 26, 3));
    assert_eq!(ServerRelease::parse("gitea version 1.22.0+dev-481-g481e738 built"), gitea(1, 22, 0));
    assert_eq!(ServerRelease::parse("Gitea version 1.28 built"), gitea(1, 28, 0));
    assert_eq!(
        ServerRelease::parse("forgejo version 9.0.3+gitea-1.22.0 (release name 9.0.3)"),
        Some(ServerRelease::Forgejo(Release(9, 0, 3)))
    );
    for other in ["", "Gitea version development", "gogs version 0.13.0", "Gitea 1"] {
        assert_eq!(ServerRelease::parse(other), None, "{other}");
    }
}

#[test]
fn releases_older_than_the_newest_known_are_reported() {
    let findings = |server: ServerRelease| {
        let mut check = Check::new("gitea");
        server.report_age(&mut check);
        check.findings
    };
    let Release(major, minor, patch) = NEWEST;
    for newer in [NEWEST, Release(major, minor, patch + 1), Release(major, minor + 1, 0)] {
        assert_eq!(findings(ServerRelease::Gitea(newer)), []);
    }
    assert_eq!(findings(ServerRelease::Forgejo(Release(1, 0, 0))), []);
    for older in [Release(major, minor - 1, patch + 9), Release(0, minor, patch)] {
        let found = findings(ServerRelease::Gitea(older));
        assert_eq!(found.len(), 1, "{older}");
        assert!(found[0].what.contains(&format!("{older} is older than {NEWEST} of {NEWEST_DATE}")));
        assert!(found[0].fix.contains(RELEASES));
    }
}
