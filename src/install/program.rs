//! Runs another program, with limits on its run time and its output.

use std::{
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{sys::child, sys::time::Deadline};

/// Maximum number of bytes kept of each output stream.
const MAX_SAID: u64 = 4 << 10;

/// The output of a program, up to the limit.
#[derive(Debug)]
pub struct ProgramOutput {
    /// True if the exit status was 0.
    pub is_success: bool,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Returns a command that inherits only `PATH` from our environment.
pub fn bare(program: &Path) -> Command {
    child::withhold_descriptors();
    let mut command = Command::new(program);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("LC_ALL", "C");
    command
}

/// Runs a program, and kills it if it takes longer than `patience`.
///
/// # Errors
/// If it cannot be started, or was killed.
pub fn run(command: &mut Command, patience: Duration) -> io::Result<ProgramOutput> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (sender, receiver) = mpsc::channel();
    let streams: [Option<Box<dyn io::Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for (nth, stream) in streams.into_iter().enumerate() {
        let (Some(stream), sender) = (stream, sender.clone()) else { continue };
        // A descendant of the program may keep the pipe open. The thread then stays blocked.
        thread::spawn(move || {
            let mut said = Vec::new();
            let mut stream = stream;
            let read = stream.by_ref().take(MAX_SAID).read_to_end(&mut said);
            // Drain the rest: closing the pipe early would kill the program with SIGPIPE.
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
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it did not finish within {patience:?}"),
        ));
    };
    let [stdout, stderr] = said;
    Ok(ProgramOutput { is_success: status.success(), stdout, stderr })
}
