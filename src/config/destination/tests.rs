use std::fs;

use super::*;

fn lightstep(more: &str) -> Destination {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    fs::write(&path, format!("[lightstep]\ntoken = {{ env = \"T\" }}\n{more}")).expect("written");
    crate::config::load(Some(&path)).expect("valid").destinations.remove(0)
}

#[test]
fn loopback_matches_only_local_hosts() {
    for url in [
        "http://127.0.0.1",
        "http://127.8.9.10:4318/x",
        "http://localhost:80",
        "http://LocalHost/",
        "http://[::1]:4318",
    ] {
        assert!(is_loopback(url), "{url}");
    }
    for url in [
        "http://127.0.0.1.example.com",
        "http://127.example.com:4318",
        "http://localhost.example.com",
        "http://localhost@example.com/",
        "http://[::1].example.com@example.com",
        "http://[::2]",
        "http://0.0.0.0",
        "http://example.com/localhost",
        "http://128.0.0.1",
    ] {
        assert!(!is_loopback(url), "{url}");
    }
    assert!(is_in_the_clear("http://localhost:4318", Some("http://proxy.example.com:3128")));
    assert!(!is_in_the_clear("https://example.com", Some("http://proxy.example.com:3128")));
}

#[test]
fn lightstep_preset_sets_urls_and_token_header() {
    let urls = |more| {
        let Target::Otlp(otlp) = lightstep(more).target else { panic!("the preset is OTLP") };
        [otlp.logs_url, otlp.traces_url]
    };
    let us = ["https://ingest.lightstep.com:443/v1/logs", "https://ingest.lightstep.com:443/v1/traces"];
    let eu = ["https://ingest.eu.lightstep.com:443/v1/logs", "https://ingest.eu.lightstep.com:443/v1/traces"];
    assert_eq!(urls(""), us);
    assert_eq!(urls("region = \"us\"\n"), us);
    assert_eq!(urls("region = \"eu\"\n"), eu);
    assert_eq!(
        urls("endpoint = \"https://satellite.example.com/base/\"\n")[0],
        "https://satellite.example.com/base/v1/logs"
    );
    assert_eq!(lightstep("").headers[0].0, "lightstep-access-token");
}
