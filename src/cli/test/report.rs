//! Test results, as text and JSON.

use std::{io, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::Terminal;
use crate::{
    config::ConfigProblem,
    golden::{Blessed, Difference, Line, Suite, TestFilePath, TestOutcome, TestResult},
    text,
};

/// Results of all files.
#[derive(Default)]
pub(super) struct Report {
    pub groups: Vec<Group>,
    pub unreadable: Vec<UnreadableFile>,
}

/// A file whose tests cannot be read.
pub(super) struct UnreadableFile {
    pub label: String,
    pub problems: Vec<String>,
}

/// Results of the tests in one file.
pub(super) struct Group {
    pub label: String,
    pub path: PathBuf,
    tested: Vec<TestResult>,
    words: Vec<TestStatus>,
    /// Names of the tests that could not be blessed, each with the reason.
    refused: Vec<(String, String)>,
}

/// Result of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TestStatus {
    Pass,
    Fail,
    Blessed,
}

impl Group {
    pub fn of(suite: &Suite, tested: Vec<TestResult>) -> Self {
        let word = |tested: &TestResult| match tested.ending {
            TestOutcome::Passed => TestStatus::Pass,
            TestOutcome::Differs(_) | TestOutcome::Unexpecting(_) | TestOutcome::Broken(_) => {
                TestStatus::Fail
            }
        };
        let words = tested.iter().map(word).collect();
        Self { label: suite.label(), path: suite.path().into(), tested, words, refused: Vec::new() }
    }

    pub fn tested(&self) -> &[TestResult] {
        &self.tested
    }

    /// Returns each test with its result.
    pub fn all(&self) -> impl Iterator<Item = (&TestResult, TestStatus)> {
        self.tested.iter().zip(self.words.iter().copied())
    }

    /// Marks the tests that got new expectations.
    pub fn bless(&mut self, blessed: &Blessed) {
        for (tested, word) in self.tested.iter().zip(&mut self.words) {
            if blessed.names.contains(&tested.name) {
                *word = TestStatus::Blessed;
            }
        }
        self.refused.clone_from(&blessed.refused);
    }

    pub fn count(&self, word: TestStatus) -> usize {
        self.words.iter().filter(|there| **there == word).count()
    }

    pub fn took(&self) -> Duration {
        self.tested.iter().map(|tested| tested.took).sum()
    }

    /// Prints a line for each test.
    pub fn print(&self, terminal: &Terminal, width: usize) -> io::Result<()> {
        for (tested, word) in self.all() {
            let line =
                format!("{} {:width$}  {}", word.shown(terminal), self.label, text::line(&tested.name));
            if terminal.is_verbose() {
                terminal.say(format_args!("{line}  {:.1} ms", tested.took.as_secs_f64() * 1000.0))?;
            } else {
                terminal.say(line)?;
            }
            for note in &tested.notes {
                terminal.say(format_args!("      {note}"))?;
            }
            if word == TestStatus::Blessed {
                changes(tested).iter().try_for_each(|line| terminal.say(coloured(terminal, line)))?;
            }
        }
        Ok(())
    }

    fn print_failures(&self, terminal: &Terminal) -> io::Result<()> {
        for (tested, _) in self.all().filter(|(_, word)| *word == TestStatus::Fail) {
            let word = TestStatus::Fail.shown(terminal);
            terminal.answer(format_args!("\n{word} {}  {}", self.label, text::line(&tested.name)))?;
            terminal.answer(format_args!("      {}:{}", self.path.display(), tested.line))?;
            for line in self.why(tested) {
                terminal.answer(coloured(terminal, &line))?;
            }
        }
        Ok(())
    }

    /// Returns the reasons why a test failed, line by line.
    pub fn why(&self, tested: &TestResult) -> Vec<String> {
        let mut lines = Vec::new();
        match &tested.ending {
            TestOutcome::Passed | TestOutcome::Differs(_) => {}
            TestOutcome::Broken(why) => lines.push(text::line_of(why, text::SHOWN * 5)),
            TestOutcome::Unexpecting(_) => {
                lines.push("the test has no expectations; --bless would write these".into());
            }
        }
        lines.extend(changes(tested));
        let refused = self.refused.iter().find(|(name, _)| *name == tested.name);
        lines.extend(refused.map(|(_, why)| format!("not blessed: {}", text::line_of(why, text::SHOWN * 5))));
        lines
    }
}

/// Returns the lines that differ between the expectations of a test and its results.
fn changes(tested: &TestResult) -> Vec<String> {
    let (TestOutcome::Differs(differences) | TestOutcome::Unexpecting(differences)) = &tested.ending else {
        return Vec::new();
    };
    let lines = |difference: &Difference| {
        let lines = difference.lines.iter().map(ToString::to_string);
        [difference.subject.clone()].into_iter().chain(lines).collect::<Vec<_>>()
    };
    differences.iter().flat_map(lines).collect()
}

/// Indents a line of a difference, and colours it.
fn coloured(terminal: &Terminal, line: &str) -> String {
    let line = match line.as_bytes().first() {
        Some(b'-') => terminal.red(line),
        Some(b'+') => terminal.green(line),
        _ => line.to_string(),
    };
    format!("      {line}")
}

impl Report {
    pub fn add(&mut self, group: Group) {
        self.groups.push(group);
    }

    pub fn add_unreadable(&mut self, place: &TestFilePath, problems: &[ConfigProblem]) {
        let problems = problems.iter().map(ToString::to_string).collect();
        self.unreadable.push(UnreadableFile { label: place.label(), problems });
    }

    pub fn n_tests(&self) -> usize {
        self.groups.iter().map(|group| group.tested.len()).sum()
    }

    /// Returns the number of failures. A file that cannot be read counts as one.
    pub fn n_failed(&self) -> usize {
        self.count(TestStatus::Fail) + self.unreadable.len()
    }

    fn count(&self, word: TestStatus) -> usize {
        self.groups.iter().map(|group| group.count(word)).sum()
    }

    /// Prints each failure with its reasons.
    pub fn print_failures(&self, terminal: &Terminal) -> io::Result<()> {
        for file in &self.unreadable {
            terminal.answer(format_args!(
                "\n{} {}  cannot be read",
                TestStatus::Fail.shown(terminal),
                file.label
            ))?;
            for problem in &file.problems {
                terminal.answer(format_args!("      {problem}"))?;
            }
        }
        self.groups.iter().try_for_each(|group| group.print_failures(terminal))
    }

    /// Prints the numbers of passed and failed tests.
    pub fn print_summary(&self, terminal: &Terminal) -> io::Result<()> {
        let blessed = match self.count(TestStatus::Blessed) {
            0 => String::new(),
            n => format!("{n} blessed, "),
        };
        let failed = self.n_failed();
        let summary = format!("{} passed, {blessed}{failed} failed", self.count(TestStatus::Pass));
        if failed == 0 {
            terminal.say(summary)
        } else {
            terminal.answer(format_args!("\n{}", terminal.bold(&summary)))
        }
    }

    pub fn json(&self) -> Value {
        let tests = self.groups.iter().flat_map(|group| {
            group.all().map(|(tested, word)| {
                let differences: Vec<_> = match &tested.ending {
                    TestOutcome::Differs(all) | TestOutcome::Unexpecting(all) => {
                        all.iter().map(difference).collect()
                    }
                    TestOutcome::Passed | TestOutcome::Broken(_) => Vec::new(),
                };
                let mut test = json!({
                    "of": group.label,
                    "name": tested.name,
                    "file": group.path.display().to_string(),
                    "line": tested.line,
                    "passed": word == TestStatus::Pass,
                    "ms": tested.took.as_secs_f64() * 1000.0,
                    "differences": differences,
                    "notes": tested.notes,
                });
                if let TestOutcome::Broken(why) = &tested.ending {
                    test["error"] = why.as_str().into();
                }
                test
            })
        });
        json!({
            "passed": self.count(TestStatus::Pass),
            "failed": self.n_failed(),
            "tests": tests.collect::<Vec<_>>(),
            "problems": self.unreadable.iter().flat_map(|file| &file.problems).collect::<Vec<_>>(),
        })
    }
}

fn difference(difference: &Difference) -> Value {
    let lines =
        |pick: fn(&Line) -> Option<&String>| difference.lines.iter().filter_map(pick).collect::<Vec<_>>();
    json!({
        "subject": difference.subject,
        "expected": lines(|line| match line {
            Line::Same(line) | Line::Expected(line) => Some(line),
            Line::Found(_) => None,
        }),
        "found": lines(|line| match line {
            Line::Same(line) | Line::Found(line) => Some(line),
            Line::Expected(_) => None,
        }),
    })
}

impl TestStatus {
    fn shown(self, terminal: &Terminal) -> String {
        match self {
            Self::Pass => terminal.green("pass "),
            Self::Fail => terminal.red("FAIL "),
            Self::Blessed => terminal.bold("bless"),
        }
    }
}
