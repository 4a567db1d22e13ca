//! What `check` finds in a script that compiles: words, functions and kinds that are not there.

mod calls;
mod finding;
mod functions;
mod known;
mod walk;

use rhai::{AST, Engine};

pub use finding::Finding;

use super::render::functions::GIVEN as GIVEN_TO_RENDER;

/// What a script is for, which says what its functions are called and given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To decide what becomes a marker.
    Policy,
    /// To say what a marker is sent as.
    Render,
}

impl Role {
    /// Returns the functions that are called, with the objects that they are given.
    fn given(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Policy => &[
                ("decide", &["update"]),
                ("enrich", &["marker", "update"]),
                ("guard", &["marker", "update"]),
            ],
            Self::Render => GIVEN_TO_RENDER,
        }
    }
}

/// Returns what cannot work in a script although it compiles, in the order of its lines.
pub(super) fn lint(ast: &AST, engine: &Engine, role: Role) -> Vec<Finding> {
    let mut findings = functions::misnamed(ast, role.given());
    findings.extend(walk::walk(ast, &known::Known::of(engine, role)));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}
