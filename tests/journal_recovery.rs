//! What is left after a crash: every acknowledged record is kept, an unacknowledged batch is whole or gone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::read::Stored;
use quarterdeck::journal::{JournalError, Kind, Recovered, describe};
use serde_json::json;
use std::path::Path;

/// A log whose last batch is one that a crash may have hit: four records, a started step among them.
struct Log {
    dir: tempfile::TempDir,
    /// The last segment's content, and where its last batch begins.
    bytes: Vec<u8>,
    last: usize,
    /// Records before that batch.
    kept: Vec<Stored>,
}

impl Log {
    fn new(segment_bytes: u64) -> Self {
        let dir = fast_dir();
        write_log(&dir.path().join("log"), &[2, 1, 3], segment_bytes);
        let mut log = Self { dir, bytes: vec![], last: 0, kept: vec![] };
        let (journal, _) = open(&log.origin());
        log.kept = records(&log.origin());
        log.last = content(&Log::segment(&log.origin())).len();
        let step = |kind| draft(kind, json!({"run": "RUN-9", "step": "terminate-root", "target": "backend 4711"}));
        journal.append_blocking(vec![note("a"), step(Kind::StepIntended), step(Kind::StepStarted), note("b")]).unwrap();
        drop(journal);
        log.bytes = content(&Log::segment(&log.origin()));
        std::fs::write(Log::segment(&log.origin()), &log.bytes).unwrap();
        log
    }

    fn kept(&self) -> u64 {
        u64::try_from(self.kept.len()).unwrap()
    }

    fn origin(&self) -> std::path::PathBuf {
        self.dir.path().join("log")
    }

    fn segment(dir: &Path) -> std::path::PathBuf {
        segments(dir).pop().unwrap()
    }

    /// The log with other bytes in its last segment, opened.
    fn with(&self, bytes: &[u8]) -> (tempfile::TempDir, Result<Recovered, JournalError>) {
        let copied = fast_dir();
        copy(&self.origin(), copied.path());
        std::fs::write(Self::segment(copied.path()), bytes).unwrap();
        let opened = quarterdeck::journal::Journal::open(options(copied.path())).map(|(_, recovered)| recovered);
        (copied, opened)
    }

    /// Checks that nothing acknowledged was lost and that the log is sound again.
    fn assert_kept(&self, dir: &Path) {
        let key = quarterdeck::journal::verify::own_key(&self.origin()).unwrap();
        assert_verified(dir, &key);
        assert_eq!(records(dir)[..self.kept.len()], self.kept);
    }
}

#[test]
fn a_last_batch_torn_at_any_byte_is_set_aside_and_all_before_it_is_kept() {
    let mut torn = 0;
    // In the middle of a segment, and as the first batch of one.
    for (segment_bytes, step) in [(1 << 20, 1), (1, 7)] {
        let log = Log::new(segment_bytes);
        for cut in (log.last..log.bytes.len()).step_by(step) {
            // A short file, one whose rest is still padding, one whose rest reads as zeros.
            let only_newline_missing = cut + 1 == log.bytes.len();
            let fill: &[u8] = match cut % 3 {
                _ if only_newline_missing => b"",
                0 => b"",
                1 => &[b'\n'; 3_000],
                _ => &[0; 3_000],
            };
            let (dir, recovered) = log.with(&[&log.bytes[..cut], fill].concat());
            let recovered = recovered.unwrap();
            assert_eq!(recovered.records, log.kept(), "cut at {cut}");
            let expected = log.bytes[log.last..cut].iter().copied().chain(fill.iter().copied()).collect::<Vec<_>>();
            let expected = expected.iter().rposition(|b| *b != b'\n').map_or(&[][..], |end| &expected[..=end]);
            match &recovered.quarantined {
                None => assert!(expected.is_empty(), "cut at {cut}"),
                Some(q) => assert_eq!(std::fs::read(dir.path().join(&q.file)).unwrap(), expected),
            }
            log.assert_kept(dir.path());
            torn += 1;
        }
        let (dir, recovered) = log.with(&log.bytes);
        assert_eq!(recovered.unwrap().records, log.kept() + 4);
        log.assert_kept(dir.path());
    }
    println!("{torn} torn writes survived");
    assert!(torn > 1_000, "{torn}");
}

#[test]
fn a_batch_with_a_page_missing_is_set_aside_and_its_checkpoint_is_quoted() {
    let log = Log::new(1 << 20);
    let commit = log.bytes[..log.bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap();
    for (hole, fill) in (log.last..commit).step_by(61).zip([b'\n', 0].into_iter().cycle()) {
        let mut bytes = log.bytes.clone();
        let end = (hole + 200).min(commit);
        bytes[hole..end].fill(fill);
        let (dir, recovered) = log.with(&bytes);
        let quarantined = recovered.unwrap().quarantined.unwrap();
        let superseded = Checkpoint::read(&quarantined.superseded.unwrap()).unwrap();
        assert_eq!(superseded.size, log.kept() + 4);
        log.assert_kept(dir.path());
        let found = records(dir.path());
        let recovered = found.iter().find(|s| s.record.kind == Kind::JournalRecovered).unwrap();
        assert_eq!(recovered.record.body["file"], quarantined.file);
        assert!(recovered.record.body["superseded"].as_str().unwrap().starts_with(ORIGIN));
        assert!(describe(&recovered.record).starts_with("journal recovered: "), "{}", describe(&recovered.record));
    }
}

#[test]
fn a_started_step_in_a_torn_end_becomes_unknown() {
    let log = Log::new(1 << 20);
    let commit = log.bytes[..log.bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap();
    let (dir, recovered) = log.with(&log.bytes[..commit - 3]);
    let quarantined = recovered.unwrap().quarantined.unwrap();
    assert_eq!(quarantined.superseded, None);
    let kinds: Vec<_> = quarantined.legible.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [Kind::NoteAdded, Kind::StepIntended, Kind::StepStarted]);
    let found = records(dir.path());
    let tail: Vec<_> = found.iter().rev().take(3).map(|s| s.record.kind).collect();
    assert_eq!(tail, [Kind::StepUnknown, Kind::JournalRecovered, Kind::JournalOpened]);
    let unknown = &found.last().unwrap().record;
    assert_eq!(unknown.incident.as_ref().unwrap().as_str(), "INC-42");
    assert_eq!((&unknown.body["run"], &unknown.body["step"]), (&json!("RUN-9"), &json!("terminate-root")));
}

#[test]
fn damage_before_the_last_batch_stops_and_touches_nothing() {
    let log = Log::new(1 << 20);
    let mut cases = Cases(7);
    for _ in 0..300 {
        let (at, bit) = (cases.below(log.last), cases.below(8));
        let mut bytes = log.bytes.clone();
        bytes[at] ^= 1 << bit;
        let (dir, opened) = log.with(&bytes);
        let signature_only = opened.as_ref().is_ok_and(|r| r.quarantined.is_none());
        if signature_only {
            // The signatures of earlier commits are for `audit verify`; opening checks the last, which covers them.
            let key = quarterdeck::journal::verify::own_key(&log.origin()).unwrap();
            assert!(check(dir.path(), &key).first_bad.unwrap().why.contains("its commit line"), "byte {at} bit {bit}");
            continue;
        }
        let why = opened.unwrap_err();
        let named = matches!(
            why,
            JournalError::Damaged(_)
                | JournalError::OtherKey { .. }
                | JournalError::ForeignLog { .. }
                | JournalError::FutureVersion { .. }
        );
        assert!(named, "byte {at} bit {bit}: {why}");
        assert_eq!(std::fs::read(Log::segment(dir.path())).unwrap(), bytes);
        assert!(!dir.path().join("quarantine").exists());
    }
}

#[test]
fn a_damaged_batch_with_another_after_it_stops_whatever_the_damage() {
    let log = Log::new(1 << 20);
    let lines: Vec<&[u8]> = log.bytes.split_inclusive(|b| *b == b'\n').collect();
    let commits: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].starts_with(b"{\"checkpoint\"")).collect();
    let (previous, last) = (commits[commits.len() - 2], commits[commits.len() - 1]);
    for gone in [previous, previous - 1] {
        let bytes: Vec<u8> =
            lines.iter().enumerate().filter(|(n, _)| *n != gone).flat_map(|(_, l)| l.to_vec()).collect();
        let (_, opened) = log.with(&bytes);
        assert!(matches!(opened, Err(JournalError::Damaged(_))), "without line {gone}: {opened:?}");
    }
    // Whole batches gone from the middle, and the last one put twice.
    let without: Vec<u8> = lines
        .iter()
        .enumerate()
        .filter(|(n, _)| *n > previous || *n < commits[1])
        .flat_map(|(_, l)| l.to_vec())
        .collect();
    assert!(matches!(log.with(&without).1, Err(JournalError::Damaged(_))));
    let twice = [&log.bytes[..], &lines[previous + 1..=last].concat()].concat();
    let (dir, opened) = log.with(&twice);
    assert!(matches!(opened, Err(JournalError::Damaged(_))), "{opened:?}");
    assert_eq!(std::fs::read(Log::segment(dir.path())).unwrap(), twice);
}

#[test]
fn the_end_is_written_anew_before_it_is_trusted() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), &[1], 1 << 20);
    let inode = || std::fs::metadata(&segments(dir.path())[0]).unwrap().ino();
    let (before, old) = (inode(), std::fs::File::open(&segments(dir.path())[0]).unwrap());
    drop(open(dir.path()));
    assert_ne!(inode(), before);
    assert!(!dir.path().join("tail.tmp").exists());
    drop(old);
}
