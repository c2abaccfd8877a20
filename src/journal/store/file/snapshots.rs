//! The files of snapshots, `snapshot/<size>`: written whole and durably before the record that names them, the newest
//! two kept. They are derived: whatever is wrong with one, the state is rebuilt without it.

use super::walk::{Step, Walk};
use super::{SNAPSHOTS, place};
use crate::journal::error::{JournalError, READING};
use crate::journal::snapshot::{Maker, Snapshot, is_named_by};
use rustix::fs::{Mode, OFlags};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Snapshots that are kept: the newest, and two more in case that crashes kept records from naming them. Where the first
/// records were moved to an archive, one of them is all that the state can be taken up from.
const KEPT: usize = 3;

/// Greatest length of a file that is read, in bytes: a hundred times what a long incident takes.
const MAX_BYTES: u64 = 256 << 20;

/// Name of a snapshot below the journal's directory.
pub fn name(size: u64) -> String {
    format!("{SNAPSHOTS}/{size:020}")
}

/// Writes a snapshot whole, and removes those that are no longer needed.
pub fn write(dir: &Path, size: u64, bytes: &[u8]) -> Result<(), JournalError> {
    let (path, part) = (dir.join(name(size)), dir.join(SNAPSHOTS).join("new.tmp"));
    place::make_folder(&dir.join(SNAPSHOTS))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(&part, flags, Mode::from_raw_mode(0o640))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&part, &path)).map_err(|e| {
        // It may have filled the disk; nothing refers to it.
        let _ = std::fs::remove_file(&part);
        JournalError::io("writing", &path, &e)
    })?;
    place::sync_dir(&dir.join(SNAPSHOTS))?;
    for (_, old) in list(dir).into_iter().skip(KEPT) {
        // One that stays is passed over at the next opening.
        let _ = std::fs::remove_file(old);
    }
    Ok(())
}

/// The snapshots by size, newest first. A folder that can not be read has none.
pub fn list(dir: &Path) -> Vec<(u64, PathBuf)> {
    let folder = dir.join(SNAPSHOTS);
    let is_folder = std::fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir());
    let Ok(entries) = std::fs::read_dir(&folder) else { return vec![] };
    let size = |path: &Path| path.file_name()?.to_str().filter(|n| n.len() == 20)?.parse::<u64>().ok();
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut found: Vec<_> =
        paths.filter(|_| is_folder).filter_map(|path| size(&path).map(|size| (size, path))).collect();
    found.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    found
}

/// The newest snapshot that a record names, whose state has this form.
pub fn named(dir: &Path, format: u64, maker: Maker) -> Result<Option<Snapshot>, JournalError> {
    for (_, path) in list(dir) {
        let Ok(snapshot) = Snapshot::decode_of(&read(&path)?, format, maker) else { continue };
        let Ok(mut walk) = Walk::at(dir, &snapshot.place) else { continue };
        while let Step::Batch(batch) = walk.next()? {
            let size = snapshot.place.tree.size();
            if batch.records().any(|record| is_named_by(record, size, &snapshot.digest)) {
                return Ok(Some(snapshot));
            }
        }
    }
    Ok(None)
}

/// Reads a snapshot.
pub fn read(path: &Path) -> Result<Vec<u8>, JournalError> {
    let file = place::open_file(path, OFlags::RDONLY, Mode::empty())?;
    let mut bytes = vec![];
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| JournalError::io(READING, path, &e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_three_are_kept_and_nothing_else_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(list(dir.path()).is_empty());
        for size in [7, 40, 3, 9] {
            write(dir.path(), size, &size.to_le_bytes()).unwrap();
        }
        std::fs::write(dir.path().join(SNAPSHOTS).join("notes.txt"), "x").unwrap();
        let sizes: Vec<_> = list(dir.path()).into_iter().map(|(size, _)| size).collect();
        assert_eq!(sizes, [40, 9, 7]);
        assert_eq!(read(&dir.path().join(name(40))).unwrap(), 40_u64.to_le_bytes());
    }

    #[test]
    fn a_linked_folder_has_no_snapshots() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(other.path(), 7, b"x").unwrap();
        std::os::unix::fs::symlink(other.path().join(SNAPSHOTS), dir.path().join(SNAPSHOTS)).unwrap();
        assert!(list(dir.path()).is_empty());
    }
}
