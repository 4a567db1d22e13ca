//! Static checks for scripts that compile. They find names that do not exist, wrong arguments, wrong
//! results, endless loops, and assignments that would fail.

mod calls;
mod functions;
mod known;
mod loops;
mod returns;
mod walk;

use super::{LintFinding, engine::ScriptEngine, script::Script};

/// Finds code that compiles but cannot work, sorted by position.
pub(super) fn lint(engine: &ScriptEngine, script: &Script) -> Vec<LintFinding> {
    let mut findings = functions::misnamed(script.ast(), engine.api().given);
    findings.extend(loops::endless(script.ast()));
    findings.extend(walk::walk(script.ast(), &known::KnownNames::of(engine)));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}
