//! Finds functions that are never called and whose names resemble one that the host calls, such as
//! `decide` or `render`.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Dynamic, Expr, FnPtr, Stmt};

use crate::{
    policy::LintFinding,
    text::{self, Hinted},
};

/// Returns findings for functions with a name similar to one of the host's, if the script does not
/// call them itself.
pub(super) fn misnamed(ast: &AST, given: &[(&'static str, &[&str])]) -> Vec<LintFinding> {
    let called = called(ast);
    let mut findings = Vec::new();
    for function in ast.iter_fn_def() {
        let name = &*function.name;
        let is_ours = given.iter().any(|(ours, _)| *ours == name);
        if is_ours || called.contains(name) {
            continue;
        }
        // With a different number of parameters, the similarity is most likely a coincidence.
        let ours =
            given.iter().filter(|(_, given)| given.len() == function.params.len()).map(|(ours, _)| *ours);
        let message = Hinted::near(format!("nothing calls `{}`", text::line(name)), name, ours);
        if message.hint.is_some() {
            findings.push(LintFinding::at(function.body.start_position(), 1, message));
        }
    }
    findings
}

/// Returns the names of functions that the script calls or passes as values.
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
            // `Fn("name")` and `call("name")` refer to a function by a string.
            Some(ASTNode::Expr(Expr::StringConstant(name, _))) => {
                called.insert(name.to_string());
            }
            _ => {}
        }
        true
    });
    called
}
