//! `completions SHELL`.

use super::args::Cli;
use super::output::{self, Error, Exit};
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Prints the completions of a shell.
pub fn run(shell: Shell) -> Result<Exit, Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quarterdeck", &mut text);
    output::raw(&text)?;
    Ok(Exit::Done)
}
