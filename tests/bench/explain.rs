//! `--only explain`: finds one update in a journal of a million lines.

use std::{
    fmt::Write as _,
    fs,
    io::{BufWriter, Write as _},
    path::Path,
};

use crate::support::{
    build,
    git::Git,
    launcher,
    verdict::{Verdict, mib},
};

/// Number of lines in the journal, and number of repositories in it.
const LINES: usize = 1_000_000;
const REPOSITORIES: usize = 50;

/// Claims: the time in seconds, and the peak memory in MiB.
const CLAIM: f64 = 3.0;
const MAX_PEAK: f64 = 24.0;

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for the journal");
    let git = Git::new(temp.path());
    let config = temp.path().join("config.toml");
    fs::write(&config, "state_dir = \"state\"\n").expect("the directory is new");
    let bytes = write_journal(&temp.path().join("state/journal"));

    println!("\n## One update in a journal of {LINES} lines, {:.0} MiB, median of {runs} runs\n", mib(bytes));
    println!("| what is explained | time, s | peak, MiB |\n|---|--:|--:|");
    let commit = id(500_000);
    for (name, rev) in [
        ("the latest update", None),
        ("a commit in the middle", Some(commit.as_str())),
        ("a ref that does not exist", Some("nothing")),
    ] {
        let mut command = git.command(build::installed(), temp.path());
        command.args(["explain", "acme/shop-0"]).args(rev).arg("--config").arg(&config);
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("acme/shop-0"), "{said}");
        let measured: Vec<_> =
            (0..runs).map(|_| launcher::measure(&command, Path::new("/dev/null")).hook).collect();
        let mut times: Vec<f64> = measured.iter().map(|used| used.wall.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let peak = measured.iter().map(|used| mib(used.peak)).fold(0.0, f64::max);
        println!("| {name} | {median:.2} | {peak:.1} |");
        verdict.add(
            format!("{LINES} lines are searched in under {CLAIM} s and {MAX_PEAK} MiB: {name}"),
            format!("{median:.2} s, {peak:.1} MiB"),
            median < CLAIM && peak < MAX_PEAK,
        );
    }
}

/// Returns the ID of the `nth` commit.
fn id(nth: usize) -> String {
    format!("{:040x}", (nth as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Writes decisions and their deliveries, and returns the size of the file in bytes.
fn write_journal(dir: &Path) -> u64 {
    fs::create_dir_all(dir).expect("the directory is new");
    let path = dir.join("2026-11.jsonl");
    let mut file = BufWriter::new(fs::File::create(&path).expect("the disk has space"));
    let mut line = String::new();
    for nth in 0..LINES / 2 {
        let time = format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + nth / 20_000, nth / 900 % 24, nth % 60);
        let (marker, commit) = (format!("{:032x}", nth + 1), id(nth * 2));
        line.clear();
        writeln!(
            line,
            "{{\"time\":\"{time}\",\"record\":\"decision\",\"push\":\"019aab0a-d2fb-7a26-ba8f-{nth:012x}\",\
             \"repository\":\"acme/shop-{}\",\"ref\":\"refs/heads/main\",\"old_id\":\"{}\",\"new_id\":\"{commit}\",\
             \"outcome\":\"marked\",\"markers\":[{{\"id\":\"{marker}\",\"kind\":\"change\",\"service\":\"shop\",\
             \"version\":\"{commit}\",\"trace_id\":\"{marker}\",\"by\":\"built-in.rhai:38\"}}]}}\n\
             {{\"time\":\"{time}\",\"record\":\"delivery\",\"destination\":\"collector\",\"outcome\":\"delivered\",\
             \"markers\":[\"{marker}\"],\"ms\":12}}",
            nth % REPOSITORIES,
            "0".repeat(40),
        )
        .expect("writing to a string");
        file.write_all(line.as_bytes()).expect("the disk has space");
    }
    file.flush().expect("the disk has space");
    fs::metadata(path).expect("the file exists").len()
}
