//! The report of `connect`: each answer with its fix, and the steps that need a person.

use std::io;

use serde::Serialize;

use super::{
    destinations::{DestinationTest, TestAnswer},
    event_query::{EventQueryOutcome, SetUp},
};
use crate::{cli::terminal::Terminal, marker::name, text};

/// The report.
#[derive(Debug, Serialize)]
pub(super) struct ConnectReport {
    destinations: Vec<DestinationTest>,
    event_query: Option<SetUp>,
    /// Manual step in Lightstep, if Lightstep is among the destinations.
    register: Option<Register>,
}

/// The version attribute, which has to be registered by hand (reference/lightstep.md, sections 1a
/// and 1b).
#[derive(Debug, Serialize)]
struct Register {
    place: &'static str,
    field: &'static str,
    value: &'static str,
}

impl ConnectReport {
    pub fn new(destinations: Vec<DestinationTest>, event_query: Option<SetUp>, has_lightstep: bool) -> Self {
        let register = Register {
            place: "Project Settings > Deployment Settings",
            field: "Version Attribute",
            value: name::SERVICE_VERSION,
        };
        Self { destinations, event_query, register: has_lightstep.then_some(register) }
    }

    /// Returns true if all tests succeeded and the event query, if requested, exists.
    pub fn is_well(&self) -> bool {
        use TestAnswer::{Accepts, Known, Reached, Taken};
        let is_there = |set_up: &SetUp| {
            !matches!(set_up.outcome, EventQueryOutcome::Failed | EventQueryOutcome::Uncertain)
        };
        self.destinations.iter().all(|test| matches!(test.answer, Taken | Known | Accepts | Reached))
            && self.event_query.as_ref().is_none_or(is_there)
    }

    pub fn print(&self, terminal: &Terminal) -> io::Result<()> {
        for test in &self.destinations {
            let said = match (test.answer, test.status) {
                (TestAnswer::Taken, _) => "accepted the test marker",
                (TestAnswer::Known, _) => "accepts our credentials (kind \"http\" gets no test marker)",
                (TestAnswer::Accepts, _) => "accepts requests (logs = \"none\" gets no test marker)",
                (TestAnswer::Reached, _) => "answers (kind \"http\" gets no test marker)",
                (TestAnswer::Rejected, _) => "accepted the request, but rejected the test marker",
                (TestAnswer::Refused, Some(401 | 403)) => "does not accept the token",
                (TestAnswer::Refused, _) => "refused the test marker",
                (TestAnswer::Later, _) => "did not accept the test marker",
                (TestAnswer::Unready, _) => "was not contacted",
            };
            let name = format!("{:<11}", text::line(&test.destination));
            let line = format!("{}  {said} ({})", terminal.bold(&name), test.address);
            terminal.row(line)?;
            details(test.why.as_deref(), test.fix.as_deref(), terminal)?;
        }
        if let Some(set_up) = &self.event_query {
            set_up.print(terminal)?;
        } else if self.register.is_some() {
            terminal.say(format_args!(
                "{}  not created: [lightstep] has no `organization`, `project` and `api_key`",
                terminal.bold("event query")
            ))?;
        }
        if self.destinations.iter().any(|test| test.answer == TestAnswer::Taken) {
            terminal.say(
                "\nThe test marker has the event name gitea_lightstep.test and the service name \
                 gitea-lightstep.",
            )?;
        }
        if let Some(register) = &self.register {
            terminal.row(format_args!(
                "\nOne manual step is left, once for each project, because Lightstep has no API for it:\n  \
                 {}\n  {}: {}\nWithout it, Lightstep draws no deployment markers.",
                register.place, register.field, register.value
            ))?;
        }
        Ok(())
    }
}

impl SetUp {
    fn print(&self, terminal: &Terminal) -> io::Result<()> {
        let said = match self.outcome {
            EventQueryOutcome::Created => "was created",
            EventQueryOutcome::Unchanged => "is up to date",
            EventQueryOutcome::Updated => "existed, and was corrected",
            EventQueryOutcome::Uncertain => "may exist, so none was created",
            EventQueryOutcome::Failed => "was not set up",
        };
        let id = self.id.as_deref().map(|id| format!(", id {}", text::line(id))).unwrap_or_default();
        terminal.row(format_args!(
            "{}  `{}` in {}/{} {said}{id}",
            terminal.bold("event query"),
            self.name,
            text::line(&self.organization),
            text::line(&self.project)
        ))?;
        if self.outcome != EventQueryOutcome::Failed {
            terminal.say(format_args!("             {}", text::line_of(&self.query, 1000)))?;
        }
        details(self.why.as_deref(), self.fix.as_deref(), terminal)
    }
}

fn details(why: Option<&str>, fix: Option<&str>, terminal: &Terminal) -> io::Result<()> {
    why.into_iter().try_for_each(|why| terminal.row(format_args!("             {why}")))?;
    fix.into_iter().try_for_each(|fix| terminal.row(format_args!("             -> {fix}")))
}
