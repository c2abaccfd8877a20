//! What becomes of the end of a log that a writer left behind. Bytes after the last commit, and a last batch that
//! is not true, are set aside in `quarantine/`; anything else that is wrong stops. The last segment is written
//! anew and synced before anything is built on it: after a failed sync the page cache may show what the disk does
//! not hold.

use super::batch::{looks_like_commit, read_commit};
use super::walk::Segment;
use super::{QUARANTINE, RECORDS, place};
use crate::domain::id::Digest;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Damage, JournalError, READING};
use crate::journal::handle::Quarantined;
use crate::journal::key::VerifierKey;
use crate::journal::record::Record;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The end of a log, as the walk and the chain left it.
#[derive(Debug)]
pub struct End {
    /// The last segment.
    pub segment: Segment,
    /// Length in it that is true and signed.
    pub good: u64,
    /// Number of records up to there.
    pub size: u64,
    /// What was wrong after it, where something was.
    pub damage: Option<Damage>,
    /// Whether nothing of this log was ever acknowledged, because it was still being made.
    pub unborn: bool,
}

impl End {
    /// Judges what lies after the good part, sets it aside if that is allowed, and returns the last segment, written
    /// anew and open for writing.
    pub fn settle(self, dir: &Path, key: &VerifierKey) -> Result<(File, Option<Quarantined>), JournalError> {
        let path = &self.segment.path;
        let failed = |e: std::io::Error| JournalError::io(READING, path, &e);
        let mut file = place::open_file(path, OFlags::RDONLY, Mode::empty())?;
        let mut good = Vec::new();
        (&mut file).take(self.good).read_to_end(&mut good).map_err(failed)?;
        let mut rest = Vec::new();
        file.seek(SeekFrom::Start(self.good)).map_err(failed)?;
        file.read_to_end(&mut rest).map_err(failed)?;
        while rest.last() == Some(&b'\n') {
            rest.pop();
        }
        let quarantined = if rest.is_empty() { None } else { Some(self.quarantine(dir, key, &rest)?) };
        Ok((renew(dir, path, &good)?, quarantined))
    }

    fn quarantine(&self, dir: &Path, key: &VerifierKey, rest: &[u8]) -> Result<Quarantined, JournalError> {
        let tail = Tail::read(rest, key);
        let damage = || {
            let (seq, file) = (self.size, self.segment.name());
            let why = "bytes without a commit line".to_owned();
            self.damage.clone().unwrap_or(Damage { seq, through: seq, file, line: 0, why })
        };
        if !tail.is_one_batch(self.size) || (self.size == 0 && !self.unborn) {
            return Err(JournalError::Damaged(damage()));
        }
        let hash = Digest::from_bytes(&Sha256::digest(rest).into());
        let short = hash.as_str().get(..16).unwrap_or_default();
        let name = format!("{QUARANTINE}/{:020}-{short}", self.size);
        place::make_folder(&dir.join(QUARANTINE))?;
        keep(&dir.join(&name), rest)?;
        let why = self.damage.as_ref().map_or_else(|| "torn: no commit line".to_owned(), |d| d.why.clone());
        let superseded = tail.signed.map(|(_, note)| note);
        Ok(Quarantined { file: name, bytes: rest.len() as u64, sha256: hash, why, superseded, legible: tail.legible })
    }
}

/// What can be made out in the bytes after the good part.
struct Tail {
    /// Whether a commit line, or what is left of one, stands before the last line: then more than one batch is
    /// in it, and the first of them was acknowledged.
    earlier_commit: bool,
    /// The last line, when it is a commit that the log's key signed: where its batch begins, and its note.
    signed: Option<(u64, String)>,
    legible: Vec<Record>,
}

impl Tail {
    fn read(rest: &[u8], key: &VerifierKey) -> Self {
        let lines: Vec<&[u8]> = rest.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
        let (last, before) = lines.split_last().map_or((&[][..], &[][..]), |(last, before)| (*last, before));
        let signed = read_commit(last).and_then(|(from, note)| Checkpoint::open(&note, key).ok().map(|_| (from, note)));
        Self {
            earlier_commit: before.iter().any(|line| looks_like_commit(line)),
            signed,
            legible: lines.iter().filter_map(|line| Record::parse(line).ok()).collect(),
        }
    }

    /// Whether this can be one batch that follows `size` records and that nobody was told of.
    fn is_one_batch(&self, size: u64) -> bool {
        !self.earlier_commit && self.signed.as_ref().is_none_or(|(from, _)| *from == size)
    }
}

/// Writes a file that may be there already with the same bytes, durably.
fn keep(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(path, flags, Mode::from_raw_mode(0o640))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|e| JournalError::io("writing", path, &e))?;
    path.parent().map_or(Ok(()), place::sync_dir)
}

/// Puts a synced copy of `bytes` in the place of a segment and returns it open for writing.
fn renew(dir: &Path, path: &Path, bytes: &[u8]) -> Result<File, JournalError> {
    let copy = dir.join("tail.tmp");
    let failed = |e: &std::io::Error| JournalError::io("writing", &copy, e);
    // One that an earlier opening left may have pages that could not be written.
    if place::exists(&copy) {
        std::fs::remove_file(&copy).map_err(|e| failed(&e))?;
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let mut file = place::open_file(&copy, flags, Mode::from_raw_mode(0o640))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| {
        // It may have filled the disk; nothing refers to it.
        let _ = std::fs::remove_file(&copy);
        failed(&e)
    })?;
    std::fs::rename(&copy, path).map_err(|e| failed(&e))?;
    place::sync_dir(&dir.join(RECORDS))?;
    place::sync_dir(dir)?;
    Ok(file)
}
