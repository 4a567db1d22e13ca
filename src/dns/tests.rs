use std::{fs, time::Duration};

use super::*;

fn resolve(name: &str, hosts: &str) -> Result<Vec<IpAddr>, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, conf) = (dir.path().join("hosts"), dir.path().join("resolv.conf"));
    fs::write(&path, hosts).expect("written");
    // A port where no server listens.
    fs::write(&conf, "nameserver 127.0.0.1\noptions attempts:1\n").expect("written");
    let deadline = Deadline::after(Duration::from_secs(20));
    resolve_with(name, deadline, &path, || Dns::of_system(&conf)).map_err(|err| err.to_string())
}

#[test]
fn literals_localhost_and_hosts_file_need_no_server() {
    let addresses = |texts: &[&str]| Ok(texts.iter().map(|text| text.parse().expect("valid")).collect());
    assert_eq!(resolve("192.0.2.7", ""), addresses(&["192.0.2.7"]));
    assert_eq!(resolve("[2001:db8::7]", ""), addresses(&["2001:db8::7"]));
    assert_eq!(resolve("LocalHost", ""), addresses(&["127.0.0.1", "::1"]));
    assert_eq!(resolve("otlp.localhost.", ""), addresses(&["127.0.0.1", "::1"]));
    assert_eq!(resolve("localhost", "127.0.0.9 localhost\n"), addresses(&["127.0.0.9"]));
    assert_eq!(resolve("Otlp.example.", "192.0.2.7 otlp.example\n"), addresses(&["192.0.2.7"]));
}

#[test]
fn unanswered_lookup_names_the_server() {
    let said = resolve("otlp.example", "").expect_err("no server responds");
    assert!(
        said.starts_with(
            "failed to resolve `otlp.example` with the name servers in /etc/resolv.conf: 127.0.0.1: "
        ),
        "{said}"
    );
}
