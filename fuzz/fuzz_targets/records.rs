//! What is read as a record is written back as the same bytes, and described without a control character.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::journal::{Record, canonical, describe};

fuzz_target!(|bytes: &[u8]| {
    let canonical = canonical::check(bytes, |_, _| {}).is_ok();
    if canonical {
        // Another reader of JSON agrees that it is the canonical form of what it holds.
        let value: serde_json::Value = serde_json::from_slice(bytes).expect("canonical JSON");
        assert_eq!(canonical::to_bytes(&value).expect("writable"), bytes);
    }
    if let Ok(record) = Record::parse(bytes) {
        assert!(canonical);
        assert!(!describe(&record).chars().any(char::is_control));
    }
});
