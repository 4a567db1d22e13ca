//! TLS to internal back ends: private CAs, invalid certificates and proxies.

use std::fs;

use crate::support::{
    Ran, Sandbox,
    hostile::{Hostile, Step},
    proxy::Proxy,
    recorder::Recorder,
    tls::{Authority, Identity},
};

/// Creates a sandbox with one queued marker.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("Over TLS", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox
}

/// Delivers to `https://HOST` of a server, with `more` in the configuration of the destination.
fn deliver(sandbox: &Sandbox, host: &str, server: &Recorder, more: &str) -> Ran {
    sandbox.deliver_to(&format!("https://{host}:{}", server.port()), more);
    sandbox.binary(&["deliver"])
}

#[track_caller]
fn delivered(ran: &Ran, server: &Recorder) {
    assert_eq!(ran.succeeded().stdout, "1 marker delivered\n");
    assert_eq!(server.requests().len(), 1);
}

/// Asserts that nothing was delivered, and returns the reason.
#[track_caller]
fn why_not(sandbox: &Sandbox, ran: &Ran) -> String {
    let report = "0 markers delivered, 1 file waits in the spool; `gitea-lightstep status` says why\n";
    assert_eq!((ran.code, &*ran.stdout), (Some(1), report), "{}", ran.stderr);
    let last = sandbox.deliveries().pop().expect("an entry");
    assert_eq!(last["outcome"], "retried");
    last["why"].as_str().expect("text").to_string()
}

fn server(authority: &Authority) -> Recorder {
    Recorder::with_tls(&authority.issue(&["localhost", "127.0.0.1"]))
}

#[test]
fn private_ca_is_trusted_with_ca_file() {
    let (sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    let server = server(&authority);
    // The file also contains a comment and another CA.
    let other = Authority::new("Another CA").pem();
    sandbox.write("ca.pem", format!("# Our CAs\n{other}\n{}", authority.pem()));
    delivered(&deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"), &server);
}

#[test]
fn private_ca_is_trusted_with_openssl_variables() {
    let authority = Authority::new("Internal CA");
    for (variable, named) in [("SSL_CERT_FILE", "certs/ca.pem"), ("SSL_CERT_DIR", "certs")] {
        let mut sandbox = sandbox();
        let server = server(&authority);
        sandbox.write("certs/ca.pem", authority.pem());
        sandbox.write("certs/README", "a file that is not a certificate does not matter");
        let named = sandbox.path(named).display().to_string();
        sandbox
            .set(variable, &format!("{named}{}", if named.ends_with("pem") { "" } else { ":/nonexistent" }));
        delivered(&deliver(&sandbox, "127.0.0.1", &server, ""), &server);
    }
}

#[test]
fn detached_process_gets_ssl_cert_file() {
    let (mut sandbox, authority) = (Sandbox::new(), Authority::new("Internal CA"));
    let server = server(&authority);
    sandbox.write("ca.pem", authority.pem());
    sandbox.set("SSL_CERT_FILE", &sandbox.path("ca.pem").display().to_string());
    sandbox.deliver_to(&format!("https://localhost:{}", server.port()), "");
    sandbox.commit("Over TLS", &[]);
    sandbox.push(&["main"]).succeeded();
    server.wait_for(1);
}

#[test]
fn unknown_ca_is_reported_with_a_fix() {
    let (sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    let server = server(&authority);
    assert_eq!(
        why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "")),
        "the server's certificate is not signed by a trusted CA; \
         set the destination's `ca_file` to a PEM file with the server's CA"
    );
    // With `ca_file`, only its CAs are trusted.
    sandbox.write("ca.pem", Authority::new("Another CA").pem());
    let why = why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"));
    let named = sandbox.path("ca.pem");
    let expected = format!(
        "the server's certificate is not signed by a trusted CA; \
         add the server's CA to the destination's `ca_file`, `{}`",
        named.display()
    );
    assert_eq!(why, expected);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn ca_with_a_new_key_is_reported() {
    let sandbox = sandbox();
    let server = server(&Authority::new("Internal CA"));
    sandbox.write("ca.pem", Authority::new("Internal CA").pem());
    let why = why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"));
    let report =
        "the server's certificate has the name of a trusted CA but not its signature; was the CA renewed?";
    assert!(why.starts_with(report), "{why}");
}

#[test]
fn unusable_ca_file_is_reported() {
    let (mut sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    let server = server(&authority);
    let broken = authority.pem().replacen("MII", "!II", 1);
    let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    sandbox.write("text", "no certificate at all\n");
    sandbox.write("broken", broken);
    sandbox.write("cut", authority.pem() + cut);
    let mut mkfifo = sandbox.command("mkfifo", &sandbox.path(""));
    sandbox.run(mkfifo.arg("pipe"), b"").succeeded();
    for (file, report) in [
        ("absent", "failed to read `absent`: No such file or directory (os error 2)"),
        ("pipe", "failed to read `pipe`: it is not a regular file"),
        (
            "text",
            "`text` does not contain a PEM certificate, which begins with `-----BEGIN CERTIFICATE-----`",
        ),
        ("broken", "failed to read `broken`: it is not valid PEM: "),
        ("cut", "`cut` contains an invalid certificate, number 2 in the file: "),
    ] {
        let relative = |text: &str| text.replace(&sandbox.path("").display().to_string(), "");
        let ran = deliver(&sandbox, "localhost", &server, &format!("ca_file = \"{file}\"\n"));
        let problems = sandbox.problems();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        let expected = format!(": destination `collector`: `ca_file`: {report}");
        assert!(relative(problem).contains(&expected), "{problem}");
        let why = why_not(&sandbox, &ran);
        assert!(relative(&why).starts_with(&format!("`ca_file`: {report}")), "{why}");
    }
    // An unusable SSL_CERT_FILE may not be meant for this program, so it is reported only if a CA
    // is missing.
    let absent = sandbox.path("no").display().to_string();
    sandbox.set("SSL_CERT_FILE", &absent);
    let why = why_not(&sandbox, &deliver(&sandbox, "localhost", &server, ""));
    assert!(
        why.contains("not signed by a trusted CA; ") && why.contains("; SSL_CERT_FILE: failed to"),
        "{why}"
    );
}

/// Delivers to a server with this identity and a trusted CA, and returns the reason for the
/// failure.
#[track_caller]
fn why_not_to(authority: &Authority, identity: &Identity) -> String {
    let sandbox = sandbox();
    sandbox.write("ca.pem", authority.pem());
    let server = Recorder::with_tls(identity);
    why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"))
}

#[test]
fn invalid_certificate_is_reported_with_its_reason() {
    let authority = Authority::new("Internal CA");
    let why = why_not_to(&authority, &authority.issue_until(&["localhost"], 2020));
    let report =
        "the server's certificate expired at 2020-01-01T00:00:00Z, and this machine's clock shows 20";
    assert!(why.starts_with(report) && why.contains("; renew it, or correct the clock"), "{why}");
    assert_eq!(
        why_not_to(&authority, &authority.issue(&["otlp.example", "10.0.0.7"])),
        "the server's certificate is for otlp.example, 10.0.0.7, not for localhost; \
         use a name from the certificate in the address"
    );
    assert_eq!(
        why_not_to(&authority, &authority.as_server()),
        "the server's certificate is a CA certificate; give the server its own certificate \
         (CA:FALSE), signed by that CA"
    );
}

#[test]
fn server_without_tls_is_reported() {
    let sandbox = sandbox();
    // Sixteen bytes are less than the first message of a handshake.
    let answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".to_vec();
    let server = Hostile::start(vec![vec![Step::Take(16), Step::Say(answer)]]);
    sandbox.deliver_to(&format!("https://{}", server.address()), "");
    let why = why_not(&sandbox, &sandbox.binary(&["deliver"]));
    assert_eq!(why, "the server does not speak TLS; for plain HTTP, use http://");
}

#[test]
fn proxy_resolves_the_name_of_the_destination() {
    let (sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    // Only the proxy can resolve this name.
    let server = Recorder::with_tls(&authority.issue(&["otlp.corp.invalid"]));
    let proxy = Proxy::to(server.port());
    sandbox.write("ca.pem", authority.pem());
    let more = format!("ca_file = \"ca.pem\"\nproxy = \"{}/\"\n", proxy.address());
    delivered(&deliver(&sandbox, "otlp.corp.invalid", &server, &more), &server);
    assert_eq!(proxy.asked(), [format!("CONNECT otlp.corp.invalid:{} HTTP/1.1", server.port())]);
}

#[test]
fn proxy_is_used_without_tls_too() {
    let sandbox = sandbox();
    let server = Recorder::start([]);
    let proxy = Proxy::to(server.port());
    sandbox.deliver_to("http://otlp.corp.invalid", &format!("proxy = \"{}\"\n", proxy.address()));
    delivered(&sandbox.binary(&["deliver"]), &server);
    assert_eq!(proxy.asked(), ["CONNECT otlp.corp.invalid:80 HTTP/1.1"]);
}

#[test]
fn proxy_variables_are_ignored() {
    let mut sandbox = sandbox();
    let server = Recorder::start([]);
    let proxy = Proxy::refusing(500);
    for name in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        sandbox.set(name, &proxy.address());
    }
    sandbox.deliver_to(&server.endpoint(), "");
    delivered(&sandbox.binary(&["deliver"]), &server);
    assert_eq!(proxy.asked(), [""; 0]);
}

#[test]
fn failing_proxy_is_reported() {
    let sandbox = sandbox();
    let deliver = |address: &str| {
        sandbox.deliver_to("https://otlp.corp.invalid", &format!("proxy = \"{address}\"\n"));
        why_not(&sandbox, &sandbox.binary(&["deliver"]))
    };
    for (status, report) in [
        (403, "proxy server responded 403/403"),
        (
            407,
            "HTTP 407: the proxy requires a login, which gitea-lightstep does not support; \
             let this machine through without one",
        ),
    ] {
        let proxy = Proxy::refusing(status);
        let address = proxy.address();
        assert!(deliver(&address).starts_with(&format!("through the proxy {address}: ")));
        assert!(deliver(&address).ends_with(report), "{status}");
    }
    let gone = Proxy::refusing(500).address();
    assert_eq!(deliver(&gone), format!("through the proxy {gone}: Connection refused (os error 111)"));
}

#[test]
fn proxy_and_ca_settings_are_checked() {
    let sandbox = Sandbox::new();
    for (more, report) in [
        (
            "proxy = \"socks5://h:1080\"",
            "expected the URL of a proxy, such as \"http://proxy.example.com:3128\"",
        ),
        (
            "proxy = \"http://u:p@h:1\"",
            "expected the URL of a proxy, such as \"http://proxy.example.com:3128\"",
        ),
        ("proxy = \"http://h:3128/path\"", "expected the URL of a proxy, such as"),
        ("proxy = \"proxy.example.com:3128\"", "expected the URL of a proxy, such as"),
        (
            "ca_file = \"ca.pem\"",
            "`ca_file` is for https://, but this `endpoint` is http://; remove `ca_file` or use https://",
        ),
    ] {
        sandbox.deliver_to("http://127.0.0.1:1", &format!("{more}\n"));
        let problems = sandbox.problems();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.contains(report) && problem.contains(":10:"), "{problem}");
    }
    fs::write(
        sandbox.path("config.toml"),
        "state_dir = \"state\"\n[lightstep]\ntoken = { env = \"HOME\" }\nca_file = \"no.pem\"\n",
    )
    .expect("written");
    let problems = sandbox.problems();
    assert!(
        problems.len() == 1 && problems[0].contains("`lightstep`: `ca_file`: failed to read"),
        "{problems:?}"
    );
}
