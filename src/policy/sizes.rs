//! How large a script's values may be.
//!
//! Rhai holds most values to these limits itself, but not all: what is put into an object map by `map[key] = value` is
//! measured, the map is not; and what a function makes is measured when it is made. So a variable is measured
//! again when it is read, if the script holds so much that a copy would matter, and functions that make
//! much of little are replaced (`natives`).

use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map, Position};

/// The most text that a value may hold, in bytes: a string alone, or all strings of an array or a map together.
/// The 10,000 changed paths of a large push have to fit.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// The most entries of an array, with those of the arrays in it: more than the changed paths of a push.
pub(super) const MAX_ENTRIES: usize = 16_384;
/// The most properties of an object map, with those of the maps in it.
pub(super) const MAX_PROPERTIES: usize = 1024;
/// How deep values may be nested where a function goes down into them: its stack is what bounds it.
pub(super) const MAX_DEPTH: usize = 64;

/// What a value holds.
#[derive(Default)]
struct Tally {
    text: usize,
    entries: usize,
    properties: usize,
    followed: usize,
}

/// How many values that closures caught are looked at.
const MAX_FOLLOWED: usize = 10_000;

/// Measures a value.
///
/// # Errors
/// If it is larger than a value may be.
pub(super) fn check(value: &Dynamic) -> Result<(), Box<EvalAltResult>> {
    Tally::default().add(value, 0)
}

/// Measures an array.
///
/// # Errors
/// If it is larger than a value may be.
pub(super) fn check_array(array: &Array) -> Result<(), Box<EvalAltResult>> {
    Tally::default().add_array(array, 0)
}

/// Measures an object map.
///
/// # Errors
/// If it is larger than a value may be.
pub(super) fn check_map(map: &Map) -> Result<(), Box<EvalAltResult>> {
    Tally::default().add_map(map, 0)
}

/// Returns what a value may hold, as a script's author reads it. It is no setting: there is nothing to raise.
pub(super) fn allowed() -> String {
    format!(
        "a value may hold no more than {MAX_TEXT} bytes of text, {MAX_ENTRIES} entries of arrays and {MAX_PROPERTIES} \
         properties of object maps, those in it counted; do it in parts"
    )
}

/// Returns the error that says so.
pub(super) fn too_large(what: &str) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(format!("{what} too large: {}", allowed()).into(), Position::NONE).into()
}

/// Returns the error of a value that is nested too deep.
pub(super) fn too_deep() -> Box<EvalAltResult> {
    let why = format!("a value is nested more than {MAX_DEPTH} deep; keep it flat");
    EvalAltResult::ErrorRuntime(why.into(), Position::NONE).into()
}

impl Tally {
    fn add(&mut self, value: &Dynamic, depth: usize) -> Result<(), Box<EvalAltResult>> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if let Ok(array) = value.as_array_ref() {
            return self.add_array(&array, depth);
        }
        if let Ok(map) = value.as_map_ref() {
            return self.add_map(&map, depth);
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            self.text += text.len();
            return if self.text > MAX_TEXT { Err(too_large("the text of a value is")) } else { Ok(()) };
        }
        if let Some(function) = value.read_lock::<FnPtr>() {
            return function.iter_curry().try_for_each(|caught| self.follow(caught, depth + 1));
        }
        Ok(())
    }

    /// Looks how deep closures are in closures. What they have caught is shared, so that a copy copies nothing; but it is
    /// dropped link by link, down the stack.
    fn follow(&mut self, caught: &Dynamic, depth: usize) -> Result<(), Box<EvalAltResult>> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        self.followed += 1;
        if self.followed > MAX_FOLLOWED {
            return Ok(());
        }
        if let Some(function) = caught.read_lock::<FnPtr>() {
            return function.iter_curry().try_for_each(|caught| self.follow(caught, depth + 1));
        }
        if let Ok(array) = caught.as_array_ref() {
            return array.iter().try_for_each(|entry| self.follow(entry, depth + 1));
        }
        if let Ok(map) = caught.as_map_ref() {
            return map.values().try_for_each(|property| self.follow(property, depth + 1));
        }
        Ok(())
    }

    fn add_array(&mut self, array: &Array, depth: usize) -> Result<(), Box<EvalAltResult>> {
        self.entries += array.len();
        if self.entries > MAX_ENTRIES {
            return Err(too_large("an array is"));
        }
        array.iter().try_for_each(|entry| self.add(entry, depth + 1))
    }

    fn add_map(&mut self, map: &Map, depth: usize) -> Result<(), Box<EvalAltResult>> {
        self.properties += map.len();
        if self.properties > MAX_PROPERTIES {
            return Err(too_large("an object map is"));
        }
        map.values().try_for_each(|property| self.add(property, depth + 1))
    }
}
