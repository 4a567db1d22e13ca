//! Checks what the policy's functions can return, and the types of arguments.

use rhai::Position;

use super::walk::LintWalk;
use crate::policy::{
    LintFinding, PolicyFunction,
    api::{ApiFunction, Type},
};

impl LintWalk<'_> {
    /// Checks a value that the function can return.
    pub(super) fn returns(&mut self, held: Type, at: Position) {
        let Some(function) = self.answers else { return };
        if may_return(function, held) {
            return;
        }
        let found = if held == Type::Nothing { "nothing".into() } else { held.to_string() };
        let message = format!("`{}` can return {found}; {}", function.as_str(), function.expected());
        self.find(LintFinding::at(at, 0, message));
    }

    /// Checks the types of the arguments of a host function.
    pub(super) fn takes(&mut self, function: &ApiFunction, held: &[Type], at: Position) {
        let mut wanted = function.takes.iter().zip(held);
        if let Some(((name, wanted), found)) = wanted.find(|((_, wanted), held)| !fits(*wanted, **held)) {
            let message = format!("`{}` takes {name}: {wanted}; found {found}", function.name);
            self.find(LintFinding::at(at, function.name.len(), message));
        }
    }
}

/// Returns true if a value of type `held` can be passed as `wanted`, as far as both are known.
fn fits(wanted: Type, held: Type) -> bool {
    match (wanted, held) {
        (Type::Any, _) | (_, Type::Any | Type::Maybe(_)) | (Type::List(_), Type::List(_)) => true,
        (Type::Maybe(wanted), held) => held == Type::Nothing || fits(*wanted, held),
        (wanted, held) => wanted == held,
    }
}

fn may_return(function: PolicyFunction, held: Type) -> bool {
    let known = match function {
        PolicyFunction::Decide => matches!(held, Type::Bool | Type::List(_) | Type::Object("mark" | "skip")),
        PolicyFunction::Enrich => held == Type::Object("marker"),
        PolicyFunction::Guard => {
            matches!(held, Type::Bool | Type::Nothing | Type::Map | Type::Object("refusal"))
        }
    };
    known || matches!(held, Type::Any | Type::Maybe(_))
}
