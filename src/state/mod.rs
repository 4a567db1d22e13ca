//! The state directory: the spool that carries each push from the hook to the destinations.
//!
//! Hooks, deciders, deliveries and `queue` commands are separate processes. They share this
//! directory and nothing else: there is neither a server nor a database. One file is one unit of
//! work. Its directory and its name say what has been done with it, so a process can take over
//! where another one died. This page describes the protocol; the modules below it hold the details.
//!
//! # Layout
//!
//! ```text
//! inbox/PUSH.NEXT.TRIES[.alone]    a captured push; its updates before number NEXT are decided
//! failed/PUSH.NEXT.TRIES[.alone]   a captured push with updates on which the policy failed
//! failed/PUSH.why.json             these updates, the reason and the scripts that failed
//! postponed/PUSH.json              failed attempts to decide a push, and when the next is due
//! outbox/DEST/new/PUSH.FROM[...]   markers to be sent to DEST; `name.rs` has the whole name
//! outbox/DEST/lock                 the holder of its lock may deliver to DEST
//! outbox/DEST/merging              note of a merge that has begun
//! outbox/DEST/standing.json        the destination's last success, last error and back-off
//! dead/inbox.PUSH                  a captured push that was given up
//! dead/DEST.NAME                   markers that were given up; NAME is that of the outbox file
//! dead/LETTER.why.json             the reason, beside either of these
//! journal/YYYY-MM.jsonl            a record of every decision and delivery, in a hash chain
//! journal-head.json                the end of that chain, and the lock for appending to it
//! journal-gap.json                 since when the journal could not be written, and why
//! deployed/HASH.json, lock.N       the last deployments of a service to an environment
//! spans/XX, lock                   the markers that have a span computed from a commit
//! refs/log, log.TIME               ref changes that hooks captured since the last scan
//! refs/HASH[.gone]                 the refs of a repository as the last scan saw them
//! refs/lock, refs/next             locks of the present scan and of the one that waits
//! refs/wanted/HASH                 a repository to be scanned at once
//! refs/last.json                   time and outcome of the last scan of all repositories
//! address.key                      the key for hashes of mail addresses
//! access/*-HASH.json               what Gitea's API said of an organisation or of protected refs
//! gitea-api.json                   the last success and the last error of Gitea's API
//! backfill.lock                    the holder of its lock may run `backfill`
//! connect.json, connect.lock       what `connect` created in Lightstep
//! ```
//!
//! PUSH is a UUIDv7 that starts with the time of the capture, so names sort by the age of the push.
//! While no destination is configured, DEST is `unassigned`. The next delivery that finds
//! destinations copies these files to each of them.
//!
//! Directories have mode 0700 and files 0600. A process writes a file under the hidden name
//! `.NAME.PID.N` in its final directory and then renames it. Listings skip hidden names, so a
//! reader sees only files that were written to the end. The journal and the lock files are
//! exceptions: processes open them in place. A writer that dies leaves its hidden file behind.
//! [`State::sweep`] runs at the start of each delivery and removes hidden files that are an hour
//! old and that no process has locked.
//!
//! # From the hook to the outbox
//!
//! 1. *Capture.* The hook writes the push to the inbox as `PUSH.0.0` and locks the file before it
//!    gets this name. Nothing is synchronised yet. If the hook dies from here on, the file stays,
//!    and the next delivery decides the push. A power cut may still lose the file or cut it short;
//!    git is waiting for the hook at this time. `mark` captures the update that it marks in the same
//!    way, and synchronises it at once.
//! 2. *Decide.* The policy decides the updates in slices of at most 2,000. If updates are left
//!    after the first slice, the capture and its directory are synchronised before that slice is
//!    written. Recovery relies on this, see the end of this page.
//! 3. *Outbox.* Each slice that has markers becomes one file per destination. The file is written,
//!    renamed and then synchronised, and so is its directory. In this order, one commit of the file
//!    system's journal can hold both the content and the name. A power cut before that commit may
//!    leave a short file. Readers notice: the first line says how many markers follow, and every
//!    line ends in a checksum. If deliveries run in the background, the hook starts one while the
//!    last slice is being synchronised, so that the pusher does not wait for both.
//! 4. *Journal.* The decisions are appended to the journal, and deployments are written to
//!    `deployed/`. If a destination gets the spans of changes or releases, `spans/` records them. An
//!    error here stops nothing.
//! 5. *Advance.* If updates are left, the capture is renamed so that NEXT is the end of the slice.
//!    If the set of failed updates has changed, `failed/PUSH.why.json` is written and synchronised
//!    first. A crash between steps 3 and 5 has the slice decided again. Its markers get the same
//!    IDs. They go to the file `PUSH.FROM+1` if the first one is still there, because hooks and
//!    deciders never replace a file that is waiting.
//! 6. *End.* When every update is decided, the capture is unlinked, without synchronising the
//!    directory. If the policy failed on some updates, the reason and the capture are synchronised,
//!    the capture is renamed into `failed/`, and both directories are synchronised. If the time ran
//!    out or the system kept an update from being decided, the capture stays where it is and is
//!    synchronised.
//!
//! So when a hook ends without an error, either all markers of the push are on disk or its capture
//! is.
//!
//! # Deciding what a hook left
//!
//! The delivery starts one process for each captured push, the decider. It claims the capture: it
//! opens the file, locks it without waiting, checks that the name still belongs to the locked file,
//! and renames it with TRIES plus one. Hooks and deliveries rename or remove a capture only while
//! they hold this lock. The lock ends with its process, so a dead process blocks nothing.
//!
//! If a scan made the capture and a token for Gitea's API is configured, the decider first asks Gitea. It
//! writes the answers, or that there are none, into the capture: a new file, locked and synchronised, is
//! renamed over the old one, and then the directory is synchronised. Only then does it decide. A process
//! that opened the old file finds that its name belongs to another one. A crash before the rename has
//! Gitea asked again, and no decision was made yet. While Gitea does not answer, `postponed/` says when it is
//! asked again, which counts as no attempt.
//!
//! TRIES counts the claims that did not end in order: advancing resets it, and giving a capture
//! back subtracts one. If TRIES is above one after a claim, an earlier decider died. The updates
//! are then decided one at a time, with `.alone` at the end of the name while the policy runs. If a
//! decider crashes or dies at its memory or processor limit, and the name ends in `.alone`, that
//! update is noted as failed, and the rest of the push goes on.
//!
//! If the system keeps a push from being decided, the attempt is noted in `postponed/`. The next
//! attempt waits for a second, then twice as long each time, up to an hour. After `give_up_after`,
//! a capture in the inbox becomes a dead letter. The note is not synchronised: without it, the push
//! is tried earlier and the attempts are counted from one again. A capture in `failed/` is decided
//! again when the scripts or the configuration change, or after `queue retry`. A capture with a
//! wrong checksum becomes a dead letter.
//!
//! # History
//!
//! `backfill` captures up to 64 updates of a repository's history at once. Such a capture has a time
//! for each update, and its PUSH is only a name. Each update is a separate push, with an ID that is
//! computed from it and from its own time. So the files of these markers have old names in the outbox:
//! they are delivered first, and dropped first at the cap. Their age counts from when they were
//! written. The capture is synchronised before anything is decided, because no marker has its PUSH, so
//! [`State::is_finished`] could not tell that it was decided. `backfill` writes the next capture when
//! the last one is gone, because a deployment is compared with the one before it.
//!
//! # Delivering
//!
//! Hooks, deciders and `queue retry` add files to `outbox/DEST/new`. Only the holder of
//! `outbox/DEST/lock` removes them. Before it sends the files of a listing, the delivery
//! synchronises the inbox directory; it goes on if that fails. After a success, a power cut cannot
//! bring back the captures of these markers.
//!
//! After each batch, the delivery appends the outcome to the journal. Then it writes and
//! synchronises what is left of each file: refused markers as dead letters, and markers to be sent
//! again as new outbox files. Only then does it remove the old file. A crash in between leaves some
//! markers in two files, and a power cut may bring back the old file. Such markers may be sent
//! twice, with the same IDs. They are never lost.
//!
//! A file that fails its checks is split ([`Salvaged`]): the intact markers go to a new file, then
//! the broken lines become a dead letter, then the file is removed. If nothing in it is intact, or
//! if a newer version wrote it, the whole file becomes a dead letter. While markers cannot be sent,
//! [`merge`] turns small files into large ones. It writes a note of the names, then the new file,
//! both synchronised, and then removes the parts and the note. The next process that takes the
//! outbox's lock finishes a merge whose note is still there.
//!
//! # Scans
//!
//! `refs/` exists since the first scan. From then on, deciding a captured push begins with an entry in
//! `refs/log`. It is not synchronised, because git is waiting; a delivery does that before it sends and
//! removes markers. If a power cut loses it earlier, the markers are still in the outbox, where the scan
//! looks before it takes a change for one that no hook captured. A push without markers is then decided
//! again. A scan holds the lock of `refs/lock`. It
//! renames the log, so that hooks start another one, and reads the renamed one when no hook writes to
//! it any more. What it finds becomes a capture, which is synchronised before the new snapshot of the
//! repository is written. Entries of repositories that the scan could not finish stay in the renamed log.
//!
//! # Dead letters and caps
//!
//! A reason is written and synchronised before its letter, because a letter without one looks like
//! a stray file. Then the letter is renamed into `dead/` or written there, and `dead/` is
//! synchronised. `queue retry` links the letter back into the inbox or the outbox, synchronises
//! that directory, unlinks the letter, and removes the reason last. A crash leaves both names, or a
//! reason without a letter. Another `queue retry` finishes the first case. Each `queue retry` and
//! `queue drop` removes reasons without a letter that are more than an hour old.
//!
//! When the files of a destination exceed the cap, the holder of the outbox's lock drops the oldest
//! changes first ([`cap`]). The inbox and `failed/` together have the same cap. A hook enforces it
//! when its configuration is broken, when the policy failed, or when the outbox could not be
//! written.
//!
//! # After a power cut
//!
//! Most renames and removals in the inbox are not synchronised, so an old name may come back. If
//! its content is whole, the push is decided again from the NEXT of that name, and its markers have
//! the same IDs as before. If the content is missing or short and NEXT is 0, the rest of the state
//! tells whether the push was decided ([`State::is_finished`]). Because of step 2, the markers of a
//! push whose capture is not on disk are all of its markers. A delivery that decides captures
//! removes those of decided pushes before it sends anything, while the markers that prove it are
//! still there. A damaged capture of any other push becomes a dead letter.
//!
//! The journal is never synchronised and may lose its last lines. A broken capture whose push got
//! no markers then becomes a dead letter, because only such a line knew of its decision. The next
//! process that appends ends a torn last line. A delivery synchronises the journal before it sends its
//! end to a back end ([`journal_end`]).

mod access_store;
mod adopt;
mod api_health;
pub mod cap;
mod capture_file;
mod chain;
pub mod connected;
pub mod contents;
pub mod dead;
mod deployment_store;
pub mod destination_health;
pub mod failed;
mod files;
mod finished;
pub mod gap;
pub mod inbox;
pub mod journal;
pub mod journal_check;
mod journal_end;
mod journal_reader;
mod last_scan;
mod listing;
mod lock;
pub mod merge;
mod name;
pub mod outbox;
mod parcel_file;
pub mod postponed;
pub mod purge;
mod push_record;
pub mod queue;
pub mod ref_log;
pub mod ref_snapshot;
mod retention;
mod salvage;
mod seal;
mod span_store;
mod sweep;
mod wanted_scans;

use std::{
    fs::File,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub use access_store::AccessStore;
pub use adopt::Strays;
pub use api_health::ApiHealth;
pub use chain::Tip;
pub use dead::DeadLetters;
pub use deployment_store::{DeploymentStore, MAX_PAST};
pub use failed::Failed;
pub use files::{StateError, WrittenFile};
pub use inbox::{Capture, Inbox};
pub use journal::Journal;
pub use journal_reader::JournalPosition;
pub use last_scan::LastScan;
pub use outbox::Outbox;
pub use postponed::PostponedPushes;
pub use ref_log::RefLog;
pub use ref_snapshot::RefSnapshots;
pub use salvage::Salvaged;
pub use wanted_scans::WantedScans;

/// Name of the file that `backfill` locks.
const BACKFILL_LOCK: &str = "backfill.lock";

/// The state directory.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
    /// True if git waits for this process.
    is_hook: bool,
}

impl State {
    /// Returns the state under `dir`. Nothing is created before the first write.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.into(), is_hook: false }
    }

    /// Returns the same state for a hook, which waits for other processes only briefly.
    pub fn for_hook(self) -> Self {
        Self { is_hook: true, ..self }
    }

    /// Returns the path of the state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the user ID of the directory's owner if it is not ours. That user could not write to
    /// files that this process creates there.
    pub fn foreign_owner(&self) -> Option<u32> {
        let owner = std::fs::metadata(&self.dir).ok()?.uid();
        (owner != rustix::process::geteuid().as_raw()).then_some(owner)
    }

    /// Removes hidden files of processes that died while writing, and notes of pushes that are
    /// gone. Both must be an hour old.
    pub fn sweep(&self) {
        sweep::sweep_state(&self.dir);
        // The next sweep tries again what cannot be removed now.
        let _ = sweep::sweep_notes(self);
    }

    /// Synchronises what was decided: that captures are gone, the log of ref changes and the journal.
    /// Returns the journal's head, for the outside witness.
    pub fn sync_decided(&self) -> Option<Tip> {
        self.inbox().sync_names();
        self.ref_log().sync();
        self.journal().witness()
    }

    /// Takes the lock of `backfill`, so that only one runs at a time. Returns `None` if another
    /// process holds it. It ends with the process.
    ///
    /// # Errors
    /// If the lock file cannot be created or locked.
    pub fn lock_backfill(&self) -> Result<Option<File>, StateError> {
        files::make_dir(&self.dir)?;
        let path = self.dir.join(BACKFILL_LOCK);
        let file = files::open_to_append(&path)?;
        Ok(lock::try_lock(&file, &path)?.then_some(file))
    }

    /// Returns the captured pushes that are not decided yet.
    pub fn inbox(&self) -> Inbox {
        Inbox::at(self.dir.join("inbox"))
    }

    /// Returns the captured pushes with updates on which the policy failed.
    pub fn failed(&self) -> Failed {
        Failed::at(self.dir.join("failed"))
    }

    /// Returns the notes of failed attempts to decide a push, for which the system was to blame.
    pub fn postponed(&self) -> PostponedPushes {
        PostponedPushes::at(self.dir.join("postponed"))
    }

    /// Returns the markers that are waiting for `destination`.
    pub fn outbox(&self, destination: &str) -> Outbox {
        Outbox::at(self.dir.join("outbox").join(destination), destination)
    }

    /// Returns the pushes and markers that were given up.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::at(self.dir.join("dead"))
    }

    /// Returns the deployments of earlier pushes.
    pub fn memory(&self) -> DeploymentStore {
        DeploymentStore::at(&self.dir)
    }

    /// Returns the log of ref changes for the next scan.
    pub fn ref_log(&self) -> RefLog {
        RefLog::at(self.dir.join(ref_log::DIR))
    }

    /// Returns the refs of each repository as the last scan saw them.
    pub fn ref_snapshots(&self) -> RefSnapshots {
        RefSnapshots::at(self.dir.join(ref_log::DIR))
    }

    /// Returns the repositories that are to be scanned at once.
    pub fn wanted_scans(&self) -> WantedScans {
        WantedScans::at(self.dir.join(ref_log::DIR).join("wanted"))
    }

    /// Returns the journal of all decisions and deliveries.
    pub fn journal(&self) -> Journal {
        Journal::at(self.dir.join("journal"), self.is_hook)
    }
}
