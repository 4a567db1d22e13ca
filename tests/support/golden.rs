//! Golden files in `tests/golden` with the expected text of output for people.

use std::fs;

use super::{Sandbox, manifest_dir};

/// Asserts that `text` equals the golden file of this name, after IDs, times and ages are replaced
/// with fixed words. With `GITEA_LIGHTSTEP_BLESS=1`, writes the file instead.
#[track_caller]
pub fn assert_golden(sandbox: &Sandbox, name: &str, text: &str) {
    assert_same(name, &settled(&placed(sandbox, text)));
}

/// Asserts that `text` equals the golden file of this name, after the sandbox's path is replaced.
/// With `GITEA_LIGHTSTEP_BLESS=1`, writes the file instead.
#[track_caller]
pub fn assert_as_it_is(sandbox: &Sandbox, name: &str, text: &str) {
    assert_same(name, &placed(sandbox, text));
}

fn placed(sandbox: &Sandbox, text: &str) -> String {
    text.replace(&sandbox.path("").display().to_string(), "/SANDBOX/")
}

#[track_caller]
fn assert_same(name: &str, text: &str) {
    let path = manifest_dir().join("tests/golden").join(name);
    if std::env::var_os("GITEA_LIGHTSTEP_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, text).expect("written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; GITEA_LIGHTSTEP_BLESS=1 rewrites it", path.display());
}

/// Replaces IDs, times and ages.
fn settled(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let mut settled = String::new();
        let mut rest = line;
        while !rest.is_empty() {
            let (word, width) = next(rest);
            settled.push_str(&word);
            rest = &rest[width..];
        }
        settled + "\n"
    });
    lines.collect()
}

/// Returns the replacement for the start of `rest`, and the number of bytes that it replaces.
fn next(rest: &str) -> (String, usize) {
    let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    let width = rest.find(|c| !is_id(c)).unwrap_or(rest.len());
    let word = &rest[..width];
    let fixed = match (width, word.matches('-').count()) {
        (12, 0) => "ENTRY_ID",
        (16 | 32, 0) => "ID",
        (36, 4) => "PUSH_ID",
        (40, 0) => "COMMIT",
        _ => "",
    };
    if !fixed.is_empty() {
        return (fixed.into(), width);
    }
    // A time: 2026-11-22 10:00:00, or with a T and a fraction.
    if width == 10 && word.matches('-').count() == 2 {
        let time = rest[width..].find(|c: char| !(c.is_ascii_digit() || "T:.Z+ ".contains(c)));
        let whole = &rest[..time.map_or(rest.len(), |time| width + time)];
        return ("TIME".into(), whole.trim_end().len());
    }
    // An age in a column. Its indentation depends on the number of digits.
    let indented = rest.trim_start_matches(' ');
    let after = indented.trim_start_matches(|c: char| c.is_ascii_digit());
    if indented.len() < rest.len()
        && after.len() < indented.len()
        && let Some(after) = after.strip_prefix(" s  ")
    {
        return ("  AGE  ".into(), rest.len() - after.len());
    }
    if let Some(after) = rest.strip_prefix("just now") {
        return ("AGO".into(), rest.len() - after.len());
    }
    if width > 0 && word.bytes().all(|b| b.is_ascii_digit()) {
        for (unit, fixed) in [(" s ago", "AGO"), (" KiB", "N KiB")] {
            if rest[width..].starts_with(unit) {
                return (fixed.into(), width + unit.len());
            }
        }
    }
    let width = if width == 0 { rest.chars().next().map_or(1, char::len_utf8) } else { width };
    (rest[..width].into(), width)
}
