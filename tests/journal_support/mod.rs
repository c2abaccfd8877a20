//! What the journal's tests share: a log to write, and ways to look at its files from outside.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::estate::Environment;
use quarterdeck::domain::id::IncidentId;
use quarterdeck::domain::mode::Mode;
use quarterdeck::journal::key::VerifierKey;
use quarterdeck::journal::read::{Filter, Reader, Stored};
use quarterdeck::journal::verify::{self, Options, Report};
use quarterdeck::journal::{Draft, Journal, JournalError, Kind, OpenOptions, Recovered};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub const ORIGIN: &str = "quarterdeck/test";

/// A directory in memory where there is one, so that thousands of syncs cost nothing.
pub fn fast_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub fn options(dir: &Path) -> OpenOptions {
    let actor = Actor { user: "mara".into(), uid: 1001, via: "cli".into(), host: "bastion-1".into(), console: None };
    let time = "2026-11-21T14:43:07Z".parse().unwrap();
    let mut options = OpenOptions::new(dir, ORIGIN, actor, Mode::Drill, Environment::Production, time);
    options.low_water = 0;
    options
}

pub fn draft(kind: Kind, body: Value) -> Draft {
    let OpenOptions { actor, mode, environment, time, .. } = options(Path::new("/"));
    Draft { kind, incident: Some(IncidentId::from("INC-42")), body, actor, mode, environment, time }
}

pub fn note(text: impl std::fmt::Display) -> Draft {
    draft(Kind::NoteAdded, json!({ "text": text.to_string() }))
}

pub fn open(dir: &Path) -> (Journal, Recovered) {
    Journal::open(options(dir)).unwrap()
}

pub fn refused(dir: &Path) -> JournalError {
    Journal::open(options(dir)).map(|_| ()).unwrap_err()
}

/// Writes a log with batches of these sizes, without closing it.
pub fn write_log(dir: &Path, batches: &[usize], segment_bytes: u64) -> VerifierKey {
    let (journal, _) = Journal::open(OpenOptions { segment_bytes, ..options(dir) }).unwrap();
    for (b, count) in batches.iter().enumerate() {
        journal.append_blocking((0..*count).map(|n| note(format!("batch {b} note {n} żółć"))).collect()).unwrap();
    }
    journal.verifier().clone()
}

pub fn records(dir: &Path) -> Vec<Stored> {
    Reader::open(dir, Filter::default()).unwrap().collect::<Result<_, _>>().unwrap()
}

pub fn check(dir: &Path, key: &VerifierKey) -> Report {
    verify::verify(dir, &Options::against(key)).unwrap()
}

pub fn assert_verified(dir: &Path, key: &VerifierKey) -> Report {
    let report = check(dir, key);
    assert!(report.ok && report.first_bad.is_none(), "{report:?}");
    report
}

/// The segment files in order.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir.join("records")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A segment without the padding at its end.
pub fn content(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    let end = bytes.iter().rposition(|b| *b != b'\n').map_or(0, |at| at + 2);
    bytes.truncate(end);
    bytes
}

/// A copy of a log with its key, as `cp -a` makes it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("records")).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    for path in segments(from) {
        std::fs::copy(&path, to.join("records").join(path.file_name().unwrap())).unwrap();
    }
}

/// A generator of test cases; the same in every run (the `SplitMix64` generator).
pub struct Cases(pub u64);

impl Cases {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }
}
