//! The sealed openings of what records only commit to. One may be deleted one day, so that a missing or damaged one is
//! noted and is no damage of the log: the record says nothing less without it.

use crate::journal::commitment::{Commitment, Reference, references, sealed};
use crate::journal::error::JournalError;
use crate::journal::record::Record;
use crate::journal::store::file::evidence::digest;
use serde::Serialize;
use std::path::Path;

/// What stands before each commitment in a canonical record. In a text the quotes would be escaped.
const MARK: &[u8] = b"\"commitment\":\"sha256:";

/// A record that commits to a value.
#[derive(Debug)]
pub struct Committed {
    seq: u64,
    reference: Reference,
}

/// How an opening stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// It is not there: it was deleted, or is kept with another copy of the log.
    Missing,
    /// It is there with other bytes than its record says.
    Damaged,
}

/// An opening that can not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Note {
    /// The record that commits.
    pub record: u64,
    /// To what.
    pub commitment: Commitment,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What was found of the openings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Openings {
    /// Those that are there with the bytes that their records say.
    pub kept: u64,
    /// Those that are not.
    pub notes: Vec<Note>,
}

/// What a record commits to. Cheap for every record that does not.
pub fn committed(record: &[u8], seq: u64) -> Vec<Committed> {
    if memchr::memmem::find(record, MARK).is_none() {
        return vec![];
    }
    let Ok(record) = Record::parse(record) else { return vec![] };
    references(&record.body).into_iter().map(|reference| Committed { seq, reference }).collect()
}

/// Looks at every opening below a journal's directory.
pub fn check(dir: &Path, committed: &[Committed]) -> Result<Openings, JournalError> {
    let mut openings = Openings::default();
    for Committed { seq, reference } in committed {
        let Reference { commitment, opening } = reference;
        let trouble = match sealed(dir, commitment) {
            Ok(None) => Some(Trouble::Missing),
            Ok(Some(bytes)) => opening.as_ref().is_some_and(|o| *o != digest(&bytes)).then_some(Trouble::Damaged),
            // A link is not the file that was kept.
            Err(JournalError::Symlink { .. }) => Some(Trouble::Damaged),
            Err(other) => return Err(other),
        };
        match trouble {
            None => openings.kept += 1,
            Some(trouble) => openings.notes.push(Note { record: *seq, commitment: commitment.clone(), trouble }),
        }
    }
    Ok(openings)
}
