//! `audit monitor` across changes of the log's key, over a served log.

use super::journal_support::*;
use super::monitor::{Site, calm, later, size, watch, words, write};
use quarterdeck::attest::monitor::{Memory, Wrong, look};
use quarterdeck::attest::served::Served;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::{LogKey, VerifierKey};
use quarterdeck::journal::verify::own_key;
use quarterdeck::journal::{Draft, Journal, Kind, Rotated, export};
use serde_json::{Value, json};
use std::path::Path;

fn rotate(dir: &Path) -> Rotated {
    Journal::rotate(&options(dir)).unwrap()
}

fn grow(dir: &Path, count: usize) {
    let (journal, _) = open(dir);
    write(&journal, count);
}

/// Exports it under the key that is in force.
fn publish(dir: &Path, out: &Path) {
    export(dir, out, &own_key(dir).unwrap()).unwrap();
}

fn remembered(memory: &Memory) -> Memory {
    serde_json::from_value(serde_json::to_value(memory).unwrap()).unwrap()
}

#[test]
fn a_rotation_that_both_keys_signed_is_followed_and_another_restart_knows_it() {
    let (dir, out) = (fast_dir(), fast_dir());
    grow(dir.path(), 300);
    let first = LogKey::parse(&std::fs::read_to_string(dir.path().join("log.key")).unwrap()).unwrap();
    let first = first.verifier().clone();
    let watch_first = watch(&first);
    let site = Site::of(out.path());
    let served = Served::remote(&site.url).unwrap();
    publish(dir.path(), out.path());
    let before = calm(&watch_first, &served, None);

    let one = rotate(dir.path());
    grow(dir.path(), 300);
    let two = rotate(dir.path());
    grow(dir.path(), 3);
    publish(dir.path(), out.path());
    let seen = calm(&watch_first, &served, Some(remembered(&before)));
    let keys: Vec<(u64, String)> =
        [(0, &first), (one.after, &one.new), (two.after, &two.new)].map(|(n, k)| (n, k.as_str().to_owned())).into();
    assert_eq!((size(&seen, &two.new), &seen.keys), (seen.read, &keys));
    assert_eq!(one.new, two.old);
    // It goes on, with what was kept, under any of the keys that it was begun with or that came after it.
    grow(dir.path(), 5);
    publish(dir.path(), out.path());
    for key in [&first, &one.new, &two.new] {
        let kept = remembered(&seen);
        kept.check(key).unwrap();
        let again = calm(&watch(key), &served, Some(kept));
        assert!(again.read > seen.read && again.keys == keys);
    }
    assert!(seen.check(LogKey::generate(ORIGIN).unwrap().verifier()).is_err());
    // Whoever sees it for the first time with the first key, or with a later one, comes to the same end.
    for key in [&first, &one.new, &two.new] {
        let found = calm(&watch(key), &served, None);
        assert_eq!(found.keys.last().unwrap().1, two.new.as_str());
    }
    // A memory of an earlier program knows no keys.
    let mut old = serde_json::to_value(&before).unwrap();
    old.as_object_mut().unwrap().remove("keys");
    let found = calm(&watch_first, &served, Some(serde_json::from_value(old).unwrap()));
    assert_eq!(found.keys, keys);
}

/// A served log of `first`, then a rotation record as `change` makes it, under a checkpoint by `by`.
fn served_with(
    change: &dyn Fn(&mut Value),
    by: &dyn Fn(&LogKey, &LogKey) -> LogKey,
) -> (VerifierKey, Served, tempfile::TempDir, Memory) {
    let (dir, out) = (fast_dir(), fast_dir());
    grow(dir.path(), 7);
    let secret = std::fs::read_to_string(dir.path().join("log.key")).unwrap();
    let old = LogKey::parse(&secret).unwrap();
    publish(dir.path(), out.path());
    let served = Served::local(out.path().to_owned());
    let memory = calm(&watch(old.verifier()), &served, None);
    // What a true rotation would say, taken from a copy; then the same log with what is written instead.
    let copied = fast_dir();
    copy(dir.path(), copied.path());
    let rotated = rotate(copied.path());
    let new = LogKey::parse(&std::fs::read_to_string(copied.path().join("log.key")).unwrap()).unwrap();
    let records = records(copied.path());
    let record = records.iter().find(|r| r.record.kind == Kind::KeyRotated).unwrap();
    assert_eq!(record.record.seq + 1, rotated.after);
    let mut body = record.record.body.clone();
    change(&mut body);
    // Opening a journal writes records of its own, and so did the rotation: they are the same up to there.
    let (journal, _) = open(dir.path());
    let at = journal.append_blocking(vec![Draft { ..draft(Kind::KeyRotated, body) }]).unwrap()[0].seq;
    assert_eq!(at, record.record.seq);
    journal.close_blocking(options(dir.path()).time).unwrap();
    publish(dir.path(), out.path());
    let path = out.path().join("checkpoint");
    let checkpoint = Checkpoint::read_cosigned(&std::fs::read_to_string(&path).unwrap()).unwrap();
    std::fs::write(path, checkpoint.sign(&by(&old, &new)).unwrap()).unwrap();
    (old.verifier().clone(), served, out, memory)
}

type Change<'a> = &'a dyn Fn(&mut Value);

fn same(key: &LogKey) -> LogKey {
    LogKey::parse(key.secret()).unwrap()
}

#[test]
fn a_rotation_that_is_not_signed_by_both_is_a_fork() {
    let none: &dyn Fn(&mut Value) = &|_| {};
    let by_new: &dyn Fn(&LogKey, &LogKey) -> LogKey = &|_, new| same(new);
    // The very same body is believed: what follows differs in one thing each.
    let (key, served, _out, memory) = served_with(none, by_new);
    calm(&watch(&key), &served, Some(memory));

    let unsigned = |body: &mut Value| body["checkpoint"] = json!("quarterdeck/test\n1\nAAAA\n");
    let taken = |body: &mut Value| {
        body.as_object_mut().unwrap().remove("handover");
    };
    let foreign = |body: &mut Value| body["handover"] = body["checkpoint"].clone();
    let cases: [(Change<'_>, &str); 3] = [
        (&unsigned, "is not signed by its new key"),
        (&taken, "has no handover that the old key"),
        (&foreign, "has no handover that the old key"),
    ];
    for (change, expected) in cases {
        for by in [by_new, &|old: &LogKey, _: &LogKey| same(old)] {
            let (key, served, _out, memory) = served_with(change, by);
            for memory in [Some(memory), None] {
                let (_, alerts) = look(&watch(&key), &served, memory, later(10));
                let fork = alerts.iter().find(|a| a.alert == Wrong::Fork).unwrap_or_else(|| panic!("{alerts:?}"));
                assert!(
                    fork.what.contains("not both keys have signed that") && fork.what.contains(expected),
                    "{fork:?}"
                );
                assert_eq!(fork.subject, "9", "{fork:?}");
            }
        }
    }
    // A key that nothing leads to, and the old key after it was replaced.
    let (key, served, _out, memory) = served_with(none, &|_, _| LogKey::generate(ORIGIN).unwrap());
    let (_, alerts) = look(&watch(&key), &served, Some(memory), later(10));
    assert_eq!(words(&alerts), ["bad-signature"]);
    let (key, served, _out, memory) = served_with(none, &|old, _| same(old));
    let (seen, _) = look(&watch(&key), &served, Some(memory), later(10));
    let (_, alerts) = look(&watch(&key), &served, seen, later(10));
    assert_eq!(words(&alerts), ["bad-signature"]);
}
