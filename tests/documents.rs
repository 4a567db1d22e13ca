//! The documents match the program: sample configurations, vocabulary, dependencies and commands.

use std::{collections::BTreeSet, fs};

use crate::support::{BINARY, Sandbox, manifest_dir, tls::Authority};

fn read(name: &str) -> String {
    fs::read_to_string(manifest_dir().join(name)).expect(name)
}

#[test]
fn sample_configuration_is_valid_and_names_the_defaults() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.binary(&["check", "--sample"]).succeeded().stdout, read("docs/config.toml"));
    let sample = read("docs/config.toml").replace("/var/lib/gitea-lightstep", "state");
    sandbox.write("config.toml", &sample);
    sandbox.binary(&["check"]).succeeded();
    // The sample must also be valid with all commented-out keys enabled.
    let all: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let all = all.replace("/etc/gitea-lightstep/", "");
    sandbox.write("config.toml", &all);
    sandbox.write_secret("token", "t");
    sandbox.write_secret("api-key", "k");
    sandbox.write_secret("authorization", "a");
    sandbox.write_secret("grafana-token", "g");
    sandbox.write_secret("gitea-token", "g");
    let keys = manifest_dir().join("tests/fixtures/signatures/keys");
    for (name, fixture) in [("keys/team.asc", "team.asc"), ("keys/allowed_signers", "allowed_signers")] {
        sandbox.write_secret(name, fs::read(keys.join(fixture)).expect("a key file"));
    }
    sandbox.write("ca.pem", Authority::new("The CA of the sample").pem());
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    sandbox.binary(&["check"]).succeeded();
    for key in [
        "linger",
        "give_up_after",
        "trace_link",
        "operations",
        "headers",
        "ca_file",
        "proxy",
        "compression",
        "public_url",
        "older_than",
        "render",
        "secrets",
        "settings",
        "kinds",
        "logs",
        "organization",
        "project",
        "api_key",
        "api",
    ] {
        assert!(all.contains(&format!("{key} = ")), "{key}");
    }
}

#[test]
fn initial_configurations_are_valid() {
    for document in ["README.md", "docs/install.md", "docs/lightstep.md"] {
        let sandbox = Sandbox::new();
        sandbox.write_secret("token", "t");
        sandbox.write_secret("api-key", "k");
        let toml = block(&read(document), "toml")
            .replace("/etc/gitea-lightstep/", "")
            .replace("/var/lib/gitea-lightstep", "state");
        sandbox.write("config.toml", toml);
        sandbox.binary(&["check"]).succeeded();
    }
}

#[test]
fn documented_destinations_are_valid_and_complete() {
    let document = read("docs/destinations.md");
    let mut rendered = BTreeSet::new();
    for block in document.split("```toml\n").skip(1) {
        let toml =
            block.split("```").next().expect("the end of the block").replace("/etc/gitea-lightstep/", "");
        let sandbox = Sandbox::new();
        for secret in toml.split("file = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            sandbox.write_secret(secret, "a-secret");
        }
        sandbox.configure(&toml);
        sandbox.binary(&["check"]).succeeded();
        rendered.extend(
            toml.split("render = \"").skip(1).filter_map(|rest| rest.split('"').next()).map(String::from),
        );
    }
    let scripts = fs::read_dir(manifest_dir().join("scripts/destinations")).expect("the scripts");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").path().file_stem().expect("a name").to_os_string()
    };
    let shipped: BTreeSet<String> = scripts.map(name).map(|name| name.into_string().expect("text")).collect();
    assert_eq!(rendered, shipped);
    // The custom script in the document.
    let sandbox = Sandbox::new();
    sandbox.write("own.rhai", block(&document, "rhai"));
    sandbox.write_secret("token", "t");
    sandbox.configure(
        "[[destination]]\nname = \"own\"\nkind = \"http\"\nendpoint = \"https://x.example.com\"\nrender = \"own.rhai\"\n\
         secrets = { token = { file = \"token\" } }\n",
    );
    sandbox.binary(&["check"]).succeeded();
}

#[test]
fn documented_scripts_compile_and_decide() {
    let sandbox = Sandbox::new();
    for document in ["README.md", "docs/policy.md"] {
        sandbox.write("scripts/site.rhai", block(&read(document), "rhai"));
        sandbox.binary(&["check"]).succeeded();
        sandbox.commit(document, &[]);
        sandbox
            .push(&["main", "main:production", &format!("main:refs/tags/v1.0.{}", document.len())])
            .succeeded();
    }
    let mut outcomes: Vec<_> =
        sandbox.decisions().iter().map(|d| d["outcome"].as_str().expect("text").to_string()).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["marked", "marked", "marked", "marked", "skipped", "skipped"]);
}

#[test]
fn documented_import_works() {
    let policy = read("docs/policy.md");
    let script = |name: &str| {
        let (_, rest) = policy.split_once(&format!("```rhai\n// scripts/{name}\n")).expect(name);
        rest.split_once("```").expect("the end of the block").0
    };
    let sandbox = Sandbox::new();
    sandbox.write("scripts/lib/teams.rhai", script("lib/teams.rhai"));
    sandbox.write("scripts/site.rhai", script("site.rhai"));
    sandbox.binary(&["check"]).succeeded();
    for (path, team) in [("services/pay/x", "payments"), ("services/mail/x", "platform"), ("x", "nobody")] {
        sandbox.commit(path, &[(path, "")]);
        sandbox.push(&["main"]).succeeded();
        let markers = sandbox.waiting("unassigned");
        assert_eq!(markers.last().expect("a marker")["attributes"]["acme.team"], team, "{path}");
    }
}

/// Returns the first code block in this language.
fn block(document: &str, language: &str) -> String {
    let (_, rest) = document.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("the end of the block").0.to_string()
}

#[test]
fn every_script_name_is_documented() {
    let policy = read("docs/policy.md");
    let sandbox = Sandbox::new();
    sandbox.commit("x", &[]);
    // The error message for an unknown name lists all names.
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.qqqqqqqq }");
    sandbox.push(&["main"]).succeeded();
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.push.qqqqqqqq }");
    sandbox.push(&["main:other"]).succeeded();
    for decision in sandbox.decisions() {
        let why = decision["why"].as_str().expect("text").to_string();
        let (_, words) = why.split_once("expected one of ").expect("a list of words");
        for word in words.split('`').skip(1).step_by(2) {
            assert!(policy.contains(&format!("`{word}`")), "docs/policy.md does not name `{word}`");
        }
    }
}

#[test]
fn every_dependency_is_documented() {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("[dependencies]\n").expect("dependencies");
    let names: BTreeSet<&str> = rest
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .collect();
    let document = read("docs/dependencies.md");
    let documented: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| ").and_then(|line| line.split_once(" | ")).map(|(name, _)| name)
        })
        .flat_map(|names| names.split(", "))
        .filter(|name| *name != "crate")
        .collect();
    assert_eq!(documented, names);
}

#[test]
fn objects_are_inflated_by_zlib_rs() {
    let lock = read("Cargo.lock");
    let is_locked = |name: &str| lock.lines().any(|line| line == format!("name = \"{name}\""));
    assert!(
        is_locked("zlib-rs") && !is_locked("sirocco"),
        "a feature of gix pulls in sirocco instead of zlib-rs"
    );
}

#[test]
fn readme_names_every_command_and_links_are_valid() {
    let sandbox = Sandbox::new();
    let readme = read("README.md");
    let help = sandbox.binary(&["--help"]).succeeded().stdout.clone();
    let (_, commands) = help.split_once("Commands:\n").expect("the commands");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next());
    for command in names.filter(|name| *name != "help") {
        let is_named = readme.contains(&format!("gitea-lightstep {command}"))
            || readme.contains(&format!("-- {command}"));
        assert!(is_named, "README.md does not show `{command}`");
    }
    for document in documents() {
        let dir = manifest_dir().join(&document);
        for link in read(&document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { dir.clone() } else { dir.parent().expect("a directory").join(file) };
            assert!(target.exists(), "{document} links to {link}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).expect("text");
                let headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.into_iter().any(|anchor| anchor == heading), "{document} links to {link}");
            }
        }
    }
}

/// Returns the paths of the project's documents.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    for dir in ["", "docs", "tests/bench"] {
        for entry in fs::read_dir(manifest_dir().join(dir)).expect("a directory") {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            if name.ends_with(".md") {
                found.push(if dir.is_empty() { name } else { format!("{dir}/{name}") });
            }
        }
    }
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// Returns the anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A push ID to use in place of `PUSH_ID`.
const SOME_PUSH: &str = "019aab0a-d2fb-7a26-ba8f-cd4f5a4c4d80";

#[test]
fn documented_commands_are_accepted() {
    let sandbox = Sandbox::new();
    let mut n_commands = 0;
    for document in documents() {
        let text = read(&document);
        for words in commands_in(&text) {
            let (program, args) = words.split_first().expect("a program");
            // With --help, clap parses the arguments before it but nothing is run. What follows `--` are
            // the words of another command.
            let own = args.iter().take_while(|word| *word != "--");
            let args = own.map(|word| if word == "PUSH_ID" { SOME_PUSH } else { word }).chain(["--help"]);
            let args: Vec<&str> = args.collect();
            let mut command = match program.as_str() {
                "install.sh" => {
                    let mut command = sandbox.command("sh", &sandbox.path(""));
                    command.arg(manifest_dir().join("install.sh"));
                    command
                }
                _ => sandbox.command(BINARY, &sandbox.path("")),
            };
            let ran = sandbox.run(command.args(&args), b"");
            assert!(
                ran.code == Some(0) && ran.stdout.contains("Usage"),
                "{document}: {words:?}: {}",
                ran.stderr
            );
            n_commands += 1;
        }
    }
    assert!(n_commands > 100, "{n_commands}");
}

#[test]
fn commands_are_found_in_blocks_and_inline() {
    let text = "Run `gitea-lightstep check` or\n```sh\nrunuser -u git -- gitea-lightstep queue list --dead  # all\n\
                ./install.sh --root '/srv/my git' \\\n    --no-hook | tee log\n```\nWith `gitea-lightstep` alone, nothing.\n```text\n\
                * * * * * git /usr/bin/gitea-lightstep deliver >/dev/null\n```\n";
    let found: Vec<String> = commands_in(text).iter().map(|words| words.join("|")).collect();
    let expected = [
        "gitea-lightstep|check",
        "gitea-lightstep|queue|list|--dead",
        "install.sh|--root|/srv/my git|--no-hook",
        "gitea-lightstep|deliver",
    ];
    assert_eq!(found, expected);
}

/// Returns the commands of this project in a document, in blocks and inline, as words. The first
/// word is the program.
fn commands_in(document: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut is_block = false;
    for line in document.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            commands.extend(command_in(line));
        } else {
            commands.extend(
                line.split('`').skip(1).step_by(2).filter(|span| is_ours(span)).filter_map(command_in),
            );
        }
    }
    commands
}

/// Returns true if inline code starts with one of our programs, rather than mentioning it.
fn is_ours(span: &str) -> bool {
    let first = span.trim_start_matches("$ ").split(' ').next().unwrap_or_default();
    ["gitea-lightstep", "install.sh"].contains(&first.rsplit('/').next().unwrap_or_default())
}

/// Returns the words of the first command of this project in a line, up to a shell operator.
fn command_in(line: &str) -> Option<Vec<String>> {
    let words = words_of(line);
    let name = |word: &String| word.rsplit('/').next().unwrap_or_default().to_string();
    let is_program = |word: &String| ["gitea-lightstep", "install.sh"].contains(&name(word).as_str());
    let at = words.iter().position(is_program)?;
    let ends = |word: &&String| {
        !["|", "||", "&&", ";", "#"].contains(&word.as_str())
            && !word.starts_with(['>', '<'])
            && *word != "2>&1"
    };
    let mut command: Vec<String> = words[at..].iter().take_while(ends).cloned().collect();
    // Remove punctuation that belongs to the sentence.
    if let Some(last) = command.last_mut() {
        *last = last.trim_end_matches([';', ')']).to_string();
    }
    command[0] = name(&command[0]);
    let is_command = command.get(1).is_some_and(|word| {
        word != "..." && word != "hook" && word != "=" && !word.starts_with(['|', '-', ':'])
    });
    // Skip shebang lines, bare names, and files that are copied or edited.
    let is_run = at == 0 || ["--", "$", "git", "gitea", "sh", "-c"].contains(&words[at - 1].as_str());
    (is_run && (is_command || command[0] == "install.sh")).then_some(command)
}

/// Splits a line into words like a shell, and removes the quotes.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn queue_and_status_options_and_metrics_are_documented() {
    let operations = read("docs/operations.md");
    let sandbox = Sandbox::new();
    for command in
        [&["status"][..], &["queue", "list"], &["queue", "show"], &["queue", "retry"], &["queue", "drop"]]
    {
        let help = sandbox.binary(&[command, &["-h"]].concat()).succeeded().stdout.clone();
        let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for option in options.map(|word| word.trim_end_matches(|c: char| !c.is_alphanumeric())) {
            let is_common = ["config", "color", "quiet", "help"].contains(&option);
            assert!(is_common || operations.contains(&format!("--{option}")), "{command:?} --{option}");
        }
    }
    sandbox.commit("x", &[]);
    sandbox.push(&["main"]).succeeded();
    let metrics = sandbox.binary(&["status", "--openmetrics"]).succeeded().stdout.clone();
    let families: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.len() > 10);
    for family in families.iter().filter_map(|line| line.split(' ').next()) {
        let is_named =
            operations.contains(&format!("`{family}`")) || operations.contains(&format!("`{family}{{"));
        assert!(is_named, "docs/operations.md does not name {family}");
    }
}

#[test]
fn journal_fields_are_documented() {
    let operations = read("docs/operations.md");
    let sandbox = Sandbox::new();
    sandbox.deliver_to("http://127.0.0.1:1", "");
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { if update.tag == () { true } else { skip(\"no\") } }",
    );
    sandbox.commit("One", &[]);
    sandbox.push(&["-o", "deploy=prod", "main", "main:refs/tags/x"]).succeeded();
    sandbox.hook(b"nonsense\n").succeeded();
    sandbox.wait_for_deliverers_to_end();
    let id = sandbox.binary(&["queue", "list"]).succeeded().stdout[..12].to_string();
    sandbox.binary(&["queue", "drop", "--yes", &id]).succeeded();
    let journal = sandbox.journal();
    for record in ["push", "decision", "delivery", "queue", "trouble"] {
        assert!(journal.iter().any(|entry| entry["record"] == record), "{record}: {journal:?}");
        assert!(operations.contains(&format!("| `{record}` | ")), "docs/operations.md has no {record}");
    }
    for name in journal.iter().flat_map(names_in) {
        assert!(operations.contains(&format!("`{name}`")), "docs/operations.md does not name `{name}`");
    }
}

/// Returns the names of all fields, except those inside a marker and keys of maps that hold counts.
fn names_in(value: &serde_json::Value) -> Vec<String> {
    let Some(fields) = value.as_object() else {
        return value.as_array().and_then(|list| list.first()).map(names_in).unwrap_or_default();
    };
    let mut names = Vec::new();
    for (name, value) in fields {
        names.push(name.clone());
        if !["kinds", "services", "header", "lines"].contains(&&**name) {
            names.extend(names_in(value));
        }
    }
    names
}

#[test]
fn module_order_is_documented() {
    let architecture = read("ARCHITECTURE.md");
    let lib = read("src/lib.rs");
    let modules: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").and_then(|line| line.strip_suffix(';')))
        .collect();
    for module in &modules {
        assert!(architecture.contains(&format!("`{module}`")), "ARCHITECTURE.md does not name `{module}`");
    }
}

/// Fetches as actions/checkout does: with the depth 0 all branches and tags, else one commit.
fn check_out(sandbox: &Sandbox, dir: &str, commit: &str, depth: &str) {
    let url = format!("file://{}", sandbox.bare().display());
    sandbox.git_in(&sandbox.path(""), &["init", "-q", dir]);
    let git = |args: &[&str]| sandbox.git_in(&sandbox.path(dir), args);
    git(&["remote", "add", "origin", &url]);
    let depth_option = format!("--depth={depth}");
    let fetch: &[&str] = if depth == "0" {
        &["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
    } else {
        &["--no-tags", &depth_option, commit]
    };
    git(&[&["fetch", "-q", "--prune", "origin"], fetch].concat());
    git(&["checkout", "-q", "--detach", commit]);
}

#[test]
fn workflow_of_gitea_actions_has_the_versions_of_the_server() {
    let text = fs::read_to_string(manifest_dir().join("docs/services.md")).expect("the page");
    let section = text.split("### Gitea Actions").nth(1).expect("the section");
    let workflow = block(section, "yaml");
    let depth = workflow.split("fetch-depth: ").nth(1).and_then(|rest| rest.get(..1)).expect("a depth");
    let run = workflow.lines().find_map(|line| line.split("run: gitea-lightstep ").nth(1)).expect("a step");
    let args: Vec<&str> = run.split(" >> ").next().expect("a command").split(' ').collect();

    let sandbox = Sandbox::new();
    sandbox.configure("[policy]\nrepository_services = [\"acme/*\"]\n");
    let file = "[[service]]\nname = \"checkout\"\nversion = \"describe\"\n";
    let deploy = ["-o", "deploy=production", "main"];
    for (nth, tag) in [None, Some("v1.2.0"), None, Some("checkout/v1.3.0"), None].into_iter().enumerate() {
        let commit = sandbox
            .commit(&format!("Change {nth}"), &[(".gitea/lightstep.toml", file), ("a", tag.unwrap_or("x"))]);
        if let Some(tag) = tag {
            sandbox.git(&["tag", tag]);
            sandbox.push(&[tag]).succeeded();
        }
        sandbox.push(&deploy).succeeded();
        let deployment = sandbox.waiting("unassigned").pop().expect("a marker");
        assert_eq!(deployment["kind"], "deployment", "{deployment:#}");
        let dir = format!("job-{nth}");
        check_out(&sandbox, &dir, &commit, depth);
        let ran = sandbox.run(sandbox.command(BINARY, &sandbox.path(&dir)).args(&args), b"");
        let version = deployment["version"].as_str().expect("a version");
        let trace = deployment["trace_id"].as_str().expect("a trace");
        for same in [format!("service.version={version}"), trace.into()] {
            assert!(ran.succeeded().stdout.contains(&same), "{same}: {}", ran.stdout);
        }
    }
}
