//! The one writer of a log. Whatever waits is written as one batch, under one checkpoint and one sync, and is
//! acknowledged after that sync. After a write or a sync that failed nobody knows what the disk holds of that file
//! (the kernel may have dropped the pages), so it is never written again: a new segment begins, whose first record
//! says how much of the old one counts, and what was not acknowledged follows it there. When that segment fails
//! too, the writer stops for good.
//!
//! Space is set aside before it is needed: the segment is filled with newlines ahead of the records, and synced.
//! That way a full disk is noticed before a batch is begun, outcomes have room that intents may not take, and a
//! sync need not write a new file length.

use super::batch::{self, Encoded};
use super::medium::Medium;
use super::succession::Accepted;
use super::walk::Segment;
use crate::journal::error::{Damage, JournalError};
use crate::journal::handle::{Append, OpenOptions, Status};
use crate::journal::key::LogKey;
use crate::journal::kind::Kind;
use crate::journal::record::{Committed, Ready};
use crate::journal::snapshot::Place;
use crate::journal::store::serve::{Answered, Writes, admitted};
use crate::journal::synced::Synced;
use crate::journal::tree::{Frontier, Hash};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// How far ahead the segment is filled at once, in bytes.
const STEP: u64 = 1 << 20;

/// Room in bytes that only outcomes may use: eight of the greatest length.
const RESERVE: u64 = 512 << 10;

/// The writer.
#[derive(Debug)]
pub struct Writer<M> {
    medium: M,
    options: OpenOptions,
    key: LogKey,
    frontier: Frontier,
    root: Hash,
    /// Number of the first record of the segment.
    first: u64,
    /// Length of what is committed in the segment.
    len: u64,
    /// Length up to which the segment is known to be filled and synced.
    filled: u64,
    /// The next line in the segment, and the last checkpoint.
    line: u64,
    note: String,
    /// Why the segment may not be written any more, until the next one is begun.
    suspect: Option<String>,
    /// Whether the segment follows one that failed.
    successor: bool,
    broken: Option<String>,
    /// What was found wrong in the records from before, while this goes on.
    damaged: Arc<OnceLock<Damage>>,
    synced: Synced,
}

/// Why room could not be made.
enum NoRoom {
    Full,
    Failed(String),
}

/// Why a batch is not on the disk.
enum NotWritten {
    /// Nothing was begun; the segment is sound.
    Refused(JournalError),
    /// Nobody knows what the disk holds of the segment after what is committed.
    Failed(String),
}

impl<M: Medium> Writes for Writer<M> {
    fn group(&mut self, batch: Vec<Append>) -> Vec<Answered> {
        // Before room is made, which is made in the segment.
        self.rotate_when_due();
        let intents_fit = if batch.iter().any(Append::has_intent) { self.room_for_intents(&batch) } else { Ok(()) };
        let (taken, mut answers) = admitted(batch, &intents_fit);
        let counts: Vec<usize> = taken.iter().map(|a| a.records.len()).collect();
        let (records, replies): (Vec<_>, Vec<_>) = taken.into_iter().map(|a| (a.records, a.reply)).unzip();
        if replies.is_empty() {
            return answers;
        }
        match self.commit(records.into_iter().flatten().collect()) {
            Ok(committed) => {
                let mut committed = committed.into_iter();
                for (reply, count) in replies.into_iter().zip(counts) {
                    answers.push((reply, Ok(committed.by_ref().take(count).collect())));
                }
            }
            Err(why) => answers.extend(replies.into_iter().map(|reply| (reply, Err(why.clone())))),
        }
        answers
    }

    fn close(&mut self, last: Vec<Ready>) -> Result<Vec<Committed>, JournalError> {
        let committed = self.commit(last)?;
        self.medium.seal(self.len).map_err(|e| self.end(&format!("completing the segment failed: {e}")))?;
        self.filled = self.len;
        Ok(committed)
    }

    fn status(&self) -> Status {
        let place = Place {
            tree: self.frontier.clone(),
            segment: self.first,
            offset: self.len,
            line: self.line,
            note: self.note.clone(),
        };
        let (broken, synced) = (self.broken.clone(), self.synced.clone());
        Status { size: self.frontier.size(), root: self.root, broken, place, scrub: None, synced }
    }
}

impl<M: Medium> Writer<M> {
    /// Goes on at a place of the medium's segment.
    pub fn new(medium: M, options: OpenOptions, key: LogKey, place: Place) -> Self {
        let Place { tree: frontier, segment: first, offset: len, line, note } = place;
        let (suspect, successor, broken, damaged) = (None, false, None, Arc::default());
        let (filled, root) = (len, frontier.root());
        Self {
            medium,
            options,
            key,
            frontier,
            root,
            first,
            len,
            filled,
            line,
            note,
            suspect,
            successor,
            broken,
            damaged,
            synced: Synced::default(),
        }
    }

    /// Where it is said that records from before are damaged; nothing new may begin from then on.
    pub fn damaged(&self) -> Arc<OnceLock<Damage>> {
        self.damaged.clone()
    }

    /// Signs with another key from the next batch on.
    pub fn hand_over(&mut self, key: LogKey) {
        self.key = key;
    }

    /// Writes a batch and returns when it is on the disk, in this segment or in one that follows it because this
    /// one can not be written.
    pub fn commit(&mut self, records: Vec<Ready>) -> Result<Vec<Committed>, JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Broken { why: why.clone() });
        }
        if records.is_empty() {
            return Ok(vec![]);
        }
        let mut first = self.frontier.size();
        let batch = self.encode(&records)?;
        let written = match self.suspect.take() {
            Some(why) => Err(NotWritten::Failed(why)),
            None => self.put(&batch),
        };
        let batch = match written {
            Ok(()) => batch,
            Err(NotWritten::Refused(why)) => return Err(why),
            Err(NotWritten::Failed(why)) => {
                first += 1;
                self.succeed(&why, &batch.note, &records)?
            }
        };
        if !self.medium.in_place().unwrap_or(false) {
            let path = Segment::at(&self.options.dir, self.first).path;
            return Err(self.end(&format!("{} was removed, replaced or moved while it was written", path.display())));
        }
        self.len += batch.bytes.len() as u64;
        self.line += batch.frontier.size() - self.frontier.size() + 1;
        (self.frontier, self.root, self.note) = (batch.frontier, batch.root, batch.note);
        self.synced.newest = self.synced.newest.max(records.iter().map(Ready::time).max());
        Ok((first..).zip(records).map(|(seq, record)| record.into_committed(seq)).collect())
    }

    /// The batch of these records after what is committed, under its signed checkpoint.
    fn encode(&mut self, records: &[Ready]) -> Result<Encoded, JournalError> {
        batch::encode(&self.frontier, &self.key, records, |_| {}).map_err(|why| self.end(&why))
    }

    /// Writes a batch after what is committed in the segment, and syncs it.
    fn put(&mut self, batch: &Encoded) -> Result<(), NotWritten> {
        match self.fill(self.len + batch.bytes.len() as u64) {
            Ok(()) => {}
            Err(NoRoom::Full) => {
                return Err(NotWritten::Refused(JournalError::DiskFull { dir: self.options.dir.clone() }));
            }
            Err(NoRoom::Failed(why)) => return Err(NotWritten::Failed(why)),
        }
        let failed = |what: &str, e: &io::Error| NotWritten::Failed(format!("{what} failed: {e}"));
        self.medium.write_at(&batch.bytes, self.len).map_err(|e| failed("writing", &e))?;
        let begun = Instant::now();
        self.medium.sync().map_err(|e| failed("syncing to the disk", &e))?;
        self.synced.took(begun.elapsed());
        Ok(())
    }

    /// Begins the segment after one that can not be written any more: a record of what counts in that one, and the
    /// records that were not acknowledged. Readers see it when all of it is on the disk, and not before.
    fn succeed(&mut self, why: &str, superseded: &str, records: &[Ready]) -> Result<Encoded, JournalError> {
        let size = self.frontier.size();
        if self.successor || size == 0 {
            let other = if self.successor { ", in the segment that followed a failed one too" } else { "" };
            return Err(self.end(&format!("{why}{other}")));
        }
        let segment = Segment::at(&self.options.dir, self.first).name();
        let accepted = Accepted { segment, length: self.len, size, root: self.root.to_string() };
        let time = records.iter().map(Ready::time).max().unwrap_or(self.options.time);
        let body = accepted.body(why, Some(superseded), records.len());
        let told = Ready::new(self.options.draft(Kind::JournalRecovered, body, time))?;
        let all: Vec<Ready> = std::iter::once(told).chain(records.iter().cloned()).collect();
        let batch = self.encode(&all)?;
        let second = |e: &str| format!("{why}, and then the next segment: {e}");
        self.medium.set_apart().map_err(|e| self.end(&second(&e.to_string())))?;
        (self.first, self.len, self.filled, self.line) = (size, 0, 0, 1);
        let room = match self.fill(batch.bytes.len() as u64 + RESERVE) {
            Err(NoRoom::Full) => self.fill(batch.bytes.len() as u64),
            other => other,
        };
        match room.map_err(NotWritten::from).and_then(|()| self.put(&batch)) {
            Ok(()) => {}
            Err(NotWritten::Refused(e)) => return Err(self.end(&second(&e.to_string()))),
            Err(NotWritten::Failed(e)) => return Err(self.end(&second(&e))),
        }
        self.medium.publish(size).map_err(|e| self.end(&second(&e.to_string())))?;
        self.successor = true;
        Ok(batch)
    }

    /// Whether something may begin: the disk is above low water, and the segment has room for all that was asked
    /// for and for outcomes after it.
    fn room_for_intents(&mut self, batch: &[Append]) -> Result<(), JournalError> {
        if let Some(damage) = self.damaged.get() {
            return Err(JournalError::Damaged(damage.clone()));
        }
        let dir = &self.options.dir;
        let free = self.medium.free().map_err(|e| JournalError::io("asking for the free space of", dir, &e))?;
        let low = JournalError::LowSpace {
            dir: dir.clone(),
            free_mib: free >> 20,
            needed_mib: self.options.low_water.max(STEP).div_ceil(1 << 20),
        };
        if free < self.options.low_water {
            return Err(low);
        }
        if self.suspect.is_some() || self.broken.is_some() {
            return Ok(());
        }
        let asked = batch.iter().map(Append::max_len).sum::<usize>() as u64;
        match self.fill(self.len + asked + RESERVE) {
            Ok(()) => Ok(()),
            Err(NoRoom::Full) => Err(low),
            Err(NoRoom::Failed(why)) => {
                self.suspect = Some(why);
                Ok(())
            }
        }
    }

    /// Fills the segment with newlines at least up to `end`.
    fn fill(&mut self, end: u64) -> Result<(), NoRoom> {
        if end <= self.filled {
            return Ok(());
        }
        let roomy = end.max(self.filled + STEP);
        self.fill_to(roomy).or_else(|e| match e {
            NoRoom::Full => self.fill_to(end),
            failed @ NoRoom::Failed(_) => Err(failed),
        })
    }

    fn fill_to(&mut self, end: u64) -> Result<(), NoRoom> {
        let newlines = vec![b'\n'; 1 << 16];
        let failed = |e: &io::Error| NoRoom::Failed(format!("setting space aside failed: {e}"));
        let mut at = self.filled;
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(newlines.len());
            let bytes = newlines.get(..length).unwrap_or_default();
            self.medium.write_at(bytes, at).map_err(|e| match e.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => NoRoom::Full,
                _ => failed(&e),
            })?;
            at += length as u64;
        }
        self.medium.sync().map_err(|e| failed(&e))?;
        self.filled = end;
        Ok(())
    }

    /// Completes a segment that is long enough and begins the next, but not on a disk that is nearly full or does
    /// not say so, where what is set aside must serve.
    fn rotate_when_due(&mut self) {
        if self.len < self.options.segment_bytes || self.suspect.is_some() || self.broken.is_some() {
            return;
        }
        if self.medium.free().is_ok_and(|free| free >= self.options.low_water.max(STEP + RESERVE)) {
            let first = self.frontier.size();
            match self.medium.seal(self.len).and_then(|()| self.medium.begin(first)) {
                Ok(()) => {
                    (self.first, self.len, self.filled, self.line) = (first, 0, 0, 1);
                    self.successor = false;
                }
                Err(e) => self.suspect = Some(format!("beginning the segment of record {first} failed: {e}")),
            }
        }
    }

    /// Nothing is written from here on.
    fn end(&mut self, why: &str) -> JournalError {
        let why = format!("{why}; open it anew, which checks what the disk holds");
        self.broken = Some(why.clone());
        JournalError::Broken { why }
    }
}

impl From<NoRoom> for NotWritten {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Full => Self::Failed("the disk is full".to_owned()),
            NoRoom::Failed(why) => Self::Failed(why),
        }
    }
}

#[cfg(test)]
mod campaign;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod tests;
