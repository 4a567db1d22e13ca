//! `doctor`: it finds each known cause of a failure and proposes a fix, and does not report false
//! problems.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
};

use crate::support::{
    assert_as_it_is,
    clinic::Clinic,
    host::{Who, is_root},
    recorder::Answer,
};

#[test]
fn healthy_installation_has_no_findings() {
    let clinic = Clinic::installed();
    for who in Who::everybody() {
        let ran = clinic.run(*who, "doctor", &[]);
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
        if *who == Who::RunUser {
            let shown = ran.stdout.replace(&clinic.host.text(""), "/HOST/");
            assert_as_it_is(&clinic.host.sandbox, "doctor-well.txt", &normalised(&shown, &clinic));
        }
    }
    // The journal contains the test pushes of `doctor`, which do not create markers.
    let journal = clinic.host.sandbox.run(&mut clinic.log(), b"").succeeded().stdout.clone();
    assert_eq!(journal.matches("a rehearsal of `gitea-lightstep doctor`").count(), Who::everybody().len());
    assert!(!clinic.host.place("srv/var/state/outbox").exists(), "no marker is created");
    let left = fs::read_dir(clinic.host.place("gitea/repositories")).expect("the repositories").count();
    assert_eq!(left, 1, "the throw-away repository is removed");
}

/// Replaces the parts of the output that differ between runs and machines.
fn normalised(text: &str, clinic: &Clinic) -> String {
    let binary = clinic.host.real_binary().display().to_string();
    let lines = text.lines().map(|line| {
        let line = line.replace(&binary, "/HOST/binary").replace(&clinic.host.user.name, "USER");
        let line = line.replace(clinic.recorder.endpoint().trim_start_matches("http://"), "RECEIVER");
        match line.split_once("git            ") {
            Some((mark, _)) => format!("{mark}git            VERSION, /usr/bin/git"),
            None => match line.split_once("it took ") {
                Some((before, _)) => format!("{before}it took N ms"),
                None => line,
            },
        }
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn hook_problems_are_reported() {
    let clinic = Clinic::new();
    clinic.finds("hooks", "no hook of ours is installed: acme/shop.git", &[]);

    let clinic = Clinic::installed();
    let hooks = "gitea/repositories/acme/shop.git/hooks";
    let wrapper = format!("{hooks}/post-receive.d/gitea-lightstep");
    let mode = |name: &str, mode| clinic.mode(name, mode);
    let well = || assert_eq!(clinic.findings(&["--no-push"]), []);

    mode(&wrapper, 0o644);
    clinic.finds("hooks", "our hook is not executable", &["--no-push"]);
    mode(&wrapper, 0o755);
    well();
    mode(&format!("{hooks}/post-receive"), 0o644);
    clinic.finds("hooks", "Gitea's own post-receive hook is missing or not executable", &["--no-push"]);
    mode(&format!("{hooks}/post-receive"), 0o755);
    mode(&format!("{hooks}/post-receive.d"), 0o775);
    clinic.finds("hooks", "users other than Gitea's may write there", &["--no-push"]);
    mode(&format!("{hooks}/post-receive.d"), 0o755);
    well();

    let config = clinic.host.bare().join("config");
    let before = fs::read_to_string(&config).expect("the configuration");
    for (extension, why) in [
        ("refStorage = sqlite", "`extensions.refStorage` is `sqlite`, expected `files` or `reftable`"),
        ("objectFormat = sha512", "`extensions.objectFormat` is `sha512`"),
    ] {
        fs::write(
            &config,
            format!("{before}[core]\nrepositoryFormatVersion = 1\n[extensions]\n{extension}\n"),
        )
        .expect("the configuration");
        clinic.finds("hooks", why, &["--no-push"]);
    }
    fs::write(&config, before).expect("the configuration");
    well();

    clinic.program(&format!("{hooks}/post-receive.d/zz-known"), "cat >/dev/null");
    clinic.finds("hooks", "acme/shop.git/hooks/post-receive.d/zz-known", &["--no-push"]);
    assert_eq!(clinic.findings(&["--no-push", "--expected", "zz-known"]), []);
    symlink("/bin/sh", clinic.host.bare().join("hooks/update")).expect("a link");
    fs::create_dir_all(clinic.host.bare().join("hooks/update.d")).expect("a directory");
    clinic.program(&format!("{hooks}/update.d/backdoor"), "id");
    let found = clinic.findings(&["--no-push", "--expected", "zz-known"]);
    assert!(found.iter().any(|(_, what)| what.contains("update.d/backdoor")), "{found:?}");
    fs::remove_file(clinic.host.bare().join("hooks/update.d/backdoor")).expect("remove the file");
    fs::remove_file(clinic.hooks().join("zz-known")).expect("remove the file");
    fs::remove_file(clinic.host.bare().join("hooks/update")).expect("remove the file");
    fs::remove_dir(clinic.host.bare().join("hooks/update.d")).expect("remove the file");
    well();

    let page = clinic.hooks().join("post-receive");
    fs::write(&page, "\u{feff}#!/usr/local/bin/gitea-lightstep hook\nfn decide(update) { true }\n")
        .expect("a page");
    clinic.host.give_to_run_user(&page);
    clinic.finds("hooks", "the Git Hooks page begins with a byte-order mark", &["--no-push"]);
    fs::remove_file(page).expect("remove the file");

    let text = fs::read_to_string(clinic.host.place(&wrapper)).expect("the wrapper");
    clinic.host.write(&wrapper, &text.replace("exec \"$bin\"", "exec nice \"$bin\""));
    clinic.finds("hooks", "our hook was edited by hand", &["--no-push"]);
    clinic.host.write(&wrapper, "#!/bin/sh\nexit 0\n");
    let found = clinic.findings(&["--no-push"]);
    assert!(found.iter().any(|(_, what)| what.contains("a file that is not ours has the name")), "{found:?}");
}

#[test]
fn hook_without_state_directory_is_reported() {
    let clinic = Clinic::installed();
    let wrapper = clinic.hooks().join("gitea-lightstep");
    let text = fs::read_to_string(&wrapper).expect("the wrapper");
    let state = text.lines().find(|line| line.starts_with("state=")).expect("the `state=` line");
    fs::write(&wrapper, text.replace(state, "state='/var/lib/elsewhere'")).expect("written");
    clinic.finds(
        "binary",
        "hooks name the state directory `/var/lib/elsewhere`, but the configuration names `",
        &["--no-push"],
    );
    clinic.install(&[]);
    assert_eq!(clinic.findings(&["--no-push"]), []);
    let older = text.replace(&format!("{state}\n"), "").replace(" --state-dir \"$state\"", "");
    fs::write(&wrapper, older).expect("written");
    clinic.finds("binary", "hooks do not name the state directory", &["--no-push"]);
    clinic.install(&[]);
    assert_eq!(fs::read_to_string(&wrapper).expect("the wrapper"), text);
    assert_eq!(clinic.findings(&["--no-push"]), []);
}

/// A file that is named in two ways, through a link or with `..`, is the same file.
#[test]
fn other_names_of_a_file_are_no_problem() {
    let clinic = Clinic::installed();
    let config = clinic.host.place("srv/etc/config.toml");
    symlink(clinic.host.place("srv"), clinic.host.sandbox.path("link")).expect("a link");
    let findings = |name: &str| -> String {
        let mut run = clinic.host.command(Who::RunUser, &clinic.host.real_binary().display().to_string());
        run.args([
            "doctor",
            "--no-push",
            "--gitea-config",
            &clinic.host.text("etc/app.ini"),
            "--config",
            name,
        ]);
        clinic.host.sandbox.run(&mut run, b"").stdout
    };
    for name in ["link/etc/config.toml", "link/etc/../etc/./config.toml"] {
        let name = clinic.host.sandbox.path(name).display().to_string();
        assert!(findings(&name).ends_with("\nall is well\n"), "{name}: {}", findings(&name));
    }
    // The hooks name the state directory by another name, also before it exists.
    let text = fs::read_to_string(&config).expect("the configuration");
    let state = clinic.host.text("srv/var/state");
    for other in ["../var/state", "../etc/../var/./state"] {
        clinic.host.write("srv/etc/config.toml", &text.replace(&format!("{state:?}"), &format!("{other:?}")));
        assert_eq!(clinic.findings(&["--no-push"]), [], "{other}");
    }
    let there = clinic.host.place("srv/var/moved");
    fs::rename(&state, &there).expect("moved");
    clinic.mode("srv/var", 0o777);
    let other = |name: &str| {
        clinic.host.write(
            "srv/etc/config.toml",
            &text.replace(&format!("{state:?}"), &format!("{:?}", clinic.host.text(name))),
        );
        let found = clinic.findings(&["--no-push"]);
        found.iter().filter(|(_, what)| what.contains("hooks name the state directory")).count()
    };
    assert_eq!((other("srv/var/../var/state"), other("srv/var/none")), (0, 1));
}

#[test]
fn git_configuration_problems_are_reported() {
    let clinic = Clinic::new();
    let new_git = clinic.git_that_says("2.55.0");
    clinic.install(&["--git", &new_git]);
    assert_eq!(clinic.findings(&["--no-push", "--git", &new_git]), []);
    let found = clinic.findings(&["--no-push", "--git", &clinic.git_that_says("2.47.3")]);
    let said: Vec<&str> = found.iter().map(|(_, what)| &**what).collect();
    assert!(said[0].starts_with("git 2.47.3 does not run the config hook"), "{said:?}");
    assert!(said[1].starts_with("not every repository has our hook"), "{said:?}");

    let new_git = clinic.git_that_says("2.55.0");
    let git_config = "gitea/home/.gitconfig";
    let text = fs::read_to_string(clinic.host.place(git_config)).expect("git's configuration");
    for (more, what) in [
        (
            "[hook \"other\"]\n\tevent = post-receive\n",
            "has an `event` and no `command`, so every push fails",
        ),
        ("[hook \"other\"]\n\tcommand = /nowhere\n\tevent = update\n", "git stops there"),
        ("[core]\n\thooksPath = /srv/hooks\n", "keeps the hooks of the repositories from running"),
        ("[core\n", "git cannot parse this line"),
    ] {
        clinic.host.write(git_config, &format!("{text}{more}"));
        let found = clinic.findings(&["--no-push", "--git", &new_git]);
        assert!(found.iter().any(|(check, said)| check == "git" && said.contains(what)), "{found:?}");
    }
    clinic.host.write(git_config, &text);
    let wrapper = clinic.hooks().join("gitea-lightstep");
    let source = include_str!("../hooks/gitea-lightstep");
    fs::write(&wrapper, source).expect("a wrapper");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("permissions");
    clinic.host.give_to_run_user(&wrapper);
    let found = clinic.findings(&["--no-push", "--git", &new_git]);
    assert!(found.iter().any(|(_, said)| said.contains("our hook file and the config hook")), "{found:?}");
    assert!(
        found.iter().any(|(check, said)| check == "binary" && said.contains("hooks start `/usr/local")),
        "{found:?}"
    );
}

/// git 2.47 has no config hooks, so a template directory covers new repositories.
#[test]
fn template_directory_without_our_hook_is_reported() {
    let clinic = Clinic::new();
    let old_git = clinic.git_that_says("2.47.3");
    let well = || assert_eq!(clinic.findings(&["--no-push", "--git", &old_git]), []);
    clinic.install(&["--git", &old_git]);
    well();
    let git_config = "gitea/home/.gitconfig";
    let text = fs::read_to_string(clinic.host.place(git_config)).expect("git's configuration");
    fs::create_dir_all(clinic.host.place("srv/template")).expect("a directory");
    clinic.host.give_to_run_user(&clinic.host.place("srv/template"));
    // Quotes are escaped in git's configuration.
    let other = clinic.host.text("srv/template").replace('"', "\\\"");
    for written in [other.as_str(), "~/none", "relative"] {
        clinic.host.write(git_config, &format!("{text}[init]\n\ttemplateDir = {written}\n"));
        let name = written.rsplit('/').next().unwrap_or(written);
        let what = format!("{name}` (git's `init.templateDir`), which does not have our hook");
        clinic.finds("git", &what, &["--no-push", "--git", &old_git]);
    }
    // Before our block it has no effect.
    clinic.host.write(git_config, &format!("[init]\n\ttemplateDir = {other}\n{text}"));
    well();
    clinic.host.write(git_config, &format!("{text}[init]\n\ttemplateDir = {other}\n"));
    clinic.install(&["--git", &old_git]);
    well();
    fs::remove_dir_all(clinic.host.text("srv/template/hooks")).expect("removed");
    clinic.finds("git", "new repositories are created from `", &["--no-push", "--git", &old_git]);
}

#[test]
fn permission_problems_are_reported() {
    let clinic = Clinic::installed();
    clinic.mode("srv/var/state", 0o755);
    clinic.finds(
        "state",
        "`srv/var/state` has the mode 0755: other users can see who pushed what",
        &["--no-push"],
    );
    clinic.mode("srv/var/state", 0o500);
    let found = clinic.findings(&["--no-push"]);
    assert!(found.iter().any(|(_, what)| what.contains("cannot be written by its owner")), "{found:?}");
    clinic.mode("srv/var/state", 0o700);
    clinic.mode("srv/etc/config.toml", 0o666);
    clinic.finds("files", "other users can change where markers go", &["--no-push"]);
    clinic.mode("srv/etc/config.toml", 0o644);

    clinic.configure("headers = { authorization = { file = \"token\" } }");
    clinic.finds("configuration", "failed to read the secret for `authorization`", &["--no-push"]);
    clinic.host.write("srv/etc/token", "s3cr3t\n");
    clinic.mode("srv/etc/token", 0o644);
    clinic.finds("configuration", "others may read it (mode 0644); run `", &["--no-push"]);
    clinic.mode("srv/etc/token", 0o600);
    clinic.host.give_to_run_user(&clinic.host.place("srv/etc/token"));
    assert_eq!(clinic.findings(&["--no-push"]), []);
}

#[test]
fn fixes_for_root_are_safe() {
    let clinic = Clinic::installed();
    clinic.mode("srv/var/state", 0o755);
    clinic.heals("other users can see who pushed what");
    clinic.mode("srv/etc/config.toml", 0o666);
    clinic.heals(if is_root() {
        "the configuration may name commands, so it was not read"
    } else {
        "change where markers go"
    });
    clinic.mode("srv/etc", 0o777);
    clinic.heals("on the way to");
    let wrapper = clinic.hooks().join("gitea-lightstep");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o644)).expect("permissions");
    clinic.heals("our hook is not executable");
    fs::remove_file(&wrapper).expect("remove the file");
    clinic.heals("no hook of ours is installed");
}

#[test]
fn permissions_of_scripts_and_parent_directories_are_checked() {
    let clinic = Clinic::installed();
    let script = |name: &str, mode: u32| {
        clinic.host.write(&format!("srv/etc/scripts/{name}"), "fn enrich(marker, update) { marker }\n");
        clinic.mode(&format!("srv/etc/scripts/{name}"), mode);
    };
    for name in ["site.rhai", "acme.rhai", "acme/shop.rhai", "parts/words.rhai"] {
        script(name, 0o644);
    }
    clinic.host.write(
        "srv/etc/scripts/site.rhai",
        "import \"parts/words\" as words;\nfn enrich(marker, update) { marker }\n",
    );
    assert_eq!(clinic.findings(&["--no-push"]), []);
    for name in ["site.rhai", "acme.rhai", "acme/shop.rhai", "parts/words.rhai"] {
        for mode in [0o666, 0o664] {
            clinic.mode(&format!("srv/etc/scripts/{name}"), mode);
            clinic.finds("files", "other users can change this script", &["--no-push"]);
            clinic.heals(&format!("scripts/{name}` has the mode {mode:04o}"));
        }
    }
    // With --expected, group write permission is accepted, but world write permission is not.
    clinic.mode("srv/etc/scripts/acme/shop.rhai", 0o664);
    assert_eq!(clinic.findings(&["--no-push", "--expected", "acme/shop.rhai"]), []);
    clinic.mode("srv/etc/scripts/acme/shop.rhai", 0o666);
    clinic.finds(
        "files",
        "other users can change this script",
        &["--no-push", "--expected", "acme/shop.rhai"],
    );
    clinic.mode("srv/etc/scripts/acme/shop.rhai", 0o644);
    for dir in ["srv/etc/scripts/acme", "srv/etc/scripts", "srv/etc"] {
        clinic.mode(dir, 0o777);
        let found = clinic.findings(&["--no-push"]);
        assert_eq!(found.len(), 1, "one directory is reported once: {found:#?}");
        clinic.heals(&format!("{dir}`"));
    }
    // A destination's script and a token file are checked too.
    clinic.host.write("srv/render/mine.rhai", "fn render(marker) { #{ path: \"/\", body: #{} } }\n");
    clinic.mode("srv/render/mine.rhai", 0o666);
    let more = format!(
        "[[destination]]\nname = \"mine\"\nkind = \"http\"\nendpoint = \"{}\"\nrender = {:?}\n",
        clinic.recorder.endpoint(),
        clinic.host.text("srv/render/mine.rhai")
    );
    clinic.configure(&more);
    let found = clinic.findings(&["--no-push"]);
    let is_found = |what: &str| found.iter().any(|(check, said)| check == "files" && said.contains(what));
    assert!(is_found("render/mine.rhai` has the mode 0666"), "{found:#?}");
    clinic.configure("headers = { authorization = { file = \"../secrets/token\" } }");
    clinic.host.write("srv/secrets/token", "s3cr3t\n");
    clinic.mode("srv/secrets/token", 0o600);
    clinic.host.give_to_run_user(&clinic.host.place("srv/secrets/token"));
    assert_eq!(clinic.findings(&["--no-push"]), []);
    clinic.mode("srv/secrets", 0o777);
    clinic.heals("other users can replace this secret");
}

#[test]
fn destination_problems_are_reported() {
    for (answer, what) in [
        (Answer::status(401), "HTTP 401"),
        (Answer::status(404), "HTTP 404"),
        (
            Answer::status(302).header("location", "https://elsewhere.example/"),
            "redirects to https://elsewhere.example/",
        ),
        (Answer::status(503), "HTTP 503"),
        (Answer::status(200).header("date", "Sun, 22 Nov 2020 12:00:00 GMT"), "clock is"),
    ] {
        let clinic = Clinic::answering([answer]);
        clinic.install(&[]);
        clinic.finds("destinations", what, &["--no-push"]);
    }
    let clinic = Clinic::installed();
    let endpoint = clinic.recorder.endpoint();
    let config = fs::read_to_string(clinic.host.place("srv/etc/config.toml")).expect("the configuration");
    clinic.host.write("srv/etc/config.toml", &config.replace(&endpoint, "http://127.0.0.1:9"));
    clinic.finds("destinations", "Connection refused", &["--no-push"]);
    clinic.host.write("srv/etc/config.toml", "state_dir = \"../var/state\"\n");
    clinic.finds("destinations", "no destination is configured", &["--no-push"]);
    clinic.host.write("srv/etc/config.toml", "state_dir = \"../var/state\"\nstate_dri = 1\n");
    let found = clinic.findings(&["--no-push"]);
    assert!(
        found.iter().any(|(check, said)| check == "configuration" && said.contains("config.toml:2:1")),
        "{found:?}"
    );
}

#[test]
fn backlog_and_held_lock_are_reported() {
    let clinic = Clinic::installed();
    let new = "srv/var/state/outbox/collector/new";
    fs::create_dir_all(clinic.host.place(new)).expect("a directory");
    // A push from September 2020.
    clinic
        .host
        .write(&format!("{new}/01748d3a-6c00-7000-8000-000000000000.0"), "{\"format\":1,\"markers\":0}\n");
    clinic.host.write("srv/var/state/outbox/collector/lock", "");
    for dir in ["srv/var/state/outbox", "srv/var/state/outbox/collector", new] {
        clinic.mode(dir, 0o700);
    }
    clinic.host.give_to_run_user(&clinic.host.place("srv/var/state"));
    clinic.finds("spool", "in `collector` has waited since 2020-09-14T", &["--no-push"]);
    let lock = fs::File::open(clinic.host.place("srv/var/state/outbox/collector/lock")).expect("the lock");
    lock.lock().expect("take the lock");
    clinic.finds("spool", &format!("the process {} holds the lock", std::process::id()), &["--no-push"]);
}

#[test]
fn old_gitea_version_is_reported() {
    let clinic = Clinic::installed();
    let gitea = clinic
        .program("usr/gitea", "echo 'Gitea version 1.27.2 built with GNU Make 4.4, go1.27.3 : bindata'");
    let quoted = gitea.display().to_string().replace('\'', r"'\''");
    let hook = "gitea/repositories/acme/shop.git/hooks/post-receive.d/gitea";
    let starts = |program: &str| {
        format!("#!/usr/bin/env bash\n'{program}' hook --config='/etc/gitea/app.ini' post-receive\n")
    };
    clinic.host.write(hook, &starts(&quoted));
    clinic.finds("gitea", "Gitea 1.27.2 is older than 1.27.3 of 2026-08-29", &["--no-push"]);
    clinic.host.write(hook, &starts("/nowhere/gitea"));
    clinic.finds("gitea", "Gitea's hooks start `/nowhere/gitea`, which cannot be run", &["--no-push"]);
}

#[test]
fn test_push_finds_problems_that_files_do_not_show() {
    // The hook runs a program that ignores the push.
    let clinic = Clinic::new();
    let stub = clinic.program("usr/stub", "cat >/dev/null").display().to_string();
    clinic.install(&["--binary", &stub]);
    clinic.finds("rehearsal", "reached no hook: it is not in the journal", &[]);

    // Another hook, from the template for new repositories, prints a line to every pusher.
    let clinic = Clinic::installed();
    let template = "gitea/home/gitea-lightstep-template/hooks/post-receive.d/00-noise";
    clinic.program(template, "cat >/dev/null; echo 'hello pusher' >&2");
    clinic.host.give_to_run_user(&clinic.host.place(template));
    clinic.finds("rehearsal", "every pusher sees this: remote: hello pusher", &[]);
}

#[test]
fn doctor_works_without_gitea() {
    let clinic = Clinic::new();
    let mut run = clinic.host.command(Who::RunUser, &clinic.host.real_binary().display().to_string());
    run.args([
        "doctor",
        "--config",
        &clinic.host.text("srv/etc/config.toml"),
        "--gitea-config",
        "/nowhere/app.ini",
    ]);
    let ran = clinic.host.sandbox.run(&mut run, b"");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("well   destinations   collector accepts markers"), "{}", ran.stdout);
    assert!(ran.stdout.contains("found  gitea"), "{}", ran.stdout);
    assert!(ran.stdout.contains("-> name Gitea's app.ini with --gitea-config"), "{}", ran.stdout);
}

#[test]
fn missing_stale_and_failed_scans_are_reported() {
    let clinic = Clinic::installed();
    let last = clinic.host.place("srv/var/state/refs/last.json");
    clinic.host.push().succeeded();
    assert_eq!(clinic.findings(&["--no-push"]), [], "the hook was installed a moment ago");
    clinic.run(Who::RunUser, "scan", &[]).succeeded();
    assert_eq!(clinic.findings(&["--no-push"]), []);

    let written = |text: &str| fs::write(&last, text).expect("written");
    written(r#"{"time":"2026-01-01T00:00:00Z","repositories":3,"failed":0}"#);
    clinic.finds(
        "scan",
        "the last scan ended more than 10 minutes ago, at 2026-01-01 00:00 UTC",
        &["--no-push"],
    );
    written(r#"{"time":"2999-01-01T00:00:00Z","repositories":3,"failed":2}"#);
    clinic.finds("scan", "2 repositories could not be scanned", &["--no-push"]);
    for unreadable in ["", "{", r#"{"time":1}"#] {
        written(unreadable);
        clinic.finds("scan", "no scan of all repositories has run", &["--no-push"]);
    }
    fs::remove_dir_all(clinic.host.place("srv/var/state/refs")).expect("the directory");
    assert_eq!(clinic.findings(&["--no-push"]), []);
    // A journal of an older version, which has no hash chain.
    let journal = clinic.host.place("srv/var/state/journal");
    fs::remove_dir_all(&journal).expect("removed");
    fs::remove_file(clinic.host.place("srv/var/state/journal-head.json")).expect("removed");
    fs::DirBuilder::new().mode(0o700).create(&journal).expect("created");
    let old = r#"{"time":"2026-01-01T00:00:00Z","record":"trouble","what":"old"}"#;
    fs::write(journal.join("2026-01.jsonl"), format!("{old}\n")).expect("written");
    clinic.host.give_to_run_user(&journal);
    clinic.finds("scan", "no scan of all repositories has run", &["--no-push"]);
    clinic.run(Who::RunUser, "scan", &[]).succeeded();
    assert_eq!(clinic.findings(&["--no-push"]), []);
}

#[test]
fn excluded_repository_is_in_order_without_a_hook() {
    let clinic = Clinic::installed();
    let mut git = clinic.host.command(Who::RunUser, "git");
    git.arg("-C").arg(clinic.host.bare()).args(["config", "hook.gitea-lightstep.enabled", "false"]);
    clinic.host.sandbox.run(&mut git, b"").succeeded();
    clinic.install(&[]);
    assert!(!clinic.hooks().join("gitea-lightstep").exists());
    assert_eq!(clinic.findings(&["--no-push"]), []);
}
