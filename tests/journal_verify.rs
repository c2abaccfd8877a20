//! Whatever is done to a log without its key, verification finds, and names a range that holds it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::journal::key::VerifierKey;
use quarterdeck::journal::verify::{self, Options, Report, Verdict};
use quarterdeck::journal::{Journal, JournalError, OpenOptions};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// One line of one segment of a log, with the records of the batch that it belongs to.
#[derive(Clone)]
struct Line {
    file: usize,
    bytes: Vec<u8>,
    batch: RangeInclusive<u64>,
    /// Number of the record, when it is one.
    seq: Option<u64>,
}

struct Log {
    dir: tempfile::TempDir,
    key: VerifierKey,
    files: Vec<PathBuf>,
    lines: Vec<Line>,
}

impl Log {
    /// About seventy records in twenty batches and several segments, closed.
    fn new() -> Self {
        let dir = fast_dir();
        let (journal, _) = Journal::open(OpenOptions { segment_bytes: 4_000, ..options(dir.path()) }).unwrap();
        for b in 0..19 {
            journal.append_blocking((0..=b % 7).map(|n| note(format!("batch {b} note {n} żółć"))).collect()).unwrap();
        }
        journal.close_blocking("2026-11-21T15:00:00Z".parse().unwrap()).unwrap();
        let key = journal.verifier().clone();
        let files = segments(dir.path());
        let (mut lines, mut seq, mut open) = (Vec::<Line>::new(), 0, 0);
        for (file, path) in files.iter().enumerate() {
            for bytes in std::fs::read(path).unwrap().split_inclusive(|b| *b == b'\n') {
                let is_commit = bytes.starts_with(b"{\"checkpoint\"");
                lines.push(Line { file, bytes: bytes.to_vec(), batch: 0..=0, seq: (!is_commit).then_some(seq) });
                seq += u64::from(!is_commit);
                if is_commit {
                    let first = lines[open].seq.unwrap();
                    lines[open..].iter_mut().for_each(|l| l.batch = first..=seq - 1);
                    open = lines.len();
                }
            }
        }
        assert!(files.len() > 3 && lines.len() > 80, "{} files, {} lines", files.len(), lines.len());
        Self { dir, key, files, lines }
    }

    /// Verifies a copy in which the lines are these.
    fn with(&self, lines: &[Line]) -> Report {
        let copied = fast_dir();
        copy(self.dir.path(), copied.path());
        for (file, path) in self.files.iter().enumerate() {
            let bytes: Vec<u8> = lines.iter().filter(|l| l.file == file).flat_map(|l| l.bytes.clone()).collect();
            std::fs::write(copied.path().join("records").join(path.file_name().unwrap()), bytes).unwrap();
        }
        check(copied.path(), &self.key)
    }

    /// Verifies a copy after a change to its files.
    fn changed(&self, change: impl FnOnce(&Path)) -> Report {
        let copied = fast_dir();
        copy(self.dir.path(), copied.path());
        change(copied.path());
        check(copied.path(), &self.key)
    }
}

/// Damage was found, in a range that lies in the batches that were touched.
fn assert_found(report: &Report, touched: RangeInclusive<u64>, what: &str) {
    assert!(!report.ok && report.verdict == Verdict::Damaged, "{what} was not found");
    let bad = report.first_bad.as_ref().unwrap();
    assert!(touched.contains(&bad.seq) && bad.seq <= bad.through, "{what} in {touched:?} was placed at {bad}");
    // What still holds ends before it.
    assert!(report.records <= bad.seq, "{what}: {} records hold, {bad}", report.records);
}

/// From the start of one batch to the end of the next: damage to the end of a line may show in the line after it.
fn around(log: &Log, n: usize) -> RangeInclusive<u64> {
    let next = log.lines.get(n + 1).unwrap_or(&log.lines[n]);
    *log.lines[n].batch.start()..=next.batch.end() + 1
}

#[test]
fn bit_flips_are_found_in_their_batch_and_named_to_the_record_where_the_record_shows_it() {
    let log = Log::new();
    let (mut cases, mut exact) = (Cases(1), 0);
    for _ in 0..600 {
        let n = cases.below(log.lines.len());
        let mut lines = log.lines.clone();
        let (at, bit) = (cases.below(lines[n].bytes.len()), cases.below(8));
        lines[n].bytes[at] ^= 1 << bit;
        let report = log.with(&lines);
        assert_found(&report, around(&log, n), &format!("line {n} byte {at} bit {bit}"));
        let bad = report.first_bad.unwrap();
        exact += u32::from(log.lines[n].seq == Some(bad.seq) && bad.through == bad.seq);
    }
    println!("600 bit flips found, {exact} of them named to the record");
    assert!(exact > 50, "{exact}");
}

#[test]
fn lines_deleted_doubled_swapped_and_put_in_are_found() {
    let log = Log::new();
    let mut cases = Cases(2);
    let mut found = 0;
    for n in 0..log.lines.len() {
        let is_last = n + 1 == log.lines.len();
        let mut lines = log.lines.clone();
        lines.remove(n);
        assert_found(&log.with(&lines), around(&log, n), &format!("line {n} deleted"));

        let mut lines = log.lines.clone();
        lines.insert(n, lines[n].clone());
        assert_found(&log.with(&lines), around(&log, n), &format!("line {n} doubled"));

        if !is_last {
            let mut lines = log.lines.clone();
            let (a, b) = (lines[n].bytes.clone(), lines[n + 1].bytes.clone());
            (lines[n].bytes, lines[n + 1].bytes) = (b, a);
            assert_found(&log.with(&lines), around(&log, n), &format!("lines {n} and {} swapped", n + 1));
        }

        // Another line of the log, with its number made to fit: well-formed, and never committed.
        let mut lines = log.lines.clone();
        let other = log.lines.iter().filter(|l| l.seq.is_some()).nth(cases.below(60)).unwrap();
        let (own, wanted) = (other.seq.unwrap(), log.lines[n].seq.unwrap_or(log.lines[n].batch.end() + 1));
        let text = String::from_utf8(other.bytes.clone()).unwrap();
        let forged = text.replace(&format!("\"seq\":{own},"), &format!("\"seq\":{wanted},"));
        lines.insert(n, Line { bytes: forged.into_bytes(), ..log.lines[n].clone() });
        assert_found(&log.with(&lines), around(&log, n), &format!("a line put before line {n}"));
        found += 3 + u32::from(!is_last);
    }
    println!("{found} moved lines found");
    assert!(found > 200, "{found}");
}

#[test]
fn zero_runs_reorders_and_edits_of_a_word_are_found() {
    let log = Log::new();
    let mut cases = Cases(3);
    for _ in 0..200 {
        let n = cases.below(log.lines.len());
        let mut lines = log.lines.clone();
        let (at, length) = (cases.below(lines[n].bytes.len() - 1), 1 + cases.below(40));
        let end = (at + length).min(lines[n].bytes.len());
        lines[n].bytes[at..end].fill(0);
        assert_found(&log.with(&lines), around(&log, n), &format!("zeros in line {n}"));
    }
    let notes: Vec<usize> =
        (0..log.lines.len()).filter(|n| log.lines[*n].bytes.windows(4).any(|w| w == b"note")).collect();
    for n in &notes {
        let text = String::from_utf8(log.lines[*n].bytes.clone()).unwrap();
        let edited = text.replace("żółć", "żołć");
        let mut lines = log.lines.clone();
        lines[*n].bytes = edited.into_bytes();
        let report = log.with(&lines);
        assert_found(&report, log.lines[*n].batch.clone(), &format!("an edit of line {n}"));
        // The record is well-formed, so that the batch is what the evidence permits to name.
        let bad = report.first_bad.unwrap();
        assert_eq!(bad.seq..=bad.through, log.lines[*n].batch);
    }
    for _ in 0..200 {
        let (a, b) = (notes[cases.below(notes.len())], notes[cases.below(notes.len())]);
        if a != b {
            let mut lines = log.lines.clone();
            (lines[a].bytes, lines[b].bytes) = (lines[b].bytes.clone(), lines[a].bytes.clone());
            assert_found(&log.with(&lines), around(&log, a.min(b)), &format!("lines {a} and {b} exchanged"));
        }
    }
}

#[test]
fn files_gone_renamed_exchanged_and_lengthened_are_found() {
    let log = Log::new();
    let records = |d: &Path| d.join("records");
    let first_of = |file: usize| log.lines.iter().find(|l| l.file == file).unwrap().seq.unwrap();
    let last_of = |file: usize| *log.lines.iter().rfind(|l| l.file == file).unwrap().batch.end();
    for file in 0..log.files.len() {
        let name = log.files[file].file_name().unwrap().to_owned();
        if file + 1 < log.files.len() {
            let gone = log.changed(|d| std::fs::remove_file(records(d).join(&name)).unwrap());
            assert_found(&gone, first_of(file)..=last_of(file), "a file gone");
            let bad = gone.first_bad.unwrap();
            assert_eq!(bad.seq..=bad.through, first_of(file)..=last_of(file));
            let next = log.files[file + 1].file_name().unwrap().to_owned();
            let exchanged = log.changed(|d| {
                std::fs::rename(records(d).join(&name), d.join("x")).unwrap();
                std::fs::rename(records(d).join(&next), records(d).join(&name)).unwrap();
                std::fs::rename(d.join("x"), records(d).join(&next)).unwrap();
            });
            assert_found(&exchanged, first_of(file)..=last_of(file), "files exchanged");
        }
        let renamed = log.changed(|d| {
            std::fs::rename(records(d).join(&name), records(d).join("00000000000000000999.jsonl")).unwrap();
        });
        assert!(!renamed.ok && renamed.first_bad.is_some());
        for extra in ["x", "\n", "{}\n", "\n\n\n{}\n", "\0\0\0\0"] {
            let longer = log.changed(|d| {
                let path = records(d).join(&name);
                let bytes = [std::fs::read(&path).unwrap(), extra.as_bytes().to_vec()].concat();
                std::fs::write(path, bytes).unwrap();
            });
            // Newlines at the very end are room set aside, not content.
            if extra == "\n" && file + 1 == log.files.len() {
                assert!(longer.ok);
            } else {
                assert_found(&longer, last_of(file) + 1..=last_of(file) + 1, &format!("{extra:?} after file {file}"));
            }
        }
    }
    let stray = log.changed(|d| std::fs::write(records(d).join("00000000000000000001.jsonl.bak"), "x").unwrap());
    assert!(!stray.ok && stray.first_bad.unwrap().why.contains("no segment"));
}

#[test]
fn commits_of_other_places_and_other_keys_are_found() {
    let log = Log::new();
    let commits: Vec<usize> = (0..log.lines.len()).filter(|n| log.lines[*n].seq.is_none()).collect();
    for pair in commits.windows(2) {
        // The checkpoint before stands where this one should.
        let mut lines = log.lines.clone();
        lines[pair[1]].bytes = lines[pair[0]].bytes.clone();
        assert_found(&log.with(&lines), log.lines[pair[1]].batch.clone(), "a stale checkpoint");
    }
    // The same records, signed by another key of the same name: a whole history that is consistent in itself.
    let forged = fast_dir();
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 4_000, ..options(forged.path()) }).unwrap();
    journal.append_blocking(vec![note("another history")]).unwrap();
    let report = check(forged.path(), &log.key);
    assert_found(&report, 0..=0, "another key");
    assert!(report.first_bad.unwrap().why.contains("not signed by the key quarterdeck/test+"));
    let other_name: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let report = check(log.dir.path(), &other_name);
    let why = report.first_bad.unwrap().why;
    assert_eq!(why, "its checkpoint is of the log `quarterdeck/test`, not of `PeterNeumann`");
}

#[test]
fn a_kept_checkpoint_shows_a_log_that_was_cut_or_written_anew() {
    let log = Log::new();
    let with_kept = |dir: &Path, kept: &str, key: &VerifierKey| {
        verify::verify(dir, &Options { kept: vec![kept.to_owned()], ..Options::against(key) })
    };
    let kept = assert_verified(log.dir.path(), &log.key).checkpoint;
    assert!(with_kept(log.dir.path(), &kept, &log.key).unwrap().ok);

    // Cut at a commit: without the kept checkpoint nothing shows it.
    let cut = fast_dir();
    copy(log.dir.path(), cut.path());
    let all = log.lines.last().unwrap().batch.end() + 1;
    std::fs::remove_file(segments(cut.path()).last().unwrap()).unwrap();
    let left = assert_verified(cut.path(), &log.key).records;
    let report = with_kept(cut.path(), &kept, &log.key).unwrap();
    let bad = report.first_bad.unwrap();
    assert_eq!((bad.seq, bad.through), (left, all - 1), "{bad}");

    // The key holder writes another history of the same length.
    std::fs::remove_dir_all(cut.path().join("records")).unwrap();
    std::fs::remove_file(cut.path().join("log.key")).unwrap();
    let (journal, _) = open(cut.path());
    let old = journal.append_blocking(vec![note("as it was")]).map(|_| check(cut.path(), journal.verifier())).unwrap();
    drop(journal);
    let bytes = content(&segments(cut.path())[0]);
    let opening = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0;
    std::fs::write(&segments(cut.path())[0], &bytes[..=opening]).unwrap();
    let (journal, _) = open(cut.path());
    assert!(check(cut.path(), journal.verifier()).ok);
    let report = with_kept(cut.path(), &old.checkpoint, journal.verifier()).unwrap();
    assert_eq!(report.first_bad.unwrap().why, "the kept checkpoint over 2 records has another root");

    let why = with_kept(log.dir.path(), &old.checkpoint, &log.key).unwrap_err();
    assert!(matches!(why, JournalError::KeptCheckpoint { .. }), "{why}");
}

#[test]
fn without_a_key_from_outside_a_log_is_never_ok() {
    let log = Log::new();
    let report = verify::verify(log.dir.path(), &Options::default()).unwrap();
    assert_eq!((report.ok, report.verdict, &report.first_bad), (false, Verdict::Unpinned, &None));
    let json = serde_json::to_value(&report).unwrap();
    for member in ["ok", "origin", "records", "root", "checkpoint", "signatures", "first_bad", "took_ms"] {
        assert!(json.get(member).is_some(), "{member}");
    }
    assert_eq!(json["verdict"], "self-consistent, key unpinned");
    assert!(json["first_bad"].is_null());

    std::fs::remove_file(log.dir.path().join("log.vkey")).unwrap();
    let why = verify::verify(log.dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(why, JournalError::NoVerifierKey { .. }), "{why}");
    assert!(check(log.dir.path(), &log.key).ok, "the key from outside is enough");
    let empty = fast_dir();
    assert!(matches!(verify::verify(empty.path(), &Options::default()), Err(JournalError::NoLog { .. })));
}
