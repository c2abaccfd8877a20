//! `man`: the manual, made from the command line's own declaration.

use super::args::{Cli, Format};
use super::output::{self, Error, Exit};
use clap::CommandFactory as _;
use clap_mangen::Man;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `man --output DIR --format json` prints.
#[derive(Serialize, JsonSchema)]
pub struct Written {
    /// Pages that were written.
    files: Vec<PathBuf>,
}

/// Prints the page of the program, or writes a page a command into a directory.
pub fn run(format: Format, dir: Option<&Path>) -> Result<Exit, Error> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(Error::failed)?;
        output::raw(&page)?;
        return Ok(Exit::Done);
    };
    let failed = |what: &Path, e: std::io::Error| Error::Failed(format!("{}: {e}", what.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let mut files = Vec::new();
    write(command, dir, &mut files).map_err(|e| failed(dir, e))?;
    match format {
        Format::Json => output::json(&Written { files })?,
        _ => output::line(&format!("wrote {} pages to {}", files.len(), dir.display()))?,
    }
    Ok(Exit::Done)
}

fn write(command: clap::Command, dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        // Built commands know the name that they are called by: `quarterdeck playbook list`.
        write(sub.clone(), dir, files)?;
    }
    files.push(Man::new(command).generate_to(dir)?);
    Ok(())
}
