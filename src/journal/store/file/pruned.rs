//! The segments of a log that were moved to an archive, as `pruned.json` tells of them, and where the records begin that
//! are left. Whoever reads a log from its beginning asks [`beginning`], which hands out the tree before it.

use super::tiles::read_file;
use super::walk::{Walk, Whole, segments};
use super::{RECORDS, place};
use crate::domain::id::Digest;
use crate::journal::error::{Damage, JournalError};
use crate::journal::key::KeyRing;
use crate::journal::pruned::{FILE, Pruned};
use crate::journal::tile::{self, Content, Tile, WIDTH};
use crate::journal::tree::{Frontier, Hash};
use rustix::fs::{Mode, OFlags};
use std::io::Write;
use std::path::Path;

/// Greatest length of a file that is read, in bytes: some hundred thousand segments.
const MAX_BYTES: u64 = 64 << 20;

/// Name of the file before a record names it.
pub const NEXT: &str = "pruned.json.next";

/// What lies before the records that can be read: nothing, or what was moved.
#[derive(Clone, Debug, Default)]
pub struct Base(Option<Pruned>);

impl Base {
    /// What was moved.
    pub const fn pruned(&self) -> Option<&Pruned> {
        self.0.as_ref()
    }

    /// Number of records before.
    pub fn size(&self) -> u64 {
        self.0.as_ref().map_or(0, Pruned::size)
    }

    /// The tree over them.
    pub fn tree(&self) -> Frontier {
        self.0.as_ref().map(|p| p.tree().clone()).unwrap_or_default()
    }

    /// The hashes of the last tile of each level.
    pub fn edges(&self) -> Vec<Vec<Hash>> {
        self.0.as_ref().map(|p| p.edges().to_vec()).unwrap_or_default()
    }

    /// The keys up to there, where that is known.
    pub fn ring(&self) -> Option<KeyRing> {
        self.0.as_ref().map(|p| p.ring().clone())
    }

    /// The signed checkpoint over them; empty where there is none.
    pub fn note(&self) -> String {
        self.0.as_ref().map(|p| p.note().to_owned()).unwrap_or_default()
    }
}

/// Begins with the first record that can be read, and says what lies before it. Records that are missing without a
/// word of `pruned.json` are damage.
pub fn beginning<'a>(at: impl Into<Whole<'a>>) -> Result<(Walk, Base), JournalError> {
    let at = at.into();
    let walk = Walk::open(at, 0)?;
    if walk.seq() == 0 {
        return Ok((walk, Base::default()));
    }
    let Some(pruned) = read(at.dir)? else { return Err(walk.missing_before()) };
    if pruned.size() != walk.seq() {
        let (size, first) = (pruned.size(), walk.seq());
        let why = format!("it says that {size} records were moved, and the first that is here is record {first}");
        return Err(damage(size.min(first), first.max(size) - 1, why));
    }
    Ok((walk, Base(Some(pruned))))
}

/// Why a record that lies before the first that can be read is not here.
pub fn elsewhere(walk: &Walk, dir: &Path, seq: u64) -> JournalError {
    match read(dir) {
        Ok(Some(pruned)) if pruned.size() == walk.seq() => archived(&pruned, seq),
        Ok(_) => walk.missing_before(),
        Err(e) => e,
    }
}

/// That record `seq` was moved.
pub fn archived(pruned: &Pruned, seq: u64) -> JournalError {
    JournalError::Archived { first: 0, last: pruned.size().saturating_sub(1), place: pruned.place_of(seq) }
}

/// What the file says, if it is there. It is believed by itself as far as its parts agree.
pub fn read(dir: &Path) -> Result<Option<Pruned>, JournalError> {
    let Some(bytes) = read_file(&dir.join(FILE), MAX_BYTES)? else { return Ok(None) };
    Pruned::decode(&bytes).map(Some).map_err(|why| {
        let first = segments(dir).ok().and_then(|all| all.first().map(|s| s.first)).unwrap_or(0);
        damage(0, first.saturating_sub(1), why.to_string())
    })
}

/// Number of records that the file says were moved, at a glance.
pub fn size(dir: &Path) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Size {
        size: u64,
    }
    let bytes = read_file(&dir.join(FILE), MAX_BYTES).ok()??;
    serde_json::from_slice::<Size>(&bytes).ok().map(|s| s.size)
}

/// That the file is not what it should be.
pub fn damage(seq: u64, through: u64, why: String) -> JournalError {
    JournalError::Damaged(Damage { seq, through, file: FILE.to_owned(), line: 0, why })
}

/// The first segment that was moved and lies here still, with other bytes than were moved.
pub fn unlike(dir: &Path, pruned: &Pruned) -> Result<Option<Damage>, JournalError> {
    for segment in segments(dir)?.iter().filter(|s| s.first < pruned.size()) {
        let known = pruned.segments().iter().find(|s| s.first == segment.first);
        let (sha256, bytes) = digest_of(&segment.path)?;
        if known.is_none_or(|k| k.sha256 != sha256 || k.bytes != bytes) {
            let why = "it was moved to the archive, and what lies here has other bytes".to_owned();
            let (seq, through) = (segment.first, known.map_or(segment.first, |k| k.last));
            return Ok(Some(Damage { seq, through, file: segment.name(), line: 0, why }));
        }
    }
    Ok(None)
}

/// Digest and length of a file, which is not held in memory.
pub fn digest_of(path: &Path) -> Result<(Digest, u64), JournalError> {
    use sha2::Digest as _;
    use std::io::Read;
    let failed = |e: std::io::Error| JournalError::io(crate::journal::error::READING, path, &e);
    let mut file = place::open_file(path, OFlags::RDONLY, Mode::empty())?;
    let (mut hash, mut length, mut buffer) = (sha2::Sha256::new(), 0, vec![0; 1 << 17]);
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok((Digest::from_bytes(&hash.finalize().into()), length));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

/// Writes the file under its waiting name, durably. A half one does not stay.
pub fn prepare(dir: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let path = dir.join(NEXT);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(&path, flags, Mode::from_raw_mode(0o640))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| {
        let _ = std::fs::remove_file(&path);
        JournalError::io("writing", &path, &e)
    })?;
    place::sync_dir(dir)
}

/// The bytes under the waiting name.
pub fn prepared(dir: &Path) -> Result<Option<Vec<u8>>, JournalError> {
    read_file(&dir.join(NEXT), MAX_BYTES)
}

/// Gives the file its name, durably. The record that names its digest must be on the disk.
pub fn settle(dir: &Path) -> Result<(), JournalError> {
    let path = dir.join(FILE);
    std::fs::rename(dir.join(NEXT), &path).map_err(|e| JournalError::io("naming", &path, &e))?;
    place::sync_dir(dir)
}

/// Removes the segments before record `size`, the first one first: as long as that is there, the log is whole. Returns
/// how many there were.
pub fn remove(dir: &Path, size: u64) -> Result<usize, JournalError> {
    let mut count = 0;
    for segment in segments(dir)?.iter().take_while(|s| s.first < size) {
        std::fs::remove_file(&segment.path).map_err(|e| JournalError::io("removing", &segment.path, &e))?;
        if count == 0 {
            place::sync_dir(&dir.join(RECORDS))?;
        }
        count += 1;
    }
    place::sync_dir(&dir.join(RECORDS))?;
    Ok(count)
}

/// Puts a segment back, durably. Called from the last to the first, so that the log is whole when the first is there.
pub fn put_back(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
    let (part, path) = (dir.join("restored.tmp"), dir.join(name));
    let failed = |e: std::io::Error| {
        let _ = std::fs::remove_file(&part);
        JournalError::io("writing", &path, &e)
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = place::open_file(&part, flags, Mode::from_raw_mode(0o640))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&part, &path).map_err(failed)?;
    place::sync_dir(&dir.join(RECORDS))
}

/// Removes the file, when all that it tells of is back.
pub fn forget(dir: &Path) -> Result<(), JournalError> {
    let path = dir.join(FILE);
    std::fs::remove_file(&path).map_err(|e| JournalError::io("removing", &path, &e))?;
    place::sync_dir(dir)
}

/// Removes the bundles of entries that hold nothing but records that were moved. They are derived: one that stays is in
/// nobody's way, and the tiles of hashes are needed for proofs of earlier trees.
pub fn remove_entries(dir: &Path, size: u64) -> u64 {
    let remove = |n| std::fs::remove_file(dir.join(Tile { content: Content::Entries, n, width: WIDTH }.path())).is_ok();
    (0..size / WIDTH).filter(|n| remove(*n)).count() as u64
}

/// The beginning of the bundle that holds the last of the moved records, if it lies here and its entries are true:
/// those that were moved.
pub fn bundle(dir: &Path, base: &Base) -> Option<Vec<u8>> {
    let (n, width) = (base.size() / WIDTH, base.size() % WIDTH);
    if width == 0 {
        return Some(vec![]);
    }
    let count = usize::try_from(width).ok()?;
    let leaves = base.edges().into_iter().next()?;
    let widths = std::iter::once(WIDTH).chain(width..WIDTH);
    let mut found = widths.filter_map(|width| {
        let path = dir.join(Tile { content: Content::Entries, n, width }.path());
        read_file(&path, tile::MAX_BUNDLE as u64).ok().flatten()
    });
    found.find_map(|bytes| {
        let entries = tile::entries(&bytes)?;
        let entries = entries.get(..count)?;
        let is_true = entries.iter().map(|e| crate::journal::tree::record_hash(e)).eq(leaves.iter().copied());
        let mut bundle = vec![];
        for entry in entries {
            tile::push_entry(&mut bundle, entry);
        }
        is_true.then_some(bundle)
    })
}
