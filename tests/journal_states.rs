//! Journal directories that are not as they should be: each gets its own sentence and exit code, from the writer that
//! opens it and from `audit verify` that reads it, and nothing in it is written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::journal::canonical;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::LogKey;
use quarterdeck::journal::tree::Frontier;
use quarterdeck::journal::verify::own_key;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// All files below a directory with what they hold and when they were written.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let meta = std::fs::symlink_metadata(entry.path()).unwrap();
        if meta.is_dir() {
            found.extend(tree(&entry.path()));
        }
        let bytes = if meta.is_file() { std::fs::read(entry.path()).unwrap() } else { vec![] };
        found.insert(entry.path(), (bytes, meta.mtime(), meta.mtime_nsec()));
    }
    found
}

/// `audit verify` on a directory: its exit code and all that it said.
fn verify(dir: &Path, key: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command.args(["audit", "verify", "--journal"]).arg(dir).arg("--vkey").arg(key);
    let output = command.env("HOME", dir.parent().unwrap()).env_remove("QUARTERDECK_CONFIG").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

/// Puts a record of a later version at the end, under a checkpoint that the log's own key signed.
fn add_a_later_version(dir: &Path) {
    let key = LogKey::parse(&std::fs::read_to_string(dir.join("log.key")).unwrap()).unwrap();
    let mut log = Frontier::default();
    let stored = records(dir);
    for s in &stored {
        log.append(&s.bytes);
    }
    let record = String::from_utf8(stored.last().unwrap().bytes.clone()).unwrap();
    let from = log.size();
    let record = record.replace(&format!("\"seq\":{}", from - 1), &format!("\"seq\":{from}"));
    let record = record.replace("\"v\":1}", "\"v\":2}");
    log.append(record.as_bytes());
    let note = Checkpoint { origin: ORIGIN.into(), size: log.size(), root: log.root() }.sign(&key).unwrap();
    let commit = canonical::to_bytes(&json!({ "checkpoint": note, "from": from })).unwrap();
    let path = segments(dir).pop().unwrap();
    let bytes = [content(&path), record.into_bytes(), b"\n".to_vec(), commit, b"\n".to_vec()].concat();
    std::fs::write(path, bytes).unwrap();
}

/// A state: what is done to the directory, what the writer says, and how `audit verify` ends and what it says.
type State = (&'static str, fn(&Path), &'static str, i32, &'static str);

#[test]
fn each_state_has_its_sentence_and_its_exit_code_and_nothing_is_written() {
    let states: &[State] = &[
        (
            "key that others can read",
            |d| std::fs::set_permissions(d.join("log.key"), std::fs::Permissions::from_mode(0o644)).unwrap(),
            "has mode 0644, so that others can use it; it must be 0600",
            0,
            "verified",
        ),
        (
            "key of somebody else",
            |d| std::os::unix::fs::chown(d.join("log.key"), Some(65_534), None).unwrap(),
            "belongs to user id 65534, and this process runs as",
            0,
            "verified",
        ),
        (
            "records without their key",
            |d| std::fs::remove_file(d.join("log.key")).unwrap(),
            "has records and its key",
            0,
            "verified",
        ),
        (
            "key without its records",
            |d| std::fs::remove_dir_all(d.join("records")).unwrap(),
            "the records it signed are gone from",
            3,
            "the records it signed are gone from",
        ),
        (
            "key that is a link",
            |d| {
                std::fs::rename(d.join("log.key"), d.join("elsewhere")).unwrap();
                std::os::unix::fs::symlink(d.join("elsewhere"), d.join("log.key")).unwrap();
            },
            "log.key is a symbolic link",
            0,
            "verified",
        ),
        (
            "records that are a link",
            |d| {
                std::fs::rename(d.join("records"), d.join("elsewhere")).unwrap();
                std::os::unix::fs::symlink(d.join("elsewhere"), d.join("records")).unwrap();
            },
            "records is a symbolic link",
            2,
            "records is a symbolic link",
        ),
        (
            "first segment gone",
            |d| std::fs::remove_file(&segments(d)[0]).unwrap(),
            "the records before this segment are missing",
            3,
            "the records before this segment are missing",
        ),
        (
            "segment in the middle renamed",
            |d| std::fs::rename(&segments(d)[1], d.join("records/00000000000000000900.jsonl")).unwrap(),
            "the records before this segment are missing",
            3,
            "the records before this segment are missing",
        ),
        (
            "segment named otherwise",
            |d| std::fs::rename(&segments(d)[1], d.join("records/second.jsonl")).unwrap(),
            "records/second.jsonl: a file that is no segment of a log",
            3,
            "a file that is no segment of a log",
        ),
        (
            "segment in the middle cut short",
            |d| {
                let bytes = std::fs::read(&segments(d)[1]).unwrap();
                std::fs::write(&segments(d)[1], &bytes[..bytes.len() / 2]).unwrap();
            },
            "with a later segment after them",
            3,
            "with a later segment after them",
        ),
        (
            "record edited",
            |d| {
                let text = std::fs::read_to_string(&segments(d)[0]).unwrap();
                std::fs::write(&segments(d)[0], text.replacen("batch 0", "batch 7", 1)).unwrap();
            },
            "is not the root of the records",
            3,
            "is not the root of the records",
        ),
        ("record of a later version", add_a_later_version, "use a newer quarterdeck", 1, "use a newer quarterdeck"),
    ];
    let scratch = tempfile::tempdir().unwrap();
    let log = scratch.path().join("log");
    let key = write_log(&log, &[2, 3, 2, 4], 600);
    assert!(segments(&log).len() > 3);
    let key_file = scratch.path().join("kept.vkey");
    std::fs::write(&key_file, key.as_str()).unwrap();
    let mut sentences = BTreeSet::new();
    for (name, change, of_writer, code, of_verify) in states {
        if name.contains("somebody else") && !rustix::process::geteuid().is_root() {
            println!("skipped: only root can give the key to somebody else");
            continue;
        }
        let dir = scratch.path().join("changed");
        copy(&log, &dir);
        change(&dir);
        let before = tree(&dir);
        let why = refused(&dir).to_string();
        assert!(why.contains(of_writer), "{name}: {why}");
        sentences.insert(why);
        let (found, said) = verify(&dir, &key_file);
        assert!(found == *code && said.contains(of_verify), "{name}: exit {found}, {said}");
        assert_eq!(tree(&dir), before, "{name}: something was written");
        std::fs::remove_dir_all(dir).unwrap();
    }
    assert!(sentences.len() + 1 >= states.len(), "{sentences:?}");
}

#[test]
fn a_journal_that_is_another_one_or_reached_by_a_link_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let log = scratch.path().join("log");
    write_log(&log, &[2], 1 << 20);
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(&log, &link).unwrap();
    let before = tree(&log);
    assert!(refused(&link).to_string().contains("link is a symbolic link; name the directory itself"));
    let other = quarterdeck::journal::OpenOptions { origin: "quarterdeck/other".into(), ..options(&log) };
    let why = quarterdeck::journal::Journal::open(other).map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("holds the journal of `quarterdeck/test`, not of `quarterdeck/other`"), "{why}");
    assert_eq!(tree(&log), before);
    // The key of another log verifies nothing of this one.
    let foreign = scratch.path().join("foreign");
    write_log(&foreign, &[1], 1 << 20);
    let key_file = scratch.path().join("foreign.vkey");
    std::fs::write(&key_file, own_key(&foreign).unwrap().as_str()).unwrap();
    let (code, said) = verify(&log, &key_file);
    assert!(code == 3 && said.contains("not signed by the key"), "exit {code}, {said}");
    assert_eq!(tree(&log), before);
}

#[test]
fn a_directory_that_is_moved_or_replaced_while_it_is_written_is_noticed_before_anything_is_acknowledged() {
    let scratch = tempfile::tempdir().unwrap();
    for replace in [false, true] {
        let (log, away) = (scratch.path().join("log"), scratch.path().join("away"));
        let (journal, _) = open(&log);
        journal.append_blocking(vec![note("one")]).unwrap();
        std::fs::rename(&log, &away).unwrap();
        let mut other = BTreeMap::new();
        if replace {
            copy(&away, &log);
            other = tree(&log.join("records"));
        }
        let why = journal.append_blocking(vec![note("two")]).unwrap_err().to_string();
        assert!(why.contains("was removed, replaced or moved while it was written"), "{why}");
        assert!(journal.status().broken.is_some() && journal.status().size == 2);
        drop(journal);
        if replace {
            assert_eq!(tree(&log.join("records")), other, "the one that took its name is left alone");
            std::fs::remove_dir_all(&log).unwrap();
        }
        assert_verified(&away, &own_key(&away).unwrap());
        std::fs::remove_dir_all(&away).unwrap();
    }
}
