//! Proofs over a log in a directory, also a copied or a read-only one: roots, inclusion and consistency (RFC 6962
//! section 2.1), and the C2SP file that carries one. Called by the command line, the console and `attest`.

mod bundle;
#[cfg(test)]
pub(super) mod tests;

pub use bundle::{BadProof, Bundle};

use super::error::JournalError;
use super::key::VerifierKey;
use super::read::{Located, Stored, Whole, find};
use super::store::file::hashes::{Hashes, end, note_over};
use super::tree::{Hash, record_hash};
use std::path::Path;

/// Root over the first `size` records.
pub fn root(dir: &Path, size: u64) -> Result<Hash, JournalError> {
    Hashes::new(dir, size).ask(|hashes| tlog_tiles::tree_hash(size, hashes))
}

/// The hashes that show record `seq` in the tree over the first `size` records, from its sibling up.
pub fn inclusion<'a>(at: impl Into<Whole<'a>>, seq: u64, size: u64) -> Result<Vec<Hash>, JournalError> {
    if seq >= size {
        return Err(JournalError::NotInTree { seq, size });
    }
    Hashes::new(at, size).ask(|hashes| tlog_tiles::prove_record(size, seq, hashes))
}

/// The hashes that show that the tree over the first `new` records continues the one over the first `old`. None are
/// needed from the empty tree, nor between equal sizes.
pub fn consistency(dir: &Path, old: u64, new: u64) -> Result<Vec<Hash>, JournalError> {
    if old > new {
        return Err(JournalError::Backwards { old, new });
    }
    if old == 0 || old == new {
        // The answer does not depend on the log, but that it has so many records does.
        return root(dir, new).map(|_| vec![]);
    }
    Hashes::new(dir, new).ask(|hashes| tlog_tiles::prove_tree(new, old, hashes))
}

/// A record with the proof that it stands in the log whose key this is: under the cosigned checkpoint where that
/// covers it, else under one that the log alone has signed. The proof has been checked.
pub fn prove<'a>(at: impl Into<Whole<'a>>, seq: u64, key: &VerifierKey) -> Result<(Bundle, Stored), JournalError> {
    let at = at.into();
    let dir = at.dir;
    let Some(Located { stored, .. }) = find(at, seq)? else {
        return Err(JournalError::NotInTree { seq, size: end(dir)? });
    };
    let note = note_over(dir, seq, key)?;
    let size = super::checkpoint::Checkpoint::read_cosigned(&note).map_or(0, |c| c.size);
    let bundle = Bundle { extra: None, seq, hashes: inclusion(at, seq, size)?, note };
    match bundle.verify(record_hash(&stored.bytes), key, &[]) {
        Ok(_) => Ok((bundle, stored)),
        Err(why) => Err(JournalError::Unproved { seq, why }),
    }
}
