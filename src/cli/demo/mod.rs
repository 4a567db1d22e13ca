//! `demo`: everything at work on a throw-away repository, seen from both ends.
//!
//! The pusher's end is the real git, the server's is a bare repository as Gitea lays it out, and the
//! back end is a receiver in this process. Nothing leaves the machine and nothing stays on it.

mod arrival;
mod git;
mod gitea;
pub mod receiver;
mod sandbox;
mod timing;

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use arrival::{Arrival, arrivals};
use clap::Args;
use git::Pushed;
use gitea::Bare;
use receiver::Receiver;
use sandbox::{Clone, Sandbox};
use timing::Timing;

use super::{Ending, log, terminal::Terminal};
use crate::{
    otlp::{self, Signal},
    policy::Kind,
    text,
    time::Deadline,
};

/// How long what a push should bring may be on its way.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Keep the repositories, the configuration and the journal, and say where they are
    #[arg(long)]
    keep: bool,
}

/// One push, with what leads to it and what it should bring.
struct Chapter {
    title: &'static str,
    /// What a person types, up to the push; each commit is of a change that is made just before.
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

/// Tells the story, and leaves the machine as it was.
pub(super) fn run(args: &DemoArgs, terminal: &Terminal) -> anyhow::Result<Ending> {
    let sandbox = Sandbox::make(args.keep)?;
    let ending = tell(args, &sandbox, terminal);
    if args.keep {
        terminal.message(format_args!("everything is kept in {}", sandbox.dir().display()));
    }
    let left = sandbox.leave();
    ending.and_then(|ending| left.map(|()| ending))
}

fn tell(args: &DemoArgs, sandbox: &Sandbox, terminal: &Terminal) -> anyhow::Result<Ending> {
    let receiver = Receiver::start().context("failed to listen on a loopback port")?;
    let binary = std::env::current_exe().context("failed to find this program's own file")?;
    sandbox.configure(&receiver.endpoint())?;
    let shop = sandbox.bare("shop")?;
    shop.install(&binary, &sandbox.config())?;
    let clone = sandbox.clone("shop")?;
    sandbox.git().run(clone.path(), ["remote", "add", "origin", &Sandbox::address(&shop)])?;

    terminal
        .say("acme/shop is a throw-away repository, laid out as Gitea does it, with the hook installed.")?;
    terminal
        .say(format_args!("Its markers go to an OTLP receiver in this process, {}.", receiver.endpoint()))?;
    let mut demo = Demo { sandbox, receiver, terminal, seen: Vec::new() };
    for (nth, chapter) in STORY.iter().enumerate() {
        terminal.say(format_args!("\n{}", terminal.bold(&format!("{}. {}", nth + 1, chapter.title))))?;
        if !demo.play(chapter, &shop, &clone)? {
            return Ok(Ending::Found);
        }
    }
    if !demo.time(&binary)? {
        return Ok(Ending::Found);
    }
    further(args.keep, sandbox, terminal)?;
    Ok(Ending::Done)
}

/// The stage, and what has been seen on it.
struct Demo<'a> {
    sandbox: &'a Sandbox,
    receiver: Receiver,
    terminal: &'a Terminal,
    /// Signal and marker of everything that arrived: a delivery may be repeated, and is told once.
    seen: Vec<(Signal, String)>,
}

impl Demo<'_> {
    /// Plays one chapter; returns whether everything arrived.
    fn play(&mut self, chapter: &Chapter, shop: &Bare, clone: &Clone) -> anyhow::Result<bool> {
        let Some((push, before)) = chapter.commands.split_last() else {
            return Ok(true);
        };
        for command in before {
            self.terminal.say(format_args!("   $ {}", git::typed(command)))?;
            if let ["commit", "-m", title] = command {
                clone.change(title)?;
                self.sandbox.git().run(clone.path(), ["add", "--all"])?;
            }
            self.sandbox.git().run(clone.path(), command)?;
        }
        self.terminal.say(format_args!("   $ {}", git::typed(push)))?;
        let pushed = self.sandbox.git().push(clone.path(), push, &shop.environment())?;
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

    /// Returns what the next request brings that was not seen before.
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

    fn show(&self, arrival: &Arrival, pushed: &Pushed) -> anyhow::Result<()> {
        let form = match arrival.signal {
            Signal::Logs => "a log record",
            Signal::Traces => "a root span",
        };
        let event = self.terminal.bold(&arrival.event);
        self.terminal.answer(format_args!("\n   received {event}, {form}"))?;
        self.terminal.answer(format_args!("      {:<12} {}", "when", arrival.when(pushed)))?;
        for (what, value) in arrival.told() {
            self.terminal.answer(format_args!("      {what:<12} {value}"))?;
        }
        Ok(())
    }

    /// Tells what is known when something did not arrive.
    fn explain(&self, missing: &[(Signal, Kind)], pushed: &Pushed) -> anyhow::Result<()> {
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
            self.terminal.message(format_args!("   {}", log::line(&entry)));
            Ok(())
        })?;
        if is_empty {
            self.terminal.message("   nothing, so the hook did not run, or could not write");
        }
        self.terminal.message("`gitea-lightstep demo --keep` leaves everything where it can be looked at");
        Ok(())
    }

    /// Shows what the hook costs; returns whether every push brought its marker.
    fn time(&mut self, binary: &Path) -> anyhow::Result<bool> {
        self.terminal.say(format_args!("\n{}", self.terminal.bold("How long a push takes")))?;
        let timing = Timing::measure(self.sandbox, binary)?;
        self.terminal.say(format_args!("   {}", Timing::caption()))?;
        for line in timing.told() {
            self.terminal.answer(format_args!("   {line}"))?;
        }
        if cfg!(debug_assertions) {
            self.terminal.say("   This is a debug build; the hook of a release build is faster.")?;
        }
        self.terminal.say(
            "   One run on this machine, without a network: what the hook adds does not depend on one.",
        )?;
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

/// Says what to try next: `log` and `status` need a configuration, and ours goes unless it is kept.
fn further(is_kept: bool, sandbox: &Sandbox, terminal: &Terminal) -> anyhow::Result<()> {
    terminal.say(format_args!("\n{}", terminal.bold("To look further")))?;
    let file = if is_kept {
        terminal.say(format_args!("   cd {}", sandbox.dir().display()))?;
        "config.toml"
    } else {
        terminal
            .say(format_args!("   {:<45} the same, and everything is kept", "gitea-lightstep demo --keep"))?;
        "FILE"
    };
    for (command, what) in [
        ("log", "every decision and every delivery"),
        ("status", "what waits, and how each destination stands"),
    ] {
        let command = format!("gitea-lightstep --config {file} {command}");
        terminal.say(format_args!("   {command:<45} {what}"))?;
    }
    terminal.say(format_args!("   {:<45} every command", "gitea-lightstep --help"))?;
    Ok(())
}
