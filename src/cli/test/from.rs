//! `test --from`: writes a push from the journal as a test.

use std::{fs, io, path::Path};

use anyhow::{Context as _, bail};

use super::{Common, Completion, Terminal, TestArgs, output};
use crate::{
    cli::named_repository::NamedRepository,
    golden::{ExportOptions, RecordedPush, TestFilePath},
    push::PushId,
    state::State,
};

/// File name to assume for a test that is only printed.
const PRINTED: &str = "captured.test.toml";

pub(super) fn run(
    id: PushId,
    args: &TestArgs,
    common: &Common,
    terminal: &Terminal,
) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let journal = State::at(&config.state_dir).journal();
    let captured = RecordedPush::find(&journal, id)?;
    let named = args.git_dir.as_deref().map(|repo| NamedRepository::find(repo, None, Some(&journal)));
    let wish = ExportOptions {
        git_dir: named.transpose()?.map(|named| named.dir().cloned()).transpose()?,
        with_files: &args.with_files,
        services: &config.services,
    };
    let scripts = args.scripts.clone().or(config.scripts);
    let Some(file) = &args.to else {
        let place = TestFilePath::of_file(Path::new(PRINTED), None);
        terminal.document(captured.write(&wish, &place, None)?.trim_end())?;
        return Ok(Completion::Done);
    };
    if !file.to_string_lossy().ends_with(".test.toml") {
        bail!(
            "`{}` is not the name of a test file; expected a name such as `acme/shop.test.toml`",
            file.display()
        );
    }
    let old = match fs::read_to_string(file) {
        Ok(old) => Some(old),
        Err(err) if err.kind() == io::ErrorKind::NotFound => None,
        Err(err) => return Err(err).with_context(|| format!("failed to read `{}`", file.display())),
    };
    let place = TestFilePath::of_file(file, scripts.as_deref());
    output::write(file, &captured.write(&wish, &place, old.as_deref())?)?;
    terminal.say(format_args!("wrote a test of the push {id} to `{}`", file.display()))?;
    Ok(Completion::Done)
}
