//! The newest signed checkpoint of a log, also of one that is being written: read from its commit lines, so that it
//! is there as soon as the batch is on the disk. Called by `attest`, which takes it out of the house.

use super::checkpoint::Checkpoint;
use super::error::JournalError;
use super::key::VerifierKey;
use super::store::file::walk::{Step, Walk};
use std::path::Path;

/// Follows the commit lines of a log.
#[derive(Debug)]
pub struct Newest {
    walk: Walk,
    key: VerifierKey,
    last: Option<(Checkpoint, String)>,
}

impl Newest {
    /// Begins at the last segment of the log in `dir`, which `key` signs.
    pub fn open(dir: &Path, key: VerifierKey) -> Result<Self, JournalError> {
        Ok(Self { walk: Walk::open(dir, u64::MAX)?, key, last: None })
    }

    /// The newest checkpoint with its note; nothing before the first commit. What has been read is not read again.
    pub fn read(&mut self) -> Result<Option<&(Checkpoint, String)>, JournalError> {
        let mut note = None;
        while let Step::Batch(batch) = self.walk.next()? {
            note = Some(batch.note);
        }
        if let Some(note) = note {
            let checkpoint = Checkpoint::open(&note, &self.key)
                .map_err(|e| JournalError::Broken { why: format!("its newest checkpoint is none: {e}") })?;
            self.last = Some((checkpoint, note));
        }
        Ok(self.last.as_ref())
    }
}
