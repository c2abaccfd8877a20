//! The files that records name by their digests: each must be there with the bytes that the record says, unless a
//! later record tells of its deletion.

use crate::domain::id::Digest;
use crate::journal::error::{Damage, JournalError, READING};
use crate::journal::kind::Kind;
use crate::journal::record::Record;
use crate::journal::store::file::place;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// Name of the folder below a journal's directory.
const FOLDER: &str = "evidence";

/// Where the kind stands in a record, counted from its end.
const TAIL: usize = 160;

/// The kinds that are about a file, as they stand in a canonical record.
const MARKS: [&[u8]; 2] = [b"\"kind\":\"evidence.captured\",\"mode\":", b"\"kind\":\"redaction\",\"mode\":"];

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
    let tail = record.get(record.len().saturating_sub(TAIL)..)?;
    if !MARKS.iter().any(|mark| memchr::memmem::find(tail, mark).is_some()) {
        return None;
    }
    let Record { kind, body, .. } = Record::parse(record).ok()?;
    if !matches!(kind, Kind::EvidenceCaptured | Kind::Redaction) {
        return None;
    }
    let sha256 = Digest::parse(body.get("sha256")?.as_str()?)?;
    let bytes = body.get("bytes").and_then(Value::as_u64);
    Some(Named { place: place(), sha256, bytes, deleted: kind == Kind::Redaction })
}

/// Looks at every file: what is there, and the first record whose file is not as it says.
pub fn check(dir: &Path, named: &[Named]) -> Result<(Evidence, Option<Damage>), JournalError> {
    let mut last = BTreeMap::new();
    for (n, name) in named.iter().enumerate() {
        let known: &mut (usize, bool) = last.entry(&name.sha256).or_insert((n, false));
        known.1 = name.deleted;
    }
    let mut evidence = Evidence::default();
    // Each file once, at the first record that names it.
    for (n, name) in named.iter().enumerate() {
        let Some((_, deleted)) = last.get(&name.sha256).filter(|(first, _)| *first == n) else { continue };
        let why = match look(dir, &name.sha256)? {
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

/// Reads a file, if it is there. It follows no link and waits for no pipe.
fn look(dir: &Path, sha256: &Digest) -> Result<Option<Found>, JournalError> {
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
