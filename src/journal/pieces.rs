//! The log cut into pieces, byte for byte, for those who carry it elsewhere, and its signed notes and roots at given
//! sizes, for those who compare it with what was carried. Like [`super::read`] it needs no key and no lock.

use super::checkpoint::Checkpoint;
use super::error::{Damage, JournalError, READING};
use super::key::{KeyRing, VerifierKey};
use super::read::first_key;
use super::rotation::Rotation;
use super::store::file::batch::Batch;
use super::store::file::pruned::beginning;
use super::store::file::walk::{Step, Walk, Whole};
use super::tree::{Frontier, Hash};
use std::path::Path;

/// A segment as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Number of its first record, which is its name.
    pub first: u64,
    /// Length in bytes, what is set aside for later records included.
    pub len: u64,
    /// Whether another one follows, so that it does not change any more.
    pub sealed: bool,
}

/// The segments that are there, in order.
pub fn files(dir: &Path) -> Result<Vec<SegmentFile>, JournalError> {
    let all = Whole::from(dir).segments()?;
    let last = all.len().saturating_sub(1);
    all.iter()
        .enumerate()
        .map(|(n, segment)| {
            let meta = std::fs::metadata(&segment.path).map_err(|e| JournalError::io(READING, &segment.path, &e))?;
            Ok(SegmentFile { first: segment.first, len: meta.len(), sealed: n < last })
        })
        .collect()
}

/// Whole batches that follow each other in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The segment.
    pub segment: u64,
    /// Where in it they begin.
    pub offset: u64,
    /// Their exact bytes.
    pub bytes: Vec<u8>,
    /// Number of records up to their end.
    pub size: u64,
}

/// Goes over a log piece by piece, never beyond what its caller knows to be on the disk.
#[derive(Debug)]
pub struct Pieces {
    walk: Walk,
    /// Batches of this segment that begin before this offset are passed over.
    from: (u64, u64),
    /// Read, and not given out yet.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    segment: u64,
    size: u64,
    batch: Batch,
}

impl Pieces {
    /// Begins at an offset of a segment, which must be the end of a batch.
    pub fn open(dir: &Path, segment: u64, offset: u64) -> Result<Self, JournalError> {
        Ok(Self { walk: Walk::open(dir, segment)?, from: (segment, offset), held: None })
    }

    /// The next piece of at most `limit` bytes (but at least one batch) that ends at or before `durable` records;
    /// none when there is no whole batch yet. It may be asked again as the log grows.
    pub fn next(&mut self, durable: u64, limit: usize) -> Result<Option<Piece>, JournalError> {
        let mut piece: Option<Piece> = None;
        loop {
            let held = match self.held.take() {
                Some(held) => held,
                None => match self.read() {
                    Ok(Some(held)) => held,
                    Ok(None) => return Ok(piece),
                    // What was read before is given out first; the walk stays where it is and says this again.
                    Err(_) if piece.is_some() => return Ok(piece),
                    Err(error) => return Err(error),
                },
            };
            let joins = piece
                .as_ref()
                .is_none_or(|p| p.segment == held.segment && p.bytes.len() + held.batch.bytes().len() <= limit);
            if held.size > durable || !joins {
                self.held = Some(held);
                return Ok(piece);
            }
            let Held { segment, size, batch } = held;
            match &mut piece {
                Some(piece) => {
                    piece.bytes.extend_from_slice(batch.bytes());
                    piece.size = size;
                }
                None => piece = Some(Piece { segment, offset: batch.offset, bytes: batch.bytes().to_vec(), size }),
            }
        }
    }

    fn read(&mut self) -> Result<Option<Held>, JournalError> {
        loop {
            let Step::Batch(batch) = self.walk.next()? else { return Ok(None) };
            let (segment, size) = (self.walk.place().0, self.walk.seq());
            if segment.first == self.from.0 && batch.offset < self.from.1 {
                if batch.offset + batch.byte_len() > self.from.1 {
                    let seq = size - batch.records().len() as u64;
                    let why =
                        format!("byte {} was the end of a batch when it was copied, and is in one now", self.from.1);
                    let (file, line) = (segment.name(), batch.line);
                    return Err(JournalError::Damaged(Damage { seq, through: size.max(1) - 1, file, line, why }));
                }
                continue;
            }
            return Ok(Some(Held { segment: segment.first, size, batch }));
        }
    }
}

/// The root over the first `size` records, if a batch ends there whose note `signed` holds good for, or if they were
/// moved to an archive and the tiles know it.
pub fn root_at(
    dir: &Path,
    size: u64,
    signed: impl Fn(&str) -> Option<Checkpoint>,
) -> Result<Option<Hash>, JournalError> {
    if Walk::open(dir, 0)?.seq() >= size {
        return super::proof::root(dir, size).map(Some);
    }
    Ok(note_at(dir, size)?.and_then(|note| signed(&note)).map(|c| c.root))
}

/// The signed note of the batch that ends at `size` records; none when no batch ends there.
pub fn note_at(dir: &Path, size: u64) -> Result<Option<String>, JournalError> {
    let mut walk = Walk::open(dir, size.saturating_sub(1))?;
    while walk.seq() < size {
        let Step::Batch(batch) = walk.next()? else { return Ok(None) };
        if walk.seq() == size {
            return Ok(Some(batch.note));
        }
    }
    Ok(None)
}

/// What [`roots`] came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached {
    /// Number of records that were read.
    pub size: u64,
    /// Why it ended before the end of the log.
    pub damage: Option<Damage>,
    /// The keys that the log has had so far.
    pub ring: KeyRing,
}

/// Hashes the records and tells `found` the root at each of the sizes, which must ascend; it is not told of those
/// that the log does not reach. `known` is any key of the log.
pub fn roots(
    dir: &Path,
    known: &VerifierKey,
    sizes: &[u64],
    mut found: impl FnMut(u64, Hash),
) -> Result<Reached, JournalError> {
    let (mut walk, base) = beginning(dir)?;
    let mut tree = base.tree();
    let mut ring = base.ring().map_or_else(|| first_key(dir, known).map(KeyRing::of), Ok)?;
    let mut wanted = sizes.iter().copied().filter(|s| *s > 0).peekable();
    // Of what was moved the tiles know the roots.
    while let Some(size) = wanted.next_if(|size| *size <= tree.size()) {
        found(size, super::proof::root(dir, size)?);
    }
    loop {
        let batch = match walk.next() {
            Ok(Step::Batch(batch)) => batch,
            Ok(Step::End { .. }) => return Ok(Reached { size: tree.size(), damage: None, ring }),
            Err(JournalError::Damaged(damage)) => {
                return Ok(Reached { size: tree.size(), damage: Some(damage), ring });
            }
            Err(other) => return Err(other),
        };
        let (seq, line, file) = (tree.size(), batch.line, walk.place().0.name());
        if let Err(why) = rotated(&batch, &tree, &mut ring) {
            let damage = Damage { seq, through: seq, file, line, why };
            return Ok(Reached { size: seq, damage: Some(damage), ring });
        }
        for record in batch.records() {
            tree.append(record);
            if wanted.next_if_eq(&tree.size()).is_some() {
                found(tree.size(), tree.root());
            }
        }
    }
}

/// Enters the key that a batch puts in force, if it does. Its own checkpoint is the old key's.
fn rotated(batch: &Batch, before: &Frontier, ring: &mut KeyRing) -> Result<(), String> {
    let Some(rotation) = Rotation::of_batch(batch.records()).map_err(|e| e.to_string())? else { return Ok(()) };
    Checkpoint::open(&batch.note, ring.current()).map_err(|e| e.to_string())?;
    rotation.enter(ring, before.root()).map_err(|e| e.to_string())
}
