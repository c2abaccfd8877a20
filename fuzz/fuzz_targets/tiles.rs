//! What is read as a bundle of entries is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::journal::tile;

fuzz_target!(|bytes: &[u8]| {
    if let Some(entries) = tile::entries(bytes) {
        let mut again = vec![];
        for entry in entries {
            tile::push_entry(&mut again, entry);
        }
        assert_eq!(again, bytes);
    }
});
