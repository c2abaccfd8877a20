//! What is read as a proof is written back as the same bytes, and proves nothing under a key that nobody has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::KEY;
use quarterdeck::journal::proof::Bundle;
use quarterdeck::journal::tree::record_hash;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = Bundle::parse(bytes) {
        assert_eq!(bundle.to_string().as_bytes(), bytes);
        assert!(bundle.verify(record_hash(b"x"), &KEY.parse().expect("key"), &[]).is_err());
    }
});
