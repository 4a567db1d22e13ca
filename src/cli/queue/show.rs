//! `queue show`: prints the full content of an entry, escaped.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{
    pick::{Prefer, pick},
    summary::{self, EntrySummary, QueueEntryJson},
};
use crate::{
    cli::{Common, Completion, age::ago, terminal::Terminal, when::local},
    proposal,
    state::{
        State, contents,
        queue::{IdPrefix, QueueEntry, QueuePlace},
    },
    sys::time::{self, Timestamp},
    text,
};

/// Maximum length of a value, or of a line that cannot be parsed, in characters.
const MAX_VALUE: usize = 4096;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The id of an entry, or its first digits
    #[arg(value_name = "ID")]
    id: IdPrefix,
    /// Look only among dead letters
    #[arg(long)]
    dead: bool,
    /// Print the entry as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ShownEntry {
    #[serde(flatten)]
    told: QueueEntryJson,
    path: String,
    /// First line of the file. It and the other lines are JSON values if they parse, else text.
    header: Option<Value>,
    lines: Vec<Value>,
}

pub(super) fn run(args: &ShowArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let places: &[QueuePlace] = if args.dead { &[QueuePlace::Dead] } else { &QueuePlace::ALL };
    let ids = std::slice::from_ref(&args.id);
    let mut picked = pick(&state, places, ids, Prefer::Neither)?;
    let entry = picked.swap_remove(0)?;
    let gone = || format!("`{}` no longer exists: it has been delivered, decided or dropped", entry.id());
    if args.json {
        let path = state.path_of(&entry);
        let told = EntrySummary::of(&state, entry.clone())?.with_context(gone)?.json();
        let mut lines = Vec::new();
        contents::each_line(&path, |line| {
            let read = serde_json::from_slice(line);
            lines.push(read.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(line).into_owned())));
            anyhow::Ok(())
        })
        .with_context(gone)?;
        let header = if lines.is_empty() { None } else { Some(lines.remove(0)) };
        let shown = ShownEntry { told, path: path.display().to_string(), header, lines };
        terminal.json(serde_json::to_string_pretty(&shown)?)?;
    } else {
        print(&state, &entry, terminal).with_context(gone)?;
    }
    Ok(Completion::Done)
}

fn print(state: &State, entry: &QueueEntry, terminal: &Terminal) -> anyhow::Result<()> {
    let now = time::now();
    let path = state.path_of(entry);
    let say = |what: &str, value: &str| terminal.row(format_args!("{what:<12} {value}"));
    say("id", &entry.id().to_string())?;
    say("where", &summary::place(entry))?;
    say("file", &text::line_of(path.as_os_str().as_encoded_bytes(), MAX_VALUE))?;
    let when = |time: Timestamp| format!("{} ({})", local(time), ago(time, now));
    for (what, push) in [("push", entry.push()), ("last push", entry.last_push())] {
        let Some(push) = push else { continue };
        say(what, &push.to_string())?;
        push.time().map_or(Ok(()), |time| say("captured", &when(time)))?;
    }
    if let Some(alone) = entry.alone() {
        let next = Timestamp::from_second(alone.until).map(local);
        let next = next.unwrap_or_else(|_| "an unknown time".into());
        let tries = text::count(alone.tries as usize, "time");
        say(
            "waits alone",
            &format!(
                "tried {tries}; retried by the first push after {next}, or now by `{}`",
                proposal::command("deliver")
            ),
        )?;
        let reason = state.reason(entry).map_or_else(|| "unknown".into(), |reason| reason.why);
        say("reason", &text::line_of(&reason, MAX_VALUE))?;
    }
    if let (QueuePlace::Inbox | QueuePlace::Failed, Some(reason)) = (entry.place, state.reason(entry)) {
        say(
            if entry.place == QueuePlace::Failed { "failed" } else { "last tried" },
            &reason.time.map(when).unwrap_or_default(),
        )?;
        say("reason", &text::line_of(&reason.why, MAX_VALUE))?;
    }
    if let (QueuePlace::Inbox, Some(postponed)) =
        (entry.place, entry.push().and_then(|push| state.postponed().read(push)))
    {
        say("attempts", &postponed.attempts.to_string())?;
        say("next", &local(postponed.next))?;
    }
    if entry.place == QueuePlace::Dead {
        match state.dead_letters().why(&entry.name) {
            Some(why) => {
                say("dead since", &when(why.time))?;
                say("reason", &text::line_of(&why.why, MAX_VALUE))?;
                if let Some(next) = why.next.filter(|next| *next > 0) {
                    say("decided", &format!("{} of the push", text::count(next, "update")))?;
                }
            }
            None => say("reason", "cannot be read")?,
        }
    }
    let mut nth = 0;
    contents::each_line(&path, |line| {
        nth += 1;
        match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(fields)) => {
                terminal.row("")?;
                // Print a marker's own fields before its many attributes.
                let shown = fields.iter().filter(|(name, _)| !name.ends_with(contents::CHECKSUM));
                let (inner, own): (Vec<_>, Vec<_>) = shown.partition(|(_, value)| value.is_object());
                for (name, value) in own.into_iter().chain(inner) {
                    field("", name, value, terminal)?;
                }
            }
            _ => {
                // After its first line, a captured push holds git's lines as text. Damaged lines
                // are shown as text too.
                if nth == 2 {
                    terminal.row("")?;
                }
                terminal.row(text::line_of(line, MAX_VALUE))?;
            }
        }
        anyhow::Ok(())
    })
}

/// Prints a field, or each nested field with a dotted name.
fn field(above: &str, name: &str, value: &Value, terminal: &Terminal) -> anyhow::Result<()> {
    let name = format!("{above}{}", text::line(name));
    let shown = match value {
        Value::Object(fields) if !fields.is_empty() => {
            let above = format!("{name}.");
            return fields.iter().try_for_each(|(name, value)| field(&above, name, value, terminal));
        }
        Value::String(value) => text::line_of(value, MAX_VALUE),
        other => text::line_of(other.to_string(), MAX_VALUE),
    };
    terminal.row(format_args!("{name} = {shown}"))?;
    Ok(())
}
