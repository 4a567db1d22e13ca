//! Test results as JUnit XML, which build servers read.

use std::time::Duration;

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use super::{Report, TestStatus, report::Group};
use crate::golden::TestOutcome;

/// Returns the whole document.
///
/// # Errors
/// If the XML writer fails. No cause for this is known.
pub(super) fn text(report: &Report) -> anyhow::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let took = report.groups.iter().map(Group::took).sum();
    let mut root = BytesStart::new("testsuites");
    root.push_attribute(("name", "gitea-lightstep"));
    numbers(&mut root, report.n_tests() + report.unreadable.len(), report.n_failed(), took);
    writer.write_event(Event::Start(root))?;
    for file in &report.unreadable {
        suite(&mut writer, &file.label, 1, 1, Duration::ZERO)?;
        begin(&mut writer, "testcase", &[("classname", &file.label), ("name", "the file can be read")])?;
        failure(&mut writer, "the file cannot be read", &file.problems)?;
        end(&mut writer, "testcase")?;
        end(&mut writer, "testsuite")?;
    }
    for group in &report.groups {
        suite(&mut writer, &group.label, group.tested().len(), group.count(TestStatus::Fail), group.took())?;
        for (tested, word) in group.all() {
            let attributes = [
                ("classname", group.label.as_str()),
                ("name", &tested.name),
                ("file", &group.path.display().to_string()),
                ("line", &tested.line.to_string()),
                ("time", &seconds(tested.took)),
            ];
            begin(&mut writer, "testcase", &attributes)?;
            if word == TestStatus::Fail {
                let message = match tested.ending {
                    TestOutcome::Broken(_) => "the test cannot be run",
                    TestOutcome::Unexpecting(_) => "the test has no expectations",
                    TestOutcome::Differs(_) | TestOutcome::Passed => "the policy decided differently",
                };
                failure(&mut writer, message, &group.why(tested))?;
            }
            end(&mut writer, "testcase")?;
        }
        end(&mut writer, "testsuite")?;
    }
    end(&mut writer, "testsuites")?;
    Ok(String::from_utf8(writer.into_inner())? + "\n")
}

type Xml = Writer<Vec<u8>>;

fn suite(writer: &mut Xml, name: &str, tests: usize, failures: usize, took: Duration) -> anyhow::Result<()> {
    let mut suite = BytesStart::new("testsuite");
    suite.push_attribute(("name", &*legal(name)));
    numbers(&mut suite, tests, failures, took);
    Ok(writer.write_event(Event::Start(suite))?)
}

fn numbers(element: &mut BytesStart<'_>, tests: usize, failures: usize, took: Duration) {
    element.push_attribute(("tests", &*tests.to_string()));
    element.push_attribute(("failures", &*failures.to_string()));
    element.push_attribute(("errors", "0"));
    element.push_attribute(("time", &*seconds(took)));
}

fn failure(writer: &mut Xml, message: &str, lines: &[String]) -> anyhow::Result<()> {
    begin(writer, "failure", &[("message", message)])?;
    writer.write_event(Event::Text(BytesText::new(&legal(&lines.join("\n")))))?;
    end(writer, "failure")
}

fn begin(writer: &mut Xml, name: &str, attributes: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut element = BytesStart::new(name);
    for (key, value) in attributes {
        element.push_attribute((*key, &*legal(value)));
    }
    Ok(writer.write_event(Event::Start(element))?)
}

fn end(writer: &mut Xml, name: &str) -> anyhow::Result<()> {
    Ok(writer.write_event(Event::End(BytesEnd::new(name)))?)
}

fn seconds(took: Duration) -> String {
    format!("{:.6}", took.as_secs_f64())
}

/// Replaces the characters that XML cannot represent.
fn legal(text: &str) -> String {
    let is_legal = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    text.chars()
        .map(|c| if is_legal(c) && !matches!(c, '\u{fffe}' | '\u{ffff}') { c } else { '\u{fffd}' })
        .collect()
}
