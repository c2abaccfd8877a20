//! Leaf hashes as tiles have them, of the log itself or of a copy. They are what somebody wrote there: whoever uses
//! them first shows that they hash to a root that the log's key signed.

use super::tiles::read_file;
use crate::journal::tile::{Content, Tile, WIDTH};
use crate::journal::tree::Hash;
use std::path::Path;

/// Length of a hash.
const HASH: usize = 32;

/// The hashes of the records from `first` up to but without `end`, when the tiles below `dir` have them all.
pub fn leaf_hashes(dir: &Path, first: u64, end: u64) -> Option<Vec<Hash>> {
    let mut hashes = vec![];
    let mut next = first;
    while next < end {
        let (n, skip) = (next / WIDTH, usize::try_from(next % WIDTH).ok()?);
        let upto = end.min((n + 1) * WIDTH) - n * WIDTH;
        let tile = read(dir, n, upto)?;
        let wanted = tile.chunks_exact(HASH).take(usize::try_from(upto).ok()?).skip(skip);
        for bytes in wanted {
            hashes.push(Hash(bytes.try_into().ok()?));
            next += 1;
        }
        if next < end && next % WIDTH != 0 {
            return None;
        }
    }
    Some(hashes)
}

/// Tile `n` of the lowest level with at least `width` hashes: the full one, or the narrowest partial one that will do.
fn read(dir: &Path, n: u64, width: u64) -> Option<Vec<u8>> {
    let mut widths = std::iter::once(WIDTH).chain(width..WIDTH);
    let read = |width| read_file(&dir.join(Tile { content: Content::Hashes(0), n, width }.path()), WIDTH * HASH as u64);
    let bytes = widths.find_map(|width| read(width).ok().flatten())?;
    (bytes.len() as u64 >= width * HASH as u64).then_some(bytes)
}
