//! `hook`: handles a push from git.
//!
//! The hook must never disturb a push. It exits with status 0, reads standard input to the end and
//! prints only the reply. Errors go to the journal. If the journal cannot be written, the hook
//! prints one line to stderr.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use clap::Args;

use super::{
    hook_owner::Turn,
    notes::{Notes, write_line},
    ref_hook, reply, start_delivery,
    watch::{HookStage, Watch},
};
use crate::{
    config::{self, DeliveryMode, SpoolCap},
    push::{Environment, Push, PushId, Source, lines},
    settle::{Mode, OnPlaced, settle},
    state::{State, StateError, cap, inbox::Captured},
    sys::alloc_meter,
    sys::time::{self, Deadline},
    text,
};

/// Memory limit for each thread of a hook, in bytes, apart from the policy's own limit. A push of
/// 600,000 refs needs half of it.
const MEMORY: u64 = 512 << 20;

/// Added to an error about the default state directory.
const NO_CONFIG: &str = "; found no configuration, neither beside the binary nor in /etc/gitea-lightstep/config.toml, \
                         so this is the default state directory";

#[derive(Debug, Default, Args)]
pub(super) struct HookArgs {
    /// Policy script for this repository only
    ///
    /// Gitea's Git Hooks page runs its text with the interpreter in the first line. With
    /// `#!/usr/local/bin/gitea-lightstep hook` there, the page is a policy.
    #[arg(value_name = "SCRIPT")]
    script: Option<PathBuf>,
    /// Capture the push in DIR if the configuration is broken and names no directory
    ///
    /// `gitea-lightstep install` writes this option into the hook.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Run as the reference-transaction hook: have the repository scanned if no push changed it
    #[arg(long, hide = true)]
    reference_transaction: bool,
}

impl HookArgs {
    /// Returns the arguments of an installed hook.
    pub fn installed(state_dir: Option<PathBuf>) -> Self {
        Self { script: None, state_dir, reference_transaction: false }
    }
}

/// Handles the push. The exit status is always 0.
pub(super) fn run(args: &HookArgs, config_path: Option<&Path>) -> ExitCode {
    if args.reference_transaction {
        return ref_hook::run(config_path);
    }
    alloc_meter::limit_threads(MEMORY);
    let start = Instant::now();
    let notes = Arc::new(Notes::default());
    let hook = RunningHook { watch: Watch::begin(notes.clone(), start), notes, start };
    let ended = panic::catch_unwind(AssertUnwindSafe(|| hook.take(args, config_path)));
    if let Err(panic) = ended {
        hook.keep();
        hook.notes.trouble(&format!(
            "this is a bug in gitea-lightstep, please report it: panic: {}",
            text::line(text::said_by_panic(&*panic))
        ));
    }
    ExitCode::SUCCESS
}

/// Ends a hook whose arguments are wrong, as after an edit of the wrapper by hand.
pub(super) fn misused(why: &str) -> ExitCode {
    let notes = Arc::new(Notes::default());
    let _watch = Watch::begin(notes.clone(), Instant::now());
    let _ = lines::drain(io::stdin().lock());
    let why = why.lines().find(|line| !line.trim().is_empty()).unwrap_or("wrong arguments");
    notes.say(&format!("this push has no markers: {}", text::line(why.trim_start_matches("error: "))));
    ExitCode::SUCCESS
}

/// The state of a running hook.
struct RunningHook {
    watch: Watch,
    notes: Arc<Notes>,
    start: Instant,
}

impl RunningHook {
    fn take(&self, args: &HookArgs, config_path: Option<&Path>) {
        let (stdin, dropped, read) = lines::drain(io::stdin().lock());
        self.watch.reaches(HookStage::Capturing);
        let config_path = config::find(config_path);
        let working_dir = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let source = Source::read(&Environment::of_process(), &working_dir);
        let script = args.script.as_deref().map(|script| working_dir.join(script));
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let turn = Turn::of(source.git_dir.as_path(), script, config_path.as_deref(), home.as_deref());
        let Turn::Ours { page: hook_page, config: installed, state_dir } = turn else { return };
        let config_path = installed.or(config_path);
        let state_dir = args.state_dir.clone().or(state_dir).filter(|dir| dir.is_absolute());
        let config = config::load(config_path.as_deref());
        let state = match &config {
            Ok(config) => State::at(&config.state_dir).for_hook(),
            Err(_) => State::at(&config::state_dir_of_broken(config_path.as_deref(), state_dir)).for_hook(),
        };
        let time = time::now();
        let push_id = PushId::at(time);
        let _ = self.notes.state.set(state.clone());
        let _ = self.notes.push.set(push_id);
        let _ = self.notes.repository.set(source.repository.full_name());
        if let Err(err) = read {
            self.notes.trouble(&format!("standard input ended early: {err}"));
        }
        if dropped > 0 {
            let limit = lines::MAX_STDIN >> 20;
            self.notes.trouble(&format!(
                "{dropped} bytes of standard input beyond the limit of {limit} MiB were ignored"
            ));
        }
        if stdin.trim_ascii().is_empty() {
            return;
        }

        let (hook_page, flaw) = hook_page.map(|script| (script.path, script.flaw)).unzip();
        let mut capture = match state.inbox().capture(push_id, time, &source, hook_page.as_deref(), &stdin) {
            Ok(capture) => capture,
            Err(err) => {
                let cause = if config_path.is_some() { "" } else { NO_CONFIG };
                return self.notes.trouble(&format!("this push has no markers: {err}{cause}"));
            }
        };
        self.watch.reaches(HookStage::Captured);
        alloc_meter::sync_at_the_end(&capture);
        if let (Some(path), Some(flaw)) = (&hook_page, flaw.flatten()) {
            self.notes.trouble(&format!("`{}`: {flaw}", path.display()));
        }
        let config = match config {
            Ok(config) => config,
            Err(err) => {
                self.notes.trouble(&format!(
                    "this push waits in the inbox until the configuration is fixed: {err}"
                ));
                self.is_kept(capture.keep());
                drop(capture);
                return self.make_room(&state, SpoolCap::default());
            }
        };

        self.watch.allow(config.limits.time);
        let lines = lines::parse(&stdin);
        drop(stdin);
        let push = Push::new(push_id, time, source, lines.updates);
        let captured = Captured {
            push,
            hook_page,
            malformed: lines.malformed,
            more_malformed: lines.more_malformed,
            times: Vec::new(),
        };
        // The last quarter of the budget is for writing the verdicts and exiting.
        let deadline = Deadline::from(self.start, config.limits.time * 3 / 4);
        let trouble = &|what: &str| self.notes.trouble(what);
        let detach = || start_delivery::detach(&config, trouble);
        let is_detached = config.delivery.mode == DeliveryMode::Background && !config.destinations.is_empty();
        let on_placed = is_detached.then_some(&detach as OnPlaced<'_>);
        match settle(&config, &state, &mut capture, captured, Mode::Hook { deadline, on_placed }) {
            Ok(settled) => {
                if let Some(why) = &settled.postponed {
                    self.notes.trouble(&format!("this push waits in the inbox: {why}"));
                }
                if !settled.is_left {
                    self.watch.reaches(HookStage::Settled);
                    alloc_meter::end_silently();
                }
                for line in reply::lines(&config, &settled) {
                    write_line(&line);
                }
                if !settled.failed.is_empty() {
                    self.make_room(&state, config.spool);
                }
                start_delivery::start(
                    &config,
                    &state,
                    &settled,
                    &|| self.watch.allow(config.delivery.timeout),
                    trouble,
                );
            }
            Err(err) => {
                self.notes.trouble(&format!("this push waits in the inbox: {err}"));
                self.keep();
                self.make_room(&state, config.spool);
            }
        }
    }

    /// Syncs this push's capture to disk, under the name that it has by now.
    fn keep(&self) {
        if let (Some(state), Some(push)) = (self.notes.state.get(), self.notes.push.get()) {
            self.is_kept(state.inbox().keep(*push));
        }
    }

    fn is_kept(&self, kept: Result<(), StateError>) {
        if let Err(err) = kept {
            self.notes.trouble(&format!("this push may be lost if the power fails now: {err}"));
        }
    }

    /// Keeps an inbox that no process empties from filling the disk.
    fn make_room(&self, state: &State, cap: SpoolCap) {
        if let Err(err) = cap::make_room_in_inbox(state, cap) {
            self.notes.trouble(&err.to_string());
        }
    }
}
