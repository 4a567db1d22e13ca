//! Access to the system that the rest of the program shares: files, child processes, signals, the
//! clock, a count of allocated memory, and the points at which tests make any of it fail.
//!
//! Nothing here knows what a push or a marker is.

pub mod alloc_meter;
pub mod child;
pub mod fault;
pub mod paths;
pub mod regular_file;
pub mod signals;
pub mod time;
pub mod users;
