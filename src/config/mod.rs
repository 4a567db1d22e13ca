//! The configuration: the file as written (`file`), then the config as meant ([`Config`]).

mod destination;
mod file;
mod load;
mod meant;
mod problem;
mod units;

pub use load::{ConfigError, INBOX, UNASSIGNED, VARIABLE, find, load, state_dir_of_broken};
pub use meant::{
    Compression, Config, Delivery, DeliveryMode, Destination, HeaderValue, Limits, Protocol, Reply, ReplyTo,
    ServiceRule, Spans, SpoolCap,
};
pub use problem::Problem;
pub use units::{duration, duration_text, size_text};
