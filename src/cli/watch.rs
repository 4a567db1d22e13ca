//! The end of a hook that hangs: on a file system that does not answer, on an input that does not end. A push waits for its
//! hook, so the hook has a last moment, after which it is over, successfully.

use std::{
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
    fault::{self, Step},
    time::Deadline,
};

/// How long a hook may take, beside what the configuration gives to its policy and to an inline delivery.
const LIMIT: Duration = Duration::from_secs(10);

/// How long each way of telling about it may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the thread that watches needs; it does next to nothing.
const STACK: usize = 128 << 10;

/// How far a hook has got, in the order of what is lost if it goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Standard input is being read.
    Reading,
    /// It is read, and not written down.
    Capturing,
    /// The push is in the inbox.
    Captured,
    /// The push is in the outbox.
    Settled,
}

/// Watches over a hook until the process ends.
pub(super) struct Watch(Arc<Watched>);

struct Watched {
    notes: Arc<Notes>,
    start: Instant,
    stage: AtomicU8,
    /// What may be taken beside the limit, in milliseconds.
    more: AtomicU64,
}

impl Watch {
    /// Begins to watch. A machine that has no room for one more thread goes without.
    pub fn begin(notes: Arc<Notes>, start: Instant) -> Self {
        let stage = AtomicU8::new(Stage::Reading as u8);
        let watched = Arc::new(Watched { notes, start, stage, more: AtomicU64::new(0) });
        if fault::point(Step::Thread, "watch".as_ref()).is_ok() {
            let of_thread = watched.clone();
            let _ = thread::Builder::new().stack_size(STACK).spawn(move || of_thread.end_in_time());
        }
        Self(watched)
    }

    /// Notes how far the hook is.
    pub fn reaches(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Relaxed);
    }

    /// Gives the hook more time than every hook has.
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
        let what = self.last_words();
        // Where the journal is, may be what hangs, and nobody may read what is said.
        let (to_journal, to_pusher) = (self.clone(), self);
        let told = what.clone();
        if !is_done_in_time(move || to_journal.notes.trouble(&told)) {
            is_done_in_time(move || to_pusher.notes.say(&what));
        }
        process::exit(0);
    }

    fn last_words(&self) -> String {
        let stage = self.stage.load(Relaxed);
        let limit = self.limit();
        let in_question = match self.notes.state.get() {
            Some(state) => format!("does the disk of `{}` answer?", state.dir().display()),
            None => "do the disks of the configuration and of the repository answer?".into(),
        };
        if stage == Stage::Reading as u8 {
            format!("this push has no markers: standard input did not end within {limit:?}")
        } else if stage == Stage::Capturing as u8 {
            format!("this push has no markers: it was not written down within {limit:?}; {in_question}")
        } else if stage == Stage::Captured as u8 {
            format!("this push waits in the inbox: its hook was not done within {limit:?}; {in_question}")
        } else {
            format!("this push waits in the spool: its hook was not done within {limit:?}; {in_question}")
        }
    }
}

/// Does something, and returns whether it took no longer than it may.
fn is_done_in_time(act: impl FnOnce() + Send + 'static) -> bool {
    let (sender, is_done) = mpsc::channel();
    let started = thread::Builder::new().spawn(move || {
        act();
        let _ = sender.send(());
    });
    started.is_ok() && is_done.recv_timeout(LAST_WORDS).is_ok()
}
