//! From what a policy asks for to the marker: measured, enriched and guarded.

use super::{Asking, Decider, Deployed, Ended, Place, drafts::Planned, interval};
use crate::{
    config::{Destination, Emails, Spans, Target},
    facts::Facts,
    marker::{Addresses, Context, Marker, Site},
    policy::{Guarded, Kind, Policy, Rule, Trace},
};

/// What became of a marker to be.
pub(super) enum Fate {
    /// It is one, and what it is to be remembered as, if it says what runs in an environment now.
    Made(Box<Marker>, Option<(Place, Deployed)>),
    /// A guard refused it.
    Refused { by: Rule, why: String },
    /// There is nothing to be marked.
    PassedOver(String),
}

impl Decider<'_> {
    /// Has the policy enrich and guard a marker, of which is known before what it brings.
    pub(super) fn make(
        &self,
        mut planned: Planned,
        asking: &Asking<'_>,
        trace: &mut Trace,
        troubles: &mut Vec<String>,
    ) -> Result<Fate, Ended> {
        let Asking { policy, matter, budget, deadline } = asking;
        let push = matter.facts.push();
        let mut interval = None;
        if is_deployment(planned.draft.kind) {
            if let Some(why) = self.measure(&mut planned, matter, *budget, troubles)? {
                return Ok(Fate::PassedOver(why));
            }
            interval::describe(&mut planned.draft, push, troubles);
            interval = interval::told(push, troubles);
        } else if planned.draft.kind == Kind::Change && self.has_spans_of_changes() {
            interval = self.since_first_commit(&planned, matter, *budget)?;
        }
        let Planned { draft, service, is_of_release, asked, .. } = planned;
        let (version, measured) = (draft.version.clone(), draft.kind);
        let draft = policy.enrich(draft, matter, *deadline, trace)?;
        let draft = match policy.guard(draft, matter, *deadline, trace)? {
            Guarded::Passed(draft) => draft,
            Guarded::Refused { by, why } => return Ok(Fate::Refused { by, why }),
        };
        // A script may have made it another service's, version or kind.
        let context = Context {
            service: service.as_deref().filter(|service| service.name == draft.service),
            interval,
            is_of_release: is_of_release && draft.version == version,
            asked: if draft.kind == measured { asked } else { draft.kind },
        };
        let marker = Marker::new(draft, &matter.facts, self.site(policy), context);
        let deployed = deployed(&marker, &matter.facts);
        Ok(Fate::Made(Box::new(marker), deployed))
    }

    /// Returns whether any destination gets changes as spans, which begin with their first commits.
    fn has_spans_of_changes(&self) -> bool {
        let wants = |destination: &Destination| matches!(&destination.target, Target::Otlp(otlp) if otlp.spans == Spans::All);
        self.config.destinations.iter().any(wants)
    }

    fn site<'p>(&'p self, policy: &'p Policy) -> Site<'p> {
        // A key is made where there is none, so it is asked for only where it is of use.
        let key = (self.config.emails == Emails::Hashed).then(|| self.memory.address_key()).flatten();
        let addresses = Addresses::of(self.config.emails, key);
        Site { public_url: self.config.public_url.as_deref(), policy: policy.stamps(), addresses }
    }
}

fn is_deployment(kind: Kind) -> bool {
    matches!(kind, Kind::Deployment | Kind::Rollback)
}

/// Returns what a marker is to be remembered as, if it says what runs in an environment now.
fn deployed(marker: &Marker, facts: &Facts) -> Option<(Place, Deployed)> {
    let environment = marker.environment.as_deref().filter(|_| is_deployment(marker.kind))?;
    if interval::has_failed(&marker.attributes) {
        return None;
    }
    let push = facts.push();
    let place = Place::new(&push.source().repository, &marker.service, environment);
    let commit = facts.commit_id().ok().flatten()?;
    let version = marker.version.clone();
    Some((place, Deployed { push: push.id(), time: push.time(), commit, version }))
}
