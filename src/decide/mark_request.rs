//! A marker that a person or a script asks for with `mark`, in the form of the push options that ask
//! for the same. So policies that read push options work for both.

use super::options::{
    DEPLOY, FINISHED, ID, MARK_KIND, MARK_TITLE, MARK_VERSION, SERVICE, STARTED, STATUS, TRACEPARENT,
};
use crate::{
    marker::{FAILED, Interval, Kind, SUCCEEDED, Traceparent},
    push::PushOptions,
};

/// A request for a marker. What is left out is decided as for a push.
#[derive(Clone, Debug)]
pub struct MarkRequest {
    /// Kind of the marker.
    pub kind: Kind,
    /// Environment of a deployment or a rollback.
    pub environment: Option<String>,
    /// Name of the service.
    pub service: Option<String>,
    /// Version, unless a script of the policy sets another one.
    pub version: Option<String>,
    /// Title, unless a script of the policy sets another one.
    pub title: Option<String>,
    /// Outcome of a deployment or a rollback.
    pub status: Option<DeploymentStatus>,
    /// ID of a deployment or a rollback, from the tool that carried it out.
    pub id: Option<String>,
    /// Traces that the marker links to.
    pub traceparents: Vec<Traceparent>,
    /// Start and end of a deployment or a rollback.
    pub interval: Option<Interval>,
}

/// The outcome of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentStatus {
    /// The version runs in the environment.
    Succeeded,
    /// The previous version still runs in the environment.
    Failed,
}

impl DeploymentStatus {
    /// All outcomes.
    pub const ALL: [Self; 2] = [Self::Succeeded, Self::Failed];

    /// Returns the value of `deployment.status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => SUCCEEDED,
            Self::Failed => FAILED,
        }
    }
}

impl MarkRequest {
    /// Returns the push options that ask for this marker.
    pub fn options(&self) -> PushOptions {
        let options = [
            (MARK_KIND, Some(self.kind.as_str().to_string())),
            (DEPLOY, self.environment.clone()),
            (SERVICE, self.service.clone()),
            (MARK_VERSION, self.version.clone()),
            (MARK_TITLE, self.title.clone()),
            (STATUS, self.status.map(|status| status.as_str().to_string())),
            (ID, self.id.clone()),
            (STARTED, self.interval.map(|interval| interval.start.to_string())),
            (FINISHED, self.interval.map(|interval| interval.end.to_string())),
        ];
        let links = self.traceparents.iter().map(|context| (TRACEPARENT, Some(context.to_string())));
        PushOptions::new(
            options.into_iter().chain(links).filter_map(|(key, value)| Some(format!("{key}={}", value?))),
        )
    }
}
