use std::fs;

use super::*;

#[test]
fn addresses_are_collected_from_all_matching_lines() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("hosts");
    let text = b"# 192.0.2.1 otlp\n192.0.2.2\totlp.example OTLP # otlp2\nfe80::1%eth0 otlp\n\xff otlp\n\
                     otlp otlp\n::ffff:7 x otlp\n192.0.2.3 otlp2";
    fs::write(&path, text).expect("written");
    let known = |name: &str| addresses(&path, name).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(known("otlp"), ["192.0.2.2", "::ffff:7"]);
    assert_eq!(known("Otlp.Example"), ["192.0.2.2"]);
    assert_eq!(known("otlp2"), ["192.0.2.3"]);
    assert_eq!(known("192.0.2.2"), [""; 0]);
    assert_eq!(addresses(&dir.path().join("absent"), "otlp"), [] as [IpAddr; 0]);
}
