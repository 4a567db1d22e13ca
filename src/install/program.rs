//! Running another program: bounded in time and in what is read of it.

use std::{
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{child, time::Deadline};

/// How much of what a program says is read, in bytes.
const MAX_SAID: u64 = 4 << 10;

/// What a program said, as far as it was read.
#[derive(Debug)]
pub struct Said {
    /// Whether its exit status was 0.
    pub is_success: bool,
    /// What it answered.
    pub stdout: Vec<u8>,
    /// What else it said.
    pub stderr: Vec<u8>,
}

/// Returns a command that has nothing of our environment but the way to other programs.
pub fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("LC_ALL", "C");
    command
}

/// Runs a program to its end, and ends it if it has none for so long.
///
/// # Errors
/// If it cannot be started, or had to be ended.
pub fn run(command: &mut Command, patience: Duration) -> io::Result<Said> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (sender, receiver) = mpsc::channel();
    let streams: [Option<Box<dyn io::Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for (nth, stream) in streams.into_iter().enumerate() {
        let (Some(stream), sender) = (stream, sender.clone()) else { continue };
        // The pipe may outlive the program, in a child of its own; then the thread stays behind.
        thread::spawn(move || {
            let mut said = Vec::new();
            let mut stream = stream;
            let read = stream.by_ref().take(MAX_SAID).read_to_end(&mut said);
            // It would die of what nobody reads.
            let _ = io::copy(&mut stream, &mut io::sink());
            sender.send((nth, read.map(|_| said)))
        });
    }
    let deadline = Deadline::after(patience);
    let mut said = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        let Ok((nth, part)) = receiver.recv_timeout(deadline.left()) else { break };
        said[nth] = part?;
    }
    let Some(status) = child::wait(&mut child, deadline)? else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it ran on for {patience:?}")));
    };
    let [stdout, stderr] = said;
    Ok(Said { is_success: status.success(), stdout, stderr })
}
