//! What makes a batch true: records in form and in number, and a checkpoint whose root is theirs. Signatures
//! are checked apart, because they cost a hundred times as much.

use super::batch::Batch;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Damage, JournalError};
use crate::journal::record::{Head, NotARecord};
use crate::journal::tree::Frontier;

/// The tree up to some batch of one log.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    frontier: Frontier,
    origin: Option<String>,
}

impl Chain {
    /// A chain that takes checkpoints of this origin only.
    pub fn of(origin: &str) -> Self {
        Self { frontier: Frontier::default(), origin: Some(origin.to_owned()) }
    }

    /// The tree over the batches so far.
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Name of the log, once a batch or the caller has said it.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Takes in the batch that lies in `file`. On an error the chain stays as it was.
    pub fn take(&mut self, batch: &Batch, file: &str) -> Result<Checkpoint, JournalError> {
        self.take_watching(batch, file, |_| {})
    }

    /// As [`Chain::take`], and `watch` sees the tree after each record.
    pub fn take_watching(
        &mut self,
        batch: &Batch,
        file: &str,
        mut watch: impl FnMut(&Frontier),
    ) -> Result<Checkpoint, JournalError> {
        let first = self.frontier.size();
        let mut frontier = self.frontier.clone();
        let count = batch.records().len() as u64;
        let damage = |seq: u64, through: u64, line: u64, why: String| {
            JournalError::Damaged(Damage { seq, through, file: file.to_owned(), line, why })
        };
        for (line, bytes) in (batch.line..).zip(batch.records()) {
            let seq = frontier.size();
            match Head::read(bytes) {
                Ok(head) if head.seq == seq => frontier.append(bytes),
                Ok(head) => {
                    return Err(damage(seq, seq, line, format!("the record with number {} stands here", head.seq)));
                }
                Err(NotARecord::Future { found }) => {
                    return Err(JournalError::FutureVersion { file: file.to_owned(), line, found });
                }
                Err(why) => return Err(damage(seq, seq, line, why.to_string())),
            }
            watch(&frontier);
        }
        let last = frontier.size().saturating_sub(1).max(first);
        let commit_line = batch.line + count;
        let whole = |why: String| damage(first, last, commit_line, why);
        if count == 0 {
            return Err(whole("a commit line without records".into()));
        }
        if batch.from != first {
            let why = format!("its commit line says that it begins with record {}", batch.from);
            return Err(whole(why));
        }
        let checkpoint = Checkpoint::read(&batch.note).map_err(|e| whole(format!("its commit line: {e}")))?;
        if let Some(origin) = &self.origin
            && *origin != checkpoint.origin
        {
            let found = crate::domain::text::sanitize(&checkpoint.origin);
            return Err(whole(format!("its checkpoint is of the log `{found}`, not of `{origin}`")));
        }
        if checkpoint.size != frontier.size() {
            let (found, counted) = (checkpoint.size, frontier.size());
            return Err(whole(format!("its checkpoint covers {found} records, and {counted} are there")));
        }
        if checkpoint.root != frontier.root() {
            return Err(whole("the root of its checkpoint is not the root of the records".into()));
        }
        self.origin.get_or_insert_with(|| checkpoint.origin.clone());
        self.frontier = frontier;
        Ok(checkpoint)
    }
}
