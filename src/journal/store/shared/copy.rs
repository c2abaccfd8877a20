//! The copy of a shared log that a bastion keeps: segments as a log in a directory has them, without space set aside, since
//! nothing is lost with it. A mark beside them says whose copy it is, so that nobody takes it for a log of its own.

use super::SHARED;
use crate::journal::error::{JournalError, READING};
use crate::journal::snapshot::Place;
use crate::journal::store::file::medium::{Disk, Medium as _};
use crate::journal::store::file::place;
use rand_core::{OsRng, RngCore as _};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// The file that tells a copy from a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The database, for people.
    pub database: String,
    /// Name of the log.
    pub origin: String,
    /// Name of this bastion in the database.
    pub writer: String,
}

impl Mark {
    /// A new name for a bastion.
    pub fn name(host: &str) -> String {
        format!("{}-{:08x}", plain(host), OsRng.next_u32())
    }

    /// Whether it was made on this host.
    pub fn is_of(&self, host: &str) -> bool {
        self.writer.rsplit_once('-').is_some_and(|(name, _)| name == plain(host))
    }
}

fn plain(host: &str) -> String {
    host.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect()
}

/// The mark of a directory, if it is a copy.
pub fn mark(dir: &Path) -> Result<Option<Mark>, JournalError> {
    let path = dir.join(SHARED);
    if !place::exists(&path) {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|e| JournalError::io(READING, &path, &e))?;
    let malformed = |e: serde_json::Error| JournalError::Io { what: READING, path: path.clone(), why: e.to_string() };
    serde_json::from_str(&text).map(Some).map_err(malformed)
}

/// Writes the mark, durably.
pub fn write_mark(dir: &Path, mark: &Mark) -> Result<(), JournalError> {
    let (path, part) = (dir.join(SHARED), dir.join(format!("{SHARED}.tmp")));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(&part, flags, Mode::from_raw_mode(0o640))?;
    let text = serde_json::to_string(mark).unwrap_or_default();
    let written = writeln!(file, "{text}").and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&part, &path));
    written.map_err(|e| JournalError::io("writing", &path, &e))?;
    place::sync_dir(dir)
}

/// The segment that is written.
#[derive(Debug)]
pub struct Copy {
    medium: Disk,
    segment_bytes: u64,
    first: u64,
    len: u64,
    line: u64,
}

impl Copy {
    /// Goes on at a place of the open segment.
    pub fn new(dir: &Path, handle: File, segment: File, place: &Place, segment_bytes: u64) -> Self {
        let medium = Disk::new(dir, handle, segment, place.segment);
        Self { medium, segment_bytes, first: place.segment, len: place.offset, line: place.line }
    }

    /// Adds a whole batch of `lines` lines that begins with record `first`; returns when it is on the disk.
    pub fn add(&mut self, first: u64, bytes: &[u8], lines: u64) -> std::io::Result<()> {
        if self.len >= self.segment_bytes {
            self.medium.seal(self.len)?;
            self.medium.begin(first)?;
            (self.first, self.len, self.line) = (first, 0, 1);
        }
        self.medium.write_at(bytes, self.len)?;
        self.medium.sync()?;
        if !self.medium.in_place()? {
            return Err(std::io::Error::other("it was removed, replaced or moved while it was written"));
        }
        self.len += bytes.len() as u64;
        self.line += lines;
        Ok(())
    }

    /// Completes the segment.
    pub fn seal(&mut self) -> std::io::Result<()> {
        self.medium.seal(self.len)
    }

    /// Segment, offset and line after what was added.
    pub const fn here(&self) -> (u64, u64, u64) {
        (self.first, self.len, self.line)
    }
}
