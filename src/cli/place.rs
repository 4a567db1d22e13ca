//! A place in the policy, as short as it can be said.

use std::path::Path;

/// Returns a place (`file:line`) below the directory of scripts, if that is where it is.
pub(super) fn below<'t>(place: &'t str, scripts: Option<&Path>) -> &'t str {
    let dir = scripts.and_then(Path::to_str);
    dir.and_then(|dir| place.strip_prefix(dir)?.strip_prefix('/')).unwrap_or(place)
}
