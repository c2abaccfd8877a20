//! Publishes a log as C2SP tlog-tiles: tiles, bundles of entries and the checkpoint over them, beside the records or
//! in another directory. Everything is computed from the records, so a publisher that goes on and one that begins
//! anew write the same bytes, and what is there already and differs is damage.
//!
//! Files are put in place whole, the checkpoint last: whoever reads it finds the tiles of its tree, wherever the
//! publisher was killed. Nothing is synced, for the syncs belong to the writer; what a power loss garbles is found
//! and written anew.

use super::hashes::{check_root, published_commit};
use super::pruned::{self, beginning};
use super::tiles::{Tiles, read_file};
use super::walk::{Step, Walk};
use super::{CHECKPOINT, place};
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Damage, JournalError};
use crate::journal::key::VerifierKey;
use crate::journal::rotation::Rotation;
use crate::journal::tile::{self, Content, FOLDER, MAX_BUNDLE, MAX_TREE, Tile, WIDTH};
use crate::journal::tree::{Frontier, Hash, record_hash};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tlog_tiles::HASH_SIZE;

/// Partial bundles of entries of one tile are kept up to this length in all, the widest first. The specification
/// wants those of every checkpoint until the full one is there, which with long records would be gigabytes.
const MAX_PARTIAL: u64 = 16 << 20;

/// End of the name of a file that is not yet what it will be.
const PART: &str = ".tmp";

/// Whether a name is a width as a path has it.
fn is_width(name: &str) -> bool {
    !name.starts_with(['0', '+'])
}

/// Whether a name is that of a file half written.
pub fn is_part(name: &OsStr) -> bool {
    name.to_string_lossy().ends_with(PART)
}

/// Number of the next prefix in this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where files are published, and who may read them.
#[derive(Debug)]
pub struct Prefix {
    dir: PathBuf,
    /// Permission bits of files; folders may be entered by whoever may read.
    mode: u32,
    /// Whether what it holds must outlive a power loss.
    durable: bool,
    /// Bytes that must stay free on the disk: what is derived leaves the room to the records.
    spare: u64,
    number: u64,
    /// Files that were written because they were not there, and because they were not true.
    pub written: u64,
    /// Files that were there as they should be.
    pub unchanged: u64,
    /// Files that were there and were not true.
    pub rebuilt: Vec<String>,
    /// How many files the disk still takes.
    #[cfg(test)]
    allowed: Option<u64>,
}

impl Prefix {
    /// Beside the records: read by those who may read them.
    pub fn beside_records(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            mode: 0o640,
            durable: false,
            spare: 0,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            written: 0,
            unchanged: 0,
            rebuilt: vec![],
            #[cfg(test)]
            allowed: None,
        }
    }

    /// With so many bytes of the disk left to the records.
    #[must_use]
    pub const fn sparing(mut self, bytes: u64) -> Self {
        self.spare = bytes;
        self
    }

    /// Whether the disk takes `bytes` more and keeps what is to be spared.
    fn has_room(&self, bytes: usize) -> Result<(), JournalError> {
        if self.spare == 0 {
            return Ok(());
        }
        let free = std::fs::File::open(&self.dir).and_then(|dir| place::free_bytes(&dir));
        let free = free.map_err(|e| JournalError::io("asking for the free space of", &self.dir, &e))?;
        if free.saturating_sub(bytes as u64) < self.spare {
            let (free_mib, needed_mib) = (free >> 20, self.spare.div_ceil(1 << 20));
            return Err(JournalError::LowSpace { dir: self.dir.clone(), free_mib, needed_mib });
        }
        Ok(())
    }

    /// For everybody, and to stay.
    pub fn public(dir: &Path) -> Self {
        Self { mode: 0o644, durable: true, ..Self::beside_records(dir) }
    }

    /// Returns when everything put there is on the disk, where that is wanted.
    fn sync(&self) -> Result<(), JournalError> {
        if !self.durable {
            return Ok(());
        }
        let synced = std::fs::File::open(&self.dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
        synced.map_err(|e| JournalError::io("syncing", &self.dir, &e))
    }

    /// Puts a file there, whose content follows from its name.
    pub fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), JournalError> {
        match read_file(&self.dir.join(path), bytes.len() as u64) {
            Ok(Some(found)) if found == bytes => {
                self.unchanged += 1;
                return Ok(());
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => self.rebuilt.push(path.to_owned()),
        }
        self.replace(path, bytes)
    }

    /// Puts a file there, whose content is another from time to time.
    pub fn settle(&mut self, path: &str, bytes: &[u8]) -> Result<(), JournalError> {
        match read_file(&self.dir.join(path), bytes.len() as u64) {
            Ok(Some(found)) if found == bytes => {
                self.unchanged += 1;
                Ok(())
            }
            _ => self.replace(path, bytes),
        }
    }

    /// Writes a file beside its place and gives it its name.
    fn replace(&mut self, path: &str, bytes: &[u8]) -> Result<(), JournalError> {
        let (path, part) = (self.dir.join(path), self.part());
        #[cfg(test)]
        if let Some(allowed) = &mut self.allowed {
            *allowed = allowed.checked_sub(1).ok_or(JournalError::DiskFull { dir: self.dir.clone() })?;
        }
        self.has_room(bytes.len())?;
        self.make_folders(&part)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = place::open_file(&part, flags, Mode::from_raw_mode(self.mode))?;
        let named = file.write_all(bytes).and_then(|()| match std::fs::rename(&part, &path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.make_folders(&path).map_err(std::io::Error::other)?;
                std::fs::rename(&part, &path)
            }
            done => done,
        });
        named.map_err(|e| {
            // It may have filled the disk; nothing refers to it.
            let _ = std::fs::remove_file(&part);
            JournalError::io("publishing", &path, &e)
        })?;
        self.written += 1;
        Ok(())
    }

    /// The file that is being written. Each prefix has its own: one that was closed may still be at its last.
    fn part(&self) -> PathBuf {
        self.dir.join(FOLDER).join(format!("{}-{}{PART}", std::process::id(), self.number))
    }

    /// Removes what publishers that were killed left half written.
    pub fn remove_parts(&self) {
        let entries = std::fs::read_dir(self.dir.join(FOLDER)).into_iter().flatten().flatten();
        for entry in entries.filter(|e| is_part(&e.file_name())) {
            // One that stays is in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }

    /// Makes the folders above a file.
    fn make_folders(&self, path: &Path) -> Result<(), JournalError> {
        let Some(folder) = path.parent().filter(|folder| !place::exists(folder)) else { return Ok(()) };
        let enter = self.mode | (self.mode & 0o444) >> 2;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(enter)
            .create(folder)
            .map_err(|e| JournalError::io("making", folder, &e))
    }

    /// Removes the partial forms of a tile that is full now.
    fn remove_partials(&self, tile: Tile) -> Result<(), JournalError> {
        let folder = self.dir.join(format!("{}.p", tile.full_path()));
        match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(JournalError::io("removing", &folder, &e)),
            _ => Ok(()),
        }
    }

    /// Compares the narrower forms of a partial tile with the widest, `bytes`, whose beginnings they are; `ends` says
    /// where each width ends. What can not be one goes.
    fn check_partials(&mut self, tile: Tile, bytes: &[u8], ends: &[usize]) -> Result<(), JournalError> {
        let folder = self.dir.join(format!("{}.p", tile.full_path()));
        let failed = |e: &std::io::Error| JournalError::io("checking", &folder, e);
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|e| failed(&e))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| failed(&e))?;
            let width = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok().filter(|_| is_width(name)));
            let narrow = width.map(|width| Tile { width, ..tile });
            let end = width.and_then(|width| ends.get(usize::try_from(width).ok()?.checked_sub(1)?));
            match (narrow, end.and_then(|end| bytes.get(..*end))) {
                (Some(narrow), _) if narrow == tile => {}
                (Some(narrow), Some(bytes)) => self.put(&narrow.path(), bytes)?,
                _ => std::fs::remove_file(entry.path()).map_err(|e| failed(&e))?,
            }
        }
        Ok(())
    }

    /// Removes the narrowest partial bundles of a tile while all of them are too long.
    fn bound_partials(&self, tile: Tile) -> Result<(), JournalError> {
        let folder = self.dir.join(format!("{}.p", tile.full_path()));
        let failed = |e: &std::io::Error| JournalError::io("removing from", &folder, e);
        let mut kept = vec![];
        for entry in std::fs::read_dir(&folder).map_err(|e| failed(&e))? {
            let entry = entry.map_err(|e| failed(&e))?;
            let width = entry.file_name().to_str().and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
            kept.push((width, entry.metadata().map_err(|e| failed(&e))?.len(), entry.path()));
        }
        kept.sort_by_key(|(width, _, _)| std::cmp::Reverse(*width));
        let mut sum = 0;
        for (width, length, path) in kept {
            sum += length;
            if sum > MAX_PARTIAL && width < tile.width {
                std::fs::remove_file(&path).map_err(|e| failed(&e))?;
            }
        }
        Ok(())
    }
}

/// The right edge of a published log, from which it grows. After an error it is no longer true: begin anew.
#[derive(Debug)]
pub struct Publisher {
    to: Prefix,
    walk: Walk,
    tree: Frontier,
    /// Hashes of the last tile of each level, which is not full.
    edges: Vec<Vec<Hash>>,
    /// Entries of the last bundle, which is not full.
    bundle: Vec<u8>,
    /// The bundle that can not be published, because its first records were moved to an archive.
    lacks: Option<u64>,
    /// The commit over the records so far.
    note: String,
    /// Whether that is the last of its key.
    rotates: bool,
    /// Whether the partial tiles of earlier checkpoints have been compared.
    compared: bool,
}

impl Publisher {
    /// Begins with the first record that is here.
    pub fn anew(log: &Path, to: Prefix) -> Result<Self, JournalError> {
        let (walk, base) = beginning(log)?;
        let (tree, edges, note) = (base.tree(), base.edges(), base.note());
        let (bundle, lacks) = match pruned::bundle(log, &base) {
            Some(bundle) => (bundle, None),
            None => (vec![], Some(base.size() / WIDTH)),
        };
        Ok(Self { to, walk, tree, edges, bundle, lacks, note, rotates: false, compared: false })
    }

    /// Goes on where the published checkpoint ends, if its tiles are true there and the log continues it. The tiles
    /// left of the edge are taken as they are.
    pub fn resume(log: &Path, to: Prefix) -> Option<Self> {
        let (checkpoint, note, walk) = published_commit(log)?;
        let size = checkpoint.size;
        let (tree, edges) = Tiles::open(&to.dir, &checkpoint)?.into_edges();
        let width = size % WIDTH;
        let (mut bundle, mut lacks) = (vec![], None);
        let tile = Tile { content: Content::Entries, n: size / WIDTH, width };
        if width > 0 && pruned::size(log).is_some_and(|moved| moved > tile.n * WIDTH) {
            match read_file(&log.join(tile.path()), MAX_BUNDLE as u64).ok()? {
                Some(found) => bundle = found,
                None => lacks = Some(tile.n),
            }
        } else if width > 0 {
            bundle = read_file(&log.join(tile.path()), MAX_BUNDLE as u64).ok()??;
        }
        if width > 0 && lacks.is_none() {
            let leaves: Vec<Hash> = tile::entries(&bundle)?.into_iter().map(record_hash).collect();
            edges.first().filter(|edge| **edge == leaves)?;
        }
        Some(Self { to, walk, tree, edges, bundle, lacks, note, rotates: false, compared: false })
    }

    /// Number of records that were taken in.
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Root over them.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The commit over them.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Where it publishes to.
    pub const fn prefix(&mut self) -> &mut Prefix {
        &mut self.to
    }

    /// Takes in the next batch of the first `until` records and writes the tiles that it fills. `false` when there is
    /// none.
    pub fn take(&mut self, until: u64) -> Result<bool, JournalError> {
        if self.tree.size() >= until {
            return Ok(false);
        }
        let Step::Batch(batch) = self.walk.next()? else { return Ok(false) };
        let first = self.tree.size();
        let leaves: Vec<Hash> = batch.records().map(record_hash).collect();
        let mut tree = self.tree.clone();
        for leaf in &leaves {
            tree.append_hash(*leaf);
        }
        check_root(&batch, &tree).map_err(|why| {
            let (through, line) = (tree.size().saturating_sub(1).max(first), batch.line + batch.lines() - 1);
            JournalError::Damaged(Damage { seq: first, through, file: self.walk.place().0.name(), line, why })
        })?;
        if tree.size() > MAX_TREE {
            return Err(JournalError::TreeTooGreat { size: tree.size() });
        }
        self.rotates = matches!(Rotation::of_batch(batch.records()), Ok(Some(_)));
        for ((seq, record), leaf) in (first..).zip(batch.records()).zip(leaves) {
            let is_here = self.lacks != Some(seq / WIDTH);
            if is_here {
                tile::push_entry(&mut self.bundle, record);
            }
            self.push(0, leaf, seq)?;
            if is_here && (seq + 1).is_multiple_of(WIDTH) {
                let tile = Tile { content: Content::Entries, n: seq / WIDTH, width: WIDTH };
                self.to.put(&tile.path(), &self.bundle)?;
                self.to.remove_partials(tile)?;
                self.bundle.clear();
            }
        }
        (self.tree, self.note) = (tree, batch.note);
        Ok(true)
    }

    /// Appends a hash that record `seq` completes to the edge of a level.
    fn push(&mut self, level: u8, hash: Hash, seq: u64) -> Result<(), JournalError> {
        let at = usize::from(level);
        if self.edges.len() <= at {
            self.edges.push(vec![]);
        }
        let Some(edge) = self.edges.get_mut(at) else { return Ok(()) };
        edge.push(hash);
        if (edge.len() as u64) < WIDTH {
            return Ok(());
        }
        let bytes = concat(edge);
        edge.clear();
        let tile = Tile { content: Content::Hashes(level), n: seq >> (u32::from(level + 1) * 8), width: WIDTH };
        self.to.put(&tile.path(), &bytes)?;
        self.to.remove_partials(tile)?;
        self.push(level + 1, tlog_tiles::Tile::subtree_hash(&bytes), seq)
    }

    /// Publishes what was taken in so far: the partial tiles, then `note` or else the commit of the last batch as
    /// checkpoint. `key` must have signed it; at a change of keys nothing is published before the new key signs.
    pub fn publish(&mut self, key: &VerifierKey, note: Option<&str>) -> Result<(), JournalError> {
        let size = self.tree.size();
        let note = note.unwrap_or(&self.note);
        let opened = Checkpoint::open_cosigned(note, key);
        if size == 0 || (self.rotates && opened.is_err()) {
            return Ok(());
        }
        let place = self.walk.place();
        let checkpoint = opened.map_err(|why| {
            let (file, line) = (place.0.name(), place.2.saturating_sub(1));
            let why = format!("its commit line: {why}");
            JournalError::Damaged(Damage { seq: size - 1, through: size - 1, file, line, why })
        })?;
        if checkpoint.size != size || checkpoint.root != self.tree.root() {
            return Err(JournalError::BeyondTheEnd { dir: self.to.dir.clone(), asked: checkpoint.size, size });
        }
        for (level, edge) in (0_u8..).zip(&self.edges).filter(|(_, edge)| !edge.is_empty()) {
            let n = size >> (u32::from(level + 1) * 8);
            let tile = Tile { content: Content::Hashes(level), n, width: edge.len() as u64 };
            let bytes = concat(edge);
            if !self.compared {
                let ends: Vec<usize> = (1..=edge.len()).map(|width| width * HASH_SIZE).collect();
                self.to.check_partials(tile, &bytes, &ends)?;
            }
            self.to.put(&tile.path(), &bytes)?;
        }
        if !self.bundle.is_empty() {
            let tile = Tile { content: Content::Entries, n: size / WIDTH, width: size % WIDTH };
            if !self.compared {
                let mut end = 0;
                let entries = tile::entries(&self.bundle).unwrap_or_default();
                let ends: Vec<usize> = entries
                    .iter()
                    .map(|entry| {
                        end += 2 + entry.len();
                        end
                    })
                    .collect();
                self.to.check_partials(tile, &self.bundle, &ends)?;
            }
            self.to.put(&tile.path(), &self.bundle)?;
            self.to.bound_partials(tile)?;
        }
        self.compared = true;
        self.to.sync()?;
        self.to.settle(CHECKPOINT, note.as_bytes())?;
        self.to.sync()
    }
}

fn concat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|h| h.0).collect()
}

#[cfg(test)]
mod tests;
