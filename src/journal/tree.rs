//! The RFC 6962 Merkle tree over the records, kept as its frontier: the roots of the complete subtrees from
//! left to right. That is all it takes to append and to know the root; proofs need stored hashes besides.
//! Hashing is `tlog_tiles`'s (SHA-256 of `0x00 ‖ leaf` and of `0x01 ‖ left ‖ right`).

pub use tlog_tiles::{EMPTY_HASH, Hash, node_hash, record_hash};

/// A tree to which leaves can be appended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frontier {
    size: u64,
    /// One for each bit that is set in `size`, the greatest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the greatest first: one for each bit that is set in the size.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The tree of that size with these subtrees; none when their number does not fit.
    pub fn of(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Appends the record with these exact bytes.
    pub fn append(&mut self, record: &[u8]) {
        self.append_hash(record_hash(record));
    }

    /// Appends a leaf by its hash.
    pub fn append_hash(&mut self, leaf: Hash) {
        self.append_watching(leaf, |_| {});
    }

    /// As [`Frontier::append_hash`], and `watch` sees the hash of every subtree that the leaf completes, from the
    /// leaf itself up: over all leaves that is the order of [`tlog_tiles::stored_hash_index`].
    pub fn append_watching(&mut self, leaf: Hash, mut watch: impl FnMut(Hash)) {
        let mut hash = leaf;
        watch(hash);
        // Each trailing one of the size is a complete subtree that the leaf now doubles.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(left, hash);
                watch(hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Root over all leaves.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        match peaks.next() {
            Some(last) => peaks.fold(last, |right, left| node_hash(left, right)),
            None => EMPTY_HASH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn hex(hash: Hash) -> String {
        crate::domain::id::Digest::from_bytes(&hash.0).to_string()
    }

    /// RFC 6962 section 2.1, word for word and without any of the code above.
    fn naive_root(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => Sha256::new().chain_update([0]).chain_update(leaf).finalize().into(),
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(k);
                let node =
                    Sha256::new().chain_update([1]).chain_update(naive_root(left)).chain_update(naive_root(right));
                node.finalize().into()
            }
        }
    }

    /// Leaves and roots of `merkle_tree_test.cc` in github.com/google/certificate-transparency, the reference
    /// implementation of RFC 6962 (the same stand in github.com/transparency-dev/merkle, `testonly`).
    #[test]
    fn roots_of_the_reference_implementation() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Frontier::default();
        assert_eq!(hex(tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in leaves.iter().zip(roots) {
            tree.append(leaf);
            assert_eq!(hex(tree.root()), root);
        }
        assert_eq!(tree.size(), 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_frontier_is_the_tree_computed_anew(leaves in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..130)) {
            let mut tree = Frontier::default();
            for (n, leaf) in leaves.iter().enumerate() {
                prop_assert_eq!(tree.root().0, naive_root(&leaves[..n]));
                prop_assert_eq!(Frontier::of(tree.size(), tree.peaks().to_vec()), Some(tree.clone()));
                prop_assert_eq!(Frontier::of(tree.size() * 2 + 1, tree.peaks().to_vec()), None);
                tree.append(leaf);
            }
            prop_assert_eq!(tree.root().0, naive_root(&leaves));
            prop_assert_eq!(tree.size(), leaves.len() as u64);
        }
    }
}
