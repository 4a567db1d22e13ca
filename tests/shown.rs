//! Untrusted text on a terminal: whatever a commit, a ref, an option or an argument contains, no
//! command prints characters that hide text, change its direction or move the cursor. This includes
//! `--json`.

use serde_json::Value;

use crate::support::{Ran, Sandbox};

/// Characters of each kind: bidirectional controls, invisible letters, tags, fillers, deprecated
/// and private-use ones.
const HOSTILE: &str = "a\u{202e}b\u{61c}c\u{ad}d\u{180e}e\u{206a}f\u{e0041}g\u{200b}h\u{feff}i\u{fe01}j\u{e0101}k\u{fff9}l\
     \u{115f}m\u{3164}n\u{ffa0}o\u{2028}p\u{85}q\u{9b}r\u{e000}s\u{2066}t\u{fe0f}u\u{34f}v";

fn is_hidden(c: char) -> bool {
    // This list is independent of the program's table, so that it does not repeat its errors.
    c != '\n'
        && (c.is_control()
            || HOSTILE.chars().any(|hostile| !hostile.is_ascii_lowercase() && hostile == c)
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'))
}

#[track_caller]
fn harmless(what: &str, ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(is_hidden), "{what}: {text:?}");
    }
}

#[test]
fn commands_do_not_print_invisible_characters() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/acme/shop.rhai",
        "fn decide(update) { if update.branch == \"main\" { mark(#{ title: update.title }) } else { skip(update.ref) } }",
    );
    sandbox.commit(&format!("Title {HOSTILE}"), &[("a", HOSTILE)]);
    // git rejects only control characters in ref names.
    let name: String = HOSTILE.chars().filter(|c| !c.is_control()).collect();
    let option = format!("deploy={HOSTILE}");
    let pushed = sandbox.push(&["-o", &option, "main", &format!("HEAD:refs/heads/{name}")]);
    let report = pushed.remote().join("\n");
    assert!(!report.contains(is_hidden), "{report:?}");

    for args in [
        &["log", "-v"][..],
        &["status"],
        &["queue", "list"],
        &["explain", "acme/shop"],
        &["explain", "acme/shop", &format!("refs/heads/{name}")],
        &["try", "git/acme/shop.git"],
        &["try", "git/acme/shop.git", "-v"],
        &["doctor"],
        // Errors that quote the user's arguments.
        &["log", "--kind", HOSTILE],
        &["explain", HOSTILE],
        &["try", HOSTILE],
        &[HOSTILE],
        &["queue", "show", HOSTILE],
    ] {
        harmless(&format!("{args:?}"), &sandbox.binary(args));
    }
    for args in [
        &["log", "--json"][..],
        &["status", "--json"],
        &["queue", "list", "--json"],
        &["explain", "acme/shop", "--json"],
        &["explain", "acme/shop", &format!("refs/heads/{name}"), "--json"],
        &["try", "git/acme/shop.git", "--json"],
    ] {
        let ran = sandbox.binary(args);
        harmless(&format!("{args:?}"), &ran);
        let whole = serde_json::from_str::<Value>(&ran.stdout).is_ok();
        let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        assert!(whole || ran.stdout.lines().all(is_json), "{args:?}: {}", ran.stdout);
    }
}
