//! Opening, appending, closing: what a caller of the journal can rely on, and the sentence that each obstacle gets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::journal::fold::{self, Fold};
use quarterdeck::journal::read::{Filter, Reader};
use quarterdeck::journal::{Journal, JournalError, Kind, OpenOptions, Record, describe};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

#[test]
fn a_new_journal_begins_with_its_opening_and_ends_with_its_closing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (journal, recovered) = open(&path);
    assert!(recovered.created && recovered.clean && recovered.records == 0);
    let committed = journal.append_blocking(vec![note("one"), note("two")]).unwrap();
    assert_eq!(committed.iter().map(|c| c.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(committed[1].record.body, json!({"text": "two"}));
    journal.close_blocking("2026-11-21T15:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(journal.status().size, 4);
    assert_eq!(journal.append_blocking(vec![note("late")]), Err(JournalError::Closed));

    let found = records(&path);
    let kinds: Vec<_> = found.iter().map(|s| s.record.kind).collect();
    assert_eq!(kinds, [Kind::JournalOpened, Kind::NoteAdded, Kind::NoteAdded, Kind::JournalClosed]);
    assert_eq!(describe(&found[1].record), "note: one");
    let report = assert_verified(&path, journal.verifier());
    assert_eq!((report.records, report.signatures, &*report.origin), (4, 3, ORIGIN));
    assert_eq!(report.root, journal.status().root.to_string());

    let mode = |name: &str| std::fs::metadata(path.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("log.key"), mode("records")), (0o600, 0o750));
    assert!(!path.join("log.key.new").exists());
    // What is on the disk can be read with the usual tools: one JSON value a line, nothing else.
    let text = std::fs::read_to_string(&segments(&path)[0]).unwrap();
    assert!(text.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));

    let (journal, recovered) = open(&path);
    assert!(!recovered.created && recovered.clean && recovered.records == 4);
    assert_eq!(journal.status().size, 5);
    drop(journal);
    let (_journal, recovered) = open(&path);
    assert!(!recovered.clean, "the last writer did not close it");
}

#[test]
fn a_second_writer_learns_who_holds_the_journal_and_a_reader_needs_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let why = refused(dir.path()).to_string();
    let pid = std::process::id();
    assert!(
        why.contains(&format!("is held by process {pid} of mara on bastion-1 since 2026-11-21T14:43:07Z")),
        "{why}"
    );
    assert_eq!(records(dir.path()).len(), 1);
    assert_verified(dir.path(), journal.verifier());
    drop(journal);
    open(dir.path());
}

#[test]
fn appends_from_many_sides_are_numbered_without_gaps_and_batched() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..16)
            .map(|w| {
                let journal = journal.clone();
                tokio::spawn(async move {
                    for n in 0..20 {
                        let done =
                            journal.append(vec![note(format!("{w}/{n}a")), note(format!("{w}/{n}b"))]).await.unwrap();
                        assert_eq!(done[0].seq + 1, done[1].seq);
                        assert!(journal.status().size > done[1].seq);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let report = assert_verified(dir.path(), journal.verifier());
    assert_eq!(report.records, 641);
    assert!(report.signatures < 321, "{} batches for 320 appends", report.signatures);
    let found = records(dir.path());
    assert!(found.iter().zip(0..).all(|(s, seq)| s.record.seq == seq));
    assert!(found.iter().all(|s| s.record.to_bytes().unwrap() == s.bytes));
}

#[test]
fn a_draft_that_can_not_be_written_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let why = |drafts| journal.append_blocking(drafts).unwrap_err().to_string();
    assert_eq!(
        why(vec![note("x"), draft(Kind::FindingRaised, json!({"lag": 0.5}))]),
        "a `finding.raised` record can not be written: `lag` is the fraction 0.5; write it as a string"
    );
    assert!(why(vec![note("x".repeat(70_000))]).contains("longer than 65535"));
    assert!(why(vec![note("x".repeat(60_000)); 80]).contains("more than the 4194304 that one batch holds"));
    assert_eq!(journal.append_blocking(vec![]), Ok(vec![]));
    assert_eq!(journal.append_blocking(vec![note("good")]).unwrap()[0].seq, 1);
}

#[test]
fn segments_follow_each_other_and_the_reader_follows_them() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 3_000, ..options(dir.path()) }).unwrap();
    let mut reader = Reader::open(dir.path(), Filter::default()).unwrap();
    assert_eq!(reader.by_ref().count(), 1);
    let mut seen = 1;
    for n in 0..40_u64 {
        journal.append_blocking(vec![note(n)]).unwrap();
        for stored in reader.by_ref() {
            assert_eq!(stored.unwrap().record.seq, seen);
            seen += 1;
        }
        assert_eq!(seen, n + 2);
    }
    assert!(segments(dir.path()).len() >= 5);
    assert_verified(dir.path(), journal.verifier());
    let filter = Filter { first: Some(30), last: Some(33), ..Filter::default() };
    let seqs: Vec<_> = Reader::open(dir.path(), filter).unwrap().map(|s| s.unwrap().record.seq).collect();
    assert_eq!(seqs, [30, 31, 32, 33]);
    drop(journal);
    let (journal, recovered) = open(dir.path());
    assert_eq!((recovered.records, journal.status().size), (41, 42));
}

/// A reader may see a page of a batch before another; it must never take that for damage.
#[test]
fn verifying_and_reading_while_four_writers_append_never_sees_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 60_000, ..options(dir.path()) }).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    // Each round of verification lets the writers go on a little: a log that grew without bound would make every
    // round longer than the one before, on a busy machine without an end.
    let rounds = std::sync::atomic::AtomicUsize::new(1);
    let (mut sizes, mut read) = (vec![], 0);
    std::thread::scope(|scope| {
        for w in 0..4 {
            let (journal, stop, rounds) = (&journal, &stop, &rounds);
            scope.spawn(move || {
                let mut n = 0_usize;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if n >= 20 * rounds.load(std::sync::atomic::Ordering::Relaxed) {
                        std::thread::yield_now();
                        continue;
                    }
                    let long = "x".repeat(n * 331 % 9_000);
                    journal.append_blocking(vec![note(format!("{w}/{n} {long}")); 1 + n % 3]).unwrap();
                    n += 1;
                }
            });
        }
        let mut reader = Reader::open(dir.path(), Filter::default()).unwrap();
        while sizes.len() < 25 {
            let report = check(dir.path(), journal.verifier());
            if !report.ok {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                panic!("{report:?}");
            }
            sizes.push(report.records);
            rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            for stored in reader.by_ref().take(2_000) {
                assert_eq!(stored.unwrap().record.seq, read);
                read += 1;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(sizes.is_sorted() && sizes[24] > sizes[0] && read > 0, "{sizes:?}, {read} read");
}

#[test]
fn filters_pick_records() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let mut other = draft(Kind::StepStarted, json!({"run": "RUN-1"}));
    other.actor.user = "jo".into();
    other.incident = None;
    other.time = "2026-11-21T16:00:00Z".parse().unwrap();
    journal.append_blocking(vec![note("a"), other]).unwrap();
    let count = |filter| Reader::open(dir.path(), filter).unwrap().count();
    let time = |t: &str| Some(t.parse().unwrap());
    assert_eq!(count(Filter { actor: Some("jo".into()), ..Filter::default() }), 1);
    assert_eq!(count(Filter { incident: Some("INC-42".into()), ..Filter::default() }), 1);
    assert_eq!(count(Filter { kinds: Kind::matching("step"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { since: time("2026-11-21T15:00:00Z"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { until: time("2026-11-21T15:00:00Z"), ..Filter::default() }), 2);
    assert_eq!(count(Filter { first: Some(9), ..Filter::default() }), 0);
}

#[derive(Default)]
struct Kinds(Vec<Kind>);

impl Fold for Kinds {
    fn apply(&mut self, record: &Record) {
        self.0.push(record.kind);
    }
}

#[test]
fn state_is_rebuilt_in_the_pass_that_opens_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), &[3, 1, 2], 1_500);
    let mut state = Kinds::default();
    let (journal, _) = fold::open(options(dir.path()), &mut state).unwrap();
    assert_eq!(state.0.len(), 8);
    assert_eq!((state.0[0], state.0[7]), (Kind::JournalOpened, Kind::JournalOpened));
    let mut again = Kinds::default();
    fold::replay(dir.path(), Filter::default(), &mut again).unwrap();
    assert_eq!(again.0, state.0);
    drop(journal);
}

#[test]
fn what_must_not_be_touched_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    write_log(&log, &[2], 1 << 20);
    let is_left_alone = |dir: &Path| {
        let before: Vec<_> = segments(dir).iter().map(|p| std::fs::read(p).unwrap()).collect();
        let why = refused(dir);
        assert_eq!(segments(dir).iter().map(|p| std::fs::read(p).unwrap()).collect::<Vec<_>>(), before);
        why
    };
    let with = |name: &str, change: &dyn Fn(&Path)| {
        let copied = dir.path().join(name);
        copy(&log, &copied);
        change(&copied);
        copied
    };

    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&log, &link).unwrap();
    assert!(matches!(refused(&link), JournalError::Symlink { .. }));

    let foreign = Journal::open(OpenOptions { origin: "quarterdeck/other".into(), ..options(&log) }).map(|_| ());
    let (found, expected) = (ORIGIN.to_owned(), "quarterdeck/other".to_owned());
    assert_eq!(foreign, Err(JournalError::ForeignLog { dir: log.clone(), found, expected }));

    let keyless = with("keyless", &|d| std::fs::remove_file(d.join("log.key")).unwrap());
    assert!(matches!(is_left_alone(&keyless), JournalError::KeyMissing { .. }));
    assert!(!keyless.join("log.key").exists());

    let logless = with("logless", &|d| std::fs::remove_dir_all(d.join("records")).unwrap());
    assert!(matches!(refused(&logless), JournalError::KeyWithoutLog { .. }));
    let emptied = with("emptied", &|d| std::fs::write(&segments(d)[0], "\n\n").unwrap());
    assert!(matches!(is_left_alone(&emptied), JournalError::KeyWithoutLog { .. }));

    let open_key = with("open-key", &|d| {
        std::fs::set_permissions(d.join("log.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    });
    assert!(matches!(is_left_alone(&open_key), JournalError::KeyMode { mode: 0o640, .. }));

    let bad_key = with("bad-key", &|d| std::fs::write(d.join("log.key"), "PRIVATE+KEY+x\n").unwrap());
    assert!(matches!(is_left_alone(&bad_key), JournalError::KeyMalformed { .. }));

    let linked_key = with("linked-key", &|d| {
        std::fs::rename(d.join("log.key"), d.join("elsewhere.key")).unwrap();
        std::os::unix::fs::symlink(d.join("elsewhere.key"), d.join("log.key")).unwrap();
    });
    assert!(matches!(is_left_alone(&linked_key), JournalError::Symlink { .. }));

    // Only root may give a file away.
    if rustix::process::geteuid().is_root() {
        let given = with("given-key", &|d| std::os::unix::fs::chown(d.join("log.key"), Some(65_534), None).unwrap());
        assert!(matches!(is_left_alone(&given), JournalError::KeyOwner { owner: 65_534, expected: 0, .. }));
    }

    let swapped = with("swapped-key", &|d| {
        let other = dir.path().join("other");
        open(&other);
        std::fs::copy(other.join("log.key"), d.join("log.key")).unwrap();
    });
    assert!(matches!(is_left_alone(&swapped), JournalError::OtherKey { .. }));

    let future = with("version", &|d| {
        let path = &segments(d)[0];
        std::fs::write(path, std::fs::read_to_string(path).unwrap().replacen("\"v\":1}", "\"v\":2}", 1)).unwrap();
    });
    assert!(matches!(is_left_alone(&future), JournalError::Damaged(_)), "a changed digit is no later version");

    let stray = with("stray", &|d| std::fs::write(d.join("records/notes.txt"), "x").unwrap());
    assert!(is_left_alone(&stray).to_string().contains("records/notes.txt: a file that is no segment of a log"));

    let pinned = |dir: &Path, pin: &str| {
        let pin = Some(pin.trim().parse().unwrap());
        Journal::open(OpenOptions { pin, ..options(dir) }).map(|_| ()).unwrap_err()
    };
    let other = std::fs::read_to_string(dir.path().join("other/log.vkey")).unwrap();
    let own = std::fs::read_to_string(log.join("log.vkey")).unwrap();
    let before: Vec<_> = segments(&log).iter().map(|p| std::fs::read(p).unwrap()).collect();
    let why = pinned(&log, &other).to_string();
    let id = |key: &str| key.split('+').take(2).collect::<Vec<_>>().join("+");
    assert!(why.contains(&id(&own)) && why.contains(&id(&other)), "{why}");
    assert_eq!(segments(&log).iter().map(|p| std::fs::read(p).unwrap()).collect::<Vec<_>>(), before);
    let gone = dir.path().join("gone");
    assert!(matches!(pinned(&gone, &own), JournalError::PinnedLogMissing { .. }));
    assert!(!gone.exists());

    let name = Journal::open(OpenOptions { origin: "two words".into(), ..options(&log) }).map(|_| ()).unwrap_err();
    assert!(name.to_string().contains("`two words` can not name a log"), "{name}");
    let nothing = dir.path().join("nothing");
    assert!(matches!(Reader::open(&nothing, Filter::default()).map(|_| ()), Err(JournalError::NoLog { .. })));
    assert!(!nothing.exists());
}

#[test]
fn a_making_that_was_cut_short_is_made_again_and_a_finished_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    write_log(&log, &[], 1 << 20);
    let batch = content(&segments(&log)[0]);
    // The crash came before the key got its name: with the first batch whole, torn, or not begun.
    for cut in [0, 1, 100, batch.len() - 1, batch.len()] {
        let copied = dir.path().join(format!("cut-{cut}"));
        copy(&log, &copied);
        std::fs::rename(copied.join("log.key"), copied.join("log.key.new")).unwrap();
        std::fs::write(&segments(&copied)[0], &batch[..cut]).unwrap();
        let (journal, recovered) = open(&copied);
        assert_eq!((recovered.created, recovered.records), (cut < batch.len(), u64::from(cut == batch.len())));
        assert!(copied.join("log.key").exists() && !copied.join("log.key.new").exists());
        assert_verified(&copied, journal.verifier());
    }
}
