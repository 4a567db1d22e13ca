//! `completions`, `man`, `help` and `--version`: all from the one definition of the command line.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::support::{BINARY, Sandbox, manifest_dir};

/// Returns the names of the commands below these words, from the help.
fn commands(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let ran = sandbox.binary(&[words, &["--help"]].concat());
    let listed = ran.succeeded().stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.map(ToString::to_string).collect()
}

/// Returns the long options in a text.
fn options(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let begins = text.match_indices("--").map(|(at, _)| &text[at..]);
    let names = begins.map(|rest| rest.chars().take_while(|c| is_name(*c)).collect::<String>());
    names.filter(|name| name.len() > 3 && !name.starts_with("---") && !name.ends_with('-')).collect()
}

/// Returns true for the line of an option: `--all` or `-q, --quiet`.
fn is_option(line: &str) -> bool {
    line.starts_with("--") || line.get(2..).is_some_and(|rest| rest.starts_with(", --"))
}

/// Returns each command with its words, also those of `queue`.
fn all_commands(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = commands(sandbox, &[]).into_iter().map(|name| vec![name]).collect();
    all.extend(commands(sandbox, &["queue"]).into_iter().map(|name| vec!["queue".to_string(), name]));
    all.retain(|words| words.last().is_some_and(|name| name != "help"));
    all
}

#[test]
fn completions_and_pages_have_every_command_and_option() {
    let sandbox = Sandbox::new();
    let scripts: Vec<String> = ["bash", "zsh", "fish"]
        .iter()
        .map(|shell| sandbox.binary(&["completions", shell]).succeeded().stdout.clone())
        .collect();
    let pages = sandbox.path("man");
    sandbox.binary(&["man", "--output", &pages.display().to_string()]).succeeded();
    let all = all_commands(&sandbox);
    assert!(all.len() > 18, "{all:?}");
    assert_eq!(fs::read_dir(&pages).expect("the pages").count(), all.len() + 1);
    for words in &all {
        let typed: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = sandbox.binary(&[&typed[..], &["--help"]].concat()).succeeded().stdout.clone();
        let mut same = sandbox.command(BINARY, Path::new("/"));
        let same = sandbox.run(same.arg("help").args(&typed), b"");
        assert_eq!(same.succeeded().stdout, help, "{words:?}");
        let page = sandbox.binary(&[&["man"][..], &typed].concat()).succeeded().stdout.clone();
        let name = format!("gitea-lightstep-{}", words.join("-"));
        assert_eq!(fs::read_to_string(pages.join(format!("{name}.1"))).expect("a page"), page);
        let page = page.replace("\\-", "-");
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        let own: BTreeSet<String> =
            help.lines().filter(|line| is_option(line.trim_start())).flat_map(options).collect();
        assert!(own.contains("--config"), "{help}");
        for option in &own {
            assert!(page.contains(option.as_str()), "{name} {option}: {page}");
            let name = &option[2..];
            for (script, form) in scripts.iter().zip([option.clone(), option.clone(), format!("-l {name}")]) {
                assert!(script.contains(&form), "{words:?} {option}");
            }
        }
        for script in &scripts {
            assert!(script.contains(&words[words.len() - 1]), "{words:?}");
        }
    }
    // Options for our own processes are no choice.
    let page = fs::read_to_string(pages.join("gitea-lightstep-deliver.1")).expect("a page");
    for hidden in ["detached", "as-run-user", "decide-failed"] {
        assert!(scripts.iter().chain([&page]).all(|text| !text.contains(hidden)), "{hidden}");
    }
    for (args, code) in [(&["completions", "csh"][..], 2), (&["completions"], 2), (&["man", "none"], 1)] {
        assert_eq!(sandbox.binary(args).code, Some(code), "{args:?}");
    }
    assert!(sandbox.binary(&["man"]).succeeded().stdout.contains(".TH gitea-lightstep 1"));
}

#[test]
fn bash_completes_commands_and_options() {
    let sandbox = Sandbox::new();
    let script = sandbox.binary(&["completions", "bash"]).succeeded().stdout.clone();
    let complete = |words: &[&str]| -> Vec<String> {
        let typed = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let asked = format!(
            "{script}\nCOMP_WORDS=({typed}); COMP_CWORD={}\n\
             fn=$(complete -p gitea-lightstep | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
             \"$fn\" gitea-lightstep '{last}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        let mut bash = sandbox.command("bash", Path::new("/"));
        let ran = sandbox.run(bash.args(["-c", &asked]), b"");
        ran.succeeded().stdout.lines().map(ToString::to_string).collect()
    };
    assert_eq!(complete(&["gitea-lightstep", "stat"]), ["status"]);
    assert_eq!(complete(&["gitea-lightstep", "queue", "re"]), ["retry"]);
    assert_eq!(complete(&["gitea-lightstep", "status", "--wa"]), ["--watch"]);
    assert_eq!(complete(&["gitea-lightstep", "log", "--color", "al"]), ["always"]);
    assert!(complete(&["gitea-lightstep", "deliver", "--"]).contains(&"--follow".to_string()));
}

#[test]
fn version_names_commit_date_and_target() {
    let sandbox = Sandbox::new();
    for option in ["--version", "-V"] {
        let said = sandbox.binary(&[option]).succeeded().stdout.clone();
        let version = env!("CARGO_PKG_VERSION");
        let inside =
            said.trim_end().strip_prefix(&format!("gitea-lightstep {version} (")).expect("the version");
        let inside = inside.strip_suffix(')').expect("a parenthesis");
        let target = inside.rsplit(", ").next().expect("a target");
        assert!(target.contains("-linux-"), "{said}");
        assert!(!said.contains('/') && !said.contains("unknown,"), "{said}");
    }
}

/// The build script works in a tarball without git, and makes cargo run it again only after a commit.
#[test]
fn build_script_needs_no_git_and_runs_once() {
    let sandbox = Sandbox::new();
    let program = sandbox.path("build");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compile = Command::new(rustc);
    compile.args(["--edition", "2024", "-o"]).arg(&program).arg(manifest_dir().join("src/build.rs"));
    assert!(compile.status().expect("rustc").success());
    let build = |dir: &Path, path: &str| -> Vec<String> {
        let mut command = sandbox.command(&program.display().to_string(), Path::new("/"));
        command
            .env("CARGO_MANIFEST_DIR", dir)
            .env("CARGO_PKG_VERSION", "1.2.3")
            .env("TARGET", "some-linux-gnu");
        if !path.is_empty() {
            command.env("PATH", path);
        }
        let ran = sandbox.run(&mut command, b"");
        ran.succeeded().stdout.lines().map(ToString::to_string).collect()
    };
    let version =
        |inside: &str| format!("cargo::rustc-env=GITEA_LIGHTSTEP_VERSION=1.2.3 ({inside}some-linux-gnu)");
    // Below a checkout, but not in it.
    sandbox.commit("One", &[("tarball/file", "")]);
    let plain = ["cargo::rerun-if-changed=src/build.rs".to_string(), version("")];
    assert_eq!(build(&sandbox.path("clone/tarball"), ""), plain);
    assert_eq!(build(&sandbox.path("clone"), "/nowhere"), plain, "without git");
    let checkout = build(&sandbox.path("clone"), "");
    let short = &sandbox.git(&["rev-parse", "HEAD"])[..12];
    let date = sandbox.git(&["log", "-1", "--format=%cs"]);
    assert_eq!(checkout.last(), Some(&version(&format!("{short} {date}, "))));
    let watched: Vec<&str> =
        checkout.iter().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed=")).skip(1).collect();
    assert!(watched.len() > 1 && watched.iter().all(|path| Path::new(path).exists()), "{watched:?}");
    // In a fresh clone, the branch has no file of its own. A commit changes one that is watched.
    sandbox.git(&["pack-refs", "--all"]);
    let packed = build(&sandbox.path("clone"), "");
    let content = || -> Vec<Vec<u8>> {
        let paths = packed.iter().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed=/"));
        paths.map(|path| fs::read(Path::new("/").join(path)).expect("a watched file")).collect()
    };
    let before = content();
    sandbox.commit("Two", &[]);
    assert_ne!(content(), before);
    let short = &sandbox.git(&["rev-parse", "HEAD"])[..12];
    // A linked work tree has its HEAD elsewhere.
    let linked = sandbox.path("linked");
    sandbox.git(&["worktree", "add", "-q", "--detach", &linked.display().to_string()]);
    assert!(build(&linked, "").last().is_some_and(|line| line.contains(short)));
    assert!(Path::new(BINARY).exists());
}
