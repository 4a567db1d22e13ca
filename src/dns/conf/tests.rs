use std::process::Command;

use super::{super::hosts, *};

#[test]
fn fifo_and_device_are_treated_as_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    for path in [&*pipe, Path::new("/dev/zero")] {
        assert_eq!(Dns::of_system(path).servers(), "127.0.0.1");
        assert!(hosts::addresses(path, "otlp.example").is_empty());
    }
}

#[test]
fn invalid_resolv_conf_lines_are_skipped() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("resolv.conf");
    let text = "nameserver 192.0.2.1\nnonsense\nnameserver fe80::1%lo\nnameserver what?\nnameserver ::1\n\
                    nameserver 192.0.2.4\nsearch corp.example example\noptions ndots:5 timeout:2 attempts:3 use-vc\n";
    fs::write(&path, text).expect("written");
    let dns = Dns::of_system(&path);
    assert_eq!(dns.servers(), "192.0.2.1, fe80::1, ::1");
    assert_eq!(dns.servers[1].to_string(), "[fe80::1%1]:53", "the scope ID is the interface index");
    assert_eq!(dns.candidates("a.b"), ["a.b.corp.example", "a.b.example", "a.b"]);
    assert_eq!((dns.attempts, dns.timeout, dns.is_over_tcp), (3, Duration::from_secs(2), true));
    assert_eq!(Dns::of_system(&dir.path().join("absent")).servers(), "127.0.0.1");
}
