//! A time limit for the hook, against a file system that does not answer or an input that does not
//! end. The push waits for its hook, so a thread ends the process successfully when the limit is
//! reached.

use std::{
    panic::{self, AssertUnwindSafe},
    process,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::notes::Notes;
use crate::{
    sys::fault::{self, Step},
    sys::time::Deadline,
};

/// Time limit of a hook, in addition to what the configuration allows for the policy and for inline
/// delivery.
const LIMIT: Duration = Duration::from_secs(10);

/// Time limit for each attempt to report the timeout.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Stack size of the watching thread, in bytes.
const STACK: usize = 128 << 10;

/// Progress of a hook, from the stage that loses most on a timeout to the one that loses least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HookStage {
    /// The hook is reading standard input.
    Reading,
    /// The hook has read the push and not yet captured it.
    Capturing,
    /// The push is in the inbox.
    Captured,
    /// The push's markers are in the outbox.
    Settled,
}

/// Handle to the thread that ends the hook at its time limit.
pub(super) struct Watch(Arc<Watched>);

struct Watched {
    notes: Arc<Notes>,
    start: Instant,
    stage: AtomicU8,
    /// Time allowed in addition to the limit, in milliseconds.
    more: AtomicU64,
}

impl Watch {
    /// Starts the watch. If the thread cannot be started, the hook runs without a time limit.
    pub fn begin(notes: Arc<Notes>, start: Instant) -> Self {
        let stage = AtomicU8::new(HookStage::Reading as u8);
        let watched = Arc::new(Watched { notes, start, stage, more: AtomicU64::new(0) });
        if fault::point(Step::Thread, "watch".as_ref()).is_ok() {
            let of_thread = watched.clone();
            let _ = thread::Builder::new().stack_size(STACK).spawn(move || {
                // A panic while reporting must not keep the process from ending.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| of_thread.end_in_time()));
                process::exit(0);
            });
        }
        Self(watched)
    }

    /// Records the stage that the hook has reached.
    pub fn reaches(&self, stage: HookStage) {
        self.0.stage.store(stage as u8, Relaxed);
    }

    /// Extends the time limit.
    pub fn allow(&self, more: Duration) {
        self.0.more.fetch_add(u64::try_from(more.as_millis()).unwrap_or(u64::MAX / 4), Relaxed);
    }
}

impl Watched {
    fn limit(&self) -> Duration {
        LIMIT + Duration::from_millis(self.more.load(Relaxed))
    }

    fn end_in_time(self: Arc<Self>) {
        loop {
            let left = Deadline::from(self.start, self.limit()).left();
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        let mut what = self.last_words();
        let keeper = self.clone();
        if self.stage.load(Relaxed) == HookStage::Captured as u8 && !is_done_in_time(move || keeper.keep()) {
            what.push_str("; it may be lost if the power fails now");
        }
        // The journal may be on the file system that hangs, and the pusher may not be reading
        // stderr. Each report therefore runs in its own thread with a time limit.
        let (to_journal, to_pusher) = (self.clone(), self);
        let told = what.clone();
        let is_told = is_done_in_time(move || {
            to_journal.notes.trouble(&told);
            true
        });
        if !is_told {
            is_done_in_time(move || {
                to_pusher.notes.say(&what);
                true
            });
        }
    }

    /// Syncs the capture to disk and returns true on success.
    fn keep(&self) -> bool {
        let (Some(state), Some(push)) = (self.notes.state.get(), self.notes.push.get()) else { return false };
        state.inbox().keep(*push).is_ok()
    }

    fn last_words(&self) -> String {
        let stage = self.stage.load(Relaxed);
        let limit = self.limit();
        let in_question = match self.notes.state.get() {
            Some(state) => format!("check the disk of `{}`", state.dir().display()),
            None => "check the disks of the configuration and the repository".into(),
        };
        if stage == HookStage::Reading as u8 {
            format!("this push has no markers: standard input did not end within {limit:?}")
        } else if stage == HookStage::Capturing as u8 {
            format!("this push has no markers: it was not captured within {limit:?}; {in_question}")
        } else if stage == HookStage::Captured as u8 {
            format!("this push waits in the inbox: its hook did not finish within {limit:?}; {in_question}")
        } else {
            format!("this push waits in the spool: its hook did not finish within {limit:?}; {in_question}")
        }
    }
}

/// Runs `act` in a thread, and returns true if it succeeded within the time limit.
fn is_done_in_time(act: impl FnOnce() -> bool + Send + 'static) -> bool {
    let (sender, is_done) = mpsc::channel();
    let started = thread::Builder::new().spawn(move || {
        let _ = sender.send(act());
    });
    started.is_ok() && is_done.recv_timeout(LAST_WORDS).unwrap_or(false)
}
