//! `check`, `connect` and `deliver` of root: they say what holds for Gitea's user, who runs the hook.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
};

use serde_json::Value;

use crate::support::{
    Ran, assert_root,
    clinic::Clinic,
    host::{Who, walk},
};

/// Runs the command that a message proposes.
#[track_caller]
fn heal(clinic: &Clinic, said: &str) {
    let fix =
        said.split('`').find(|part| part.starts_with("chgrp ")).unwrap_or_else(|| panic!("no fix: {said}"));
    let mut sh = clinic.host.command(Who::Root, "sh");
    clinic.host.sandbox.run(sh.args(["-c", fix]), b"").succeeded();
}

fn of_root(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    chown(path, Some(0), Some(0)).expect("the owner");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn all(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn configuration_that_the_hook_cannot_read_is_named_with_owner_mode_and_fix() {
    assert_root();
    let clinic = Clinic::installed();
    let config = clinic.host.place("srv/etc/config.toml");
    for command in ["check", "doctor", "status", "connect"] {
        of_root(&config, 0o600);
        let who = if command == "status" { Who::RunUser } else { Who::Root };
        let run = || match command {
            "status" => {
                let mut run = clinic.host.command(who, &clinic.host.real_binary().display().to_string());
                clinic.host.sandbox.run(run.args(["status", "--config"]).arg(&config), b"")
            }
            "doctor" => clinic.run(who, command, &["--no-push"]),
            _ => clinic.run(who, command, &[]),
        };
        let ran = run();
        assert_eq!(ran.code, Some(1), "{command}: {ran:?}");
        let said = all(&ran);
        assert!(
            said.contains("may not read `")
                && said.contains("config.toml`: it belongs to `root` and has the mode 0600"),
            "{command}: {said}"
        );
        heal(&clinic, &said);
        assert!(!all(&run()).contains("may not read"), "{command}");
    }
}

/// Another user than the hook's is not told to take the configuration from it.
#[test]
fn another_user_is_sent_to_the_group_of_the_configuration() {
    assert_root();
    let clinic = Clinic::installed();
    let config = clinic.host.place("srv/etc/config.toml");
    of_root(&config, 0o640);
    chown(&config, Some(0), Some(4)).expect("the group");
    let mut status = clinic.host.command(Who::RunUser, &clinic.host.real_binary().display().to_string());
    let ran = clinic.host.sandbox.run(status.args(["status", "--config"]).arg(&config), b"");
    let expected = "run this as a user of the group `adm` or root; only if Gitea runs as `";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    // Root's check runs as Gitea's user, so the group is wrong.
    let said = all(&clinic.run(Who::Root, "check", &[]));
    assert!(said.contains("run as root: `chgrp ") && !said.contains("only if"), "{said}");
}

#[test]
fn check_of_root_reports_a_token_that_the_hook_cannot_read() {
    assert_root();
    let clinic = Clinic::installed();
    clinic.host.write("srv/etc/token", "t0ken");
    let token = clinic.host.place("srv/etc/token");
    of_root(&token, 0o600);
    clinic.configure("headers = { authorization = { file = \"token\" } }");
    let ran = clinic.run(Who::Root, "check", &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.contains("failed to read the secret for `authorization`: the user `"),
        "{}",
        ran.stdout
    );
    heal(&clinic, &all(&ran));
    clinic.run(Who::Root, "check", &[]).succeeded();
    clinic.run(Who::Root, "connect", &[]).succeeded();

    // No Gitea is found, but the state directory belongs to the user that runs the hook.
    of_root(&token, 0o600);
    let config = clinic.host.text("srv/etc/config.toml");
    let mut check = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
    let ran = clinic.host.sandbox.run(check.args(["check", "--json", "--config", &config]), b"");
    let answer: Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("token` cannot be read by `"), "{warnings}");
    heal(&clinic, answer["warnings"][0].as_str().expect("text"));
    let mut check = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
    let ran = clinic.host.sandbox.run(check.args(["check", "--config", &config]), b"");
    assert_eq!(ran.succeeded().stdout, "1 file checked, all is well\n");
}

#[test]
fn check_and_connect_of_root_run_as_gitea_user() {
    assert_root();
    let clinic = Clinic::installed();
    let log = clinic.host.place("gitea/home/ids");
    let program = clinic.program(
        "srv/bin/token",
        &format!("id -u >>'{}'; echo t0ken", log.display().to_string().replace('\'', "'\\''")),
    );
    clinic.configure(&format!(
        "headers = {{ authorization = {{ command = [{:?}] }} }}",
        program.display().to_string()
    ));
    for command in ["check", "connect"] {
        clinic.run(Who::Root, command, &["--json"]).succeeded();
    }
    let ids = fs::read_to_string(&log).expect("the log");
    assert!(ids.lines().count() >= 2 && ids.lines().all(|id| id != "0"), "{ids}");
    // Without a Gitea, `--run-user` names the user.
    let before = ids.lines().count();
    let config = clinic.host.text("srv/etc/config.toml");
    let user = clinic.host.user.name.clone();
    let mut check = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
    clinic.host.sandbox.run(check.args(["check", "--config", &config, "--run-user", &user]), b"").succeeded();
    let ids = fs::read_to_string(&log).expect("the log");
    assert!(ids.lines().count() > before && ids.lines().all(|id| id != "0"), "{ids}");
    // A configuration that another user can change must not name the commands.
    chown(clinic.host.place("srv/etc/config.toml"), Some(12_345), None).expect("another owner");
    let before = ids.len();
    for command in ["check", "connect"] {
        let ran = clinic.run(Who::Root, command, &[]);
        assert!(ran.code == Some(1) && all(&ran).contains("belongs to `12345"), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(&log).expect("the log").len(), before);
    // A secret in the environment is there as well.
    of_root(&clinic.host.place("srv/etc/config.toml"), 0o644);
    clinic.configure("headers = { authorization = { env = \"THE_TOKEN\" } }");
    let places = [clinic.host.text("srv/etc/config.toml"), clinic.host.text("etc/app.ini")];
    let mut check = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
    check.args(["check", "--config", &places[0], "--gitea-config", &places[1]]).env("THE_TOKEN", "t0ken");
    clinic.host.sandbox.run(&mut check, b"").succeeded();
}

#[test]
fn deliver_and_connect_of_root_do_not_create_a_state_directory() {
    assert_root();
    let clinic = Clinic::new();
    let state = clinic.host.place("srv/var/state");
    fs::remove_dir(&state).expect("removed");
    let config = clinic.host.text("srv/etc/config.toml");
    clinic.host.write("srv/etc/token", "t0ken");
    of_root(&clinic.host.place("srv/etc/token"), 0o600);
    let text = fs::read_to_string(&config).expect("the configuration");
    let lightstep = "[lightstep]\ntoken = { file = \"token\" }\norganization = \"o\"\nproject = \"p\"\napi_key = { file = \"token\" }\n\
                     endpoint = \"http://127.0.0.1:1\"\napi = \"http://127.0.0.1:1\"\n";
    fs::write(&config, text + lightstep).expect("written");
    for args in
        [&["connect"][..], &["deliver"], &["deliver", "--follow", "--for", "1s"], &["deliver", "--json"]]
    {
        let mut deliver = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
        let ran = clinic.host.sandbox.run(deliver.args(args).args(["--config", &config]), b"");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("does not exist, and root does not create it"), "{ran:?}");
        assert!(!state.exists());
    }
}

/// With `--run`, only the mark is made by Gitea's user.
#[test]
fn mark_of_root_runs_as_gitea_user_and_the_command_as_root() {
    assert_root();
    let clinic = Clinic::installed();
    clinic.host.push().succeeded();
    let state = clinic.host.place("srv/var/state");
    let args = ["acme/shop", "--environment", "prod", "--started", "5min", "--title=- By hand"];
    let ran = clinic.run(Who::Root, "mark", &args);
    assert!(ran.succeeded().stdout.starts_with("deployment shop "), "{ran:?}");
    // A path is that of root's directory.
    let mut command = clinic.host.command(Who::Root, &clinic.host.real_binary().display().to_string());
    let places = [clinic.host.text("srv/etc/config.toml"), clinic.host.text("etc/app.ini")];
    command.args([
        "mark",
        ".",
        "--environment",
        "prod",
        "--config",
        &places[0],
        "--gitea-config",
        &places[1],
    ]);
    clinic.host.sandbox.run(command.current_dir(clinic.host.bare()), b"").succeeded();
    let ran = clinic.run(
        Who::Root,
        "mark",
        &["acme/shop", "--environment", "prod", "--run", "--", "sh", "-c", "id -u; exit 5"],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "0\n"), "{ran:?}");
    assert!(ran.stderr.contains("to prod failed, trace "), "{ran:?}");
    let mut log = clinic.host.command(Who::RunUser, &clinic.host.real_binary().display().to_string());
    let log = clinic.host.sandbox.run(log.args(["log", "--outcome", "marked", "--config", &places[0]]), b"");
    assert_eq!(log.stdout.matches("(command): deployment shop").count(), 3, "{log:?}");
    let owner = fs::metadata(&state).expect("the state").uid();
    for path in ["journal", "deployed"].iter().flat_map(|dir| walk(&state.join(dir))) {
        assert_eq!(fs::symlink_metadata(&path).expect("metadata").uid(), owner, "{}", path.display());
    }
}
