//! The one writer of a log. Whatever waits is written as one batch, under one checkpoint and one sync, and is
//! acknowledged after that sync. A write or a sync that fails ends it for good: after a failed sync nobody knows
//! what the disk holds (the kernel may have dropped the pages), so nothing is built on it.
//!
//! Space is set aside before it is needed: the segment is filled with newlines ahead of the records, and synced.
//! That way a full disk is noticed before a batch is begun, outcomes have room that intents may not take, and a
//! sync need not write a new file length.

use super::batch::{MAX_BATCH_BYTES, commit_line};
use super::lock::Lock;
use super::medium::Medium;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Damage, JournalError};
use crate::journal::handle::{Append, Message, Reply, Status};
use crate::journal::key::LogKey;
use crate::journal::record::{Committed, Ready};
use crate::journal::snapshot::Place;
use crate::journal::tree::Frontier;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};

/// How far ahead the segment is filled at once, in bytes.
const STEP: u64 = 1 << 20;

/// Room in bytes that only outcomes may use: eight of the greatest length.
const RESERVE: u64 = 512 << 10;

/// When to begin a new segment and when to begin nothing new.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A segment that has reached this length in bytes is followed by another.
    pub segment_bytes: u64,
    /// Bytes that must be free on the disk before an intent is taken.
    pub low_water: u64,
}

/// The writer.
#[derive(Debug)]
pub struct Writer<M> {
    medium: M,
    dir: PathBuf,
    key: LogKey,
    limits: Limits,
    frontier: Frontier,
    /// Length of what is committed in the segment.
    len: u64,
    /// Length up to which the segment is known to be filled and synced.
    filled: u64,
    /// The segment by its first record, the next line in it, and the last checkpoint.
    segment: u64,
    line: u64,
    note: String,
    broken: Option<String>,
    /// What was found wrong in the records from before, while this goes on.
    damaged: Arc<OnceLock<Damage>>,
}

/// Why room could not be made.
enum NoRoom {
    Full,
    Failed(io::Error),
}

impl<M: Medium> Writer<M> {
    /// Goes on at a place of the medium's segment.
    pub fn new(medium: M, dir: PathBuf, key: LogKey, limits: Limits, place: Place) -> Self {
        let Place { tree: frontier, segment, offset: len, line, note } = place;
        let damaged = Arc::default();
        Self { medium, dir, key, limits, frontier, len, filled: len, segment, line, note, broken: None, damaged }
    }

    /// Where it is said that records from before are damaged; nothing new may begin from then on.
    pub fn damaged(&self) -> Arc<OnceLock<Damage>> {
        self.damaged.clone()
    }

    /// Signs with another key from the next batch on.
    pub fn hand_over(&mut self, key: LogKey) {
        self.key = key;
    }

    /// What can be said of the log now.
    pub fn status(&self) -> Status {
        let place = Place {
            tree: self.frontier.clone(),
            segment: self.segment,
            offset: self.len,
            line: self.line,
            note: self.note.clone(),
        };
        let (size, root) = (self.frontier.size(), self.frontier.root());
        Status { size, root, broken: self.broken.clone(), place, scrub: None }
    }

    /// Says what can be said now; what the scrub says stays.
    fn publish(&self, status: &watch::Sender<Status>) {
        status.send_modify(|said| {
            let scrub = said.scrub.take();
            *said = Status { scrub, ..self.status() };
        });
    }

    /// Writes what comes in until it is closed or nobody is left to write for.
    pub fn run(mut self, mut inbox: mpsc::Receiver<Message>, status: &watch::Sender<Status>, lock: Lock) {
        let mut held = None;
        while let Some(message) = held.take().or_else(|| inbox.blocking_recv()) {
            let mut batch = vec![];
            let mut bytes = 0;
            let mut next = Some(message);
            let mut closing = None;
            while let Some(message) = next {
                match message {
                    Message::Append(append) if bytes > 0 && bytes + append.max_len() > MAX_BATCH_BYTES => {
                        held = Some(Message::Append(append));
                        break;
                    }
                    Message::Append(append) => {
                        bytes += append.max_len();
                        batch.push(append);
                    }
                    Message::Close(last) => {
                        closing = Some(last);
                        break;
                    }
                }
                next = inbox.try_recv().ok();
            }
            let replies = self.group(batch);
            // Nothing is said of a checkpoint before the sync under it has returned.
            self.publish(status);
            for (reply, result) in replies {
                // The one who asked may have gone; the record stands all the same.
                let _ = reply.send(result);
            }
            if let Some(last) = closing {
                let result = self.close(last.records);
                self.publish(status);
                drop(lock);
                let _ = last.reply.send(result);
                return;
            }
        }
    }

    /// Commits what was asked for together, and says for each what became of it.
    fn group(&mut self, batch: Vec<Append>) -> Vec<(Reply, Result<Vec<Committed>, JournalError>)> {
        let (mut taken, mut answers) = (vec![], vec![]);
        // Before room is made, which is made in the segment. Should it fail, the commit below says so.
        let _ = self.rotate_when_due();
        let intents_fit = if batch.iter().any(Append::has_intent) { self.room_for_intents(&batch) } else { Ok(()) };
        for append in batch {
            match &intents_fit {
                Err(why) if append.has_intent() => answers.push((append.reply, Err(why.clone()))),
                _ => taken.push(append),
            }
        }
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

    /// Writes a batch and returns when it is on the disk.
    pub fn commit(&mut self, records: Vec<Ready>) -> Result<Vec<Committed>, JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Broken { why: why.clone() });
        }
        if records.is_empty() {
            return Ok(vec![]);
        }
        let first = self.frontier.size();
        let mut frontier = self.frontier.clone();
        let mut bytes = Vec::with_capacity(records.iter().map(|r| r.max_len() + 1).sum::<usize>() + 512);
        for (seq, record) in (first..).zip(&records) {
            let start = bytes.len();
            record.write(seq, &mut bytes);
            frontier.append(bytes.get(start..).unwrap_or_default());
            bytes.push(b'\n');
        }
        let checkpoint =
            Checkpoint { origin: self.key.verifier().name().to_owned(), size: frontier.size(), root: frontier.root() };
        let note = checkpoint.sign(&self.key).map_err(|e| self.end(&format!("signing failed: {e}")))?;
        let commit = commit_line(first, &note).map_err(|e| self.end(&format!("signing failed: {e}")))?;
        bytes.extend_from_slice(&commit);

        let len = self.len + bytes.len() as u64;
        match self.fill(len) {
            Ok(()) => {}
            Err(NoRoom::Full) => return Err(JournalError::DiskFull { dir: self.dir.clone() }),
            Err(NoRoom::Failed(e)) => return Err(self.end(&format!("setting space aside failed: {e}"))),
        }
        self.medium.write_at(&bytes, self.len).map_err(|e| self.end(&format!("writing failed: {e}")))?;
        self.medium.sync().map_err(|e| self.end(&format!("syncing to the disk failed: {e}")))?;
        self.frontier = frontier;
        self.len = len;
        self.line += records.len() as u64 + 1;
        self.note = note;
        Ok((first..).zip(records).map(|(seq, record)| record.into_committed(seq)).collect())
    }

    /// Writes the last records and completes the segment.
    pub fn close(&mut self, last: Vec<Ready>) -> Result<Vec<Committed>, JournalError> {
        let committed = self.commit(last)?;
        self.medium.seal(self.len).map_err(|e| self.end(&format!("completing the segment failed: {e}")))?;
        self.filled = self.len;
        Ok(committed)
    }

    /// Whether something may begin: the disk is above low water, and the segment has room for all that was asked
    /// for and for outcomes after it.
    fn room_for_intents(&mut self, batch: &[Append]) -> Result<(), JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Broken { why: why.clone() });
        }
        if let Some(damage) = self.damaged.get() {
            return Err(JournalError::Damaged(damage.clone()));
        }
        let free = self.medium.free().map_err(|e| self.end(&format!("asking for the free space failed: {e}")))?;
        let low = JournalError::LowSpace {
            dir: self.dir.clone(),
            free_mib: free >> 20,
            needed_mib: self.limits.low_water.max(STEP).div_ceil(1 << 20),
        };
        if free < self.limits.low_water {
            return Err(low);
        }
        let asked = batch.iter().map(Append::max_len).sum::<usize>() as u64;
        match self.fill(self.len + asked + RESERVE) {
            Ok(()) => Ok(()),
            Err(NoRoom::Full) => Err(low),
            Err(NoRoom::Failed(e)) => Err(self.end(&format!("setting space aside failed: {e}"))),
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
        static NEWLINES: [u8; 1 << 16] = [b'\n'; 1 << 16];
        let mut at = self.filled;
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(NEWLINES.len());
            let bytes = NEWLINES.get(..length).unwrap_or_default();
            self.medium.write_at(bytes, at).map_err(|e| match e.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => NoRoom::Full,
                _ => NoRoom::Failed(e),
            })?;
            at += length as u64;
        }
        self.medium.sync().map_err(NoRoom::Failed)?;
        self.filled = end;
        Ok(())
    }

    /// Completes a segment that is long enough and begins the next, but not on a disk that is nearly full, where
    /// what is set aside must serve.
    fn rotate_when_due(&mut self) -> Result<(), JournalError> {
        if self.len < self.limits.segment_bytes || self.broken.is_some() {
            return Ok(());
        }
        let free = self.medium.free().map_err(|e| self.end(&format!("asking for the free space failed: {e}")))?;
        if free < self.limits.low_water.max(STEP + RESERVE) {
            return Ok(());
        }
        let first = self.frontier.size();
        let next = self.medium.seal(self.len).and_then(|()| self.medium.begin(first));
        next.map_err(|e| self.end(&format!("beginning the segment of record {first} failed: {e}")))?;
        (self.len, self.filled, self.segment, self.line) = (0, 0, first, 1);
        Ok(())
    }

    /// Nothing is written from here on.
    fn end(&mut self, why: &str) -> JournalError {
        let why = format!("{why}; open it anew, which checks what the disk holds");
        self.broken = Some(why.clone());
        JournalError::Broken { why }
    }
}

#[cfg(test)]
mod tests;
