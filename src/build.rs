//! Tells the program its version with the commit, its date and the target. Without git, as in a
//! tarball, the commit is left out.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let target = env::var("TARGET").unwrap_or_default();
    let commit = commit(&root).map(|commit| format!("{commit}, ")).unwrap_or_default();
    println!("cargo::rustc-env=GITEA_LIGHTSTEP_VERSION={version} ({commit}{target})");
}

/// Returns the commit and its date, if this is the root of a checkout.
fn commit(root: &Path) -> Option<String> {
    // A tarball may be unpacked below another repository.
    if !root.join(".git").exists() {
        return None;
    }
    let git = |args: &[&str]| {
        // Root may build what belongs to another user, and a hook of git has a `GIT_DIR`.
        let mut command = Command::new("git");
        command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").args(["-c", "safe.directory=*"]);
        let output = command.arg("-C").arg(root).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_string();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    // Some of these files change with HEAD. Cargo would rerun this each time for one that does not
    // exist, such as a branch that is in the packed refs.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]).map(|path| root.join(path));
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["log", "-1", "--format=%h %cs", "--abbrev=12"])
}
