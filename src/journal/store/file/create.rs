//! Making a log and its key, in an order in which a crash at any point is told apart from a loss: the key is
//! called `log.key.new` until the first batch is on the disk. A `log.key` therefore always has records.

use super::walk::{Segment, segments};
use super::{KEY, RECORDS, VERIFIER_KEY, keyfile, place};
use crate::journal::error::JournalError;
use crate::journal::key::{LogKey, VerifierKey};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What lies in a directory.
#[derive(Debug)]
pub enum Lies {
    /// Nothing yet, or the remains of a log that was still being made.
    Nothing,
    /// A log with its key.
    Log(LogKey),
    /// A log whose making was cut short after its records were there: its key waits for its name.
    Unfinished(LogKey),
}

/// Name of the key while the log is being made.
pub fn pending(dir: &Path) -> PathBuf {
    dir.join(format!("{KEY}.new"))
}

/// Name of the key that a rotation puts in force, until its record is on the disk.
fn next(dir: &Path) -> PathBuf {
    dir.join(format!("{KEY}.next"))
}

/// The key of a rotation that was cut short. One that can not be used is none: its writing was cut short.
pub fn next_key(dir: &Path) -> Option<LogKey> {
    let path = next(dir);
    if place::exists(&path) { keyfile::load(&path).ok() } else { None }
}

/// Writes the key of a rotation under its waiting name, durably.
pub fn store_next_key(dir: &Path, key: &LogKey) -> Result<(), JournalError> {
    remove(&next(dir))?;
    keyfile::store(&next(dir), key)?;
    place::sync_dir(dir)
}

/// Puts the waiting key in the place of the old one.
pub fn name_next_key(dir: &Path) -> Result<(), JournalError> {
    std::fs::rename(next(dir), dir.join(KEY)).map_err(|e| JournalError::io("naming", &dir.join(KEY), &e))?;
    place::sync_dir(dir)
}

/// Removes the key of a rotation that did not come to its record.
pub fn forget_next_key(dir: &Path) -> Result<(), JournalError> {
    if place::exists(&next(dir)) { remove(&next(dir)) } else { Ok(()) }
}

/// Looks what is there, and says what is missing.
pub fn look(dir: &Path) -> Result<Lies, JournalError> {
    let (key, waiting) = (dir.join(KEY), pending(dir));
    let written = segments(dir)?.iter().any(|s| has_records(&s.path));
    match (place::exists(&key), place::exists(&waiting), written) {
        (true, _, true) => Ok(Lies::Log(keyfile::load(&key)?)),
        (true, _, false) => Err(JournalError::KeyWithoutLog { dir: dir.to_owned(), key }),
        (false, true, true) => Ok(Lies::Unfinished(keyfile::load(&waiting)?)),
        (false, false, true) => Err(JournalError::KeyMissing { dir: dir.to_owned(), key }),
        (false, _, false) => Ok(Lies::Nothing),
    }
}

/// Whether anything but padding is in a segment; one that can not be read is taken to have records.
fn has_records(segment: &Path) -> bool {
    let Ok(mut file) = File::open(segment) else { return true };
    let mut first = [0; 1 << 12];
    loop {
        match file.read(&mut first) {
            Ok(0) => return false,
            Ok(n) if first.iter().take(n).all(|b| *b == b'\n') => {}
            _ => return true,
        }
    }
}

/// Makes the key under its waiting name, the verifier key and the empty first segment. What a making that was cut
/// short left behind is replaced: nothing of it was ever acknowledged.
pub fn begin(dir: &Path, origin: &str) -> Result<(LogKey, File), JournalError> {
    let key = LogKey::generate(origin)?;
    remove(&pending(dir))?;
    for segment in segments(dir)? {
        remove(&segment.path)?;
    }
    place::make_folder(&dir.join(RECORDS))?;
    keyfile::store(&pending(dir), &key)?;
    write_verifier_key(dir, key.verifier())?;
    let segment = super::medium::Disk::make_segment(dir, 0);
    let segment = segment.map_err(|e| JournalError::io("making", &Segment::at(dir, 0).path, &e))?;
    place::sync_dir(dir)?;
    Ok((key, segment))
}

/// Gives the key its name, after the first batch is on the disk.
pub fn finish(dir: &Path) -> Result<(), JournalError> {
    std::fs::rename(pending(dir), dir.join(KEY)).map_err(|e| JournalError::io("naming", &dir.join(KEY), &e))?;
    place::sync_dir(dir)
}

/// Writes the public half beside the records, whole or not at all.
pub fn write_verifier_key(dir: &Path, key: &VerifierKey) -> Result<(), JournalError> {
    let (path, part) = (dir.join(VERIFIER_KEY), dir.join(format!("{VERIFIER_KEY}.tmp")));
    let text = format!("{}\n", key.as_str());
    if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(&part, flags, Mode::from_raw_mode(0o644))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&part, &path)).map_err(|e| JournalError::io("writing", &path, &e))
}

/// Removes a file that need not be there.
pub fn remove(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(JournalError::io("removing", path, &e)),
        _ => Ok(()),
    }
}
