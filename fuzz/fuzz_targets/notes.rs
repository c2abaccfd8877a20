//! Cosigned notes, answers of witnesses, and keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::KEY;
use quarterdeck::journal::cosignature::{self, WitnessKey};
use quarterdeck::journal::key::{LogKey, VerifierKey};

fuzz_target!(|text: &str| {
    let log: VerifierKey = KEY.parse().expect("key");
    let witness: Option<WitnessKey> = text.lines().next().and_then(|line| line.parse().ok());
    assert!(cosignature::open(text, &log, witness.as_slice()).is_err());
    let _ = cosignature::is_answer(text);
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.as_str(), text.trim());
    }
    if let Ok(key) = LogKey::parse(text) {
        assert_eq!(LogKey::parse(key.secret()).expect("the same key").verifier(), key.verifier());
    }
});
