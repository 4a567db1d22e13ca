//! Errors that keep an update from being decided, grouped by what can resolve them.

use crate::{
    policy::{PolicyError, Rule, ScriptError},
    text,
};

/// An error that kept an update from being decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    cause: Cause,
    why: String,
    at: Option<Rule>,
}

/// The party at fault in a [`Failure`]. It determines whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A script failed. It would fail again, so the update waits until a script or the
    /// configuration changes.
    Policy,
    /// The system or the repository failed: a read was refused, or the repository is missing. A
    /// later retry may succeed.
    System,
}

impl Failure {
    /// Creates a failure of the policy.
    pub fn of_policy(why: impl Into<String>) -> Self {
        Self { cause: Cause::Policy, why: why.into(), at: None }
    }

    /// Creates a failure of the system.
    pub fn of_system(why: impl Into<String>) -> Self {
        Self { cause: Cause::System, why: why.into(), at: None }
    }

    /// Returns the position in the script that failed, if it is known.
    pub fn at(&self) -> Option<&Rule> {
        self.at.as_ref()
    }

    /// Returns the party at fault.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns the reason as text. For a script error it includes the position in the script.
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// A decision that ended early.
pub(super) enum EarlyEnd {
    /// The time limit of the policy was reached.
    OutOfTime(Failure),
    Failed(Failure),
}

impl From<ScriptError> for EarlyEnd {
    fn from(err: ScriptError) -> Self {
        if err.is_out_of_time() { Self::OutOfTime((&err).into()) } else { Self::Failed((&err).into()) }
    }
}

impl From<&ScriptError> for Failure {
    fn from(err: &ScriptError) -> Self {
        Self { at: Some(err.rule()), ..Self::of_policy(err.to_string()) }
    }
}

impl From<&PolicyError> for Failure {
    fn from(err: &PolicyError) -> Self {
        match err {
            PolicyError::Script(err) => err.into(),
            PolicyError::Unfit { path, .. } => {
                Self { at: Some(Rule::in_file(path)), ..Self::of_policy(err.to_string()) }
            }
            PolicyError::Unreadable { .. } => Self::of_system(text::chain(err)),
        }
    }
}
