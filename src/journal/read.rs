//! Reading a log without its key and its lock, also one that is being written or lies on read-only media. Only
//! records under a commit line are given out; whether they are true is for [`super::verify`] to say.

use super::checkpoint::{BadNote, Checkpoint};
use super::error::{Damage, JournalError};
use super::key::{KeyRing, VerifierKey};
use super::kind::Kind;
use super::pruned::Pruned;
use super::record::{NotARecord, Record};
use super::rotation::Rotation;
use super::store::file::batch::Batch;
use super::store::file::chain::Chain;
use super::store::file::hashes::tree_before;
use super::store::file::pruned::{beginning, elsewhere};
use super::store::file::times;
pub use super::store::file::walk::Whole;
use super::store::file::walk::{Step, Walk};
use super::tree::{Hash, record_hash};
use crate::domain::id::IncidentId;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::path::Path;

/// Which records to give out; what is left open admits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// By this user.
    pub actor: Option<String>,
    /// Of these kinds; empty for all.
    pub kinds: Vec<Kind>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// From this number on.
    pub first: Option<u64>,
    /// Up to and with this number.
    pub last: Option<u64>,
}

impl Filter {
    /// Whether a record is wanted.
    pub fn admits(&self, record: &Record) -> bool {
        self.incident.as_ref().is_none_or(|id| record.incident.as_ref() == Some(id))
            && self.actor.as_ref().is_none_or(|user| record.actor.user == *user)
            && (self.kinds.is_empty() || self.kinds.contains(&record.kind))
            && self.since.is_none_or(|t| record.time >= t)
            && self.until.is_none_or(|t| record.time < t)
            && self.first.is_none_or(|seq| record.seq >= seq)
            && self.last.is_none_or(|seq| record.seq <= seq)
    }
}

/// The key that a log was made with, where `known` is any of its keys: a later one is followed back through the
/// `key.rotated` records. Nothing is proven by that: who verifies from the first key on has to come upon `known`.
/// Where the records do not lead back from it, it is taken for the first.
pub fn first_key(dir: &Path, known: &VerifierKey) -> Result<VerifierKey, JournalError> {
    let (mut walk, base) = beginning(dir)?;
    let mut first = None;
    if let Some(ring) = base.ring() {
        if ring.contains(known) {
            return Ok(ring.first().clone());
        }
        first = Some(ring.first().clone());
    }
    let Step::Batch(batch) = walk.next()? else { return Ok(known.clone()) };
    if !matches!(Checkpoint::open(&batch.note, known), Err(BadNote::OtherKey { .. })) {
        return Ok(known.clone());
    }
    // Damage is for the verification to name.
    while let Ok(Step::Batch(batch)) = walk.next() {
        if let Ok(Some(rotation)) = Rotation::of_batch(batch.records())
            && let (Ok(from), Ok(to)) = (rotation.from(), rotation.to())
        {
            let first = first.get_or_insert(from);
            if to == *known {
                return Ok(first.clone());
            }
        }
    }
    Ok(known.clone())
}

/// The changes of keys that a log tells of, in its order: after how many records, from which key, to which. Whether
/// both keys signed for them is for [`super::verify`] to say.
pub fn rotations(dir: &Path) -> Result<Vec<(u64, VerifierKey, VerifierKey)>, JournalError> {
    let (mut walk, base) = beginning(dir)?;
    let moved = base.ring();
    let keys: Vec<_> = moved.iter().flat_map(KeyRing::keys).collect();
    let mut found: Vec<_> = keys
        .windows(2)
        .filter_map(|pair| match pair {
            [(_, from), (after, to)] => Some((*after, VerifierKey::clone(from), VerifierKey::clone(to))),
            _ => None,
        })
        .collect();
    while let Step::Batch(batch) = walk.next()? {
        if let Ok(Some(rotation)) = Rotation::of_batch(batch.records())
            && let (Ok(from), Ok(to)) = (rotation.from(), rotation.to())
        {
            found.push((walk.seq(), from, to));
        }
    }
    Ok(found)
}

/// A record with the exact bytes that are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// Its line, without the newline: what the tree's leaf hashes.
    pub bytes: Vec<u8>,
}

/// Goes through a log. It ends where the log ends at the moment, and goes on when it is asked again later: that is
/// how a log is followed. After an error it has nothing more to say.
#[derive(Debug)]
pub struct Reader {
    walk: Walk,
    filter: Filter,
    waiting: VecDeque<Stored>,
    done: bool,
    /// The tree so far, where every batch is held against its checkpoint.
    chain: Option<Chain>,
    /// Number of the record from which on none can be wanted, as far as that was known at the beginning.
    end: Option<u64>,
}

impl Reader {
    /// Begins to read; the segments before the first wanted record are passed over.
    pub fn open<'a>(at: impl Into<Whole<'a>>, filter: Filter) -> Result<Self, JournalError> {
        let walk = Walk::open(at, filter.first.unwrap_or(0))?;
        Ok(Self { walk, filter, waiting: VecDeque::new(), done: false, chain: None, end: None })
    }

    /// Begins to read and gives out a batch only when its form, its numbers and the root of its checkpoint are right: the
    /// first damage ends it. Signatures are not checked. Segments that can hold nothing that is wanted, by the numbers and
    /// the times of their first records, are passed over where the tiles tell of the tree before the rest; else it
    /// begins at the first record that is here.
    pub fn checked<'a>(at: impl Into<Whole<'a>>, filter: Filter) -> Result<Self, JournalError> {
        let at = at.into();
        let (from, end) = times::span(at, filter.since, filter.until)?;
        let (walk, base) = beginning(at)?;
        let (walk, chain) = match later(at, from.max(filter.first.unwrap_or(0)), base.size())? {
            Some(begun) => begun,
            None => (walk, base.pruned().map_or_else(Chain::default, |p| Chain::from(p.origin(), p.tree().clone()))),
        };
        Ok(Self { walk, filter, waiting: VecDeque::new(), done: false, chain: Some(chain), end })
    }

    /// Whether nothing that comes later can be wanted.
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// That bytes lie after the last commit and stay there: no writer's work in hand, but torn or put there. Only of
    /// use at the end.
    pub fn torn(&mut self) -> Result<Option<Damage>, JournalError> {
        let Step::End { torn } = self.walk.next_settled()? else { return Ok(None) };
        if torn == 0 {
            return Ok(None);
        }
        let (segment, _, line) = self.walk.place();
        let why = format!("{torn} bytes after the last commit, torn or put there");
        Ok(Some(Damage { seq: self.walk.seq(), through: self.walk.seq(), file: segment.name(), line, why }))
    }

    /// Number of the record that comes after the last batch that was read.
    pub const fn seq(&self) -> u64 {
        self.walk.seq()
    }

    fn read(&mut self) -> Result<Option<Stored>, JournalError> {
        loop {
            if let Some(stored) = self.waiting.pop_front() {
                return Ok(Some(stored));
            }
            if self.done {
                return Ok(None);
            }
            let first = self.walk.seq();
            if self.filter.last.is_some_and(|last| first > last) || self.end.is_some_and(|end| first >= end) {
                self.done = true;
                return Ok(None);
            }
            let before = self.walk.here();
            let Step::Batch(batch) = self.walk.next()? else { return Ok(None) };
            let file = self.walk.place().0.name();
            let taken = match &mut self.chain {
                Some(chain) => chain.take(&batch, &file).map(|_| ()),
                None => Ok(()),
            };
            let is_true = taken.is_ok() && self.chain.is_some();
            match taken.and_then(|()| self.wanted(&batch, first, &file)) {
                Ok(wanted) => self.waiting = wanted,
                Err(error) => {
                    self.walk.back_to(before)?;
                    // A live writer may have been in the middle of it; under a true root nothing changes any more.
                    if is_true || self.walk.stands(batch.bytes())? {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The wanted records of a batch.
    fn wanted(&self, batch: &Batch, first: u64, file: &str) -> Result<VecDeque<Stored>, JournalError> {
        let mut wanted = VecDeque::new();
        for ((seq, line), bytes) in (first..).zip(batch.line..).zip(batch.records()) {
            let record = Record::parse(bytes).map_err(|e| understood(e, file, line, seq))?;
            if self.filter.admits(&record) {
                wanted.push_back(Stored { record, bytes: bytes.to_vec() });
            }
        }
        Ok(wanted)
    }
}

/// The start of the segment that holds record `seq`, with the tree before it, if that is known and lies beyond the first
/// `base` records.
fn later(at: Whole<'_>, seq: u64, base: u64) -> Result<Option<(Walk, Chain)>, JournalError> {
    if seq <= base {
        return Ok(None);
    }
    let walk = Walk::open(at, seq)?;
    if walk.seq() <= base {
        return Ok(None);
    }
    let tree = tree_before(at.dir, walk.seq());
    Ok(tree.map(|(origin, tree)| (walk, Chain::from(&origin, tree))))
}

impl Iterator for Reader {
    type Item = Result<Stored, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        self.done |= read.is_err();
        read.transpose()
    }
}

/// One record with the place where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The record as stored.
    pub stored: Stored,
    /// Segment, below the journal's directory.
    pub file: String,
    /// Line in it, from 1 on.
    pub line: u64,
    /// Its leaf in the tree.
    pub leaf: Hash,
    /// First and last record of its batch.
    pub batch: (u64, u64),
    /// Line of the commit that covers it, in the same segment.
    pub commit_line: u64,
    /// The signed checkpoint in that line.
    pub checkpoint: String,
}

/// Finds one record; `None` when the log does not reach that far.
pub fn find<'a>(at: impl Into<Whole<'a>>, seq: u64) -> Result<Option<Located>, JournalError> {
    let at = at.into();
    let mut walk = Walk::open(at, seq)?;
    if walk.seq() > seq {
        return Err(elsewhere(&walk, at.dir, seq));
    }
    loop {
        let first = walk.seq();
        let Step::Batch(batch) = walk.next()? else { return Ok(None) };
        let last = walk.seq().saturating_sub(1);
        if last < seq {
            continue;
        }
        let file = walk.place().0.name();
        let place = (first..).zip(batch.line..).zip(batch.records()).find(|((n, _), _)| *n == seq);
        let Some(((_, line), bytes)) = place else { return Ok(None) };
        let damage = |why| JournalError::Damaged(Damage { seq, through: seq, file: file.clone(), line, why });
        let record = Record::parse(bytes).map_err(|e| understood(e, &file, line, seq))?;
        if record.seq != seq {
            return Err(damage(format!("the record with number {} stands here", record.seq)));
        }
        return Ok(Some(Located {
            stored: Stored { record, bytes: bytes.to_vec() },
            line,
            leaf: record_hash(bytes),
            batch: (first, last),
            commit_line: batch.line + batch.lines() - 1,
            checkpoint: batch.note,
            file,
        }));
    }
}

/// What was moved to an archive before the first record that is here; nothing when the log begins with its first.
pub fn moved(dir: &Path) -> Result<Option<Pruned>, JournalError> {
    beginning(dir).map(|(_, base)| base.pruned().cloned())
}

/// Numbers of the first records of the segments, in order.
pub fn segment_starts(dir: &Path) -> Result<Vec<u64>, JournalError> {
    Ok(Whole::from(dir).segments()?.into_iter().map(|s| s.first).collect())
}

/// Why bytes under a true root are no record to this program: a later program wrote them.
fn understood(error: NotARecord, file: &str, line: u64, seq: u64) -> JournalError {
    match error {
        NotARecord::Future { found } => JournalError::FutureVersion { file: file.to_owned(), line, found },
        NotARecord::Form(_) | NotARecord::TooLong | NotARecord::Lacks(_) => {
            let (file, why) = (file.to_owned(), error.to_string());
            JournalError::Damaged(Damage { seq, through: seq, file, line, why })
        }
        NotARecord::Member { why } => JournalError::Foreign { seq, why },
    }
}
