//! The configuration. `raw` has the schema of the file, `load` and its siblings validate it, and
//! [`Config`] is the result.

mod denied;
mod destination;
mod gitea;
mod http;
mod lightstep;
mod link;
mod load;
mod namespace;
mod place;
mod problem;
mod raw;
mod reader;
mod resolved;
mod schema;
mod service;
mod shipped;
mod spanned;
mod tag_pattern;
mod target;
mod trust;
mod units;

pub use denied::why_denied;
pub use destination::{LIGHTSTEP, is_loopback};
pub use link::{LinkTemplate, Placeholder};
pub use load::{
    SYSTEM_FILE, find, find_by_default, is_default_state_of_another, load, places, state_dir_meant,
    state_dir_of_broken,
};
pub use namespace::Namespace;
pub use place::place_of;
pub use problem::ConfigProblem;
pub use resolved::{
    Config, DEFAULT_STATE_DIR, DeliveryMode, Destination, Emails, EnvironmentRule, GiteaApi, HeaderValue,
    INBOX, LightstepApi, Limits, Reply, ReplyTo, Retention, ServiceRule, SpoolCap, UNASSIGNED, VersionRule,
};
pub use schema::{schema, schema_of};
pub use service::{ServiceFile, own_services, service_rules};
pub use shipped::Shipped;
pub use spanned::Spanned;
pub use tag_pattern::TagPattern;
pub use target::{Compression, Http, Otlp, Protocol, RenderScript, SpanRole, Spans, Target};
pub use trust::{Allowed, Otherwise, TrustRule};
pub use units::{duration, duration_text, size_text};
