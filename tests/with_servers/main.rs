//! The integration tests that need servers, another git, Debian's packages, Python or root.
//! `tests/run` installs what they need; plain `cargo test` does not build them.

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "tests/it.rs uses the rest")]
mod shared;
mod support;

mod chroot; // the static binary with only busybox and git
mod config_hook; // the hook in Gitea's .gitconfig (git 2.54 and newer)
mod conventions; // docs/attributes.md and the registry of the semantic conventions
mod full_disk; // a state directory on a full or read-only file system
mod git_home; // a .gitconfig that is a mount point
mod golden_tests; // the JUnit output of the test subcommand
mod hang; // a named pipe in place of the configuration
mod install_attacks; // install.sh run by root among planted links and files
mod install_in_image; // install.sh in containers, with crond and with systemd
mod install_killed; // install.sh interrupted at every step
mod install_sh; // install.sh under dash and busybox ash
mod nginx; // an nginx in front of the receiver
mod other_users; // files and processes of other users
mod pushes; // real pushes, received by rotel
mod ref_hook; // the hook for reference-transaction (git 2.54 and newer)
mod run_user; // check, connect and deliver of root
mod signatures; // signed commits, compared with git, gpg and ssh-keygen
mod state_dir; // the state directory when the configuration is unreadable
mod status; // OpenMetrics, read by independent parsers
mod trace_context; // links, parents and durations of spans, and stable IDs
mod twenty_weeks; // a long history, compared with a hand-written table
mod wire; // the bytes on the wire, read by an independent decoder
