//! The bar on a terminal while something takes its time.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long work may take before somebody wants to know how far it is.
const QUIET: Duration = Duration::from_secs(1);

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Without colour, in characters that every terminal has, and within 80 of them.
const TEMPLATE: &str = "[{bar:20}] {pos} of {len} {msg}";

/// How far some work is.
pub(super) struct HowFar {
    /// How many pieces are done.
    pub done: usize,
    /// Of how many.
    pub of: usize,
    /// What the pieces are, and what came of them: `files sent, 12 markers`.
    pub what: String,
}

/// Does `work`, and shows a bar on stderr if it takes longer than a second. The bar is gone when the work is
/// done.
pub(super) fn while_working<T>(how_far: impl Fn() -> HowFar + Send, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (working, is_done) = mpsc::channel();
        let start = Instant::now();
        scope.spawn(move || show(how_far, start, &is_done));
        let outcome = work();
        // Whoever waits for the other end sees that nobody is left at this one.
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
            // Only now that there is something to show.
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.tick();
        if !goes_on(TICK) {
            return bar.finish_and_clear();
        }
    }
}
