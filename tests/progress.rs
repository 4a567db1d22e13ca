//! The bar while a delivery takes its time: who sees it, and who does not.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use crate::support::{BINARY, Sandbox, estate::Estate, python, wait_until};

/// A receiver that takes a request and answers only when it is told to, or after some time.
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

/// Makes a sandbox in which one marker waits for the receiver.
fn waiting_for(receiver: &Slow) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("Slowly", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.deliver_to(&receiver.endpoint, "");
    sandbox
}

/// Runs a command on a terminal and returns what is shown. `go_on` is called once `bar` is.
fn shown_on_terminal(sandbox: &Sandbox, args: &[&str], bar: &str, go_on: impl FnOnce()) -> String {
    let mut command = python::on_terminal(sandbox, args, "");
    // The bar has no colour that it could do without.
    let mut child = command.env("NO_COLOR", "1").stdout(Stdio::piped()).spawn().expect("python");
    let shown = Arc::new(Mutex::new(Vec::new()));
    let mut output = child.stdout.take().expect("a pipe");
    let reader = thread::spawn({
        let shown = shown.clone();
        move || {
            let mut part = [0; 1024];
            while let Ok(read @ 1..) = output.read(&mut part) {
                shown.lock().expect("no panic").extend_from_slice(&part[..read]);
            }
        }
    });
    let text = || String::from_utf8_lossy(&shown.lock().expect("no panic")).into_owned();
    wait_until("the bar is there", || text().contains(bar));
    go_on();
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    reader.join().expect("no panic");
    text()
}

#[test]
fn a_slow_delivery_shows_a_bar_on_a_terminal_and_takes_it_away() {
    for args in [&["deliver"][..], &["deliver", "--follow", "--for", "30s"]] {
        let receiver = Slow::start(Duration::from_secs(60));
        let sandbox = waiting_for(&receiver);
        let bar = "] 0 of 1 files sent, 0 markers, ";
        let text = shown_on_terminal(&sandbox, args, bar, || receiver.answer());
        assert!(text.starts_with("[                    ] 0 of 1 files sent, 0 markers, "), "{text:?}");
        assert!(!text.contains("\x1b[3"), "no colour: {text:?}");
        // The line is wiped before the outcome is printed.
        assert!(text.ends_with("\r\x1b[2K1 marker delivered\r\n"), "{text:?}");
    }
}

#[test]
fn a_slow_installation_shows_a_bar_too() {
    let estate = Estate::new();
    // It waits for another one.
    let root = File::open(estate.path("git")).expect("the directory");
    root.lock().expect("a lock");
    let ini = estate.path("app.ini").display().to_string();
    let binary = estate.path("bin/gitea-lightstep").display().to_string();
    let git = estate.older_git();
    let args = ["install", "--gitea-config", &ini, "--binary", &binary, "--git", &git];
    let text = shown_on_terminal(&estate.sandbox, &args, "] 0 of 0 repositories, ", || {
        root.unlock().expect("unlocked");
    });
    assert!(text.ends_with("repositories   1 covered now, 0 before\r\n"), "{text:?}");
}

#[test]
fn nobody_else_sees_a_bar() {
    let slow = Duration::from_millis(1500);
    thread::scope(|scope| {
        for (args, said) in [
            (&["deliver", "--quiet"][..], ""),
            (&["deliver", "--json"], "{\"busy\":0,\"dead\":0,\"delivered\":1,\"dropped\":0,\"left\":0}\r\n"),
        ] {
            scope.spawn(move || {
                let sandbox = waiting_for(&Slow::start(slow));
                let ran = sandbox.run(&mut python::on_terminal(&sandbox, args, ""), b"");
                assert!(ran.took > slow, "it took its time");
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
