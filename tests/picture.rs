//! `docs/push.svg`: a real push and its answer, drawn as a terminal.
//!
//! `GITEA_LIGHTSTEP_BLESS=1 cargo nextest run --test it picture` draws it again.

use std::fs;

use crate::support::{Sandbox, manifest_dir};

/// Columns of the terminal, and the size of a character and a line in pixels.
const COLUMNS: usize = 104;
const CHARACTER: f64 = 8.4;
const LINE: usize = 22;

/// Width of the border, and height of the title bar, in pixels.
const BORDER: usize = 18;
const TITLE: usize = 34;

/// Text of a line by colour.
type Spans<'t> = Vec<(&'static str, &'t str)>;

const PLAIN: &str = "#d6deeb";
const DIM: &str = "#7f8ea3";
const PROMPT: &str = "#7fdbca";
const KIND: &str = "#ffcb6b";

/// Splits a line of the session into coloured parts.
fn spans(line: &str) -> Spans<'_> {
    if let Some(command) = line.strip_prefix('$') {
        return vec![(PROMPT, "$"), (PLAIN, command)];
    }
    let Some(answer) = line.strip_prefix("remote: gitea-lightstep: ") else { return vec![(DIM, line)] };
    let (kind, rest) = answer.split_at(answer.find(' ').expect("a kind"));
    vec![(DIM, "remote: "), (PROMPT, "gitea-lightstep: "), (KIND, kind), (PLAIN, rest)]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws the lines of a session as SVG. Each part has a fixed length, so the columns stay aligned
/// in any monospaced font.
fn drawn(session: &str) -> String {
    let lines: Vec<&str> = session.lines().collect();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let width = (COLUMNS as f64 * CHARACTER) as usize + 2 * BORDER;
    let height = TITLE + lines.len() * LINE + BORDER;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#011627\"/>\n"
    );
    for (at, colour) in [(20, "#ff5f57"), (40, "#febc2e"), (60, "#28c840")] {
        svg += &format!("<circle cx=\"{at}\" cy=\"18\" r=\"6\" fill=\"{colour}\"/>\n");
    }
    svg += "<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', \
            monospace\" font-size=\"14\" style=\"white-space: pre\">\n";
    for (nth, line) in lines.iter().enumerate() {
        assert!(line.chars().count() <= COLUMNS, "{line}");
        let y = TITLE + nth * LINE + 16;
        let mut column = 0;
        for (colour, text) in spans(line).into_iter().filter(|(_, text)| !text.trim().is_empty()) {
            // Spaces only move what follows: their width depends on the font.
            let word = text.trim();
            let start = column + text.chars().count() - text.trim_start().chars().count();
            #[expect(clippy::cast_precision_loss)]
            let [x, wide] =
                [BORDER as f64 + start as f64 * CHARACTER, word.chars().count() as f64 * CHARACTER];
            svg += &format!(
                "<text x=\"{x:.1}\" y=\"{y}\" fill=\"{colour}\" textLength=\"{wide:.1}\" \
                 lengthAdjust=\"spacingAndGlyphs\">{}</text>\n",
                escaped(word)
            );
            column += text.chars().count();
        }
    }
    svg + "</g>\n</svg>\n"
}

#[test]
fn push_picture_shows_a_real_push() {
    let mut sandbox = Sandbox::new();
    for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        sandbox.set(name, "2026-11-28T09:30:00Z");
    }
    sandbox.commit("Take payments", &[("pay.rs", "v1")]);
    sandbox.push(&["main"]).succeeded();
    sandbox.commit("Retry a payment once", &[("pay.rs", "v2")]);
    let arguments = ["push", "-o", "deploy=prod", "origin", "main"];
    let ran = sandbox.run(sandbox.command("git", &sandbox.path("clone")).args(arguments), b"");
    let answer = ran
        .succeeded()
        .stderr
        .replace(&sandbox.bare().display().to_string(), "git.example.com:acme/shop.git");
    let answer: Vec<&str> = answer.lines().map(str::trim_end).collect();
    let svg = drawn(&format!("$ git {}\n{}\n$", arguments.join(" "), answer.join("\n")));

    let path = manifest_dir().join("docs/push.svg");
    if std::env::var_os("GITEA_LIGHTSTEP_BLESS").is_some() {
        fs::write(&path, &svg).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(svg, there, "docs/push.svg is out of date; GITEA_LIGHTSTEP_BLESS=1 draws it again");
}
