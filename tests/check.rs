//! `check`: its findings in scripts and services, as text for people and as JSON for editors.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Ran, Sandbox, assert_golden, manifest_dir};

/// Runs `check` in the sandbox's directory with relative paths.
fn check(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let mut command = sandbox.command(crate::support::BINARY, &sandbox.path(""));
    sandbox.run(command.arg("check").args(args).args(["--config", "config.toml"]), b"")
}

#[test]
fn every_problem_is_shown_with_its_line_a_caret_and_a_fix() {
    let sandbox = Sandbox::new();
    let wrong = manifest_dir().join("tests/fixtures/wrong");
    let mut names: Vec<_> =
        fs::read_dir(wrong).expect("the fixtures").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    assert!(names.len() >= 7, "{names:?}");
    for path in names {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let script = format!("{name}.rhai");
        fs::copy(&path, sandbox.path(&script)).expect("a copy");
        let ran = check(&sandbox, &[&script]);
        assert_eq!(ran.code, Some(1), "{name}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stderr, "", "{name}");
        assert_golden(&sandbox, &format!("check/{name}.txt"), &ran.stdout);
    }
}

#[test]
fn json_output_has_lines_and_columns_for_editors() {
    let sandbox = Sandbox::new();
    sandbox.write("site.rhai", "fn decide(update) {\n    update.brnch == \"main\"\n}\n");
    let ran = check(&sandbox, &["site.rhai", "--json"]);
    assert_eq!(ran.code, Some(1));
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(answer["checked"], json!(["config.toml", "site.rhai"]));
    let problem = json!({
        "file": "site.rhai", "line": 2, "column": 12, "end_column": 17,
        "message": "`update` has no property `brnch`", "fix": "did you mean `branch`?",
    });
    assert_eq!(answer["problems"], json!([problem]));
}

#[test]
fn unused_scripts_are_reported() {
    let sandbox = Sandbox::new();
    let script = "fn decide(update) { true }";
    for name in ["site", "acme", "Acme/shop", "acme/deep/er", "a b", "lib/deep/er/teams"] {
        sandbox.write(&format!("scripts/{name}.rhai"), script);
    }
    sandbox
        .write("scripts/acme/shop.rhai", "import \"lib/deep/er/teams\" as teams; fn decide(update) { true }");
    let ran = check(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    assert_golden(&sandbox, "check/unreachable.txt", &ran.stdout);
}

#[test]
fn shadowed_service_is_reported() {
    let sandbox = Sandbox::new();
    let service = |name: &str, paths: &str| {
        format!("[[service]]\nrepository = \"acme/*\"\n{paths}\nname = \"{name}\"\n")
    };
    let fine = [service("shop", "paths = [\"a/**\"]"), service("shop", ""), service("mail", "")].concat();
    sandbox.configure(&fine);
    check(&sandbox, &[]).succeeded();
    sandbox.configure(&[fine, service("shop", "paths = [\"b/**\"]")].concat());
    let ran = check(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    assert_golden(&sandbox, "check/services.txt", &ran.stdout);
}

#[test]
fn patterns_that_never_match_are_reported() {
    let sandbox = Sandbox::new();
    let service = |repository: &str, paths: &str, refs: &str| {
        format!(
            "[[service]]\nrepository = \"{repository}\"\npaths = [{paths}]\nname = \"s{}\"\n\
             environments = {{ prod = [{refs}] }}\n",
            repository.len() + paths.len()
        )
    };
    let fine =
        service("Acme/*", "\"services/**\", \"Cargo.toml\", \"Dockerfile\"", "\"main\", \"release/**\"");
    sandbox.configure(&fine);
    assert_eq!(check(&sandbox, &[]).succeeded().stderr, "");
    let wrong = [
        service("acme/shop", "\"services/checkout\", \"/services/**\"", "\"release/\""),
        service("https://git.example.org/Acme/Shop.git", "\"./x/**\", '!x'", "\"heads/main\""),
        service("shop", "\"x/**\"", "\"main\""),
    ];
    sandbox.configure(&[fine, wrong.concat()].concat());
    let ran = check(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    assert_golden(&sandbox, "check/never.txt", &format!("{}{}", ran.stdout, ran.stderr));
    // What the fixes say passes.
    let fixed = service(
        "acme/shop",
        "\"services/checkout/**\", \"services/**\", \"x/**\"",
        "\"release/**\", \"refs/heads/main\"",
    );
    sandbox.configure(&[fixed, service("*/shop", "\"x/**\"", "\"main\"")].concat());
    assert_eq!(check(&sandbox, &[]).succeeded().stderr, "");
}

#[test]
fn valid_scripts_are_not_reported() {
    let sandbox = Sandbox::new();
    // Everything here is either correct or cannot be checked statically.
    sandbox.write(
        "scripts/site.rhai",
        r#"
        import "lib/teams" as teams;
        const LIMIT = 3;
        fn first(list) { list[0] }
        fn is_hot(it) { it.branch == "hotfix" || it.anything == 1 }
        fn name_of(person) { person.name }
        fn decide(update) {
            if update.is_deleted { return false; }
            let push = update.push;
            let it = push;
            it = update.commit;
            if it.title == "x" { return skip("an example"); }
            let whatever = first(update.commits);
            let custom = #{ branch: "hotfix", anything: 2 };
            if is_hot(custom) || is_hot(update.push.options) { return mark(); }
            let titles = update.commits.map(|commit| commit.title.to_upper());
            let long = titles.filter(|title| title.len > 80);
            titles.sort();
            for (path, nth) in update.changed_paths { if path.len() > nth { break; } }
            let text = update.push.options.deploy ?? update.branch ?? "none";
            let time = update.push.time - duration("1h");
            if time.hour > 3 && update.push.pusher != () && teams::of(update) == () && name_of(update.author) == name_of(update.push.pusher) { return false; }
            switch update.branch { "main" => mark(#{ kind: "change" }), "a" if update.is_created => true, _ => skip(`no ${text}`) }
        }
        fn enrich(marker, update) {
            marker.attributes.team = update.trailers["any-thing"];
            marker.title += ", merged";
            marker.environment = ();
            marker
        }
        fn guard(marker, update) {
            try { if marker.kind == "rollback" { throw "no"; } } catch (why) { return refuse(why); }
            #{ "acme.checked": marker.attributes.len() }
        }"#,
    );
    sandbox.write(
        "scripts/lib/teams.rhai",
        "fn of(update) { if update.title == \"?\" { update.nothing_is_known_here } }",
    );
    let ran = check(&sandbox, &[]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "3 files checked, all is well\n"),
        "{}",
        ran.stderr
    );
    assert!(!sandbox.path("state").exists(), "check writes nothing");
}

#[test]
fn definitions_for_editors_can_be_printed() {
    let sandbox = Sandbox::new();
    let ran = check(&sandbox, &["--definitions"]);
    let written = fs::read_to_string(manifest_dir().join("docs/policy.d.rhai")).expect("the definitions");
    assert_eq!(ran.succeeded().stdout, written);
}

#[test]
fn addresses_and_headers_that_are_most_likely_wrong_are_warned_of() {
    let sandbox = Sandbox::new();
    for (settings, warning) in [
        (
            "endpoint = \"http://127.0.0.1:4318/v1/logs\"",
            Some(
                "`endpoint` ends in `/v1/logs`, but the paths of OTLP are added to it; write `http://127.0.0.1:4318`",
            ),
        ),
        ("endpoint = \"https://x.example.com/otlp/v1/traces/\"", Some("write `https://x.example.com/otlp`")),
        ("endpoint = \"http://127.0.0.1:4317\"", Some("port 4317 is that of OTLP over gRPC")),
        ("endpoint = \"http://[::1]:4317/otlp\"", Some("port 4317 is that of OTLP over gRPC")),
        (
            "endpoint = \"http://127.0.0.1:4318\"\nheaders = { x-scope = \"Basic%20123456\" }",
            Some("the value of the header `x-scope` is percent-encoded"),
        ),
        (
            "endpoint = \"http://127.0.0.1:4318\"\nheaders = { authorization = { file = \"token\" } }",
            Some("the value of the header `authorization` is percent-encoded"),
        ),
        ("endpoint = \"http://127.0.0.1:4318\"\nheaders = { x-part = \"50%20\" }", None),
        ("endpoint = \"http://127.0.0.1:4318/v1\"", None),
        ("endpoint = \"http://[::1]\"", None),
        ("endpoint = \"http://127.0.0.1:43170\"", None),
    ] {
        sandbox.write_secret("token", "Basic%20123456");
        sandbox.configure(&format!("[[destination]]\nname = \"a\"\nkind = \"otlp\"\n{settings}\n"));
        let ran = check(&sandbox, &[]);
        ran.succeeded();
        match warning {
            Some(warning) => {
                assert!(ran.stderr.contains(warning), "{settings}: {}", ran.stderr);
                assert_eq!(ran.stdout, "1 file checked, 1 warning\n");
            }
            None => {
                assert_eq!((&*ran.stderr, &*ran.stdout), ("", "1 file checked, all is well\n"), "{settings}");
            }
        }
        assert!(!ran.stderr.contains("123456"), "{}", ran.stderr);
    }
}

#[test]
fn words_of_other_languages_are_explained() {
    let sandbox = Sandbox::new();
    for (script, why) in [
        ("fn decide(update) { update.branch == 'main' }", "write text in double quotes: \"main\""),
        (
            "function decide(update) { true }",
            "`function` has no meaning in Rhai; write `fn` to define a function",
        ),
        ("def decide(update) { true }", "`def` has no meaning in Rhai; write `fn` to define a function"),
        ("fn decide(update) { update.tag != null }", "write `()` for a value that does not exist"),
        ("fn decide(update) { update.tag != None }", "write `()` for a value that does not exist"),
        ("fn decide(update) { update.tag != nil }", "write `()` for a value that does not exist"),
        (
            "fn decide(update) { True }",
            "`True` has no meaning in Rhai; write `true` and `false` in lower case",
        ),
        ("fn decide(update) { var x = 1; true }", "`var` has no meaning in Rhai; write `let`"),
        ("fn decide(update) { not update.is_deleted }", "write `!`"),
    ] {
        sandbox.write("site.rhai", script);
        let ran = check(&sandbox, &["site.rhai"]);
        assert_eq!(ran.code, Some(1), "{script}");
        assert!(ran.stdout.contains(why), "{script}: {}", ran.stdout);
        assert!(ran.stdout.contains("site.rhai:1:"), "{script}: {}", ran.stdout);
    }
}

#[test]
fn every_problem_of_the_configuration_has_line_and_column() {
    let sandbox = Sandbox::new();
    sandbox.write("render.rhai", "fn render(marker) { #{ path: \"/\", body: marker.title } }");
    sandbox.configure(
        "[lightstep]\ntoken = { file = \"gone\" }\norganization = \"o\"\nproject = \"p\"\napi_key = { env = \"NOT_SET_HERE\" }\n\n\
         [[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpoint = \"https://a.example.com\"\n\
         ca_file = \"gone.pem\"\nheaders = { x-plain = \"1\", authorization = { file = \"gone\" } }\n\n\
         [[destination]]\nname = \"b\"\nkind = \"http\"\nendpoint = \"https://b.example.com\"\nrender = \"render.rhai\"\n\
         secrets = { token = { credential = \"c\" } }\n[destination.settings]\nboard = \"7\"\n",
    );
    let places: Vec<_> = sandbox
        .problems()
        .iter()
        .map(|problem| {
            let (place, message) = problem.split_once(": ").expect("a place");
            let place = place.rsplit(':').take(2).collect::<Vec<_>>();
            (
                format!("{}:{}", place[1], place[0]),
                message.split(['`', ':']).next().unwrap_or_default().trim().to_string(),
            )
        })
        .collect();
    let text = fs::read_to_string(sandbox.path("config.toml")).expect("the configuration");
    let lines: Vec<&str> = text.lines().collect();
    let at = |line: &str, key: &str| {
        let number = lines.iter().position(|there| there.contains(line)).expect(line);
        format!("{}:{}", number + 1, lines[number].find(key).expect(key) + 1)
    };
    let found: Vec<&str> = places.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(
        found,
        [
            at("token = { file", "token"),
            at("headers = ", "authorization"),
            at("secrets = ", "token"),
            at("api_key", "api_key"),
            at("ca_file", "ca_file"),
            at("board", "board"),
            at("secrets = ", "token"),
        ],
        "{places:?}"
    );
    // Settings that are wrong together, or point to nothing.
    let service = "[[service]]\nrepository = \"acme/*\"\nname = \"shop\"\n";
    sandbox.configure(&format!("[policy]\nscripts = \"nowhere\"\n{service}{service}"));
    let problems = sandbox.problems().join("\n");
    assert!(problems.contains(":7:1: failed to list the scripts in `"), "{problems}");
    assert!(
        problems.contains(":13:1: the service `shop` of `acme/*` is already defined in line 10"),
        "{problems}"
    );
    // Two destinations of one name, and a secret that is not one.
    sandbox.configure(
        "[[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpoint = \"http://127.0.0.1:1\"\n\
         [[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpoint = \"http://127.0.0.1:65536\"\n\
         [[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpoint = \"http://127.0.0.1:2\"\n",
    );
    let problems = sandbox.problems().join("\n");
    assert!(problems.contains(":13:12: the port `65536` is not a number from 1 to 65535"), "{problems}");
    assert!(problems.contains(":15:8: two destinations are named `a`"), "{problems}");
    sandbox.configure("[lightstep]\ntoken = \"secret-itself\"\n");
    let problems = sandbox.problems().join("\n");
    assert!(
        problems.contains(":7:9: expected a table with one of `file`") && !problems.contains("secret-itself"),
        "{problems}"
    );
}

#[test]
fn missing_configuration_and_state_are_found() {
    let sandbox = Sandbox::new();
    let copy = sandbox.path("gl");
    fs::copy(crate::support::BINARY, &copy).expect("a copy");
    fs::remove_file(sandbox.path("config.toml")).expect("removed");
    let run = |args: &[&str]| {
        let mut command = sandbox.command(&copy.display().to_string(), &sandbox.path(""));
        sandbox.run(command.args(args), b"")
    };
    let why =
        "no configuration found, so markers are kept and sent nowhere; looked at $GITEA_LIGHTSTEP_CONFIG";
    let looked = format!("`{}`, `/etc/gitea-lightstep/config.toml`", sandbox.path("config.toml").display());
    let checked = run(&["check"]);
    assert_eq!((checked.code, &*checked.stderr), (Some(1), ""));
    assert!(checked.stdout.contains(why) && checked.stdout.contains(&looked), "{}", checked.stdout);
    let doctor = run(&["doctor", "--no-push"]);
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains(why) && doctor.stdout.contains(&looked), "{}", doctor.stdout);
    // A script can be checked without one.
    sandbox.write("site.rhai", "fn decide(update) { true }");
    assert_eq!(run(&["check", "site.rhai"]).succeeded().stdout, "1 file checked, all is well\n");

    sandbox.configure("");
    let status = run(&["status"]);
    assert_eq!(status.code, Some(1), "{}", status.stdout);
    assert!(
        status.stdout.contains("does not exist: no push was captured yet, or `state_dir`"),
        "{}",
        status.stdout
    );
    let status: Value = serde_json::from_str(&run(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!((&status["state_exists"], &status["needs_a_person"]), (&json!(false), &json!(true)));
    fs::create_dir(sandbox.state()).expect("a directory");
    let status = run(&["status"]);
    assert!(!status.succeeded().stdout.contains("does not exist"), "{}", status.stdout);
}
