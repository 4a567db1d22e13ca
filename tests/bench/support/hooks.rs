//! The hooks that are compared, in Gitea's directory layout.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

/// The delegate that runs the files of `post-receive.d`. It is the demo's, but runs in bash like
/// Gitea's.
const DELEGATE: &str = include_str!("../../../src/scratch/delegate.sh");

/// A hook that only reads its input, without starting another process. It is the minimum cost of a
/// hook.
pub const NO_OP: &str = "#!/bin/sh\nwhile read -r _; do :; done\n";

/// A typical hand-written relay script. It starts only one process, curl, so it is as fast as such
/// a script can be.
const RELAY: &str = r#"#!/usr/bin/env bash
set -u
updates=
while read -r old new ref; do
  facts=
  updates+="${updates:+,}{\"old\":\"$old\",\"new\":\"$new\",\"ref\":\"$ref\"$facts}"
done
payload="{\"repository\":\"$GITEA_REPO_USER_NAME/$GITEA_REPO_NAME\",\"pusher\":\"$GITEA_PUSHER_NAME\",\"updates\":[$updates]}"
curl -s -X POST -H 'Content-Type: application/json' --data "$payload" '@url@' >/dev/null
"#;

/// Lines that make a relay report the author and title of the commit, like our markers.
const ASK_GIT: &str = r#"
  { read -r author; read -r title; } < <(git log -1 --format='%an%n%s' "$new")
  facts=",\"author\":\"$author\",\"title\":\"$title\""
"#;

/// The wrapper that `install` writes.
const WRAPPER: &str = include_str!("../../../hooks/gitea-lightstep");

/// Returns the relay with the URL of its receiver.
pub fn relay(url: &str) -> String {
    RELAY.replace("@url@", url)
}

/// Returns the relay that also asks git about the commit.
pub fn relay_with_git(url: &str) -> String {
    relay(url).replacen("\n  facts=\n", ASK_GIT, 1)
}

/// Returns the wrapper with its two paths, like `install` writes it.
pub fn wrapper(binary: &str, config: &Path) -> String {
    let set = |name: &str, value: &str| {
        let line = WRAPPER.lines().find(|line| line.starts_with(name)).expect("the wrapper sets both paths");
        (line.to_string(), format!("{name}'{value}'"))
    };
    let (bin, own_bin) = set("bin=", binary);
    let (conf, own_conf) = set("config=", config.to_str().expect("a temporary path is UTF-8"));
    WRAPPER.replacen(&bin, &own_bin, 1).replacen(&conf, &own_conf, 1)
}

/// Installs the delegate in a bare repository, and `hook` in `post-receive.d`.
pub fn install(bare: &Path, hook: &str) {
    let hooks = bare.join("hooks");
    write_executable(&hooks.join("post-receive"), &DELEGATE.replacen("#!/bin/sh", "#!/usr/bin/env bash", 1));
    fs::create_dir(hooks.join("post-receive.d")).expect("the repository is new");
    write_executable(&hooks.join("post-receive.d/zz-hook"), hook);
}

pub fn write_executable(path: &Path, content: &str) {
    fs::write(path, content).expect("the repository can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
}
