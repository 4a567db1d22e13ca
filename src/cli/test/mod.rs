//! `test`: runs the golden tests of the policy.

mod from;
mod junit;
mod report;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use report::{Report, TestStatus};

use super::{Common, Completion, Verbosity, output, terminal::Terminal};
use crate::{
    golden::{self, FixtureRepo, Suite, TestFilePath},
    push::PushId,
    text,
};

/// Run the golden tests of policies: `*.test.toml` beside the scripts
///
/// A test defines a small history and a push, and the decision and markers that it expects. It runs
/// in a throw-away repository, with the same code as a real push. docs/policy.md describes every
/// key.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 if all tests pass, 1 if one fails or none is found, 2 for wrong \
                        usage.")]
pub(super) struct TestArgs {
    /// Directories, scripts or test files (default: the configured script directory)
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run only tests with TEXT in their name or their script's name
    #[arg(short = 'k', long, value_name = "TEXT")]
    filter: Option<String>,
    /// Use DIR as the directory of site.rhai, OWNER.rhai and OWNER/REPO.rhai
    ///
    /// Default: the configured directory if the tests are in it, else the directory in PATH.
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// Write the results into the tests that fail or have no expectations yet
    #[arg(long)]
    bless: bool,
    /// Print the outcome as JSON
    #[arg(long, conflicts_with = "bless")]
    json: bool,
    /// Also write the outcome to FILE as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print a test made from the push PUSH_ID in the journal, and run no tests
    #[arg(
        long,
        value_name = "PUSH_ID",
        conflicts_with_all = ["paths", "filter", "bless", "json", "junit"],
        help_heading = "Write a test"
    )]
    from: Option<PushId>,
    /// Append the test to FILE instead of printing it
    #[arg(long, value_name = "FILE", requires = "from", help_heading = "Write a test")]
    to: Option<PathBuf>,
    /// Include the content of the file at PATH; other files are listed by name only
    #[arg(long = "with-file", value_name = "PATH", requires = "from", help_heading = "Write a test")]
    with_files: Vec<String>,
    /// Read REPO, a path or OWNER/NAME (default: the one that the push went to)
    #[arg(long, value_name = "REPO", requires = "from", help_heading = "Write a test")]
    git_dir: Option<String>,
    #[command(flatten)]
    pub verbosity: Verbosity,
}

pub(super) fn run(args: &TestArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    if let Some(id) = args.from {
        return from::run(id, args, common, terminal);
    }
    let scripts = match &args.scripts {
        Some(scripts) => Some(scripts.clone()),
        None => common.load()?.scripts,
    };
    let places = golden::find(&args.paths, scripts.as_deref())?;
    let report = play(args, terminal, &places)?;
    if report.n_tests() == 0 && report.n_failed() == 0 {
        bail!("{}", none(args, scripts, &places));
    }
    if let Some(file) = &args.junit {
        output::write(file, &junit::text(&report)?)?;
    }
    if args.json {
        terminal.json(report.json())?;
    } else {
        report.print_failures(terminal)?;
        report.print_summary(terminal)?;
    }
    Ok(if report.n_failed() == 0 { Completion::Done } else { Completion::Found })
}

fn play(args: &TestArgs, terminal: &Terminal, places: &[TestFilePath]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut suites = Vec::new();
    for place in places {
        match Suite::load(place.clone()) {
            Ok(mut suite) => {
                if let Some(filter) = &args.filter {
                    suite.select(filter);
                }
                suites.push(suite);
            }
            Err(problems) => report.add_unreadable(place, &problems),
        }
    }
    let width = suites.iter().map(|suite| suite.label().chars().count()).max().unwrap_or_default();
    let mut stage = FixtureRepo::make()?;
    for suite in &suites {
        let mut group = report::Group::of(suite, suite.run(&mut stage));
        if args.bless {
            let blessed = suite.bless(group.tested())?;
            if !blessed.names.is_empty() {
                output::write(suite.path(), &blessed.text)?;
            }
            group.bless(&blessed);
        }
        if !args.json {
            group.print(terminal, width)?;
        }
        report.add(group);
    }
    Ok(report)
}

/// Returns a message that explains why no test ran.
fn none(args: &TestArgs, scripts: Option<PathBuf>, places: &[TestFilePath]) -> String {
    match &args.filter {
        Some(filter) if !places.is_empty() => format!(
            "no test has `{}` in its name; omit `--filter` to run {}",
            text::line(filter),
            text::count(places.len(), "file")
        ),
        _ if !places.is_empty() => {
            let empty: Vec<_> = places.iter().map(|place| format!("`{}`", place.path().display())).collect();
            format!("found no `[[test]]` in {}", empty.join(", "))
        }
        _ => {
            let dirs = if args.paths.is_empty() { scripts.into_iter().collect() } else { args.paths.clone() };
            let dirs: Vec<_> = dirs.iter().map(|dir| format!("`{}`", dir.display())).collect();
            format!("found no tests; looked for `*.test.toml` in {}", dirs.join(", "))
        }
    }
}
