//! The progress bar of slow operations, on a terminal and elsewhere.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use crate::support::{
    BINARY, Sandbox,
    estate::Estate,
    terminal::{on_terminal, watched_on_terminal},
};

/// A receiver that accepts a request, and answers when the test permits it or after a timeout.
struct Slow {
    endpoint: String,
    may_answer: Arc<(Mutex<bool>, Condvar)>,
}

impl Slow {
    fn start(patience: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let may_answer = Arc::new((Mutex::new(false), Condvar::new()));
        let gate = may_answer.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let gate = gate.clone();
                thread::spawn(move || serve(stream, &gate, patience));
            }
        });
        Self { endpoint, may_answer }
    }

    fn answer(&self) {
        *self.may_answer.0.lock().expect("no panic") = true;
        self.may_answer.1.notify_all();
    }
}

fn serve(mut stream: TcpStream, gate: &(Mutex<bool>, Condvar), patience: Duration) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if !reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                return;
            }
            let line = line.trim_end().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).expect("the body");
        let held = gate.0.lock().expect("no panic");
        drop(gate.1.wait_timeout_while(held, patience, |may_answer| !*may_answer).expect("no panic"));
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// Creates a sandbox with one queued marker for the receiver.
fn waiting_for(receiver: &Slow) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("Slowly", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.deliver_to(&receiver.endpoint, "");
    sandbox
}

/// Runs a command on a terminal and returns its output. Calls `go_on` when the output contains
/// `bar`.
fn shown_on_terminal(sandbox: &Sandbox, args: &[&str], bar: &str, go_on: impl FnOnce()) -> String {
    let mut go_on = Some(go_on);
    let ran = watched_on_terminal(sandbox, args, |shown| {
        if shown.contains(bar)
            && let Some(go_on) = go_on.take()
        {
            go_on();
        }
        String::new()
    });
    assert!(go_on.is_none(), "the progress bar is not shown: {}", ran.stdout);
    ran.succeeded();
    ran.stdout
}

#[test]
fn slow_delivery_shows_and_removes_a_progress_bar() {
    for args in [&["deliver"][..], &["deliver", "--follow", "--for", "30s"]] {
        let receiver = Slow::start(Duration::from_secs(60));
        let sandbox = waiting_for(&receiver);
        let bar = "] 0 of 1 files sent, 0 markers, ";
        let text = shown_on_terminal(&sandbox, args, bar, || receiver.answer());
        assert!(text.starts_with("[                    ] 0 of 1 files sent, 0 markers, "), "{text:?}");
        assert!(!text.contains("\x1b[3"), "no colour: {text:?}");
        // The bar is erased before the result is printed.
        assert!(text.ends_with("\r\x1b[2K1 marker delivered\r\n"), "{text:?}");
    }
}

#[test]
fn slow_installation_shows_a_progress_bar() {
    let estate = Estate::new();
    // Hold the lock, so that the installation has to wait.
    let root = File::open(estate.path("git")).expect("the directory");
    root.lock().expect("a lock");
    let ini = estate.path("app.ini").display().to_string();
    let binary = estate.path("bin/gitea-lightstep").display().to_string();
    let git = estate.older_git();
    let args = ["install", "--gitea-config", &ini, "--binary", &binary, "--git", &git];
    let text = shown_on_terminal(&estate.sandbox, &args, "] 0 of 0 repositories, ", || {
        root.unlock().expect("unlocked");
    });
    assert!(text.ends_with("repositories   1 newly covered, 0 already covered\r\n"), "{text:?}");
}

#[test]
fn progress_bar_is_shown_only_on_a_terminal() {
    let slow = Duration::from_millis(1500);
    thread::scope(|scope| {
        for (args, said) in [
            (&["deliver", "--quiet"][..], ""),
            (
                &["deliver", "--json"],
                "{\"busy\":0,\"dead\":0,\"delivered\":1,\"dropped\":0,\"failed\":0,\"left\":0,\"undecided\":0}\r\n",
            ),
        ] {
            scope.spawn(move || {
                let sandbox = waiting_for(&Slow::start(slow));
                let ran = on_terminal(&sandbox, args, "");
                assert!(ran.took > slow, "the run was as slow as the receiver");
                assert_eq!((ran.code, &*ran.stdout), (Some(0), said));
            });
        }
        scope.spawn(move || {
            let sandbox = waiting_for(&Slow::start(slow));
            let mut command = sandbox.command(BINARY, &sandbox.path(""));
            command.arg("deliver").arg("--config").arg(sandbox.path("config.toml"));
            let ran = sandbox.run(&mut command, b"");
            assert_eq!((&*ran.stdout, &*ran.stderr), ("1 marker delivered\n", ""));
        });
    });
}
