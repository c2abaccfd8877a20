//! `audit show`: its filters, its place of a record, what it makes of a damaged log, and following a log that is
//! being written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
mod support;

use journal_support::{content, draft, fast_dir, note, options, segments, write_log};
use quarterdeck::journal::{Journal, Kind, OpenOptions};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{program, run};

/// Runs `audit show` on a directory.
fn show(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let name = dir.display().to_string();
    let mut all = vec!["audit", "show", "--journal", &name];
    all.extend(args);
    run(dir, &all)
}

fn seqs(json: &str) -> Vec<u64> {
    json.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["seq"].as_u64().unwrap()).collect()
}

#[test]
fn filters_choose_and_several_kinds_add_up() {
    let dir = fast_dir();
    let (journal, _) = Journal::open(options(dir.path())).unwrap();
    let mut other = draft(Kind::GlassBroken, json!({"reason": "nobody answers"}));
    other.actor.user = "jon".into();
    other.incident = None;
    other.time = "2026-11-21T16:00:00Z".parse().unwrap();
    journal.append_blocking(vec![note("one"), draft(Kind::StepStarted, json!({"step": "a"})), other]).unwrap();
    drop(journal);
    let of = |args: &[&str]| {
        let (code, out, err) = show(dir.path(), &[&["--format", "json"], args].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        seqs(&out)
    };
    assert_eq!(of(&[]), [0, 1, 2, 3]);
    assert_eq!(of(&["--kind", "note,step.started"]), [1, 2]);
    assert_eq!(of(&["--kind", "glass", "--kind", "note.added"]), [1, 3]);
    assert_eq!(of(&["--actor", "jon"]), [3]);
    assert_eq!(of(&["--incident", "INC-42"]), [1, 2]);
    assert_eq!(of(&["--since", "2026-11-21 15:00"]), [3]);
    assert_eq!(of(&["--until", "2026-11-21T15:00:00Z", "--from", "1", "--to", "1"]), [1]);
    let (code, out, _) = show(dir.path(), &[]);
    assert!(code == 0 && out.lines().count() == 5 && out.starts_with("    SEQ  TIME"), "{out}");
    assert!(out.contains("glass.broken") && out.contains("GLASS BROKEN: nobody answers"), "{out}");
}

#[test]
fn what_can_not_fit_is_refused_with_a_sentence() {
    let dir = fast_dir();
    write_log(dir.path(), &[2], 1 << 20);
    for (args, says) in [
        (&["--since", "soon"][..], "allowed are 2026-11-21T14:30:00Z"),
        (&["--since", "now", "--until", "2h"], "does not lie before --until"),
        (&["--from", "3", "--to", "2"], "--from 3 is greater than --to 2"),
        (&["--kind", "note,song"], "there is no kind `song`; there are journal.opened"),
        (&["--seq", "1", "--follow"], "cannot be used with"),
    ] {
        let (code, out, err) = show(dir.path(), args);
        assert!(code == 2 && out.is_empty() && err.contains(says), "{args:?}: {code} {err}");
    }
    let (code, _, err) = show(dir.path(), &["--seq", "99"]);
    assert!(code == 1 && err.contains("there is no record 99"), "{code} {err}");
}

#[test]
fn one_record_comes_with_its_bytes_its_place_and_its_checkpoint() {
    let dir = fast_dir();
    write_log(dir.path(), &[3, 2], 1 << 20);
    let (code, out, _) = show(dir.path(), &["--seq", "4", "--format", "json"]);
    assert_eq!(code, 0);
    let whole: Value = serde_json::from_str(&out).unwrap();
    let file = dir.path().join(whole["file"].as_str().unwrap());
    let text = String::from_utf8(content(&file)).unwrap();
    let line = |n: &Value| text.lines().nth(usize::try_from(n.as_u64().unwrap()).unwrap() - 1).unwrap();
    assert_eq!(whole["stored"], line(&whole["line"]));
    assert_eq!(whole["record"]["seq"], 4);
    let commit: Value = serde_json::from_str(line(&whole["batch"]["commit_line"])).unwrap();
    assert_eq!(commit["checkpoint"], whole["checkpoint"]);
    assert_eq!((&whole["batch"]["first"], &whole["batch"]["last"]), (&json!(4), &json!(5)));
    let leaf = quarterdeck::journal::tree::record_hash(whole["stored"].as_str().unwrap().as_bytes());
    assert_eq!(whole["leaf_hash"], leaf.to_string());
    let (code, out, _) = show(dir.path(), &["--seq", "4"]);
    assert_eq!(code, 0);
    for part in ["what        note: batch 1 note 0", "place       records/", "batch       records 4 to 5", "leaf hash"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn a_damaged_log_shows_what_comes_before_the_damage_and_exits_3() {
    // One digit within a record: only the root tells. Its batch is not shown.
    let dir = fast_dir();
    write_log(dir.path(), &[3, 2, 2], 1 << 20);
    let path = &segments(dir.path())[0];
    let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
    std::fs::write(path, text.replace("batch 1 note 1", "batch 1 note 7")).unwrap();
    let (code, out, err) = show(dir.path(), &["--format", "json"]);
    assert_eq!((code, seqs(&out)), (3, vec![0, 1, 2, 3]), "{err}");
    let error: Value = serde_json::from_str(err.trim()).unwrap();
    assert_eq!(error["error"]["kind"], "damaged");
    let why = error["error"]["message"].as_str().unwrap();
    assert!(why.contains("records 4 to 5, records/") && why.contains("not the root of the records"), "{why}");

    // A torn end.
    let dir = fast_dir();
    write_log(dir.path(), &[3], 1 << 20);
    let path = &segments(dir.path())[0];
    let mut bytes = content(path);
    bytes.extend(b"{\"actor\":");
    std::fs::write(path, bytes).unwrap();
    let (code, out, err) = show(dir.path(), &["--format", "json"]);
    assert_eq!((code, seqs(&out)), (3, vec![0, 1, 2, 3]));
    assert!(err.contains("9 bytes after the last commit"), "{err}");
    // A bound below the damage is not troubled by it.
    assert_eq!(show(dir.path(), &["--to", "2", "--format", "json"]).0, 0);
}

#[test]
fn a_followed_log_gives_each_record_once_over_many_segments_and_ends_with_130() {
    let dir = fast_dir();
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 2_000, ..options(dir.path()) }).unwrap();
    let mut child = Command::new(program())
        .args(["audit", "show", "--follow", "--format", "json", "--journal"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || seqs(&lines.next().unwrap().unwrap())[0];
    assert_eq!(next(), 0);
    let mut seen = 1;
    for round in 0..30_u64 {
        let batch = (0..=round % 4).map(note).collect();
        let last = journal.append_blocking(batch).unwrap().last().unwrap().seq;
        // Every fifth round waits for the reader, so that it meets the end of a segment both at work and at rest.
        while round.is_multiple_of(5) && seen <= last {
            assert_eq!(next(), seen);
            seen += 1;
        }
    }
    let size = journal.status().size;
    while seen < size {
        assert_eq!(next(), seen);
        seen += 1;
    }
    assert!(segments(dir.path()).len() > 5, "{}", segments(dir.path()).len());
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(lines.next().is_none(), "nothing twice");
}

#[test]
fn following_ends_by_itself_where_nothing_more_can_be_wanted() {
    let dir = fast_dir();
    write_log(dir.path(), &[3], 1 << 20);
    let (code, out, _) = show(dir.path(), &["--follow", "--to", "2", "--format", "json"]);
    assert_eq!((code, seqs(&out)), (0, vec![0, 1, 2]));
}

#[test]
fn a_position_and_a_time_leave_other_segments_unread() {
    let dir = fast_dir();
    let opened = OpenOptions { segment_bytes: 2_000, ..options(dir.path()) };
    let start = opened.time;
    let (journal, _) = Journal::open(opened).unwrap();
    for n in 0..60 {
        let mut draft = note(format!("hour {n} {}", "x".repeat(300)));
        draft.time = start + jiff::SignedDuration::from_hours(n);
        journal.append_blocking(vec![draft]).unwrap();
    }
    // The last thing that it does is to publish its tiles.
    drop(journal);
    let all = segments(dir.path());
    assert!(all.len() > 8, "{}", all.len());
    // An edit in the second segment, which only whoever reads that comes upon.
    let text = std::fs::read_to_string(&all[1]).unwrap();
    std::fs::write(&all[1], text.replacen("hour", "HOUR", 1)).unwrap();
    let time = |hours| (start + jiff::SignedDuration::from_hours(hours)).to_string();
    let of = |args: &[&str]| {
        let (code, out, err) = show(dir.path(), &[&["--format", "json"], args].concat());
        (code, seqs(&out), err)
    };
    let (code, before, err) = of(&[]);
    assert!(code == 3 && before.len() < 10 && err.contains("root"), "{code} {before:?} {err}");
    assert_eq!(of(&["--from", "50", "--to", "52"]), (0, vec![50, 51, 52], String::new()));
    assert_eq!(of(&["--since", &time(40), "--until", &time(43)]), (0, vec![41, 42, 43], String::new()));
    assert_eq!(of(&["--since", &time(57)]), (0, vec![58, 59, 60], String::new()));
    // What is shown is still held against its checkpoint, also in the first segment that is read.
    let copied = fast_dir();
    journal_support::copy(dir.path(), copied.path());
    let segment = segments(copied.path()).into_iter().rfind(|s| name_of(s) <= 50).unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("hour", "HOUR", 1)).unwrap();
    let (code, _, err) = show(copied.path(), &["--from", "50", "--to", "52"]);
    assert!(code == 3 && err.contains("root"), "{code} {err}");
    // Without tiles the whole log is read, and so the damage is found.
    std::fs::remove_dir_all(dir.path().join("tile")).unwrap();
    assert_eq!(of(&["--from", "50", "--to", "52"]).0, 3);
}

/// Number of the first record of a segment.
fn name_of(segment: &Path) -> u64 {
    segment.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}
