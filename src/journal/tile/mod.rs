//! Names and bytes of the files in which a log is served: C2SP tlog-tiles (<https://c2sp.org/tlog-tiles>), hash
//! tiles of height 8 and bundles of entries. Pure; `store::file` reads and publishes them, `proof` is their reader.

use super::record::MAX_BYTES;
use super::tree::{Frontier, Hash};

/// Height of a tile.
pub const HEIGHT: u8 = 8;

/// Number of hashes in a full tile, and of entries in a full bundle.
pub const WIDTH: u64 = 1 << HEIGHT;

/// Greatest tree that is read from tiles: what comes from outside may name any size, and the arithmetic of levels
/// has its ends. A thousand records a second fill it in 34 years.
pub const MAX_TREE: u64 = 1 << 40;

/// Greatest length of a bundle of entries: each has two bytes of length before it.
#[expect(clippy::cast_possible_truncation, reason = "256")]
pub const MAX_BUNDLE: usize = WIDTH as usize * (2 + MAX_BYTES);

/// Name of the folder below a journal's directory.
pub const FOLDER: &str = "tile";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Hashes of a level.
    Hashes(u8),
    /// Records.
    Entries,
}

/// One tile or bundle: `width` hashes or entries from number `n * 256` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub content: Content,
    /// Its number in its level.
    pub n: u64,
    /// 1 to 256; less than 256 is a partial one.
    pub width: u64,
}

impl Tile {
    /// Its path below the log's prefix: `tile/0/x001/x234/067.p/8`.
    pub fn path(&self) -> String {
        let full = self.full_path();
        if self.width < WIDTH { format!("{full}.p/{}", self.width) } else { full }
    }

    /// The path that it has, or will have when it is full; the folder of its partial forms is that and `.p`.
    pub fn full_path(&self) -> String {
        let mut number = format!("{:03}", self.n % 1000);
        let mut rest = self.n / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        match self.content {
            Content::Hashes(level) => format!("{FOLDER}/{level}/{number}"),
            Content::Entries => format!("{FOLDER}/entries/{number}"),
        }
    }

    /// Whether nothing more comes into it.
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }
}

/// Appends an entry to a bundle. A record always fits the two bytes of its length.
pub fn push_entry(bundle: &mut Vec<u8>, record: &[u8]) {
    let length = u16::try_from(record.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(record.get(..usize::from(length)).unwrap_or_default());
}

/// The entries of a bundle, or nothing when its lengths do not add up.
pub fn entries(bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = vec![];
    let mut rest = bundle;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        rest = after;
    }
    Some(entries)
}

/// Number of hashes that the tiles of a level hold, for a tree of `size`.
pub fn nodes(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0)
}

/// Root over a power of two of hashes.
pub fn subtree(hashes: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    for hash in hashes {
        tree.append_hash(*hash);
    }
    tree.root()
}

/// The tree of that size whose tiles end with these edges, one a level: the hashes of its last tile, which is not full.
pub fn frontier(size: u64, edges: &[Vec<Hash>]) -> Option<Frontier> {
    let levels = (0..u8::MAX).take_while(|level| nodes(size, *level) > 0).count();
    let fits = |(level, edge): (u8, &Vec<Hash>)| edge.len() as u64 == nodes(size, level) % WIDTH;
    if size > MAX_TREE || edges.len() != levels || !(0..u8::MAX).zip(edges).all(fits) {
        return None;
    }
    // The greatest subtrees first: those of the highest level.
    let mut peaks = vec![];
    for edge in edges.iter().rev() {
        let mut at = Frontier::default();
        for hash in edge {
            at.append_hash(*hash);
        }
        peaks.extend_from_slice(at.peaks());
    }
    Frontier::of(size, peaks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of tlog-tiles, "Merkle Tree", and the one of "Partial Tiles".
    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = Tile { content: Content::Hashes(0), n: 1_234_067, width: 256 };
        assert_eq!(tile.path(), "tile/0/x001/x234/067");
        assert_eq!(Tile { width: 112, n: 273, ..tile }.path(), "tile/0/273.p/112");
        assert_eq!(Tile { content: Content::Entries, n: 1000, width: 1 }.path(), "tile/entries/x001/000.p/1");
        // The crate that reads them names them alike, but for the height that sumdb has in its paths.
        for n in [0, 7, 999, 1000, 999_999, 1_000_000, 1 << 40] {
            for width in [1, 255, 256] {
                let theirs = tlog_tiles::Tile::new(HEIGHT, 3, n, u32::try_from(width).unwrap(), false).path();
                let ours = Tile { content: Content::Hashes(3), n, width }.path();
                assert_eq!(ours, theirs.replacen("tile/8/", "tile/", 1));
            }
        }
    }

    #[test]
    fn bundles_are_read_back_and_lengths_that_do_not_add_up_are_refused() {
        let longest = vec![b'x'; MAX_BYTES];
        let records: [&[u8]; 4] = [b"{}", b"", &longest, b"{\"a\":1}"];
        let mut bundle = vec![];
        for record in records {
            push_entry(&mut bundle, record);
        }
        assert_eq!(bundle.get(..4), Some(&b"\0\x02{}"[..]));
        assert_eq!(entries(&bundle).unwrap(), records);
        assert_eq!(entries(&[]).unwrap(), Vec::<&[u8]>::new());
        for cut in [1, 3, bundle.len() - 1] {
            assert_eq!(entries(&bundle[..cut]), None, "{cut}");
        }
    }
}
