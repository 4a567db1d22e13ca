//! The measured build, as it is installed on a server.

use std::{path::Path, process::Command, sync::OnceLock};

/// The release binary, which cargo builds together with the bench.
const BUILT: &str = env!("CARGO_BIN_EXE_gitea-lightstep");

/// Returns the path of the binary, copied like install.sh does.
pub fn installed() -> &'static str {
    static INSTALLED: OnceLock<String> = OnceLock::new();
    INSTALLED.get_or_init(|| install(BUILT))
}

/// Copies a build like `install.sh` does, and returns the path of the copy. A file that the linker
/// has just written is in the page cache as small pages, and starts more slowly than a copied file
/// or one read from disk.
pub fn install(build: &str) -> String {
    let installed = format!("{}.installed", std::fs::canonicalize(build).expect("a build").display());
    let _ = std::fs::remove_file(&installed);
    let status = Command::new("cp").args([build, &installed]).status().expect("cp starts");
    assert!(status.success() && Path::new(&installed).is_file(), "cp copied {build}");
    installed
}
