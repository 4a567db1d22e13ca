//! `test --from`: a push that the journal knows, as a test.

use std::{fs, io, path::Path};

use anyhow::{Context as _, bail};

use super::{Common, Ending, Terminal, TestArgs, output};
use crate::{
    facts,
    golden::{Captured, Place, Wish},
    push::PushId,
    state::State,
};

/// What the file would be called whose text is only printed.
const PRINTED: &str = "captured.test.toml";

pub(super) fn run(
    id: PushId,
    args: &TestArgs,
    common: &Common,
    terminal: &Terminal,
) -> anyhow::Result<Ending> {
    let config = common.load()?;
    let captured = Captured::find(&State::at(&config.state_dir).journal(), id)?;
    let wish = Wish {
        git_dir: args.git_dir.as_deref().map(facts::Repository::locate).transpose()?,
        with_files: &args.with_files,
        services: &config.services,
    };
    let scripts = args.scripts.clone().or(config.scripts);
    let Some(file) = &args.to else {
        let place = Place::of_file(Path::new(PRINTED), None);
        terminal.answer(captured.write(&wish, &place, None)?.trim_end())?;
        return Ok(Ending::Done);
    };
    if !file.to_string_lossy().ends_with(".test.toml") {
        bail!(
            "`{}` would not be found as a test; expected a name such as `acme/shop.test.toml`",
            file.display()
        );
    }
    let old = match fs::read_to_string(file) {
        Ok(old) => Some(old),
        Err(err) if err.kind() == io::ErrorKind::NotFound => None,
        Err(err) => return Err(err).with_context(|| format!("failed to read `{}`", file.display())),
    };
    let place = Place::of_file(file, scripts.as_deref());
    output::write(file, &captured.write(&wish, &place, old.as_deref())?)?;
    terminal.say(format_args!("wrote a test of the push {id} to `{}`", file.display()))?;
    Ok(Ending::Done)
}
