//! Runs the functions of a script on sample updates, and collects what throws, for `check`.

use std::collections::BTreeSet;

use super::{
    Decision, Draft, Guarded, Mark, Origin, Partial, Policy, PolicyFunction, Rule, ScriptError, Trace,
    UpdateContext,
};
use crate::{config::Limits, marker::Kind, sys::time::Deadline, text};

/// Environment of the marker that stands for those of a `decide` that marks no sample.
const ENVIRONMENT: &str = "production";

/// A script that is being tried on samples, and what it has done.
pub struct SampleRun {
    policy: Policy,
    limits: Limits,
    /// Number of samples so far.
    samples: usize,
    errors: Vec<SampleError>,
    /// Number of markers that `decide` asked for, and of others.
    asked: usize,
    others: usize,
    repeated: BTreeSet<String>,
    printed: Vec<String>,
}

/// A sample for which functions are called.
struct Sample<'a> {
    name: &'a str,
    context: &'a UpdateContext,
    /// True if `decide` asked for the markers, or is being called.
    is_asked: bool,
}

/// An error of a function, with the samples on which it occurs.
struct SampleError {
    function: PolicyFunction,
    error: ScriptError,
    samples: Vec<String>,
    /// As in [`Sample`].
    is_asked: bool,
}

impl SampleRun {
    /// Prepares a policy, which should have no other script than the one to try.
    pub fn of(mut policy: Policy, limits: &Limits) -> Self {
        policy.listen();
        Self {
            policy,
            limits: *limits,
            samples: 0,
            errors: Vec::new(),
            asked: 0,
            others: 0,
            repeated: BTreeSet::new(),
            printed: Vec::new(),
        }
    }

    /// Calls each function for a sample: `decide`, then `enrich` and `guard` for each marker. If
    /// `decide` asks for no marker, they get one that it might ask for elsewhere.
    pub fn on(&mut self, name: &str, context: &UpdateContext) {
        self.samples += 1;
        let confined = self.policy.confine();
        let mut sample = Sample { name, context, is_asked: true };
        let mut marks = match self.policy.decide(context, self.deadline(), &mut Trace::off()) {
            Ok(Decision::Marks(marks)) => marks,
            Ok(Decision::Skip { .. }) => Vec::new(),
            Err(error) => {
                self.note(PolicyFunction::Decide, error, &sample);
                Vec::new()
            }
        };
        if marks.is_empty() && !context.facts.update().is_deleted() {
            sample.is_asked = false;
            marks.extend(self.policy.origins().last().map(possible_mark));
        }
        let mut made: Vec<(Rule, Draft)> = Vec::new();
        for mark in marks {
            let draft = self.pass(draft(mark.partial, context), &sample);
            let Draft { kind, service, environment, .. } = &draft;
            let is_same = |(_, known): &&(Rule, Draft)| {
                (&known.kind, &known.service, &known.environment) == (kind, service, environment)
            };
            match made.iter().find(is_same) {
                Some((first, _)) => {
                    self.repeated.insert(same_marker(
                        [first, &mark.by],
                        *kind,
                        service,
                        environment.as_deref(),
                    ));
                }
                None => made.push((mark.by, draft)),
            }
        }
        drop(confined);
        let printed = self.policy.printed().into_iter();
        self.printed.extend(printed.map(|line| format!("on {name}: {line}")));
    }

    /// Calls `enrich` and `guard` for a marker, both even if one fails. Returns the enriched draft.
    fn pass(&mut self, mut draft: Draft, sample: &Sample<'_>) -> Draft {
        *if sample.is_asked { &mut self.asked } else { &mut self.others } += 1;
        match self.policy.enrich(draft.clone(), sample.context, self.deadline(), &mut Trace::off()) {
            Ok((enriched, _)) => draft = enriched,
            Err(error) => self.note(PolicyFunction::Enrich, error, sample),
        }
        match self.policy.guard(draft.clone(), sample.context, self.deadline(), &mut Trace::off()) {
            Ok(Guarded::Passed(passed)) => draft = passed,
            Ok(Guarded::Refused { .. }) => {}
            Err(error) => self.note(PolicyFunction::Guard, error, sample),
        }
        draft
    }

    fn deadline(&self) -> Deadline {
        Deadline::of_cpu(self.limits.time)
    }

    /// Notes an error. The samples do not have the files of a real repository, so an error after a
    /// missing one was read is ignored.
    fn note(&mut self, function: PolicyFunction, error: ScriptError, sample: &Sample<'_>) {
        if sample.context.facts.misses_file() {
            return;
        }
        let is_same = |known: &&mut SampleError| {
            (known.function, known.is_asked) == (function, sample.is_asked) && known.error == error
        };
        let on = sample.name.to_string();
        match self.errors.iter_mut().find(is_same) {
            // A sample may have several markers.
            Some(known) if known.samples.last() == Some(&on) => {}
            Some(known) => known.samples.push(on),
            None => {
                let is_asked = sample.is_asked;
                self.errors.push(SampleError { function, error, samples: vec![on], is_asked });
            }
        }
    }

    /// Returns the errors. An error for a marker that `decide` did not ask for counts only if the
    /// function failed in every call.
    pub fn errors(&self) -> Vec<ScriptError> {
        let is_real =
            |error: &&SampleError| error.is_asked || (self.asked == 0 && error.samples.len() == self.others);
        let describe = |error: &SampleError| {
            let on = if error.samples.len() == self.samples && self.samples > 1 {
                "every sample".to_string()
            } else {
                error.samples.join(", ")
            };
            error.error.clone().in_context(&format!("`{}` fails on {on}", error.function.as_str()))
        };
        self.errors.iter().filter(is_real).map(describe).collect()
    }

    /// Returns explanations of markers that were asked for twice.
    pub fn repeated(&self) -> impl Iterator<Item = &String> {
        self.repeated.iter()
    }

    /// Returns what the script printed, with the samples.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }
}

/// Returns a mark that a script which marks no sample might make for another update.
fn possible_mark(origin: &Origin) -> Mark {
    let environment = Some(ENVIRONMENT.into());
    let partial = Partial { kind: Some(Kind::Deployment), environment, ..Partial::default() };
    Mark { level: origin.level, by: Rule::in_file(origin.file_name()), partial }
}

/// Fills in what `decide` left out, as for a repository without configured services.
fn draft(partial: Partial, UpdateContext { facts, .. }: &UpdateContext) -> Draft {
    let tag = facts.version_tag();
    let id = facts.commit_id().ok().flatten().map(|id| id.to_string()).unwrap_or_default();
    Draft {
        kind: partial.kind.unwrap_or(if tag.is_some() { Kind::Release } else { Kind::Change }),
        service: partial.service.unwrap_or_else(|| facts.push().source().repository.name.clone()),
        version: partial.version.unwrap_or(id),
        environment: partial.environment,
        title: partial.title.unwrap_or_else(|| facts.update().ref_name().to_text()),
        attributes: partial.attributes,
    }
}

/// Explains that two rules ask for the same marker.
pub fn same_marker(by: [&Rule; 2], kind: Kind, service: &str, environment: Option<&str>) -> String {
    let place = environment.map(|name| format!(" to {}", text::line(name))).unwrap_or_default();
    let [first, second] = by;
    format!(
        "{first} and {second} ask for the same marker, a {} of {}{place}; only the first is kept",
        kind.as_str(),
        text::line(service)
    )
}
