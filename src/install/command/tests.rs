use std::{
    ffi::OsString,
    io::Write as _,
    os::unix::ffi::OsStringExt as _,
    process::{Command, Stdio},
};

use proptest::{collection::vec, prelude::*};

use super::*;

const BINARY: &str = "/usr/local/bin/gitea-lightstep";
const CONFIG: &str = "/etc/gitea-lightstep/config.toml";

fn read(wrapper: &str) -> Option<(String, String)> {
    let command = HookCommand::of_wrapper(wrapper.as_bytes())?;
    Some((command.binary().display().to_string(), command.config().display().to_string()))
}

#[test]
fn installed_wrapper_is_recognised() {
    assert_eq!(read(WRAPPER), Some((BINARY.into(), CONFIG.into())));
    let state_dir = |wrapper: &str| Some(HookCommand::of_wrapper(wrapper.as_bytes())?.state_dir);
    assert_eq!(state_dir(WRAPPER), Some(Some("/var/lib/gitea-lightstep".into())));
    // The wrapper of version 0.1.
    let older =
        WRAPPER.replace("state=/var/lib/gitea-lightstep\n", "").replace(" --state-dir \"$state\"", "");
    assert_eq!(read(&older), Some((BINARY.into(), CONFIG.into())));
    assert_eq!(state_dir(&older), Some(None));
    assert_eq!(state_dir(&WRAPPER.replace("state=/", "state=$HOME/")), None);
    assert!(is_ours(WRAPPER.as_bytes()));
    let with_binary = |written: &str| read(&WRAPPER.replace(&format!("bin={BINARY}"), written));
    assert_eq!(with_binary("bin='/opt/my bin/x'"), Some(("/opt/my bin/x".into(), CONFIG.into())));
    assert_eq!(with_binary(r"bin='/opt/ann'\''s'\'''"), Some(("/opt/ann's'".into(), CONFIG.into())));
    for wrong in ["bin=$HOME/x", "bin='/opt'/x", "bin='/opt", "bin=/other\nbin=/x", "BIN=/x"] {
        assert_eq!(with_binary(wrong), None, "{wrong}");
    }
    assert_eq!(read(&WRAPPER.replace("exec \"$bin\"", "exec nice \"$bin\"")), None);
    assert!(!is_ours(b"#!/bin/sh\n\n# gitea-lightstep: not in the second line\n"));
}

#[test]
fn relative_paths_and_control_characters_are_rejected() {
    for path in ["relative", "", "/with\nnewline", "/with\ttab", "/with\u{7f}"] {
        let unfit = HookCommand::new(BINARY.into(), path.into(), None).expect_err("refused").to_string();
        assert!(unfit.contains("cannot be used in a hook"), "{unfit}");
    }
}

/// Absolute paths made of all allowed bytes, with extra weight on those that are special in
/// shells and git's configuration.
pub(in crate::install) fn path() -> impl Strategy<Value = PathBuf> {
    let byte = prop_oneof![
        1 => (0x20u8..=0xff).prop_filter("no control character", |byte| *byte != 0x7f),
        2 => prop::sample::select(&b"'\"\\$`;#! *~%&|<>(){}[]=-"[..]),
    ];
    vec(byte, 1..20).prop_map(|bytes| OsString::from_vec([b"/".to_vec(), bytes].concat()).into())
}

proptest! {
    #[test]
    fn wrapper_and_config_hook_round_trip_paths(binary in path(), config in path(), state in prop::option::of(path())) {
        let command = HookCommand::new(binary, config, state).expect("valid paths");
        prop_assert_eq!(HookCommand::of_wrapper(&command.wrapper()), Some(command.clone()));
        prop_assert_eq!(HookCommand::of_config_hook(&command.config_hook()), Some(command));
    }

    #[test]
    fn shell_quoting_preserves_every_byte(path in path()) {
        let script = [b"printf %s ", &*sh_quoted(&path)].concat();
        let mut shell = Command::new("sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        shell.stdin.take().expect("a pipe").write_all(&script).expect("written");
        let printed = shell.wait_with_output().expect("the shell exits").stdout;
        prop_assert_eq!(printed.as_bstr(), path.as_os_str().as_bytes().as_bstr());
    }
}
