//! Walks a script's functions with the types of the API, to find names that do not exist before a
//! push runs into them.
//!
//! Code whose type is unknown counts as correct, so a working script never gets a finding.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
};

use rhai::{AST, ASTFlags, ASTNode, Expr, FlowControl, Position, ScriptFuncDef, Stmt, StmtBlock};

use super::known::{KnownNames, Lookup};
use crate::{
    policy::{
        LintFinding, PolicyFunction,
        api::{MarkerProperty, Type},
    },
    text::{self, Hinted},
};

/// Maximum number of passes over the functions to infer parameter types from their calls.
const PASSES: usize = 4;

/// Types of the parameters of a script's functions, inferred from their calls.
type Called = BTreeMap<String, Vec<Option<Type>>>;

/// Returns the findings in a script's functions.
pub(super) fn walk(ast: &AST, known: &KnownNames) -> Vec<LintFinding> {
    let functions: Vec<&ScriptFuncDef> = ast.iter_fn_def().map(|function| &**function).collect();
    let mut called = Called::new();
    for pass in 1.. {
        let mut walk = LintWalk::new(known, &functions, &called);
        walk.script(ast);
        let LintWalk { learned, findings, .. } = walk;
        if learned == called || pass == PASSES {
            return findings;
        }
        called = learned;
    }
    unreachable!("the last pass returns")
}

/// The state of the walk at one position in a script.
pub(super) struct LintWalk<'a> {
    pub(super) known: &'a KnownNames,
    pub(super) functions: &'a [&'a ScriptFuncDef],
    called: &'a Called,
    pub(super) learned: Called,
    findings: Vec<LintFinding>,
    scope: Vec<(String, Type)>,
    /// Variables that are assigned more than once, so their type is unknown.
    set_again: BTreeSet<String>,
    /// True if the function may change the marker.
    may_write: bool,
    /// Function of the policy that is being walked, if it is one.
    pub(super) answers: Option<PolicyFunction>,
    /// True if the next statement is the last one of the function, so that its value is returned.
    is_last: bool,
}

impl<'a> LintWalk<'a> {
    fn new(known: &'a KnownNames, functions: &'a [&'a ScriptFuncDef], called: &'a Called) -> Self {
        Self {
            known,
            functions,
            called,
            learned: Called::new(),
            findings: Vec::new(),
            scope: known.api.globals.iter().map(|(name, holds)| (name.to_string(), *holds)).collect(),
            set_again: BTreeSet::new(),
            may_write: true,
            answers: None,
            is_last: false,
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
        let known = self.known.api.given.iter().find(|(known, _)| *known == name);
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
        // Rhai does not expose the body of a single function, but it can walk a whole script. So
        // walk a copy that has only this function.
        let mut only = ast.clone_functions_only();
        only.retain_functions(|_, _, known, params| known == name && params == arity);
        self.set_again = set_again(&only);
        let is_of_policy = self.known.api.sets_markers && given.len() == arity;
        self.answers = PolicyFunction::named(name).filter(|_| is_of_policy);
        let mut left = 0;
        only.walk(&mut |path| {
            left += usize::from(path.len() == 1);
            true
        });
        only.walk(&mut |path| {
            if let [ASTNode::Stmt(statement)] = path {
                left -= 1;
                self.is_last = left == 0;
                self.statement(statement);
            }
            true
        });
        self.answers = None;
    }

    fn statements(&mut self, statements: &[Stmt]) -> Type {
        let is_last = take(&mut self.is_last);
        let mut value = Type::Nothing;
        for (nth, statement) in statements.iter().enumerate() {
            self.is_last = is_last && nth + 1 == statements.len();
            value = self.statement(statement);
        }
        value
    }

    fn block(&mut self, block: &StmtBlock) -> Type {
        let depth = self.scope.len();
        let last = self.statements(block.statements());
        self.scope.truncate(depth);
        last
    }

    fn statement(&mut self, statement: &Stmt) -> Type {
        let is_last = take(&mut self.is_last);
        let value = self.value_of(statement, is_last);
        // The value of these is that of a statement in them, which was checked.
        let is_compound = match statement {
            Stmt::If(..) | Stmt::Switch(..) | Stmt::Block(..) | Stmt::Return(..) => true,
            Stmt::Expr(expression) => matches!(&**expression, Expr::Stmt(_)),
            _ => false,
        };
        if is_last && !is_compound {
            self.returns(value, statement.position());
        }
        value
    }

    /// Checks a statement and returns the type of its value. `is_last` means that the function
    /// returns the value.
    fn value_of(&mut self, statement: &Stmt, is_last: bool) -> Type {
        match statement {
            Stmt::If(flow, _) => {
                self.expression(&flow.expr);
                self.is_last = is_last;
                let then = self.block(&flow.body);
                self.is_last = is_last;
                let otherwise = self.block(&flow.branch);
                return if then == otherwise { then } else { Type::Any };
            }
            Stmt::Switch(switch, _) => {
                self.expression(&switch.0);
                for case in &switch.1.expressions {
                    self.expression(&case.lhs);
                    let is_block = matches!(case.rhs, Expr::Stmt(_));
                    self.is_last = is_last && is_block;
                    let value = self.expression(&case.rhs);
                    if is_last && !is_block {
                        self.returns(value, case.rhs.start_position());
                    }
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
                return Type::Nothing;
            }
            Stmt::FnCall(call, at) => return self.call(call, *at),
            Stmt::Block(block) => {
                self.is_last = is_last;
                return self.block(block);
            }
            Stmt::TryCatch(flow, _) => {
                self.block(&flow.body);
                let depth = self.scope.len();
                if let Expr::Variable(name, ..) = &flow.expr {
                    self.scope.push((name.1.to_string(), Type::Any));
                }
                self.block(&flow.branch);
                self.scope.truncate(depth);
            }
            Stmt::Expr(expression) => {
                self.is_last = is_last && matches!(&**expression, Expr::Stmt(_));
                return self.expression(expression);
            }
            Stmt::Return(Some(value), flags, _) if !flags.contains(ASTFlags::BREAK) => {
                let held = self.expression(value);
                self.returns(held, value.start_position());
            }
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

    /// Checks an assignment to a variable or to a property of an object.
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
        let sets_markers = self.known.api.sets_markers;
        match of {
            Type::Object("marker") if !self.may_write && sets_markers => self.find(
                LintFinding::at(*at, word.chars().count(), "`guard` may not change a marker")
                    .fixed_by("return `#{ ... }` with the attributes to add, or `refuse(\"why\")`"),
            ),
            Type::Object("marker" | "mark") if sets_markers => {
                if let Err(why) = MarkerProperty::parse(word) {
                    self.find(LintFinding::at(*at, word.chars().count(), why));
                } else if word == "kind" {
                    self.kind(value);
                }
            }
            Type::Object(object) if self.word(of, word, *at).is_some() => {
                let message = format!("`{object}.{word}` cannot be set: it is read-only");
                self.find(LintFinding::at(*at, word.chars().count(), message));
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

    /// Follows a chain such as `a.b[c].d()`. The tree nests to the right: each node holds one link
    /// and the rest of the chain.
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

    /// Returns the type of a property. `None` if the property does not exist or is unknown.
    fn word(&mut self, of: Type, word: &str, at: Position) -> Option<Type> {
        match self.known.word(of, word) {
            Lookup::Found(holds) => return Some(holds),
            Lookup::Missing(near) => {
                let message = format!("`{}` has no property `{}`", name_of(of), text::line(word));
                self.find_near(at, word, message, near);
            }
            Lookup::Unknown => {}
        }
        None
    }

    pub(super) fn find_near(&mut self, at: Position, word: &str, message: String, near: Option<&str>) {
        let message = Hinted { message, hint: near.map(text::did_you_mean) };
        self.find(LintFinding::at(at, word.chars().count(), message));
    }

    pub(super) fn find(&mut self, finding: LintFinding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

/// The connection between two parts of a chain.
#[derive(Clone, Copy)]
enum Link {
    Dot,
    Index,
}

/// Returns the element type of a list.
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

/// Returns the variables that a script assigns to after their declaration.
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
