//! Where exactly something is wrong. Verification finds that a batch does not hold; what its lines and its signed
//! checkpoint say together, and the leaf hashes of tiles where a signed root vouches for them, tells more: often the
//! one record. Nothing is named that the evidence does not bear out: what was cut out of the middle of a batch leaves
//! a gap in the numbers, but what is missing at its end may be anything in it, renumbered.

use super::pass::Located;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::Damage;
use crate::journal::key::KeyRing;
use crate::journal::record::{Head, NotARecord};
use crate::journal::store::file::batch::{COMMIT_PREFIX, LONGEST_BATCH, looks_like_commit};
use crate::journal::store::file::leaves::leaf_hashes;
use crate::journal::store::file::walk::{Spot, Step, Walk, Whole};
use crate::journal::tree::{Frontier, Hash, record_hash};
use std::path::{Path, PathBuf};

/// How many places are tried for lines that were put in; each try hashes the batch.
const TRIES: usize = 64;

/// What there is to tell by.
pub struct Clues<'a> {
    /// The log.
    pub at: Whole<'a>,
    /// The keys that sign.
    pub ring: &'a KeyRing,
    /// Directories with a `tile` folder, the log's own or a copy's.
    pub tiles: &'a [PathBuf],
}

/// A batch that does not hold, taken apart.
struct Scene<'a> {
    located: &'a Located,
    /// The tree before it.
    before: &'a Frontier,
    lines: Vec<&'a [u8]>,
    /// The number in each line that is a record.
    numbers: Vec<Option<u64>>,
    file: String,
}

impl Clues<'_> {
    /// Narrows what was found in a batch with the tree `before` it.
    pub fn batch(&self, located: &Located, before: &Frontier, found: Damage) -> Damage {
        let scene = Scene::new(located, before);
        let (first, count) = (located.first, scene.lines.len());
        let front = scene.front();
        let signed = match Checkpoint::open(&located.batch.note, self.ring.current()) {
            Ok(signed) if signed.size > first => signed,
            // A commit line alone: that of the batch before once more, or another one put there.
            _ if count == 0 => {
                let last = first.saturating_sub(1);
                return Damage { seq: located.batch.from.min(last), through: last, ..found };
            }
            untrue => {
                let why = match untrue {
                    // Of another log altogether, as was found.
                    _ if Checkpoint::read(&located.batch.note)
                        .is_ok_and(|c| c.origin != self.ring.current().name()) =>
                    {
                        found.why
                    }
                    Ok(stale) => format!("its commit line carries the checkpoint over {} records", stale.size),
                    Err(why) => format!("its commit line: {why}"),
                };
                return if front < count { scene.records(front, count, scene.reason(front)) } else { scene.whole(why) };
            }
        };
        if let Some(damage) = self.tiles.iter().find_map(|dir| scene.by_tiles(dir, &signed)) {
            return damage;
        }
        let expected = usize::try_from(signed.size - first).unwrap_or(usize::MAX);
        if front == count && count == expected {
            return Damage { seq: first, through: signed.size - 1, ..found };
        }
        if let Some(damage) = scene.ruined_commit(front) {
            return damage;
        }
        let next = first + count as u64;
        if count > 0 && front == count && count < expected && self.comes_next(located) == Some(next) {
            // Nothing is missing: the commit line is that of a later batch, or stands one record too early.
            let through = if signed.size == next + 1 { next } else { next - 1 };
            let why = format!("its commit line is that of the records up to {}", signed.size - 1);
            return Damage { through, ..scene.whole(why) };
        }
        let back = scene.back(signed.size);
        if count > expected {
            return scene.put_in(front, back, expected, &signed);
        }
        if front == count && count > 0 {
            return Damage { seq: first, through: signed.size - 1, ..found };
        }
        let is_gap = scene.numbers.get(front).is_none_or(Option::is_some);
        let why = if count < expected && is_gap { "records are missing here".to_owned() } else { scene.reason(front) };
        scene.records(front, expected.saturating_sub(back), why)
    }

    /// Narrows what was found in lines that are no batch, or that have no commit line after them: at `place`, which
    /// is after the last batch.
    pub fn lines(&self, place: &Spot, found: Damage) -> Damage {
        let walk = Walk::resume(self.at, place.clone());
        let Some(bytes) = walk.ok().and_then(|walk| walk.bytes(LONGEST_BATCH).ok()) else { return found };
        // Newlines at the end are room that was set aside.
        let end = bytes.iter().rposition(|b| *b != b'\n').map_or(0, |at| at + 2);
        let mut count = 0;
        for line in bytes.get(..end).unwrap_or(&bytes).split_inclusive(|b| *b == b'\n') {
            let seq = place.seq + count;
            let record = Damage { seq, through: seq, line: place.line + count, ..found.clone() };
            let commit = Damage { seq: place.seq, through: seq.saturating_sub(1), ..record.clone() };
            let (line, is_whole) = line.strip_suffix(b"\n").map_or((line, false), |line| (line, true));
            let is_commit = count > 0 && (line.starts_with(COMMIT_PREFIX) || (looks_like_commit(line) && kin(line)));
            let is_beginning = count > 0 && !line.is_empty() && COMMIT_PREFIX.starts_with(line);
            if is_commit || is_beginning {
                return Damage { why: "the commit line of these records is damaged".to_owned(), ..commit };
            }
            match Head::read(line) {
                // The commit line of the records before it is gone, or this is what is left of it.
                _ if !is_whole && count > 0 => return Damage { through: seq, ..commit },
                _ if !is_whole || line.is_empty() => return record,
                Ok(Head { seq: number }) if number == seq => {}
                Ok(Head { seq: number }) => {
                    return Damage { why: format!("the record with number {number} stands here"), ..record };
                }
                Err(NotARecord::Future { .. }) => {}
                Err(why) => return Damage { why: why.to_string(), ..record },
            }
            count += 1;
        }
        Damage { seq: place.seq, through: (place.seq + count).saturating_sub(1).max(place.seq), ..found }
    }

    /// Number in the line after a batch.
    fn comes_next(&self, located: &Located) -> Option<u64> {
        let mut place = located.place();
        place.offset += located.batch.byte_len();
        place.line += located.batch.lines();
        place.seq += located.batch.records().len() as u64;
        let Ok(Step::Batch(next)) = Walk::resume(self.at, place).ok()?.next() else { return None };
        next.records().next().and_then(number)
    }
}

/// Whether a line begins more like a commit line than like a record, whose first member is `actor`.
fn kin(line: &[u8]) -> bool {
    let alike = |prefix: &[u8]| line.iter().zip(prefix).filter(|(a, b)| a == b).count();
    alike(COMMIT_PREFIX) > alike(b"{\"actor\":{\"con")
}

/// The number that a line bears, if it is a record.
fn number(line: &[u8]) -> Option<u64> {
    Head::read(line).ok().map(|head| head.seq)
}

impl<'a> Scene<'a> {
    fn new(located: &'a Located, before: &'a Frontier) -> Self {
        let lines: Vec<_> = located.batch.records().collect();
        let numbers = (located.first..).zip(&lines).map(|(seq, line)| match Head::read(line) {
            Ok(head) => Some(head.seq),
            // Of a later version only the root can tell anything.
            Err(NotARecord::Future { .. }) => Some(seq),
            Err(_) => None,
        });
        let numbers = numbers.collect();
        Self { located, before, lines, numbers, file: located.segment.name() }
    }

    /// How many lines from the first on have the number that they should have.
    fn front(&self) -> usize {
        self.numbers.iter().zip(self.located.first..).take_while(|(n, seq)| **n == Some(*seq)).count()
    }

    /// How many lines from the last on have the number that they should have in a log of `size` records.
    fn back(&self, size: u64) -> usize {
        self.numbers.iter().rev().zip((self.located.first..size).rev()).take_while(|(n, seq)| **n == Some(*seq)).count()
    }

    /// The records in the places from `from` up to but without `to`, at least one.
    fn records(&self, from: usize, to: usize, why: String) -> Damage {
        let Located { first, batch, .. } = self.located;
        let (from, to) = (from as u64, to as u64);
        let through = first + to.saturating_sub(1).max(from);
        Damage { seq: first + from, through, file: self.file.clone(), line: batch.line + from, why }
    }

    /// The whole batch.
    fn whole(&self, why: String) -> Damage {
        let line = self.located.batch.line + self.lines.len() as u64;
        Damage { line, ..self.records(0, self.lines.len(), why) }
    }

    /// What is wrong with the line in a place.
    fn reason(&self, place: usize) -> String {
        match self.lines.get(place).map(|line| Head::read(line)) {
            None => "records are missing here".to_owned(),
            Some(Err(why)) => why.to_string(),
            Some(Ok(head)) if head.seq == self.located.first + place as u64 => {
                "this is not the record that was committed".to_owned()
            }
            Some(Ok(head)) => format!("the record with number {} stands here", head.seq),
        }
    }

    /// A line that is no record where a commit line was, as what is left of it or the later commit line tells: that
    /// says where its own batch begins.
    fn ruined_commit(&self, front: usize) -> Option<Damage> {
        let line = self.lines.get(front).filter(|line| front > 0 && number(line).is_none())?;
        let (at, next) = (self.located.first + front as u64, self.located.batch.from);
        let damage = |from: usize, to: usize| {
            let why = format!("the commit line of these records is damaged: {}", self.reason(front));
            Some(Damage { line: self.located.batch.line + front as u64, ..self.records(from, to, why) })
        };
        if next == at {
            damage(0, front)
        } else if !looks_like_commit(line) {
            None
        } else if next > at {
            // It has run into the records before it.
            damage(front, usize::try_from(next - self.located.first).unwrap_or(front))
        } else {
            damage(0, front + 1)
        }
    }

    /// More lines than were signed for: which of them were put in, if the root is right without them.
    fn put_in(&self, front: usize, back: usize, expected: usize, signed: &Checkpoint) -> Damage {
        let more = self.lines.len() - expected;
        let hashes: Vec<Hash> = self.lines.iter().map(|line| record_hash(line)).collect();
        let is_right_without = |at: &usize| {
            let rest = hashes.iter().enumerate().filter(|(n, _)| *n < *at || *n >= at + more);
            self.root_over(rest.map(|(_, hash)| *hash)) == signed.root
        };
        let earliest = expected.saturating_sub(back);
        match (earliest..=front).take(TRIES).find(is_right_without) {
            Some(at) => self.records(at, (at + more).min(expected), "what was never committed stands here".to_owned()),
            None => self.whole(format!(
                "its checkpoint covers {} records, and {} are there",
                signed.size,
                self.located.first + self.lines.len() as u64
            )),
        }
    }

    fn root_over(&self, hashes: impl Iterator<Item = Hash>) -> Hash {
        let mut tree = self.before.clone();
        hashes.for_each(|hash| tree.append_hash(hash));
        tree.root()
    }

    /// Holds the lines against the leaf hashes of tiles, if those hash to the signed root.
    fn by_tiles(&self, dir: &Path, signed: &Checkpoint) -> Option<Damage> {
        let committed = leaf_hashes(dir, self.located.first, signed.size)?;
        if self.root_over(committed.iter().copied()) != signed.root {
            return None;
        }
        let found: Vec<Hash> = self.lines.iter().map(|line| record_hash(line)).collect();
        let front = found.iter().zip(&committed).take_while(|(a, b)| a == b).count();
        let back = found.iter().rev().zip(committed.iter().rev()).take_while(|(a, b)| a == b).count();
        if front == found.len() && front == committed.len() {
            return None;
        }
        if let Some(damage) = self.ruined_commit(front) {
            return Some(damage);
        }
        if found.len() > committed.len() {
            let more = found.len() - committed.len();
            let at = front.min(committed.len() - 1);
            let to = committed.len().saturating_sub(back).max(at + more).min(committed.len());
            return Some(self.records(at, to, "what was never committed stands here".to_owned()));
        }
        let missing = found.len() < committed.len() && front + back >= found.len();
        let why = if missing { "records are missing here".to_owned() } else { self.reason(front) };
        Some(self.records(front, committed.len().saturating_sub(back), why))
    }
}
