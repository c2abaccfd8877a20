//! A segment with any bytes in it: the reader answers, and gives out only what is a record in canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::journal::Record;
use quarterdeck::journal::read::{Filter, Reader};
use std::sync::OnceLock;
use std::time::SystemTime;

static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("directory");
        std::fs::create_dir(dir.path().join("records")).expect("folder");
        dir
    });
    let path = dir.path().join("records/00000000000000000000.jsonl");
    std::fs::write(&path, bytes).expect("write");
    // What was written just now is read again for a while, since it may be a writer at work: that is no work for here.
    let file = std::fs::File::options().write(true).open(&path).expect("open");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("set the time");
    for stored in Reader::open(dir.path(), Filter::default()).expect("reader") {
        let Ok(stored) = stored else { break };
        assert_eq!(Record::parse(&stored.bytes).as_ref(), Ok(&stored.record));
    }
});
