//! `demo`: shows pushes, markers and their delivery in a temporary repository, from both ends.
//!
//! The client is the real git, the server is a bare repository laid out like Gitea's, and the back
//! end is a receiver in this process. The demo sends nothing to other machines, and removes its
//! files when it ends.

mod arrival;
mod git;
mod receiver;
mod sandbox;
mod timing;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use arrival::{Arrival, arrivals};
use clap::Args;
use git::FinishedPush;
use receiver::Receiver;
use sandbox::{Clone, Sandbox};
use timing::Timing;

use super::{Completion, log, terminal::Terminal};
use crate::{
    marker::{Kind, Signal},
    otlp,
    sys::time::Deadline,
    text,
};

/// Time limit for everything that a push should deliver.
const PATIENCE: Duration = Duration::from_secs(10);

/// Name of the repository in the story.
const SHOP: &str = "shop";

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Keep the repositories, the configuration and the journal, and print the path
    #[arg(long)]
    keep: bool,
}

/// A push, with the commands before it and the markers it should create.
struct Chapter {
    title: &'static str,
    /// Commands, ending with the push. Each commit contains a change made just before it.
    commands: &'static [&'static [&'static str]],
    brings: &'static [(Signal, Kind)],
}

const STORY: [Chapter; 3] = [
    Chapter {
        title: "A push to the default branch is a change",
        commands: &[
            &["commit", "-m", "Open the shop"],
            &["commit", "-m", "Count what is in the basket"],
            &["push", "origin", "main"],
        ],
        brings: &[(Signal::Logs, Kind::Change)],
    },
    Chapter {
        title: "A version tag is a release",
        commands: &[&["tag", "-a", "v1.4.2", "-m", "The autumn release"], &["push", "origin", "v1.4.2"]],
        brings: &[(Signal::Logs, Kind::Release)],
    },
    Chapter {
        title: "A push with -o deploy=ENV is a deployment too",
        commands: &[
            &["commit", "-m", "Take coupons at the till"],
            &["push", "-o", "deploy=prod", "origin", "main"],
        ],
        brings: &[
            (Signal::Logs, Kind::Change),
            (Signal::Logs, Kind::Deployment),
            (Signal::Traces, Kind::Deployment),
        ],
    },
];

/// Runs all chapters, then removes the temporary files unless `--keep` was given.
pub(super) fn run(args: &DemoArgs, terminal: &Terminal) -> anyhow::Result<Completion> {
    let sandbox = Sandbox::make(args.keep)?;
    let ending = tell(args, &sandbox, terminal);
    if args.keep {
        terminal.message(format_args!("everything is kept in {}", sandbox.dir().display()));
    }
    let left = sandbox.leave();
    ending.and_then(|ending| left.map(|()| ending))
}

fn tell(args: &DemoArgs, sandbox: &Sandbox, terminal: &Terminal) -> anyhow::Result<Completion> {
    let receiver = Receiver::start().context("failed to listen on a loopback port")?;
    sandbox.configure(&receiver.endpoint())?;
    sandbox.install(&sandbox.bare(SHOP)?)?;
    let clone = sandbox.clone(SHOP)?;
    clone.run(&["remote", "add", "origin", &Sandbox::address(SHOP)])?;

    terminal.say("acme/shop is a throw-away repository, laid out like Gitea's, with the hook installed.")?;
    terminal
        .say(format_args!("Its markers go to an OTLP receiver in this process, {}.", receiver.endpoint()))?;
    let mut demo = Demo { sandbox, receiver, terminal, seen: Vec::new() };
    for (nth, chapter) in STORY.iter().enumerate() {
        terminal.say(format_args!("\n{}", terminal.bold(&format!("{}. {}", nth + 1, chapter.title))))?;
        if !demo.play(chapter, &clone)? {
            return Ok(Completion::Found);
        }
    }
    if !demo.time()? {
        return Ok(Completion::Found);
    }
    further(args.keep, sandbox, terminal)?;
    Ok(Completion::Done)
}

/// State of the running demo.
struct Demo<'a> {
    sandbox: &'a Sandbox,
    receiver: Receiver,
    terminal: &'a Terminal,
    /// Signal and marker ID of everything received. A delivery may be repeated, and is shown once.
    seen: Vec<(Signal, String)>,
}

impl Demo<'_> {
    /// Runs one chapter, and returns true if everything arrived.
    fn play(&mut self, chapter: &Chapter, clone: &Clone<'_>) -> anyhow::Result<bool> {
        let Some((push, before)) = chapter.commands.split_last() else {
            return Ok(true);
        };
        for command in before {
            self.terminal.say(format_args!("   $ {}", git::typed(command)))?;
            match command {
                ["commit", "-m", title] => clone.commit(title)?,
                other => clone.run(other)?,
            }
        }
        self.terminal.say(format_args!("   $ {}", git::typed(push)))?;
        let pushed = clone.push(push, SHOP)?;
        for line in pushed.remote_lines() {
            self.terminal.say(format_args!("   {line}"))?;
        }

        let deadline = Deadline::after(PATIENCE);
        let mut missing = chapter.brings.to_vec();
        while !missing.is_empty() {
            let Some(arrived) = self.next(deadline) else {
                self.explain(&missing, &pushed)?;
                return Ok(false);
            };
            for arrival in arrived {
                missing.retain(|(signal, kind)| {
                    *signal != arrival.signal || otlp::event_name(*kind) != arrival.event
                });
                self.show(&arrival, &pushed)?;
            }
        }
        Ok(true)
    }

    /// Returns the new items of the next request.
    fn next(&mut self, deadline: Deadline) -> Option<Vec<Arrival>> {
        let mut arrived = arrivals(self.receiver.next(deadline)?);
        arrived.retain(|arrival| {
            let key = (arrival.signal, arrival.marker_id());
            let is_new = !self.seen.contains(&key);
            self.seen.push(key);
            is_new
        });
        Some(arrived)
    }

    fn show(&self, arrival: &Arrival, pushed: &FinishedPush) -> anyhow::Result<()> {
        let form = match arrival.signal {
            Signal::Logs => "a log record",
            Signal::Traces => "a root span",
        };
        let event = self.terminal.bold(&arrival.event);
        self.terminal.answer(format_args!("\n   received {event}, {form}"))?;
        self.terminal.answer(format_args!("      {:<12} {}", "when", arrival.when(pushed)))?;
        for (what, value) in arrival.report_lines() {
            self.terminal.answer(format_args!("      {what:<12} {value}"))?;
        }
        Ok(())
    }

    /// Prints git's output and the journal when something did not arrive.
    fn explain(&self, missing: &[(Signal, Kind)], pushed: &FinishedPush) -> anyhow::Result<()> {
        let missing: Vec<_> = missing.iter().map(|(_, kind)| kind.as_str()).collect();
        self.terminal.message(format_args!(
            "this did not arrive within {} s of the push: {}",
            PATIENCE.as_secs(),
            missing.join(", ")
        ));
        self.terminal.message("git said:");
        for line in &pushed.said {
            self.terminal.message(format_args!("   {line}"));
        }
        self.terminal.message("the journal says:");
        let mut is_empty = true;
        self.sandbox.state().journal().read(|entry| {
            is_empty = false;
            self.terminal.message(format_args!("   {}", log::plain_line(&entry, self.terminal)));
            Ok(())
        })?;
        if is_empty {
            self.terminal.message("   nothing: the hook did not run, or could not write");
        }
        self.terminal.message(format_args!("`{} demo --keep` keeps all files for inspection", program()));
        Ok(())
    }

    /// Measures and prints the time that the hook adds. Returns true if every push delivered its
    /// marker.
    fn time(&mut self) -> anyhow::Result<bool> {
        self.terminal.say(format_args!("\n{}", self.terminal.bold("How long a push takes")))?;
        let timing = Timing::measure(self.sandbox)?;
        self.terminal.say(format_args!("   {}", Timing::caption()))?;
        for line in timing.report_lines() {
            self.terminal.answer(format_args!("   {line}"))?;
        }
        if cfg!(debug_assertions) {
            self.terminal.say("   This is a debug build; the hook of a release build is faster.")?;
        }
        self.terminal.say("   One run on this machine, without a network; the hook itself uses none.")?;
        let deadline = Deadline::after(PATIENCE);
        let mut arrived = 0;
        while arrived < timing.markers {
            let Some(more) = self.next(deadline) else {
                self.terminal
                    .message(format_args!("{arrived} of {} arrived", text::count(timing.markers, "marker")));
                return Ok(false);
            };
            arrived += more.len();
        }
        Ok(true)
    }
}

/// Suggests further commands, each as it can be pasted. `log` and `status` need a configuration, and
/// the demo's is removed unless `--keep` was given.
fn further(is_kept: bool, sandbox: &Sandbox, terminal: &Terminal) -> anyhow::Result<()> {
    terminal.say(format_args!("\n{}", terminal.bold("Next steps")))?;
    let program = program();
    let config = text::shell(&sandbox.dir().join("config.toml"));
    let suggest = |what: &str, command: String| terminal.say(format_args!("   {what}\n     {command}"));
    if is_kept {
        suggest("every decision and every delivery", format!("{program} --config {config} log"))?;
        suggest("the state of each destination", format!("{program} --config {config} status"))?;
    } else {
        suggest("the same, but keep all files", format!("{program} demo --keep"))?;
    }
    suggest("all commands", format!("{program} --help"))?;
    Ok(())
}

/// Returns this program as the user called it. `cargo run` calls one that is not in `PATH`.
fn program() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if called.components().nth(1).is_some() { text::shell(&called) } else { "gitea-lightstep".into() }
}
