//! Finds loops that never end.

use rhai::{AST, ASTFlags, ASTNode, Expr, Position, Stmt};

use crate::policy::LintFinding;

/// Returns a finding for each loop whose condition is constant and whose body has no way out.
pub(super) fn endless(ast: &AST) -> Vec<LintFinding> {
    let mut findings = Vec::new();
    ast.walk(&mut |path| {
        if let Some(ASTNode::Stmt(statement)) = path.last()
            && let Some(at) = constant_loop(statement)
            && !is_in_try(path)
            && !has_exit(statement)
        {
            let message = "this loop never ends: its condition is always true, and nothing leaves it";
            findings.push(LintFinding::at(at, 1, message).fixed_by("add a `break` or a `return`"));
        }
        true
    });
    findings
}

/// Returns the position of a loop that its condition never ends.
fn constant_loop(statement: &Stmt) -> Option<Position> {
    match statement {
        Stmt::While(flow, at) => {
            let is_loop = matches!(flow.expr, Expr::Unit(_));
            (is_loop || constant(&flow.expr) == Some(true)).then_some(*at)
        }
        Stmt::Do(flow, flags, at) => {
            let goes_on = !flags.contains(ASTFlags::NEGATED);
            (constant(&flow.expr) == Some(goes_on)).then_some(*at)
        }
        _ => None,
    }
}

/// Returns the value of a condition without variables, such as `true`, `!false` or `1 < 2`.
fn constant(condition: &Expr) -> Option<bool> {
    let call = match condition {
        Expr::BoolConstant(value, _) => return Some(*value),
        Expr::FnCall(call, _) if call.op_token.is_some() => call,
        _ => return None,
    };
    match (&*call.name, &call.args[..]) {
        ("!", [of]) => constant(of).map(|value| !value),
        (name, [Expr::IntegerConstant(one, _), Expr::IntegerConstant(other, _)]) => match name {
            "==" => Some(one == other),
            "!=" => Some(one != other),
            "<" => Some(one < other),
            "<=" => Some(one <= other),
            ">" => Some(one > other),
            ">=" => Some(one >= other),
            _ => None,
        },
        _ => None,
    }
}

/// Returns true if an error could end the loop without ending the script.
fn is_in_try(path: &[ASTNode<'_>]) -> bool {
    path.iter().any(|node| matches!(node, ASTNode::Stmt(Stmt::TryCatch(..))))
}

/// Returns true if a statement leaves the loop: `return`, `throw`, or a `break` that is not of a loop
/// inside of it.
fn has_exit(outer: &Stmt) -> bool {
    let mut found = false;
    outer.walk(&mut Vec::new(), &mut |path| {
        let is_loop = |node: &ASTNode<'_>| {
            matches!(node, ASTNode::Stmt(Stmt::While(..) | Stmt::Do(..) | Stmt::For(..)))
        };
        found |= match path.last() {
            Some(ASTNode::Stmt(Stmt::Return(..))) => true,
            Some(ASTNode::Stmt(Stmt::BreakLoop(_, flags, _))) => {
                flags.contains(ASTFlags::BREAK) && path.iter().filter(|node| is_loop(node)).count() == 1
            }
            _ => false,
        };
        !found
    });
    found
}
