//! The trace of a commit: links from push options, parents and durations of spans, and IDs that a
//! shell, `resource` and the wire compute identically.

use serde_json::Value;

use crate::support::{
    Sandbox,
    rotel::{Rotel, Span},
};

/// Returns the nth traceparent.
fn context(nth: usize) -> String {
    format!("00-{nth:032x}-{nth:016x}-01")
}

/// Configures two destinations: one that gets all markers as spans, and one that gets only
/// deployments as spans.
fn two_receivers(sandbox: &Sandbox, more: &str) -> (Rotel, Rotel) {
    for dir in ["tmp/all", "tmp/some"] {
        std::fs::create_dir_all(sandbox.path(dir)).expect("a directory");
    }
    let all = Rotel::start(&sandbox.path("tmp/all"));
    let some = Rotel::start(&sandbox.path("tmp/some"));
    let destination = |name: &str, endpoint: String, spans: &str| {
        format!(
            "[[destination]]\nname = \"{name}\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\nspans = \"{spans}\"\n"
        )
    };
    let all_of_them = destination("all", all.endpoint(), "all");
    let some_of_them = destination("some", some.endpoint(), "deployments");
    sandbox.configure(&format!("{all_of_them}{some_of_them}{more}"));
    (all, some)
}

/// Runs a command of the documentation in a shell.
fn shell(script: &str, args: &[&str]) -> String {
    let ran =
        std::process::Command::new("sh").args(["-c", script, "sh"]).args(args).output().expect("a shell");
    assert!(ran.status.success(), "{script}");
    String::from_utf8(ran.stdout).expect("text").trim().to_string()
}

fn trace_of(commit: &str) -> String {
    shell(r#"printf 'gitea-lightstep/trace/1\0%s' "$1" | sha256sum | cut -c1-32"#, &[commit])
}

fn change_of(commit: &str, service: &str) -> String {
    let script = r#"printf 'gitea-lightstep/span/1\0%s\0%s\0change' "$1" "$2" | sha256sum | cut -c1-16"#;
    shell(script, &[&trace_of(commit), service])
}

fn release_of(commit: &str, service: &str, version: &str) -> String {
    let script =
        r#"printf 'gitea-lightstep/span/1\0%s\0%s\0release\0%s' "$1" "$2" "$3" | sha256sum | cut -c1-16"#;
    shell(script, &[&trace_of(commit), service, version])
}

fn of_kind<'a>(spans: &'a [Span], kind: &str) -> Vec<&'a Span> {
    let name = format!("gitea_lightstep.{kind}");
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn traceparents_in_options_and_trailers_become_links() {
    let sandbox = Sandbox::new();
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");
    sandbox.commit(
        &format!(
            "Traced\n\nTraceparent: {}\ntraceparent: {}\nTraceparent: 00-no-context-01",
            context(4),
            context(1)
        ),
        &[],
    );
    sandbox.git(&["tag", "-a", "v1.0.0", "-m", &format!("A release\n\nTraceparent: {}", context(3))]);
    let given = [context(1), context(2), context(1), "00-0-0-00".into(), String::new(), "x".repeat(2000)];
    let options: Vec<String> = given.iter().map(|context| format!("traceparent={context}")).collect();
    let mut args = vec!["-o", "deploy=prod"];
    options.iter().for_each(|option| args.extend(["-o", option.as_str()]));
    args.push("v1.0.0");
    sandbox.push(&args).succeeded();
    let span = rotel.wait_for_spans(1).remove(0);
    let links: Vec<String> =
        span.links.iter().map(|link| format!("00-{}-{}-01", link.trace_id, link.span_id)).collect();
    assert_eq!(links, [1, 2, 3, 4].map(context), "links are in the order push, tag, commit");
    assert_ne!(span.trace_id, span.links[0].trace_id, "the trace id still comes from the commit");
    assert_eq!(span.parent_span_id, "", "a traceparent from a pusher does not become the parent");

    // At most eight links are kept.
    sandbox.commit("Traced too well", &[]);
    let options: Vec<String> = (11..31).map(|nth| format!("traceparent={}", context(nth))).collect();
    let mut args = vec!["-o", "deploy=prod"];
    options.iter().for_each(|option| args.extend(["-o", option.as_str()]));
    args.push("main");
    sandbox.push(&args).succeeded();
    let span = rotel.wait_for_spans(2).remove(1);
    let linked: Vec<String> = span.links.iter().map(|link| link.trace_id.clone()).collect();
    assert_eq!(linked, (11..19).map(|nth| format!("{nth:032x}")).collect::<Vec<_>>());
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn deployment_span_is_a_child_of_its_release_span() {
    let sandbox = Sandbox::new();
    let (all, some) = two_receivers(&sandbox, "");
    let commit = sandbox.commit("One", &[("a", "1")]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["-o", "deploy=prod", "v1.0.0"]).succeeded();
    let spans = all.wait_for_spans(2);
    let (release, deployment) = (of_kind(&spans, "release")[0], of_kind(&spans, "deployment")[0]);
    assert_eq!(release.span_id, release_of(&commit, "shop", "1.0.0"));
    assert_eq!((release.parent_span_id.as_str(), release.trace_id.clone()), ("", trace_of(&commit)));
    assert_eq!(deployment.parent_span_id, release.span_id);
    assert_eq!(deployment.trace_id, release.trace_id);
    assert_eq!(deployment.span_id, deployment.attributes["gitea_lightstep.marker.id"][..16]);
    let alone = some.wait_for_spans(1).remove(0);
    assert_eq!((alone.name.as_str(), alone.parent_span_id.as_str()), ("gitea_lightstep.deployment", ""));
    assert_eq!(alone.span_id, deployment.span_id, "the span id is the same at every destination");

    // Two deployments of the same release have different spans with the same parent.
    sandbox.push(&["-o", "deploy=lab", "main:refs/heads/lab"]).succeeded();
    let spans = all.wait_for_spans(3);
    let again = of_kind(&spans, "deployment")[1];
    assert_eq!(again.parent_span_id, release_of(&commit, "shop", "1.0.0"));
    assert_ne!(again.span_id, deployment.span_id);

    // Without a release, the deployment does not have a parent.
    sandbox.commit("Two", &[("a", "2")]);
    sandbox.push(&["-o", "deploy=lab", "main:refs/heads/lab"]).succeeded();
    let spans = all.wait_for_spans(4);
    assert_eq!(of_kind(&spans, "deployment")[2].parent_span_id, "");
    let none = some.wait_for_spans(3);
    assert!(none.iter().all(|span| span.parent_span_id.is_empty()), "{none:?}");
}

#[test]
fn deployment_span_has_the_times_of_its_options() {
    let sandbox = Sandbox::new();
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");
    let now = jiff::Timestamp::now().as_second();
    let push = |nth: usize, options: &[String]| {
        sandbox.commit(&format!("Number {nth}"), &[("n", &nth.to_string())]);
        let mut args = vec!["-o", "deploy=prod"];
        options.iter().for_each(|option| args.extend(["-o", option.as_str()]));
        args.push("HEAD:refs/heads/live");
        sandbox.push(&args).succeeded();
        let decision = sandbox.decisions().pop().expect("a decision");
        let span = rotel.wait_for_spans(nth + 1).remove(nth);
        let record = rotel.wait_for_records(nth + 1).remove(nth);
        (span, record.time_unix_nano, decision["missing"].as_str().unwrap_or_default().to_string())
    };
    let nanos = |seconds: i64| seconds as u64 * 1_000_000_000;
    let rfc3339 = |seconds: i64| jiff::Timestamp::from_second(seconds).expect("a time").to_string();

    let (span, _, missing) = push(
        0,
        &[
            format!("deploy.started={}", now - 300),
            format!("deploy.finished={}", rfc3339(now - 100)),
            "deploy.id=run 4711".into(),
            "deploy.status=succeeded".into(),
        ],
    );
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (nanos(now - 300), nanos(now - 100)));
    assert_eq!(span.attributes["deployment.id"], "run 4711");
    assert_eq!(span.attributes["deployment.status"], "succeeded");
    assert_eq!(missing, "");

    let (span, time, missing) = push(1, &[format!("deploy.started={}", rfc3339(now - 60))]);
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (nanos(now - 60), time));
    assert_eq!(missing, "");
    assert!(
        !span.attributes.contains_key("deployment.id") && !span.attributes.contains_key("deployment.status")
    );

    // For invalid options, the reason is reported and the span is as short as without options.
    let wrong: [(&[String], &str); 6] = [
        (
            &["deploy.started=yesterday".into()],
            "the push option `deploy.started` is `yesterday`, expected a time such as",
        ),
        (
            &[format!("deploy.started={}", now - 10), format!("deploy.finished={}", now - 20)],
            "the push options say that the deployment ran from",
        ),
        (&[format!("deploy.started={}", now - 8 * 86_400)], "it may take at most seven days"),
        (
            &[format!("deploy.started={now}"), format!("deploy.finished={}", now + 3600)],
            "must end within the seven days before the push",
        ),
        (
            &["deploy.status=done".into()],
            "the push option `deploy.status` is `done`, expected `succeeded` or `failed`",
        ),
        (&["deploy.started=\u{1b}[2J99999999999999999".into()], "the push option `deploy.started` is `"),
    ];
    for (nth, (options, report)) in (2..).zip(wrong) {
        let (span, time, missing) = push(nth, options);
        assert!(missing.contains(report), "{options:?}: {missing:?}");
        assert!(!missing.contains('\u{1b}'), "{missing:?}");
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (time, time + 2_000), "{options:?}");
        assert!(!span.attributes.contains_key("deployment.status"), "{options:?}");
        assert_eq!(span.attributes["gitea_lightstep.range.commits"], "Int(1)", "{options:?}");
    }
}

#[test]
fn shell_resource_and_wire_have_the_same_ids() {
    for format in ["sha1", "sha256"] {
        let sandbox = Sandbox::with_object_format(format);
        let rotel = Rotel::start(&sandbox.path("tmp"));
        sandbox.deliver_to(&rotel.endpoint(), "spans = \"all\"\n");
        let change = sandbox.commit("One", &[("a", "1")]);
        sandbox.push(&["main"]).succeeded();
        let release = sandbox.commit("Two", &[("a", "2")]);
        sandbox.git(&["tag", "-a", "-m", "The first", "checkout/v1.0.0"]);
        sandbox.push(&["checkout/v1.0.0"]).succeeded();
        let spans = rotel.wait_for_spans(2);
        for (rev, commit, service, kind, span_id) in [
            (change.as_str(), &change, "shop", "change", change_of(&change, "shop")),
            ("checkout/v1.0.0", &release, "checkout", "release", release_of(&release, "checkout", "1.0.0")),
        ] {
            let span = of_kind(&spans, kind)[0];
            let trace_id = trace_of(commit);
            assert_eq!((&span.trace_id, &span.span_id), (&trace_id, &span_id), "{format} {kind}");

            let clone = sandbox.path("clone").display().to_string();
            let args = ["resource", &clone, rev, "--repository", "acme/shop"];
            let report: Value =
                serde_json::from_str(&sandbox.binary(&[&args[..], &["--json"]].concat()).succeeded().stdout)
                    .expect("JSON");
            assert_eq!(
                (report["trace_id"].as_str(), report["span_id"].as_str()),
                (Some(&*trace_id), Some(&*span_id))
            );
            assert_eq!(report["attributes"]["service.name"], service);
            assert_eq!(report["attributes"]["vcs.ref.head.revision"], **commit);

            let exports = sandbox.binary(&args).succeeded().stdout.clone();
            let traceparent = shell(r#"eval "$1"; printf %s "$TRACEPARENT""#, &[&exports]);
            assert_eq!(traceparent, format!("00-{trace_id}-{span_id}-01"));
        }
    }
}
