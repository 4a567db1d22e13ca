//! What came of the tests, for people and as JSON.

use std::{io, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::Terminal;
use crate::{
    config::Problem,
    golden::{Blessed, Difference, Ending, Line, Place, Suite, Tested},
    text,
};

/// What came of every file.
#[derive(Default)]
pub(super) struct Report {
    pub groups: Vec<Group>,
    pub unreadable: Vec<Unreadable>,
}

/// A file that holds no tests that could be run.
pub(super) struct Unreadable {
    pub label: String,
    pub problems: Vec<String>,
}

/// The tests of one file.
pub(super) struct Group {
    pub label: String,
    pub path: PathBuf,
    tested: Vec<Tested>,
    words: Vec<Word>,
    /// Why those that should have been blessed were not.
    refused: Vec<(String, String)>,
}

/// How a test ended, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Pass,
    Fail,
    Blessed,
}

impl Group {
    pub fn of(suite: &Suite, tested: Vec<Tested>) -> Self {
        let word = |tested: &Tested| match tested.ending {
            Ending::Passed => Word::Pass,
            Ending::Differs(_) | Ending::Unexpecting(_) | Ending::Broken(_) => Word::Fail,
        };
        let words = tested.iter().map(word).collect();
        Self { label: suite.label(), path: suite.path().into(), tested, words, refused: Vec::new() }
    }

    pub fn tested(&self) -> &[Tested] {
        &self.tested
    }

    /// Returns each test with how it ended.
    pub fn all(&self) -> impl Iterator<Item = (&Tested, Word)> {
        self.tested.iter().zip(self.words.iter().copied())
    }

    /// Notes which tests have new expectations.
    pub fn bless(&mut self, blessed: &Blessed) {
        for (tested, word) in self.tested.iter().zip(&mut self.words) {
            if blessed.names.contains(&tested.name) {
                *word = Word::Blessed;
            }
        }
        self.refused.clone_from(&blessed.refused);
    }

    pub fn count(&self, word: Word) -> usize {
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
        }
        Ok(())
    }

    fn print_failures(&self, terminal: &Terminal) -> io::Result<()> {
        for (tested, _) in self.all().filter(|(_, word)| *word == Word::Fail) {
            let word = Word::Fail.shown(terminal);
            terminal.answer(format_args!("\n{word} {}  {}", self.label, text::line(&tested.name)))?;
            terminal.answer(format_args!("      {}:{}", self.path.display(), tested.line))?;
            for line in self.why(tested) {
                let line = match line.as_bytes().first() {
                    Some(b'-') => terminal.red(&line),
                    Some(b'+') => terminal.green(&line),
                    _ => line,
                };
                terminal.answer(format_args!("      {line}"))?;
            }
        }
        Ok(())
    }

    /// Returns why a test failed, line by line.
    pub fn why(&self, tested: &Tested) -> Vec<String> {
        let mut lines = Vec::new();
        match &tested.ending {
            Ending::Passed => {}
            Ending::Broken(why) => lines.push(text::line_of(why, text::SHOWN * 5)),
            Ending::Differs(differences) => {
                differences.iter().for_each(|difference| say(&mut lines, difference));
            }
            Ending::Unexpecting(differences) => {
                lines.push("it does not say what it expects; with --bless, it would be this".into());
                differences.iter().for_each(|difference| say(&mut lines, difference));
            }
        }
        let refused = self.refused.iter().find(|(name, _)| *name == tested.name);
        lines.extend(refused.map(|(_, why)| format!("not blessed: {}", text::line_of(why, text::SHOWN * 5))));
        lines
    }
}

fn say(lines: &mut Vec<String>, difference: &Difference) {
    lines.push(difference.subject.clone());
    lines.extend(difference.lines.iter().map(ToString::to_string));
}

impl Report {
    pub fn add(&mut self, group: Group) {
        self.groups.push(group);
    }

    pub fn add_unreadable(&mut self, place: &Place, problems: &[Problem]) {
        let problems = problems.iter().map(ToString::to_string).collect();
        self.unreadable.push(Unreadable { label: place.label(), problems });
    }

    pub fn n_tests(&self) -> usize {
        self.groups.iter().map(|group| group.tested.len()).sum()
    }

    /// Returns how many failed; a file that cannot be read counts as one.
    pub fn n_failed(&self) -> usize {
        self.count(Word::Fail) + self.unreadable.len()
    }

    fn count(&self, word: Word) -> usize {
        self.groups.iter().map(|group| group.count(word)).sum()
    }

    /// Prints what failed, and why.
    pub fn print_failures(&self, terminal: &Terminal) -> io::Result<()> {
        for file in &self.unreadable {
            terminal.answer(format_args!(
                "\n{} {}  cannot be read",
                Word::Fail.shown(terminal),
                file.label
            ))?;
            for problem in &file.problems {
                terminal.answer(format_args!("      {problem}"))?;
            }
        }
        self.groups.iter().try_for_each(|group| group.print_failures(terminal))
    }

    /// Prints how many passed and failed.
    pub fn print_summary(&self, terminal: &Terminal) -> io::Result<()> {
        let blessed = match self.count(Word::Blessed) {
            0 => String::new(),
            n => format!("{n} blessed, "),
        };
        let failed = self.n_failed();
        let summary = format!("{} passed, {blessed}{failed} failed", self.count(Word::Pass));
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
                    Ending::Differs(all) | Ending::Unexpecting(all) => all.iter().map(difference).collect(),
                    Ending::Passed | Ending::Broken(_) => Vec::new(),
                };
                let mut test = json!({
                    "of": group.label,
                    "name": tested.name,
                    "file": group.path.display().to_string(),
                    "line": tested.line,
                    "passed": word == Word::Pass,
                    "ms": tested.took.as_secs_f64() * 1000.0,
                    "differences": differences,
                });
                if let Ending::Broken(why) = &tested.ending {
                    test["error"] = why.as_str().into();
                }
                test
            })
        });
        json!({
            "passed": self.count(Word::Pass),
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

impl Word {
    fn shown(self, terminal: &Terminal) -> String {
        match self {
            Self::Pass => terminal.green("pass "),
            Self::Fail => terminal.red("FAIL "),
            Self::Blessed => terminal.bold("bless"),
        }
    }
}
