//! Moving sealed segments to an archive, in an order in which a crash at any point leaves every record in the log or in
//! the archive: the copies are there and were read back, `pruned.json` is on the disk under a waiting name, a
//! `journal.archived` record names its digest, it gets its name, and then the segments are removed. Copying is for
//! `attest::archive`; whoever holds the log calls [`check`], writes the record and calls [`finish`].

use super::error::{Damage, JournalError, READING};
use super::pieces::note_at;
use super::pruned::{Builder, Place, Pruned};
use super::read::first_key;
use super::record::Record;
use super::snapshot::Maker;
use super::store::file::hashes::check_root;
use super::store::file::lock::Lock;
use super::store::file::pruned::{self as files, beginning};
use super::store::file::snapshots;
use super::store::file::walk::{Step, Walk, Whole};
use super::verify::own_key;
use crate::domain::id::Digest;
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};

pub use files::{digest_of, forget, prepare, put_back, remove_entries};

/// Segments that go at a time: so many one record can name.
pub const AT_ONCE: usize = 200;

/// What has to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records that are younger than this.
    pub age: SignedDuration,
    /// So many of the newest records.
    pub records: u64,
}

/// A segment that does not change any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Number of its first record.
    pub first: u64,
    /// Number of its last record.
    pub last: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// Its name below the journal's directory.
    pub name: String,
    /// Time of its last record.
    pub ended: Timestamp,
    /// The files that its records name and that were not deleted since.
    pub evidence: Vec<Digest>,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Segments that can be copied, in order.
    pub sealed: Vec<Sealed>,
    /// How many of them may leave this disk.
    pub due: usize,
    /// Why no more of them may.
    pub stays: Option<String>,
    /// Segments that were moved before and have not left yet.
    pub left_over: usize,
}

/// Looks at a log. `format` is the version of the state's form, of which a named snapshot must stand for what goes.
/// Without a retention nothing may go.
pub fn plan(dir: &Path, retention: Option<Retention>, format: u64, now: Timestamp) -> Result<Plan, JournalError> {
    let at = Whole::from(dir);
    let all = at.segments()?;
    let left_over = super::store::file::walk::segments(dir)?.len() - all.len();
    let mut sealed = vec![];
    let (mut walk, base) = beginning(dir)?;
    let mut builder = builder(dir, base.pruned())?;
    let mut size = walk.seq();
    for (segment, next) in all.iter().zip(all.iter().skip(1)) {
        let mut ended = Timestamp::MIN;
        while walk.seq() < next.first {
            let Step::Batch(batch) = walk.next()? else { return Err(unfinished(&walk)) };
            builder.take(batch.records(), &batch.note);
            let last = batch.records().last().unwrap_or_default();
            ended = Record::parse(last).map_or(ended, |r| ended.max(r.time));
        }
        sealed.push(Sealed {
            first: segment.first,
            last: next.first.saturating_sub(1),
            path: segment.path.clone(),
            name: segment.name(),
            ended,
            evidence: vec![],
        });
    }
    while let Step::Batch(batch) = walk.next()? {
        builder.take(batch.records(), &batch.note);
    }
    size = size.max(walk.seq());
    for evidence in builder.evidence().iter().filter(|e| e.redacted.is_none()) {
        if let Some(segment) = sealed.iter_mut().find(|s| (s.first..=s.last).contains(&evidence.record)) {
            segment.evidence.push(evidence.sha256.clone());
        }
    }
    let (due, stays) = match retention {
        None => (0, Some("no [journal.retention] says what may go".to_owned())),
        Some(retention) => {
            let covered = snapshots::named(dir, format, Maker::Any)?.map_or(0, |s| s.place.tree.size());
            let reason = |s: &Sealed| keeps(s, retention, size, covered, now);
            let due = sealed.iter().take_while(|s| reason(s).is_none()).count();
            (due, sealed.get(due).and_then(reason))
        }
    };
    Ok(Plan { sealed, due, stays, left_over })
}

/// Why a segment has to stay.
fn keeps(segment: &Sealed, retention: Retention, size: u64, covered: u64, now: Timestamp) -> Option<String> {
    let Sealed { first, last, ended, .. } = segment;
    if now.duration_since(*ended) < retention.age {
        let hours = retention.age.as_hours();
        return Some(format!("records {first} to {last} end on {ended}, less than {} days ago", hours / 24));
    }
    if size.saturating_sub(last + 1) < retention.records {
        let left = size.saturating_sub(last + 1);
        return Some(format!(
            "without records {first} to {last} only {left} would be left, and {} have to stay",
            retention.records
        ));
    }
    (covered <= *last).then(|| {
        format!(
            "no snapshot of the state stands for records {first} to {last}: the newest that a record names covers \
             {covered}; an engine makes one every 4096 records and at its end"
        )
    })
}

fn builder(dir: &Path, moved: Option<&Pruned>) -> Result<Builder, JournalError> {
    match moved {
        Some(moved) => Ok(Builder::from(moved)),
        None => Ok(Builder::new(&first_key(dir, &own_key(dir)?)?)),
    }
}

fn unfinished(walk: &Walk) -> JournalError {
    let (segment, _, line) = walk.place();
    let (seq, why) = (walk.seq(), "the segment ends before the next one begins".to_owned());
    JournalError::Damaged(Damage { seq, through: seq, file: segment.name(), line, why })
}

/// A segment with its copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Number of its last record.
    pub last: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Where copies were put and read back.
    pub places: Vec<Place>,
}

/// The bytes of `pruned.json` when these segments, the first that are here, have gone.
pub fn describe(dir: &Path, copied: &[Copied]) -> Result<Vec<u8>, JournalError> {
    let (mut walk, base) = beginning(dir)?;
    let mut builder = builder(dir, base.pruned())?;
    for Copied { last, bytes, sha256, places } in copied {
        while walk.seq() <= *last {
            let Step::Batch(batch) = walk.next()? else { return Err(unfinished(&walk)) };
            let first = builder.tree().size();
            builder.take(batch.records(), &batch.note);
            check_root(&batch, builder.tree()).map_err(|why| {
                let (through, line) = (builder.tree().size().saturating_sub(1), batch.line + batch.lines() - 1);
                JournalError::Damaged(Damage { seq: first, through, file: walk.place().0.name(), line, why })
            })?;
        }
        builder.end(*bytes, sha256.clone(), places.clone());
    }
    builder
        .encode()
        .map_err(|e| JournalError::Broken { why: format!("{} can not be written: {e}", super::pruned::FILE) })
}

/// That the state is not to be had, since no snapshot stands for what was moved.
pub fn lost(moved: &Pruned) -> JournalError {
    let place = moved.places().iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    JournalError::StateArchived { last: moved.size().saturating_sub(1), place }
}

/// The log, held so that nobody else writes to it.
#[derive(Debug)]
pub struct Held {
    _lock: Lock,
}

/// Takes the lock of a log, to bring back what was moved from it.
pub fn hold(dir: &Path) -> Result<Held, JournalError> {
    Lock::take(dir).map(|lock| Held { _lock: lock })
}

/// The bytes of `pruned.json` as it is.
pub fn current(dir: &Path) -> Result<Vec<u8>, JournalError> {
    let path = dir.join(super::pruned::FILE);
    std::fs::read(&path).map_err(|e| JournalError::io(READING, &path, &e))
}

/// What goes, and what is left to do for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// What `pruned.json` will say.
    pub pruned: Pruned,
    /// Number of the first record that goes now; the size of what was moved when only removing is left.
    pub from: u64,
}

impl Due {
    /// Whether the record that names it is still to be written.
    pub fn is_new(&self) -> bool {
        self.from < self.pruned.size()
    }
}

/// Looks at what was prepared under this digest: that it continues what was moved before, that its segments are here and
/// sealed, that its checkpoint is the log's, and that a snapshot stands for all of it. For the process that holds the
/// log.
pub fn check(dir: &Path, sha256: &Digest, format: u64) -> Result<Due, JournalError> {
    let refused = |why: String| JournalError::NotPruned { why };
    let waiting = super::store::file::pruned::NEXT;
    let bytes = files::prepared(dir)?.ok_or_else(|| refused(format!("{waiting} is not there")))?;
    if super::snapshot::digest(&bytes) != *sha256 {
        return Err(refused(format!("{waiting} is not the one that was asked for; another archiving may be at work")));
    }
    let pruned = Pruned::decode(&bytes).map_err(|why| refused(format!("{waiting}: {why}")))?;
    let (_, base) = beginning(dir)?;
    if base.pruned().is_some_and(|earlier| !pruned.continues(earlier)) {
        return Err(refused("what was prepared does not continue what was moved before".into()));
    }
    let (from, size) = (base.size(), pruned.size());
    if from == size {
        return Ok(Due { pruned, from });
    }
    let here = Whole::from(dir).segments()?;
    if !here.iter().any(|s| s.first == size) {
        return Err(refused(format!("no segment begins with record {size}")));
    }
    for segment in pruned.segments().iter().filter(|s| s.first >= from) {
        let path = here.iter().find(|s| s.first == segment.first).map(|s| &s.path);
        if path.and_then(|path| std::fs::metadata(path).ok()).is_none_or(|meta| meta.len() != segment.bytes) {
            return Err(refused(format!("the segment of record {} is not here as it was copied", segment.first)));
        }
    }
    if note_at(dir, size)?.as_deref() != Some(pruned.note()) {
        return Err(refused(format!("the log has another checkpoint over {size} records")));
    }
    let covered = snapshots::named(dir, format, Maker::Any)?.map_or(0, |s| s.place.tree.size());
    if covered < size {
        let why = format!("no snapshot of the state that a record names covers {size} records, only {covered}");
        return Err(refused(why));
    }
    Ok(Due { pruned, from })
}

/// Lets what is due go; the record that names it is on the disk. Returns how many segments were removed.
pub fn finish(dir: &Path, due: &Due) -> Result<usize, JournalError> {
    files::settle(dir)?;
    files::remove(dir, due.pruned.size())
}
