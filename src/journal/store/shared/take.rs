//! From what the database holds to a batch that counts: every record in form and in its place, the root that was signed,
//! and the signature of the log's key. A database is believed nothing.

use super::Row;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Damage, JournalError};
use crate::journal::key::VerifierKey;
use crate::journal::record::Record;
use crate::journal::store::file::batch::{self, Batch, Found};
use crate::journal::store::file::chain::Chain;

/// What damage is in, where a file is named otherwise.
pub const DATABASE: &str = "the database";

/// A row as it lies in a segment, whether it is true or not.
pub fn lines(row: &Row) -> Result<Vec<u8>, JournalError> {
    let mut bytes = Vec::with_capacity(row.leaves.iter().map(|(_, leaf)| leaf.len() + 1).sum::<usize>() + 512);
    for (_, leaf) in &row.leaves {
        bytes.extend_from_slice(leaf);
        bytes.push(b'\n');
    }
    let commit = batch::commit_line(row.first, &row.note).map_err(|e| damage(row, format!("its checkpoint: {e}")))?;
    bytes.extend(commit);
    Ok(bytes)
}

fn damage(row: &Row, why: String) -> JournalError {
    let through = row.leaves.last().map_or(row.first, |(seq, _)| *seq).max(row.first);
    JournalError::Damaged(Damage { seq: row.first, through, file: DATABASE.to_owned(), line: 0, why })
}

/// A row that is true, and the records in it. The chain goes on over it.
pub fn take(row: &Row, chain: &mut Chain, key: &VerifierKey) -> Result<(Batch, Vec<Record>), JournalError> {
    if let Some(((seq, _), due)) = row.leaves.iter().zip(row.first..).find(|((seq, _), due)| seq != due) {
        return Err(damage(row, format!("record {due} is missing, and {seq} follows")));
    }
    let bytes = lines(row)?;
    // No batch of a shared log begins a segment anew.
    let found = batch::read(&mut bytes.as_slice(), 1, 1).map_err(|e| damage(row, e.to_string()))?;
    let Found::Batch(batch) = found else { return Err(damage(row, "it is no batch of records".to_owned())) };
    if batch.byte_len() != bytes.len() as u64 {
        return Err(damage(row, "it is no batch of records".to_owned()));
    }
    let before = chain.clone();
    chain.take(&batch, DATABASE)?;
    let opened = Checkpoint::open(&batch.note, key).map_err(|e| damage(row, format!("its checkpoint: {e}")));
    let records = batch.records().zip(row.first..).map(|(bytes, seq)| {
        Record::parse_checked(bytes).map_err(|e| JournalError::Foreign { seq, why: e.to_string() })
    });
    match opened.and_then(|_| records.collect::<Result<Vec<_>, _>>()) {
        Ok(records) => Ok((batch, records)),
        Err(why) => {
            *chain = before;
            Err(why)
        }
    }
}
