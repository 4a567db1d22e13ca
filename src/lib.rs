//! gitea-lightstep: from a `git push` to a marker in Lightstep or any OTLP back end.
//!
//! ```text
//! git (stdin + environment)
//!   -> push      what git and Gitea said                      no repository needed
//!   -> state     the inbox: one file, written and renamed
//!   -> facts     what the bare repository says, read lazily   gix stays in here
//!   -> policy    which updates are markers: decide, enrich,
//!                guard                                        Rhai stays in here
//!   -> marker    ids, times, trace context
//!   -> decide    push -> markers, the one function for all
//!   -> state     the outbox: written, synchronised, renamed; the journal
//!   -> settle    capture -> decide -> outbox                  back to git
//!      - - - - - - - - - - - detached - - - - - - - - - - -
//!   -> otlp      markers in the wire's words
//!   -> delivery  lock, batch, encode, send, retry, dead letter
//!                                                             HTTP stays in here
//! ```
//!
//! And beside it the way into a Gitea:
//!
//! ```text
//! app.ini, git's version
//!   -> install   a config hook in Gitea's .gitconfig, or a wrapper in each repository
//! ```
//!
//! A module imports only from those above it or from the plain leaves ([`config`], [`fault`],
//! [`memory`], [`child`], [`names`], [`regular`], [`secret`], [`text`], [`time`]); `tests/layering.rs` holds that.

// One file may have it, and says why.
#![deny(unsafe_code)]

// Leaves.
pub mod child;
pub mod fault;
pub mod memory;
pub mod regular;
pub mod secret;
pub mod text;
pub mod time;

pub mod names;

pub mod config;

// The way of a push.
pub mod push;

pub mod facts;

pub mod service;

pub mod policy;

pub mod marker;

pub mod decide;

pub mod state;

pub mod settle;

pub mod golden;

pub mod otlp;

pub mod delivery;

// The way into a Gitea.
pub mod install;

pub mod doctor;

pub mod cli;
