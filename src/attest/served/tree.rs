//! The tree under a signed root, read tile by tile. A hash is given out only when it leads to the root: those of the
//! right edge together, each full tile by the hash that the tile above it has of it.
//!
//! `tlog_tiles::TileHashReader`, and Go's from which it was translated, are not used: they begin to authenticate at
//! the number of complete subtrees of the tree, which is greater than the number of tiles that these lie in as soon
//! as two lie in one, so that the next tiles are believed as they are.

use super::Served;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::tile::{Content, HEIGHT, MAX_TREE, Tile, WIDTH, nodes, subtree};
use crate::journal::tree::{EMPTY_HASH, Hash, node_hash};
use std::cell::RefCell;
use std::collections::BTreeMap;
use tlog_tiles::{Error, HASH_SIZE, HashReader, split_stored_hash_index};

/// Full tiles that are kept at most: 8 KiB each.
const KEPT: usize = 512;

/// The tree of one checkpoint.
#[derive(Debug)]
pub struct Tree<'a> {
    served: &'a Served,
    checkpoint: Checkpoint,
    /// Hashes of the last tile of each level, which is not full.
    edges: Vec<Vec<Hash>>,
    /// Full tiles that were read, by level and number.
    full: RefCell<BTreeMap<(u8, u64), Vec<Hash>>>,
    /// Why a hash could not be given out; [`HashReader`] can not say it.
    failed: RefCell<Option<String>>,
}

impl<'a> Tree<'a> {
    /// Reads the right edge of the tree; it must hash to the root.
    pub fn open(served: &'a Served, checkpoint: &Checkpoint) -> Result<Self, String> {
        let size = checkpoint.size;
        if size > MAX_TREE {
            return Err(format!("a tree of {size} records is more than is read"));
        }
        let mut edges = vec![];
        for level in 0.. {
            let nodes = nodes(size, level);
            if nodes == 0 {
                break;
            }
            let tile = Tile { content: Content::Hashes(level), n: nodes / WIDTH, width: nodes % WIDTH };
            edges.push(if tile.width == 0 { vec![] } else { read(served, tile)? });
        }
        // From the smallest complete subtree, at the right, to the greatest.
        let mut root = None;
        for edge in &edges {
            let mut rest = edge.as_slice();
            while !rest.is_empty() {
                let peak = rest.len() & rest.len().wrapping_neg();
                let (left, right) = rest.split_at(rest.len() - peak);
                let hash = subtree(right);
                root = Some(root.map_or(hash, |smaller| node_hash(hash, smaller)));
                rest = left;
            }
        }
        if root.unwrap_or(EMPTY_HASH) != checkpoint.root {
            return Err(format!("the tiles at the end of the tree of {size} records do not hash to its signed root"));
        }
        let (full, failed) = (RefCell::default(), RefCell::default());
        Ok(Self { served, checkpoint: checkpoint.clone(), edges, full, failed })
    }

    /// The checkpoint that vouches for it.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Asks `question`, whose answer is an error only when reading was.
    pub fn ask<T>(&self, question: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, String> {
        self.failed.replace(None);
        question(self).map_err(|e| self.failed.take().unwrap_or_else(|| e.to_string()))
    }

    /// The hashes of a tile, as far as it belongs to the tree.
    pub fn tile(&self, level: u8, n: u64) -> Result<Vec<Hash>, String> {
        let outside = || format!("the tree of {} records has no tile {level}/{n}", self.checkpoint.size);
        let full = nodes(self.checkpoint.size, level) / WIDTH;
        if n >= full {
            let edge = self.edges.get(usize::from(level)).filter(|_| n == full);
            return edge.cloned().ok_or_else(outside);
        }
        if let Some(hashes) = self.full.borrow().get(&(level, n)) {
            return Ok(hashes.clone());
        }
        let tile = Tile { content: Content::Hashes(level), n, width: WIDTH };
        let hashes = read(self.served, tile)?;
        let above = self.tile(level + 1, n / WIDTH)?;
        let expected = usize::try_from(n % WIDTH).ok().and_then(|at| above.get(at));
        if expected != Some(&subtree(&hashes)) {
            return Err(format!("{} does not hash to what the tile above it says", tile.path()));
        }
        let mut kept = self.full.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert((level, n), hashes.clone());
        Ok(hashes)
    }

    fn hash(&self, index: u64) -> Result<Hash, String> {
        let (height, n) = split_stored_hash_index(index);
        let (level, within) = (height / HEIGHT, height % HEIGHT);
        // First of the hashes of the level that the subtree spans.
        let first = n << within;
        let hashes = self.tile(level, first / WIDTH)?;
        let start = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let spanned = hashes.get(start..start.saturating_add(1 << within));
        spanned.map(subtree).ok_or_else(|| format!("the tree of {} records has no hash {index}", self.checkpoint.size))
    }
}

impl HashReader for Tree<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            self.hash(*index).map_err(|why| {
                self.failed.replace(Some(why));
                Error::InconsistentTile
            })
        };
        indexes.iter().map(read).collect()
    }
}

/// Reads a tile, not yet believed.
fn read(served: &Served, tile: Tile) -> Result<Vec<Hash>, String> {
    let length = |width: u64| usize::try_from(width).unwrap_or(usize::MAX).saturating_mul(HASH_SIZE);
    let bytes = served.tile(tile, length(WIDTH))?;
    let (hashes, _) = bytes.get(..length(tile.width)).unwrap_or_default().as_chunks();
    if hashes.is_empty() {
        return Err(format!("{} is too short", tile.path()));
    }
    Ok(hashes.iter().map(|hash| Hash(*hash)).collect())
}
