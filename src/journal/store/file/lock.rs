//! The lock of a log: one writer for the life of its process, and a second one learns who that is.

use super::{LOCK, place};
use crate::journal::error::{Holder, JournalError};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and writes down who has it.
    pub fn take(dir: &Path, holder: &Holder) -> Result<Self, JournalError> {
        let path = dir.join(LOCK);
        let mut file = place::open_file(&path, OFlags::RDWR | OFlags::CREATE, Mode::from_raw_mode(0o640))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
                return Err(JournalError::Locked { dir: dir.to_owned(), holder });
            }
            Err(TryLockError::Error(e)) => return Err(JournalError::io("locking", &path, &e)),
        }
        let failed = |e: std::io::Error| JournalError::io("writing", &path, &e);
        let text = serde_json::to_string(holder).unwrap_or_default();
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{text}").map_err(failed)?;
        Ok(Self { _file: file })
    }
}
