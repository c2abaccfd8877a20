//! Leaf hashes as tiles have them, of the log itself or of a copy. They are what somebody wrote there: whoever uses
//! them first shows that they hash to a root that the log's key signed.

use super::place;
use crate::journal::tree::Hash;
use rustix::fs::{Mode, OFlags};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Hashes in a full tile.
const WIDTH: u64 = 256;

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
    let full = dir.join(full_path(n));
    let mut folder = full.clone().into_os_string();
    folder.push(".p");
    let partial = |width: u64| PathBuf::from(&folder).join(width.to_string());
    let paths = std::iter::once(full).chain((width..WIDTH).map(partial));
    let bytes = paths.filter_map(|path| read_file(&path)).next()?;
    (bytes.len() as u64 >= width * HASH as u64).then_some(bytes)
}

/// Where a full tile of level 0 lies (C2SP tlog-tiles, "Merkle Tree").
fn full_path(n: u64) -> String {
    let mut number = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    format!("tile/0/{number}")
}

fn read_file(path: &Path) -> Option<Vec<u8>> {
    let file = place::open_file(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = vec![];
    file.take(WIDTH * HASH as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
