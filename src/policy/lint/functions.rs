//! Functions that were meant to be `decide`, `enrich` or `guard`, or `render` of a render script, and that nobody calls.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Dynamic, Expr, FnPtr, Stmt};

use super::finding::Finding;
use crate::text;

/// Returns the functions whose names are near one of ours, if the script itself has no use for them.
pub(super) fn misnamed(ast: &AST, given: &[(&'static str, &[&str])]) -> Vec<Finding> {
    let called = called(ast);
    let mut findings = Vec::new();
    for function in ast.iter_fn_def() {
        let name = &*function.name;
        let is_ours = given.iter().any(|(ours, _)| *ours == name);
        if is_ours || called.contains(name) {
            continue;
        }
        // With other parameters it was hardly meant to be ours.
        let ours =
            given.iter().filter(|(_, given)| given.len() == function.params.len()).map(|(ours, _)| *ours);
        if let Some(near) = text::nearest(name, ours) {
            let message = format!("nobody calls `{}`", text::line(name));
            let finding = Finding::at(function.body.start_position(), 1, message);
            findings.push(finding.fixed_by(format!("did you mean `{near}`?")));
        }
    }
    findings
}

/// Returns the names of functions that the script calls or hands over.
fn called(ast: &AST) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)))
            | Some(ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                called.insert(call.name.to_string());
            }
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => {
                let function = Dynamic::clone(value).try_cast::<FnPtr>();
                called.extend(function.map(|function| function.fn_name().to_string()));
            }
            // `Fn("name")` and `call("name")` name a function by a text.
            Some(ASTNode::Expr(Expr::StringConstant(name, _))) => {
                called.insert(name.to_string());
            }
            _ => {}
        }
        true
    });
    called
}
