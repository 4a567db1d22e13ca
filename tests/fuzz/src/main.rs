//! One binary for all fuzz targets; `GITEA_LIGHTSTEP_FUZZ_TARGET` selects the target. The script
//! `run` builds and starts it.
#![no_main]

use std::sync::LazyLock;

use gitea_lightstep::fuzzing::FuzzTarget;

mod target;

static TARGET: LazyLock<&FuzzTarget> =
    LazyLock::new(|| target::named(&std::env::var("GITEA_LIGHTSTEP_FUZZ_TARGET").unwrap_or_default()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.parse)(data));
