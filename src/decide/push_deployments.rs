//! Finds the deployments that a push asks for with all of its updates, so that an environment of a
//! service gets at most one of them.
//!
//! Updates are decided one at a time, and perhaps by several processes. What is found here depends
//! on the whole push only, so each of them gets the same answer. The other updates are read when the
//! first deployment of a push with several updates is decided, and never for other pushes.

use std::{
    cell::OnceCell,
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
    time::Duration,
};

use super::{
    Budget, DecideRequest, Decider, EarlyEnd, Failure,
    draft_marker::MarkerOutcome,
    drafts::{Plan, Planned},
    is_deployment, options,
};
use crate::{
    facts::{Facts, VersionTag},
    policy::{self, Decision, Draft, Policy, Rule, Trace, UpdateContext},
    push::ObjectId,
    service::Services,
    sys::time::Deadline,
    text,
};

/// Maximum number of updates of a push that may contain deployments. Reading more than that takes
/// longer than a deployment is worth: such a push copies a repository.
const MAX_UPDATES: usize = 10_000;

/// Maximum number of deployments of one commit for which the guards are asked. If they refuse all of
/// these, the best one is decided, and refused.
const MAX_GUARDED: usize = 64;

/// Maximum time for reading the updates of a push in the background.
const READING: Duration = Duration::from_secs(15);

/// The deployments of a push, by service and environment.
#[derive(Debug, Default)]
pub(super) struct PushDeployments(HashMap<DeploymentKey, Rivals>);

/// A service, and the environment that it is deployed to.
pub(super) type DeploymentKey = (String, Option<String>);

/// The deployments of one environment of a service.
#[derive(Debug)]
struct Rivals {
    commit: ObjectId,
    /// True if there is another commit than `commit`.
    are_several: bool,
    contenders: Vec<Contender>,
    /// Index of the contender that is marked.
    winner: OnceCell<usize>,
}

/// One of several deployments to an environment.
#[derive(Debug)]
struct Contender {
    update: usize,
    /// Position among the deployments of its update.
    nth: usize,
    tag: Option<VersionTag>,
    is_named: bool,
    is_of_release: bool,
    is_default_branch: bool,
}

impl Contender {
    /// Returns the rank among the deployments of one commit. A version tag knows the version best,
    /// and of several the one that counts for the commit elsewhere, too.
    fn rank(&self) -> impl Ord + '_ {
        let tag = self.tag.as_ref().map(|tag| (tag.service().is_some(), tag.rank()));
        (self.is_named, tag, self.is_of_release, self.is_default_branch)
    }
}

/// A deployment that is not marked.
pub(super) enum Unmarked {
    /// Another mark of the push stands for it.
    Repeated(String),
    /// The push deploys several commits to the environment, or too many refs.
    Refused(String),
}

impl PushDeployments {
    fn add(&mut self, planned: Planned, commit: ObjectId, contender: Contender) {
        match self.0.entry((planned.draft.service, planned.draft.environment)) {
            Entry::Vacant(place) => {
                let contenders = vec![contender];
                place.insert(Rivals { commit, are_several: false, contenders, winner: OnceCell::new() });
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.are_several |= known.commit != commit;
                known.contenders.push(contender);
            }
        }
    }
}

impl Decider<'_> {
    /// Returns why a planned deployment is not marked: its environment is not one, the push options
    /// contradict each other, or another deployment of the push takes its place. `before` are the
    /// earlier deployments of the update, and the rules that asked for them.
    pub(super) fn unmarked(
        &self,
        planned: &Planned,
        (by, before): (&Rule, &[(DeploymentKey, Rule)]),
        facts: &Facts,
        budget: Budget,
    ) -> Result<Option<Unmarked>, EarlyEnd> {
        let options = &self.push.source().options;
        let environment = planned.draft.environment.as_deref();
        let refusal = self
            .unknown_environment(environment)
            .or_else(|| environment.and_then(|environment| options::refusal(options, environment)));
        match refusal {
            Some(why) => Ok(Some(Unmarked::Refused(why))),
            // The only update of a push needs no other update to be read.
            None if self.push.updates().len() == 1 => {
                let Draft { kind, service, environment, .. } = &planned.draft;
                let is_same = |(key, _): &&(DeploymentKey, Rule)| (&key.0, &key.1) == (service, environment);
                let same = |(_, first): &(DeploymentKey, Rule)| {
                    policy::same_marker([first, by], *kind, service, environment.as_deref())
                };
                Ok(before.iter().find(is_same).map(same).map(Unmarked::Repeated))
            }
            None => self.rival(planned, before.len(), facts, budget),
        }
    }

    /// Returns why a planned deployment is not marked, if another deployment of the push keeps it
    /// from that. `nth` is its position among the deployments of the update.
    ///
    /// # Errors
    /// If the other updates cannot be read in time.
    fn rival(
        &self,
        planned: &Planned,
        nth: usize,
        facts: &Facts,
        budget: Budget,
    ) -> Result<Option<Unmarked>, EarlyEnd> {
        let updates = self.push.updates();
        let draft = &planned.draft;
        let place = match &draft.environment {
            Some(environment) => format!("`{}` to `{}`", text::line(&draft.service), text::line(environment)),
            None => format!("`{}`", text::line(&draft.service)),
        };
        if updates.len() > MAX_UPDATES {
            return Ok(Some(Unmarked::Refused(format!(
                "the push changes {}, and deployments are marked only for pushes of up to {MAX_UPDATES}; \
                 push the ref to deploy alone",
                text::count(updates.len(), "ref"),
            ))));
        }
        let deployments = match self.deployments.get() {
            Some(known) => known,
            None => {
                let read = match self.read_deployments(budget) {
                    Err(EarlyEnd::OutOfTime(failure)) => return Err(EarlyEnd::OutOfTime(failure)),
                    Err(EarlyEnd::Failed(failure)) => Err(failure),
                    Ok(read) => Ok(read),
                };
                self.deployments.get_or_init(|| read)
            }
        };
        let deployments = deployments.as_ref().map_err(|failure| EarlyEnd::Failed(failure.clone()))?;
        let Some(rivals) = deployments.0.get(&(draft.service.clone(), draft.environment.clone())) else {
            return Ok(None);
        };
        if rivals.are_several {
            return Ok(Some(Unmarked::Refused(format!(
                "the push deploys several commits of {place}, and only one of them can run there; push the \
                 ref to deploy alone"
            ))));
        }
        let Some(winner) = self.winner(rivals, budget)? else { return Ok(None) };
        if (winner.update, winner.nth) == (facts.index(), nth) {
            return Ok(None);
        }
        let by = updates.get(winner.update).map(|update| update.ref_name().to_text());
        Ok(Some(Unmarked::Repeated(format!(
            "the deployment of {place} is marked once for the push, for {}",
            text::line(by.unwrap_or_default())
        ))))
    }

    /// Returns the deployment that is marked: the best one that no guard refuses, or else the best.
    fn winner<'r>(&self, rivals: &'r Rivals, budget: Budget) -> Result<Option<&'r Contender>, EarlyEnd> {
        if let Some(known) = rivals.winner.get() {
            return Ok(rivals.contenders.get(*known));
        }
        let mut order: Vec<usize> = (0..rivals.contenders.len()).collect();
        // The sort is stable, so the first ref of the push comes first among equals.
        order.sort_by(|a, b| {
            let rank = |index: &usize| rivals.contenders.get(*index).map(Contender::rank);
            rank(b).cmp(&rank(a))
        });
        let mut winner = order.first().copied();
        if order.len() > 1 && self.policy.as_ref().is_ok_and(Policy::may_refuse) {
            for index in order.into_iter().take(MAX_GUARDED) {
                if let Some(contender) = rivals.contenders.get(index)
                    && !self.is_refused(contender, budget)?
                {
                    winner = Some(index);
                    break;
                }
            }
            self.allow(budget);
        }
        Ok(winner.and_then(|winner| rivals.contenders.get(*rivals.winner.get_or_init(|| winner))))
    }

    /// Returns true if a guard refuses the deployment. One whose policy fails is not refused: it is
    /// decided when the policy is mended.
    fn is_refused(&self, contender: &Contender, budget: Budget) -> Result<bool, EarlyEnd> {
        let Ok(policy) = &self.policy else { return Ok(false) };
        self.allow(budget);
        let is_in_hook = matches!(budget, Budget::Push(_));
        let made =
            self.deployments_of(contender.update, policy, budget).and_then(|(asking, planned)| match planned
                .into_iter()
                .nth(contender.nth)
            {
                Some(planned) => self.make(planned, &asking, &mut Trace::off(), &mut Vec::new()).map(Some),
                None => Ok(None),
            });
        match made {
            Ok(Some(MarkerOutcome::Refused { .. })) => Ok(true),
            Err(EarlyEnd::OutOfTime(failure)) if is_in_hook => Err(EarlyEnd::OutOfTime(failure)),
            Ok(_) | Err(_) => Ok(false),
        }
    }

    /// Asks the policy for the deployments of each update. An update that the policy fails on has
    /// none; it is reported when it is decided itself.
    fn read_deployments(&self, budget: Budget) -> Result<PushDeployments, EarlyEnd> {
        let mut found = PushDeployments::default();
        let Ok(policy) = &self.policy else { return Ok(found) };
        let end = match budget {
            Budget::Push(deadline) => deadline,
            Budget::Update => Deadline::after(READING),
        };
        let late =
            || Failure::of_policy("reading the other updates of the push for deployments takes too long");
        for index in 0..self.push.updates().len() {
            if end.is_over() {
                return Err(match budget {
                    Budget::Push(_) => EarlyEnd::OutOfTime(late()),
                    Budget::Update => EarlyEnd::Failed(late()),
                });
            }
            self.allow(budget);
            match self.add_deployments(index, policy, budget, &mut found) {
                Err(EarlyEnd::OutOfTime(failure)) if matches!(budget, Budget::Push(_)) => {
                    return Err(EarlyEnd::OutOfTime(failure));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.allow(budget);
        Ok(found)
    }

    fn add_deployments(
        &self,
        index: usize,
        policy: &Policy,
        budget: Budget,
        found: &mut PushDeployments,
    ) -> Result<(), EarlyEnd> {
        if self.is_rehearsal(index) {
            return Ok(());
        }
        let (asking, planned) = self.deployments_of(index, policy, budget)?;
        let facts = &asking.update_context.facts;
        for (nth, planned) in planned.into_iter().enumerate() {
            let Ok(Some(commit)) = facts.commit_id() else { return Ok(()) };
            let contender = Contender {
                update: index,
                nth,
                tag: facts.version_tag().cloned(),
                is_named: planned.is_named,
                is_of_release: planned.is_of_release,
                is_default_branch: facts.is_default_branch().unwrap_or(false),
            };
            found.add(planned, commit, contender);
        }
        Ok(())
    }

    /// Asks the policy for the deployments of one update.
    fn deployments_of<'p>(
        &self,
        index: usize,
        policy: &'p Policy,
        budget: Budget,
    ) -> Result<(DecideRequest<'p>, Vec<Planned>), EarlyEnd> {
        let facts = Rc::new(Facts::new(self.push.clone(), index, self.repository.clone()));
        let services = Rc::new(Services::of(self.config, &facts));
        let deadline = match budget {
            Budget::Push(deadline) => deadline,
            Budget::Update => Deadline::of_cpu(self.config.limits.time),
        };
        let update_context = UpdateContext { facts, services };
        let asking = DecideRequest { policy, update_context, budget, deadline };
        let mut deployments = Vec::new();
        if let Decision::Marks(marks) = policy.decide(&asking.update_context, deadline, &mut Trace::off())? {
            for mark in marks {
                let planned = self.plan(mark.partial, mark.level, &asking.update_context, &mut Vec::new())?;
                if let Plan::Drafts(drafts) = planned {
                    deployments
                        .extend(drafts.into_iter().filter(|planned| is_deployment(planned.draft.kind)));
                }
            }
        }
        Ok((asking, deployments))
    }
}
