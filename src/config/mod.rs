//! The configuration: the file as written (`file`), then the config as meant ([`Config`]).

mod destination;
mod file;
mod link;
mod load;
mod meant;
mod problem;
mod service;
mod units;

pub use link::{LinkTemplate, Placeholder};
pub use load::{ConfigError, INBOX, UNASSIGNED, VARIABLE, find, load, state_dir_of_broken};
pub use meant::{
    Compression, Config, Delivery, DeliveryMode, Destination, Emails, HeaderValue, Limits, Protocol, Reply,
    ReplyTo, Spans, SpoolCap,
};
pub use problem::Problem;
pub use service::{EnvironmentRule, ServiceRule, VersionRule, own_services};
pub use units::{duration, duration_text, size_text};
