//! Tests the valid and invalid return values of render scripts, and that scripts cannot read
//! secrets or reach other hosts.

mod shipped;

use std::fs;

use super::*;
use crate::{
    policy::api::{ApiFunction, PropertyInfo},
    secret::{Secret, SecretSource},
};

fn http(script: &str) -> (tempfile::TempDir, Http) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("own.rhai");
    fs::write(&path, script).expect("a script");
    let http = Http {
        endpoint: "https://api.example.com/base".into(),
        render: RenderScript::File(path),
        secrets: [("token".to_string(), SecretSource::Env("T".into()))].into(),
        settings: [("dashboard".to_string(), "abc".to_string())].into(),
        kinds: Kind::ALL.to_vec(),
    };
    (dir, http)
}

/// Renders a sample deployment with a script whose `render` has this body.
fn render(body: &str) -> Result<Rendered, String> {
    let (dir, http) = http(&format!("fn render(marker) {{ {body} }}"));
    let renderer = Renderer::load(&http, &Limits::default()).map_err(|err| err.to_string());
    let rendered = renderer
        .and_then(|renderer| renderer.render(&sample(Kind::Deployment)).map_err(|err| err.to_string()));
    rendered.map_err(|err| err.replace(&format!("{}/", dir.path().display()), ""))
}

#[track_caller]
fn opened(body: &str) -> Opened {
    let Rendered::Requests(requests) = render(body).expect(body) else { panic!("{body}: no request") };
    open(&requests[0], "s3/cr\"et").expect(body)
}

fn open(request: &RenderedRequest, secret: &str) -> Result<Opened, String> {
    let secret = Secret::new(secret).expect("a secret");
    let opened =
        request.open("https://api.example.com/base", &mut |_| Ok::<_, std::io::Error>(secret.clone()));
    opened.map_err(|err| err.to_string())
}

#[track_caller]
fn refused(body: &str) -> String {
    match render(body) {
        Err(why) => why,
        Ok(rendered) => panic!("{body}: {rendered:?}"),
    }
}

#[test]
fn request_is_built_from_the_returned_map() {
    let plain = opened(r#"#{ path: "/a" }"#);
    assert_eq!((plain.url.as_str(), &*plain.body), ("https://api.example.com/base/a", &b""[..]));
    let full = opened(
        r#"#{ method: "PUT", path: "/a/" + url_encode("b c/d"), query: #{ q: "x&y", n: 7, ok: true, s: secret("token") },
             headers: #{ "X-Key": "k " + secret("token") },
             body: #{ t: marker.time, list: [1, "two", (), true, 'c', 1.5], s: "a\"" + secret("token") + "z", all: marker.attributes } }"#,
    );
    assert_eq!(full.url, "https://api.example.com/base/a/b%20c%2Fd?n=7&ok=true&q=x%26y&s=s3%2Fcr%22et");
    let header =
        |name: &str| full.headers.iter().find(|(known, _)| known == name).expect("a header").1.clone();
    assert_eq!((header("x-key"), header("content-type")), ("k s3/cr\"et".into(), "application/json".into()));
    let body: serde_json::Value = serde_json::from_slice(&full.body).expect("JSON");
    assert_eq!(body["t"], "2026-11-26T10:00:00Z");
    assert_eq!(body["list"], serde_json::json!([1, "two", null, true, "c", 1.5]));
    assert_eq!(body["s"], "a\"s3/cr\"etz");
    assert_eq!(body["all"]["user.name"], "ann");
    let text = opened(r#"#{ path: "/a", body: "as it is", headers: #{ "content-type": "text/csv" } }"#);
    assert_eq!(
        (text.headers, text.body),
        (vec![("content-type".into(), "text/csv".into())], b"as it is".to_vec())
    );
    assert_eq!(opened(r#"#{ path: "/" + settings.dashboard }"#).url, "https://api.example.com/base/abc");
    assert_eq!(
        opened(r#"#{ path: "/" + (settings.other ?? "none") }"#).url,
        "https://api.example.com/base/none"
    );
}

#[test]
fn render_may_return_no_request_or_several() {
    for (body, expected) in
        [("()", ""), ("[]", ""), ("skip(\"not here\")", "not here"), ("if false { #{} }", "")]
    {
        assert_eq!(render(body), Ok(Rendered::Nothing { why: expected.into() }), "{body}");
    }
    let Ok(Rendered::Requests(requests)) = render(r#"[#{ path: "/a" }, #{ path: "/b", method: "DELETE" }]"#)
    else {
        panic!("expected two requests")
    };
    assert_eq!(requests.iter().map(|request| request.method).collect::<Vec<_>>(), ["POST", "DELETE"]);
}

#[test]
fn invalid_requests_are_rejected_with_the_expected_form() {
    let at = "own.rhai:1:19: in `render`, which starts here: `render` returned a wrong value: ";
    for (body, why) in [
        (
            "1",
            "this is not a request: expected `#{ path: ... }`, an array of such requests, `()` or \
             skip(\"why\")",
        ),
        (
            "[1]",
            "request 1 is a number: expected `#{ path: ... }`, an array of such requests, `()` or skip(\"why\")",
        ),
        ("#{}", "a request needs a `path`, such as `path: \"/api/annotations\"`"),
        (r#"#{ path: "/a", bdy: 1 }"#, "a request has no property `bdy`; did you mean `body`?"),
        (
            r#"#{ path: "/a", url: "https://evil.example.com" }"#,
            "a request has no property `url`, expected one of `method`, `path`, `query`, `headers`, \
             `body`, `expect`",
        ),
        (
            r#"#{ path: "/a", method: "post" }"#,
            "`method` must be one of `POST`, `PUT`, `PATCH`, `DELETE`, `GET`, found `post`",
        ),
        (r#"#{ path: 7 }"#, "`path` must be a string that begins with `/`, found a number"),
        (
            r#"#{ path: "https://evil.example.com/" }"#,
            "`path` must begin with `/`: it is appended to the endpoint and cannot name another host; \
             found `https://evil.example.com/`",
        ),
        (
            r#"#{ path: ".evil.example.com/" }"#,
            "`path` must begin with `/`: it is appended to the endpoint and cannot name another host; \
             found `.evil.example.com/`",
        ),
        (
            r#"#{ path: "//evil.example.com/" }"#,
            "`path` has two slashes in a row, found `//evil.example.com/`",
        ),
        (
            r#"#{ path: "/a/../b" }"#,
            "`path` has a `.` or `..` segment, which would lead to another path, found `/a/../b`",
        ),
        (
            r#"#{ path: "/a/%2E%2e" }"#,
            "`path` has a `.` or `..` segment, which would lead to another path, found `/a/%2E%2e`",
        ),
        (
            r#"#{ path: "/a?b=1" }"#,
            "`path` has a `?` or `#`: move parameters into `query`, or escape the text with \
             url_encode(text), found `/a?b=1`",
        ),
        (
            r#"#{ path: "/a b" }"#,
            "`path` has a character that is not allowed in a path: escape its parts with url_encode(text), \
             found `/a b`",
        ),
        (
            r#"#{ path: "/a\r\nHost: evil" }"#,
            "`path` has a character that is not allowed in a path: escape its parts with url_encode(text), \
             found \
             `/a\\r\\nHost: evil`",
        ),
        (
            r#"#{ path: "/100%" }"#,
            "`path` has a `%` that does not begin an escape: escape its parts with url_encode(text), found \
             `/100%`",
        ),
        (r#"#{ path: "/a", query: "b=1" }"#, "`query` must be an object map, found `b=1`"),
        (
            r#"#{ path: "/a", query: #{ b: [] } }"#,
            "`query.b` must be a string, a number or a bool, found an array",
        ),
        (r#"#{ path: "/a", headers: [] }"#, "`headers` must be an object map, found an array"),
        (
            r#"#{ path: "/a", headers: #{ "a b": "c" } }"#,
            "`a b` is not a header name: use only letters, digits and `-`",
        ),
        (
            r#"#{ path: "/a", headers: #{ a: 1 } }"#,
            "the header `a` must be a string or a secret, found a number",
        ),
        (
            r#"#{ path: "/a", headers: #{ a: "b\r\nc: d" } }"#,
            "the header `a` has a character that is not allowed in a header, such as a line break",
        ),
        (
            r#"#{ path: "/a", headers: #{ a: "b\r\nc: " + secret("token") } }"#,
            "the header `a` has a character that is not allowed in a header, such as a line break",
        ),
        (r#"#{ path: "/a", headers: #{ "X-a": "1", "x-A": "2" } }"#, "the header `x-A` is set twice"),
        (
            r#"#{ path: "/a", headers: #{ Host: "evil" } }"#,
            "a script cannot set the header `Host`: the HTTP client sets it",
        ),
        (
            r#"#{ path: "/a", headers: #{ "Content-Length": "1" } }"#,
            "a script cannot set the header `Content-Length`: the HTTP client sets it",
        ),
        (r#"#{ path: "/a", method: "GET", body: "x" }"#, "a GET has no `body`"),
        (
            r#"#{ path: "/a", body: 7 }"#,
            "`body` must be an object map or an array, which is sent as JSON, or a string; found a number",
        ),
        (
            r#"#{ path: "/a", body: #{ b: [marker] } }"#,
            "`body.b[0]` is an object, which JSON cannot represent; use a string, a number, an array or an \
             object map",
        ),
        (
            r#"#{ path: "/a", body: #{ b: 0.0 / 0.0 } }"#,
            "`body.b` is a number with a fraction, which JSON cannot represent; use a string, a number, an \
             array or an object map",
        ),
    ] {
        assert_eq!(refused(body), format!("{at}{why}"), "{body}");
    }
}

#[test]
fn request_size_and_count_are_limited() {
    let long = |n: usize| format!("let t = \"x\"; while t.len() < {n} {{ t += t; }}");
    for (body, why) in [
        (format!("{} #{{ path: \"/\" + t }}", long(5000)), "`path` with `query` is longer than 4 KiB"),
        (
            format!("{} #{{ path: \"/\", query: #{{ a: t }} }}", long(5000)),
            "`path` with `query` is longer than 4 KiB",
        ),
        (
            format!("{} #{{ path: \"/\", headers: #{{ a: t }} }}", long(10_000)),
            "the header `a` is longer than 8 KiB",
        ),
        (
            "let h = #{}; for n in 0..33 { h[`h${n}`] = \"\"; } #{ path: \"/\", headers: h }".into(),
            "a request has at most 32 headers, found 33",
        ),
        (
            "let r = []; for n in 0..9 { r += [#{ path: \"/\" }]; } r".into(),
            "a marker may take at most 8 requests, found 9",
        ),
        // JSON writes each of these characters as six.
        (
            "let t = \"\\x01\"; while t.len() < 300000 { t += t; } #{ path: \"/\", body: #{ a: t } }".into(),
            "`body` is larger than 1 MiB",
        ),
    ] {
        let said = refused(&body);
        assert!(said.ends_with(why), "{body}: {said}");
    }
    // An endless script hits a limit before its return value is checked.
    assert!(refused("loop {}").contains("`[policy.limits]"));
    assert!(refused("let a = [0]; loop { a += a; }").contains("too large"));
}

#[test]
fn scripts_cannot_read_secrets() {
    for (body, why) in [
        (r#"secret("token").len()"#, "a script cannot read a secret"),
        (r#"secret("token") == secret("token")"#, "a script cannot read a secret"),
        (r#"secret("token") == "guess""#, "a script cannot read a secret"),
        (r#""guess" < secret("token")"#, "a script cannot read a secret"),
        (r#"["guess"].contains(secret("token"))"#, ""),
        (r#"secret("token")[0]"#, ""),
        (r#"secret("token").sub_string(1)"#, ""),
        (r#"secret("token").to_chars()"#, ""),
        (r#"for c in secret("token") {}"#, ""),
        (r#"secret("tokn")"#, "unknown secret `tokn`: the destination's `secrets` are `token`"),
    ] {
        match render(&format!("{body}; ()")) {
            Err(said) => assert!(said.contains(why) && !said.contains("s3cret"), "{body}: {said}"),
            // Only `contains` succeeds, and it cannot see the value of the secret.
            Ok(_) => assert!(body.contains("contains"), "{body}"),
        }
    }
    for shown in [
        r#""" + secret("token").to_string()"#,
        r#"`${secret("token")}`"#,
        r#"[secret("token")].to_string()"#,
        r#"#{ a: secret("token") }.to_json()"#,
        r#"secret("token").to_debug()"#,
        r#"let t = "x"; t += secret("token"); t.to_string()"#,
        r#"type_of(secret("token"))"#,
    ] {
        // These succeed, but the script sees no secret, because none is filled in while it runs.
        let Ok(Rendered::Requests(requests)) =
            render(&format!("let said = {{ {shown} }}; #{{ path: \"/\", body: `${{said}}` }}"))
        else {
            panic!("{shown}: no request")
        };
        let body = String::from_utf8(open(&requests[0], "s3cret").expect(shown).body).expect("text");
        assert!(!body.contains("s3cret"), "{shown}: {body}");
    }
    let Ok(Rendered::Requests(requests)) = render(r#"#{ path: "/a" + secret("token") }"#) else {
        panic!("expected a request")
    };
    assert!(!format!("{requests:?}").contains("s3cret") && format!("{requests:?}").contains("[redacted]"));
}

#[test]
fn secret_in_path_cannot_change_the_host() {
    let Ok(Rendered::Requests(requests)) = render(r#"#{ path: secret("token") }"#) else {
        panic!("expected a request")
    };
    let url = |secret: &str| open(&requests[0], secret).map(|opened| opened.url);
    assert_eq!(url("/services/T0/B0/x"), Ok("https://api.example.com/base/services/T0/B0/x".into()));
    let whole = "https://api.example.com/base/services/T0";
    assert_eq!(url(whole), Ok(whole.into()), "a complete webhook URL");
    for wrong in [
        "https://evil.example.com/services",
        "https://api.example.com/base.evil.example.com/",
        "services",
        "/a/../b",
        "//evil.example.com",
        "/a b",
        "/a#b",
        ".evil.example.com/",
        "@evil.example.com/",
    ] {
        let said = url(wrong).expect_err(wrong);
        assert!(
            said.starts_with("the secret in `path` is not a valid path") && !said.contains(wrong),
            "{said}"
        );
    }
    let Ok(Rendered::Requests(requests)) = render(r#"#{ path: "/a/" + secret("token") + "/b" }"#) else {
        panic!("expected a request")
    };
    assert!(open(&requests[0], "..").is_err(), "the joined path has a `..` segment");
}

#[test]
fn script_mistakes_are_reported_before_rendering() {
    for (script, said) in [
        (
            "fn rendr(marker) { () }",
            "the script does not define `render(marker)`, which returns the request to send",
        ),
        ("fn render() { () }", ":1:13: `render` takes 1 parameter, found 0"),
        ("fn render(marker) { () } fn accepts() { true }", "`accepts` takes 1 parameter, found 0"),
        ("fn render(marker) { let x = ; }", ":1:29: "),
        ("fn render(marker) { setings.dashboard }", "Undefined variable"),
    ] {
        let (_dir, http) = http(script);
        let err = Renderer::load(&http, &Limits::default()).err().expect(script).to_string();
        assert!(err.contains(said), "{script}: {err}");
    }
    for (script, said, fix) in [
        (
            "fn render(marker) { #{ path: marker.servce } }",
            "`marker` has no property `servce`",
            Some("did you mean `service`?"),
        ),
        (
            "fn render(marker) { marker.time.unx; () }",
            "`time` has no property `unx`",
            Some("did you mean `unix`?"),
        ),
        (
            "fn render(marker) { () } fn accepts(answer) { answer.sttus == 200 }",
            "`answer` has no property `sttus`",
            Some("did you mean `status`?"),
        ),
        (
            "fn render(marker) { secrt(\"token\") }",
            "unknown function `secrt`",
            Some("did you mean `secret`?"),
        ),
        ("fn render(marker) { cut(\"a\") }", "`cut` takes 2 arguments: text, length, found 1", None),
        (
            "fn render(marker) { () } fn acepts(answer) { true }",
            "nothing calls `acepts`",
            Some("did you mean `accepts`?"),
        ),
        (
            "fn render(marker) { marker.kind = \"change\"; () }",
            "`marker.kind` cannot be set: it is read-only",
            None,
        ),
    ] {
        let (_dir, http) = http(script);
        let renderer = Renderer::load(&http, &Limits::default()).expect(script);
        let findings = renderer.findings();
        let found: Vec<_> =
            findings.iter().map(|finding| (finding.message.as_str(), finding.fix.as_deref())).collect();
        assert_eq!(found, [(said, fix)], "{script}");
    }
}

#[test]
fn accepts_function_classifies_the_response() {
    let accepts = |body: &str, said: &str| {
        let (_dir, http) = http(&format!("fn render(marker) {{ () }} fn accepts(answer) {{ {body} }}"));
        let renderer = Renderer::load(&http, &Limits::default()).expect(body);
        renderer.accepts(200, said).map_err(|err| err.to_string())
    };
    assert_eq!(accepts("true", ""), Ok(Accepted::Yes));
    assert_eq!(accepts("answer.status == 200", ""), Ok(Accepted::Yes));
    assert_eq!(accepts("answer.body == \"ok\"", "ok"), Ok(Accepted::Yes));
    assert_eq!(accepts("answer.json.error", r#"{"error":"no\nsuch"}"#), Ok(Accepted::No("no\\nsuch".into())));
    assert_eq!(accepts("#{ again: \"busy\" }", ""), Ok(Accepted::Later("busy".into())));
    assert_eq!(
        accepts("if answer.json == () { \"no JSON\" } else { true }", "<html>"),
        Ok(Accepted::No("no JSON".into()))
    );
    for wrong in ["false", "()", "7", "#{ agin: \"x\" }"] {
        let said = accepts(wrong, "").expect_err(wrong);
        assert!(said.contains("expected `true`, a string that says why not"), "{said}");
    }
}

#[test]
fn reference_examples_evaluate_to_true() {
    let (dir, mut http) = http("");
    let mut examples: Vec<(&str, &str)> = functions::FUNCTIONS.iter().map(|f| (f.name, f.example)).collect();
    for object in functions::objects() {
        let of = |function: &ApiFunction| (function.name, function.example);
        let told = |word: &PropertyInfo| (word.name, word.example);
        if matches!(object.name, "marker" | "attributes") {
            examples.extend(object.words.iter().map(told).chain(object.methods.iter().map(of)));
        }
        if object.name == "answer" {
            for (name, example) in object.words.iter().map(told) {
                let script = format!("fn render(marker) {{ () }} fn accepts(answer) {{ {example} }}");
                fs::write(dir.path().join("own.rhai"), script).expect("a script");
                let renderer = Renderer::load(&http, &Limits::default()).expect(name);
                assert_eq!(renderer.accepts(200, r#"{"ok":true}"#), Ok(Accepted::Yes), "{name}: {example}");
            }
        }
    }
    http.settings.clear();
    for (name, example) in examples {
        let script =
            format!("fn render(marker) {{ if {example} {{ skip(\"true\") }} else {{ skip(\"false\") }} }}");
        fs::write(dir.path().join("own.rhai"), script).expect("a script");
        let renderer = Renderer::load(&http, &Limits::default()).expect(name);
        let said = renderer.render(&sample(Kind::Deployment));
        assert_eq!(said, Ok(Rendered::Nothing { why: "true".into() }), "{name}: {example}");
    }
}
