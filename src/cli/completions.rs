//! `completions SHELL`.

use super::args::Cli;
use super::output::{Error, Exit};
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;

/// Prints the completions of a shell.
pub fn run(shell: Shell) -> Result<Exit, Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quarterdeck", &mut text);
    match std::io::stdout().write_all(&text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::failed(error)),
        _ => Ok(Exit::Done),
    }
}
