//! The file of the log key: readable and writable by its owner, who is the writer of the log, and by nobody else.

use super::place;
use crate::journal::error::{JournalError, READING};
use crate::journal::key::LogKey;
use rustix::fs::{Mode, OFlags};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Reads the key, after its owner and mode.
pub fn load(path: &Path) -> Result<LogKey, JournalError> {
    let mut file = place::open_file(path, OFlags::RDONLY, Mode::empty())?;
    let failed = |e: std::io::Error| JournalError::io(READING, path, &e);
    let meta = file.metadata().map_err(failed)?;
    let mode = meta.mode() & 0o7777;
    if mode & 0o177 != 0 {
        return Err(JournalError::KeyMode { key: path.to_owned(), mode });
    }
    let expected = rustix::process::geteuid().as_raw();
    if meta.uid() != expected {
        return Err(JournalError::KeyOwner { key: path.to_owned(), owner: meta.uid(), expected });
    }
    let mut secret = String::new();
    file.read_to_string(&mut secret).map_err(failed)?;
    LogKey::parse(&secret).map_err(|why| JournalError::KeyMalformed { path: path.to_owned(), why })
}

/// Writes a new key; the file must not be there yet.
pub fn store(path: &Path, key: &LogKey) -> Result<(), JournalError> {
    let mut file = place::open_file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(0o600))?;
    let written = writeln!(file, "{}", key.secret()).and_then(|()| file.sync_all());
    written.map_err(|e| JournalError::io("writing", path, &e))
}
