//! Measures the commits that a deployment contains. The range starts at the commit that the service
//! last deployed to the same environment, not at the old value of the ref.

use std::time::{Duration, Instant};

use super::{Budget, Decider, DeploymentTarget, EarlyEnd, Failure, drafts::Planned};
use crate::{
    facts::{
        Brought, FactError, MAX_VISITED_SINCE, MessageRules, RangeSummary, Relation, TicketProjects,
        WalkLimit,
    },
    marker::{Kind, Value, name},
    policy::{Draft, UpdateContext},
    push::ObjectId,
    sys::time::Timestamp,
};

/// Maximum time that a decider walks histories in the background. A push of 10,000 tags on a long
/// history must not occupy a processor for hours. Later walks visit at most [`SHORT`] commits, and
/// a walk that is cut short marks its result as truncated.
const WALKING: Duration = Duration::from_secs(60);
/// Maximum number of commits that such a later walk visits.
const SHORT: usize = 1_000;

/// Maximum number of commits that the search for a change's first commit visits.
const VISITED_FOR_CHANGE: usize = 250;

/// Reason for passing over a service when only other services of its repository changed.
const UNTOUCHED: &str = "the service has not changed since its last deployment there";

/// The previous deployment to the same environment.
struct Previous {
    commit: ObjectId,
    version: Option<String>,
    time: Option<Timestamp>,
    /// Source of the data: `state` or `history`.
    known_from: &'static str,
}

impl Decider<'_> {
    /// Adds the commit range to the draft of a deployment. A deployment that goes back to an older
    /// commit becomes a rollback. Returns the reason for making no marker, if the service did not
    /// change.
    pub(super) fn measure(
        &self,
        planned: &mut Planned,
        update_context: &UpdateContext,
        budget: Budget,
        troubles: &mut Vec<String>,
    ) -> Result<Option<String>, EarlyEnd> {
        let Planned { draft, service, is_named, .. } = planned;
        let facts = &update_context.facts;
        let Some(environment) = draft.environment.clone() else { return Ok(None) };
        let place = DeploymentTarget::new(facts.push().source(), &draft.service, &environment);
        // If the history cannot be read, the marker is still made, without its range.
        let mut unknown =
            |err: &FactError| troubles.push(format!("the deployment's commits are unknown: {err}"));
        let previous = match self.previous(&place, update_context) {
            Ok(Some(previous)) => previous,
            Ok(None) => {
                add(draft, name::RANGE_RELATION, "first_deployment".into());
                return Ok(None);
            }
            Err(err) => {
                unknown(&err);
                return Ok(None);
            }
        };
        let paths = service.as_ref().map(|service| service.paths()).unwrap_or_default();
        let measured = self.walk(budget, |patience| facts.brought_since(previous.commit, paths, patience));
        let brought = match measured {
            Ok(brought) => brought,
            Err(err) if err.is_out_of_time() => {
                return Err(EarlyEnd::OutOfTime(Failure::of_policy(err.to_string())));
            }
            Err(err) => {
                unknown(&err);
                return Ok(None);
            }
        };
        let is_untouched = match brought.relation {
            // The service is already deployed at this commit. The branch only moved past commits of
            // other services.
            Relation::Same => {
                !paths.is_empty()
                    && update_context.services.environments_of(facts.update()).contains(&environment.as_str())
                    && facts.old_commit().is_ok_and(|old| old.is_some_and(|old| old != previous.commit))
            }
            _ => brought.is_untouched,
        };
        if is_untouched && !*is_named {
            return Ok(Some(UNTOUCHED.into()));
        }
        if brought.relation == Relation::Behind && draft.kind == Kind::Deployment {
            draft.kind = Kind::Rollback;
        }
        add(draft, name::BASE_REVISION, previous.commit.to_string().into());
        add(draft, name::PREVIOUS_FROM, previous.known_from.into());
        if let Some(version) = previous.version {
            add(draft, name::PREVIOUS_VERSION, version.into());
        }
        if let Some(time) = previous.time {
            add(draft, name::PREVIOUS_TIME, time.to_string().into());
        }
        let mut rules = MessageRules::clone(facts.message_rules());
        if let Some(projects) = service.as_ref().and_then(|service| service.tickets.clone()) {
            rules.projects = TicketProjects::Only(projects);
        }
        let mut contents = RangeSummary::of(&brought.commits, &rules);
        contents.add_tickets(facts.tickets_of_branch(&rules.projects));
        // The commit of the push may not name the pull request, as after a rebase.
        let new = facts.commit_id().ok().flatten();
        let is_in_range = brought.commits.iter().any(|commit| Some(commit.id) == new);
        let merged = facts.merged_pull_request().ok().flatten().filter(|_| is_in_range);
        merged.into_iter().for_each(|number| contents.add_merged(number));
        tell(draft, &brought, contents, facts.push().time());
        Ok(None)
    }

    /// Adds the oldest commit of a change to its draft, and for a merge the authors of its commits,
    /// because Gitea makes the person who merges the author of the merge. Walks at most
    /// [`VISITED_FOR_CHANGE`] commits, because every push of a change takes this walk. If there are
    /// more, the draft stays as it is.
    pub(super) fn describe_change(
        &self,
        planned: &mut Planned,
        update_context: &UpdateContext,
        budget: Budget,
    ) -> Result<(), EarlyEnd> {
        let facts = &update_context.facts;
        let Ok(Some(old)) = facts.old_commit() else { return Ok(()) };
        let Planned { draft, service, .. } = planned;
        let paths = service.as_ref().map(|service| service.paths()).unwrap_or_default();
        let is_merge = facts.commit().ok().flatten().is_some_and(|commit| commit.parents.len() > 1);
        let measured = self.walk(budget, |_| {
            let limit = WalkLimit::Visits(VISITED_FOR_CHANGE);
            // Without paths, the commits of a push that is not a merge only need to be counted.
            match paths {
                [] if !is_merge => facts.counted_since(old, limit),
                _ => facts.brought_since(old, paths, limit),
            }
        });
        match measured {
            Ok(brought) => {
                if add_first_commit(draft, &brought).is_some() && is_merge {
                    let contents = RangeSummary::of(&brought.commits, facts.message_rules());
                    add_list(draft, name::RANGE_AUTHORS, contents.authors);
                    add_list(draft, name::RANGE_CO_AUTHORS, contents.co_authors);
                }
                Ok(())
            }
            Err(err) if err.is_out_of_time() => Err(EarlyEnd::OutOfTime(Failure::of_policy(err.to_string()))),
            Err(_) => Ok(()),
        }
    }

    /// Walks history within the budget. In the background, a decider may walk for [`WALKING`] in
    /// all before its walks become short.
    pub(super) fn walk<T>(&self, budget: Budget, walk: impl FnOnce(WalkLimit) -> T) -> T {
        let patience = match budget {
            Budget::Push(deadline) => WalkLimit::Until(deadline),
            Budget::Update if self.walked.get() > WALKING => WalkLimit::Visits(SHORT),
            Budget::Update => WalkLimit::Visits(MAX_VISITED_SINCE),
        };
        let start = Instant::now();
        let walked = walk(patience);
        self.walked.set(self.walked.get() + start.elapsed());
        walked
    }

    /// Returns the previous deployment to an environment. It comes from the recorded deployment
    /// history, if that has one. Otherwise, if the ref stands for the environment, it is the ref's
    /// old commit. For a version tag, it is the previous release.
    fn previous(
        &self,
        place: &DeploymentTarget,
        update_context: &UpdateContext,
    ) -> Result<Option<Previous>, FactError> {
        let UpdateContext { facts, services } = update_context;
        let last = |place: &DeploymentTarget| self.memory.last_deployment(place, facts.push().id());
        if let Some(deployed) = last(place).or_else(|| last(&place.in_directory(facts.push().source())?)) {
            return Ok(Some(Previous {
                commit: deployed.commit,
                version: Some(deployed.version),
                time: Some(deployed.time),
                known_from: "state",
            }));
        }
        let of_history = |commit, version| Previous { commit, version, time: None, known_from: "history" };
        let update = facts.update();
        let short = update.ref_name().to_text();
        let stands_for_it = services.environments_of(update).contains(&place.environment())
            || short.rsplit('/').next() == Some(place.environment());
        if stands_for_it && let Ok(Some(old)) = facts.old_commit() {
            return Ok(Some(of_history(old, None)));
        }
        if facts.version_tag().is_none() {
            return Ok(None);
        }
        let before = facts.previous_release()?;
        Ok(before.map(|(tag, commit)| of_history(commit, Some(tag.version().to_string()))))
    }
}

/// Adds the relation between the two commits, and a summary of the commits between them.
fn tell(draft: &mut Draft, brought: &Brought, contents: RangeSummary, deployed: Timestamp) {
    let (relation, direction) = match brought.relation {
        Relation::Same => ("same", None),
        Relation::Ahead => ("ahead", Some("ahead")),
        Relation::Behind => ("behind", Some("behind")),
        Relation::Diverged => ("rewritten", None),
        Relation::Lost => ("lost", None),
        Relation::Unknown => ("unknown", None),
    };
    add(draft, name::RANGE_RELATION, relation.into());
    if let Some(direction) = direction {
        add(draft, name::DELTA_DIRECTION, direction.into());
    }
    if brought.relation == Relation::Lost {
        return;
    }
    add(draft, name::RANGE_COMMITS, int(brought.count));
    if brought.is_truncated {
        add(draft, name::RANGE_IS_CUT, Value::Bool(true));
    }
    if brought.is_shallow {
        add(draft, name::RANGE_IS_SHALLOW, Value::Bool(true));
    }
    if brought.commits.len() < brought.count {
        add(draft, name::RANGE_READ, int(brought.commits.len()));
    }
    for (name, count) in [(name::RANGE_IMPORTED, brought.imported), (name::RANGE_UNDATED, brought.undated)] {
        if count > 0 {
            add(draft, name, int(count));
        }
    }
    let ai_share = contents.ai_share();
    if contents.is_cut {
        add(draft, name::RANGE_LISTS_ARE_CUT, Value::Bool(true));
    }
    for (name, list) in [
        (name::RANGE_AUTHORS, contents.authors),
        (name::RANGE_CO_AUTHORS, contents.co_authors),
        (name::RANGE_TICKETS, contents.tickets),
        (name::RANGE_REVERTS, contents.reverts),
        (name::RANGE_PULL_REQUESTS, contents.pull_requests.iter().map(ToString::to_string).collect()),
    ] {
        add_list(draft, name, list);
    }
    if contents.with_ai > 0 {
        add(draft, name::RANGE_AI_COMMITS, int(contents.with_ai));
        add(draft, name::RANGE_AI_SHARE, Value::Float(ai_share.unwrap_or_default()));
    }
    if let Some(time) = add_first_commit(draft, brought) {
        let seconds = deployed.duration_since(time).as_secs();
        add(draft, name::LEAD_TIME, Value::Int(seconds.max(0)));
    }
}

/// Adds the first commit of a range, and returns its time. A range that goes back adds no commits.
/// If the walk was truncated, the first commit it found may not be the first of the range.
fn add_first_commit(draft: &mut Draft, brought: &Brought) -> Option<Timestamp> {
    let (id, time) =
        brought.first.filter(|_| brought.relation != Relation::Behind && !brought.is_truncated)?;
    add(draft, name::FIRST_COMMIT, id.to_string().into());
    add(draft, name::FIRST_COMMIT_TIME, time.to_string().into());
    Some(time)
}

/// Adds an attribute, unless the policy has already set it.
pub(super) fn add(draft: &mut Draft, name: &'static str, value: Value) {
    draft.attributes.entry(name.into()).or_insert(value);
}

fn add_list(draft: &mut Draft, name: &'static str, list: Vec<String>) {
    if !list.is_empty() {
        add(draft, name, Value::List(list));
    }
}

pub(super) fn int(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
