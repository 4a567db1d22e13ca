//! The hook in Gitea's `.gitconfig`, which git 2.54 and newer run before Gitea's own hook. Whatever
//! the state of our binary, the push and Gitea's hook must work.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    BINARY, Ran, Sandbox,
    estate::Estate,
    recorder::{Answer, Recorder},
    sid,
    spool::faulty,
    wait_until,
};

/// The result of a successful push.
struct Pushed {
    ran: Ran,
    /// True if our hook ran before Gitea's.
    is_after_us: bool,
}

/// A Gitea repository whose hook is in the user's `.gitconfig` instead of `post-receive.d`.
struct Served {
    sandbox: Sandbox,
    git: PathBuf,
    pushes: usize,
}

impl Served {
    /// Installs `binary` as the hook, and uses this git.
    fn new(git: PathBuf, binary: &Path) -> Self {
        let sandbox = Sandbox::new();
        fs::remove_file(sandbox.bare().join("hooks/post-receive.d/gitea-lightstep"))
            .expect("remove the wrapper");
        // This stand-in for Gitea's hook records that it ran, and whether our journal existed by
        // then.
        let journal = sandbox.state().join("journal");
        let own = format!(
            "#!/bin/sh\ncat >'{described}'\nif [ -d '{journal}' ]; then echo after us >>'{described}'; fi\n",
            described = sandbox.path("gitea-was-described").display(),
            journal = journal.display()
        );
        sandbox.executable("git/acme/shop.git/hooks/post-receive.d/gitea", &own);
        let served = Self { sandbox, git, pushes: 0 };
        served.install(binary, "");
        served
    }

    /// Writes the block of `gitea-lightstep install`, followed by `more`.
    fn install(&self, binary: &Path, more: &str) {
        self.sandbox.write("home/.gitconfig", block(binary, &self.sandbox.path("config.toml")) + more);
    }

    /// Pushes a commit to the default branch. Asserts that the push succeeds and that Gitea's hook
    /// ran.
    #[track_caller]
    fn push(&mut self, more: &[(&str, &str)]) -> Pushed {
        let described = self.sandbox.path("gitea-was-described");
        let _ = fs::remove_file(&described);
        self.pushes += 1;
        let commit = self.sandbox.commit(&format!("Push {}", self.pushes), &[]);
        let git = self.git.to_str().expect("text");
        let mut push = self.sandbox.command(git, &self.sandbox.path("clone"));
        push.env_remove("GIT_CONFIG_GLOBAL").args(["push", "origin", "main"]).envs(more.iter().copied());
        let ran = self.sandbox.run(&mut push, b"");
        ran.succeeded();
        let described = fs::read_to_string(described).expect("the record of Gitea's own hook");
        assert!(described.contains(&format!("{commit} refs/heads/main\n")), "{described}");
        Pushed { ran, is_after_us: described.ends_with("after us\n") }
    }
}

/// Returns the block that `gitea-lightstep install` writes.
fn block(binary: &Path, config: &Path) -> String {
    let state = config.with_file_name("state");
    let (binary, config, state) = (binary.display(), config.display(), state.display());
    format!(
        "# gitea-lightstep: begin. Made by `gitea-lightstep install`; `gitea-lightstep uninstall` takes it out.\n\
         [hook \"gitea-lightstep\"]\n\
         \tcommand = \"test ! -x '{binary}' || '{binary}' hook --config '{config}' --state-dir '{state}'; :\"\n\
         \tevent = post-receive\n\
         [hook \"gitea-lightstep-refs\"]\n\
         \tcommand = \"test \\\"$1$GITEA_REPO_ID\\\" != committed || test ! -x '{binary}' || '{binary}' hook \
         --reference-transaction --config '{config}' >/dev/null 2>&1; :\"\n\
         \tevent = reference-transaction\n\
         # gitea-lightstep: end.\n"
    )
}

#[test]
fn installed_config_hook_runs_in_old_and_new_repositories_and_is_removed() {
    let estate = Estate::new();
    let git = sid::git();
    let named = git.display().to_string();
    estate.install(&["--git", &named]).succeeded();
    let written = fs::read_to_string(estate.git_config()).expect("Gitea's .gitconfig");
    let (binary, config) = (estate.path("bin/gitea-lightstep"), estate.path("config.toml"));
    assert_eq!(written, block(&binary, &config));

    let run = |args: &[&str]| {
        let mut git = estate.command(&git);
        estate.sandbox.run(git.current_dir(estate.path("clone")).args(args), b"")
    };
    run(&["push", "origin", "main"]).succeeded();
    run(&["init", "-q", "--bare", "../git/acme/later.git"]).succeeded();
    assert_eq!(run(&["push", "../git/acme/later.git", "main"]).succeeded().remote().len(), 1);
    assert_eq!(estate.sandbox.decisions().len(), 2);

    estate.uninstall(&["--git", &named]).succeeded();
    estate.commit("Without us");
    assert_eq!(run(&["push", "origin", "main"]).succeeded().remote(), [""; 0]);
    assert_eq!(run(&["push", "../git/acme/later.git", "main"]).succeeded().remote(), [""; 0]);
    assert_eq!(estate.sandbox.decisions().len(), 2);
}

#[test]
fn our_hook_runs_before_giteas() {
    let mut served = Served::new(sid::git(), Path::new(BINARY));
    let recorder = Recorder::start([]);
    served.sandbox.deliver_to(&recorder.endpoint(), "");
    let Pushed { ran, is_after_us } = served.push(&[]);
    assert!(is_after_us);
    let remote = ran.remote();
    assert!(remote.len() == 1 && remote[0].starts_with("gitea-lightstep: change shop "), "{}", ran.stderr);
    recorder.wait_for(1);
    assert_eq!(served.sandbox.troubles(), [""; 0]);
}

#[test]
fn older_git_ignores_the_config_hook() {
    let mut served = Served::new("git".into(), Path::new(BINARY));
    let mut git = served.sandbox.command("git", &served.sandbox.path(""));
    let version = served.sandbox.run(git.arg("version"), b"").stdout;
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).expect("a version");
    let Pushed { ran, is_after_us } = served.push(&[]);
    // If the machine's git is 2.54 or newer, it runs the hook.
    let is_old = version.starts_with("git version 2.") && minor < 54;
    assert_eq!(is_after_us, !is_old, "{version}");
    assert_eq!(ran.remote().is_empty(), is_old, "{}", ran.stderr);
    assert_eq!(served.sandbox.state().exists(), !is_old);
}

#[test]
fn push_succeeds_with_a_broken_or_missing_binary() {
    let mut served = Served::new(sid::git(), Path::new("/nonexistent/gitea-lightstep"));
    let Pushed { ran, .. } = served.push(&[]);
    assert_eq!(ran.remote(), [""; 0], "missing binary");

    served.sandbox.write("stub", "#!/bin/sh\nexit 0\n");
    served.install(&served.sandbox.path("stub"), "");
    assert_eq!(served.push(&[]).ran.remote(), [""; 0], "binary that is not executable");

    for stub in
        ["exit 3", "kill -KILL $$", "kill -TERM $$", "cat >/dev/null; exit 70", "exec no-such-interpreter"]
    {
        served.sandbox.executable("stub", &format!("#!/bin/sh\n{stub}\n"));
        served.push(&[]);
    }
    served.sandbox.executable("stub", "#!/nonexistent/sh\n");
    served.push(&[]);
    served.sandbox.write("stub", b"\x7fELF and no more");
    served.push(&[]);
}

#[test]
fn push_succeeds_when_the_config_hook_is_killed_at_any_step() {
    let mut served = Served::new(sid::git(), Path::new(&faulty()));
    let recorder = Recorder::start([]);
    served.sandbox.deliver_to(&recorder.endpoint(), "");
    let mut kills = 0;
    for step in [1, 3, 5, 8, 11, 14, 17] {
        let report = served.sandbox.path("report").display().to_string();
        let fault = format!("kill@{step}");
        served.push(&[("GITEA_LIGHTSTEP_FAULT", &fault), ("GITEA_LIGHTSTEP_FAULT_REPORT", &report)]);
        kills += usize::from(fs::remove_file(report).is_ok());
    }
    assert!(kills > 4, "only {kills} kills");
    // Captures of the killed hooks are still delivered.
    served.install(Path::new(BINARY), "");
    served.push(&[]);
    served.sandbox.wait_for_deliverers_to_end();
    assert_eq!(served.sandbox.files("inbox"), [""; 0]);
    assert!(served.sandbox.decisions().len() > kills / 2);
}

#[test]
fn push_succeeds_when_the_config_hook_hangs() {
    let mut served = Served::new(sid::git(), Path::new(BINARY));
    served.sandbox.configure("[policy.limits]\ntime = \"1s\"\n");
    served.push(&[]);
    served.install(Path::new(&faulty()), "");
    // The capture is written, and then the disk stops responding.
    let Pushed { ran, .. } = served.push(&[("GITEA_LIGHTSTEP_FAULT", "stall@10+")]);
    assert!((Duration::from_secs(10)..Duration::from_secs(40)).contains(&ran.took), "{:?}", ran.took);
    let remote = ran.remote();
    let described = "gitea-lightstep: this push waits in the inbox: its hook did not finish within 11s; ";
    assert!(remote.len() == 1 && remote[0].starts_with(described), "{}", ran.stderr);
    assert_eq!(served.sandbox.files("inbox").len(), 1);

    served.install(Path::new(BINARY), "");
    served.push(&[]);
    served.sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(served.sandbox.waiting("unassigned").len(), 3, "all three markers are waiting");
}

/// Serves a push like Gitea: it reads receive-pack's stderr until end of file.
const SERVER: &str = r#"#!/bin/sh
# What ssh is given: a host, and a command for it.
eval "set -- $2"
exec 3>&1
{ "$GIT" receive-pack "$2" 2>&1 >&3 3>&-; } | cat >"$STDERR"
"#;

#[test]
fn background_delivery_does_not_keep_stderr_open() {
    let mut served = Served::new(sid::git(), Path::new(BINARY));
    let sandbox = &served.sandbox;
    // The background delivery runs until the push is over.
    let is_over = sandbox.path("the-push-is-over");
    let seen = is_over.clone();
    let recorder = Recorder::judging(move |_| {
        wait_until("the push ends", || seen.exists());
        Answer::status(200)
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    // This hook records the descriptors that hooks inherit.
    let descriptors = sandbox.path("descriptors");
    let probe = format!(
        "[hook \"probe\"]\n\tcommand = \"ls -l /proc/self/fd >'{}'; :\"\n\tevent = post-receive\n",
        descriptors.display()
    );
    served.install(Path::new(BINARY), &probe);
    sandbox.executable("server", SERVER);
    let bare = sandbox.bare().display().to_string();
    sandbox.git(&["remote", "set-url", "origin", &format!("gitea.invalid:{bare}")]);
    let (server, stderr) =
        (sandbox.path("server").display().to_string(), sandbox.path("stderr").display().to_string());
    let git = served.git.display().to_string();
    let more =
        [("GIT_SSH", server.as_str()), ("GIT_SSH_VARIANT", "simple"), ("GIT", &git), ("STDERR", &stderr)];
    let Pushed { is_after_us, .. } = served.push(&more);
    assert!(is_after_us);
    assert!(served.sandbox.deliverer().is_some(), "the delivery is still running");
    fs::write(is_over, "").expect("written");
    recorder.wait_for(1);

    let descriptors = fs::read_to_string(descriptors).expect("the probe's list");
    let inherited = descriptors.lines().filter(|line| line.contains("pipe:")).filter(|line| {
        let number = line.split_whitespace().rev().nth(2).and_then(|word| word.parse::<u32>().ok());
        number.is_some_and(|number| number > 2)
    });
    assert!(
        inherited.count() > 0,
        "this git passes no pipe to hooks except 0, 1 and 2, so this tests nothing: {descriptors}"
    );
}
