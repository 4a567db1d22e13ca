//! From what a policy asks for to what a marker says: which services, and which version of each.

use std::rc::Rc;

use super::Decider;
use crate::{
    policy::{Draft, Kind, Matter, Partial},
    service::{Service, version_of},
};

/// The push option that names the service of a deployment.
const SERVICE: &str = "deploy.service";

/// A marker to be, before the policy enriches it.
pub(super) struct Planned {
    pub draft: Draft,
    /// The rule of its service, if there is one.
    pub service: Option<Rc<Service>>,
    /// Whether somebody named the service, so that it is meant whatever the paths say.
    pub is_named: bool,
    /// The kind that the policy asked for. Whether a deployment turns out to be a rollback depends on what was deployed before, and
    /// its id must not.
    pub asked: Kind,
    /// Whether its version is that of a release tag of the commit.
    pub is_of_release: bool,
}

/// The markers of one mark, or why there are none.
pub(super) enum Plan {
    Drafts(Vec<Planned>),
    Nothing(String),
    /// Somebody asked for what there is not.
    Misnamed(String),
}

impl Decider<'_> {
    /// Fills in what `decide` left out of a mark; a monorepo's change is a marker for each service that it touches.
    pub(super) fn plan(&self, partial: Partial, matter: &Matter, troubles: &mut Vec<String>) -> Plan {
        let Matter { facts, services } = matter;
        let update = facts.update();
        let tag = facts.version_tag();
        let kind = partial.kind.unwrap_or(if tag.is_some() { Kind::Release } else { Kind::Change });
        let is_deployment = matches!(kind, Kind::Deployment | Kind::Rollback);
        let of_tag = || tag.as_ref().and_then(|tag| tag.service().map(ToString::to_string));
        let named = partial.service.clone().or_else(of_tag);
        let is_named = named.is_some();
        let environment = partial.environment.as_deref().filter(|_| is_deployment);
        let meant: Vec<(String, Option<Rc<Service>>)> = match named {
            Some(name) => {
                let service = services.named(&name).cloned();
                // A script may name what no rule does; a pusher who does has most likely made a slip.
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
                    // When the paths cannot be read, a marker too many is better than one lost.
                    (Kind::Change, _) => {
                        service.paths().is_empty()
                            || facts.changed_paths().map_or(true, |changed| service.is_touched_by(&changed))
                    }
                    (_, Some(environment)) if by_ref.is_empty() => service.may_run_in(environment),
                    (_, Some(_)) => by_ref.contains(service),
                    _ => true,
                };
                let meant = services.all().iter().filter(|service| is_meant(service));
                meant.map(|service| (service.name.clone(), Some(service.clone()))).collect()
            }
        };
        if let Some(environment) = environment
            && !meant.iter().any(|(_, service)| service.as_ref().is_none_or(|s| s.may_run_in(environment)))
        {
            return Plan::Misnamed(services.complaint_about_environment(environment).unwrap_or_else(|| {
                format!("the service does not run in `{}`", crate::text::line(environment))
            }));
        }
        if meant.is_empty() {
            return Plan::Nothing("no configured service has any of the changed paths".into());
        }
        let title = partial.title.unwrap_or_else(|| {
            let commit = facts.commit().ok().flatten();
            commit.map_or_else(|| update.ref_name().to_text(), |commit| commit.title.clone())
        });
        let mut planned = Vec::with_capacity(meant.len());
        for (name, service) in meant {
            let known = version_of(facts, &name, service.as_deref(), is_deployment, troubles);
            let version = partial.version.clone().unwrap_or_else(|| known.name.clone());
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
                asked: kind,
            });
        }
        Plan::Drafts(planned)
    }
}
