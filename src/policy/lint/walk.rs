//! A walk through a script's functions that knows what the words of the API hold, and so finds the ones that are
//! not there before a push does.
//!
//! What it cannot know it takes for right: a script that works is never complained of.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTFlags, ASTNode, Expr, FlowControl, Position, ScriptFuncDef, Stmt, StmtBlock};

use super::{
    Role,
    finding::Finding,
    known::{Known, Said},
};
use crate::{
    policy::{api::Type, draft},
    text,
};

/// How often the functions are walked through to learn what they are called with.
const PASSES: usize = 4;

/// What is known of the parameters of a script's functions, from their calls.
type Called = BTreeMap<String, Vec<Option<Type>>>;

/// Returns what is wrong in the functions of a script.
pub(super) fn walk(ast: &AST, known: &Known) -> Vec<Finding> {
    let functions: Vec<&ScriptFuncDef> = ast.iter_fn_def().map(|function| &**function).collect();
    let mut called = Called::new();
    for pass in 1.. {
        let mut walk = Walk::new(known, &functions, &called);
        walk.script(ast);
        let Walk { learned, findings, .. } = walk;
        if learned == called || pass == PASSES {
            return findings;
        }
        called = learned;
    }
    unreachable!("the last pass returns")
}

/// What is known at one place of a script.
pub(super) struct Walk<'a> {
    pub(super) known: &'a Known,
    pub(super) functions: &'a [&'a ScriptFuncDef],
    called: &'a Called,
    pub(super) learned: Called,
    findings: Vec<Finding>,
    scope: Vec<(String, Type)>,
    /// Variables that are set again somewhere, and so may hold anything.
    set_again: BTreeSet<String>,
    /// Whether the marker in the function's hands may be written on.
    may_write: bool,
}

impl<'a> Walk<'a> {
    fn new(known: &'a Known, functions: &'a [&'a ScriptFuncDef], called: &'a Called) -> Self {
        Self {
            known,
            functions,
            called,
            learned: Called::new(),
            findings: Vec::new(),
            scope: known.globals(),
            set_again: BTreeSet::new(),
            may_write: true,
        }
    }

    fn script(&mut self, ast: &AST) {
        self.statements(ast.statements());
        let globals = std::mem::take(&mut self.scope);
        for function in self.functions {
            self.scope.clone_from(&globals);
            self.function(ast, function);
        }
    }

    fn function(&mut self, ast: &AST, function: &ScriptFuncDef) {
        let (name, arity) = (&*function.name, function.params.len());
        let known = self.known.role.given().iter().find(|(known, _)| *known == name);
        let given = known.map_or(&[][..], |(_, given)| *given);
        for (nth, param) in function.params.iter().enumerate() {
            let called = || self.called.get(name).and_then(|params| params.get(nth).copied()).flatten();
            let holds = match given.get(nth) {
                Some(object) if given.len() == arity => Type::Object(object),
                _ => called().unwrap_or(Type::Any),
            };
            self.scope.push((param.to_string(), holds));
        }
        self.may_write = name != "guard";
        // Rhai shows a function's body to nobody, but walks through all of a script's: of a script of one, then.
        let mut only = ast.clone_functions_only();
        only.retain_functions(|_, _, known, params| known == name && params == arity);
        self.set_again = set_again(&only);
        only.walk(&mut |path| {
            if let [ASTNode::Stmt(statement)] = path {
                self.statement(statement);
            }
            true
        });
    }

    fn statements(&mut self, statements: &[Stmt]) -> Type {
        let mut last = Type::Any;
        for statement in statements {
            last = self.statement(statement);
        }
        last
    }

    fn block(&mut self, block: &StmtBlock) -> Type {
        let depth = self.scope.len();
        let last = self.statements(block.statements());
        self.scope.truncate(depth);
        last
    }

    fn statement(&mut self, statement: &Stmt) -> Type {
        match statement {
            Stmt::If(flow, _) => {
                self.expression(&flow.expr);
                let (then, otherwise) = (self.block(&flow.body), self.block(&flow.branch));
                return if then == otherwise { then } else { Type::Any };
            }
            Stmt::Switch(switch, _) => {
                self.expression(&switch.0);
                for case in &switch.1.expressions {
                    self.expression(&case.lhs);
                    self.expression(&case.rhs);
                }
            }
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                self.expression(&flow.expr);
                self.block(&flow.body);
            }
            Stmt::For(each, _) => self.each(&each.0.name, each.1.as_ref().map(|n| &*n.name), &each.2),
            Stmt::Var(var, ..) => {
                let holds = self.expression(&var.1);
                let name = var.0.name.to_string();
                let holds = if self.set_again.contains(&name) { Type::Any } else { holds };
                self.scope.push((name, holds));
            }
            Stmt::Assignment(assignment) => {
                let value = &assignment.1.rhs;
                self.expression(value);
                self.set(&assignment.1.lhs, value);
            }
            Stmt::FnCall(call, at) => return self.call(call, *at),
            Stmt::Block(block) => return self.block(block),
            Stmt::TryCatch(flow, _) => {
                self.block(&flow.body);
                let depth = self.scope.len();
                if let Expr::Variable(name, ..) = &flow.expr {
                    self.scope.push((name.1.to_string(), Type::Any));
                }
                self.block(&flow.branch);
                self.scope.truncate(depth);
            }
            Stmt::Expr(expression) => return self.expression(expression),
            Stmt::Return(Some(value), ..) | Stmt::BreakLoop(Some(value), ..) => {
                self.expression(value);
            }
            Stmt::Import(import, _) => {
                self.expression(&import.0);
            }
            _ => {}
        }
        Type::Any
    }

    fn each(&mut self, name: &str, counter: Option<&str>, flow: &FlowControl) {
        let of = self.expression(&flow.expr);
        let depth = self.scope.len();
        self.scope.push((name.to_string(), element(of)));
        self.scope.extend(counter.map(|counter| (counter.to_string(), Type::Int)));
        self.block(&flow.body);
        self.scope.truncate(depth);
    }

    /// Looks at what is set: a variable, or a word of the marker.
    fn set(&mut self, target: &Expr, value: &Expr) {
        let Expr::Dot(chain, ..) = target else {
            self.expression(target);
            return;
        };
        let Expr::Property(property, at) = &chain.rhs else {
            self.expression(target);
            return;
        };
        let of = self.expression(&chain.lhs);
        let word = &*property.2;
        let is_policy = self.known.role == Role::Policy;
        match of {
            Type::Object("marker") if !self.may_write && is_policy => self.find(
                Finding::at(*at, word.chars().count(), "`guard` may not change a marker")
                    .fixed_by("return `#{ ... }` with the attributes to add, or `refuse(\"why\")`"),
            ),
            Type::Object("marker") if is_policy => {
                if let Err(why) = draft::Word::parse(word) {
                    self.find(Finding::at(*at, word.chars().count(), why));
                } else if word == "kind" {
                    self.kind(value);
                }
            }
            Type::Object(object) if self.word(of, word, *at).is_some() => {
                let message = format!("`{object}.{word}` cannot be set: a script reads it only");
                self.find(Finding::at(*at, word.chars().count(), message));
            }
            _ => {}
        }
    }

    pub(super) fn expression(&mut self, expression: &Expr) -> Type {
        match expression {
            Expr::StringConstant(..) | Expr::InterpolatedString(..) => {
                if let Expr::InterpolatedString(parts, _) = expression {
                    self.all(parts);
                }
                Type::Text
            }
            Expr::IntegerConstant(..) => Type::Int,
            Expr::BoolConstant(..) => Type::Bool,
            Expr::Unit(_) => Type::Nothing,
            Expr::Variable(name, ..) => {
                let known = self.scope.iter().rev().find(|(known, _)| *known == *name.1);
                known.map_or(Type::Any, |(_, holds)| *holds)
            }
            Expr::Array(items, _) => {
                self.all(items);
                Type::Any
            }
            Expr::Map(map, _) => {
                map.0.iter().for_each(|(_, value)| {
                    self.expression(value);
                });
                Type::Map
            }
            Expr::And(parts, _) | Expr::Or(parts, _) => {
                self.all(parts.iter());
                Type::Bool
            }
            Expr::Coalesce(parts, _) => {
                self.all(parts.iter());
                Type::Any
            }
            Expr::Stmt(block) => self.block(block),
            Expr::FnCall(call, at) => self.call(call, *at),
            Expr::Dot(chain, flags, _) => {
                let of = self.expression(&chain.lhs);
                self.chain(of, Link::Dot, &chain.rhs, *flags)
            }
            Expr::Index(chain, flags, _) => {
                let of = self.expression(&chain.lhs);
                self.chain(of, Link::Index, &chain.rhs, *flags)
            }
            _ => Type::Any,
        }
    }

    pub(super) fn all<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    /// Follows `a.b[c].d()`: the tree leans to the right, each node holding a link and the rest.
    fn chain(&mut self, of: Type, link: Link, rest: &Expr, flags: ASTFlags) -> Type {
        if flags.contains(ASTFlags::BREAK) {
            return self.link(of, link, rest);
        }
        match rest {
            Expr::Dot(chain, flags, _) => {
                let holds = self.link(of, link, &chain.lhs);
                self.chain(holds, Link::Dot, &chain.rhs, *flags)
            }
            Expr::Index(chain, flags, _) => {
                let holds = self.link(of, link, &chain.lhs);
                self.chain(holds, Link::Index, &chain.rhs, *flags)
            }
            last => self.link(of, link, last),
        }
    }

    fn link(&mut self, of: Type, link: Link, expression: &Expr) -> Type {
        match (link, expression) {
            (Link::Dot, Expr::Property(property, at)) => self.word(of, &property.2, *at).unwrap_or(Type::Any),
            (Link::Dot, Expr::MethodCall(call, at)) => self.method(of, call, *at),
            (Link::Index, index) => {
                self.expression(index);
                match of {
                    Type::Object("texts") => Type::Maybe(&Type::Text),
                    of => element(of),
                }
            }
            _ => Type::Any,
        }
    }

    /// Returns what a word holds, `None` if it is not there or nobody can know.
    fn word(&mut self, of: Type, word: &str, at: Position) -> Option<Type> {
        match self.known.word(of, word)? {
            Said::Holds(holds) => Some(holds),
            Said::Unknown(near) => {
                let message = format!("`{}` has no word `{}`", name_of(of), text::line(word));
                self.find_near(at, word, message, near.map(str::to_string));
                None
            }
        }
    }

    pub(super) fn find_near(&mut self, at: Position, word: &str, message: String, near: Option<String>) {
        let finding = Finding::at(at, word.chars().count(), message);
        self.find(match near {
            Some(near) => finding.fixed_by(format!("did you mean `{near}`?")),
            None => finding,
        });
    }

    pub(super) fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

/// How one part of a chain hangs on the one before.
#[derive(Clone, Copy)]
enum Link {
    Dot,
    Index,
}

/// Returns what is in a list.
pub(super) fn element(of: Type) -> Type {
    match of {
        Type::List(element) => *element,
        Type::Object("paths") => Type::Text,
        _ => Type::Any,
    }
}

pub(super) fn name_of(of: Type) -> &'static str {
    match of {
        Type::Object(name) => name,
        Type::Maybe(of) | Type::List(of) => name_of(*of),
        _ => "it",
    }
}

/// Returns the variables that are set again somewhere in a script.
fn set_again(ast: &AST) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    ast.walk(&mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Assignment(assignment))) = path.last()
            && let Expr::Variable(name, ..) = &assignment.1.lhs
        {
            found.insert(name.1.to_string());
        }
        true
    });
    found
}
