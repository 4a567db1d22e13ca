use super::*;

#[test]
fn server_process_is_recognised_by_its_arguments() {
    let parse = |words: &[&str]| Arguments::parse(format!("{}\0", words.join("\0")).as_bytes());
    let is_server = |words: &[&str]| parse(words).is_some();
    assert!(is_server(&["/usr/local/bin/gitea", "web"]));
    assert!(is_server(&["gitea"]));
    assert!(is_server(&["./forgejo", "web", "-p", "3000"]));
    assert!(is_server(&["gitea", "--port", "3000", "web", "--quiet"]));
    assert!(!is_server(&["gitea", "serv", "key-1", "--config=/etc/gitea/app.ini"]));
    assert!(!is_server(&["gitea", "hook", "--config=/etc/gitea/app.ini", "post-receive"]));
    for name in
        ["gitea-1.27.0", "gitea-1.27.0-linux-amd64", "gitea-linux-amd64", "forgejo-11.0.1-linux-arm64"]
    {
        assert!(is_server(&[&format!("/opt/{name}"), "--config", "/etc/gitea/app.ini", "web"]), "{name}");
        assert!(!is_server(&[name, "dump"]), "{name}");
    }
    for name in
        ["gitea-lightstep", "gitea-lightstep-0.2.0", "gitea_1.27", "giteax", "not-gitea", "act_runner"]
    {
        assert!(!is_server(&[name, "web"]), "{name}");
    }
    assert!(!is_server(&["bash", "gitea", "web"]));
    assert!(!is_server(&[""]));

    let all = ["gitea", "-c", "a b.ini", "web", "--work-path=/w", "-custom-path", "/c"];
    let arguments = parse(&all).expect("a server");
    assert_eq!(arguments.config.as_deref(), Some(Path::new("a b.ini")));
    assert_eq!(arguments.work_path.as_deref(), Some(Path::new("/w")));
    assert_eq!(arguments.custom_path.as_deref(), Some(Path::new("/c")));
    assert!(parse(&["gitea", "web", "--config"]).is_none());
}

#[test]
fn process_with_mixed_uids_has_no_owner() {
    let status = |uids: &str| format!("Name:\tgit\\nUid:\t0\nUmask:\t0022\nUid:\t{uids}\nGid:\t7\t8\t7\t7\n");
    assert_eq!(owner_of(status("1000\t1000\t1000\t1000").as_bytes()), Some((Some(1000), 8)));
    assert_eq!(owner_of(status("12345\t1000\t1000\t1000").as_bytes()), Some((None, 8)));
    assert_eq!(owner_of(status("1000\t1000\t0\t1000").as_bytes()), Some((None, 8)));
    assert_eq!(owner_of(b"Name:\tgitea\n"), None);
}

#[test]
fn environment_variable_is_matched_by_full_name() {
    let environment = b"XGITEA_CUSTOM=no\0GITEA_CUSTOM_2=no\0GITEA_CUSTOM=/data/gitea\0EMPTY=\0";
    assert_eq!(variable(environment, "GITEA_CUSTOM").as_deref(), Some(OsStr::new("/data/gitea")));
    assert_eq!(variable(environment, "EMPTY"), None);
    assert_eq!(variable(environment, "GITEA"), None);
}
