//! A progress bar on stderr for long operations.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time that work may take before the bar appears.
const QUIET: Duration = Duration::from_secs(1);

/// Interval between two redraws of the bar.
const TICK: Duration = Duration::from_millis(100);

/// Plain ASCII without colour, short enough for 80 columns.
const TEMPLATE: &str = "[{bar:20}] {pos} of {len} {msg}";

/// Progress of an operation.
pub(super) struct HowFar {
    /// Number of pieces that are done.
    pub done: usize,
    /// Total number of pieces.
    pub of: usize,
    /// Unit and details, such as `files sent, 12 markers`.
    pub what: String,
}

/// Runs `work`, and shows a bar on stderr if it takes longer than a second. Clears the bar when the
/// work is done.
pub(super) fn while_working<T>(how_far: impl Fn() -> HowFar + Send, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (working, is_done) = mpsc::channel();
        let start = Instant::now();
        scope.spawn(move || show(how_far, start, &is_done));
        let outcome = work();
        // Dropping the sender ends the wait in the thread that draws the bar.
        drop(working);
        outcome
    })
}

fn show(how_far: impl Fn() -> HowFar, start: Instant, is_done: &Receiver<()>) {
    let goes_on = |after| is_done.recv_timeout(after) == Err(RecvTimeoutError::Timeout);
    if !goes_on(QUIET) {
        return;
    }
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::hidden().with_style(style.progress_chars("=> "));
    loop {
        let HowFar { done, of, what } = how_far();
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        bar.set_message(format!("{what}, {} s", start.elapsed().as_secs()));
        if bar.is_hidden() {
            // Show the bar once it has values, so that it never appears empty.
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.tick();
        if !goes_on(TICK) {
            return bar.finish_and_clear();
        }
    }
}
