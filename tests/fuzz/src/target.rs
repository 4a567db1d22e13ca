//! Selects the target. `tests/fuzz_corpora.rs` compiles this file too, because no ordinary check
//! builds this crate.

use gitea_lightstep::fuzzing::{FuzzTarget, TARGETS};

/// Returns the target with this name.
pub fn named(name: &str) -> &'static FuzzTarget {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        panic!("GITEA_LIGHTSTEP_FUZZ_TARGET is `{name}`, expected one of {}", names.join(", "))
    })
}
