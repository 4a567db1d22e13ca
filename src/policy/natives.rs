//! Functions of Rhai's library in a form that is bounded.
//!
//! The engine looks at a script's limits between its steps, and a call of a function is one step. Those that can make
//! much of little in it (`replace`, `split`), go down into values without an end (`==`, `to_string`), take long
//! (`contains` takes 3 µs an entry) or call a script's function and pass over its error (`sort`, `dedup`) are
//! replaced; the engine finds ours first.

use std::{
    cmp::Ordering,
    fmt::{self, Write},
    mem,
    rc::Rc,
};

use rhai::{
    Array, Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, ImmutableString, Map, NativeCallContext,
    Position,
};

use super::{
    meter::{Meter, UsedUp},
    sizes::{self, MAX_DEPTH, MAX_ENTRIES, MAX_TEXT},
};

type Bounded<T> = Result<T, Box<EvalAltResult>>;
type Context<'a> = NativeCallContext<'a>;

/// Registers everything.
pub(super) fn register(engine: &mut Engine, meter: &Rc<Meter>) {
    register_splitting(engine);
    register_replacing(engine);
    register_showing(engine, meter);
    register_comparing(engine);
    register_ordering(engine);
}

fn register_splitting(engine: &mut Engine) {
    engine
        .register_fn("to_chars", |text: &str| entries(text.chars()))
        .register_fn("split", |text: &str| {
            if text.is_empty() { Ok(whole(text)) } else { entries(text.split_whitespace()) }
        })
        .register_fn("split", |text: &str, at: &str| entries(text.split(at)))
        .register_fn("split", |text: &str, at: char| entries(text.split(at)))
        .register_fn("split", |text: &str, at: &str, parts: i64| entries(text.splitn(count(parts), at)))
        .register_fn("split", |text: &str, at: char, parts: i64| entries(text.splitn(count(parts), at)))
        .register_fn("split_rev", |text: &str, at: &str| entries(text.rsplit(at)))
        .register_fn("split_rev", |text: &str, at: char| entries(text.rsplit(at)))
        .register_fn("split_rev", |text: &str, at: &str, parts: i64| entries(text.rsplitn(count(parts), at)))
        .register_fn("split_rev", |text: &str, at: char, parts: i64| entries(text.rsplitn(count(parts), at)));
}

fn whole(text: &str) -> Array {
    vec![text.into()]
}

fn count(parts: i64) -> usize {
    usize::try_from(parts.max(1)).unwrap_or(usize::MAX)
}

/// Collects the parts of a text.
fn entries<T: Into<Dynamic>>(parts: impl Iterator<Item = T>) -> Bounded<Array> {
    let mut array = Array::new();
    for part in parts {
        if array.len() == MAX_ENTRIES {
            return Err(sizes::too_large("an array is"));
        }
        array.push(part.into());
    }
    Ok(array)
}

fn register_replacing(engine: &mut Engine) {
    engine
        .register_fn("replace", |text: &mut ImmutableString, old: &str, new: &str| replace(text, old, new))
        .register_fn("replace", |text: &mut ImmutableString, old: char, new: &str| {
            replace(text, old.encode_utf8(&mut [0; 4]), new)
        })
        .register_fn("replace", |text: &mut ImmutableString, old: &str, new: char| {
            replace(text, old, new.encode_utf8(&mut [0; 4]))
        });
}

fn replace(text: &mut ImmutableString, old: &str, new: &str) -> Bounded<()> {
    let found = text.matches(old).count();
    let length = (text.len() - found * old.len()).saturating_add(found.saturating_mul(new.len()));
    if length > MAX_TEXT {
        return Err(sizes::too_large("a text is"));
    }
    *text = text.replace(old, new).into();
    Ok(())
}

/// What shows arrays and object maps must not fail, nor leave a value that the engine finds too large: it would show
/// it by itself then, without a bound. So such a value is emptied, and the script ends at its next step.
fn register_showing(engine: &mut Engine, meter: &Rc<Meter>) {
    for name in ["print", "to_string", "debug", "to_debug"] {
        let refusing = meter.clone();
        let show = move |ctx: Context<'_>, array: &mut Array| {
            if sizes::check_array(array).is_err() {
                array.clear();
                refusing.end(UsedUp::Size);
            }
            Shown::of(|shown| shown.array(&ctx, array, 0))
        };
        reading(name).register_into_engine(engine, show);
        let refusing = meter.clone();
        let show = move |ctx: Context<'_>, map: &mut Map| {
            if sizes::check_map(map).is_err() {
                map.clear();
                refusing.end(UsedUp::Size);
            }
            Shown::of(|shown| shown.map(&ctx, map, 0))
        };
        reading(name).register_into_engine(engine, show);
    }
    for name in ["debug", "to_debug"] {
        engine.register_fn(name, |text: &str| Shown::of(|shown| write!(shown, "{text:?}")));
    }
    reading("to_json").register_into_engine(engine, |map: &mut Map| -> Bounded<String> {
        sizes::check_map(map)?;
        Ok(rhai::format_map_as_json(map))
    });
}

/// Begins the registration of a function that only reads its first argument, so that it may be a constant.
fn reading(name: &str) -> FuncRegistration {
    FuncRegistration::new(name).with_purity(true)
}

/// The text of a value, which ends with `...` where it would become too long.
struct Shown(String);

impl Write for Shown {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.0.len() + more.len() > MAX_TEXT {
            return Err(fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}

impl Shown {
    fn of(show: impl FnOnce(&mut Self) -> fmt::Result) -> ImmutableString {
        let mut shown = Self(String::new());
        if show(&mut shown).is_err() {
            let mut end = MAX_TEXT - 3;
            while !shown.0.is_char_boundary(end.min(shown.0.len())) {
                end -= 1;
            }
            shown.0.truncate(end);
            shown.0.push_str("...");
        }
        shown.0.into()
    }

    fn array(&mut self, ctx: &Context<'_>, array: &Array, depth: usize) -> fmt::Result {
        self.write_str("[")?;
        for (nth, entry) in array.iter().enumerate() {
            self.write_str(if nth == 0 { "" } else { ", " })?;
            self.value(ctx, entry, depth + 1)?;
        }
        self.write_str("]")
    }

    fn map(&mut self, ctx: &Context<'_>, map: &Map, depth: usize) -> fmt::Result {
        self.write_str("#{")?;
        for (nth, (key, value)) in map.iter().enumerate() {
            write!(self, "{}{key:?}: ", if nth == 0 { "" } else { ", " })?;
            self.value(ctx, value, depth + 1)?;
        }
        self.write_str("}")
    }

    fn value(&mut self, ctx: &Context<'_>, value: &Dynamic, depth: usize) -> fmt::Result {
        if depth > MAX_DEPTH {
            return Err(fmt::Error);
        }
        if let Ok(array) = value.as_array_ref() {
            return self.array(ctx, &array, depth);
        }
        if let Ok(map) = value.as_map_ref() {
            return self.map(ctx, &map, depth);
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            return write!(self, "{:?}", text.as_str());
        }
        if let Ok(number) = value.as_int() {
            return write!(self, "{number}");
        }
        let shown = ctx.call_native_fn_raw("to_debug", true, &mut [&mut value.clone()]);
        match shown.ok().and_then(|shown| shown.into_immutable_string().ok()) {
            Some(text) => self.write_str(&text),
            None => self.write_str(value.type_name()),
        }
    }
}

fn register_comparing(engine: &mut Engine) {
    for (name, wanted) in [("==", true), ("!=", false)] {
        let compare = move |ctx: Context<'_>, one: &mut Array, other: Array| -> Bounded<bool> {
            Ok(are_arrays_equal(&ctx, one, &other, 0)? == wanted)
        };
        reading(name).register_into_engine(engine, compare);
        let compare = move |ctx: Context<'_>, one: &mut Map, other: Map| -> Bounded<bool> {
            Ok(are_maps_equal(&ctx, one, &other, 0)? == wanted)
        };
        reading(name).register_into_engine(engine, compare);
    }
    let contains = |ctx: Context<'_>, array: &mut Array, value: Dynamic| -> Bounded<bool> {
        Ok(position(&ctx, array, &value, 0)? >= 0)
    };
    reading("contains").register_into_engine(engine, contains);
    let index_of = |ctx: Context<'_>, array: &mut Array, value: Dynamic| -> Bounded<i64> {
        position(&ctx, array, &value, 0)
    };
    reading("index_of").register_into_engine(engine, index_of);
    let index_of = |ctx: Context<'_>, array: &mut Array, value: Dynamic, start: i64| -> Bounded<i64> {
        let length = i64::try_from(array.len()).unwrap_or(i64::MAX);
        let start = if start < 0 { start.saturating_add(length).max(0) } else { start };
        position(&ctx, array, &value, usize::try_from(start).unwrap_or(usize::MAX))
    };
    reading("index_of").register_into_engine(engine, index_of);
    engine
        .register_fn("dedup", |ctx: Context<'_>, array: &mut Array| -> Bounded<()> {
            dedup(array, |one, other| is_equal(&ctx, one, other, 0))
        })
        .register_fn("dedup", |ctx: Context<'_>, array: &mut Array, comparer: FnPtr| -> Bounded<()> {
            dedup(array, |one, other| {
                let said = comparer.call_raw(&ctx, None, [one.clone(), other.clone()])?;
                Ok(said.as_bool().unwrap_or_default())
            })
        });
}

fn position(ctx: &Context<'_>, array: &Array, value: &Dynamic, start: usize) -> Bounded<i64> {
    for (nth, entry) in (0..).zip(array).skip(start) {
        if is_equal(ctx, entry, value, 0)? {
            return Ok(nth);
        }
    }
    Ok(-1)
}

fn dedup(array: &mut Array, mut is_same: impl FnMut(&Dynamic, &Dynamic) -> Bounded<bool>) -> Bounded<()> {
    let mut keep = Vec::with_capacity(array.len());
    let mut last: Option<usize> = None;
    for (nth, entry) in array.iter().enumerate() {
        let is_new = match last {
            Some(last) => !is_same(&array[last], entry)?,
            None => true,
        };
        keep.push(is_new);
        last = if is_new { Some(nth) } else { last };
    }
    let mut keep = keep.into_iter();
    array.retain(|_| keep.next().unwrap_or(true));
    Ok(())
}

fn are_arrays_equal(ctx: &Context<'_>, one: &Array, other: &Array, depth: usize) -> Bounded<bool> {
    if one.len() != other.len() {
        return Ok(false);
    }
    for (one, other) in one.iter().zip(other) {
        if !is_equal(ctx, one, other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn are_maps_equal(ctx: &Context<'_>, one: &Map, other: &Map, depth: usize) -> Bounded<bool> {
    if one.len() != other.len() {
        return Ok(false);
    }
    for ((key, one), (other_key, other)) in one.iter().zip(other) {
        if key != other_key || !is_equal(ctx, one, other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_equal(ctx: &Context<'_>, one: &Dynamic, other: &Dynamic, depth: usize) -> Bounded<bool> {
    if depth > MAX_DEPTH {
        return Err(sizes::too_deep());
    }
    if let (Ok(one), Ok(other)) = (one.as_array_ref(), other.as_array_ref()) {
        return are_arrays_equal(ctx, &one, &other, depth);
    }
    if let (Ok(one), Ok(other)) = (one.as_map_ref(), other.as_map_ref()) {
        return are_maps_equal(ctx, &one, &other, depth);
    }
    if let (Ok(one), Ok(other)) = (one.as_immutable_string_ref(), other.as_immutable_string_ref()) {
        return Ok(*one == *other);
    }
    if let (Ok(one), Ok(other)) = (one.as_int(), other.as_int()) {
        return Ok(one == other);
    }
    if let (Ok(one), Ok(other)) = (one.as_char(), other.as_char()) {
        return Ok(one == other);
    }
    if let (Ok(one), Ok(other)) = (one.as_float(), other.as_float()) {
        return Ok(one == other);
    }
    // The rest is told apart as an operator of the script would. Values of different kinds have none.
    let said = ctx.call_native_fn_raw("==", true, &mut [&mut one.clone(), &mut other.clone()]);
    match said {
        Ok(said) => Ok(said.as_bool().unwrap_or_default()),
        Err(err)
            if matches!(*err, EvalAltResult::ErrorFunctionNotFound(..))
                && one.type_id() != other.type_id() =>
        {
            Ok(false)
        }
        Err(err) => Err(err),
    }
}

fn register_ordering(engine: &mut Engine) {
    for name in ["sort", "sort_by"] {
        engine.register_fn(name, |ctx: Context<'_>, array: &mut Array, comparer: FnPtr| -> Bounded<()> {
            let order = order(&ctx, array, &comparer)?;
            let mut entries = mem::take(array);
            *array = order.into_iter().map(|nth| mem::take(&mut entries[nth])).collect();
            Ok(())
        });
    }
    for name in ["order", "order_by"] {
        engine.register_fn(name, |ctx: Context<'_>, array: &mut Array, comparer: FnPtr| -> Bounded<Array> {
            let order = order(&ctx, array, &comparer)?;
            Ok(order.into_iter().map(|nth| array[nth].clone()).collect())
        });
    }
}

/// Returns the places of the entries in the order that a script's function gives them, which keeps those that it
/// calls equal as they stand. It merges runs that double in length, and so ends whatever the function says.
fn order(ctx: &Context<'_>, array: &Array, comparer: &FnPtr) -> Bounded<Vec<usize>> {
    let mut order: Vec<usize> = (0..array.len()).collect();
    let mut merged = Vec::with_capacity(order.len());
    let mut width = 1;
    while width < order.len() {
        for runs in order.chunks(2 * width) {
            let (mut left, mut right) = runs.split_at(width.min(runs.len()));
            while let ([first, rest @ ..], [other, others @ ..]) = (left, right) {
                if compare(ctx, comparer, &array[*first], &array[*other])? == Ordering::Greater {
                    merged.push(*other);
                    right = others;
                } else {
                    merged.push(*first);
                    left = rest;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        mem::swap(&mut order, &mut merged);
        merged.clear();
        width *= 2;
    }
    Ok(order)
}

fn compare(ctx: &Context<'_>, comparer: &FnPtr, one: &Dynamic, other: &Dynamic) -> Bounded<Ordering> {
    let said = comparer.call_raw(ctx, None, [one.clone(), other.clone()])?;
    if let Ok(number) = said.as_int() {
        return Ok(number.cmp(&0));
    }
    match said.as_bool() {
        Ok(true) => Ok(Ordering::Less),
        Ok(false) => Ok(Ordering::Greater),
        Err(found) => {
            let why = format!(
                "the function that orders an array must return a number below, above or at 0, or a bool; found {found}"
            );
            Err(EvalAltResult::ErrorRuntime(why.into(), Position::NONE).into())
        }
    }
}
