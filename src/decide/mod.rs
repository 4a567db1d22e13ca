//! Turns the updates of a push into markers. The hook, the deliverer, `mark`, `scan`, `backfill` and
//! `try` all call [`Decider::decide`].
//!
//! For each update, the policy's `decide` asks for markers. The decider then picks the services,
//! measures the commit range of each deployment, and runs `enrich` and `guard`. It reads the
//! repository and the deployment history, and writes neither.

mod attributes;
mod backfill;
mod build;
mod deployment_history;
mod draft_marker;
mod drafts;
mod failure;
mod interval;
mod mark_request;
mod options;
mod people;
mod push_deployments;
mod since;
mod spans;
mod trust;
mod verdict;

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
    time::Duration,
};

pub use deployment_history::{
    Deployed, DeploymentHistory, DeploymentTarget, InMemoryHistory, LayeredHistory, SpanOwner,
};
use draft_marker::MarkerOutcome;
use drafts::Plan;
use failure::EarlyEnd;
pub use failure::{Cause, Failure};
pub use interval::possible_interval;
pub use mark_request::{DeploymentStatus, MarkRequest};
pub use people::AddressKey;
use push_deployments::{PushDeployments, Unmarked};
use spans::RecentSpans;
pub use verdict::{Made, Outcome, Verdict};

use crate::{
    config::Config,
    facts::{FactError, Facts, Repository},
    marker::Kind,
    policy::{Decision, Level, Mark, Policy, PolicyError, ScriptLocations, Trace, UpdateContext},
    push::Push,
    service::Services,
    sys::time::Deadline,
    text,
    work::Allowance,
};

/// Maximum work on repository data for one update, in the units of [`Allowance`]: about two
/// seconds. The 5,000 directories of the Linux kernel use a hundredth of it.
const WORK: u64 = 200_000_000;
/// Maximum work for all updates of a push: about 30 seconds.
const WORK_OF_PUSH: u64 = 3_000_000_000;
/// Work that each update may do even after the push has used up [`WORK_OF_PUSH`]: about 20 ms.
const LEAST_WORK: u64 = 2_000_000;

/// Maximum number of problems reported for one update.
const MAX_TROUBLES: usize = 8;

/// Prefix of the refs that `doctor` pushes to test the hook. The policy does not run for them.
pub const REHEARSAL: &str = "refs/gitea-lightstep/";

/// Time limit for the policy.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// One deadline for the whole push, used by the hook. Updates that miss it are left to the
    /// background.
    Push(Deadline),
    /// The configured limit for each update, in processor time, used in the background. Waiting for
    /// a slow disk does not count.
    Update,
}

/// Decides the updates of one repository.
pub struct Decider<'a> {
    config: &'a Config,
    repository: Result<Rc<Repository>, FactError>,
    policy: Result<Policy, PolicyError>,
    push: Rc<Push>,
    memory: &'a dyn DeploymentHistory,
    is_traced: bool,
    /// Total time spent walking histories.
    walked: Cell<Duration>,
    /// Kinds of markers for which a destination's script needs to know if the commit is on the
    /// default branch.
    branch_wanted_for: OnceCell<Vec<Kind>>,
    /// Remaining work of [`WORK_OF_PUSH`].
    work: Cell<u64>,
    /// The deployments of all updates of the push, or why they could not be read.
    deployments: OnceCell<Result<PushDeployments, Failure>>,
    /// Spans of the changes and releases that this decider made.
    spans: RecentSpans,
}

impl<'a> Decider<'a> {
    /// Opens the push's repository and compiles its policy. If either fails, each update that needs
    /// it reports the error.
    pub fn new(
        config: &'a Config,
        push: Push,
        hook_page: Option<std::path::PathBuf>,
        memory: &'a dyn DeploymentHistory,
    ) -> Self {
        let scripts = ScriptLocations { dir: config.scripts.clone(), hook_page, draft: None };
        Self::with_scripts(config, push, &scripts, memory)
    }

    /// Creates a decider like [`new`](Self::new), with other scripts than the configured ones.
    pub fn with_scripts(
        config: &'a Config,
        push: Push,
        scripts: &ScriptLocations,
        memory: &'a dyn DeploymentHistory,
    ) -> Self {
        let repository = Repository::open(&push.source().git_dir).map(Rc::new);
        let policy = Policy::load(scripts, &push.source().repository, &config.limits);
        Self::of(config, repository, policy, push, memory)
    }

    fn of(
        config: &'a Config,
        repository: Result<Rc<Repository>, FactError>,
        policy: Result<Policy, PolicyError>,
        push: Push,
        memory: &'a dyn DeploymentHistory,
    ) -> Self {
        Self {
            config,
            repository,
            policy,
            push: Rc::new(push),
            memory,
            is_traced: false,
            walked: Cell::default(),
            branch_wanted_for: OnceCell::new(),
            work: Cell::new(WORK_OF_PUSH),
            deployments: OnceCell::new(),
            spans: RecentSpans::default(),
        }
    }

    /// Creates a decider for a repository that is already open. Unlike [`new`](Self::new), it
    /// rejects a broken policy right away.
    ///
    /// # Errors
    /// If a script cannot be read or compiled.
    pub fn over(
        config: &'a Config,
        repository: Rc<Repository>,
        scripts: &ScriptLocations,
        push: Push,
        memory: &'a dyn DeploymentHistory,
    ) -> Result<Self, PolicyError> {
        let policy = Policy::load(scripts, &push.source().repository, &config.limits)?;
        Ok(Self::of(config, Ok(repository), Ok(policy), push, memory))
    }

    /// Records the steps of each policy layer in the verdicts.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { is_traced: true, ..self }
    }

    /// Keeps what scripts print, in the verdicts.
    #[must_use]
    pub fn listening(mut self) -> Self {
        if let Ok(policy) = &mut self.policy {
            policy.listen();
        }
        self
    }

    /// Switches to another push to the same repository, and keeps the repository open and its
    /// policy compiled.
    ///
    /// # Panics
    /// If the push is to another repository.
    pub fn turn_to(&mut self, push: Push) {
        assert_eq!(
            push.source().repository,
            self.push.source().repository,
            "the push is to another repository"
        );
        self.work.set(WORK_OF_PUSH);
        self.walked.set(Duration::ZERO);
        self.deployments = OnceCell::new();
        self.push = Rc::new(push);
    }

    /// Returns the push.
    pub fn push(&self) -> &Push {
        &self.push
    }

    /// Returns the push, which outlives a [`turn_to`](Self::turn_to) another one.
    pub fn shared_push(&self) -> Rc<Push> {
        self.push.clone()
    }

    /// Returns the policy, unless it could not be loaded.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref().ok()
    }

    /// Decides an update. Returns `None` if the budget is used up.
    pub fn decide(&self, index: usize, budget: Budget) -> Option<Verdict> {
        let _confined = self.policy.as_ref().ok().map(Policy::confine);
        let deadline = match budget {
            Budget::Push(deadline) => deadline,
            Budget::Update => Deadline::of_cpu(self.config.limits.time),
        };
        if deadline.is_over() {
            return None;
        }
        let mut trace = if self.is_traced { Trace::on() } else { Trace::off() };
        self.allow(budget);
        let mut verdict = match self.verdict(index, budget, deadline, &mut trace) {
            // The background can still decide what the hook has no time for.
            Err(EarlyEnd::OutOfTime(_)) if matches!(budget, Budget::Push(_)) => return None,
            // Here the limit is processor time, which waiting for a disk does not use up. A retry
            // would fail as well.
            Err(EarlyEnd::OutOfTime(failure) | EarlyEnd::Failed(failure)) => Verdict::failed(index, failure),
            Ok(verdict) => verdict,
        };
        verdict.steps = trace.into_steps();
        verdict.printed = self.policy.as_ref().map(Policy::printed).unwrap_or_default();
        Some(verdict)
    }

    /// Returns why the repository marks nothing, if it is a fork that neither a `[[service]]` nor a
    /// script names. A fork has the name, the tags and the branches of the first repository.
    fn fork(&self, policy: &Policy) -> Option<String> {
        let parent = self.repository.as_ref().ok()?.parent()?;
        let name = self.push.source().repository.full_name();
        let is_named = self.config.services.iter().any(|rule| rule.repository == name.to_lowercase())
            || policy.origins().any(|origin| matches!(origin.level, Level::Repository | Level::HookPage));
        (!is_named).then(|| {
            format!(
                "a fork of {} marks nothing; to change that, add a [[service]] with repository = \"{}\"",
                text::line(parent),
                text::line(name)
            )
        })
    }

    fn is_rehearsal(&self, index: usize) -> bool {
        self.push.updates()[index].ref_name().as_bstr().starts_with(REHEARSAL.as_bytes())
    }

    /// Checks that the repository has the object that the update names. If it does not, the
    /// repository was replaced or is only partly restored.
    ///
    /// # Errors
    /// If the object is missing. A decision made on this repository must then be discarded.
    pub fn check_pushed(&self, index: usize) -> Result<(), Failure> {
        let (Ok(repository), Some(id)) = (&self.repository, self.push.updates()[index].new_id()) else {
            return Ok(());
        };
        if self.is_rehearsal(index) {
            return Ok(());
        }
        repository.check_pushed(id).map_err(|err| Failure::of_system(err.to_string()))
    }

    /// Limits how much repository data the next update may read. An update gets less once earlier
    /// updates have used up the push's work.
    fn allow(&self, budget: Budget) {
        let Ok(repository) = &self.repository else { return };
        let left = self.work.get().saturating_sub(repository.spent());
        self.work.set(left);
        let deadline = match budget {
            Budget::Push(deadline) => deadline,
            Budget::Update => Deadline::never(),
        };
        repository.allow(Allowance::new(left.clamp(LEAST_WORK, WORK), deadline));
    }

    /// Decides one update. Discards the result if the system refused to let facts be read.
    fn verdict(
        &self,
        index: usize,
        budget: Budget,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Verdict, EarlyEnd> {
        let facts = Rc::new(Facts::new(self.push.clone(), index, self.repository.clone()));
        let verdict = self.verdict_on(&facts, budget, deadline, trace);
        match facts.trouble() {
            Some(err) => Err(EarlyEnd::Failed(Failure::of_system(err.to_string()))),
            // If the repository is broken, a script's failure may come from that, so the system is
            // at fault.
            None => verdict.map_err(|ended| match ended {
                EarlyEnd::Failed(failure) if facts.is_broken() => {
                    EarlyEnd::Failed(Failure::of_system(failure.why()))
                }
                ended => ended,
            }),
        }
    }

    fn verdict_on(
        &self,
        facts: &Rc<Facts>,
        budget: Budget,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Verdict, EarlyEnd> {
        let index = facts.index();
        if self.is_rehearsal(index) {
            return Ok(Verdict::without(
                index,
                Outcome::Skipped("a rehearsal of `gitea-lightstep doctor`".into()),
            ));
        }
        let policy = match &self.policy {
            Ok(policy) => policy,
            Err(err) => return Err(EarlyEnd::Failed(err.into())),
        };
        if let Some(why) = self.fork(policy) {
            return Ok(Verdict::without(index, Outcome::Skipped(why)));
        }
        let services = Rc::new(Services::of(self.config, facts));
        let update_context = UpdateContext { facts: facts.clone(), services };
        let asking = DecideRequest { policy, update_context, budget, deadline };
        let update_context = &asking.update_context;
        let mut verdict = Verdict::without(index, Outcome::Marked);
        let complaints = options::complaints(self.push.source(), |key| policy.reads_key(key));
        complaints.iter().for_each(|complaint| verdict.reply(complaint.clone()));
        let mut troubles: Vec<String> = complaints;
        let marks = match policy.decide(update_context, deadline, trace)? {
            Decision::Skip { by, why } => {
                let missing = in_one(troubles);
                return Ok(Verdict { by: Some(by), outcome: Outcome::Skipped(why), missing, ..verdict });
            }
            Decision::Marks(marks) => marks,
        };
        troubles.extend(update_context.services.trouble().map(ToString::to_string));
        let (mut passed_over, mut misnamed) = (None, None);
        let (mut nth, mut deployments) = (0, Vec::new());
        if let Some(why) = update_context.services.refusal() {
            verdict.reply(format!("no marker: {why}"));
        }
        for Mark { level, by, partial } in marks {
            let planned = match self.plan(partial, level, update_context, &mut troubles)? {
                Plan::Drafts(planned) => planned,
                Plan::Nothing(why) => {
                    passed_over.get_or_insert(why);
                    continue;
                }
                Plan::Misnamed(why) => {
                    verdict.reply(format!("no deployment: {why}"));
                    misnamed.get_or_insert(why);
                    continue;
                }
            };
            for planned in planned {
                if is_deployment(planned.draft.kind) {
                    let unmarked = self.unmarked(&planned, (&by, &deployments), facts, budget)?;
                    let key = (planned.draft.service.clone(), planned.draft.environment.clone());
                    deployments.push((key, by.clone()));
                    match unmarked {
                        Some(Unmarked::Repeated(why)) => {
                            if self.push.updates().len() == 1 {
                                verdict.repeated.get_or_insert_with(|| why.clone());
                                troubles.push(why.clone());
                            }
                            passed_over.get_or_insert(why);
                            continue;
                        }
                        Some(Unmarked::Refused(why)) => {
                            verdict.refuse(by.clone(), "deployment", why);
                            continue;
                        }
                        None => {}
                    }
                }
                trace.turn_to_marker(nth);
                match self.make(planned, &asking, trace, &mut troubles)? {
                    MarkerOutcome::Made(marker, deployed) => {
                        let made = Made { marker: *marker, by: by.clone(), deployed };
                        if let Some(why) = verdict.add(made) {
                            troubles.push(why);
                            continue;
                        }
                    }
                    MarkerOutcome::Refused { by, why } => {
                        verdict.by = Some(by);
                        verdict.outcome = Outcome::Refused(why);
                    }
                    MarkerOutcome::Foreign { by: renamed, why } => {
                        verdict.refuse(renamed.unwrap_or_else(|| by.clone()), "marker", why);
                    }
                    MarkerOutcome::Untrusted(why) => verdict.refuse(by.clone(), "marker", why),
                    MarkerOutcome::UnknownEnvironment(why) => verdict.refuse(by.clone(), "marker", why),
                    MarkerOutcome::PassedOver(why) => {
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
            // There are markers, or a refusal to report. Mention the unknown environment as well.
            troubles.extend(misnamed);
        }
        troubles.extend(update_context.facts.target().err().map(|err| err.to_string()));
        verdict.missing = in_one(troubles);
        Ok(verdict)
    }
}

/// Returns true for the kinds that change what runs in an environment.
fn is_deployment(kind: Kind) -> bool {
    matches!(kind, Kind::Deployment | Kind::Rollback)
}

/// An update that is being decided, with its limits.
struct DecideRequest<'p> {
    policy: &'p Policy,
    update_context: UpdateContext,
    budget: Budget,
    deadline: Deadline,
}

/// Joins the problems of an update into one error, without duplicates.
fn in_one(troubles: Vec<String>) -> Option<FactError> {
    let mut told: Vec<String> = Vec::new();
    for trouble in troubles {
        if told.len() < MAX_TROUBLES && !told.contains(&trouble) {
            told.push(trouble);
        }
    }
    (!told.is_empty()).then(|| FactError::new(told.join("; ")))
}
