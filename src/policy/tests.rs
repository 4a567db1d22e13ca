//! Calls every native function with the largest values that the limits allow, and checks that the
//! time limit still stops the script.

use std::{
    any::TypeId,
    collections::BTreeSet,
    rc::Rc,
    time::{Duration, Instant},
};

use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map, Position};

use super::{
    api::PathsView,
    engine::{Library, ScriptEngine},
    sizes::{MAX_ENTRIES, MAX_PROPERTIES, MAX_TEXT},
};
use crate::{
    config::Limits,
    facts::{ChangedPath, ChangedPaths},
    sys::time::Deadline,
};

/// Time limit of a call, and the excess allowed for a debug build on a busy machine.
const TIME: Duration = Duration::from_millis(30);
const BEYOND: Duration = Duration::from_millis(900);

/// Returns the source text of an argument of this type. Names refer to the parameters of the test's
/// function `go`.
fn argument(of: TypeId, small: &'static str) -> Option<&'static str> {
    let known = [
        (TypeId::of::<ImmutableString>(), "t"),
        (TypeId::of::<String>(), "t"),
        (TypeId::of::<Array>(), "a"),
        (TypeId::of::<Map>(), "m"),
        (TypeId::of::<PathsView>(), "p"),
        (TypeId::of::<i64>(), "1000"),
        (TypeId::of::<f64>(), "2.5"),
        (TypeId::of::<char>(), "'a'"),
        (TypeId::of::<bool>(), "true"),
        (TypeId::of::<FnPtr>(), "|x| true"),
        (TypeId::of::<Dynamic>(), small),
    ];
    known.into_iter().find(|(known, _)| *known == of).map(|(_, written)| written)
}

fn calls(sandbox: &ScriptEngine) -> BTreeSet<String> {
    let all = sandbox.functions(|name, types| {
        let is_word =
            name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(char::is_numeric);
        if !is_word || types.is_empty() {
            return None;
        }
        let rounds = ["t", "\"a\"", "`a*b|a`", "`**/*a*/**/*a*/b`"].map(|small| {
            let written = |(nth, of): (usize, &TypeId)| {
                let written = argument(*of, small)?;
                Some(if written == "t" && nth > 0 { small } else { written })
            };
            let arguments: Option<Vec<_>> = types.iter().enumerate().map(written).collect();
            let arguments = arguments?;
            let searched = if small.starts_with('`') && arguments[0] == "t" { "s" } else { arguments[0] };
            Some(format!("{name}({})", [&[searched], &arguments[1..]].concat().join(", ")))
        });
        Some(rounds.into_iter().flatten().collect::<Vec<_>>())
    });
    all.into_iter().flatten().collect()
}

#[test]
fn no_native_function_runs_much_longer_than_the_limit() {
    let limits = Limits { operations: u64::MAX, time: TIME, memory: 1 << 30 };
    let sandbox = ScriptEngine::new(&limits, Library::Full);
    let calls = calls(&sandbox);
    for expected in
        ["find_all(s, `a*b|a`)", "split(t, \"a\")", "matching(p, `**/*a*/**/*a*/b`)", "contains(a, t)"]
    {
        assert!(calls.contains(expected), "{expected} of {calls:?}");
    }
    let text: ImmutableString = "a".repeat(MAX_TEXT).into();
    let searched: ImmutableString = "a".repeat(64_000).into();
    let array: Array = (0..MAX_ENTRIES as i64).rev().map(Dynamic::from).collect();
    let map: Map =
        (0..MAX_PROPERTIES as i64).map(|nth| (format!("p{nth}").into(), Dynamic::from(nth))).collect();
    let path =
        |nth| ChangedPath { path: format!("{}{nth}", "a/a".repeat(100)).into(), may_be_directory: true };
    let paths = (0..10_000).map(path).collect();
    let paths = PathsView::new(Rc::new(ChangedPaths { paths, is_truncated: false }));
    for call in calls {
        let source = format!("fn go(t, s, a, m, p) {{ loop {{ try {{ {call} }} catch {{}} }} }}");
        let Ok(ast) = sandbox.compile("costs.rhai", &source) else { continue };
        let args = (text.clone(), searched.clone(), array.clone(), map.clone(), paths.clone());
        let start = Instant::now();
        let ended = sandbox.call("costs.rhai", &ast, ("go", Position::NONE), args, Deadline::after(TIME));
        let took = start.elapsed();
        assert!(ended.is_err(), "{call}");
        assert!(took < TIME + BEYOND, "{call}: {took:?}");
    }
}
