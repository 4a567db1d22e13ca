//! gitea-lightstep turns a `git push` into markers in Lightstep or any other OTLP back end.
//!
//! ```text
//! git (stdin + environment)
//!   -> push      what git and Gitea said                      no repository needed
//!   -> state     inbox: one file, written and renamed
//!   -> facts     reads the bare repository, lazily            only user of gix
//!   -> policy    decides which updates are markers:
//!                decide, enrich, guard                        only user of Rhai
//!   -> decide    turns a push into markers, for all callers
//!   -> state     outbox: written, renamed, synchronised; the journal
//!   -> settle    capture -> decide -> outbox                  back to git
//!      - - - - - - - - - - - detached - - - - - - - - - - -
//!   -> otlp      encodes markers for the wire
//!   -> delivery  lock, batch, encode, send, retry, dead letter
//! ```
//!
//! Another part of the program installs the hook into a Gitea:
//!
//! ```text
//! app.ini, git's version
//!   -> install   a config hook in Gitea's .gitconfig, or a wrapper in each repository
//! ```
//!
//! A module imports only from modules above it and from the leaves (`dns`, `glob`, `mask`,
//! `proposal`, `secret`, `sys`, `text`, `work`), `marker` and `config`. `tests/layering.rs` checks that.

// Only `sys::alloc_meter` and `sys::signals` may use unsafe code; each gives its reason.
#![deny(unsafe_code)]

// The leaves, which import only each other.
mod document;
mod glob;
mod mask;
mod proposal;
mod redact;
mod secret;
mod sys;
mod text;
mod work;

mod dns;

// What git reported, and the types of markers.
mod push;

mod marker;

mod signature;

mod config;

// The modules that a push passes through.
mod facts;

mod service;

mod policy;

mod decide;

mod state;

mod settle;

mod golden;

mod otlp;

mod delivery;

// The modules that install and check the hook, and the commands.
mod install;

mod scan;

mod scratch;

mod doctor;

pub mod cli;

// The entry points of the fuzz targets. The program does not call them.
#[doc(hidden)]
pub mod fuzzing;

/// Items for the integration tests and the benchmarks. This is not an API.
#[doc(hidden)]
pub mod internals {
    pub use crate::{
        config::load as load_config,
        decide::{Budget, Decider, InMemoryHistory, Outcome},
        facts::{
            Brought, Commit, FactError, Facts, MAX_COMMITS, MAX_VISITED, MAX_VISITED_SINCE, Range, RefUpdate,
            Relation, Repository, WalkLimit,
        },
        glob::is_match,
        policy::{api, definitions, reference, render_reference},
        push::{Environment, MergeStep, ObjectId, Push, PushId, RefKind, RefName, Source, Update, lines},
        sys::{
            fault,
            time::{Deadline, Timestamp},
        },
    };
}
