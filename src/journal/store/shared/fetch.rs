//! Everything that a database holds of a log, brought into an empty directory as it stands there, for the verifier and for
//! readers: nothing is judged here, so that the verifier can say what is wrong.

use super::take::lines;
use super::{Ledger, LedgerError};
use crate::journal::error::JournalError;
use crate::journal::evidence::told;
use crate::journal::store::file::walk::Segment;
use crate::journal::store::file::{RECORDS, evidence, place};
use rustix::fs::{Mode, OFlags};
use std::io::Write as _;
use std::path::Path;

/// What was brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Fetched {
    /// Number of records.
    pub records: u64,
    /// Files of evidence.
    pub evidence: u64,
}

/// Brings the log into the directory, which must be empty.
pub fn fetch(ledger: &mut dyn Ledger, database: &str, dir: &Path) -> Result<Fetched, JournalError> {
    let refused = |e: &LedgerError| JournalError::Database { database: database.to_owned(), why: e.to_string() };
    if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(JournalError::NotNew { dir: dir.to_owned() });
    }
    drop(place::prepare(dir)?);
    place::make_folder(&dir.join(RECORDS))?;
    let path = Segment::at(dir, 0).path;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut file = place::open_file(&path, flags, Mode::from_raw_mode(0o640))?;
    let mut fetched = Fetched::default();
    let mut from = 0;
    loop {
        let rows = ledger.read(from).map_err(|e| refused(&e))?;
        let Some(last) = rows.last() else { break };
        // Whatever stands there, each number is asked for once.
        let end = last.size.max(from + 1);
        for row in &rows {
            file.write_all(&lines(row)?).map_err(|e| JournalError::io("writing", &path, &e))?;
            fetched.records += row.leaves.len() as u64;
            for (_, sha256, _, _) in row.leaves.iter().filter_map(|(_, leaf)| told(leaf)) {
                if let Some(bytes) = ledger.kept(&sha256).map_err(|e| refused(&e))? {
                    evidence::put_as(dir, &sha256, &bytes)?;
                    fetched.evidence += 1;
                }
            }
        }
        from = end;
    }
    file.sync_all().map_err(|e| JournalError::io("writing", &path, &e))?;
    Ok(fetched)
}
