//! `install --ref-hook`: the file for git's event `reference-transaction`, which any git runs. Whatever
//! is missing, git must neither fail nor print anything.

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use serde_json::Value;

use crate::support::{
    Ran,
    clinic::Clinic,
    estate::{Estate, assert_same, without_gitea},
    host::Who,
    wait_until,
};

/// Path of the hook in a repository or a template.
const HOOK: &str = "hooks/reference-transaction";

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {}{}", ran.stdout, ran.stderr))
}

/// An installation with the hook and one pushed commit, whose repositories were scanned once.
fn scanned_once() -> Estate {
    let estate = Estate::new();
    estate.install(&["--ref-hook"]).succeeded();
    estate.push(&["main"]).succeeded();
    assert_eq!(estate.scanned()["first_seen"], 1);
    estate
}

fn hook_of(estate: &Estate) -> PathBuf {
    estate.sandbox.bare().join(HOOK)
}

#[test]
fn ref_change_without_a_push_is_decided_at_once() {
    let estate = scanned_once();
    let git = |args: &[&str]| estate.git_for_pages("git", args, b"").said_nothing().code;
    git(&["tag", "v1.0.0", "main"]);
    wait_until("the tag is decided", || estate.decided().len() == 2);
    git(&["branch", "topic", "main"]);
    wait_until("the branch is decided", || estate.decided().len() == 3);
    git(&["branch", "-m", "topic", "renamed"]);
    wait_until("the branches are decided", || estate.decided().len() == 5);
    estate.commit("Two");
    assert_eq!(estate.push(&["main"]).succeeded().remote().len(), 1);
    assert_eq!(estate.scanned()["changes"], serde_json::json!([]));
    let mut decided = estate.decided();
    decided.sort();
    assert_eq!(
        decided,
        [
            "refs/heads/main",
            "refs/heads/main",
            "refs/heads/renamed",
            "refs/heads/topic",
            "refs/heads/topic",
            "refs/tags/v1.0.0"
        ]
    );
    assert_eq!(estate.sandbox.troubles(), [""; 0]);
}

#[test]
fn options_put_the_file_in_and_take_it_out() {
    let estate = Estate::new();
    fs::create_dir_all(estate.path("git/mirrors/mirror.git/hooks")).expect("a directory");
    estate.repository("acme/shop.wiki.git");
    estate.hand_over();
    let before = (estate.lasting("git"), estate.lasting("data"));
    let newer = estate.git_that_says("2.55.0");
    let hooks = || {
        let repositories = ["acme/shop.git", "acme/shop.wiki.git", "mirrors/mirror.git"];
        let dirs = repositories.map(|name| estate.path("git").join(name));
        let template = estate.home().join("gitea-lightstep-template");
        dirs.into_iter().chain([template]).filter(|dir| dir.join(HOOK).exists()).count()
    };

    let outcome = json(estate.install(&["--ref-hook", "--dry-run", "--json"]).succeeded());
    assert_eq!((&outcome["ref_hook"], hooks()), (&true.into(), 0), "{outcome}");
    let outcome = json(estate.install(&["--ref-hook", "--json"]).succeeded());
    assert_eq!((&outcome["way"], &outcome["ref_hook"]), (&"files".into(), &true.into()), "{outcome}");
    assert_eq!((&outcome["repositories"]["changed"], hooks()), (&3.into(), 4), "{outcome}");
    let binary = estate.path("bin/gitea-lightstep").display().to_string();
    let text = format!(
        "#!/bin/sh\n\
         # gitea-lightstep: notices ref changes that no push brings (install --ref-hook).\n\
         test \"$1$GITEA_REPO_ID\" != committed || test ! -x '{binary}' || '{binary}' hook --reference-transaction \
         --config '{}' >/dev/null 2>&1; :\n",
        estate.path("config.toml").display(),
    );
    assert_eq!(fs::read_to_string(hook_of(&estate)).expect("the hook"), text);
    for (path, seen) in estate.seen("git").into_iter().chain(estate.seen("data")) {
        assert_eq!(seen.uid, estate.uid(), "{}", path.display());
        assert!(!path.ends_with(HOOK) || seen.mode & 0o7777 == 0o755, "{}", path.display());
    }
    // A new repository gets it from the template.
    let mut git = estate.command("git");
    without_gitea(&mut git);
    estate.sandbox.run(git.args(["init", "-q", "--bare", "git/acme/new.git"]), b"").succeeded();
    assert!(estate.path("git/acme/new.git").join(HOOK).exists());
    fs::remove_dir_all(estate.path("git/acme/new.git")).expect("removed");

    let whole = (estate.seen("git"), estate.seen("data"));
    let outcome = json(estate.install(&["--ref-hook", "--json"]).succeeded());
    assert_eq!(
        (&outcome["repositories"]["changed"], &outcome["template"]["changed"]),
        (&0.into(), &false.into())
    );
    assert_same(&whole.0, &estate.seen("git"), "the second run");
    assert_same(&whole.1, &estate.seen("data"), "the second run");
    // What an edit or a change of mode broke is repaired.
    fs::write(hook_of(&estate), text.replace("committed", "prepared")).expect("written");
    fs::set_permissions(estate.path("git/mirrors/mirror.git").join(HOOK), fs::Permissions::from_mode(0o644))
        .expect("permissions");
    assert_eq!(json(estate.install(&["--ref-hook", "--json"]).succeeded())["repositories"]["changed"], 2);
    assert_eq!(fs::read_to_string(hook_of(&estate)).expect("the hook"), text);

    // Without the option, with a newer git and on removal it goes.
    for args in [&[][..], &["--no-ref-hook"], &["--git", &newer]] {
        estate.install(args).succeeded();
        assert_eq!(hooks(), 0, "{args:?}");
        estate.install(&["--ref-hook"]).succeeded();
        assert_eq!(hooks(), 4, "after {args:?}");
    }
    let config = |args: &[&str]| {
        estate.install(&[&["--git", &*newer], args].concat()).succeeded();
        fs::read_to_string(estate.git_config()).expect("Gitea's .gitconfig")
    };
    assert_eq!(config(&[]), config(&["--ref-hook"]), "a newer git");
    assert_eq!(estate.install(&["--ref-hook", "--no-ref-hook"]).code, Some(2));
    estate.install(&["--ref-hook"]).succeeded();
    estate.uninstall(&[]).succeeded();
    assert_same(&before.0, &estate.lasting("git"), "after uninstall");
    assert_same(&before.1, &estate.lasting("data"), "after uninstall");
}

#[test]
fn one_repository_can_have_it() {
    let estate = Estate::new();
    estate.repository("acme/other.git");
    estate.hand_over();
    let before = estate.lasting("git");
    let outcome = json(estate.install(&["--repository", "acme/shop", "--ref-hook", "--json"]).succeeded());
    assert_eq!((&outcome["ref_hook"], &outcome["repositories"]["changed"]), (&true.into(), &1.into()));
    assert!(hook_of(&estate).exists() && !estate.path("git/acme/other.git").join(HOOK).exists());
    estate.install(&["--repository", "acme/shop"]).succeeded();
    assert!(!hook_of(&estate).exists());
    estate.install(&["--repository", "acme/shop", "--ref-hook"]).succeeded();
    estate.uninstall(&["--repository", "acme/shop"]).succeeded();
    assert_same(&before, &estate.lasting("git"), "after uninstall");
    // A tree without Gitea.
    let root = estate.path("git").display().to_string();
    let binary = estate.path("bin/gitea-lightstep");
    let mut plain = estate.command(binary);
    plain.args(["install", "--ref-hook", "--root", &root, "--git", &estate.older_git()]);
    estate.sandbox.run(plain.arg("--config").arg(estate.path("config.toml")), b"").succeeded();
    assert!(hook_of(&estate).exists());
    estate.uninstall(&[]).succeeded();
    assert_same(&before, &estate.lasting("git"), "after uninstall");
}

#[test]
fn transaction_is_never_disturbed() {
    let estate = scanned_once();
    let (binary, config, state) =
        (estate.path("bin/gitea-lightstep"), estate.path("config.toml"), estate.sandbox.state());
    let mut nth = 0;
    let mut is_quiet = |what: &str| {
        nth += 1;
        let (tag, branch) = (format!("v2.{nth}.0"), format!("b{nth}"));
        let said_nothing = |args: &[&str], has_home: bool| {
            let mut git = estate.command("git");
            without_gitea(&mut git);
            if !has_home {
                git.env_remove("HOME").env_remove("XDG_CONFIG_HOME");
            }
            let ran = estate.sandbox.run(git.current_dir(estate.sandbox.bare()).args(args), b"");
            assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{what}: git {args:?}, {has_home}");
        };
        said_nothing(&["tag", &tag, "main"], true);
        said_nothing(&["branch", &branch, "main"], false);
        said_nothing(&["branch", "-m", &branch, &format!("{branch}-renamed")], true);
        said_nothing(&["tag", "-d", &tag], false);
        estate.commit(what);
        let ran = estate.push(&["main"]);
        assert_eq!(ran.code, Some(0), "{what}: {}", ran.stderr);
    };
    let mode = |path: &PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    };

    let text = fs::read_to_string(&config).expect("the configuration");
    for (what, broken) in [("broken", "state_dir = ["), ("without a state directory", "unknown = 1\n")] {
        fs::write(&config, broken).expect("written");
        is_quiet(&format!("configuration {what}"));
    }
    fs::write(&config, text).expect("written");
    mode(&config, 0o000);
    is_quiet("configuration that cannot be read");
    mode(&config, 0o644);

    mode(&state.join("refs"), 0o500);
    is_quiet("directory that cannot be written");
    mode(&state.join("refs"), 0o700);
    fs::rename(&state, estate.path("elsewhere")).expect("moved");
    is_quiet("no state directory");
    let _ = fs::remove_dir_all(&state);
    fs::rename(estate.path("elsewhere"), &state).expect("moved back");
    fs::remove_file(&config).expect("the configuration");
    is_quiet("no configuration");
    estate.sandbox.configure("");

    // git has much to say, and the hook does not listen.
    let main = estate.git_for_pages("git", &["rev-parse", "main"], b"").succeeded().stdout.trim().to_string();
    let mut lines = String::new();
    for nth in 0..10_000 {
        writeln!(lines, "create refs/heads/many/{nth} {main}").expect("written");
    }
    estate.git_for_pages("git", &["update-ref", "--stdin"], lines.as_bytes()).said_nothing();
    for stub in ["#!/bin/sh\necho out; echo err >&2; exit 3\n", "#!/nonexistent\n", "\x7fELF"] {
        fs::remove_file(&binary).expect("the binary");
        estate.sandbox.executable("bin/gitea-lightstep", stub);
        is_quiet(stub);
    }
    mode(&binary, 0o644);
    is_quiet("binary that is not executable");
    fs::remove_file(&binary).expect("the binary");
    is_quiet("no binary");
    let lines = lines.replace("create", "delete").replace(&format!(" {main}"), "");
    estate.git_for_pages("git", &["update-ref", "--stdin"], lines.as_bytes()).said_nothing();
}

#[test]
fn foreign_hook_stays() {
    let estate = Estate::new();
    for name in ["script", "large", "link", "directory", "pasted"] {
        estate.repository(&format!("foreign/{name}.git"));
    }
    let place = |name: &str| format!("git/foreign/{name}.git/{HOOK}");
    estate.sandbox.executable(&place("script"), "#!/bin/sh\n# another\n");
    estate.sandbox.write(&place("large"), "#\n".repeat(20_000));
    estate.link("/nonexistent", &place("link"));
    fs::create_dir(estate.path(&place("directory"))).expect("a directory");
    estate.sandbox.executable(&place("pasted"), "#!/bin/sh\nbin=/usr/local/bin/gitea-lightstep\n");
    estate.hand_over();
    let before = estate.lasting("git");
    // Without the option, such a file is none of our business.
    estate.install(&[]).succeeded();
    for args in [&["--json", "--dry-run"][..], &["--json"], &["--json"]] {
        let ran = estate.install(&[args, &["--ref-hook"]].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        let without = &json(&ran)["repositories"]["without_ref_hook"];
        let mut named: Vec<String> = without
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| format!("{}: {}", one["path"].as_str().expect("a path"), one["why"]))
            .collect();
        named.sort();
        let expected = [
            ("directory", "is not a file"),
            ("large", "is not ours"),
            ("link", "is a symbolic link"),
            ("pasted", "is not ours"),
            ("script", "is not ours"),
        ];
        assert_eq!(named.len(), expected.len(), "{named:?}");
        for (line, (name, why)) in named.iter().zip(expected) {
            assert!(line.contains(&place(name)) && line.contains(why), "{line}");
        }
    }
    assert!(hook_of(&estate).exists(), "the others have it");
    assert!(estate.wrapper("foreign/script.git").exists(), "the wrapper is there");
    estate.uninstall(&[]).succeeded();
    assert_same(&before, &estate.lasting("git"), "after uninstall");
}

#[test]
fn foreign_template_is_joined_and_left() {
    let estate = Estate::new();
    estate.sandbox.write("templates/plain/description", "Unnamed");
    estate.sandbox.executable(&format!("templates/own/{HOOK}"), "#!/bin/sh\n# another\n");
    estate.hand_over();
    for (template, is_free) in [("plain", true), ("own", false)] {
        let dir = estate.path("templates").join(template);
        let before = estate.lasting("templates");
        fs::write(estate.git_config(), format!("[init]\n\ttemplateDir = {}\n", dir.display()))
            .expect("written");
        estate.hand_over();
        let ran = estate.install(&["--ref-hook"]);
        assert_eq!(ran.code, Some(i32::from(!is_free)), "{}", ran.stderr);
        let is_reported = ran.stderr.contains("in new repositories are not noticed at once");
        assert_eq!(is_reported, !is_free, "{}", ran.stderr);
        assert!(dir.join("hooks/post-receive.d/gitea-lightstep").exists());
        assert!(dir.join(HOOK).exists());
        estate.uninstall(&[]).succeeded();
        assert_same(&before, &estate.lasting("templates"), "after uninstall");
    }
}

#[test]
fn doctor_tells_where_ref_changes_are_noticed_at_once() {
    let clinic = Clinic::installed();
    let said = |what: &str, is_expected: bool| {
        let ran = clinic.run(Who::RunUser, "doctor", &["--no-push"]);
        assert_eq!(ran.stdout.contains(what), is_expected, "{}{}", ran.stdout, ran.stderr);
    };
    said("notices other ref changes", false);
    clinic.install(&["--ref-hook"]);
    said("1 with our hook file, 1 with the one that notices other ref changes", true);
    let hook = format!("gitea/repositories/acme/shop.git/{HOOK}");
    clinic.mode(&hook, 0o644);
    clinic.finds("hooks", "our hook is not executable", &["--no-push"]);
    clinic.mode(&hook, 0o775);
    clinic.finds("hooks", "users other than Gitea's may write there", &["--no-push"]);
    clinic.mode(&hook, 0o755);
    let text = fs::read_to_string(clinic.host.place(&hook)).expect("the hook");
    clinic.host.write(&hook, &text.replace("committed", "prepared"));
    clinic.finds("hooks", "our hook was edited by hand", &["--no-push"]);
    clinic.host.write(&hook, "#!/bin/sh\n");
    clinic.finds("hooks", "programs that neither Gitea nor gitea-lightstep installed", &["--no-push"]);
    clinic.host.write(&hook, &text);
    assert_eq!(clinic.findings(&["--no-push"]), []);
    // What a finding proposes keeps the hook.
    clinic.mode("gitea/repositories/acme/shop.git/hooks/post-receive.d/gitea-lightstep", 0o644);
    clinic.heals("our hook is not executable");
    assert_eq!(fs::read_to_string(clinic.host.place(&hook)).expect("the hook"), text);
}
