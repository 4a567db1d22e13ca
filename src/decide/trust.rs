//! Applies the site's `[[trust]]` rules to a marker. A rule names what is enough to cause it; a marker
//! needs something of each rule that is about it.

use super::{Budget, Decider, EarlyEnd, Failure};
use crate::{
    config::{Allowed, Otherwise, TrustRule},
    facts::Facts,
    marker::{Attributes, Kind, Value, name},
    policy::Draft,
    push::{MergeStep, Pusher, Source, UpdateSource},
    service,
    signature::Signature,
    text,
};

/// The outcome of the rules for one marker.
pub(super) enum Trust {
    /// No rule is about it.
    Free,
    /// Something of each rule that is about it holds.
    Verified(Vec<String>),
    /// Nothing of a rule holds, but its markers are made anyway.
    Unverified(String),
    /// Nothing of a rule holds.
    Refused(String),
}

/// The answer of one entry of a rule.
enum Holds {
    Yes,
    No,
    /// Gitea's API has not answered.
    Unknown,
}

impl Trust {
    /// Sets the attributes that say so. Those of a script do not count.
    pub fn add_to(&self, attributes: &mut Attributes) {
        attributes.remove(name::TRUST);
        attributes.remove(name::TRUSTED_BY);
        match self {
            Self::Free | Self::Refused(_) => {}
            Self::Verified(by) => {
                attributes.insert(name::TRUST.into(), "verified".into());
                attributes.insert(name::TRUSTED_BY.into(), Value::List(by.clone()));
            }
            Self::Unverified(_) => {
                attributes.insert(name::TRUST.into(), "unverified".into());
            }
        }
    }
}

impl Decider<'_> {
    /// Applies the rules to a marker that passed the guards.
    ///
    /// # Errors
    /// [`EarlyEnd::OutOfTime`] in the hook if Gitea's API has to be asked first, which the background
    /// does.
    pub(super) fn trust(&self, draft: &Draft, facts: &Facts, budget: Budget) -> Result<Trust, EarlyEnd> {
        let source = facts.push().source();
        let repository = source.repository.full_name();
        let mut outcome = Trust::Free;
        for rule in self.config.trust_in(&repository).filter(|rule| is_about(rule, draft)) {
            let mut is_known = true;
            let mut found = None;
            for allowed in &rule.allow {
                match holds(allowed, facts) {
                    Holds::Yes => {
                        found = Some(allowed.to_string());
                        break;
                    }
                    Holds::No => {}
                    Holds::Unknown => is_known = false,
                }
            }
            match found {
                Some(by) => outcome = outcome.and_by(by),
                None if !is_known && matches!(budget, Budget::Push(_)) => {
                    return Err(EarlyEnd::OutOfTime(Failure::of_policy("Gitea's API has to be asked")));
                }
                None => {
                    let why = refusal(rule, draft, source, is_known);
                    match rule.otherwise {
                        Otherwise::Skip => return Ok(Trust::Refused(why)),
                        Otherwise::Mark => outcome = Trust::Unverified(why),
                    }
                }
            }
        }
        Ok(outcome)
    }
}

impl Trust {
    fn and_by(self, by: String) -> Self {
        match self {
            Self::Free => Self::Verified(vec![by]),
            Self::Verified(mut all) => {
                if !all.contains(&by) {
                    all.push(by);
                }
                Self::Verified(all)
            }
            distrusted @ (Self::Unverified(_) | Self::Refused(_)) => distrusted,
        }
    }
}

/// Returns all names under which a back end may show the service: some attributes are read as the name
/// even if the marker's own field differs.
pub(super) fn service_names(draft: &Draft) -> impl Iterator<Item = &str> {
    let of_attributes = draft.attributes.iter().filter(|(key, _)| service::is_key_of_name(key));
    let of_attributes = of_attributes.flat_map(|(_, value)| match value {
        Value::Text(name) => std::slice::from_ref(name),
        Value::List(names) => names,
        _ => &[],
    });
    std::iter::once(&*draft.service).chain(of_attributes.map(String::as_str))
}

fn is_about(rule: &TrustRule, draft: &Draft) -> bool {
    let is_kind = |of: &Kind| *of == draft.kind || of.is_deployment() && draft.kind.is_deployment();
    let is_in = |pattern: &Option<String>, named: Option<&str>| {
        pattern.as_deref().is_none_or(|pattern| named.is_some_and(|name| service::looks_like(pattern, name)))
    };
    rule.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(is_kind))
        && service_names(draft).any(|name| is_in(&rule.service, Some(name)))
        && is_in(&rule.environment, draft.environment.as_deref())
}

fn holds(allowed: &Allowed, facts: &Facts) -> Holds {
    let push = facts.push();
    let source = push.source();
    let yes_if = |is: bool| if is { Holds::Yes } else { Holds::No };
    let member = |organisation: &str, team: Option<&str>| match push.person(facts.index()) {
        None => Holds::No,
        Some(user) => match push.access().organisation(organisation) {
            Some(record) => yes_if(record.has(user, team)),
            None => Holds::Unknown,
        },
    };
    match allowed {
        Allowed::User { id, .. } => yes_if(push.person(facts.index()) == Some(*id)),
        Allowed::Team { organisation, team } => member(organisation, Some(team)),
        Allowed::Organisation(organisation) => member(organisation, None),
        // Only a push has passed Gitea's check of who may push there.
        Allowed::Protected if source.found_by != UpdateSource::Push => Holds::No,
        Allowed::Protected => match push.access().protection() {
            Some(record) => yes_if(record.covers(facts.update().ref_name().kind())),
            None => Holds::Unknown,
        },
        Allowed::Approved(count) => match &source.pull_request {
            Some(request) if request.step == MergeStep::Merged && source.found_by == UpdateSource::Push => {
                push.approvals().map_or(Holds::Unknown, |approvals| yes_if(approvals >= *count))
            }
            _ => Holds::No,
        },
        // A key file that cannot be read is reported by `check` and `doctor`.
        Allowed::Signed(by) => yes_if(
            facts
                .signature()
                .is_ok_and(|signed| signed.is_good() && by.as_deref().is_none_or(|by| is_of(&signed, by))),
        ),
        Allowed::DeployKey(None) => yes_if(source.deploy_key_id.is_some()),
        Allowed::DeployKey(id @ Some(_)) => yes_if(source.deploy_key_id == *id),
        Allowed::Actions => yes_if(source.actions_task_id.is_some()),
        Allowed::Command => yes_if(matches!(source.found_by, UpdateSource::Command | UpdateSource::Backfill)),
    }
}

/// Returns true if the signer or the key is called so: a fingerprint, a name, or the address in it.
fn is_of(signed: &Signature, by: &str) -> bool {
    let signer = signed.signer().unwrap_or_default();
    let address = signer.rsplit_once('<').and_then(|(_, address)| address.strip_suffix('>'));
    signed.key() == Some(by) || signer == by || address == Some(by)
}

fn refusal(rule: &TrustRule, draft: &Draft, source: &Source, is_known: bool) -> String {
    let what = match &draft.environment {
        Some(environment) => format!("{} of {} to {environment}", draft.kind.as_str(), draft.service),
        None => format!("{} of {}", draft.kind.as_str(), draft.service),
    };
    let allowed: Vec<String> = rule.allow.iter().map(|allowed| format!("`{allowed}`")).collect();
    let unknown = if is_known { "" } else { ", and Gitea's API did not say if one of these holds" };
    text::line(format!(
        "a {what} needs {} ([[trust]] in line {} of the configuration), and this is by {}{unknown}",
        allowed.join(" or "),
        rule.line,
        who(source)
    ))
}

fn who(source: &Source) -> String {
    let named = |pusher: &Pusher| match pusher.id {
        Some(id) => format!("{} (user {id})", pusher.name),
        None => pusher.name.clone(),
    };
    match (source.found_by, source.deploy_key_id, source.actions_task_id, &source.pusher) {
        (UpdateSource::Command, ..) => "the command `mark`".into(),
        (UpdateSource::Backfill, ..) => "the command `backfill`".into(),
        (_, Some(key), ..) => format!("deploy key {key}"),
        (_, _, Some(task), _) => format!("Actions task {task}"),
        (_, _, _, Some(pusher)) => named(pusher),
        (_, _, _, None) => "an unknown person".into(),
    }
}

#[cfg(test)]
mod tests;
