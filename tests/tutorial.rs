//! Executes the tutorial: writes its files, runs its commands, and compares the output.

use std::{fs, path::Path};

use crate::support::{BINARY, Sandbox, manifest_dir};

const TUTORIAL: &str = "docs/tutorial.md";

/// A code block: its info string, its text, and its offset in the document.
struct Block<'a> {
    info: Vec<&'a str>,
    text: &'a str,
    at: usize,
}

fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(fence) = document[from..].find("\n```").map(|at| from + at + "\n```".len()) {
        let at = fence + document[fence..].find('\n').expect("the end of the line") + 1;
        let end = at + document[at..].find("```").expect("the end of the block");
        blocks.push(Block {
            info: document[fence..at].trim().split(' ').collect(),
            text: &document[at..end],
            at,
        });
        from = end + "```".len();
    }
    blocks
}

/// Runs the commands of a block in order, and returns the block with their actual output.
fn run(sandbox: &Sandbox, text: &str) -> String {
    let mut said = String::new();
    for command in text.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let binary = Path::new(BINARY).parent().expect("a directory").display();
        let script = format!("exec 2>&1\nexport PATH={binary}:$PATH\n{command}");
        let ran = sandbox.run(sandbox.command("sh", &sandbox.path("")).args(["-c", &script]), b"");
        said.push_str(&format!("$ {command}\n"));
        for line in ran.stdout.lines() {
            said.push_str(line.trim_end());
            said.push('\n');
        }
    }
    said
}

/// Writes a block to the file that it names. It becomes the whole file, is appended (`+`), or
/// replaces an existing function.
fn write(sandbox: &Sandbox, block: &Block<'_>) {
    let file = block.info[1];
    let there = fs::read_to_string(sandbox.path(file)).unwrap_or_default();
    let text = match &block.info[2..] {
        [] => block.text.to_string(),
        ["+"] => format!("{there}\n{}", block.text),
        function => {
            let start = there.find(&(function.join(" ") + "(")).expect("the function");
            let end = start + there[start..].find("\n}\n").expect("its end") + 3;
            format!("{}{}{}", &there[..start], block.text, &there[end..])
        }
    };
    sandbox.write(file, text);
}

/// Creates the repository that the tutorial clones. Fixed times give fixed commit IDs.
fn shop() -> Sandbox {
    let mut sandbox = Sandbox::new();
    // A reader's commits are of today.
    sandbox.configure("[policy]\nbackfill_after = \"36500d\"\n");
    let commits = [
        ("Begin", "services/search/find.go"),
        ("Sell", "services/checkout/pay.go"),
        ("Explain", "README.md"),
        ("Round right", "lib/money.go"),
    ];
    for (nth, (message, file)) in commits.into_iter().enumerate() {
        for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
            sandbox.set(name, &format!("2026-11-2{nth}T10:00:00Z"));
        }
        sandbox.commit(message, &[(file, "// first\n")]);
    }
    sandbox.git(&["tag", "checkout/v1.3.0", "HEAD~2"]);
    sandbox.push(&["main", "checkout/v1.3.0"]).succeeded();
    std::os::unix::fs::symlink(sandbox.path("clone"), sandbox.path("shop"))
        .expect("the clone can be linked under another name");
    sandbox
}

#[test]
fn tutorial_output_is_correct() {
    let path = manifest_dir().join(TUTORIAL);
    let document = fs::read_to_string(&path).expect("the tutorial");
    let sandbox = shop();

    let mut wanted = String::new();
    let mut end = 0;
    let mut n_blocks = 0;
    for block in blocks(&document) {
        match block.info[..] {
            ["rhai" | "toml", _, ..] => write(&sandbox, &block),
            ["console"] => {
                n_blocks += 1;
                wanted.push_str(&document[end..block.at]);
                wanted.push_str(&run(&sandbox, block.text));
                end = block.at + block.text.len();
            }
            _ => {}
        }
    }
    wanted.push_str(&document[end..]);
    assert!(n_blocks > 10);
    if std::env::var_os("GITEA_LIGHTSTEP_BLESS").is_some() {
        return fs::write(&path, &wanted).expect("written");
    }
    let mut lines = document.lines().zip(wanted.lines());
    let first = lines.find(|(is, should)| is != should);
    assert!(
        first.is_none(),
        "{TUTORIAL} differs from the actual output; GITEA_LIGHTSTEP_BLESS=1 rewrites it: {first:?}"
    );
}
