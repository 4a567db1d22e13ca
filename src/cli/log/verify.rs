//! `log --verify`: verifies the journal's hash chain.

use std::{fs::File, path::Path};

use anyhow::Context as _;

use crate::{
    cli::{Completion, terminal::Terminal},
    proposal::command,
    state::{
        State,
        journal_check::{Place, Tampering, Verification, WitnessedHeads},
    },
    text,
};

/// Verifies the journal, and compares it with the heads in the export of a back end.
pub(super) fn run(
    state: &State,
    against: Option<&Path>,
    is_json: bool,
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    let heads = against.map(read_heads).transpose()?;
    let found = state.journal().verify(heads.as_ref())?;
    let dir = state.dir().join("journal");
    if is_json {
        terminal.json(serde_json::to_string(&found)?)?;
    } else {
        print(&found, &dir, against, terminal)?;
    }
    Ok(if found.fault.is_none() { Completion::Done } else { Completion::Found })
}

fn read_heads(path: &Path) -> anyhow::Result<WitnessedHeads> {
    let name = text::path(path);
    let export = File::open(path).with_context(|| format!("failed to open `{name}`"))?;
    let heads = WitnessedHeads::read(export).with_context(|| format!("failed to read `{name}`"))?;
    anyhow::ensure!(
        !heads.is_empty(),
        "`{name}` has no head of a journal; export the log records or spans with the attribute \
         `gitea_lightstep.journal.head`"
    );
    Ok(heads)
}

fn print(
    found: &Verification,
    dir: &Path,
    against: Option<&Path>,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let place = |place: &Place| match place.line {
        0 => text::path(&dir.join(&place.file)),
        line => format!("{}:{line}", text::path(&dir.join(&place.file))),
    };
    if let Some(fault) = &found.fault {
        terminal.row(format_args!("{}: {}: {}", fault.what.as_str(), place(&fault.place), fault.why))?;
        terminal.row(format_args!("  {}", advice(fault.what, against.is_some())))?;
        return Ok(());
    }
    let files = text::count(found.files, "file");
    let lines = text::count(usize::try_from(found.lines).unwrap_or(usize::MAX), "line");
    terminal.say(match &found.head {
        Some(head) => format!("verified {files}, {lines}: the head is {head}"),
        None => format!("{files}, {lines}: the journal has no hash chain yet; the next record begins it"),
    })?;
    if let Some(until) = &found.unchained_until {
        let what = "older than the chain, so not protected by it";
        terminal.say(format_args!("unchained until {}: {what}", place(until)))?;
    }
    for torn in &found.torn {
        terminal
            .say(format_args!("cut off: {}: by a crash or a full disk; the chain goes on", place(torn)))?;
    }
    if let Some(pruned) = &found.pruned {
        terminal.say(format_args!(
            "pruned: retention removed `{}` and what was before it; the journal has its summary",
            text::line(&pruned.file)
        ))?;
    }
    if let Some(compared) = found.against {
        terminal.say(format_args!(
            "the back end has {} in the chain{}",
            text::count(usize::try_from(compared.fit).unwrap_or(usize::MAX), "head"),
            match compared.pruned {
                0 => String::new(),
                n => format!(", and {n} of lines that retention removed"),
            }
        ))?;
    }
    Ok(())
}

/// Returns what to do about a fault.
fn advice(what: Tampering, is_compared: bool) -> String {
    let compare = format!(
        "export what the back end has, and run `{}` to see how far it confirms the journal",
        command("log --verify --against FILE")
    );
    match what {
        Tampering::Unrecorded if !is_compared => format!("{compare}; the next record makes the end known again"),
        Tampering::Replaced if is_compared => {
            "keep a copy of the journal and of the export, and find out who could write to the state directory"
                .into()
        }
        _ if is_compared => {
            "keep a copy of the journal, and find out who could write to the state directory".into()
        }
        _ => format!("keep a copy of the journal; {compare}"),
    }
}
