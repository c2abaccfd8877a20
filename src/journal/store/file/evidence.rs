//! Files that records name by their digest: `evidence/<sha256>`. One is on the disk, under its name, before the
//! record that names it; it is read only with its digest checked, and deleted only after a record says so.

use super::place;
use crate::domain::id::Digest;
use crate::journal::error::{JournalError, READING};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Name of the folder.
pub const FOLDER: &str = "evidence";

/// End of the name of a file that is not yet what it will be.
const PART: &str = ".tmp";

fn path(dir: &Path, sha256: &Digest) -> PathBuf {
    dir.join(FOLDER).join(sha256.as_str())
}

/// The digest of these bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(&Sha256::digest(bytes).into())
}

/// Keeps bytes under their digest; returns when they are on the disk under that name. What is there already must
/// be the same. Only for the process that holds the log.
pub fn put(dir: &Path, bytes: &[u8]) -> Result<Digest, JournalError> {
    let sha256 = digest(bytes);
    let folder = dir.join(FOLDER);
    place::make_folder(&folder)?;
    let path = path(dir, &sha256);
    if place::exists(&path) {
        open(dir, &sha256)?;
        // A crash may have come between its name and the sync of that name.
        place::sync_dir(&folder)?;
        return Ok(sha256);
    }
    let part = folder.join(format!("{sha256}{PART}"));
    let failed = |e: &std::io::Error| JournalError::io("writing", &path, e);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(&part, flags, Mode::from_raw_mode(0o640))?;
    if let Err(e) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        drop(file);
        // The half file is no evidence; what matters is the error that made it.
        let _ = std::fs::remove_file(&part);
        return Err(failed(&e));
    }
    std::fs::rename(&part, &path).map_err(|e| failed(&e))?;
    place::sync_dir(&folder)?;
    Ok(sha256)
}

/// Keeps bytes under a digest that may not be theirs, in a copy that nobody has open, for the verifier to see.
pub fn put_as(dir: &Path, sha256: &Digest, bytes: &[u8]) -> Result<(), JournalError> {
    place::make_folder(&dir.join(FOLDER))?;
    let path = path(dir, sha256);
    std::fs::write(&path, bytes).map_err(|e| JournalError::io("writing", &path, &e))
}

/// As [`put`], but refused on a disk that has less than `spare` bytes left: what is nice to have gives way to records.
pub fn put_sparing(dir: &Path, bytes: &[u8], spare: u64) -> Result<Digest, JournalError> {
    let failed = |e: &std::io::Error| JournalError::io("asking for the free space of", dir, e);
    let free = place::free_bytes(&std::fs::File::open(dir).map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    if free < spare {
        return Err(JournalError::LowSpace { dir: dir.to_owned(), free_mib: free >> 20, needed_mib: spare >> 20 });
    }
    put(dir, bytes)
}

/// Reads what is kept under a digest; `None` when nothing is. Bytes that do not have that digest are an error.
pub fn open(dir: &Path, sha256: &Digest) -> Result<Option<Vec<u8>>, JournalError> {
    let path = path(dir, sha256);
    if !place::exists(&path) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    place::open_file(&path, OFlags::RDONLY, Mode::empty())?
        .read_to_end(&mut bytes)
        .map_err(|e| JournalError::io(READING, &path, &e))?;
    let found = digest(&bytes);
    if found == *sha256 {
        Ok(Some(bytes))
    } else {
        Err(JournalError::EvidenceAltered { sha256: sha256.clone(), found })
    }
}

/// Deletes what is kept under a digest; returns when it is gone from the disk, and whether it was there. The record
/// that says so must be durable.
pub fn delete(dir: &Path, sha256: &Digest) -> Result<bool, JournalError> {
    let (folder, path) = (dir.join(FOLDER), path(dir, sha256));
    match std::fs::remove_file(&path) {
        Ok(()) => place::sync_dir(&folder).map(|()| true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(JournalError::io("deleting", &path, &e)),
    }
}

/// The names in the folder: digests, and what is none.
pub fn names(dir: &Path) -> Result<(Vec<Digest>, Vec<String>), JournalError> {
    let folder = dir.join(FOLDER);
    match std::fs::symlink_metadata(&folder) {
        Ok(meta) if meta.is_symlink() => return Err(JournalError::Symlink { path: folder }),
        Ok(meta) if !meta.is_dir() => return Err(JournalError::NotADirectory { path: folder }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((vec![], vec![])),
        Err(e) => return Err(JournalError::io(READING, &folder, &e)),
        Ok(_) => {}
    }
    let (mut digests, mut others) = (vec![], vec![]);
    for entry in std::fs::read_dir(&folder).map_err(|e| JournalError::io(READING, &folder, &e))? {
        let entry = entry.map_err(|e| JournalError::io(READING, &folder, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match Digest::parse(&name).filter(|_| entry.file_type().is_ok_and(|t| t.is_file())) {
            Some(sha256) => digests.push(sha256),
            None => others.push(crate::domain::text::sanitize(&name)),
        }
    }
    digests.sort();
    others.sort();
    Ok((digests, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_kept_once_under_its_digest_and_read_only_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let sha256 = put(dir.path(), b"the blocking tree").unwrap();
        assert_eq!(put(dir.path(), b"the blocking tree").unwrap(), sha256);
        assert_eq!(open(dir.path(), &sha256).unwrap().unwrap(), b"the blocking tree");
        assert_eq!(names(dir.path()).unwrap(), (vec![sha256.clone()], vec![]));
        std::fs::write(path(dir.path(), &sha256), b"the blocking trees").unwrap();
        let altered = |e| matches!(e, JournalError::EvidenceAltered { .. });
        assert!(open(dir.path(), &sha256).is_err_and(altered));
        assert!(put(dir.path(), b"the blocking tree").is_err_and(altered), "nothing is written over what is there");
        assert!(delete(dir.path(), &sha256).unwrap());
        assert!(!delete(dir.path(), &sha256).unwrap());
        assert_eq!(open(dir.path(), &sha256).unwrap(), None);
    }

    #[test]
    fn half_files_links_and_foreign_names_are_no_evidence() {
        let dir = tempfile::tempdir().unwrap();
        let sha256 = put(dir.path(), b"x").unwrap();
        // What a crash in the middle of a write leaves is written over.
        std::fs::write(dir.path().join(FOLDER).join(format!("{}{PART}", digest(b"y"))), b"gar").unwrap();
        assert_eq!(names(dir.path()).unwrap().1, [format!("{}{PART}", digest(b"y"))]);
        let y = put(dir.path(), b"y").unwrap();
        assert!(names(dir.path()).unwrap().1.is_empty());
        std::fs::remove_file(path(dir.path(), &y)).unwrap();
        std::os::unix::fs::symlink(path(dir.path(), &sha256), path(dir.path(), &y)).unwrap();
        assert!(matches!(open(dir.path(), &y), Err(JournalError::Symlink { .. })));
        assert!(names(dir.path()).unwrap().1.len() == 1);
        for bad in ["../log.key", "", &"A".repeat(64), &"0".repeat(63)] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }
}
