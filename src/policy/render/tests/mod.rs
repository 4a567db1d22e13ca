//! What a render script may answer, and what it must not be able to do.

mod shipped;

use std::fs;

use super::*;
use crate::{
    policy::api::{Function, Told},
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

/// Renders a sample of a deployment with the body of `render`.
fn render(body: &str) -> Result<Rendered, String> {
    let (dir, http) = http(&format!("fn render(marker) {{ {body} }}"));
    let renderer = Renderer::load(&http, &Limits::default()).map_err(|err| err.to_string());
    let rendered = renderer.and_then(|renderer| {
        renderer.render(&Subject::sample(Kind::Deployment)).map_err(|err| err.to_string())
    });
    rendered.map_err(|err| err.replace(&format!("{}/", dir.path().display()), ""))
}

#[track_caller]
fn opened(body: &str) -> Opened {
    let Rendered::Requests(requests) = render(body).expect(body) else { panic!("{body}: no request") };
    open(&requests[0], "s3/cr\"et").expect(body)
}

fn open(request: &Request, secret: &str) -> Result<Opened, String> {
    let secret = Secret::new(secret).expect("a secret");
    request.open("https://api.example.com/base", &mut |_| Ok(secret.clone()))
}

#[track_caller]
fn refused(body: &str) -> String {
    match render(body) {
        Err(why) => why,
        Ok(rendered) => panic!("{body}: {rendered:?}"),
    }
}

#[test]
fn a_request_is_what_the_script_says() {
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
fn nothing_is_an_answer_too() {
    for (body, expected) in
        [("()", ""), ("[]", ""), ("skip(\"not here\")", "not here"), ("if false { #{} }", "")]
    {
        assert_eq!(render(body), Ok(Rendered::Nothing { why: expected.into() }), "{body}");
    }
    let Ok(Rendered::Requests(requests)) = render(r#"[#{ path: "/a" }, #{ path: "/b", method: "DELETE" }]"#)
    else {
        panic!("two requests")
    };
    assert_eq!(requests.iter().map(|request| request.method).collect::<Vec<_>>(), ["POST", "DELETE"]);
}

#[test]
fn what_is_no_request_is_told_with_what_belongs_there() {
    let at = "own.rhai:1: in `render`, which begins here: `render` answered: ";
    for (body, why) in [
        (
            "1",
            "that is no request: expected `#{ path: ... }`, an array of such requests, `()` or skip(\"why\")",
        ),
        (
            "[1]",
            "request 1 is a number: expected `#{ path: ... }`, an array of such requests, `()` or skip(\"why\")",
        ),
        ("#{}", "a request needs a `path`, such as `path: \"/api/annotations\"`"),
        (r#"#{ path: "/a", bdy: 1 }"#, "a request has no word `bdy`, did you mean `body`?"),
        (
            r#"#{ path: "/a", url: "https://evil.example.com" }"#,
            "a request has no word `url`, expected one of `method`, `path`, `query`, `headers`, `body`",
        ),
        (
            r#"#{ path: "/a", method: "post" }"#,
            "`method` must be one of `POST`, `PUT`, `PATCH`, `DELETE`, `GET`, found `post`",
        ),
        (r#"#{ path: 7 }"#, "`path` must be a text that begins with `/`, found a number"),
        (
            r#"#{ path: "https://evil.example.com/" }"#,
            "`path` must begin with `/`: it is what follows the endpoint, and no other host; found `https://evil.example.com/`",
        ),
        (
            r#"#{ path: ".evil.example.com/" }"#,
            "`path` must begin with `/`: it is what follows the endpoint, and no other host; found `.evil.example.com/`",
        ),
        (
            r#"#{ path: "//evil.example.com/" }"#,
            "`path` has two slashes in a row, found `//evil.example.com/`",
        ),
        (
            r#"#{ path: "/a/../b" }"#,
            "`path` has `.` or `..` between slashes, which leads somewhere else, found `/a/../b`",
        ),
        (
            r#"#{ path: "/a/%2E%2e" }"#,
            "`path` has `.` or `..` between slashes, which leads somewhere else, found `/a/%2E%2e`",
        ),
        (
            r#"#{ path: "/a?b=1" }"#,
            "`path` has a `?` or `#`: put what is asked into `query`, or the text through url_encode(text), found `/a?b=1`",
        ),
        (
            r#"#{ path: "/a b" }"#,
            "`path` has a character that no path can hold: put each text in it through url_encode(text), found `/a b`",
        ),
        (
            r#"#{ path: "/a\r\nHost: evil" }"#,
            "`path` has a character that no path can hold: put each text in it through url_encode(text), found \
             `/a\\r\\nHost: evil`",
        ),
        (
            r#"#{ path: "/100%" }"#,
            "`path` has a `%` that begins no escape: put each text in it through url_encode(text), found `/100%`",
        ),
        (r#"#{ path: "/a", query: "b=1" }"#, "`query` must be an object map, found `b=1`"),
        (
            r#"#{ path: "/a", query: #{ b: [] } }"#,
            "`query.b` must be a text, a number or a bool, found an array",
        ),
        (r#"#{ path: "/a", headers: [] }"#, "`headers` must be an object map, found an array"),
        (
            r#"#{ path: "/a", headers: #{ "a b": "c" } }"#,
            "`a b` is no name of a header: it has letters, digits and `-` only",
        ),
        (
            r#"#{ path: "/a", headers: #{ a: 1 } }"#,
            "the header `a` must be a text or a secret, found a number",
        ),
        (
            r#"#{ path: "/a", headers: #{ a: "b\r\nc: d" } }"#,
            "the header `a` has a character that no header can hold, such as the end of a line",
        ),
        (
            r#"#{ path: "/a", headers: #{ a: "b\r\nc: " + secret("token") } }"#,
            "the header `a` has a character that no header can hold, such as the end of a line",
        ),
        (r#"#{ path: "/a", headers: #{ "X-a": "1", "x-A": "2" } }"#, "the header `x-A` is there twice"),
        (
            r#"#{ path: "/a", headers: #{ Host: "evil" } }"#,
            "the header `Host` is not a script's to set: the connection does",
        ),
        (
            r#"#{ path: "/a", headers: #{ "Content-Length": "1" } }"#,
            "the header `Content-Length` is not a script's to set: the connection does",
        ),
        (r#"#{ path: "/a", method: "GET", body: "x" }"#, "a GET has no `body`"),
        (
            r#"#{ path: "/a", body: 7 }"#,
            "`body` must be an object map or an array, which is sent as JSON, or a text; found a number",
        ),
        (
            r#"#{ path: "/a", body: #{ b: [marker] } }"#,
            "`body.b[0]` is an object, for which JSON has no word; make it a text, a number, an array or an object map",
        ),
        (
            r#"#{ path: "/a", body: #{ b: 0.0 / 0.0 } }"#,
            "`body.b` is a number with a fraction, for which JSON has no word; make it a text, a number, an array or an object map",
        ),
    ] {
        assert_eq!(refused(body), format!("{at}{why}"), "{body}");
    }
}

#[test]
fn requests_are_bounded() {
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
            "a marker is at most 8 requests, found 9",
        ),
        // Each is written as six characters.
        (
            "let t = \"\\x01\"; while t.len() < 300000 { t += t; } #{ path: \"/\", body: #{ a: t } }".into(),
            "`body` is larger than 1 MiB",
        ),
    ] {
        let said = refused(&body);
        assert!(said.ends_with(why), "{body}: {said}");
    }
    // A script that does not end is ended, whatever the limits say of its answer.
    assert!(refused("loop {}").contains("`[policy.limits]"));
    assert!(refused("let a = [0]; loop { a += a; }").contains("too large"));
}

#[test]
fn a_secret_cannot_be_read_by_a_script() {
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
        (r#"secret("tokn")"#, "there is no secret `tokn`: the destination's `secrets` are `token`"),
    ] {
        match render(&format!("{body}; ()")) {
            Err(said) => assert!(said.contains(why) && !said.contains("s3cret"), "{body}: {said}"),
            // What can be asked tells nothing.
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
        // Whatever comes of it, it is what the script may see: no value of a secret is there while it runs.
        let Ok(Rendered::Requests(requests)) =
            render(&format!("let said = {{ {shown} }}; #{{ path: \"/\", body: `${{said}}` }}"))
        else {
            panic!("{shown}: no request")
        };
        let body = String::from_utf8(open(&requests[0], "s3cret").expect(shown).body).expect("text");
        assert!(!body.contains("s3cret"), "{shown}: {body}");
    }
    let Ok(Rendered::Requests(requests)) = render(r#"#{ path: "/a" + secret("token") }"#) else {
        panic!("a request")
    };
    assert!(!format!("{requests:?}").contains("s3cret") && format!("{requests:?}").contains("[redacted]"));
}

#[test]
fn a_secret_in_a_path_is_no_way_out() {
    let Ok(Rendered::Requests(requests)) = render(r#"#{ path: secret("token") }"#) else {
        panic!("a request")
    };
    let url = |secret: &str| open(&requests[0], secret).map(|opened| opened.url);
    assert_eq!(url("/services/T0/B0/x"), Ok("https://api.example.com/base/services/T0/B0/x".into()));
    let whole = "https://api.example.com/base/services/T0";
    assert_eq!(url(whole), Ok(whole.into()), "the whole address of a webhook");
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
            said.starts_with("the secret in `path` is no part of a path") && !said.contains(wrong),
            "{said}"
        );
    }
    let Ok(Rendered::Requests(requests)) = render(r#"#{ path: "/a/" + secret("token") + "/b" }"#) else {
        panic!("a request")
    };
    assert!(open(&requests[0], "..").is_err(), "joined, they lead away");
}

#[test]
fn scripts_that_cannot_work_say_so_before_a_marker_comes() {
    for (script, said) in [
        (
            "fn rendr(marker) { () }",
            "the script does not define `render(marker)`, which answers the request to make",
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
            "`marker` has no word `servce`",
            Some("did you mean `service`?"),
        ),
        (
            "fn render(marker) { marker.time.unx; () }",
            "`time` has no word `unx`",
            Some("did you mean `unix`?"),
        ),
        (
            "fn render(marker) { () } fn accepts(answer) { answer.sttus == 200 }",
            "`answer` has no word `sttus`",
            Some("did you mean `status`?"),
        ),
        (
            "fn render(marker) { secrt(\"token\") }",
            "there is no function `secrt`",
            Some("did you mean `secret`?"),
        ),
        ("fn render(marker) { cut(\"a\") }", "`cut` takes 2 arguments: text, length, found 1", None),
        (
            "fn render(marker) { () } fn acepts(answer) { true }",
            "nobody calls `acepts`",
            Some("did you mean `accepts`?"),
        ),
        (
            "fn render(marker) { marker.kind = \"change\"; () }",
            "`marker.kind` cannot be set: a script reads it only",
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
fn an_answer_is_judged_by_the_script() {
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
        assert!(said.contains("expected `true`, a text that says why not"), "{said}");
    }
}

#[test]
fn every_example_of_the_reference_is_true() {
    let (dir, mut http) = http("");
    let mut examples: Vec<(&str, &str)> = functions::FUNCTIONS.iter().map(|f| (f.name, f.example)).collect();
    for object in functions::objects() {
        let of = |function: &Function| (function.name, function.example);
        let told = |word: &Told| (word.name, word.example);
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
        let said = renderer.render(&Subject::sample(Kind::Deployment));
        assert_eq!(said, Ok(Rendered::Nothing { why: "true".into() }), "{name}: {example}");
    }
}
