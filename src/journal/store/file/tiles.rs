//! The published tiles of a log, read as what they are: files that anybody may have changed. A hash is given out only
//! when it leads to the root of a checkpoint.
//!
//! The reader of the crate, `tlog_tiles::TileHashReader` in 0.2.0, is not used: like golang.org/x/mod before the fix that
//! v0.42.0 has, it begins to authenticate at the number of complete subtrees of the tree, which is greater than the
//! number of tiles that these lie in as soon as two lie in one, so that the next tiles are believed as they are.

use super::place;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{JournalError, READING};
use crate::journal::tile::{Content, HEIGHT, MAX_TREE, Tile, WIDTH, frontier, nodes, subtree};
use crate::journal::tree::{Frontier, Hash};
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use tlog_tiles::{HASH_SIZE, split_stored_hash_index};

/// The tiles of one tree.
#[derive(Debug)]
pub struct Tiles {
    dir: PathBuf,
    tree: Frontier,
    /// Hashes of the last tile of each level, which is not full; all of them together are the root.
    edges: Vec<Vec<Hash>>,
    /// Full tiles that were read, by level and number; each hashes to what the one above it says.
    full: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl Tiles {
    /// Reads the right edge of the tree under a checkpoint, if it hashes to the root.
    pub fn open(dir: &Path, checkpoint: &Checkpoint) -> Option<Self> {
        let size = checkpoint.size;
        if size == 0 || size > MAX_TREE {
            return None;
        }
        let mut edges = vec![];
        for level in 0.. {
            let nodes = nodes(size, level);
            if nodes == 0 {
                break;
            }
            let tile = Tile { content: Content::Hashes(level), n: nodes / WIDTH, width: nodes % WIDTH };
            edges.push(if tile.width == 0 { vec![] } else { read(dir, tile)? });
        }
        Self::at(dir, checkpoint, edges)
    }

    /// The tiles of the tree under a checkpoint whose right edge is known, if that hashes to the root.
    pub fn at(dir: &Path, checkpoint: &Checkpoint, edges: Vec<Vec<Hash>>) -> Option<Self> {
        let tree = frontier(checkpoint.size, &edges)?;
        (tree.root() == checkpoint.root).then(|| Self { dir: dir.to_owned(), tree, edges, full: BTreeMap::new() })
    }

    /// The tree, and the hashes of the last tile of each level.
    pub fn into_edges(self) -> (Frontier, Vec<Vec<Hash>>) {
        (self.tree, self.edges)
    }

    /// A hash by its index (`tlog_tiles::stored_hash_index`).
    pub fn hash(&mut self, index: u64) -> Option<Hash> {
        let (height, n) = split_stored_hash_index(index);
        let (level, within) = (height / HEIGHT, height % HEIGHT);
        // First of the hashes of the level that the subtree spans.
        let first = n << within;
        let hashes = self.tile(level, first / WIDTH)?;
        let start = usize::try_from(first % WIDTH).ok()?;
        let hashes = hashes.get(start..start + (1 << within))?;
        Some(subtree(hashes))
    }

    /// Lets go of the tiles that were read of the lowest level; those above are few.
    pub fn forget(&mut self) {
        self.full.retain(|(level, _), _| *level > 0);
    }

    /// The hashes of a tile, as far as it belongs to the tree.
    pub fn tile(&mut self, level: u8, n: u64) -> Option<&[Hash]> {
        let full = nodes(self.tree.size(), level) / WIDTH;
        if n >= full {
            return if n == full { self.edges.get(usize::from(level)).map(Vec::as_slice) } else { None };
        }
        if !self.full.contains_key(&(level, n)) {
            let hashes = read(&self.dir, Tile { content: Content::Hashes(level), n, width: WIDTH })?;
            let above = self.tile(level + 1, n / WIDTH)?.get(usize::try_from(n % WIDTH).ok()?);
            if above != Some(&subtree(&hashes)) {
                return None;
            }
            self.full.insert((level, n), hashes);
        }
        self.full.get(&(level, n)).map(Vec::as_slice)
    }
}

/// Reads a tile, not yet believed; the full one when the partial one has gone.
fn read(dir: &Path, tile: Tile) -> Option<Vec<Hash>> {
    let read = |path: String| read_file(&dir.join(path), WIDTH * HASH_SIZE as u64).ok().flatten();
    let length = usize::try_from(tile.width).ok()? * HASH_SIZE;
    let bytes = read(tile.path()).filter(|b| b.len() == length).or_else(|| read(tile.full_path()))?;
    let (hashes, []) = bytes.get(..length)?.as_chunks() else { return None };
    Some(hashes.iter().map(|hash| Hash(*hash)).collect())
}

/// Reads a regular file of at most `most` bytes; nothing when there is none. It follows no link and waits for no
/// pipe: what is read lies where others may have put something else.
pub fn read_file(path: &Path, most: u64) -> Result<Option<Vec<u8>>, JournalError> {
    let failed = |e: std::io::Error| JournalError::io(READING, path, &e);
    let file = match place::open_file(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
        Ok(file) => file,
        Err(_) if !place::exists(path) => return Ok(None),
        Err(e) => return Err(e),
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(failed(std::io::Error::other("it is not a regular file")));
    }
    if meta.len() > most {
        return Err(failed(std::io::Error::other(format!("it has {} bytes, more than {most}", meta.len()))));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}
