//! The tasks that follow a log with witnesses.

use super::journal_support::*;
use super::support::*;
use quarterdeck::attest::witness::Alarm;
use quarterdeck::journal::cosignature::Algorithm;
use quarterdeck::journal::key::{LogKey, VerifierKey};
use quarterdeck::journal::{Journal, OpenOptions};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_of_both_kinds_follow_a_growing_log() {
    let (dir, state) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    let Some(a) = serve(state.path(), "a", "ed25519", journal.verifier()) else { return };
    let b = serve(state.path(), "b", "mldsa", journal.verifier()).unwrap();
    assert_eq!((a.witness.key.algorithm(), b.witness.key.algorithm()), (Algorithm::Ed25519, Algorithm::MlDsa44));
    let both = [&a, &b];
    let witnesses = follow(&journal, settings(dir.path(), &both, 2));
    // From the first checkpoint on, over sizes that need proofs of every shape.
    for count in [0, 1, 1, 5, 120, 1, 7, 300] {
        let size = if count == 0 { journal.status().size } else { grow(&journal, count).await };
        let cover = witnesses.asking().cover(size, LONG).await;
        assert_eq!((cover.confirmed, cover.size), (2, size), "{:?}", witnesses.board());
        let note = cosigned(dir.path(), journal.verifier(), &both);
        assert_eq!((note.checkpoint.size, note.by.len()), (size, 2));
        assert_eq!(note.checkpoint.root, journal.status().root);
    }
    let board = witnesses.board();
    assert_eq!((board.alarm, board.file), (None, None));
    assert!(board.standings.iter().all(|s| s.trouble.is_none() && s.at.is_some()));
    // The last record of all is cosigned too, after the writer has closed the log.
    journal.close(options(dir.path()).time).await.unwrap();
    let last = journal.status().size;
    witnesses.finish(last, LONG).await;
    assert_eq!(cosigned(dir.path(), journal.verifier(), &both).checkpoint.size, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_size_is_put_right_whether_the_witness_or_the_log_forgot() {
    let (dir, state) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    let Some(a) = serve(state.path(), "a", "ed25519", journal.verifier()) else { return };
    let first = grow(&journal, 10).await;
    let witnesses = follow(&journal, settings(dir.path(), &[&a], 1));
    assert_eq!(witnesses.asking().cover(first, LONG).await.size, first);
    witnesses.finish(first, LONG).await;

    // The log's side has forgotten: it begins with 0, and is told where to go on.
    std::fs::remove_file(dir.path().join("cosigned")).unwrap();
    let second = grow(&journal, 10).await;
    let witnesses = follow(&journal, settings(dir.path(), &[&a], 1));
    assert_eq!(witnesses.asking().cover(second, LONG).await.size, second, "{:?}", witnesses.board());
    witnesses.finish(second, LONG).await;

    // The witness comes back with its state, elsewhere.
    drop(a);
    let a = serve(state.path(), "a", "ed25519", journal.verifier()).unwrap();
    let third = grow(&journal, 10).await;
    let witnesses = follow(&journal, settings(dir.path(), &[&a], 1));
    assert_eq!(witnesses.asking().cover(third, LONG).await.size, third, "{:?}", witnesses.board());
    witnesses.finish(third, LONG).await;

    // And without it: it takes the log as it is now, as one that it sees for the first time.
    drop(a);
    std::fs::remove_file(state.path().join("a.state")).unwrap();
    let a = serve(state.path(), "a", "ed25519", journal.verifier()).unwrap();
    let fourth = grow(&journal, 10).await;
    let witnesses = follow(&journal, settings(dir.path(), &[&a], 1));
    assert_eq!(witnesses.asking().cover(fourth, LONG).await.size, fourth, "{:?}", witnesses.board());
    assert_eq!(witnesses.board().alarm, None);
    assert_eq!(cosigned(dir.path(), journal.verifier(), &[&a]).checkpoint.size, fourth);
}

/// A log that a witness has cosigned at some size, and a copy of it from before, which lacks the note of that.
async fn grown_past_a_copy(
    dir: &Path,
    copied: &Path,
    a: impl Fn(&VerifierKey) -> Option<Served>,
) -> Option<(Served, u64)> {
    let (journal, _) = open(dir);
    let served = a(journal.verifier())?;
    grow(&journal, 20).await;
    copy(dir, copied);
    let size = grow(&journal, 40).await;
    let witnesses = follow(&journal, settings(dir, &[&served], 1));
    assert_eq!(witnesses.asking().cover(size, LONG).await.size, size);
    witnesses.finish(size, LONG).await;
    Some((served, size))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rolled_back_is_refused_at_its_opening() {
    let (dir, state, copied) = (fast_dir(), fast_dir(), fast_dir());
    let ready = grown_past_a_copy(dir.path(), copied.path(), |log| serve(state.path(), "a", "mldsa", log)).await;
    let Some((a, theirs)) = ready else { return };
    let (journal, _) = open(copied.path());
    let ours = journal.status().size;
    assert!(ours < theirs);
    let witnesses = follow(&journal, settings(copied.path(), &[&a], 1));
    let alarm = witnesses.asking().opened(LONG).await.unwrap_err();
    let Alarm::Shrunk { witness, theirs: t, ours: o } = &alarm else { panic!("{alarm}") };
    assert_eq!((witness.as_str(), *t, *o), ("a", theirs, ours));
    let cover = witnesses.asking().cover(ours, LONG).await;
    assert_eq!((cover.confirmed, cover.size), (0, 0));
    assert!(!copied.path().join("cosigned").exists());
    // With the witness down, the note beside the log still tells, where it was not rolled back with it.
    drop((witnesses, a));
    std::fs::copy(dir.path().join("cosigned"), copied.path().join("cosigned")).unwrap();
    let gone = down(&state, &journal);
    let witnesses = follow(&journal, settings(copied.path(), &[&gone], 1));
    // The note is by the key of another witness: what it says of the log counts all the same, since the log signed it.
    let alarm = witnesses.asking().opened(LONG).await.unwrap_err();
    let Alarm::Shrunk { witness, theirs: t, .. } = alarm else { panic!("{alarm}") };
    assert_eq!((witness.as_str(), t), ("the note of the last cosigned checkpoint", theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_refused_also_when_it_is_longer() {
    let (dir, state, copied) = (fast_dir(), fast_dir(), fast_dir());
    let ready = grown_past_a_copy(dir.path(), copied.path(), |log| serve(state.path(), "a", "ed25519", log)).await;
    let Some((a, theirs)) = ready else { return };
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 1 << 20, ..options(copied.path()) }).unwrap();
    grow(&journal, 100).await;
    let ours = journal.status().size;
    assert!(ours > theirs);
    let witnesses = follow(&journal, settings(copied.path(), &[&a], 1));
    let alarm = witnesses.asking().opened(LONG).await.unwrap_err();
    assert_eq!(alarm, Alarm::Different { witness: "a".into(), size: theirs });
    assert_eq!(witnesses.asking().cover(ours, LONG).await.confirmed, 0);
    // It is not asked again: what the witness holds is what it held.
    let before = std::fs::read(state.path().join("a.state")).unwrap();
    grow(&journal, 1).await;
    witnesses.finish(ours + 1, Duration::ZERO).await;
    assert_eq!(std::fs::read(state.path().join("a.state")).unwrap(), before);
    // And by the note alone, with nobody to ask.
    drop(a);
    std::fs::copy(dir.path().join("cosigned"), copied.path().join("cosigned")).unwrap();
    let witnesses = follow(&journal, settings(copied.path(), &[&down(&state, &journal)], 1));
    let alarm = witnesses.asking().opened(LONG).await.unwrap_err();
    let kept = "the note of the last cosigned checkpoint".to_owned();
    assert_eq!(alarm, Alarm::Different { witness: kept, size: theirs });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_down_leaves_the_log_unverified_and_is_asked_again() {
    let (dir, state) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    if program().is_none() {
        return;
    }
    let a = down(&state, &journal);
    let witnesses = follow(&journal, settings(dir.path(), &[&a], 1));
    witnesses.asking().opened(LONG).await.unwrap();
    let board = witnesses.board();
    assert!(board.standings[0].trouble.as_ref().unwrap().starts_with("the witness can not be reached: "), "{board:?}");
    let now = "2026-11-21T14:43:07Z".parse().unwrap();
    assert!(witnesses.trouble(now).unwrap().starts_with("unverified: 1 of them must answer; down: "));
    let cover = witnesses.asking().cover(1, Duration::from_millis(50)).await;
    assert_eq!((cover.needed, cover.confirmed, cover.size), (1, 0, 0));
    assert!(!dir.path().join("cosigned").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_are_enough_however_slow_the_third_is() {
    let (dir, state) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    let Some(a) = serve(state.path(), "a", "ed25519", journal.verifier()) else { return };
    let b = serve(state.path(), "b", "mldsa", journal.verifier()).unwrap();
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut c = down(&state, &journal);
    c.witness.url = format!("http://{}", silent.local_addr().unwrap());
    let witnesses = follow(&journal, settings(dir.path(), &[&a, &b, &c], 2));
    let from = Instant::now();
    for _ in 0..5 {
        let size = grow(&journal, 3).await;
        let cover = witnesses.asking().cover(size, LONG).await;
        assert_eq!((cover.confirmed, cover.size), (2, size));
    }
    assert!(from.elapsed() < LONG, "the silent one held up the others");
    assert!(!witnesses.board().standings[2].asked);
    assert_eq!(cosigned(dir.path(), journal.verifier(), &[&a, &b]).by.len(), 2);
    // Under one administrator they count once, and two are not enough.
    drop(witnesses);
    let mut together = settings(dir.path(), &[&a, &b], 2);
    together.witnesses[1].administrator = "a".into();
    let witnesses = follow(&journal, together);
    witnesses.asking().opened(LONG).await.unwrap();
    let size = journal.status().size;
    let cover = witnesses.asking().cover(size, Duration::from_millis(100)).await;
    assert_eq!((cover.confirmed, cover.size), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_the_witness_does_not_know_is_said_to_be_so() {
    let (dir, state) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    // One that knows another log, and one that knows this one with another key. For the latter the protocol has 403,
    // and this witness fails with 500.
    for (name, origin, expected) in [
        (
            "a",
            "example.com/other",
            "the witness does not know this log; its operator has to add the origin and its verifier key",
        ),
        ("b", ORIGIN, "the witness failed (500); its operator can see why"),
    ] {
        let known = LogKey::generate(origin).unwrap();
        let Some(served) = serve(state.path(), name, "ed25519", known.verifier()) else { return };
        let witnesses = follow(&journal, settings(dir.path(), &[&served], 1));
        witnesses.asking().opened(LONG).await.unwrap();
        let board = witnesses.board();
        assert_eq!(board.standings[0].trouble.as_deref(), Some(expected));
        assert_eq!((board.confirmed(1), board.alarm), (0, None));
    }
}
