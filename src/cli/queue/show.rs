//! `queue show`: everything that is in an entry, escaped.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{
    pick::{Prefer, pick},
    told::{self, Json, Told},
};
use crate::{
    cli::{Common, Ending, age::ago, terminal::Terminal},
    state::{
        State, contents,
        queue::{Entry, IdPrefix, Place},
    },
    text,
    time::Timestamp,
};

/// How much of one value, or of a line that cannot be read, is shown, in characters.
const MAX_VALUE: usize = 4096;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The id of an entry, or enough digits of its beginning
    #[arg(value_name = "ID")]
    id: IdPrefix,
    /// Only among dead letters
    #[arg(long)]
    dead: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    told: Json,
    path: String,
    /// The first line of the file, then the others: as JSON if they are that, else as text.
    header: Option<Value>,
    lines: Vec<Value>,
}

pub(super) fn run(args: &ShowArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let state = State::at(&config.state_dir);
    let places: &[Place] =
        if args.dead { &[Place::Dead] } else { &[Place::Inbox, Place::Outbox, Place::Dead] };
    let ids = std::slice::from_ref(&args.id);
    let mut picked = pick(&state, places, ids, Prefer::Neither)?;
    let entry = picked.swap_remove(0)?;
    let gone =
        || format!("`{}` is not there any more: it was delivered, decided or dropped meanwhile", entry.id());
    if args.json {
        let path = state.path_of(&entry);
        let told = Told::of(&state, entry.clone())?.with_context(gone)?.json();
        let mut lines = Vec::new();
        contents::each_line(&path, |line| {
            let read = serde_json::from_slice(line);
            lines.push(read.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(line).into_owned())));
            anyhow::Ok(())
        })
        .with_context(gone)?;
        let header = if lines.is_empty() { None } else { Some(lines.remove(0)) };
        let shown = Shown { told, path: path.display().to_string(), header, lines };
        terminal.answer(serde_json::to_string_pretty(&shown)?)?;
    } else {
        print(&state, &entry, terminal).with_context(gone)?;
    }
    Ok(Ending::Done)
}

fn print(state: &State, entry: &Entry, terminal: &Terminal) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let path = state.path_of(entry);
    let say = |what: &str, value: &str| terminal.answer(format_args!("{what:<12} {value}"));
    say("id", &entry.id().to_string())?;
    say("where", &told::place(entry))?;
    say("file", &text::line_of(path.as_os_str().as_encoded_bytes(), MAX_VALUE))?;
    let when = |time: Timestamp| format!("{} ({})", time.strftime("%Y-%m-%d %H:%M:%S"), ago(time, now));
    for (what, push) in [("push", entry.push()), ("last push", entry.last_push())] {
        let Some(push) = push else { continue };
        say(what, &push.to_string())?;
        push.time().map_or(Ok(()), |time| say("captured", &when(time)))?;
    }
    if entry.place == Place::Dead {
        match state.dead_letters().why(&entry.name) {
            Some(why) => {
                say("dead since", &when(why.time))?;
                say("reason", &text::line_of(&why.why, MAX_VALUE))?;
                if let Some(next) = why.next.filter(|next| *next > 0) {
                    say("decided", &format!("{} of it", text::count(next, "update")))?;
                }
            }
            None => say("reason", "it cannot be read")?,
        }
    }
    let mut nth = 0;
    contents::each_line(&path, |line| {
        nth += 1;
        match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(fields)) => {
                terminal.answer("")?;
                // What a marker is comes before its many attributes.
                let (inner, own): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, value)| value.is_object());
                for (name, value) in own.into_iter().chain(inner) {
                    field("", name, value, terminal)?;
                }
            }
            _ => {
                // A captured push is git's own lines after the first; so is what nobody can read.
                if nth == 2 {
                    terminal.answer("")?;
                }
                terminal.answer(text::line_of(line, MAX_VALUE))?;
            }
        }
        anyhow::Ok(())
    })
}

/// Prints a field, or what is below it by both names.
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
    terminal.answer(format_args!("{name} = {shown}"))?;
    Ok(())
}
