//! What is read as a checkpoint gives its text back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::KEY;
use quarterdeck::journal::checkpoint::Checkpoint;

fuzz_target!(|text: &str| {
    if let Ok(checkpoint) = Checkpoint::read(text) {
        assert!(text.starts_with(&checkpoint.text()));
    }
    // Nobody has this key's private half, so nothing is signed with it but its one example, which is no checkpoint.
    assert!(Checkpoint::open(text, &KEY.parse().expect("key")).is_err());
});
