//! Bounded replacements for functions of Rhai's library.
//!
//! The engine checks a script's limits between steps, and the call of a native function is one
//! step. This module replaces functions that would escape the limits within one step: those with
//! large results (`replace`, `split`), those that recurse into values without a bound (`==`,
//! `to_string`), slow ones (`contains` takes 3 µs per entry), and those that call a script's
//! function and ignore its error (`sort`, `dedup`). The engine prefers these versions, and they
//! charge their work to the meter. For the rest of the library, the meter measures the memory that
//! it allocates.

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
    meter::{Meter, UsedUp, charge},
    sizes::{self, MAX_DEPTH, MAX_ENTRIES, MAX_TEXT},
};

/// Cost of creating or comparing one array entry, in units of work.
const ENTRY: u64 = 4;

type Bounded<T> = Result<T, Box<EvalAltResult>>;
type CallContext<'a> = NativeCallContext<'a>;

/// Registers all functions of this module.
pub(super) fn register(engine: &mut Engine, meter: &Rc<Meter>) {
    register_splitting(engine);
    register_replacing(engine);
    register_showing(engine, meter);
    register_comparing(engine);
    register_ordering(engine);
}

fn register_splitting(engine: &mut Engine) {
    engine
        .register_fn("to_chars", |ctx: CallContext<'_>, text: &str| entries(&ctx, text, text.chars()))
        .register_fn("split", |ctx: CallContext<'_>, text: &str| {
            if text.is_empty() { Ok(whole(text)) } else { entries(&ctx, text, text.split_whitespace()) }
        })
        .register_fn("split", |ctx: CallContext<'_>, text: &str, at: &str| {
            entries(&ctx, text, text.split(at))
        })
        .register_fn("split", |ctx: CallContext<'_>, text: &str, at: char| {
            entries(&ctx, text, text.split(at))
        })
        .register_fn("split", |ctx: CallContext<'_>, text: &str, at: &str, parts: i64| {
            entries(&ctx, text, text.splitn(count(parts), at))
        })
        .register_fn("split", |ctx: CallContext<'_>, text: &str, at: char, parts: i64| {
            entries(&ctx, text, text.splitn(count(parts), at))
        })
        .register_fn("split_rev", |ctx: CallContext<'_>, text: &str, at: &str| {
            entries(&ctx, text, text.rsplit(at))
        })
        .register_fn("split_rev", |ctx: CallContext<'_>, text: &str, at: char| {
            entries(&ctx, text, text.rsplit(at))
        })
        .register_fn("split_rev", |ctx: CallContext<'_>, text: &str, at: &str, parts: i64| {
            entries(&ctx, text, text.rsplitn(count(parts), at))
        })
        .register_fn("split_rev", |ctx: CallContext<'_>, text: &str, at: char, parts: i64| {
            entries(&ctx, text, text.rsplitn(count(parts), at))
        });
}

fn whole(text: &str) -> Array {
    vec![text.into()]
}

fn count(parts: i64) -> usize {
    usize::try_from(parts.max(1)).unwrap_or(usize::MAX)
}

/// Collects the parts of a text into an array.
fn entries<T: Into<Dynamic>>(
    ctx: &CallContext<'_>,
    text: &str,
    parts: impl Iterator<Item = T>,
) -> Bounded<Array> {
    charge(ctx, of_text(text))?;
    let mut array = Array::new();
    for part in parts {
        if array.len() == MAX_ENTRIES {
            return Err(sizes::too_large("an array is"));
        }
        array.push(part.into());
    }
    charge(ctx, ENTRY * array.len() as u64)?;
    Ok(array)
}

/// Returns the work of one pass over a text.
fn of_text(text: &str) -> u64 {
    text.len() as u64 / 8
}

fn register_replacing(engine: &mut Engine) {
    engine
        .register_fn("replace", |ctx: CallContext<'_>, text: &mut ImmutableString, old: &str, new: &str| {
            replace(&ctx, text, old, new)
        })
        .register_fn("replace", |ctx: CallContext<'_>, text: &mut ImmutableString, old: char, new: &str| {
            replace(&ctx, text, old.encode_utf8(&mut [0; 4]), new)
        })
        .register_fn("replace", |ctx: CallContext<'_>, text: &mut ImmutableString, old: &str, new: char| {
            replace(&ctx, text, old, new.encode_utf8(&mut [0; 4]))
        });
}

fn replace(ctx: &CallContext<'_>, text: &mut ImmutableString, old: &str, new: &str) -> Bounded<()> {
    charge(ctx, 2 * of_text(text))?;
    let found = text.matches(old).count();
    let length = (text.len() - found * old.len()).saturating_add(found.saturating_mul(new.len()));
    if length > MAX_TEXT {
        return Err(sizes::too_large("a text is"));
    }
    *text = text.replace(old, new).into();
    charge(ctx, of_text(text))
}

/// Registers the functions that format arrays and object maps. They must not fail or leave an
/// oversized value behind, because the engine would then format it without a bound. They empty an
/// oversized value instead, and the script is stopped soon after.
fn register_showing(engine: &mut Engine, meter: &Rc<Meter>) {
    for name in ["print", "to_string", "debug", "to_debug"] {
        let refusing = meter.clone();
        let show = move |ctx: CallContext<'_>, array: &mut Array| {
            if sizes::check_array(array).is_err() {
                array.clear();
                refusing.end(UsedUp::Size);
            }
            CutText::of(|shown| shown.array(&ctx, array, 0))
        };
        reading(name).register_into_engine(engine, show);
        let refusing = meter.clone();
        let show = move |ctx: CallContext<'_>, map: &mut Map| {
            if sizes::check_map(map).is_err() {
                map.clear();
                refusing.end(UsedUp::Size);
            }
            CutText::of(|shown| shown.map(&ctx, map, 0))
        };
        reading(name).register_into_engine(engine, show);
    }
    for name in ["debug", "to_debug"] {
        engine.register_fn(name, |text: &str| CutText::of(|shown| write!(shown, "{text:?}")));
    }
    reading("to_json").register_into_engine(engine, |map: &mut Map| -> Bounded<String> {
        sizes::check_map(map)?;
        Ok(rhai::format_map_as_json(map))
    });
}

/// Starts the registration of a function that does not change its first argument, so that it
/// accepts constants.
fn reading(name: &str) -> FuncRegistration {
    FuncRegistration::new(name).with_purity(true)
}

/// The text of a value. It is cut at [`MAX_TEXT`] and then ends in `...`.
struct CutText(String);

impl Write for CutText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.0.len() + more.len() > MAX_TEXT {
            return Err(fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}

impl CutText {
    fn of(show: impl FnOnce(&mut Self) -> fmt::Result) -> ImmutableString {
        // Start empty, so that the meter sees the memory as the text grows.
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

    fn array(&mut self, ctx: &CallContext<'_>, array: &Array, depth: usize) -> fmt::Result {
        self.write_str("[")?;
        for (nth, entry) in array.iter().enumerate() {
            self.write_str(if nth == 0 { "" } else { ", " })?;
            self.value(ctx, entry, depth + 1)?;
        }
        self.write_str("]")
    }

    fn map(&mut self, ctx: &CallContext<'_>, map: &Map, depth: usize) -> fmt::Result {
        self.write_str("#{")?;
        for (nth, (key, value)) in map.iter().enumerate() {
            write!(self, "{}{key:?}: ", if nth == 0 { "" } else { ", " })?;
            self.value(ctx, value, depth + 1)?;
        }
        self.write_str("}")
    }

    fn value(&mut self, ctx: &CallContext<'_>, value: &Dynamic, depth: usize) -> fmt::Result {
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
            None => self.write_str(ctx.engine().map_type_name(value.type_name())),
        }
    }
}

fn register_comparing(engine: &mut Engine) {
    for (name, wanted) in [("==", true), ("!=", false)] {
        let compare = move |ctx: CallContext<'_>, one: &mut Array, other: Array| -> Bounded<bool> {
            Ok(are_arrays_equal(&ctx, one, &other, 0)? == wanted)
        };
        reading(name).register_into_engine(engine, compare);
        let compare = move |ctx: CallContext<'_>, one: &mut Map, other: Map| -> Bounded<bool> {
            Ok(are_maps_equal(&ctx, one, &other, 0)? == wanted)
        };
        reading(name).register_into_engine(engine, compare);
    }
    let contains = |ctx: CallContext<'_>, array: &mut Array, value: Dynamic| -> Bounded<bool> {
        Ok(position(&ctx, array, &value, 0)? >= 0)
    };
    reading("contains").register_into_engine(engine, contains);
    let index_of = |ctx: CallContext<'_>, array: &mut Array, value: Dynamic| -> Bounded<i64> {
        position(&ctx, array, &value, 0)
    };
    reading("index_of").register_into_engine(engine, index_of);
    let index_of = |ctx: CallContext<'_>, array: &mut Array, value: Dynamic, start: i64| -> Bounded<i64> {
        let length = i64::try_from(array.len()).unwrap_or(i64::MAX);
        let start = if start < 0 { start.saturating_add(length).max(0) } else { start };
        position(&ctx, array, &value, usize::try_from(start).unwrap_or(usize::MAX))
    };
    reading("index_of").register_into_engine(engine, index_of);
    engine
        .register_fn("dedup", |ctx: CallContext<'_>, array: &mut Array| -> Bounded<()> {
            charge(&ctx, ENTRY * array.len() as u64)?;
            dedup(array, |one, other| is_equal(&ctx, one, other, 0))
        })
        .register_fn("dedup", |ctx: CallContext<'_>, array: &mut Array, comparer: FnPtr| -> Bounded<()> {
            dedup(array, |one, other| {
                let said = comparer.call_raw(&ctx, None, [one.clone(), other.clone()])?;
                Ok(said.as_bool().unwrap_or_default())
            })
        });
}

fn position(ctx: &CallContext<'_>, array: &Array, value: &Dynamic, start: usize) -> Bounded<i64> {
    charge(ctx, ENTRY * array.len() as u64)?;
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

fn are_arrays_equal(ctx: &CallContext<'_>, one: &Array, other: &Array, depth: usize) -> Bounded<bool> {
    if one.len() != other.len() {
        return Ok(false);
    }
    charge(ctx, ENTRY * one.len() as u64)?;
    for (one, other) in one.iter().zip(other) {
        if !is_equal(ctx, one, other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn are_maps_equal(ctx: &CallContext<'_>, one: &Map, other: &Map, depth: usize) -> Bounded<bool> {
    if one.len() != other.len() {
        return Ok(false);
    }
    charge(ctx, 4 * ENTRY * one.len() as u64)?;
    for ((key, one), (other_key, other)) in one.iter().zip(other) {
        if key != other_key || !is_equal(ctx, one, other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_equal(ctx: &CallContext<'_>, one: &Dynamic, other: &Dynamic, depth: usize) -> Bounded<bool> {
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
    // Compare everything else with the script's own operator. There is none for values of different
    // types, so those are unequal.
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
        engine.register_fn(name, |ctx: CallContext<'_>, array: &mut Array, comparer: FnPtr| -> Bounded<()> {
            let order = order(&ctx, array, &comparer)?;
            let mut entries = mem::take(array);
            *array = order.into_iter().map(|nth| mem::take(&mut entries[nth])).collect();
            Ok(())
        });
    }
    for name in ["order", "order_by"] {
        engine.register_fn(
            name,
            |ctx: CallContext<'_>, array: &mut Array, comparer: FnPtr| -> Bounded<Array> {
                let order = order(&ctx, array, &comparer)?;
                Ok(order.into_iter().map(|nth| array[nth].clone()).collect())
            },
        );
    }
}

/// Returns the indices of the entries in sorted order. This is a stable bottom-up merge sort, which
/// terminates even if the script's function is inconsistent.
fn order(ctx: &CallContext<'_>, array: &Array, comparer: &FnPtr) -> Bounded<Vec<usize>> {
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

fn compare(ctx: &CallContext<'_>, comparer: &FnPtr, one: &Dynamic, other: &Dynamic) -> Bounded<Ordering> {
    let said = comparer.call_raw(ctx, None, [one.clone(), other.clone()])?;
    if let Ok(number) = said.as_int() {
        return Ok(number.cmp(&0));
    }
    match said.as_bool() {
        Ok(true) => Ok(Ordering::Less),
        Ok(false) => Ok(Ordering::Greater),
        Err(found) => {
            let why = format!(
                "the function that compares entries must return a negative, zero or positive number, or a \
                 bool; found {found}"
            );
            Err(EvalAltResult::ErrorRuntime(why.into(), Position::NONE).into())
        }
    }
}
