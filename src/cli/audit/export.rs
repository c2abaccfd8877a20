//! `audit export`: the log as a directory that any static file server can serve (C2SP tlog-tiles).

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::pins;
use super::args::Export;
use super::directory;
use crate::journal::verify::{self, Options, Verdict, own_key};
use crate::journal::{self, Exported, JournalError};

/// Runs it.
pub fn run(global: &Global, what: &Export) -> Result<Exit, Error> {
    let dir = directory(global, what.journal.as_deref())?;
    let pinned = pins::outside(global, what.vkey.as_deref(), what.journal.as_deref(), &dir)?;
    let report = verify::verify(&dir, &Options { key: pinned, ..Options::default() }).map_err(Error::failed)?;
    if report.verdict == Verdict::Damaged {
        let bad = report.first_bad.map_or_else(|| "it does not verify".to_owned(), |bad| bad.to_string());
        return Err(Error::Damaged(format!("nothing is exported of a damaged journal: {bad}")));
    }
    let key = own_key(&dir).map_err(|e| Error::journal(&e))?;
    let exported = journal::export(&dir, &what.dir, &key).map_err(|e| match e {
        JournalError::ExportTarget { .. } => Error::Usage(e.to_string()),
        JournalError::KeptCheckpoint { .. } => Error::Damaged(e.to_string()),
        e => Error::journal(&e),
    })?;
    if global.format == Format::Json {
        output::json(&exported)?;
        return Ok(Exit::Done);
    }
    let Exported { origin, dir, records, root, written, unchanged, rebuilt, .. } = &exported;
    output::line(&format!("{records} records of {origin} in {}, root {root}", dir.display()))?;
    output::line(&format!("{written} files written, {unchanged} there already"))?;
    for file in rebuilt {
        output::line(&format!("was damaged, and is made anew: {file}"))?;
    }
    Ok(Exit::Done)
}
