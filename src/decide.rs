//! From a push to markers: the one function that the hook, the deliverer, `scan`, `backfill` and
//! `try` call.

use std::{ops::Range, rc::Rc};

use crate::{
    config::{Config, ServiceRule},
    facts::{FactError, Facts, Repository},
    marker::{Marker, Site},
    policy::{
        Decision, Draft, Guarded, Kind, Partial, Policy, PolicyError, Rule, ScriptError, Scripts, Step, Trace,
    },
    push::{self, Push},
    time::Deadline,
};

/// How many updates are decided at once. Whoever asks writes down what came of them while the
/// processor still has it at hand.
const CHUNK: usize = 64;

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
    is_traced: bool,
}

impl<'a> Decider<'a> {
    /// Opens the push's repository and compiles its policy. That either fails is no error yet: it
    /// is told of each update that needs it.
    pub fn new(config: &'a Config, push: Push, hook_page: Option<std::path::PathBuf>) -> Self {
        let scripts = Scripts { dir: config.scripts.clone(), hook_page, draft: None };
        Self::with_scripts(config, push, &scripts)
    }

    /// Does the same with scripts that are not those of the configuration.
    pub fn with_scripts(config: &'a Config, push: Push, scripts: &Scripts) -> Self {
        Self {
            config,
            repository: Repository::open(&push.source().git_dir).map(Rc::new),
            policy: Policy::load(scripts, &push.source().repository, &config.limits),
            push: Rc::new(push),
            is_traced: false,
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
    ) -> Result<Self, PolicyError> {
        let policy = Policy::load(scripts, &push.source().repository, &config.limits)?;
        let push = Rc::new(push);
        Ok(Self { config, repository: Ok(repository), policy: Ok(policy), push, is_traced: false })
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
            let mut verdict = match self.verdict(index, deadline, &mut trace) {
                // What the hook has no time for, the background may have.
                Err(err) if err.is_out_of_time() && matches!(budget, Budget::Push(_)) => {
                    decided.is_out_of_time = true;
                    break;
                }
                Err(err) => Verdict::without(index, Outcome::Failed(err.to_string())),
                Ok(verdict) => verdict,
            };
            verdict.steps = trace.into_steps();
            decided.verdicts.push(verdict);
        }
        decided
    }

    fn verdict(&self, index: usize, deadline: Deadline, trace: &mut Trace) -> Result<Verdict, ScriptError> {
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
        let mut verdict = Verdict::without(index, Outcome::Marked);
        let marks = match policy.decide(&facts, deadline, trace)? {
            Decision::Skip { by, why } => {
                return Ok(Verdict { by: Some(by), outcome: Outcome::Skipped(why), ..verdict });
            }
            Decision::Marks(marks) => marks,
        };
        let mut nth = 0;
        for mark in marks {
            for draft in self.drafts(mark.partial, &facts) {
                trace.turn_to_marker(nth);
                nth += 1;
                let draft = policy.enrich(draft, &facts, deadline, trace)?;
                match policy.guard(draft, &facts, deadline, trace)? {
                    Guarded::Passed(draft) => {
                        let marker = Marker::new(draft, &facts, self.site(policy));
                        verdict.markers.push(Made { marker, by: mark.by.clone() });
                    }
                    Guarded::Refused { by, why } => {
                        verdict.by = Some(by);
                        verdict.outcome = Outcome::Refused(why);
                    }
                }
            }
        }
        if verdict.markers.is_empty() && matches!(verdict.outcome, Outcome::Marked) {
            verdict.outcome = Outcome::Skipped("no configured service has any of the changed paths".into());
        }
        verdict.missing = facts.target().err();
        Ok(verdict)
    }

    /// Fills in what `decide` left out of a mark; a monorepo's change is a draft for each service
    /// that it touches.
    fn drafts(&self, partial: Partial, facts: &Facts) -> Vec<Draft> {
        let tag = facts.version_tag();
        let update = facts.update();
        let kind = partial.kind.unwrap_or(if tag.is_some() { Kind::Release } else { Kind::Change });
        let version = partial
            .version
            .or_else(|| tag.as_ref().map(|tag| tag.version().to_string()))
            .unwrap_or_else(|| facts.commit_id().ok().flatten().unwrap_or(update.raw_new_id()).to_string());
        let named =
            partial.service.or_else(|| tag.as_ref().and_then(|tag| tag.service().map(ToString::to_string)));
        let services = named.map_or_else(|| services(&self.config.services, kind, facts), |name| vec![name]);
        let title = partial.title.unwrap_or_else(|| {
            let commit = facts.commit().ok().flatten();
            commit.map_or_else(|| update.ref_name().to_text(), |commit| commit.title.clone())
        });
        services
            .into_iter()
            .map(|service| Draft {
                kind,
                service,
                version: version.clone(),
                environment: partial.environment.clone(),
                title: title.clone(),
                attributes: partial.attributes.clone(),
            })
            .collect()
    }

    fn site<'p>(&'p self, policy: &'p Policy) -> Site<'p> {
        Site { public_url: self.config.public_url.as_deref(), policy: policy.stamps() }
    }
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

/// Returns the services that an update is of: those whose `[[service]]` names the repository and,
/// for a change, one of the changed paths. Without any rule for the repository, it is one service of
/// the repository's name.
fn services(rules: &[ServiceRule], kind: Kind, facts: &Facts) -> Vec<String> {
    let repository = &facts.push().source().repository;
    let rules: Vec<_> = rules.iter().filter(|rule| is_of(rule, repository)).collect();
    if rules.is_empty() {
        return vec![repository.name.clone()];
    }
    let touches = |rule: &ServiceRule| {
        if rule.paths.is_empty() || kind != Kind::Change {
            return true;
        }
        // When the paths cannot be read or are too many, a marker too many is better than one lost.
        facts.changed_paths().map_or(true, |changed| {
            changed.is_truncated
                || changed.paths.iter().any(|path| rule.paths.iter().any(|glob| matches(glob, path)))
        })
    };
    let mut names = Vec::new();
    for rule in rules {
        // Two rules may say which paths are one service's.
        if !names.contains(&rule.name) && touches(rule) {
            names.push(rule.name.clone());
        }
    }
    names
}

/// Returns whether a `[[service]]` names the repository.
pub fn is_of(rule: &ServiceRule, repository: &push::Repository) -> bool {
    matches(&rule.repository, repository.full_name().to_lowercase().as_bytes())
}

fn matches(pattern: &str, text: &[u8]) -> bool {
    gix_glob::wildmatch(pattern.into(), text.into(), gix_glob::wildmatch::Mode::NO_MATCH_SLASH_LITERAL)
}
