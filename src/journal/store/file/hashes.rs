//! The hashes of a log's tree: from its tiles where they are there and true, else from its records. Tiles are
//! derived, so nothing that they say counts before it is shown to hash to a root that the log's key signed.

use super::batch::Batch;
use super::pruned::{archived, beginning};
use super::tiles::{Tiles, read_file};
use super::walk::{Step, Walk, Whole};
use super::{CHECKPOINT, COSIGNED};
use crate::journal::checkpoint::{BadNote, Checkpoint};
use crate::journal::error::{Damage, JournalError};
use crate::journal::key::VerifierKey;
use crate::journal::pruned::Pruned;
use crate::journal::tile::MAX_TREE;
use crate::journal::tree::{Frontier, Hash, record_hash};
use crate::journal::verify::own_key;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use tlog_tiles::{Error, HashReader, stored_hash_count, stored_hash_index};

/// Greatest length of a note that is read.
pub const MAX_NOTE: u64 = 1 << 16;

/// Reads the hashes of the tree over the first `size` records of a log.
pub struct Hashes<'a> {
    at: Whole<'a>,
    size: u64,
    failed: RefCell<Option<JournalError>>,
}

impl<'a> Hashes<'a> {
    /// Those of a log.
    pub fn new(at: impl Into<Whole<'a>>, size: u64) -> Self {
        Self { at: at.into(), size, failed: RefCell::new(None) }
    }

    /// Asks `question`, whose answer is an error only when reading was.
    pub fn ask<T>(&self, question: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, JournalError> {
        if self.size > MAX_TREE {
            return Err(JournalError::TreeTooGreat { size: self.size });
        }
        question(self).map_err(|e| {
            let failed = self.failed.borrow_mut().take();
            failed.unwrap_or_else(|| JournalError::Broken { why: format!("its tree can not be computed: {e}") })
        })
    }
}

impl HashReader for Hashes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        if let Some(hashes) = from_tiles(self.at.dir, self.size, indexes) {
            return Ok(hashes);
        }
        from_records(self.at, self.size, indexes).map_err(|e| {
            self.failed.replace(Some(e));
            Error::IndexesNotInTree
        })
    }
}

/// The checkpoint that a log has published, if its own key signed it.
pub fn published(dir: &Path, key: &VerifierKey) -> Option<(Checkpoint, String)> {
    let note = String::from_utf8(read_file(&dir.join(CHECKPOINT), MAX_NOTE).ok()??).ok()?;
    let checkpoint = Checkpoint::open(&note, key).ok()?;
    Some((checkpoint, note))
}

/// The checkpoint beside the records that witnesses have cosigned, which the log's own key must have signed too.
/// Whether the log still holds its tree is not asked.
pub fn cosigned(dir: &Path, key: &VerifierKey) -> Result<Option<(Checkpoint, String)>, JournalError> {
    let Some(bytes) = read_file(&dir.join(COSIGNED), MAX_NOTE)? else { return Ok(None) };
    let note = String::from_utf8(bytes).map_err(|_| BadNote::Malformed("its encoding"));
    let opened = note.and_then(|note| Ok((Checkpoint::open_cosigned(&note, key)?, note)));
    match opened {
        // The key was rotated since.
        Err(BadNote::OtherKey { .. }) => Ok(None),
        opened => opened.map(Some).map_err(|why| JournalError::KeptCheckpoint { why }),
    }
}

/// A checkpoint that the log's key signed and that covers record `seq`: the cosigned one, else the published one,
/// else that of the last batch.
pub fn note_over(dir: &Path, seq: u64, key: &VerifierKey) -> Result<String, JournalError> {
    let covers = |found: &(Checkpoint, String)| found.0.size > seq;
    if let Some((_, note)) = cosigned(dir, key)?.filter(covers).or_else(|| published(dir, key).filter(covers)) {
        return Ok(note);
    }
    // The last segment may have no batch yet.
    for from in [u64::MAX, seq] {
        let mut walk = Walk::open(dir, from)?;
        let mut last = None;
        while let Step::Batch(batch) = walk.next()? {
            last = Some(batch.note);
        }
        if let Some(note) = last.filter(|_| walk.seq() > seq) {
            return Ok(note);
        }
    }
    Err(JournalError::NotInTree { seq, size: end(dir)? })
}

/// Number of records that are there, whatever is published.
pub fn end(dir: &Path) -> Result<u64, JournalError> {
    let mut walk = Walk::open(dir, u64::MAX)?;
    while let Step::Batch(_) = walk.next()? {}
    Ok(walk.seq())
}

/// The published checkpoint, if it is the commit that stands in the log at its size, with the walk after that. Tiles
/// that a log has left behind, because it was cut or replaced, say nothing of it.
pub fn published_commit(dir: &Path) -> Option<(Checkpoint, String, Walk)> {
    let (checkpoint, note) = published(dir, &own_key(dir).ok()?)?;
    let mut walk = Walk::open(dir, checkpoint.size.checked_sub(1)?).ok()?;
    let mut last = None;
    while walk.seq() < checkpoint.size {
        let Ok(Step::Batch(batch)) = walk.next() else { return None };
        last = Some(batch.note);
    }
    (walk.seq() == checkpoint.size && last.as_ref() == Some(&note)).then_some((checkpoint, note, walk))
}

/// The origin of a log and the tree over its first `size` records, from its tiles, if a published tree that reaches so
/// far vouches for them.
pub fn tree_before(dir: &Path, size: u64) -> Option<(String, Frontier)> {
    let (checkpoint, _, _) = published_commit(dir)?;
    let mut tiles = Tiles::open(dir, &checkpoint).filter(|_| size <= checkpoint.size)?;
    let peaks = peak_indexes(size).map(|index| tiles.hash(index)).collect::<Option<_>>()?;
    Some((checkpoint.origin, Frontier::of(size, peaks)?))
}

/// Hashes from tiles, if a published tree of at least `size` records vouches for all of them.
fn from_tiles(dir: &Path, size: u64, indexes: &[u64]) -> Option<Vec<Hash>> {
    let (checkpoint, _, _) = published_commit(dir)?;
    let mut tree = Tiles::open(dir, &checkpoint).filter(|_| size <= checkpoint.size)?;
    indexes.iter().map(|index| tree.hash(*index)).collect()
}

/// A hash over what was moved to an archive, from the tiles that stay, if it leads to the checkpoint over that.
fn from_moved(dir: &Path, tiles: &mut Option<Tiles>, pruned: &Pruned, index: u64) -> Option<Hash> {
    if tiles.is_none() {
        let signed = Checkpoint::read(pruned.note()).ok()?;
        *tiles = Tiles::at(dir, &signed, pruned.edges().to_vec());
    }
    tiles.as_mut()?.hash(index)
}

/// Hashes computed from the records, in one pass and in memory that does not grow with the log.
fn from_records(at: Whole<'_>, size: u64, indexes: &[u64]) -> Result<Vec<Hash>, JournalError> {
    let dir = at.dir;
    let mut found: BTreeMap<u64, Option<Hash>> = indexes.iter().map(|index| (*index, None)).collect();
    let (mut walk, base) = beginning(at)?;
    let mut tree = base.tree();
    let mut next = stored_hash_count(tree.size());
    // Of what was moved the complete subtrees are known: proofs of what is left need no more.
    for (index, peak) in peaks(&tree) {
        if let Some(place) = found.get_mut(&index) {
            *place = Some(peak);
        }
    }
    if let Some(pruned) = base.pruned() {
        let mut tiles = None;
        for (index, hash) in found.iter_mut().filter(|(index, hash)| **index < next && hash.is_none()) {
            *hash = Some(from_moved(dir, &mut tiles, pruned, *index).ok_or_else(|| archived(pruned, 0))?);
        }
    }
    let mut wanted = found.values().filter(|hash| hash.is_none()).count();
    while wanted > 0 {
        let Step::Batch(batch) = walk.next()? else {
            return Err(JournalError::BeyondTheEnd { dir: dir.to_owned(), asked: size, size: tree.size() });
        };
        let first = tree.size();
        for record in batch.records() {
            tree.append_watching(record_hash(record), |hash| {
                if let Some(place @ None) = found.get_mut(&next) {
                    *place = Some(hash);
                    wanted -= 1;
                }
                next += 1;
            });
        }
        check_root(&batch, &tree).map_err(|why| {
            let (through, line) = (tree.size().saturating_sub(1).max(first), batch.line + batch.lines() - 1);
            JournalError::Damaged(Damage { seq: first, through, file: walk.place().0.name(), line, why })
        })?;
    }
    Ok(indexes.iter().filter_map(|index| found.get(index).copied().flatten()).collect())
}

/// The complete subtrees of a tree, each with its index.
fn peaks(tree: &Frontier) -> impl Iterator<Item = (u64, Hash)> + '_ {
    peak_indexes(tree.size()).zip(tree.peaks().iter().copied())
}

/// The indexes of the complete subtrees of a tree of `size` records, the greatest first.
fn peak_indexes(size: u64) -> impl Iterator<Item = u64> {
    let mut begin = 0;
    let heights = (0..u64::BITS).rev().filter(move |height| size >> height & 1 == 1);
    heights.map(move |height| {
        let index = stored_hash_index(u8::try_from(height).unwrap_or(u8::MAX), begin >> height);
        begin += 1 << height;
        index
    })
}

/// Whether a batch's checkpoint is over the records up to its end.
pub fn check_root(batch: &Batch, tree: &Frontier) -> Result<Checkpoint, String> {
    let checkpoint = Checkpoint::read(&batch.note).map_err(|e| format!("its commit line: {e}"))?;
    if checkpoint.size == tree.size() && checkpoint.root == tree.root() {
        Ok(checkpoint)
    } else {
        Err("its checkpoint is not over the records that are there".to_owned())
    }
}
