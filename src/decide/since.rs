//! What a deployment brings, measured from what its service ran in the same environment before, and not from the old value
//! of a ref.

use std::time::{Duration, Instant};

use super::{Budget, Decider, Ended, Place, drafts::Planned};
use crate::{
    facts::{Brought, Contents, FactError, MAX_VISITED_SINCE, Patience, Relation},
    marker::{Interval, name},
    policy::{Draft, Kind, Matter, Value},
    push::ObjectId,
    time::Timestamp,
};

/// For how long the histories of one push are walked in the background; who pushes 10,000 tags of a long history must not occupy a
/// processor for hours. After that the walks are short, and say so.
const WALKING: Duration = Duration::from_secs(60);
/// How many commits such a short walk visits.
const SHORT: usize = 1_000;

/// Why a service is passed over that others of its repository are deployed with.
const UNTOUCHED: &str = "nothing of the service changed since it was deployed there last";

/// What ran before.
struct Previous {
    commit: ObjectId,
    version: Option<String>,
    time: Option<Timestamp>,
    /// Where it is known from: `state` or `history`.
    known_from: &'static str,
}

impl Decider<'_> {
    /// Notes on the draft of a deployment what it brings, and makes a rollback of it if it goes back. Returns why there is
    /// nothing to be marked, if nothing of the service changed.
    pub(super) fn measure(
        &self,
        planned: &mut Planned,
        matter: &Matter,
        budget: Budget,
        troubles: &mut Vec<String>,
    ) -> Result<Option<String>, Ended> {
        let Planned { draft, service, is_named, .. } = planned;
        let facts = &matter.facts;
        let Some(environment) = draft.environment.clone() else { return Ok(None) };
        let place = Place::new(&facts.push().source().repository, &draft.service, &environment);
        // A history that cannot be read costs the range, and not the marker.
        let mut unknown =
            |err: &FactError| troubles.push(format!("what the deployment brings is not known: {err}"));
        let previous = match self.previous(&place, matter) {
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
            Err(err) if err.is_out_of_time() => return Err(Ended::from_fact(&err)),
            Err(err) => {
                unknown(&err);
                return Ok(None);
            }
        };
        let is_untouched = match brought.relation {
            // The branch moved to where the service was all the time: it went past commits of other services alone.
            Relation::Same => {
                !paths.is_empty()
                    && matter.services.environments_of(facts.update()).contains(&environment.as_str())
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
        tell(draft, &brought, facts.push().time());
        Ok(None)
    }

    /// Returns the time from the first commit that the push brought to the push, for the span of a change.
    pub(super) fn since_first_commit(
        &self,
        planned: &Planned,
        matter: &Matter,
        budget: Budget,
    ) -> Result<Option<Interval>, Ended> {
        let facts = &matter.facts;
        let Ok(Some(old)) = facts.old_commit() else { return Ok(None) };
        let paths = planned.service.as_ref().map(|service| service.paths()).unwrap_or_default();
        // Without paths no commit needs to be read, only met.
        let measured = self.walk(budget, |patience| match paths {
            [] => facts.counted_since(old, patience),
            _ => facts.brought_since(old, paths, patience),
        });
        match measured {
            Ok(brought) => {
                let end = facts.push().time();
                let first = brought.first.map(|(_, time)| time).filter(|start| *start <= end);
                Ok(first.map(|start| Interval { start, end }))
            }
            Err(err) if err.is_out_of_time() => Err(Ended::from_fact(&err)),
            // A point is right as well, and says less.
            Err(_) => Ok(None),
        }
    }

    /// Walks history for as long as whoever asks has patience, and no longer than one push may take in all.
    fn walk<T>(&self, budget: Budget, walk: impl FnOnce(Patience) -> T) -> T {
        let patience = match budget {
            Budget::Push(deadline) => Patience::Until(deadline),
            Budget::Update if self.walked.get() > WALKING => Patience::Visits(SHORT),
            Budget::Update => Patience::Visits(MAX_VISITED_SINCE),
        };
        let start = Instant::now();
        let walked = walk(patience);
        self.walked.set(self.walked.get() + start.elapsed());
        walked
    }

    /// Returns what ran in an environment before: what is remembered, else what history tells. A ref that stands for the
    /// environment told it by its old value; a version tag has a version before it.
    fn previous(&self, place: &Place, matter: &Matter) -> Result<Option<Previous>, FactError> {
        let Matter { facts, services } = matter;
        if let Some(deployed) = self.memory.last_deployment(place, facts.push().id()) {
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

/// Notes what lies between the two commits.
fn tell(draft: &mut Draft, brought: &Brought, deployed: Timestamp) {
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
    let contents = Contents::of(&brought.commits);
    let ai_share = contents.ai_share();
    for (name, list) in [
        (name::RANGE_AUTHORS, contents.authors),
        (name::RANGE_CO_AUTHORS, contents.co_authors),
        (name::RANGE_TICKETS, contents.tickets),
        (name::RANGE_REVERTS, contents.reverts),
        (name::RANGE_PULL_REQUESTS, contents.pull_requests.iter().map(ToString::to_string).collect()),
    ] {
        if !list.is_empty() {
            add(draft, name, Value::List(list));
        }
    }
    if contents.with_ai > 0 {
        add(draft, name::RANGE_AI_COMMITS, int(contents.with_ai));
        add(draft, name::RANGE_AI_SHARE, Value::Float(ai_share.unwrap_or_default()));
    }
    // What goes back was not waited for, and of a walk that was cut the first commit is not known.
    if let Some((id, time)) = brought.first
        && brought.relation != Relation::Behind
        && !brought.is_truncated
    {
        add(draft, name::FIRST_COMMIT, id.to_string().into());
        add(draft, name::FIRST_COMMIT_TIME, time.to_string().into());
        let seconds = deployed.duration_since(time).as_secs();
        add(draft, name::LEAD_TIME, Value::Int(seconds.max(0)));
    }
}

/// Notes a fact, unless the policy has said another.
fn add(draft: &mut Draft, name: &'static str, value: Value) {
    draft.attributes.entry(name.into()).or_insert(value);
}

fn int(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
