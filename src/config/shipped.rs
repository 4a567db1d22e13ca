//! The render scripts that are compiled in. A destination selects one with, for example, `render =
//! "grafana"`.

use crate::marker::Kind;

/// Name and text of each script.
const SHIPPED: [(&str, &str); 9] = [
    ("cdevents", include_str!("../../scripts/destinations/cdevents.rhai")),
    ("datadog", include_str!("../../scripts/destinations/datadog.rhai")),
    ("gitea", include_str!("../../scripts/destinations/gitea.rhai")),
    ("grafana", include_str!("../../scripts/destinations/grafana.rhai")),
    ("honeycomb", include_str!("../../scripts/destinations/honeycomb.rhai")),
    ("lightstep-snapshot", include_str!("../../scripts/destinations/lightstep-snapshot.rhai")),
    ("newrelic", include_str!("../../scripts/destinations/newrelic.rhai")),
    ("sentry", include_str!("../../scripts/destinations/sentry.rhai")),
    ("slack", include_str!("../../scripts/destinations/slack.rhai")),
];

/// A render script that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Name that a destination uses in `render`.
    pub name: &'static str,
    /// Text of the script.
    pub text: &'static str,
}

impl Shipped {
    /// Name of the script that sets commit statuses.
    pub const GITEA: &'static str = "gitea";

    /// Returns all scripts, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        SHIPPED.into_iter().map(|(name, text)| Self { name, text })
    }

    /// Returns the kinds of markers that the script receives by default. `gitea` receives only
    /// deployments and rollbacks: it sets successful commit statuses, and Gitea can require those
    /// to merge a pull request.
    pub fn kinds(self) -> Vec<Kind> {
        match self.name {
            Self::GITEA => vec![Kind::Deployment, Kind::Rollback],
            _ => Kind::ALL.to_vec(),
        }
    }

    /// Returns the file name used in messages.
    pub fn place(self) -> String {
        format!("shipped/{}.rhai", self.name)
    }

    /// Returns the script with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|shipped| shipped.name == name)
    }
}
