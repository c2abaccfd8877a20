//! Making a log and its key, in an order in which a crash at any point is told apart from a loss: the key is
//! called `log.key.new` until the first batch is on the disk. A `log.key` therefore always has records.

use super::walk::{Segment, segments};
use super::{KEY, RECORDS, VERIFIER_KEY, keyfile, place};
use crate::journal::error::JournalError;
use crate::journal::key::{LogKey, VerifierKey};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
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
fn pending(dir: &Path) -> PathBuf {
    dir.join(format!("{KEY}.new"))
}

/// Looks what is there, and says what is missing.
pub fn look(dir: &Path) -> Result<Lies, JournalError> {
    let (key, waiting) = (dir.join(KEY), pending(dir));
    let written = segments(dir)?.iter().any(|s| std::fs::read(&s.path).map_or(true, |b| b.iter().any(|b| *b != b'\n')));
    match (place::exists(&key), place::exists(&waiting), written) {
        (true, _, true) => Ok(Lies::Log(keyfile::load(&key)?)),
        (true, _, false) => Err(JournalError::KeyWithoutLog { dir: dir.to_owned(), key }),
        (false, true, true) => Ok(Lies::Unfinished(keyfile::load(&waiting)?)),
        (false, false, true) => Err(JournalError::KeyMissing { dir: dir.to_owned(), key }),
        (false, _, false) => Ok(Lies::Nothing),
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

fn remove(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(JournalError::io("removing", path, &e)),
        _ => Ok(()),
    }
}
