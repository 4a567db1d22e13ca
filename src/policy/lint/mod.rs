//! What `check` finds in a script that compiles: words, functions and kinds that are not there.

mod calls;
mod finding;
mod functions;
mod known;
mod walk;

use rhai::{AST, Engine};

pub use finding::Finding;

/// Returns what cannot work in a script although it compiles, in the order of its lines.
pub(super) fn lint(ast: &AST, engine: &Engine) -> Vec<Finding> {
    let mut findings = functions::misnamed(ast);
    findings.extend(walk::walk(ast, &known::Known::of(engine)));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}
