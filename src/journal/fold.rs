//! State that is a fold over the records: incidents, runs, measures, the broken glass. There is no other store to
//! disagree with it.

use super::error::JournalError;
use super::handle::{Journal, OpenOptions, Recovered};
use super::read::{Filter, Reader};
use super::record::Record;
use std::path::Path;

/// State that records change.
pub trait Fold {
    /// Takes in the next record.
    fn apply(&mut self, record: &Record);
}

/// Rebuilds state from a log, without taking its lock.
pub fn replay(dir: &Path, filter: Filter, state: &mut impl Fold) -> Result<(), JournalError> {
    for stored in Reader::open(dir, filter)? {
        state.apply(&stored?.record);
    }
    Ok(())
}

/// Opens a journal for writing and rebuilds state from it in the same pass, the records that the opening writes
/// included.
pub fn open(options: OpenOptions, state: &mut impl Fold) -> Result<(Journal, Recovered), JournalError> {
    Journal::open_folding(options, &mut |record| state.apply(record))
}
