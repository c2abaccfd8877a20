//! Sealed openings of commitments: `openings/<64 digits of the commitment>.age`. What is written there is ciphertext
//! from its first byte on, also in the file that a crash leaves half written.

use super::place;
use crate::domain::id::Digest;
use crate::journal::error::{JournalError, READING};
use rustix::fs::{Mode, OFlags};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub use super::evidence::digest;

/// Name of the folder.
pub const FOLDER: &str = "openings";

/// End of the name of an opening.
const END: &str = ".age";

/// End of the name of a file that is not yet what it will be.
const PART: &str = ".tmp";

/// Greatest length of a sealed file in bytes: 16 recipients and a value of the greatest length, in JSON, have room.
const MAX: u64 = 1 << 20;

fn path(dir: &Path, commitment: &Digest) -> PathBuf {
    dir.join(FOLDER).join(format!("{commitment}{END}"))
}

/// Writes a sealed file; returns when it is on the disk under its name. A commitment is made under a fresh salt, so
/// that its name is never taken.
pub fn put(dir: &Path, commitment: &Digest, sealed: &[u8]) -> Result<(), JournalError> {
    let folder = dir.join(FOLDER);
    place::make_folder(&folder)?;
    let path = path(dir, commitment);
    let part = folder.join(format!("{commitment}{END}{PART}"));
    let failed = |e: &std::io::Error| JournalError::io("writing", &path, e);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(&part, flags, Mode::from_raw_mode(0o600))?;
    let written = file.write_all(sealed).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&part, &path));
    if let Err(e) = written {
        // What matters is the error that made the half file.
        let _ = std::fs::remove_file(&part);
        return Err(failed(&e));
    }
    place::sync_dir(&folder)
}

/// Reads a sealed file; `None` when there is none.
pub fn read(dir: &Path, commitment: &Digest) -> Result<Option<Vec<u8>>, JournalError> {
    let path = path(dir, commitment);
    if !place::exists(&path) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let file = place::open_file(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    file.take(MAX).read_to_end(&mut bytes).map_err(|e| JournalError::io(READING, &path, &e))?;
    Ok(Some(bytes))
}
