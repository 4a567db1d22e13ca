//! Expands a mark of the policy into marker drafts: picks the services it applies to, and the
//! version of each.

use std::rc::Rc;

use super::{
    Decider, EarlyEnd, Failure,
    options::{self, MARK_TITLE, MARK_VERSION, SERVICE},
};
use crate::{
    facts::Facts,
    marker::Kind,
    policy::{Draft, Level, Partial, UpdateContext},
    service::{Service, version_of},
};

/// A marker that is planned but not yet enriched by the policy.
pub(super) struct Planned {
    pub draft: Draft,
    /// Configured service of this name, if there is one.
    pub service: Option<Rc<Service>>,
    /// True if a script, a push option or a tag named the service. A named service is marked even
    /// if none of its paths changed.
    pub is_named: bool,
    /// Kind that the policy asked for. The marker's id is derived from it, because whether a
    /// deployment becomes a rollback depends on earlier deployments.
    pub asked: Kind,
    /// True if the version comes from a release tag.
    pub is_of_release: bool,
    /// Layer whose script named the service. `None` if no script did.
    pub named_by: Option<Level>,
}

/// The drafts for one mark, or the reason that it has none.
pub(super) enum Plan {
    Drafts(Vec<Planned>),
    Nothing(String),
    /// The mark asks for an environment that none of the services runs in.
    Misnamed(String),
}

impl Decider<'_> {
    /// Fills in what `decide` left out of a mark. A change in a monorepo becomes one draft per
    /// service that it touches.
    pub(super) fn plan(
        &self,
        partial: Partial,
        level: Level,
        update_context: &UpdateContext,
        troubles: &mut Vec<String>,
    ) -> Result<Plan, EarlyEnd> {
        let UpdateContext { facts, services } = update_context;
        let update = facts.update();
        let tag = facts.version_tag();
        let kind = partial.kind.unwrap_or(if tag.is_some() { Kind::Release } else { Kind::Change });
        if kind != Kind::Change && matches!(facts.commit_id(), Ok(None)) {
            return Ok(Plan::Nothing("the tag points to a tree or a file, not a commit".into()));
        }
        let is_deployment = matches!(kind, Kind::Deployment | Kind::Rollback);
        let of_tag = || tag.and_then(|tag| tag.service().map(ToString::to_string));
        let named = partial.service.clone().or_else(of_tag);
        let is_named = named.is_some();
        let environment = partial.environment.as_deref().filter(|_| is_deployment);
        let meant: Vec<(String, Option<Rc<Service>>)> = match named {
            Some(name) => {
                let service = services.named(&name).cloned();
                // A script may name a service that is not configured. In a push option, such a name
                // is most likely a typo.
                if facts.push().source().options.get(SERVICE) == Some(&name) {
                    troubles.extend(services.complaint_about_name(&name));
                }
                vec![(name, service)]
            }
            None if services.all().is_empty() => vec![(facts.push().source().repository.name.clone(), None)],
            None => {
                let by_ref = environment.map(|environment| services.deployed_by(update, environment));
                let by_ref = by_ref.unwrap_or_default();
                let is_meant = |service: &Rc<Service>| match (kind, environment) {
                    (Kind::Change, _) => is_touched(facts, service),
                    (_, Some(environment)) if by_ref.is_empty() => Ok(service.may_run_in(environment)),
                    (_, Some(_)) => Ok(by_ref.contains(service)),
                    _ => Ok(true),
                };
                let mut meant = Vec::new();
                for service in services.all() {
                    if is_meant(service)? {
                        meant.push((service.name.clone(), Some(service.clone())));
                    }
                }
                meant
            }
        };
        if let Some(environment) = environment
            && !meant.iter().any(|(_, service)| service.as_ref().is_none_or(|s| s.may_run_in(environment)))
        {
            return Ok(Plan::Misnamed(services.complaint_about_environment(environment).unwrap_or_else(
                || format!("the service does not run in `{}`", crate::text::line(environment)),
            )));
        }
        if meant.is_empty() {
            return Ok(Plan::Nothing("no configured service has any of the changed paths".into()));
        }
        let asked = |key| options::of_command(facts.push().source(), key).map(ToString::to_string);
        let named = partial.title.filter(|title| !title.trim().is_empty());
        let of_release = || facts.release().filter(|_| kind == Kind::Release)?.title.clone();
        let title = named.or_else(|| asked(MARK_TITLE)).or_else(of_release).unwrap_or_else(|| title(facts));
        let version = partial.version.or_else(|| asked(MARK_VERSION));
        let mut planned = Vec::with_capacity(meant.len());
        for (name, service) in meant {
            // A version from the script or the command makes the service's rule superfluous, with its
            // problems.
            let rule = service.as_deref().filter(|_| version.is_none());
            let known = version_of(facts, &name, rule, is_deployment, troubles);
            let version = version.clone().unwrap_or_else(|| known.name.clone());
            planned.push(Planned {
                is_of_release: known.is_of_release && known.name == version,
                draft: Draft {
                    kind,
                    service: name,
                    version,
                    environment: partial.environment.clone(),
                    title: title.clone(),
                    attributes: partial.attributes.clone(),
                },
                service,
                is_named,
                named_by: partial.service.as_ref().map(|_| level),
                asked: kind,
            });
        }
        Ok(Plan::Drafts(planned))
    }
}

/// Returns the title of the commit. Without one, returns the commit's short id and the ref.
fn title(facts: &Facts) -> String {
    let update = facts.update();
    match facts.commit().ok().flatten() {
        None => update.ref_name().to_text(),
        Some(commit) if commit.title.trim().is_empty() => {
            format!("{} ({})", commit.id.short(), update.short_name())
        }
        Some(commit) => commit.title.clone(),
    }
}

/// Returns true if the update changes a path of the service.
///
/// Unreadable paths count as touched: an extra marker is better than a lost one. Running out of
/// time is an error, because the background run can still read the paths.
fn is_touched(facts: &Facts, service: &Service) -> Result<bool, EarlyEnd> {
    match facts.is_touched(service.paths()) {
        Err(err) if err.is_out_of_time() => Err(EarlyEnd::OutOfTime(Failure::of_policy(err.to_string()))),
        touched => Ok(touched.unwrap_or(true)),
    }
}
