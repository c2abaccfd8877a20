//! Opening from a snapshot of the state: it gives what reading everything gives, it is passed over where it does not
//! count, and what lies before it is checked afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
mod support;

use journal_support::*;
use quarterdeck::domain::id::IncidentId;
use quarterdeck::engine::state::State;
use quarterdeck::journal::fold::{self, Keep};
use quarterdeck::journal::{Draft, Journal, JournalError, Kind, OpenOptions, Record, Recovered, Scrub};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Something that changes the state, or not.
fn any(cases: &mut Cases) -> Draft {
    let incident = format!("INC-{}", 1 + cases.below(30));
    let (finding, run) = (format!("f{}", cases.below(9)), format!("RUN-{}", 1 + cases.below(6)));
    let (kind, body) = match cases.below(16) {
        0 | 1 => (Kind::IncidentDeclared, json!({ "title": "orders stand still", "severity": "SEV1" })),
        2 => (Kind::IncidentClosed, json!({ "summary": "done" })),
        3 => (Kind::IncidentUpdated, json!({ "severity": "SEV3" })),
        4 => (Kind::RoleAssigned, json!({ "role": "scribe", "person": "jon" })),
        5 => (Kind::FindingRaised, json!({ "finding": finding, "what": "replica lags" })),
        6 => (Kind::FindingCleared, json!({ "finding": finding })),
        7 => (Kind::FindingAcknowledged, json!({ "finding": finding })),
        8 => (Kind::MeasureSet, json!({ "measure": finding, "what": "hold", "lift": "resume" })),
        9 => (Kind::MeasureLifted, json!({ "measure": finding })),
        10 => (Kind::GlassBroken, json!({ "reason": "nobody answers", "until": "2026-11-21T15:43:07Z" })),
        11 => (Kind::GlassReviewed, json!({})),
        12 => (Kind::RunStarted, json!({ "run": run, "playbook": "queue" })),
        13 => (Kind::StepFinished, json!({ "run": run, "step": "s1", "count": cases.below(99) })),
        14 => (Kind::RunFinished, json!({ "run": run, "outcome": "done" })),
        _ => (Kind::NoteAdded, json!({ "text": "żółć" })),
    };
    Draft { incident: Some(IncidentId::new(incident)), ..draft(kind, body) }
}

fn opened<S: Keep>(dir: &Path, segment_bytes: u64) -> (Journal, Recovered, S) {
    fold::open_kept(OpenOptions { segment_bytes, ..options(dir) }).unwrap()
}

fn append(journal: &Journal, state: &mut impl fold::Fold, drafts: Vec<Draft>) {
    for committed in journal.append_blocking(drafts).unwrap() {
        state.apply(&committed.record);
    }
}

fn keep<S: Keep>(journal: &Journal, state: &mut S) -> u64 {
    let place = journal.status().place;
    let body = fold::keep(journal, &place, state).unwrap();
    append(journal, state, vec![draft(Kind::JournalSnapshot, body)]);
    place.tree.size()
}

/// Opens a copy from the first record on.
fn rebuilt(dir: &Path) -> State {
    let copied = fast_dir();
    copy(dir, copied.path());
    let mut state = State::default();
    fold::open(options(copied.path()), &mut state).unwrap();
    state
}

/// Waits until everything is scrubbed, or damage is found.
fn scrubbed(journal: &Journal) -> Scrub {
    let mut status = journal.watch();
    loop {
        let scrub = status.borrow_and_update().scrub.clone().expect("a snapshot was taken up");
        if !scrub.is_running() {
            return scrub;
        }
        futures::executor::block_on(status.changed()).unwrap();
    }
}

#[test]
fn a_snapshot_and_the_rest_are_the_state_of_all_records() {
    let mut cases = Cases(7);
    let mut taken_up = 0;
    for case in 0..24_u64 {
        let dir = fast_dir();
        let (journal, _, mut state) = opened::<State>(dir.path(), 9_000);
        let (before, after) = (cases.below(160), cases.below(160));
        for (rounds, again) in [(before, true), (after, case % 2 == 0)] {
            for _ in 0..rounds {
                let drafts = (0..=cases.below(3)).map(|_| any(&mut cases)).collect();
                append(&journal, &mut state, drafts);
            }
            if again {
                keep(&journal, &mut state);
            }
        }
        let size = journal.status().size;
        drop(journal);
        let full = rebuilt(dir.path());
        let (journal, recovered, state) = opened::<State>(dir.path(), 9_000);
        assert!(recovered.from_snapshot > 0 && recovered.passed_over.is_empty(), "{recovered:?}");
        assert_eq!((state, recovered.records), (full, size), "case {case}");
        taken_up += 1;
        assert_eq!(scrubbed(&journal), Scrub { done: recovered.from_snapshot, of: recovered.from_snapshot, bad: None });
        drop(journal);
        assert!(own_is_true(dir.path()));
    }
    assert_eq!(taken_up, 24);
}

fn own_is_true(dir: &Path) -> bool {
    let key = quarterdeck::journal::verify::own_key(dir).unwrap();
    check(dir, &key).ok
}

/// A log of about 600 records in several segments with a snapshot at two thirds.
fn snapshotted(dir: &Path) -> u64 {
    let mut cases = Cases(3);
    let (journal, _, mut state) = opened::<State>(dir, 20_000);
    let mut grow = |state: &mut State, batches: u64| {
        for _ in 0..batches {
            let drafts = (0..4).map(|_| any(&mut cases)).collect();
            append(&journal, state, drafts);
        }
    };
    grow(&mut state, 100);
    let size = keep(&journal, &mut state);
    grow(&mut state, 50);
    size
}

fn copy_all(from: &Path, to: &Path) {
    copy(from, to);
    std::fs::create_dir_all(to.join("snapshot")).unwrap();
    for entry in std::fs::read_dir(from.join("snapshot")).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join("snapshot").join(entry.file_name())).unwrap();
    }
}

fn the_snapshot(dir: &Path) -> PathBuf {
    std::fs::read_dir(dir.join("snapshot")).unwrap().next().unwrap().unwrap().path()
}

/// As the state, but of another form.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Later(State);

impl fold::Fold for Later {
    fn apply(&mut self, record: &Record) {
        self.0.apply(record);
    }
}

impl Keep for Later {
    const FORMAT: u64 = State::FORMAT + 1;
}

#[test]
fn a_snapshot_that_does_not_count_is_passed_over_and_the_state_rebuilt() {
    let dir = fast_dir();
    let log = dir.path().join("log");
    let size = snapshotted(&log);
    let full = rebuilt(&log);
    let mut tried = 0;
    let mut passed_over = |name: &str, change: &dyn Fn(&Path)| {
        let copied = dir.path().join(name);
        copy_all(&log, &copied);
        change(&copied);
        let (_, recovered, state) = opened::<State>(&copied, 20_000);
        assert_eq!((recovered.from_snapshot, &state), (0, &full), "{name}: {recovered:?}");
        tried += 1;
        std::fs::remove_dir_all(&copied).unwrap();
        recovered.passed_over.join("; ")
    };
    let text = std::fs::read_to_string(the_snapshot(&log)).unwrap();
    let edit = |from: &str, to: &str| {
        assert!(text.contains(from));
        let edited = text.replacen(from, to, 1);
        move |d: &Path| std::fs::write(the_snapshot(d), &edited).unwrap()
    };

    assert_eq!(passed_over("missing", &|d| std::fs::remove_file(the_snapshot(d)).unwrap()), "");
    let state = passed_over("state", &edit("orders stand still", "orders stand STILL"));
    assert!(state.contains("no record names its digest"), "{state}");
    let program = passed_over("program", &edit("quarterdeck ", "quarterdeck 9"));
    assert!(program.contains("quarterdeck 9") && program.contains("made it"), "{program}");
    let place = passed_over("place", &edit("\"line\":", "\"line\":1"));
    assert!(place.contains("no record names its digest"), "{place}");
    passed_over("offset", &edit("\"offset\":", "\"offset\":1"));
    for at in (0..text.len()).step_by(text.len() / 40) {
        let cut = text.get(..at).map(str::to_owned);
        if let Some(cut) = cut {
            let why = passed_over("cut", &|d| std::fs::write(the_snapshot(d), &cut).unwrap());
            assert!(why.contains("it is damaged"), "{why}");
        }
    }
    for case in 0..40 {
        let (at, bit) = (text.len() * case / 40, case % 7);
        let why = passed_over("flip", &|d| {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            std::fs::write(the_snapshot(d), bytes).unwrap();
        });
        assert!(!why.is_empty());
    }
    let link = passed_over("link", &|d| {
        std::fs::rename(the_snapshot(d), d.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(d.join("elsewhere"), d.join(format!("snapshot/{size:020}"))).unwrap();
    });
    assert!(link.contains("symbolic link"), "{link}");
    assert!(tried > 80, "{tried}");

    let later = dir.path().join("later");
    copy_all(&log, &later);
    let (_, recovered, state) = opened::<Later>(&later, 20_000);
    assert_eq!((recovered.from_snapshot, &state.0), (0, &full));

    // One that no record came to name: the one before it is taken up.
    let unnamed = dir.path().join("unnamed");
    copy_all(&log, &unnamed);
    let (journal, _, state) = opened::<State>(&unnamed, 20_000);
    fold::keep(&journal, &journal.status().place, &state).unwrap();
    drop(journal);
    let (_, recovered, _) = opened::<State>(&unnamed, 20_000);
    assert_eq!(recovered.from_snapshot, size);
    assert!(recovered.passed_over[0].contains("no record names its digest"), "{recovered:?}");
}

#[test]
fn damage_before_a_snapshot_is_found_afterwards_and_stops_what_is_new() {
    let dir = fast_dir();
    let log = dir.path().join("log");
    let size = snapshotted(&log);
    let found = records(&log);
    let mut cases = Cases(11);
    for round in 0..8 {
        let copied = dir.path().join(format!("damaged-{round}"));
        copy_all(&log, &copied);
        let seq = cases.below(usize::try_from(size).unwrap() - 20);
        let bytes = String::from_utf8(found[seq].bytes.clone()).unwrap();
        let changed = bytes.replace("mara", "mora");
        let path = segments(&copied).into_iter().rfind(|p| {
            let first: usize = p.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            first <= seq
        });
        let path = path.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&bytes) && changed != bytes);
        std::fs::write(&path, text.replacen(&bytes, &changed, 1)).unwrap();

        let (journal, recovered, _) = opened::<State>(&copied, 20_000);
        assert_eq!(recovered.from_snapshot, size);
        let bad = scrubbed(&journal).bad.expect("the damage is found");
        assert!(bad.seq <= seq as u64 && seq as u64 <= bad.through && bad.through - bad.seq < 4, "{seq} in {bad}");
        let refused = journal.append_blocking(vec![draft(Kind::StepStarted, json!({ "run": "RUN-1" }))]).unwrap_err();
        assert_eq!(refused, JournalError::Damaged(bad));
        journal.append_blocking(vec![draft(Kind::StepFinished, json!({ "run": "RUN-1" }))]).unwrap();
        drop(journal);
        // Without the snapshot the damage keeps the log from being opened at all.
        std::fs::remove_dir_all(copied.join("snapshot")).unwrap();
        let refused = fold::open_kept::<State>(options(&copied)).map(|_| ()).unwrap_err();
        assert!(matches!(refused, JournalError::Damaged(_)), "{refused}");
    }
}

#[test]
fn a_segment_that_is_gone_is_found_too() {
    let dir = fast_dir();
    let log = dir.path().join("log");
    snapshotted(&log);
    let second = segments(&log).remove(1);
    std::fs::remove_file(second).unwrap();
    let (journal, recovered, _) = opened::<State>(&log, 20_000);
    assert!(recovered.from_snapshot > 0);
    let bad = scrubbed(&journal).bad.expect("the damage is found");
    assert!(bad.why.contains("missing"), "{bad}");
}

#[test]
fn damage_after_a_snapshot_is_found_at_once() {
    let dir = fast_dir();
    let log = dir.path().join("log");
    let size = snapshotted(&log);
    let last = segments(&log).pop().unwrap();
    let text = std::fs::read_to_string(&last).unwrap();
    let at = text.match_indices("mara").nth(3).unwrap().0;
    std::fs::write(&last, format!("{}mora{}", &text[..at], &text[at + 4..])).unwrap();
    let refused = fold::open_kept::<State>(options(&log)).map(|_| ()).unwrap_err();
    let JournalError::Damaged(damage) = refused else { panic!("{refused}") };
    assert!(damage.seq >= size, "{damage}");
}

#[test]
fn a_torn_end_after_a_snapshot_is_set_aside_as_ever() {
    let dir = fast_dir();
    let log = dir.path().join("log");
    let size = snapshotted(&log);
    let last = segments(&log).pop().unwrap();
    let whole = content(&last);
    std::fs::write(&last, &whole[..whole.len() - 40]).unwrap();
    let full = rebuilt(&log);
    let (_, recovered, state) = opened::<State>(&log, 20_000);
    assert_eq!((recovered.from_snapshot, state), (size, full));
    assert!(recovered.quarantined.is_some() && !recovered.clean);
}

/// The commands open the engine, which leaves a snapshot at its end and takes it up at its next beginning.
#[test]
fn the_engine_leaves_a_snapshot_and_takes_it_up() {
    let home = tempfile::tempdir().unwrap();
    let file = support::lonely(home.path());
    let (dir, origin) = (home.path().join("journal"), "quarterdeck/lonely".to_owned());
    let (journal, _) = Journal::open(OpenOptions { origin, ..options(&dir) }).unwrap();
    for round in 0..11 {
        journal.append_blocking((0..100).map(|n| note(format!("{round}/{n} early words"))).collect()).unwrap();
    }
    drop(journal);
    let go = |args: &[&str]| support::run(home.path(), &[&["--config", &file], args].concat());
    let (code, _, err) = go(&["incident", "declare", "Orders stand still", "--severity", "SEV1"]);
    assert_eq!(code, 0, "{err}");
    let kinds: Vec<_> = records(&dir).iter().map(|r| r.record.kind).collect();
    assert_eq!(&kinds[kinds.len() - 2..], [Kind::JournalSnapshot, Kind::JournalClosed]);

    // Damage before the snapshot does not keep the next one from opening, so the snapshot was taken up.
    let path = segments(&dir).remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("3/7 early words", "3/7 other words", 1)).unwrap();
    let (code, out, err) = go(&["incident", "list", "--format", "json"]);
    assert!(code == 0 && out.contains("INC-1"), "{out}{err}");
    let (code, _, err) = go(&["incident", "note", "INC-1", "it goes on"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(go(&["audit", "verify"]).0, 3, "and verification finds it");
    std::fs::remove_dir_all(dir.join("snapshot")).unwrap();
    let (code, _, err) = go(&["incident", "note", "INC-1", "it goes on"]);
    assert!(code == 3 && err.contains("damaged at records 301 to 400"), "{code} {err}");
}
