//! What the documents promise: sample configuration, words, dependencies, commands.

use std::{collections::BTreeSet, fs};

use crate::support::{BINARY, Sandbox, manifest_dir, tls::Authority};

fn read(name: &str) -> String {
    fs::read_to_string(manifest_dir().join(name)).expect(name)
}

#[test]
fn the_sample_configuration_is_right_and_names_the_defaults() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.binary(&["check", "--sample"]).succeeded().stdout, read("docs/config.toml"));
    let sample = read("docs/config.toml").replace("/var/lib/gitea-lightstep", "state");
    sandbox.write("config.toml", &sample);
    sandbox.binary(&["check"]).succeeded();
    // With every comment taken away that hides a key, it must be right as well.
    let all: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let all = all.replace("/etc/gitea-lightstep/", "");
    sandbox.write("config.toml", &all);
    sandbox.write("token", "t");
    sandbox.write("api-key", "k");
    sandbox.write("authorization", "a");
    sandbox.write("grafana-token", "g");
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
fn the_configurations_to_begin_with_are_right() {
    for document in ["README.md", "docs/install.md", "docs/lightstep.md"] {
        let sandbox = Sandbox::new();
        sandbox.write("token", "t");
        sandbox.write("api-key", "k");
        let toml = block(&read(document), "toml")
            .replace("/etc/gitea-lightstep/", "")
            .replace("/var/lib/gitea-lightstep", "state");
        sandbox.write("config.toml", toml);
        sandbox.binary(&["check"]).succeeded();
    }
}

#[test]
fn every_destination_in_the_documents_is_right_and_each_shipped_one_is_there() {
    let document = read("docs/destinations.md");
    let mut rendered = BTreeSet::new();
    for block in document.split("```toml\n").skip(1) {
        let toml = block.split("```").next().expect("its end").replace("/etc/gitea-lightstep/", "");
        let sandbox = Sandbox::new();
        for secret in toml.split("file = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            sandbox.write(secret, "a-secret");
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
    // The script of one's own.
    let sandbox = Sandbox::new();
    sandbox.write("own.rhai", block(&document, "rhai"));
    sandbox.write("token", "t");
    sandbox.configure(
        "[[destination]]\nname = \"own\"\nkind = \"http\"\nendpoint = \"https://x.example.com\"\nrender = \"own.rhai\"\n\
         secrets = { token = { file = \"token\" } }\n",
    );
    sandbox.binary(&["check"]).succeeded();
}

#[test]
fn every_script_in_the_documents_compiles_and_decides() {
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
fn the_script_that_the_documents_import_is_imported() {
    let policy = read("docs/policy.md");
    let script = |name: &str| {
        let (_, rest) = policy.split_once(&format!("```rhai\n// scripts/{name}\n")).expect(name);
        rest.split_once("```").expect("its end").0
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

/// Returns the first block of a document in a language.
fn block(document: &str, language: &str) -> String {
    let (_, rest) = document.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_string()
}

#[test]
fn every_word_that_a_script_can_use_is_documented() {
    let policy = read("docs/policy.md");
    let sandbox = Sandbox::new();
    sandbox.commit("x", &[]);
    // The message that names all words is the list itself.
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.qqqqqqqq }");
    sandbox.push(&["main"]).succeeded();
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.push.qqqqqqqq }");
    sandbox.push(&["main:other"]).succeeded();
    for decision in sandbox.decisions() {
        let why = decision["why"].as_str().expect("text").to_string();
        let (_, words) = why.split_once("expected one of ").expect("the words");
        for word in words.split('`').skip(1).step_by(2) {
            assert!(policy.contains(&format!("`{word}`")), "docs/policy.md does not name `{word}`");
        }
    }
}

#[test]
fn every_dependency_has_its_line() {
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
fn the_readme_names_every_command_and_no_link_is_dead() {
    let sandbox = Sandbox::new();
    let readme = read("README.md");
    let help = sandbox.binary(&["--help"]).succeeded().stdout.clone();
    let (_, commands) = help.split_once("Commands:\n").expect("the commands");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    for command in commands.filter_map(|line| line.split_whitespace().next()) {
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

/// Returns every document of the project, by its path.
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

/// Returns what a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What stands for the id of a push.
const SOME_PUSH: &str = "019aab0a-d2fb-7a26-ba8f-cd4f5a4c4d80";

#[test]
fn every_command_in_the_documents_is_one_that_is_taken() {
    let sandbox = Sandbox::new();
    let mut n_commands = 0;
    for document in documents() {
        let text = read(&document);
        for words in commands_in(&text) {
            let (program, args) = words.split_first().expect("a program");
            // With this at the end nothing is done, but everything before it is read.
            let args =
                args.iter().map(|word| if word == "PUSH_ID" { SOME_PUSH } else { word }).chain(["--help"]);
            let args: Vec<&str> = args.collect();
            let mut command = match program.as_str() {
                "install.sh" => {
                    let mut command = sandbox.command("dash", &sandbox.path(""));
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
fn commands_are_found_wherever_they_stand() {
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

/// Returns the commands of ours that stand in a document, in blocks and in lines, as words; the first is the program.
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

/// Returns whether it begins with a program of ours, rather than names one.
fn is_ours(span: &str) -> bool {
    let first = span.trim_start_matches("$ ").split(' ').next().unwrap_or_default();
    ["gitea-lightstep", "install.sh"].contains(&first.rsplit('/').next().unwrap_or_default())
}

/// Returns the words of the first command of ours in a line, to its end or where the shell has something else to do.
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
    // A sentence's or a list's own signs.
    if let Some(last) = command.last_mut() {
        *last = last.trim_end_matches([';', ')']).to_string();
    }
    command[0] = name(&command[0]);
    let is_command = command.get(1).is_some_and(|word| {
        word != "..." && word != "hook" && word != "=" && !word.starts_with(['|', '-', ':'])
    });
    // A page's first line, a name alone, a file that is copied or changed: nothing is run there.
    let is_run = at == 0 || ["--", "$", "git", "gitea", "sh", "-c"].contains(&words[at - 1].as_str());
    (is_run && (is_command || command[0] == "install.sh")).then_some(command)
}

/// Returns the words of a line as a shell reads them, quotes away.
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
fn everything_that_the_queue_and_the_status_tell_is_documented() {
    let operations = read("docs/operations.md");
    let sandbox = Sandbox::new();
    for command in
        [&["status"][..], &["queue", "list"], &["queue", "show"], &["queue", "retry"], &["queue", "drop"]]
    {
        let help = sandbox.binary(&[command, &["-h"]].concat()).succeeded().stdout.clone();
        let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for option in options.map(|word| word.trim_end_matches(|c: char| !c.is_alphanumeric())) {
            let is_common = ["config", "verbose", "quiet", "help"].contains(&option);
            assert!(is_common || operations.contains(&format!("--{option}")), "{command:?} --{option}");
        }
    }
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    let id = sandbox.binary(&["queue", "list"]).succeeded().stdout[..12].to_string();
    for args in [&["status", "--json"][..], &["queue", "list", "--json"], &["queue", "show", "--json", &id]] {
        let answer = sandbox.binary(args).succeeded().stdout.clone();
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        for name in names_in(&answer) {
            assert!(operations.contains(&format!("`{name}`")), "docs/operations.md does not name `{name}`");
        }
    }
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
fn everything_that_the_journal_says_is_documented() {
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

/// Returns the names of all fields but a marker's own, and those below what is counted by name.
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
fn the_order_of_modules_is_documented_as_it_is() {
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
