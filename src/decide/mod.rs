//! From a push to markers: the one function that the hook, the deliverer, `scan`, `backfill` and
//! `try` call.

mod drafts;
mod interval;
mod make;
mod memory;
mod since;

use std::{cell::Cell, ops::Range, rc::Rc, time::Duration};

use drafts::Plan;
use make::Fate;
pub use memory::{Deployed, Memory, Passing, Place};

use crate::{
    config::Config,
    facts::{FactError, Facts, Repository},
    marker::Marker,
    policy::{Decision, Mark, Matter, Policy, PolicyError, Rule, ScriptError, Scripts, Step, Trace},
    push::Push,
    service::Services,
    time::Deadline,
};

/// How many updates are decided at once. Whoever asks writes down what came of them while the processor still has it at
/// hand, and gives back so little memory at a time that the allocator hands it out again at once: 64 took a twentieth longer.
const CHUNK: usize = 4;

/// How much that is wrong about one update is told.
const MAX_TROUBLES: usize = 8;

/// The beginning of refs that are ours: `doctor` pushes one to see whether the hook takes it. No policy is asked about them.
pub const REHEARSAL: &str = "refs/gitea-lightstep/";

/// How much time the policy has.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// One deadline for everything: the hook's. What is not decided by then is left to the
    /// background.
    Push(Deadline),
    /// The limit anew for each update: the background's.
    Update,
}

/// What became of some updates of a push.
#[derive(Debug, Default)]
pub struct Decided {
    /// One verdict an update, in order, from the first that was asked for.
    pub verdicts: Vec<Verdict>,
    /// Whether the budget is used up.
    pub is_out_of_time: bool,
}

/// What became of one update, and why.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The place of the update in its push.
    pub update: usize,
    /// The place in the policy that wants no marker, or refused one.
    pub by: Option<Rule>,
    /// What happened, in a word for the journal.
    pub outcome: Outcome,
    /// The markers that passed every guard.
    pub markers: Vec<Made>,
    /// Facts that the markers have to do without, and why.
    pub missing: Option<FactError>,
    /// What each layer said, if the decider was asked to note it.
    pub steps: Vec<Step>,
}

/// A marker, and the place in the policy that asked for it.
#[derive(Clone, Debug)]
pub struct Made {
    /// The marker.
    pub marker: Marker,
    /// The place.
    pub by: Rule,
    /// What it is to be remembered as, if it says what runs in an environment now.
    pub deployed: Option<(Place, Deployed)>,
}

/// How the decision of an update ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It became markers.
    Marked,
    /// The policy wants no marker of it.
    Skipped(String),
    /// A guard refused a marker of it.
    Refused(String),
    /// The policy failed, which costs the update its markers.
    Failed(String),
}

impl Outcome {
    /// Returns the journal's word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Skipped(_) => "skipped",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// Returns the reason, which may be empty.
    pub fn why(&self) -> &str {
        match self {
            Self::Marked => "",
            Self::Skipped(why) | Self::Refused(why) | Self::Failed(why) => why,
        }
    }
}

/// Everything that decides the updates of one repository.
pub struct Decider<'a> {
    config: &'a Config,
    repository: Result<Rc<Repository>, FactError>,
    policy: Result<Policy, PolicyError>,
    push: Rc<Push>,
    memory: &'a dyn Memory,
    is_traced: bool,
    /// For how long histories were walked.
    walked: Cell<Duration>,
}

impl<'a> Decider<'a> {
    /// Opens the push's repository and compiles its policy. That either fails is no error yet: it
    /// is told of each update that needs it.
    pub fn new(
        config: &'a Config,
        push: Push,
        hook_page: Option<std::path::PathBuf>,
        memory: &'a dyn Memory,
    ) -> Self {
        let scripts = Scripts { dir: config.scripts.clone(), hook_page, draft: None };
        Self::with_scripts(config, push, &scripts, memory)
    }

    /// Does the same with scripts that are not those of the configuration.
    pub fn with_scripts(config: &'a Config, push: Push, scripts: &Scripts, memory: &'a dyn Memory) -> Self {
        Self {
            config,
            repository: Repository::open(&push.source().git_dir).map(Rc::new),
            policy: Policy::load(scripts, &push.source().repository, &config.limits),
            push: Rc::new(push),
            memory,
            is_traced: false,
            walked: Cell::default(),
        }
    }

    /// Takes a repository that is open already, and the policy of these scripts, which must be right.
    ///
    /// # Errors
    /// If a script cannot be read or compiled.
    pub fn over(
        config: &'a Config,
        repository: Rc<Repository>,
        scripts: &Scripts,
        push: Push,
        memory: &'a dyn Memory,
    ) -> Result<Self, PolicyError> {
        let policy = Policy::load(scripts, &push.source().repository, &config.limits)?;
        Ok(Self {
            config,
            repository: Ok(repository),
            policy: Ok(policy),
            push: Rc::new(push),
            memory,
            is_traced: false,
            walked: Cell::default(),
        })
    }

    /// Has every verdict tell what each layer said.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { is_traced: true, ..self }
    }

    /// Turns to another push to the same repository, whose policy and objects are at hand.
    ///
    /// # Panics
    /// If it is a push to another repository.
    pub fn turn_to(&mut self, push: Push) {
        assert_eq!(
            push.source().repository,
            self.push.source().repository,
            "another repository has another policy"
        );
        self.push = Rc::new(push);
    }

    /// Returns the push.
    pub fn push(&self) -> &Push {
        &self.push
    }

    /// Returns the policy, unless it could not be loaded.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref().ok()
    }

    /// Decides the first of some updates: at least one, unless the budget is used up.
    pub fn decide(&self, updates: Range<usize>, budget: Budget) -> Decided {
        let mut decided = Decided::default();
        let _confined = self.policy.as_ref().ok().and_then(Policy::confine);
        for index in updates.take(CHUNK) {
            let deadline = match budget {
                Budget::Push(deadline) => deadline,
                Budget::Update => Deadline::after(self.config.limits.time),
            };
            if deadline.is_over() {
                decided.is_out_of_time = true;
                break;
            }
            let mut trace = if self.is_traced { Trace::on() } else { Trace::off() };
            let mut verdict = match self.verdict(index, budget, deadline, &mut trace) {
                // What the hook has no time for, the background may have.
                Err(ended) if ended.is_out_of_time && matches!(budget, Budget::Push(_)) => {
                    decided.is_out_of_time = true;
                    break;
                }
                Err(ended) => Verdict::without(index, Outcome::Failed(ended.why)),
                Ok(verdict) => verdict,
            };
            verdict.steps = trace.into_steps();
            decided.verdicts.push(verdict);
        }
        decided
    }

    fn verdict(
        &self,
        index: usize,
        budget: Budget,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Verdict, Ended> {
        if self.push.updates()[index].ref_name().as_bstr().starts_with(REHEARSAL.as_bytes()) {
            return Ok(Verdict::without(
                index,
                Outcome::Skipped("a rehearsal of `gitea-lightstep doctor`".into()),
            ));
        }
        let policy = match &self.policy {
            Ok(policy) => policy,
            Err(err) => return Ok(Verdict::without(index, Outcome::Failed(err.to_string()))),
        };
        let facts = Rc::new(Facts::new(self.push.clone(), index, self.repository.clone()));
        let services = Rc::new(Services::of(self.config, &facts));
        let asking = Asking { policy, matter: Matter { facts, services }, budget, deadline };
        let matter = &asking.matter;
        let mut verdict = Verdict::without(index, Outcome::Marked);
        let marks = match policy.decide(matter, deadline, trace)? {
            Decision::Skip { by, why } => {
                return Ok(Verdict { by: Some(by), outcome: Outcome::Skipped(why), ..verdict });
            }
            Decision::Marks(marks) => marks,
        };
        let mut troubles: Vec<String> =
            matter.services.trouble().map(ToString::to_string).into_iter().collect();
        let (mut passed_over, mut misnamed) = (None, None);
        let mut nth = 0;
        for Mark { by, partial } in marks {
            let planned = match self.plan(partial, matter, &mut troubles) {
                Plan::Drafts(planned) => planned,
                Plan::Nothing(why) => {
                    passed_over.get_or_insert(why);
                    continue;
                }
                Plan::Misnamed(why) => {
                    misnamed.get_or_insert(why);
                    continue;
                }
            };
            for planned in planned {
                trace.turn_to_marker(nth);
                match self.make(planned, &asking, trace, &mut troubles)? {
                    Fate::Made(marker, deployed) => {
                        verdict.markers.push(Made { marker: *marker, by: by.clone(), deployed });
                    }
                    Fate::Refused { by, why } => {
                        verdict.by = Some(by);
                        verdict.outcome = Outcome::Refused(why);
                    }
                    Fate::PassedOver(why) => {
                        passed_over.get_or_insert(why);
                        continue;
                    }
                }
                nth += 1;
            }
        }
        if verdict.markers.is_empty() && matches!(verdict.outcome, Outcome::Marked) {
            if let Some(why) = misnamed.or(passed_over) {
                verdict.outcome = Outcome::Skipped(why);
            }
        } else {
            // What landed is marked all the same; that something else was meant must not get lost.
            troubles.extend(misnamed);
        }
        troubles.extend(matter.facts.target().err().map(|err| err.to_string()));
        verdict.missing = in_one(troubles);
        Ok(verdict)
    }
}

/// An update that is being decided.
struct Asking<'p> {
    policy: &'p Policy,
    matter: Matter,
    budget: Budget,
    deadline: Deadline,
}

/// Returns what the markers of an update have to do without, each thing once.
fn in_one(troubles: Vec<String>) -> Option<FactError> {
    let mut told: Vec<String> = Vec::new();
    for trouble in troubles {
        if told.len() < MAX_TROUBLES && !told.contains(&trouble) {
            told.push(trouble);
        }
    }
    (!told.is_empty()).then(|| FactError::new(told.join("; ")))
}

impl Verdict {
    /// Returns the verdict of an update that nobody may try to decide again.
    pub fn given_up(update: usize, why: String) -> Self {
        Self::without(update, Outcome::Failed(why))
    }

    fn without(update: usize, outcome: Outcome) -> Self {
        Self { update, by: None, outcome, markers: Vec::new(), missing: None, steps: Vec::new() }
    }
}

/// Why an update was not decided.
struct Ended {
    is_out_of_time: bool,
    why: String,
}

impl Ended {
    fn from_fact(err: &FactError) -> Self {
        Self { is_out_of_time: err.is_out_of_time(), why: err.to_string() }
    }
}

impl From<ScriptError> for Ended {
    fn from(err: ScriptError) -> Self {
        Self { is_out_of_time: err.is_out_of_time(), why: err.to_string() }
    }
}
