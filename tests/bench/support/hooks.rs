//! The hooks that are compared, in Gitea's layout.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

/// What runs the files of `post-receive.d`, as in the demo, but by the shell that Gitea uses.
const DELEGATE: &str = include_str!("../../../src/cli/demo/delegate.sh");

/// A hook that does nothing but read what it is given, with no process of its own beside the shell: the
/// least that any hook costs.
pub const NO_OP: &str = "#!/bin/sh\nwhile read -r _; do :; done\n";

/// What people write to tell a service of their pushes. It starts one other process, curl, and is as
/// quick as such a script can be.
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

/// How a relay comes to say who wrote the commit and what it is called, as our markers do.
const ASK_GIT: &str = r#"
  { read -r author; read -r title; } < <(git log -1 --format='%an%n%s' "$new")
  facts=",\"author\":\"$author\",\"title\":\"$title\""
"#;

/// The wrapper that we install.
const WRAPPER: &str = include_str!("../../../hooks/gitea-lightstep");

/// Returns the relay with its receiver's address filled in.
pub fn relay(url: &str) -> String {
    RELAY.replace("@url@", url)
}

/// Returns the relay that asks git about the commit too.
pub fn relay_with_git(url: &str) -> String {
    relay(url).replacen("\n  facts=\n", ASK_GIT, 1)
}

/// Returns our wrapper with its two paths filled in, as install.sh does it.
pub fn wrapper(binary: &str, config: &Path) -> String {
    let set = |name: &str, value: &str| {
        let line = WRAPPER.lines().find(|line| line.starts_with(name)).expect("the wrapper sets both paths");
        (line.to_string(), format!("{name}'{value}'"))
    };
    let (bin, own_bin) = set("bin=", binary);
    let (conf, own_conf) = set("config=", config.to_str().expect("a temporary path is text"));
    WRAPPER.replacen(&bin, &own_bin, 1).replacen(&conf, &own_conf, 1)
}

/// Puts the delegate into a bare repository, and `hook` beside which Gitea's own would lie.
pub fn install(bare: &Path, hook: &str) {
    let hooks = bare.join("hooks");
    write_executable(&hooks.join("post-receive"), &DELEGATE.replacen("#!/bin/sh", "#!/usr/bin/env bash", 1));
    fs::create_dir(hooks.join("post-receive.d")).expect("the repository is new");
    write_executable(&hooks.join("post-receive.d/zz-hook"), hook);
}

fn write_executable(path: &Path, content: &str) {
    fs::write(path, content).expect("the repository can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
}
