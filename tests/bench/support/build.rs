//! The build that is measured, in the form in which a server has it.

use std::{path::Path, process::Command, sync::OnceLock};

/// The release binary that this run is about; cargo builds it with the bench.
const BUILT: &str = env!("CARGO_BIN_EXE_gitea-lightstep");

/// Returns the binary as `install.sh` leaves it.
pub fn installed() -> &'static str {
    static INSTALLED: OnceLock<String> = OnceLock::new();
    INSTALLED.get_or_init(|| install(BUILT))
}

/// Copies a build as `install.sh` does, and returns where it is: in the system's cache, a file that a linker has just
/// written lies in small pages, and starts more slowly than one that was copied or read from the disk.
pub fn install(build: &str) -> String {
    let installed = format!("{}.installed", std::fs::canonicalize(build).expect("a build").display());
    let _ = std::fs::remove_file(&installed);
    let status = Command::new("cp").args([build, &installed]).status().expect("cp starts");
    assert!(status.success() && Path::new(&installed).is_file(), "cp copied {build}");
    installed
}
