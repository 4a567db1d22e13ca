//! Failures around a push: the push always succeeds, the journal records the error and its place,
//! and the hook does as much of its work as it can.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use crate::support::{BINARY, Sandbox};

const ZERO: &str = "0000000000000000000000000000000000000000";
const MISSING: &str = "1234567890123456789012345678901234567890";

#[test]
fn malformed_line_does_not_affect_other_lines() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Good", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    let stdin =
        format!("nonsense\n{ZERO} {commit} refs/heads/main\n{ZERO} {commit}\n\x1b[31m {commit} refs/heads/x");
    let ran = sandbox.hook(stdin.as_bytes());
    assert_eq!(ran.succeeded().remote_or_own().len(), 1);
    assert_eq!(sandbox.waiting("unassigned").len(), 1);
    assert_eq!(
        sandbox.troubles(),
        [
            "skipped stdin:1: expected `<old id> <new id> <ref>`, found `nonsense`".to_string(),
            format!("skipped stdin:3: expected `<old id> <new id> <ref>`, found `{ZERO} {commit}`"),
            format!(
                "skipped stdin:4: expected an old id of 40 or 64 hexadecimal digits, \
                 found `\\u{{1b}}[31m {commit} refs/heads/x`"
            ),
        ]
    );
}

#[test]
fn marker_of_a_missing_object_lacks_only_its_title() {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .hook(format!("{ZERO} {MISSING} refs/heads/main\n{ZERO} {MISSING} refs/tags/v1.0.0\n").as_bytes());
    assert_eq!(ran.succeeded().remote_or_own().len(), 2);
    let markers = sandbox.waiting("unassigned");
    assert_eq!(markers[0]["title"], "refs/heads/main");
    assert_eq!(markers[0]["version"], MISSING);
    assert_eq!(markers[1]["version"], "1.0.0");
    for decision in sandbox.decisions() {
        let missing = decision["missing"].as_str().expect("the journal says what is missing");
        assert!(missing.starts_with(&format!("failed to read object {MISSING}: ")), "{missing}");
    }
}

#[test]
fn ref_other_than_branch_or_tag_is_not_marked() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Noted", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    for name in ["refs/notes/x", "refs/pull/1/head", "refs/custom/y", "refs/strange", "HEAD"] {
        sandbox.hook(format!("{ZERO} {commit} {name}\n").as_bytes()).said_nothing();
    }
    for decision in sandbox.decisions().split_off(1) {
        assert_eq!(
            (&decision["outcome"], &decision["why"]),
            (&"skipped".into(), &"neither a branch nor a tag".into())
        );
    }
}

#[test]
fn push_to_a_broken_repository_is_kept_until_it_is_repaired() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Unreachable", &[]);
    sandbox.push(&["HEAD:refs/heads/elsewhere"]).succeeded();
    let before = sandbox.decisions().len();
    let head = sandbox.bare().join("HEAD");
    let whole = fs::read(&head).expect("a file");
    fs::write(&head, "\u{1}nonsense").expect("written");
    sandbox
        .hook(format!("{ZERO} {commit} refs/heads/main\n{ZERO} {commit} refs/tags/v1.0.0\n").as_bytes())
        .succeeded();
    assert_eq!(sandbox.decisions().len(), before, "the default branch is unknown");
    let why = sandbox.troubles().pop().expect("a reason");
    assert!(why.contains("built-in.rhai:27") && why.contains("HEAD"), "{why}");
    fs::write(&head, whole).expect("written");

    let (objects, away) = (sandbox.bare().join("objects"), sandbox.bare().join("away"));
    fs::rename(&objects, &away).expect("renamed");
    sandbox.hook(format!("{ZERO} {commit} refs/tags/v1.0.1\n").as_bytes()).succeeded();
    let why = sandbox.troubles().pop().expect("a reason");
    assert!(why.contains("failed to open the repository `"), "{why}");
    fs::rename(&away, &objects).expect("renamed");

    // One that is at work keeps its push.
    sandbox.wait_for_deliverers_to_end();
    sandbox.binary(&["deliver"]).succeeded_or_found();
    let versions: Vec<_> =
        sandbox.waiting("unassigned").iter().map(|marker| marker["version"].clone()).collect();
    for version in [commit.as_str(), "1.0.0", "1.0.1"] {
        assert!(versions.iter().any(|known| known == version), "{version}: {versions:?}");
    }
}

#[test]
fn push_is_kept_while_the_configuration_is_invalid() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Patience", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    let update = format!("{ZERO} {commit} refs/heads/main\n");
    let path = sandbox.path("config.toml").display().to_string();
    for (broken, why) in [
        (
            "state_dir = \"state\"\n[[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpont = \"http://x\"\n",
            ":5:1: unknown field `endpont`, expected one of `name`, `kind`, `endpoint`, `protocol`, `compression`, \
             `headers`, `logs`, `spans`, `render`, `secrets`, `settings`, `kinds`, `ca_file`, `proxy`, `insecure`; did you mean `endpoint`?",
        ),
        (
            "state_dir = \"state\"\n[delivery]\ntimeout = 10\n",
            ":3:11: invalid type: integer `10`, expected a duration with a unit, such as \"10s\"",
        ),
        ("state_dir = \"state\"\n[delivery\n", ":2:10: unclosed table, expected `]`"),
    ] {
        sandbox.write("config.toml", broken);
        sandbox.hook(update.as_bytes()).said_nothing();
        let trouble = sandbox.troubles().pop().expect("the journal says why");
        assert_eq!(
            trouble,
            format!("this push waits in the inbox until the configuration is fixed: {path}{why}")
        );
    }
    assert_eq!(sandbox.files("inbox").len(), 3, "each push is still in the inbox");

    sandbox.configure("");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.files("inbox").len(), 0);
    assert_eq!(sandbox.waiting("unassigned").len(), 3);
}

#[test]
fn compile_error_names_its_position() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Scripted", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    sandbox.configure("[reply]\nto_pusher = \"all\"\n");
    sandbox.write("scripts/site.rhai", "fn decide(update) {\n    let x = ;\n    true\n}\n");
    let ran = sandbox.hook(format!("{ZERO} {commit} refs/heads/main\n").as_bytes());
    let place = sandbox.path("scripts/site.rhai:2:13").display().to_string();
    let why = format!("{place}: Unexpected ';'");
    let expected = [
        "gitea-lightstep: the policy failed: site.rhai:2; the marker follows when it is fixed".to_string(),
        format!("gitea-lightstep: no marker: {why}"),
    ];
    assert_eq!(ran.succeeded().remote_or_own(), expected);
    let decision = sandbox.decisions().pop().expect("a decision");
    assert_eq!((&decision["outcome"], &decision["why"]), (&"failed".into(), &why.into()));
}

#[test]
fn unwritable_state_directory_prints_one_line_on_stderr() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("x", &[]);
    // Use a file in place of the directory, because permissions do not stop root.
    sandbox.write("state", "not a directory");
    let ran = sandbox.hook(format!("{ZERO} {commit} refs/heads/main\n").as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("gitea-lightstep: this push has no markers: failed to "), "{}", lines[0]);
    assert!(lines[0].contains("state/inbox") && lines[0].contains("Not a directory"), "{}", lines[0]);
    fs::remove_file(sandbox.state()).expect("removed");
    sandbox.hook(format!("{ZERO} {commit} refs/heads/main\n").as_bytes()).succeeded();
    assert_eq!(sandbox.decisions().len(), 1, "the next push is decided");
}

#[test]
fn full_disk_prints_one_line_on_stderr_and_the_next_push_works() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("x", &[]);
    let update = format!("{ZERO} {commit} refs/heads/main\n");
    // With a file size limit, every write fails like on a full disk. `exec` keeps git's pipe open.
    let mut command = sandbox.command("bash", &sandbox.bare());
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" hook --config \"$1\"";
    command.args(["-c", script, BINARY]).arg(sandbox.path("config.toml"));
    let ran = sandbox.run(&mut command, update.as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("failed to write"), "{}", ran.stderr);
    assert_eq!(sandbox.files("inbox"), [""; 0], "a partly written file is removed");
    sandbox.hook(update.as_bytes()).succeeded();
    assert_eq!(sandbox.waiting("unassigned").len(), 1);
}

#[test]
fn hook_works_with_an_empty_environment() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("x", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .current_dir(sandbox.bare())
        .args(["hook", "--config"])
        .arg(sandbox.path("config.toml"));
    let ran = sandbox.run(&mut command, format!("{ZERO} {commit} refs/heads/main\n").as_bytes());
    assert_eq!(ran.succeeded().remote_or_own().len(), 1, "the hook works without HOME and GIT_DIR");
    assert_eq!(sandbox.waiting("unassigned")[0]["service"], "shop");
}

#[test]
fn closed_or_empty_standard_input_is_ignored() {
    let sandbox = Sandbox::new();
    for stdin in [&b""[..], b"\n", b" \n\n"] {
        sandbox.hook(stdin).said_nothing();
    }
    let mut command = sandbox.command("sh", &sandbox.bare());
    command.args(["-c", "exec \"$0\" hook --config \"$1\" <&-", BINARY]).arg(sandbox.path("config.toml"));
    sandbox.run(&mut command, b"").said_nothing();
    assert_eq!(sandbox.journal().len(), 0);
    assert_eq!(sandbox.files("inbox").len(), 0);
}

#[test]
fn wrong_arguments_drain_standard_input_and_do_not_fail_the_push() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(BINARY, &sandbox.bare());
    let mut child = command
        .args(["hook", "--bogus"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the process");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&vec![b'x'; 1 << 20]).expect("the hook reads all of standard input");
    drop(stdin);
    let output = child.wait_with_output().expect("wait for the process");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(said, "gitea-lightstep: this push has no markers: unexpected argument '--bogus' found\n");
}

#[test]
fn commit_message_of_100_mb_is_marked_in_little_memory() {
    let sandbox = Sandbox::new();
    let tree = sandbox.git(&["write-tree"]);
    let mut object =
        format!("tree {tree}\nauthor A <a@x> 1700000000 +0000\ncommitter A <a@x> 1700000000 +0000\n\n")
            .into_bytes();
    object.extend(b"A long story\n\n");
    object.extend(
        std::iter::repeat_n(&b"All work and no play makes Jack a dull boy.\n"[..], 2_400_000).flatten(),
    );
    assert!(object.len() > 100 << 20);
    let mut hash = sandbox.command("git", &sandbox.bare());
    let commit =
        sandbox.run(hash.args(["hash-object", "-t", "commit", "-w", "--stdin", "--literally"]), &object);
    let commit = commit.succeeded().stdout.trim().to_string();

    let mut command = sandbox.command("bash", &sandbox.bare());
    // 96 MiB of address space are too little for the binary and the message together.
    command
        .args(["-c", "ulimit -v 98304; exec \"$0\" hook --config \"$1\"", BINARY])
        .arg(sandbox.path("config.toml"));
    let ran = sandbox.run(&mut command, format!("{ZERO} {commit} refs/heads/main\n").as_bytes());
    assert_eq!(ran.succeeded().remote_or_own().len(), 1, "{}", ran.stderr);
    let marker = sandbox.waiting("unassigned").remove(0);
    assert_eq!((&marker["title"], &marker["version"]), (&"refs/heads/main".into(), &commit.into()));
    let missing =
        sandbox.decisions()[0]["missing"].as_str().expect("a decision with the missing object").to_string();
    assert!(missing.starts_with("failed to read object "), "{missing}");
}

#[test]
fn ref_name_that_is_not_utf8_is_marked() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Bytes", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    sandbox.write("git/acme/shop.git/HEAD", b"ref: refs/heads/caf\xe9;$(id>pwned)\n");
    let mut stdin = format!("{ZERO} {commit} refs/heads/").into_bytes();
    stdin.extend(b"caf\xe9;$(id>pwned)\n");
    sandbox.hook(&stdin).succeeded();
    let marker = sandbox.waiting("unassigned").remove(0);
    assert_eq!(marker["source"]["ref_name"], "caf\u{fffd};$(id>pwned)");
    assert!(!sandbox.bare().join("pwned").exists());
}

#[test]
fn state_files_are_accessible_only_to_their_owner() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Private", &[]);
    sandbox.hook(format!("{ZERO} {commit} refs/tags/v1.0.0\n").as_bytes()).succeeded();
    let mut dirs = vec![sandbox.state()];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
        for path in fs::read_dir(&dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                dirs.push(path);
            } else {
                files += 1;
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
    assert!(files >= 2);
    assert!(!sandbox.everything_written().contains("hush-hush"), "the daemon's environment is not written");
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o777
}
