//! `hook`: takes a push from git.
//!
//! The push is sacred: the exit status is 0, standard input is read to its end, and nothing is said but
//! the reply. Whatever goes wrong is in the journal; if even that cannot be written, it is one line on
//! stderr.

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
    notes::{Notes, write_line},
    reply,
    turn::Turn,
    watch::{Stage, Watch},
};
use crate::{
    config::{self, Config, DeliveryMode, SpoolCap},
    decide::Budget,
    delivery::{self, Patience, Progress},
    push::{Environment, Push, PushId, Source, lines},
    settle::{Meanwhile, Settled, settle},
    state::{State, cap, inbox::Captured},
    text,
    time::{Deadline, Timestamp},
};

#[derive(Debug, Default, Args)]
pub(super) struct HookArgs {
    /// A policy script for this repository alone
    ///
    /// Gitea's Git Hooks page runs its text with the interpreter that the first line names, so
    /// `#!/usr/local/bin/gitea-lightstep hook` makes the page hold a policy.
    #[arg(value_name = "SCRIPT")]
    script: Option<PathBuf>,
}

/// Takes the push; whatever happens, the exit status is 0.
pub(super) fn run(args: &HookArgs, config_path: Option<&Path>) -> ExitCode {
    // A panic's own message would reach the pusher.
    panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let notes = Arc::new(Notes::default());
    let hook = Hook { watch: Watch::begin(notes.clone(), start), notes, start };
    let ended = panic::catch_unwind(AssertUnwindSafe(|| hook.take(args, config_path)));
    if let Err(panic) = ended {
        hook.notes.trouble(&format!(
            "this is a mistake in gitea-lightstep, please report it: panic: {}",
            text::line(text::said_by_panic(&*panic))
        ));
    }
    ExitCode::SUCCESS
}

/// Ends a hook whose arguments nobody understands: the wrapper was edited by hand.
pub(super) fn misused(why: &str) -> ExitCode {
    let notes = Arc::new(Notes::default());
    let _watch = Watch::begin(notes.clone(), Instant::now());
    let _ = lines::drain(io::stdin().lock());
    let why = why.lines().find(|line| !line.trim().is_empty()).unwrap_or("wrong arguments");
    notes.say(&format!("this push has no markers: {}", text::line(why.trim_start_matches("error: "))));
    ExitCode::SUCCESS
}

/// A push in the hands of its hook.
struct Hook {
    watch: Watch,
    notes: Arc<Notes>,
    start: Instant,
}

impl Hook {
    fn take(&self, args: &HookArgs, config_path: Option<&Path>) {
        let (stdin, dropped, read) = lines::drain(io::stdin().lock());
        self.watch.reaches(Stage::Capturing);
        let config_path = config::find(config_path);
        let working_dir = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let source = Source::read(&Environment::of_process(), &working_dir);
        let script = args.script.as_deref().map(|script| working_dir.join(script));
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let turn = Turn::of(source.git_dir.as_path(), script, config_path.as_deref(), home.as_deref());
        let Turn::Ours { page: hook_page, config: installed } = turn else { return };
        let config_path = installed.or(config_path);
        let config = config::load(config_path.as_deref());
        let state = match &config {
            Ok(config) => State::at(&config.state_dir),
            Err(_) => State::at(&config::state_dir_of_broken(config_path.as_deref())),
        };
        let push_id = PushId::now();
        let _ = self.notes.state.set(state.clone());
        let _ = self.notes.push.set(push_id);
        let _ = self.notes.repository.set(source.repository.full_name());
        if let Err(err) = read {
            self.notes.trouble(&format!("standard input ended early: {err}"));
        }
        if dropped > 0 {
            let limit = lines::MAX_STDIN >> 20;
            self.notes.trouble(&format!(
                "{dropped} bytes of standard input beyond the limit of {limit} MiB were passed over"
            ));
        }
        if stdin.trim_ascii().is_empty() {
            return;
        }

        let (hook_page, flaw) = hook_page.map(|script| (script.path, script.flaw)).unzip();
        let time = Timestamp::now();
        let capture = match state.inbox().capture(push_id, time, &source, hook_page.as_deref(), &stdin) {
            Ok(capture) => capture,
            Err(err) => return self.notes.trouble(&format!("this push has no markers: {err}")),
        };
        self.watch.reaches(Stage::Captured);
        if let (Some(path), Some(flaw)) = (&hook_page, flaw.flatten()) {
            self.notes.trouble(&format!("`{}`: {flaw}", path.display()));
        }
        let config = match config {
            Ok(config) => config,
            Err(err) => {
                self.notes.trouble(&format!(
                    "this push waits in the inbox until the configuration is right: {err}"
                ));
                drop(capture);
                return self.make_room(&state, SpoolCap::default());
            }
        };

        self.watch.allow(config.limits.time);
        let lines = lines::parse(&stdin);
        drop(stdin);
        let push = Push::new(push_id, time, source, lines.updates);
        let captured = Captured { push, hook_page, malformed: lines.malformed };
        // A quarter of the budget is for what comes after: writing down what was decided, and leaving.
        let budget = Budget::Push(Deadline::from(self.start, config.limits.time * 3 / 4));
        let detach = || self.detach(&config);
        let is_detached = config.delivery.mode == DeliveryMode::Background && !config.destinations.is_empty();
        let meanwhile = is_detached.then_some(&detach as Meanwhile<'_>);
        match settle(&config, &state, capture, captured, budget, meanwhile) {
            Ok(settled) => {
                self.watch.reaches(if settled.is_left { Stage::Captured } else { Stage::Settled });
                for line in reply::lines(&config.reply, &settled) {
                    write_line(&line);
                }
                self.send(&config, &state, &settled);
            }
            Err(err) => {
                self.notes.trouble(&format!("this push waits in the inbox: {err}"));
                self.make_room(&state, config.spool);
            }
        }
    }

    /// Keeps an inbox that nobody empties from filling the disk.
    fn make_room(&self, state: &State, cap: SpoolCap) {
        if let Err(err) = cap::make_room_in_inbox(state, cap) {
            self.notes.trouble(&err.to_string());
        }
    }

    /// Has sent what this push or an earlier one left in the spool, unless that has begun.
    fn send(&self, config: &Config, state: &State, settled: &Settled) {
        if settled.is_left {
            return self.detach(config);
        }
        let has_work = if config.destinations.is_empty() {
            self.notes.push.get().copied().is_some_and(is_time_for_a_look)
        } else {
            settled.marked > 0 || has_backlog(config, state)
        };
        if settled.called_meanwhile || !has_work {
            return;
        }
        if config.delivery.mode == DeliveryMode::Inline {
            self.watch.allow(config.delivery.timeout);
            let patience = Patience::OnceWithin(Deadline::after(config.delivery.timeout));
            match delivery::drain(config, state, patience, &Progress::default()) {
                Ok(drained) if drained.left == 0 => return,
                Ok(_) => {}
                Err(err) => self.notes.trouble(&err.to_string()),
            }
        }
        self.detach(config);
    }

    fn detach(&self, config: &Config) {
        if let Err(err) = delivery::detach(config) {
            self.notes.trouble(&format!("failed to start the delivery, the next push will try again: {err}"));
        }
    }
}

/// Returns whether it is this push's turn to have the spool held to its cap. While there is no destination,
/// nobody else does it, and not every push needs to.
fn is_time_for_a_look(push: PushId) -> bool {
    push.as_bytes()[15] == 0
}

fn has_backlog(config: &Config, state: &State) -> bool {
    let waits = |listed: Result<Vec<String>, _>| listed.is_ok_and(|names| !names.is_empty());
    waits(state.inbox().list()) || config.destinations.iter().any(|d| waits(state.outbox(&d.name).list()))
}
