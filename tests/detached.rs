//! What the process that a hook leaves behind keeps of the push: nothing.

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
fn the_detached_process_keeps_nothing_of_the_push() {
    let mut sandbox = Sandbox::new();
    // It lives as long as it is told to come back.
    let recorder = Recorder::start(std::iter::repeat_n(Answer::status(503), 1000));
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"30s\"\n");
    sandbox.set("SOME_SECRET", "hush");
    let commit = sandbox.commit("Left behind", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);

    // As git 2.54 does it: a descriptor above 2 is inherited without close-on-exec.
    let mut shell = sandbox.command("bash", &sandbox.bare());
    shell
        .args(["-c", "exec 7>&1 8>&2; exec \"$0\" hook --config \"$1\"", BINARY])
        .arg(sandbox.path("config.toml"));
    let stdin = format!("{} {commit} refs/heads/main\n", "0".repeat(40));
    // `run` reads stdout and stderr to their ends: it would hang if the process kept either.
    let ran = sandbox.run(&mut shell, stdin.as_bytes());
    ran.succeeded();

    wait_until("the delivery is at work", || !recorder.requests().is_empty());
    let process = sandbox.deliverer().expect("it runs");
    let mut open: Vec<_> = fs::read_dir(process.join("fd"))
        .expect("its descriptors")
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
    assert_eq!(foreign, [""; 0], "all of {open:?}");
    assert_eq!(open.iter().filter(|target| *target == "/dev/null").count(), 3);

    let cwd = fs::read_link(process.join("cwd")).expect("a directory");
    assert_eq!(cwd, Path::new("/"), "the repository can be moved or removed");
    let stat = fs::read_to_string(process.join("stat")).expect("its state");
    let after_name: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let pid = process.file_name().expect("a number").to_string_lossy().into_owned();
    assert_eq!((after_name[2], after_name[3]), (&*pid, &*pid), "it leads its own group and session");

    let environment = fs::read(process.join("environ")).expect("its environment");
    let mut names: Vec<_> = String::from_utf8_lossy(&environment)
        .split('\0')
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name.to_string()))
        .collect();
    names.sort();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH", "TMPDIR", "TZ"]);

    sandbox.end(&pid);
}

/// Returns what git tells the hook of new version tags, each a push of its own.
fn new_tags(sandbox: &Sandbox) -> impl Fn(usize) -> String + use<> {
    let commit = sandbox.commit("Tagged", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    move |tag| format!("{} {commit} refs/tags/v1.{tag}.0\n", "0".repeat(commit.len()))
}

#[test]
fn a_push_that_lands_as_the_delivery_ends_is_delivered_by_it() {
    let sandbox = Arc::new(Sandbox::new());
    let line = new_tags(&sandbox);
    let (late, late_line) = (sandbox.clone(), line(1));
    let is_first = AtomicBool::new(true);
    // The first delivery waits for its answer, with its listing of the outbox behind it, until the process of the
    // second push has found it at work and has left.
    let recorder = Recorder::judging(move |_| {
        if is_first.swap(false, Ordering::SeqCst) {
            late.hook(late_line.as_bytes()).succeeded();
            wait_until("the second process has left", || late.deliverers().len() == 1);
        }
        Answer::status(200)
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.hook(line(0).as_bytes()).succeeded();
    recorder.wait_for(2);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(sandbox.files("outbox/collector/new"), [""; 0], "nobody else had to come");
    assert_eq!(recorder.requests().len(), 2);
}

#[test]
fn a_push_that_lands_as_the_delivery_gives_up_gets_its_own_time() {
    const LINGER: Duration = Duration::from_secs(2);
    let sandbox = Arc::new(Sandbox::new());
    let line = new_tags(&sandbox);
    let (late, late_line) = (sandbox.clone(), line(1));
    let (is_first, start) = (AtomicBool::new(true), Instant::now());
    // When the first delivery has its answer, its time is over; the process of the second push found it at work.
    let recorder = Recorder::judging(move |_| {
        if !is_first.swap(false, Ordering::SeqCst) {
            return Answer::status(200);
        }
        wait_until("the time is over", || start.elapsed() > LINGER + Duration::from_millis(200));
        late.hook(late_line.as_bytes()).succeeded();
        wait_until("the second process has left", || late.deliverers().len() == 1);
        Answer::status(503)
    });
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"2s\"\n");
    sandbox.hook(line(0).as_bytes()).succeeded();
    recorder.wait_for(2);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(sandbox.files("outbox/collector/new"), [""; 0], "nobody else had to come");
}

#[test]
fn a_second_delivery_leaves_the_first_at_its_work() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start(std::iter::repeat_n(Answer::status(503), 1000));
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"30s\"\n");
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("the delivery is at work", || !recorder.requests().is_empty());
    let process = sandbox.deliverer().expect("it runs");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(deliver.code, Some(1));
    assert_eq!(
        deliver.stdout,
        "0 markers delivered, 1 file waits still; `gitea-lightstep status` says why, another process is at it\n"
    );
    sandbox.end(&process.file_name().expect("a number").to_string_lossy());
    // The lock died with its holder.
    let up = Recorder::start([]);
    sandbox.deliver_to(&up.endpoint(), "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
}
