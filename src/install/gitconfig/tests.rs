use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::install::{HookCommand, command::tests::path};

/// A configuration file that git reads in these tests.
struct TestConfig {
    dir: TempDir,
}

impl TestConfig {
    fn holding(text: &[u8]) -> Self {
        let dir = tempfile::Builder::new().prefix("gitea-lightstep-test-").tempdir().expect("a directory");
        fs::write(dir.path().join("config"), text).expect("a file");
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// Runs `git config` on the file and returns its output.
    fn git(&self, args: &[&str]) -> Vec<u8> {
        let mut git = Command::new("git");
        let ran = git.args(["config", "--file"]).arg(self.path()).args(args).output().expect("git");
        assert!(ran.status.success(), "git config {args:?}: {}", ran.stderr.as_bstr());
        ran.stdout
    }

    /// Returns all entries that git reads from the file.
    fn entries(&self) -> Vec<BString> {
        self.git(&["--list", "-z"]).split_str("\0").map(BString::from).collect()
    }
}

fn hook(binary: &Path, config: &Path) -> ConfigBlock {
    let command = HookCommand::new(binary.into(), config.into(), Some("/var/state".into()));
    ConfigBlock::Hook { command: command.expect("valid"), has_ref_hook: true }
}

fn blocks() -> [ConfigBlock; 4] {
    let dir = PathBuf::from("/srv/\"templates\"");
    let both_hooks = hook("/opt/b".as_ref(), "/etc/c".as_ref());
    let ConfigBlock::Hook { command, .. } = both_hooks.clone() else { unreachable!() };
    [
        both_hooks,
        ConfigBlock::Template(dir.clone()),
        ConfigBlock::Joined { dir, made: 2 },
        ConfigBlock::Hook { command, has_ref_hook: false },
    ]
}

fn parsed(text: &[u8]) -> GitConfig {
    GitConfig::parse(text.to_vec()).unwrap_or_else(|unfit| panic!("line {}: {unfit}", unfit.line()))
}

#[test]
fn adding_and_removing_a_block_keeps_all_other_bytes() {
    for text in [
        "",
        "\n",
        "[user]\n\tname = G\n",
        "[user]\n\tname = G",
        "[user]\r\n\tname = G\r\n",
        "[user] name = G ; no\n\n\n",
        "\u{feff}[user]\n\tname = \"a \\\"b\\\" # c\"\n",
        "[a]\n\tb = c\\\n d\n",
        "[a]\n\tb = c\\",
        "# only a comment",
    ] {
        let before = TestConfig::holding(text.as_bytes()).entries();
        for block in blocks() {
            let new = parsed(text.as_bytes()).with(&block);
            let with = parsed(&new);
            assert_eq!(with.block(), Some(block.clone()), "{text:?}");
            assert_eq!(with.without().as_bstr(), text.as_bytes().as_bstr(), "{text:?}");
            let mut after = TestConfig::holding(&new).entries();
            after.retain(|entry| {
                !entry.starts_with(b"hook.gitea-lightstep") && !entry.starts_with(b"init.templatedir")
            });
            assert_eq!(after, before, "{text:?}");
            // Change to another kind of block.
            for other in blocks() {
                let changed = parsed(&with.with(&other));
                assert_eq!(changed.block(), Some(other), "{text:?}");
                assert_eq!(changed.without().as_bstr(), text.as_bytes().as_bstr(), "{text:?}");
            }
        }
    }
}

#[test]
fn settings_added_inside_our_block_survive_its_removal() {
    for end in ["\n", "[core]\n\tbare = true\n"] {
        let text = parsed(b"[user]\n\tname = G\n").with(&ConfigBlock::Template("/srv/templates".into()));
        let file = TestConfig::holding(&[&text, end.as_bytes()].concat());
        file.git(&["init.defaultBranch", "trunk"]);
        let config = parsed(&fs::read(file.path()).expect("the file"));
        assert_eq!(config.block(), Some(ConfigBlock::Template("/srv/templates".into())));
        for text in [config.without(), config.with(&blocks()[0]), config.with(&blocks()[2])] {
            let file = TestConfig::holding(&text);
            assert_eq!(file.git(&["init.defaultBranch"]), b"trunk\n");
            assert_eq!(file.git(&["user.name"]), b"G\n");
            assert!(!file.entries().iter().any(|entry| entry.starts_with(b"init.templatedir")));
        }
    }
}

#[test]
fn settings_added_to_our_hook_are_removed_with_it() {
    let text = parsed(b"[a]\n\tb = c\n").with(&blocks()[0]);
    let file = TestConfig::holding(&text);
    file.git(&["hook.gitea-lightstep.enabled", "false"]);
    let config = parsed(&fs::read(file.path()).expect("the file"));
    assert_eq!(config.block(), Some(blocks()[0].clone()));
    assert_eq!(config.without().as_bstr(), "[a]\n\tb = c\n");
}

#[test]
fn last_foreign_template_dir_is_found() {
    let config = parsed(b"[init]\n\ttemplateDir = /a\n[INIT]\n\n\tTEMPLATEDIR = \"/b c\"\n");
    assert_eq!(config.template_dir(), Some(("/b c".into(), 5)));
    let with = parsed(&config.with(&blocks()[0]));
    assert_eq!(with.template_dir(), Some(("/b c".into(), 5)));
    let behind = [&blocks()[1].text(), &b"\n[init]\n\ttemplateDir = /z"[..]].concat();
    assert_eq!(parsed(&behind).template_dir(), Some(("/z".into(), 6)));
    assert_eq!(parsed(&blocks()[1].text()).template_dir(), None);
}

#[test]
fn unfit_config_is_reported_with_its_line() {
    let text = |block: &ConfigBlock| String::from_utf8(block.text()).expect("text");
    let ours = text(&blocks()[0]);
    for (what, unfit) in [
        ("[user\n".to_string(), Unfit::Malformed { line: 1 }),
        (format!("[a]\n{ours}\n[b\n"), Unfit::Malformed { line: 10 }),
        (ours.replace(END, ""), Unfit::Torn { line: 1 }),
        (format!("\n{ours}\n{ours}"), Unfit::Torn { line: 10 }),
        (
            "[a]\n[hook \"gitea-lightstep\"]\n\tevent = update\n".to_string(),
            Unfit::Foreign { hook: HOOK, line: 2 },
        ),
        (format!("{ours}\n[Hook \"gitea-lightstep\"]\n"), Unfit::Foreign { hook: HOOK, line: 9 }),
        (
            format!("[hook \"gitea-lightstep-refs\"]\n\tcommand = true\n{ours}\n"),
            Unfit::Foreign { hook: REF_HOOK, line: 1 },
        ),
    ] {
        assert_eq!(GitConfig::parse(what.clone().into()), Err(unfit), "{what}");
    }
    // Hook names are case-sensitive, so this is a different hook.
    parsed(b"[hook \"Gitea-Lightstep\"]\n\tcommand = true\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn git_reads_back_written_paths(binary in path(), config in path()) {
        let block = hook(&binary, &config);
        let ConfigBlock::Hook { command, .. } = &block else { unreachable!() };
        let text = GitConfig::new_with(&block);
        let read = TestConfig::holding(&text).git(&["--get", "hook.gitea-lightstep.command"]);
        prop_assert_eq!(BString::from(read), BString::from([&*command.config_hook(), b"\n"].concat()));
        let read = TestConfig::holding(&text).git(&["--get", "hook.gitea-lightstep-refs.command"]);
        prop_assert_eq!(BString::from(read), BString::from([&*command.ref_hook(), b"\n"].concat()));
        prop_assert_eq!(parsed(&text).block(), Some(block.clone()));

        let template = ConfigBlock::Template(binary.clone());
        let text = GitConfig::new_with(&template);
        let read = TestConfig::holding(&text).git(&["--get", "init.templateDir"]);
        let printed = [binary.as_os_str().as_bytes(), b"\n"].concat();
        prop_assert_eq!(BString::from(read), BString::from(printed));
        let joined = ConfigBlock::Joined { dir: binary, made: 1 };
        prop_assert_eq!(parsed(&GitConfig::new_with(&joined)).block(), Some(joined.clone()));
    }
}
