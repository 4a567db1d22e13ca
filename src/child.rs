//! The end of a program that was started, whether it comes by itself or not.

use std::{
    io,
    process::{Child, ExitStatus},
    thread,
    time::Duration,
};

use crate::time::Deadline;

/// How often it is asked whether it has ended. The standard library knows no wait with an end.
const TICK: Duration = Duration::from_millis(1);

/// Waits for the end of a program, and returns how it ended; `None` if it had to be killed at the deadline.
///
/// # Errors
/// If the system cannot tell, or cannot kill it.
pub fn wait(child: &mut Child, deadline: Deadline) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            None if deadline.is_over() => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            None => thread::sleep(TICK),
            ended => return Ok(ended),
        }
    }
}
