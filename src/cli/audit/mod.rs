//! `audit …`: one file a subcommand. What reads a journal reads any directory, also a copied or a read-only one: no
//! lock, no configuration, no private key, and nothing is written there.

mod anchors;
pub mod archive;
pub mod args;
mod begin;
pub mod database;
pub mod estates;
mod evidence;
mod export;
pub mod keys;
mod monitor;
pub mod open;
pub mod proof;
mod redact;
pub mod show;
mod verify;

use super::args::Global;
use super::output::{Error, Exit};
use super::session;
use crate::journal::read::Whole;
use args::Audit;
use std::path::{Path, PathBuf};

/// Runs it.
pub fn run(global: &Global, what: &Audit) -> Result<Exit, Error> {
    match what {
        Audit::Show(what) => show::run(global, what),
        Audit::Verify(what) => match &what.proof {
            Some(file) => proof::verify(global, file, what),
            None => verify::run(global, what),
        },
        Audit::Prove(what) => proof::prove(global, what),
        Audit::Export(what) => export::run(global, what),
        Audit::Keys { what } => keys::run(global, what),
        Audit::Begin(what) => begin::run(global, what),
        Audit::Database { what } => database::run(global, what),
        Audit::Monitor(what) => monitor::run(global, what),
        Audit::Anchors(what) => anchors::run(global, what),
        Audit::Archive(what) => archive::run(global, what),
        Audit::Evidence { what } => evidence::run(global, what),
        Audit::Redact(what) => redact::run(global, what),
        Audit::Open(what) => open::run(global, what),
    }
}

/// A log with a directory of what was moved from it, where one is named.
fn whole<'a>(dir: &'a Path, archive: Option<&'a Path>) -> Result<Whole<'a>, Error> {
    match archive.filter(|archive| !archive.join("records").is_dir()) {
        Some(archive) => Err(Error::Usage(format!("--archive {} has no folder `records`", archive.display()))),
        None => Ok(Whole { dir, archive }),
    }
}

/// The directory that was named, else that of the configured estate.
pub(super) fn directory(global: &Global, named: Option<&Path>) -> Result<PathBuf, Error> {
    match named {
        Some(dir) if dir.is_dir() => Ok(dir.to_path_buf()),
        Some(dir) => Err(Error::Usage(format!("--journal {} is not a directory", dir.display()))),
        // Each drill has a journal of its own.
        None if global.drill.is_some() => session::newest_drill()
            .ok_or_else(|| Error::Failed("this user has played no drill; --journal DIR names a journal".into())),
        None => Ok(session::home(&session::load(global)?.config).journal),
    }
}
