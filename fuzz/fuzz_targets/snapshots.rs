//! Snapshots of the state.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::journal::snapshot::Snapshot;

fuzz_target!(|bytes: &[u8]| {
    let _ = Snapshot::decode(bytes, 1);
});
