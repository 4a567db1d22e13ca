//! What `connect` has to say: each answer, what to do, and what only a person can.

use std::io;

use serde::Serialize;

use super::{
    destinations::{Answer, Test},
    event_query::{Outcome, SetUp},
};
use crate::{cli::terminal::Terminal, marker::name, text};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    destinations: Vec<Test>,
    event_query: Option<SetUp>,
    /// What a person has to do in Lightstep, `None` where it is not among the destinations.
    register: Option<Register>,
}

/// The version attribute, which no API registers (reference/lightstep.md, sections 1a and 1b).
#[derive(Debug, Serialize)]
struct Register {
    place: &'static str,
    field: &'static str,
    value: &'static str,
}

impl Told {
    pub fn new(destinations: Vec<Test>, event_query: Option<SetUp>, has_lightstep: bool) -> Self {
        let register = Register {
            place: "Project Settings > Deployment Settings",
            field: "Version Attribute",
            value: name::SERVICE_VERSION,
        };
        Self { destinations, event_query, register: has_lightstep.then_some(register) }
    }

    /// Returns whether all was taken, and the event query is there if it was to be.
    pub fn is_well(&self) -> bool {
        let is_there = |set_up: &SetUp| !matches!(set_up.outcome, Outcome::Failed | Outcome::Uncertain);
        self.destinations
            .iter()
            .all(|test| matches!(test.answer, Answer::Taken | Answer::Known | Answer::Reached))
            && self.event_query.as_ref().is_none_or(is_there)
    }

    pub fn print(&self, terminal: &Terminal) -> io::Result<()> {
        for test in &self.destinations {
            let said = match (test.answer, test.status) {
                (Answer::Taken, _) => "took the test marker",
                (Answer::Known, _) => "knows us (a destination of kind \"http\" is sent no test marker)",
                (Answer::Reached, _) => "answers (a destination of kind \"http\" is sent no test marker)",
                (Answer::Rejected, _) => "took the request, and rejected the test marker in it",
                (Answer::Refused, Some(401 | 403)) => "does not accept the token",
                (Answer::Refused, _) => "refused the test marker",
                (Answer::Later, _) => "did not take the test marker",
                (Answer::Unready, _) => "was sent nothing",
            };
            let name = format!("{:<11}", text::line(&test.destination));
            let line = format!("{}  {said} ({})", terminal.bold(&name), test.address);
            terminal.answer(line)?;
            details(test.why.as_deref(), test.fix.as_deref(), terminal)?;
        }
        if let Some(set_up) = &self.event_query {
            set_up.print(terminal)?;
        } else if self.register.is_some() {
            terminal.say(format_args!(
                "{}  none is made: [lightstep] has no `organization`, `project` and `api_key`",
                terminal.bold("event query")
            ))?;
        }
        if self.destinations.iter().any(|test| test.answer == Answer::Taken) {
            terminal.say("\nThe test marker has the event name gitea_lightstep.test, and is of the service gitea-lightstep.")?;
        }
        if let Some(register) = &self.register {
            terminal.answer(format_args!(
                "\nLeft to do by hand, once for each project, for there is no API for it:\n  {}\n  {}: {}\n\
                 Without it Lightstep draws no deployment markers, whatever it is sent.",
                register.place, register.field, register.value
            ))?;
        }
        Ok(())
    }
}

impl SetUp {
    fn print(&self, terminal: &Terminal) -> io::Result<()> {
        let said = match self.outcome {
            Outcome::Created => "is created",
            Outcome::Unchanged => "is there, and as it should be",
            Outcome::Updated => "was there, and is put right",
            Outcome::Uncertain => "may be there, and none is created",
            Outcome::Failed => "is not set up",
        };
        let id = self.id.as_deref().map(|id| format!(", id {}", text::line(id))).unwrap_or_default();
        terminal.answer(format_args!(
            "{}  `{}` in {}/{} {said}{id}",
            terminal.bold("event query"),
            self.name,
            text::line(&self.organization),
            text::line(&self.project)
        ))?;
        if self.outcome != Outcome::Failed {
            terminal.say(format_args!("             {}", text::line_of(&self.query, 1000)))?;
        }
        details(self.why.as_deref(), self.fix.as_deref(), terminal)
    }
}

fn details(why: Option<&str>, fix: Option<&str>, terminal: &Terminal) -> io::Result<()> {
    why.into_iter().try_for_each(|why| terminal.answer(format_args!("             {why}")))?;
    fix.into_iter().try_for_each(|fix| terminal.answer(format_args!("             -> {fix}")))
}
