//! Short forms of positions in policy scripts.

use std::path::Path;

/// Strips the script directory from a position (`file:line`). A position elsewhere is returned
/// unchanged.
pub(super) fn below<'t>(place: &'t str, scripts: Option<&Path>) -> &'t str {
    let dir = scripts.and_then(Path::to_str);
    dir.and_then(|dir| place.strip_prefix(dir)?.strip_prefix('/')).unwrap_or(place)
}
