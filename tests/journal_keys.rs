//! The key of a log: rotation, what a crash in it leaves behind, and verification across it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::engine::state::State;
use quarterdeck::journal::key::{LogKey, VerifierKey};
use quarterdeck::journal::verify::{self, Options, Verdict};
use quarterdeck::journal::{Journal, JournalError, Kind, OpenOptions, Rotated, fold};
use std::path::Path;

fn rotate(dir: &Path) -> Rotated {
    Journal::rotate(&options(dir)).unwrap()
}

fn grow(dir: &Path, notes: usize) {
    let (journal, _) = open(dir);
    for n in 0..notes {
        journal.append_blocking(vec![note(n)]).unwrap();
    }
}

fn key_of(dir: &Path) -> VerifierKey {
    let secret = std::fs::read_to_string(dir.join("log.key")).unwrap();
    LogKey::parse(&secret).unwrap().verifier().clone()
}

#[test]
fn each_key_of_a_log_verifies_all_of_it_and_no_other_does() {
    let dir = fast_dir();
    let log = dir.path();
    let first = write_log(log, &[2, 3], 2_000);
    let kept = check(log, &first).checkpoint;
    let one = rotate(log);
    assert_eq!((&one.old, one.after), (&first, records(log).len() as u64 - 1));
    grow(log, 5);
    let two = rotate(log);
    grow(log, 2);

    assert_eq!((&two.old, key_of(log)), (&one.new, two.new.clone()));
    assert_eq!(verify::own_key(log).unwrap(), two.new);
    assert!(!log.join("log.key.next").exists());
    let total = records(log).len() as u64;
    for key in [&first, &one.new, &two.new] {
        let report = assert_verified(log, key);
        assert_eq!((report.records, report.key_in_force), (total, two.new.id()));
        let with_kept = Options { kept: vec![kept.clone()], ..Options::against(key) };
        assert!(verify::verify(log, &with_kept).unwrap().ok, "a checkpoint of the first key is still good");
    }
    let stranger = LogKey::generate(ORIGIN).unwrap();
    assert_eq!(check(log, stranger.verifier()).verdict, Verdict::Damaged);
    assert_eq!(verify::verify(log, &Options::default()).unwrap().verdict, Verdict::Unpinned);

    let (journal, _) = Journal::open(OpenOptions { pin: Some(first.clone()), ..options(log) }).unwrap();
    let keys: Vec<_> = journal.ring().keys().map(|(after, key)| (after, key.clone())).collect();
    assert_eq!(keys, [(0, first), (one.after, one.new), (two.after, two.new)]);
    let kinds: Vec<_> = records(log).into_iter().filter(|r| r.record.kind == Kind::KeyRotated).collect();
    assert_eq!(kinds.len(), 2);
}

#[test]
fn the_old_key_signs_nothing_after_its_rotation() {
    let dir = fast_dir();
    let (log, forged) = (dir.path().join("log"), dir.path().join("forged"));
    write_log(&log, &[2], 1 << 20);
    let old = std::fs::read(log.join("log.key")).unwrap();
    let rotated = rotate(&log);
    copy(&log, &forged);
    // Whoever kept the old key cuts the log off at the rotation and goes on with it.
    let path = segments(&forged).pop().unwrap();
    let text = String::from_utf8(content(&path)).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    while !lines[lines.len() - 2].contains("key.rotated") {
        lines.pop();
    }
    std::fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
    std::fs::write(forged.join("log.key"), &old).unwrap();
    let refused = refused(&forged);
    assert!(matches!(refused, JournalError::OtherKey { .. }), "{refused}");

    // Cut off before the rotation it is a log of its own, which the new key, pinned since, does not know.
    let rotation = lines.len() - 2;
    std::fs::write(&path, format!("{}\n", lines[..rotation].join("\n"))).unwrap();
    let pin = Some(rotated.new.clone());
    let refused = Journal::open(OpenOptions { pin, ..options(&forged) }).map(|_| ()).unwrap_err();
    assert!(matches!(refused, JournalError::Pinned { .. }), "{refused}");
    assert!(!check(&forged, &rotated.new).ok);
    assert!(check(&forged, &rotated.old).ok, "only the pin tells");
}

#[test]
fn a_rotation_that_is_cut_short_anywhere_leaves_a_log_that_opens() {
    let dir = fast_dir();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    write_log(&before, &[2, 1], 1 << 20);
    copy(&before, &after);
    let old = std::fs::read(before.join("log.key")).unwrap();
    let rotated = rotate(&after);
    let new = std::fs::read(after.join("log.key")).unwrap();
    let path = segments(&after).pop().unwrap();
    let text = String::from_utf8(content(&path)).unwrap();
    let rotation = text.lines().position(|l| l.contains("\"kind\":\"key.rotated\"")).unwrap();
    let bytes = |lines: usize| text.lines().take(lines).map(|l| l.len() + 1).sum::<usize>();
    let (begun, whole) = (bytes(rotation), bytes(rotation + 2));

    let mut tried = 0;
    let mut opens = |segment: &[u8], key: &[u8], next: Option<&[u8]>, in_force: &VerifierKey| {
        let cut = dir.path().join("cut");
        copy(&after, &cut);
        std::fs::write(segments(&cut).pop().unwrap(), segment).unwrap();
        for (name, secret) in [("log.key", Some(key)), ("log.key.next", next)] {
            let path = cut.join(name);
            let _ = std::fs::remove_file(&path);
            if let Some(secret) = secret {
                std::fs::write(&path, secret).unwrap();
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            }
        }
        let (journal, _) = open(&cut);
        assert_eq!(journal.verifier(), in_force);
        journal.append_blocking(vec![note("it goes on")]).unwrap();
        drop(journal);
        assert_eq!(&key_of(&cut), in_force);
        assert!(!cut.join("log.key.next").exists());
        assert_verified(&cut, &rotated.old);
        assert_verified(&cut, in_force);
        std::fs::remove_dir_all(&cut).unwrap();
        tried += 1;
    };
    let text = text.as_bytes();
    // The new key lies there, whole or torn, and its record is not there, or not whole.
    opens(&text[..begun], &old, Some(&new), &rotated.old);
    opens(&text[..begun], &old, Some(&new[..20]), &rotated.old);
    opens(&text[..begun], &old, Some(b""), &rotated.old);
    for cut in (begun..whole).step_by(61).chain([begun + 1, whole - 1]) {
        opens(&text[..cut], &old, Some(&new), &rotated.old);
    }
    // Its record is there, and it has not got its name, or has just got it.
    opens(&text[..whole], &old, Some(&new), &rotated.new);
    opens(&text[..whole], &new, None, &rotated.new);
    opens(text, &new, None, &rotated.new);
    assert!(tried > 15, "{tried}");
}

#[test]
fn a_rotation_that_was_edited_is_damage() {
    let dir = fast_dir();
    let log = dir.path().join("log");
    let first = write_log(&log, &[2], 1 << 20);
    rotate(&log);
    grow(&log, 1);
    let path = segments(&log).pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let stranger = LogKey::generate(ORIGIN).unwrap();
    let to = text.split("\"to\":\"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::write(&path, text.replace(to, stranger.verifier().as_str())).unwrap();
    let report = check(&log, &first);
    assert!(!report.ok && report.first_bad.is_some(), "{report:?}");
}

#[test]
fn a_snapshot_knows_the_keys_before_it() {
    let dir = fast_dir();
    let log = dir.path();
    let first = write_log(log, &[2], 1 << 20);
    let rotated = rotate(log);
    let (journal, _, state) = fold::open_kept::<State>(options(log)).unwrap();
    let body = fold::keep(&journal, &journal.status().place, &state).unwrap();
    journal.append_blocking(vec![draft(Kind::JournalSnapshot, body)]).unwrap();
    drop(journal);
    let pin = Some(first.clone());
    let (journal, recovered, _) = fold::open_kept::<State>(OpenOptions { pin, ..options(log) }).unwrap();
    assert!(recovered.from_snapshot > 0, "{recovered:?}");
    assert_eq!((journal.ring().first(), journal.verifier()), (&first, &rotated.new));
    let stranger = LogKey::generate(ORIGIN).unwrap().verifier().clone();
    drop(journal);
    let refused = fold::open_kept::<State>(OpenOptions { pin: Some(stranger), ..options(log) }).map(|_| ());
    assert!(matches!(refused, Err(JournalError::Pinned { .. })));
}

#[test]
fn a_new_log_carries_the_end_of_the_one_that_it_follows() {
    let dir = fast_dir();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let key = write_log(&old, &[3], 1 << 20);
    let last = check(&old, &key).checkpoint;
    let follows = |note: &str, dir: &Path| {
        Journal::begin(OpenOptions { follows: Some(note.to_owned()), ..options(dir) }).map(|_| ())
    };
    assert!(matches!(follows("hello", &new), Err(JournalError::KeptCheckpoint { .. })));
    assert!(!new.exists());
    follows(&last, &new).unwrap();
    assert_eq!(records(&new)[0].record.body["follows"], last.as_str());
    assert!(matches!(follows(&last, &new), Err(JournalError::NotNew { .. })));
    assert!(matches!(Journal::begin(options(&old)).map(|_| ()), Err(JournalError::NotNew { .. })));
    let empty = dir.path().join("empty");
    assert!(matches!(Journal::rotate(&options(&empty)), Err(JournalError::NoLog { .. })));
}
