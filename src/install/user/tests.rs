use super::*;

#[test]
fn group_is_private_if_it_has_no_other_member() {
    let users = b"root:x:0:0::/:\ngit:x:1000:1001::/:\nann:x:1002:100::/:\nsue:x:1003:100::/:\n";
    let user = |name: &str| RunUser::look_up(name, users).expect("a user");
    let is_own = |gid, name: &str, groups: &str| is_own_group(gid, &user(name), users, groups.as_bytes());
    assert!(is_own(1001, "git", "git:x:1001:\n"));
    assert!(is_own(1001, "git", "git:x:1001:git,root\n"));
    assert!(is_own(1001, "git", ""));
    assert!(is_own(0, "git", "root:x:0:\n"));
    assert!(!is_own(1001, "git", "git:x:1001:ann\n"), "ann is a member");
    assert!(!is_own(1001, "git", "git:x:1001:\nagain:x:1001:ann\n"), "two names for one group");
    assert!(!is_own(1001, "git", "git:x:1001:gone\n"), "the member is unknown");
    assert!(!is_own(100, "ann", "users:x:100:\n"), "it is sue's primary group");
    assert!(!is_own(2000, "git", "empty:x:2000:\n"), "it is not the user's primary group");
    assert!(!is_own(0, "git", "root:x:0:ann\n"));
}

#[test]
fn user_is_found_by_name_or_ids() {
    let users = b"root:x:0:0:root:/root:/bin/sh\n\xff:x:1:1::/:\ngit:x:1000:1001::/data/git:/bin/bash\nshort:x\n7:x:8:9::/:\n";
    let find = |name: &str| RunUser::look_up(name, users).map(|user| (user.uid, user.gid));
    assert_eq!(find("git"), Some((1000, 1001)));
    assert_eq!(find("7"), Some((8, 9)), "a name takes precedence over an ID");
    assert_eq!(find("1000:5"), Some((1000, 5)));
    assert_eq!(find("1000"), Some((1000, 1001)));
    assert_eq!(find("2000"), Some((2000, 2000)));
    for unknown in ["gitea", "", "-1", "+1", "1000:", ":5", "1000:git", "99999999999"] {
        assert_eq!(find(unknown), None, "{unknown}");
    }
}
