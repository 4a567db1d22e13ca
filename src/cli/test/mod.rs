//! `test`: the policy's golden tests.

mod from;
mod junit;
mod report;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use report::{Report, Word};

use super::{Common, Ending, output, terminal::Terminal};
use crate::{
    golden::{self, Place, Stage, Suite},
    push::PushId,
    text,
};

/// Run the golden tests of policies: `*.test.toml` beside the scripts
///
/// A test says a small history and a push, and which decision and markers are expected of it. It is played in a
/// throw-away repository and decided as a push is. docs/policy.md has every key.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 all passed, 1 one failed or there was none, 2 usage.")]
pub(super) struct TestArgs {
    /// Directories, scripts or files of tests; otherwise the configured directory of scripts
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run only tests whose name, or whose script's, holds TEXT
    #[arg(short = 'k', long, value_name = "TEXT")]
    filter: Option<String>,
    /// Take DIR as the directory of site.rhai, OWNER.rhai and OWNER/REPO.rhai
    ///
    /// Otherwise it is the configured one where the tests are in it, or the directory that was named.
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// Write what was found into the tests that fail or expect nothing yet
    #[arg(long)]
    bless: bool,
    /// Print the outcome as JSON
    #[arg(long, conflicts_with = "bless")]
    json: bool,
    /// Write the outcome to FILE as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print a test of the push PUSH_ID, as the journal has it, and run none
    #[arg(
        long,
        value_name = "PUSH_ID",
        conflicts_with_all = ["paths", "filter", "bless", "json", "junit"],
        help_heading = "Write a test"
    )]
    from: Option<PushId>,
    /// Put it into FILE, behind what is there, instead
    #[arg(long, value_name = "FILE", requires = "from", help_heading = "Write a test")]
    to: Option<PathBuf>,
    /// Tell the content of the file at PATH, in every commit; other files are told by name alone
    #[arg(long = "with-file", value_name = "PATH", requires = "from", help_heading = "Write a test")]
    with_files: Vec<String>,
    /// Read the repository in DIR; otherwise where the push went
    #[arg(long, value_name = "DIR", requires = "from", help_heading = "Write a test")]
    git_dir: Option<PathBuf>,
}

pub(super) fn run(args: &TestArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
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
        terminal.answer(report.json())?;
    } else {
        report.print_failures(terminal)?;
        report.print_summary(terminal)?;
    }
    Ok(if report.n_failed() == 0 { Ending::Done } else { Ending::Found })
}

fn play(args: &TestArgs, terminal: &Terminal, places: &[Place]) -> anyhow::Result<Report> {
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
    let mut stage = Stage::make()?;
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

/// Returns why not one test was run.
fn none(args: &TestArgs, scripts: Option<PathBuf>, places: &[Place]) -> String {
    match &args.filter {
        Some(filter) if !places.is_empty() => format!(
            "no test's name holds `{}`; leave `--filter` out to run {}",
            text::line(filter),
            text::count(places.len(), "file")
        ),
        _ if !places.is_empty() => {
            let empty: Vec<_> = places.iter().map(|place| format!("`{}`", place.path().display())).collect();
            format!("there is no `[[test]]` in {}", empty.join(", "))
        }
        _ => {
            let dirs = if args.paths.is_empty() { scripts.into_iter().collect() } else { args.paths.clone() };
            let dirs: Vec<_> = dirs.iter().map(|dir| format!("`{}`", dir.display())).collect();
            format!("there is no test; looked for `*.test.toml` in {}", dirs.join(", "))
        }
    }
}
