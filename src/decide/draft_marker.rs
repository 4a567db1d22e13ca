//! Turns a planned marker into a finished one: measures its commit range, then runs the policy's
//! `enrich` and `guard` on it.

use super::{
    Budget, DecideRequest, Decider, Deployed, DeploymentTarget, EarlyEnd, Failure,
    attributes::Site,
    backfill,
    build::{MarkerContext, build},
    drafts::Planned,
    interval, is_deployment, options,
    people::Addresses,
    since::{add, int},
    trust::{Trust, service_names},
};
use crate::{
    config::Emails,
    facts::{Facts, RefUpdate},
    marker::{Kind, Marker, Value, name},
    policy::{Draft, Guarded, Level, Policy, Rule, Trace, UpdateContext},
    service,
};

/// The outcome for one planned marker.
pub(super) enum MarkerOutcome {
    /// The marker was made. A successful deployment comes with its entry for the deployment
    /// history.
    Made(Box<Marker>, Option<(DeploymentTarget, Deployed)>),
    /// A guard refused the marker.
    Refused { by: Rule, why: String },
    /// The service belongs to another repository. `by` is the rule that renamed the service after
    /// `decide`, if one did.
    Foreign { by: Option<Rule>, why: String },
    /// A rule of `[[trust]]` does not allow the marker.
    Untrusted(String),
    /// A script gave the marker an environment that does not exist at this site.
    UnknownEnvironment(String),
    /// No marker is needed, because the service did not change since its last deployment there.
    PassedOver(String),
}

impl Decider<'_> {
    /// Measures the commit range of a planned marker, then runs `enrich` and `guard` on it.
    pub(super) fn make(
        &self,
        mut planned: Planned,
        asking: &DecideRequest<'_>,
        trace: &mut Trace,
        troubles: &mut Vec<String>,
    ) -> Result<MarkerOutcome, EarlyEnd> {
        let DecideRequest { policy, update_context, budget, deadline } = asking;
        let push = update_context.facts.push();
        let mut interval = None;
        if planned.draft.kind.is_deployment() {
            if let Some(why) = self.measure(&mut planned, update_context, *budget, troubles)? {
                return Ok(MarkerOutcome::PassedOver(why));
            }
            interval::describe(&mut planned.draft, push, troubles);
            interval = interval::stated_interval(push, troubles);
        } else if planned.draft.kind == Kind::Change {
            self.describe_change(&mut planned, update_context, *budget)?;
        }
        self.add_ref_update(&mut planned.draft, &update_context.facts, *budget, troubles)?;
        let after = self.config.backfill_after;
        if backfill::date(&update_context.facts, planned.draft.kind, after).is_some() {
            planned.draft.attributes.insert(name::BACKFILL.into(), Value::Bool(true));
        }
        let Planned { draft, service, is_of_release, asked, mut named_by, .. } = planned;
        let (version, measured) = (draft.version.clone(), draft.kind);
        let (draft, renamed) = policy.enrich(draft, update_context, *deadline, trace)?;
        let renamed = renamed.map(|(level, by)| {
            named_by = Some(level);
            by
        });
        let draft = match policy.guard(draft, update_context, *deadline, trace)? {
            Guarded::Passed(draft) => draft,
            Guarded::Refused { by, why } => return Ok(MarkerOutcome::Refused { by, why }),
        };
        if let Some(why) = self.foreign(&draft, named_by, &update_context.facts) {
            return Ok(MarkerOutcome::Foreign { by: renamed, why });
        }
        if let Some(why) = self.unknown_environment(draft.environment.as_deref()) {
            return Ok(MarkerOutcome::UnknownEnvironment(why));
        }
        let trust = self.trust(&draft, &update_context.facts, *budget)?;
        match &trust {
            Trust::Refused(why) => return Ok(MarkerOutcome::Untrusted(why.clone())),
            Trust::Unverified(why) => troubles.push(why.clone()),
            Trust::Free | Trust::Verified(_) => {}
        }
        let on_default_branch = self.on_default_branch(&draft, update_context, *budget, troubles)?;
        // `enrich` may have changed the marker's service, version or kind.
        let context = MarkerContext {
            service: service.as_deref().filter(|service| service.name == draft.service),
            interval,
            backfilled: backfill::date(&update_context.facts, draft.kind, after),
            is_of_release: is_of_release && draft.version == version,
            asked: if draft.kind == measured { asked } else { draft.kind },
        };
        let repository = &self.push.source().repository;
        let namespace = service::namespace(self.config, context.service, repository);
        let mut marker = build(draft, &update_context.facts, self.site(policy, namespace), context);
        if let Some(is_on_it) = on_default_branch {
            marker.attributes.insert(name::ON_DEFAULT_BRANCH.into(), Value::Bool(is_on_it));
        }
        trust.add_to(&mut marker.attributes);
        self.identify_span(&mut marker, asking)?;
        let deployed = deployed(&marker, &update_context.facts);
        Ok(MarkerOutcome::Made(Box::new(marker), deployed))
    }

    /// Adds how the push moved the ref. A deployment is compared with what ran before, so history is
    /// not walked for it.
    fn add_ref_update(
        &self,
        draft: &mut Draft,
        facts: &Facts,
        budget: Budget,
        troubles: &mut Vec<String>,
    ) -> Result<(), EarlyEnd> {
        let moved = match facts.known_ref_update() {
            None if !is_deployment(draft.kind) => match self.walk(budget, |limit| facts.ref_update(limit)) {
                Ok(moved) => moved,
                Err(err) if err.is_out_of_time() => {
                    return Err(EarlyEnd::OutOfTime(Failure::of_policy(err.to_string())));
                }
                Err(err) => {
                    troubles.push(format!("cannot tell if the push was forced: {err}"));
                    None
                }
            },
            known => known,
        };
        let Some(moved) = moved else { return Ok(()) };
        add(draft, name::REF_UPDATE, moved.as_str().into());
        if let (RefUpdate::Forced { .. } | RefUpdate::Rewound { .. }, Some(removed)) =
            (moved, moved.removed())
        {
            add(draft, name::REF_REMOVED, int(removed));
        }
        Ok(())
    }

    /// Returns why the environment does not exist, if the site has a closed list.
    pub(super) fn unknown_environment(&self, environment: Option<&str>) -> Option<String> {
        options::unknown_environment(self.config.environments.as_deref(), environment?)
    }

    /// Returns why this repository may not mark the draft's service, if it may not: the service
    /// belongs to another repository. The site's own script may name any service, unless it took
    /// the name from the push.
    fn foreign(&self, draft: &Draft, named_by: Option<Level>, facts: &Facts) -> Option<String> {
        let repository = &facts.push().source().repository;
        let refusal = |name: &str| service::refusal(self.config, repository, name);
        let of_site = || named_by == Some(Level::Site) && !service::is_said_by_push(facts, &draft.service);
        let of_service = || refusal(&draft.service).filter(|_| !of_site());
        let of_attribute = || service_names(draft).filter(|name| *name != draft.service).find_map(&refusal);
        of_service().or_else(of_attribute)
    }

    /// Returns true if the commit is on the default branch. `None` if no destination needs this for
    /// the marker's kind, or if it cannot be determined.
    fn on_default_branch(
        &self,
        draft: &Draft,
        update_context: &UpdateContext,
        budget: Budget,
        troubles: &mut Vec<String>,
    ) -> Result<Option<bool>, EarlyEnd> {
        let kinds = self.branch_wanted_for.get_or_init(|| {
            let scripted = self.config.destinations.iter().filter_map(|to| to.target.scripted());
            let asking = scripted.filter(|http| http.render.has(name::ON_DEFAULT_BRANCH));
            asking.flat_map(|http| &http.kinds).copied().collect()
        });
        if !kinds.contains(&draft.kind) {
            return Ok(None);
        }
        match self.walk(budget, |patience| update_context.facts.is_on_default_branch(patience)) {
            Ok(is_on_it) => Ok(is_on_it),
            Err(err) if err.is_out_of_time() => Err(EarlyEnd::OutOfTime(Failure::of_policy(err.to_string()))),
            Err(err) => {
                troubles.push(format!("cannot tell if the commit is on the default branch: {err}"));
                Ok(None)
            }
        }
    }

    fn site<'p>(&'p self, policy: &'p Policy, namespace: Option<&'p str>) -> Site<'p> {
        // Reading the key creates it if it is missing, so read it only when addresses are hashed.
        let key = (self.config.emails == Emails::Hashed).then(|| self.memory.address_key()).flatten();
        let addresses = Addresses::of(self.config.emails, key);
        let public_url = self.config.public_url.as_deref();
        let redaction = Some(&self.config.redaction);
        Site { public_url, namespace, policy: policy.stamps(), addresses, redaction }
    }
}

/// Returns the marker's entry for the deployment history. `None` if the marker is not a deployment,
/// or if the deployment failed.
fn deployed(marker: &Marker, facts: &Facts) -> Option<(DeploymentTarget, Deployed)> {
    let environment = marker.environment.as_deref().filter(|_| marker.kind.is_deployment())?;
    if marker.has_failed() {
        return None;
    }
    let push = facts.push();
    let place = DeploymentTarget::new(push.source(), &marker.service, environment);
    let commit = facts.commit_id().ok().flatten()?;
    let version = marker.version.clone();
    Some((place, Deployed { push: push.id(), time: push.time(), commit, version }))
}
