//! TLS to back ends inside of a company: CAs of its own, certificates that are wrong, a proxy on the way.

use std::fs;

use crate::support::{
    Ran, Sandbox,
    hostile::{Hostile, Step},
    proxy::Proxy,
    recorder::Recorder,
    tls::{Authority, Identity},
};

/// A sandbox with one marker in its spool.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("Over TLS", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox
}

/// Delivers to `https://HOST` of a server, with `more` said of the destination.
fn deliver(sandbox: &Sandbox, host: &str, server: &Recorder, more: &str) -> Ran {
    sandbox.deliver_to(&format!("https://{host}:{}", server.port()), more);
    sandbox.binary(&["deliver"])
}

#[track_caller]
fn delivered(ran: &Ran, server: &Recorder) {
    assert_eq!(ran.succeeded().stdout, "1 marker delivered\n");
    assert_eq!(server.requests().len(), 1);
}

/// Asserts that nothing was delivered, and returns why.
#[track_caller]
fn why_not(sandbox: &Sandbox, ran: &Ran) -> String {
    let told = "0 markers delivered, 1 file waits still; `gitea-lightstep status` says why\n";
    assert_eq!((ran.code, &*ran.stdout), (Some(1), told), "{}", ran.stderr);
    let last = sandbox.deliveries().pop().expect("an entry");
    assert_eq!(last["outcome"], "retried");
    last["why"].as_str().expect("text").to_string()
}

fn server(authority: &Authority) -> Recorder {
    Recorder::with_tls(&authority.issue(&["localhost", "127.0.0.1"]))
}

#[test]
fn an_internal_ca_is_trusted_by_ca_file() {
    let (sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    let server = server(&authority);
    // Beside what else such files hold.
    let other = Authority::new("Another CA").pem();
    sandbox.write("ca.pem", format!("# Our CAs\n{other}\n{}", authority.pem()));
    delivered(&deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"), &server);
}

#[test]
fn an_internal_ca_is_trusted_by_the_variables_of_openssl() {
    let authority = Authority::new("Internal CA");
    for (variable, named) in [("SSL_CERT_FILE", "certs/ca.pem"), ("SSL_CERT_DIR", "certs")] {
        let mut sandbox = sandbox();
        let server = server(&authority);
        sandbox.write("certs/ca.pem", authority.pem());
        sandbox.write("certs/README", "what is no certificate does not matter");
        let named = sandbox.path(named).display().to_string();
        sandbox
            .set(variable, &format!("{named}{}", if named.ends_with("pem") { "" } else { ":/nonexistent" }));
        delivered(&deliver(&sandbox, "127.0.0.1", &server, ""), &server);
    }
}

#[test]
fn the_detached_process_has_the_variable_too() {
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
fn an_unknown_ca_is_told_with_what_to_do() {
    let (sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    let server = server(&authority);
    assert_eq!(
        why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "")),
        "the server's certificate comes from a CA that is not trusted here; name a file with that CA as `ca_file` of the \
         destination"
    );
    // The CA that was named is trusted, and nobody else.
    sandbox.write("ca.pem", Authority::new("Another CA").pem());
    let why = why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"));
    let named = sandbox.path("ca.pem");
    let expected = format!(
        "the server's certificate comes from a CA that is not trusted here; the destination's `ca_file`, `{}`, has to hold \
         that CA",
        named.display()
    );
    assert_eq!(why, expected);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_ca_that_was_made_anew_under_its_old_name_is_told() {
    let sandbox = sandbox();
    let server = server(&Authority::new("Internal CA"));
    sandbox.write("ca.pem", Authority::new("Internal CA").pem());
    let why = why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"));
    let told = "the server's certificate is not signed by the CA of that name that is trusted here; was the CA renewed?";
    assert!(why.starts_with(told), "{why}");
}

#[test]
fn a_file_of_cas_that_cannot_be_used_is_named() {
    let (mut sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    let server = server(&authority);
    let broken = authority.pem().replacen("MII", "!II", 1);
    let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    sandbox.write("text", "no certificate at all\n");
    sandbox.write("broken", broken);
    sandbox.write("cut", authority.pem() + cut);
    let mut mkfifo = sandbox.command("mkfifo", &sandbox.path(""));
    sandbox.run(mkfifo.arg("pipe"), b"").succeeded();
    for (file, told) in [
        ("absent", "failed to read `absent`: No such file or directory (os error 2)"),
        ("pipe", "failed to read `pipe`: it is no file"),
        ("text", "`text` holds no certificate in PEM, which begins with `-----BEGIN CERTIFICATE-----`"),
        ("broken", "failed to read `broken`: it is no PEM: "),
        ("cut", "`cut` holds a certificate that is broken, the one with the number 2: "),
    ] {
        let relative = |text: &str| text.replace(&sandbox.path("").display().to_string(), "");
        let ran = deliver(&sandbox, "localhost", &server, &format!("ca_file = \"{file}\"\n"));
        let problems = sandbox.problems();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        let expected = format!(": destination `collector`: `ca_file`: {told}");
        assert!(relative(problem).contains(&expected), "{problem}");
        let why = why_not(&sandbox, &ran);
        assert!(relative(&why).starts_with(&format!("`ca_file`: {told}")), "{why}");
    }
    // Nobody knows whether the variable is meant for us: it matters once a CA is missing.
    let absent = sandbox.path("no").display().to_string();
    sandbox.set("SSL_CERT_FILE", &absent);
    let why = why_not(&sandbox, &deliver(&sandbox, "localhost", &server, ""));
    assert!(
        why.contains("that is not trusted here; ") && why.contains("; SSL_CERT_FILE: failed to"),
        "{why}"
    );
}

/// Delivers to a server of this identity whose CA is trusted, in vain.
#[track_caller]
fn why_not_to(authority: &Authority, identity: &Identity) -> String {
    let sandbox = sandbox();
    sandbox.write("ca.pem", authority.pem());
    let server = Recorder::with_tls(identity);
    why_not(&sandbox, &deliver(&sandbox, "localhost", &server, "ca_file = \"ca.pem\"\n"))
}

#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    let authority = Authority::new("Internal CA");
    let why = why_not_to(&authority, &authority.issue_until(&["localhost"], 2020));
    let told = "the server's certificate expired at 2020-01-01T00:00:00Z, and here it is 20";
    assert!(
        why.starts_with(told) && why.contains("; renew it there, or set this machine's clock right"),
        "{why}"
    );
    assert_eq!(
        why_not_to(&authority, &authority.issue(&["otlp.example", "10.0.0.7"])),
        "the server's certificate is for otlp.example, 10.0.0.7, and not for localhost; in `endpoint`, use a name that it \
         is for"
    );
    assert_eq!(
        why_not_to(&authority, &authority.as_server()),
        "the server's certificate is that of a CA itself; give the server one of its own, which the CA signed (with \
         CA:FALSE)"
    );
}

#[test]
fn what_speaks_no_tls_is_told() {
    let sandbox = sandbox();
    // Sixteen bytes are less than the first message of a handshake.
    let answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".to_vec();
    let server = Hostile::start(vec![vec![Step::Take(16), Step::Say(answer)]]);
    sandbox.deliver_to(&format!("https://{}", server.address()), "");
    let why = why_not(&sandbox, &sandbox.binary(&["deliver"]));
    assert_eq!(why, "what answers does not speak TLS; is it an http:// address?");
}

#[test]
fn a_proxy_leads_to_the_destination_and_is_asked_for_its_name() {
    let (sandbox, authority) = (sandbox(), Authority::new("Internal CA"));
    // A name that only the proxy knows.
    let server = Recorder::with_tls(&authority.issue(&["otlp.corp.invalid"]));
    let proxy = Proxy::to(server.port());
    sandbox.write("ca.pem", authority.pem());
    let more = format!("ca_file = \"ca.pem\"\nproxy = \"{}/\"\n", proxy.address());
    delivered(&deliver(&sandbox, "otlp.corp.invalid", &server, &more), &server);
    assert_eq!(proxy.asked(), [format!("CONNECT otlp.corp.invalid:{} HTTP/1.1", server.port())]);
}

#[test]
fn a_proxy_leads_to_what_speaks_no_tls_as_well() {
    let sandbox = sandbox();
    let server = Recorder::start([]);
    let proxy = Proxy::to(server.port());
    sandbox.deliver_to("http://otlp.corp.invalid", &format!("proxy = \"{}\"\n", proxy.address()));
    delivered(&sandbox.binary(&["deliver"]), &server);
    assert_eq!(proxy.asked(), ["CONNECT otlp.corp.invalid:80 HTTP/1.1"]);
}

#[test]
fn the_environments_proxies_are_ignored() {
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
fn a_proxy_that_does_not_lead_there_is_named() {
    let sandbox = sandbox();
    let deliver = |address: &str| {
        sandbox.deliver_to("https://otlp.corp.invalid", &format!("proxy = \"{address}\"\n"));
        why_not(&sandbox, &sandbox.binary(&["deliver"]))
    };
    for (status, told) in [
        (403, "proxy server responded 403/403"),
        (
            407,
            "HTTP 407: it wants a name and a password, which cannot be given; let it take this machine without",
        ),
    ] {
        let proxy = Proxy::refusing(status);
        let address = proxy.address();
        assert!(deliver(&address).starts_with(&format!("through the proxy {address}: ")));
        assert!(deliver(&address).ends_with(told), "{status}");
    }
    let gone = Proxy::refusing(500).address();
    assert_eq!(deliver(&gone), format!("through the proxy {gone}: Connection refused (os error 111)"));
}

#[test]
fn what_is_said_of_proxies_and_cas_in_the_configuration_is_checked() {
    let sandbox = Sandbox::new();
    for (more, told) in [
        (
            "proxy = \"socks5://h:1080\"",
            "expected the address of a proxy, such as \"http://proxy.example.com:3128\"",
        ),
        (
            "proxy = \"http://u:p@h:1\"",
            "expected the address of a proxy, such as \"http://proxy.example.com:3128\"",
        ),
        ("proxy = \"http://h:3128/path\"", "expected the address of a proxy, such as"),
        ("proxy = \"proxy.example.com:3128\"", "expected the address of a proxy, such as"),
        ("ca_file = \"ca.pem\"", "`ca_file` is for https://, and this `endpoint` is http://"),
    ] {
        sandbox.deliver_to("http://127.0.0.1:1", &format!("{more}\n"));
        let problems = sandbox.problems();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.contains(told) && problem.contains(":10:"), "{problem}");
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
