//! Limits on the calls and variables of a script, and on the size of its values.
//!
//! Rhai enforces most of these limits itself, with two gaps. `map[key] = value` checks the value
//! but not the map, and the result of a native function is checked only once it exists. To close
//! them, the engine measures a variable again when it is read, if the script holds so much memory
//! that a copy would matter. Functions with large results are replaced in `builtins`.

use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map, Position};

/// Maximum depth of calls between a script's functions. Each level takes a few KiB of stack.
pub(super) const MAX_CALLS: usize = 32;
/// Maximum number of variables at one time. The interpreter finds a variable by a linear search.
pub(super) const MAX_VARIABLES: usize = 256;
/// Maximum text of a value, in bytes, including all strings of an array or a map. The 10,000
/// changed paths of a large push must fit.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// Maximum number of entries of an array, including nested arrays. It exceeds the number of changed
/// paths of a push.
pub(super) const MAX_ENTRIES: usize = 16_384;
/// Maximum number of properties of an object map, including nested maps.
pub(super) const MAX_PROPERTIES: usize = 1024;
/// Maximum nesting of values in functions that recurse. Each level takes stack space.
pub(super) const MAX_DEPTH: usize = 64;

/// The measured contents of a value.
#[derive(Default)]
struct ValueSize {
    text: usize,
    entries: usize,
    properties: usize,
    followed: usize,
}

/// Maximum number of captured values to inspect per measured value.
const MAX_FOLLOWED: usize = 10_000;

/// Measures a value.
///
/// # Errors
/// If it exceeds a limit.
pub(super) fn check(value: &Dynamic) -> Result<(), Box<EvalAltResult>> {
    ValueSize::default().add(value, 0)
}

/// Measures an array.
///
/// # Errors
/// If it exceeds a limit.
pub(super) fn check_array(array: &Array) -> Result<(), Box<EvalAltResult>> {
    ValueSize::default().add_array(array, 0)
}

/// Measures an object map.
///
/// # Errors
/// If it exceeds a limit.
pub(super) fn check_map(map: &Map) -> Result<(), Box<EvalAltResult>> {
    ValueSize::default().add_map(map, 0)
}

/// Returns a description of the limits for error messages. They are not configurable.
pub(super) fn allowed() -> String {
    format!(
        "a value may hold at most {MAX_TEXT} bytes of text, {MAX_ENTRIES} array entries and \
         {MAX_PROPERTIES} object map properties, including nested ones; split it up"
    )
}

/// Creates the error for a value that exceeds the limits.
pub(super) fn too_large(what: &str) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(format!("{what} too large: {}", allowed()).into(), Position::NONE).into()
}

/// Creates the error for a value that is nested too deep.
pub(super) fn too_deep() -> Box<EvalAltResult> {
    let why = format!("a value is nested more than {MAX_DEPTH} levels deep; flatten it");
    EvalAltResult::ErrorRuntime(why.into(), Position::NONE).into()
}

impl ValueSize {
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

    /// Measures the nesting of closures in closures. A copy shares the captured values, so they do
    /// not count as contents. But dropping them recurses once per level and takes stack space.
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
