//! The render scripts that are compiled in: a destination names one with `render = "grafana"`.

/// Each by its name, with its text.
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
    /// What a destination names it.
    pub name: &'static str,
    /// The script.
    pub text: &'static str,
}

impl Shipped {
    /// Returns all of them, by name.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        SHIPPED.into_iter().map(|(name, text)| Self { name, text })
    }

    /// Returns what stands for a file in messages.
    pub fn place(self) -> String {
        format!("shipped/{}.rhai", self.name)
    }

    /// Returns the one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|shipped| shipped.name == name)
    }
}
