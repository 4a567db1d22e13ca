//! The configuration: the file as written (`file`), then the config as meant ([`Config`]).

mod destination;
mod file;
mod http;
mod kind;
mod lightstep;
mod link;
mod load;
mod meant;
mod problem;
mod service;
mod shipped;
mod units;

pub use kind::Kind;
pub use lightstep::LightstepApi;
pub use link::{LinkTemplate, Placeholder};
pub use load::{ConfigError, INBOX, UNASSIGNED, VARIABLE, find, load, state_dir_of_broken};
pub use meant::{
    Compression, Config, Delivery, DeliveryMode, Destination, Emails, HeaderValue, Http, Limits, Logs, Otlp,
    Protocol, RenderScript, Reply, ReplyTo, Spans, SpoolCap, Target,
};
pub use problem::Problem;
pub use service::{EnvironmentRule, ServiceFile, ServiceRule, VersionRule, own_services, service_rules};
pub use shipped::Shipped;
pub use units::{duration, duration_text, size_text};
