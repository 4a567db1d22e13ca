//! Measures the cost of a push with and without gitea-lightstep: `cargo bench --bench push`.
//!
//! README.md in this directory explains each measurement and why the comparison is fair. The exit
//! status is 1 if a claim is not met.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the benchmark prints a report")]

mod backlog;
mod describe;
mod explain;
mod footprint;
mod latency;
mod limits;
mod many_refs;
mod policy;
mod ranges;
mod scan;
mod support;
mod trial;

use std::process::ExitCode;

use support::{launcher, verdict::Verdict};

const USAGE: &str = "\
Usage: cargo bench --bench push [-- OPTIONS]

  --rounds N   time N pushes of each variant (default 60)
  --runs N     repeat each measurement of the other parts N times (default 5)
  --against FILE
               also time the same pushes with another build of gitea-lightstep
  --only PART  run only PART: latency, footprint, many-refs, backlog, try, explain,
               limits, policy, ranges, describe or scan";

/// Parsed command line.
struct Args {
    rounds: usize,
    runs: usize,
    only: Option<String>,
    against: Option<String>,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == launcher::FLAG).is_some() {
        return launcher::run(args);
    }
    if args.next_if(|arg| arg == ranges::FLAG).is_some() {
        return ranges::answer(args);
    }
    if args.next_if(|arg| arg == describe::FLAG).is_some() {
        return describe::answer(args);
    }
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    // `cargo test --benches` and nextest also run bench targets, without `--bench`. Do nothing
    // there.
    if !args.iter().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let args = match Args::parse(&args) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };

    let mut verdict = Verdict::default();
    if args.wants("latency") {
        latency::run(args.rounds, args.against.as_deref(), &mut verdict);
    }
    if args.wants("footprint") {
        footprint::run(args.runs, &mut verdict);
    }
    if args.wants("many-refs") {
        many_refs::run(args.runs, &mut verdict);
    }
    if args.wants("backlog") {
        backlog::run(args.runs, &mut verdict);
    }
    if args.wants("try") {
        trial::run(args.runs, &mut verdict);
    }
    if args.wants("explain") {
        explain::run(args.runs, &mut verdict);
    }
    if args.wants("limits") {
        limits::run(args.runs, &mut verdict);
    }
    if args.wants("policy") {
        policy::run(&mut verdict);
    }
    if args.wants("ranges") {
        ranges::run(args.runs, &mut verdict);
    }
    if args.wants("describe") {
        describe::run(args.runs, &mut verdict);
    }
    if args.wants("scan") {
        scan::run(args.runs, &mut verdict);
    }
    verdict.print()
}

impl Args {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut parsed = Self { rounds: 60, runs: 5, only: None, against: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--bench" => {}
                "--rounds" => parsed.rounds = count(value()?)?,
                "--runs" => parsed.runs = count(value()?)?,
                "--against" => parsed.against = Some(value()?.clone()),
                "--only" => match value()?.as_str() {
                    part @ ("latency" | "footprint" | "many-refs" | "backlog" | "try" | "explain"
                    | "limits" | "policy" | "ranges" | "describe" | "scan") => {
                        parsed.only = Some(part.to_string());
                    }
                    part => return Err(format!("unknown part `{part}`")),
                },
                _ => return Err(format!("unknown argument: {arg}")),
            }
        }
        Ok(parsed)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("expected a number above 0, found `{text}`"))
}
