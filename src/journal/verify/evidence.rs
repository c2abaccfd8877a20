//! The files that records name by their digests: each must be there with the bytes that the record says, unless a
//! later record tells of its deletion.

use crate::domain::id::Digest;
use crate::journal::error::{Damage, JournalError, READING};
use crate::journal::evidence::told;
use crate::journal::pruned::{FILE, Pruned};
use crate::journal::store::file::place;
use crate::journal::store::file::walk::Whole;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// Name of the folder below a journal's directory.
const FOLDER: &str = "evidence";

/// A record that is about a file.
#[derive(Debug)]
pub struct Named {
    /// The record.
    place: Damage,
    sha256: Digest,
    /// Its length, as the record says.
    bytes: Option<u64>,
    /// Whether it tells of its deletion.
    deleted: bool,
}

/// What was found of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Evidence {
    /// Files that are there, with their bytes.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Files that are gone, as a record says.
    pub redacted: u64,
}

/// What a record names, if it is about a file. Cheap for every other record.
pub fn named(record: &[u8], place: impl FnOnce() -> Damage) -> Option<Named> {
    let (_, sha256, bytes, deleted) = told(record)?;
    Some(Named { place: place(), sha256, bytes, deleted })
}

/// The files that moved records name, as what was moved says.
pub fn of_moved(moved: &Pruned) -> Vec<Named> {
    let named = moved.evidence().iter().map(|e| Named {
        place: Damage { seq: e.record, through: e.record, file: FILE.to_owned(), line: 0, why: String::new() },
        sha256: e.sha256.clone(),
        bytes: e.bytes,
        deleted: e.redacted.is_some(),
    });
    named.collect()
}

/// Looks at every file: what is there, and the first record whose file is not as it says.
pub fn check(at: Whole<'_>, named: &[Named]) -> Result<(Evidence, Option<Damage>), JournalError> {
    let mut last = BTreeMap::new();
    for (n, name) in named.iter().enumerate() {
        let known: &mut (usize, bool) = last.entry(&name.sha256).or_insert((n, false));
        known.1 = name.deleted;
    }
    let mut evidence = Evidence::default();
    // Each file once, at the first record that names it.
    for (n, name) in named.iter().enumerate() {
        let Some((_, deleted)) = last.get(&name.sha256).filter(|(first, _)| *first == n) else { continue };
        let why = match look(at, &name.sha256)? {
            None if *deleted => {
                evidence.redacted += 1;
                continue;
            }
            None => "is not there, and no record tells of its deletion".to_owned(),
            Some(Found { is_file: false, .. }) => "is no regular file".to_owned(),
            Some(Found { bytes, .. }) if name.bytes.is_some_and(|said| said != bytes) => {
                format!("has {bytes} bytes, and the record says {}", name.bytes.unwrap_or_default())
            }
            Some(Found { is_true: false, .. }) => "has other bytes than those that were captured".to_owned(),
            Some(Found { bytes, .. }) => {
                evidence.files += 1;
                evidence.bytes += bytes;
                continue;
            }
        };
        let why = format!("its evidence {FOLDER}/{} {why}", name.sha256);
        return Ok((evidence, Some(Damage { why, ..name.place.clone() })));
    }
    Ok((evidence, None))
}

struct Found {
    is_file: bool,
    bytes: u64,
    is_true: bool,
}

/// Reads a file, if it is in the log or in the archive.
fn look(at: Whole<'_>, sha256: &Digest) -> Result<Option<Found>, JournalError> {
    match (look_in(at.dir, sha256)?, at.archive) {
        (None, Some(archive)) => look_in(archive, sha256),
        (found, _) => Ok(found),
    }
}

/// Reads a file, if it is there. It follows no link and waits for no pipe.
fn look_in(dir: &Path, sha256: &Digest) -> Result<Option<Found>, JournalError> {
    let path = dir.join(FOLDER).join(sha256.as_str());
    let other = Found { is_file: false, bytes: 0, is_true: false };
    let mut file = match place::open_file(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
        Ok(file) => file,
        Err(_) if !place::exists(&path) => return Ok(None),
        Err(JournalError::Symlink { .. }) => return Ok(Some(other)),
        Err(e) => return Err(e),
    };
    let failed = |e: io::Error| JournalError::io(READING, &path, &e);
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(Some(other));
    }
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let length = file.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            break;
        }
        hash.update(buffer.get(..length).unwrap_or_default());
        bytes += length as u64;
    }
    let is_true = Digest::from_bytes(&hash.finalize().into()) == *sha256;
    Ok(Some(Found { is_file: true, bytes, is_true }))
}
