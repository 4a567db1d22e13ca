//! The background process of a hook: it must not keep any resource of the push, such as
//! descriptors.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{
    BINARY, Sandbox,
    recorder::{Answer, Recorder},
    wait_until,
};

#[test]
fn detached_process_keeps_no_resources_of_the_push() {
    let mut sandbox = Sandbox::new();
    // With these answers, the deliverer retries until its linger time is over.
    let recorder = Recorder::start(std::iter::repeat_n(Answer::status(503), 1000));
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"30s\"\n");
    sandbox.set("SOME_SECRET", "hush");
    let commit = sandbox.commit("Left behind", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);

    // Like git 2.54, which passes on descriptors above 2 without close-on-exec.
    let mut shell = sandbox.command("bash", &sandbox.bare());
    shell
        .args(["-c", "exec 7>&1 8>&2; exec \"$0\" hook --config \"$1\"", BINARY])
        .arg(sandbox.path("config.toml"));
    let stdin = format!("{} {commit} refs/heads/main\n", "0".repeat(40));
    // `run` reads stdout and stderr until end of file, so it would hang if the process kept one of
    // them open.
    let ran = sandbox.run(&mut shell, stdin.as_bytes());
    ran.succeeded();

    wait_until("the delivery sends its request", || !recorder.requests().is_empty());
    let process = sandbox.deliverer().expect("a delivery process");
    let mut open: Vec<_> = fs::read_dir(process.join("fd"))
        .expect("the process's descriptors")
        .map(|entry| entry.expect("an entry").path())
        .map(|fd| fs::read_link(fd).expect("a link").display().to_string())
        .collect();
    open.sort();
    let foreign: Vec<_> = open
        .iter()
        .filter(|target| {
            !(*target == "/dev/null"
                || target.starts_with("socket:")
                || target.starts_with(&*sandbox.state().to_string_lossy()))
        })
        .collect();
    assert_eq!(foreign, [""; 0], "foreign descriptors in {open:?}");
    assert_eq!(open.iter().filter(|target| *target == "/dev/null").count(), 3);

    let cwd = fs::read_link(process.join("cwd")).expect("a directory");
    assert_eq!(cwd, Path::new("/"), "the process does not hold the repository's directory");
    let stat = fs::read_to_string(process.join("stat")).expect("the process's stat");
    let after_name: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let pid = process.file_name().expect("a number").to_string_lossy().into_owned();
    assert_eq!((after_name[2], after_name[3]), (&*pid, &*pid), "the process leads its own group and session");

    let environment = fs::read(process.join("environ")).expect("the process's environment");
    let mut names: Vec<_> = String::from_utf8_lossy(&environment)
        .split('\0')
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name.to_string()))
        .collect();
    names.sort();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH", "TMPDIR", "TZ"]);

    sandbox.end(&pid);
}

/// Returns a function that makes the hook's input for a push of one new version tag.
fn new_tags(sandbox: &Sandbox) -> impl Fn(usize) -> String + use<> {
    let commit = sandbox.commit("Tagged", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    move |tag| format!("{} {commit} refs/tags/v1.{tag}.0\n", "0".repeat(commit.len()))
}

#[test]
fn push_during_the_end_of_a_delivery_is_delivered_by_it() {
    let sandbox = Arc::new(Sandbox::new());
    let line = new_tags(&sandbox);
    let (late, late_line) = (sandbox.clone(), line(1));
    let is_first = AtomicBool::new(true);
    // The first deliverer has listed the outbox and waits for an answer. Meanwhile the process of
    // the second push finds the lock taken, and exits.
    let recorder = Recorder::judging(move |_| {
        if is_first.swap(false, Ordering::SeqCst) {
            late.hook(late_line.as_bytes()).succeeded();
            wait_until("the second process has ended", || late.deliverers().len() == 1);
        }
        Answer::status(200)
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.hook(line(0).as_bytes()).succeeded();
    recorder.wait_for(2);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(sandbox.files("outbox/collector/new"), [""; 0], "the first process delivered everything");
    assert_eq!(recorder.requests().len(), 2);
}

#[test]
fn push_during_the_end_of_a_linger_gets_its_own_linger() {
    const LINGER: Duration = Duration::from_secs(2);
    let sandbox = Arc::new(Sandbox::new());
    let line = new_tags(&sandbox);
    let (late, late_line) = (sandbox.clone(), line(1));
    let (is_first, start) = (AtomicBool::new(true), Instant::now());
    // The linger time of the first deliverer expires while it waits for its answer. Then the
    // process of the second push finds the lock taken, and exits.
    let recorder = Recorder::judging(move |_| {
        if !is_first.swap(false, Ordering::SeqCst) {
            return Answer::status(200);
        }
        wait_until("the linger time is over", || start.elapsed() > LINGER + Duration::from_millis(200));
        late.hook(late_line.as_bytes()).succeeded();
        wait_until("the second process has ended", || late.deliverers().len() == 1);
        Answer::status(503)
    });
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"2s\"\n");
    sandbox.hook(line(0).as_bytes()).succeeded();
    recorder.wait_for(2);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(sandbox.files("outbox/collector/new"), [""; 0], "the first process delivered everything");
}

#[test]
fn second_delivery_does_not_disturb_the_first() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start(std::iter::repeat_n(Answer::status(503), 1000));
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"30s\"\n");
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("the delivery sends its request", || !recorder.requests().is_empty());
    let process = sandbox.deliverer().expect("a delivery process");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(deliver.code, Some(1));
    assert_eq!(
        deliver.stdout,
        "0 markers delivered, 1 file waits in the spool; `gitea-lightstep status` says why, another process \
         is delivering\n"
    );
    sandbox.end(&process.file_name().expect("a number").to_string_lossy());
    // The kernel released the lock when its holder died.
    let up = Recorder::start([]);
    sandbox.deliver_to(&up.endpoint(), "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
}
