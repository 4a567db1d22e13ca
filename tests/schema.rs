//! `check --schema`: the JSON schemas of the configuration and of test files, on every sample of the
//! repository, and on files that the program refuses.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{
    Sandbox, manifest_dir,
    schema::{json_of_toml, mismatch},
};

fn schema(args: &[&str]) -> Value {
    let ran = Sandbox::new().binary(&[&["check", "--schema"], args].concat());
    serde_json::from_str(&ran.succeeded().stdout).expect("a schema")
}

/// Returns the files below a directory with this ending.
fn files(dir: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![manifest_dir().join(dir)];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn schemas_accept_every_sample_of_the_repository() {
    let (config, test) = (schema(&["config"]), schema(&["test"]));
    assert_eq!(schema(&[]), config);
    for schema in [&config, &test] {
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    }
    let sample = read("docs/config.toml");
    // Keys that are commented out have no space after the sign.
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let all: String = sample.lines().map(uncommented).collect();
    let mut samples =
        vec![(&config, "the sample".to_string(), sample), (&config, "all of the sample".into(), all)];
    for dir in ["scripts", "tests/golden", "src/golden"] {
        for path in files(dir, ".toml") {
            // A golden file has a word in place of the time, which changes.
            let text = fs::read_to_string(&path).expect("text").replace("= TIME", "= 2026-01-01T00:00:00Z");
            samples.push((&test, path.display().to_string(), text));
        }
    }
    for path in files("docs", ".md").into_iter().chain([manifest_dir().join("README.md")]) {
        let text = fs::read_to_string(&path).expect("text");
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let schema = if block.contains("[[test]]") { &test } else { &config };
            samples.push((schema, format!("{}: {block}", path.display()), block.to_string()));
        }
    }
    let n_configs = samples.iter().filter(|(schema, ..)| std::ptr::eq(*schema, &raw const config)).count();
    assert!(n_configs > 20 && samples.len() - n_configs > 15, "{n_configs} of {}", samples.len());
    for (schema, name, text) in samples {
        let value = json_of_toml(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
        assert_eq!(mismatch(schema, &value), None, "{name}");
        // A key that does not exist is refused.
        let mut wrong = value;
        wrong.as_object_mut().expect("a table").insert("no_such_key".into(), true.into());
        assert!(mismatch(schema, &wrong).is_some(), "{name}");
    }
}

#[test]
fn sample_configuration_has_every_key_of_the_schema() {
    let (config, sample) = (schema(&[]), read("docs/config.toml"));
    let definitions = config["definitions"].as_object().expect("definitions");
    let tables = definitions.values().chain([&config]);
    let keys = tables.filter_map(|table| table["properties"].as_object()).flat_map(|keys| keys.keys());
    let words: Vec<&str> = sample.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let missing: Vec<_> = keys.filter(|key| !words.contains(&key.as_str())).collect();
    assert_eq!(missing, <[&String; 0]>::default());
}

fn read(name: &str) -> String {
    fs::read_to_string(manifest_dir().join(name)).expect(name)
}

#[test]
fn schema_of_the_configuration_refuses_what_the_program_refuses() {
    let config = schema(&[]);
    let sandbox = Sandbox::new();
    let destination =
        "[[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpoint = \"https://a.example.com\"\n";
    for (text, is_valid) in [
        (String::new(), true),
        (destination.to_string(), true),
        ("stat_dir = \"x\"".into(), false),
        ("state_dir = 7".into(), false),
        ("[delivery]\nmode = \"later\"".into(), false),
        ("[delivery]\nmode = \"inline\"\ntimeout = \"10s\"".into(), true),
        ("[delivery]\ntimeout = 10".into(), false),
        ("[delivery]\ntimeout = \"10 fortnights\"".into(), false),
        ("[policy.limits]\nmemory = \"64MiB\"\noperations = 1_000".into(), true),
        ("[policy.limits]\noperations = -1".into(), false),
        ("[lightstep]\ntoken = \"secret\"".into(), false),
        ("[lightstep]\ntoken = {}".into(), false),
        ("[lightstep]\ntoken = { file = \"a\", env = \"B\" }".into(), false),
        ("[lightstep]\ntoken = { command = [] }".into(), false),
        ("[lightstep]\nregion = \"mars\"".into(), false),
        ("[destination]\nname = \"a\"".into(), false),
        ("[[destination]]\nname = \"a\"\nkind = \"otlp\"".into(), false),
        (destination.replace("otlp", "smtp"), false),
        (format!("{destination}headers = {{ a = \"1\", b = {{ env = \"HOME\" }} }}\n"), true),
        (format!("{destination}headers = {{ a = 1 }}\n"), false),
        (format!("{destination}spans = \"some\"\n"), false),
        (
            "[[service]]\nrepository = \"a/b\"\nname = \"s\"\nversion = \"tag\"\ntags = \"v{version}\""
                .into(),
            true,
        ),
        (
            "[[service]]\nrepository = \"a/b\"\nname = \"s\"\nversion = { file = \"VERSION\", ky = \"v\" }"
                .into(),
            false,
        ),
        ("[[service]]\nrepository = \"a/b\"\nname = \"s\"\nenvironments = { prod = [1] }".into(), false),
        ("[[service]]\nrepository = \"a/b\"".into(), false),
        ("[reply]\nto_pusher = \"nothing\"\n[people]\nemails = \"plain\"".into(), true),
        ("[people]\nemails = \"yes\"".into(), false),
    ] {
        let value = json_of_toml(&text).expect("TOML");
        assert_eq!(mismatch(&config, &value).is_none(), is_valid, "{text}: {:?}", mismatch(&config, &value));
        fs::write(sandbox.path("config.toml"), &text).expect("written");
        let ran = sandbox.binary(&["check"]);
        assert_eq!(ran.code, Some(i32::from(!is_valid)), "{text}: {}", ran.stdout);
    }
}

#[test]
fn schema_of_tests_refuses_what_the_program_refuses() {
    let schema = schema(&["test"]);
    let sandbox = Sandbox::new();
    sandbox.write("scripts/site.rhai", "fn decide(update) { false }");
    for (text, is_valid) in [
        ("name = \"a\"\nupdate.tag = \"v1\"", true),
        ("name = \"a\"\nupdate = [{ tag = \"v1\" }, { branch = \"main\", delete = true }]", true),
        ("name = \"a\"\nupdate.tag = \"v1\"\nexpect = [{ outcome = \"skipped\" }]", true),
        (
            "name = \"a\"\nupdate.tag = \"v1\"\npush = { pusher = false, options = { a = true }, time = 2026-01-01T00:00:00Z }",
            true,
        ),
        (
            "name = \"a\"\nupdate.tag = \"v1\"\nhistory = [{ message = \"x\", files = { a = \"1\" } }, { message = \"y\", files = { a = false } }]",
            true,
        ),
        ("update.tag = \"v1\"", false),
        ("name = \"a\"\nupdate.tga = \"v1\"", false),
        ("name = \"a\"\nupdate.tag = 1", false),
        ("name = \"a\"\nupdate.tag = \"v1\"\nexpect.outcome = \"maybe\"", false),
        ("name = \"a\"\nupdate.tag = \"v1\"\nexpect.markers = [{ kind = \"launch\" }]", false),
        ("name = \"a\"\nupdate.tag = \"v1\"\npush.transport = \"pigeon\"", false),
        ("name = \"a\"\nupdate.tag = \"v1\"\npush.pusher = 7", false),
    ] {
        let text = format!("[[test]]\n{text}\n");
        let value = json_of_toml(&text).expect("TOML");
        assert_eq!(mismatch(&schema, &value).is_none(), is_valid, "{text}: {:?}", mismatch(&schema, &value));
        sandbox.write("scripts/site.test.toml", &text);
        let ran = sandbox.binary(&["test"]);
        let is_read = !ran.stdout.contains("cannot be read");
        assert_eq!(is_read, is_valid, "{text}: {}", ran.stdout);
    }
}
