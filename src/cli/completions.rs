//! `completions` and `man`: what a shell and `man` need, from the one definition of the command line.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::{Args, Command, ValueEnum};

use super::{Completion, output, terminal::Terminal};
use crate::text;

/// Name of the program.
const NAME: &str = "gitea-lightstep";

/// A shell that can complete our commands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell that reads the script
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Print the page of this command, such as `queue list` (default: the page of the program)
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Vec<String>,
    /// Write all pages into DIR
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints the script that completes the commands and options of `program`.
pub(super) fn run(args: &CompletionsArgs, program: &Command) -> anyhow::Result<Completion> {
    let mut script = Vec::new();
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut visible(program), NAME, &mut script);
    // clap_complete 4.6.12 writes the dash of our name in two ways, so that bash finds no command.
    let script = String::from_utf8_lossy(&script).replace("gitea__subcmd__lightstep", "gitea__lightstep");
    io::stdout().lock().write_all(script.as_bytes())?;
    Ok(Completion::Done)
}

/// Prints a manual page, or writes all of them.
pub(super) fn man(args: &ManArgs, program: &Command, terminal: &Terminal) -> anyhow::Result<Completion> {
    let mut program = visible(program).disable_help_subcommand(true);
    program.build();
    if let Some(dir) = &args.output {
        fs::create_dir_all(dir).with_context(|| format!("failed to create `{}`", text::path(dir)))?;
        let mut written = 0;
        each(&program, &mut |command| {
            let name = command.get_display_name().unwrap_or(NAME).to_string();
            written += 1;
            output::write(&dir.join(format!("{name}.1")), &page(command)?)
        })?;
        terminal.say(format_args!("{} written to `{}`", text::count(written, "page"), text::path(dir)))?;
        return Ok(Completion::Done);
    }
    let mut found = &program;
    for name in &args.command {
        let Some(next) = found.find_subcommand(name) else {
            bail!("there is no command `{}`; `help` lists them", text::line(args.command.join(" ")));
        };
        found = next;
    }
    io::stdout().lock().write_all(page(found)?.as_bytes())?;
    Ok(Completion::Done)
}

/// Calls `with` for a command and each command below it.
fn each(command: &Command, with: &mut impl FnMut(&Command) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with(command)?;
    command.get_subcommands().try_for_each(|command| each(command, with))
}

/// Returns the command without what `--help` hides. The options for our own processes are no choice.
fn visible(command: &Command) -> Command {
    // clap takes names that live as long as the program, and so does this.
    let name: &'static str = command.get_name().to_string().leak();
    let mut shown = Command::new(name)
        .args(command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().filter(|command| !command.is_hide_set()).map(visible));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    if name == NAME { shown.version(super::VERSION) } else { shown }
}

fn page(command: &Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
