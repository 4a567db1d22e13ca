use super::*;

#[test]
fn hook_traps_in_git_config_are_found() {
    let ours = "[hook \"gitea-lightstep\"]\n\tcommand = \"test ! -x '/x' || '/x' hook; :\"\n\tevent = post-receive\n";
    assert_eq!(traps_in(ours.as_bytes(), true), []);
    let alone = "[user]\n\tname = x\n[hook \"a\"]\n\tevent = post-receive\n";
    assert_eq!(traps_in(alone.as_bytes(), true), [Trap::EventAlone { hook: "a".into(), line: 4 }]);
    assert_eq!(traps_in(alone.as_bytes(), false), [], "older git ignores hooks in the configuration");
    let bare = "[hook \"a\"]\n\tcommand = /nonexistent/hook\n\tevent = update\n[hook \"b\"]\n\tcommand = /bin/sh\n\tevent = update\n";
    let command = "/nonexistent/hook".into();
    assert_eq!(traps_in(bare.as_bytes(), true), [Trap::BareCommand { hook: "a".into(), line: 2, command }]);
    let path = "[Core]\n\thookspath = /srv/hooks\n";
    assert_eq!(traps_in(path.as_bytes(), false), [Trap::HooksPath { line: 2 }]);
    assert_eq!(traps_in(b"[user]\n\tname = x\n[oops\n", true), [Trap::Malformed { line: 3 }]);
}
