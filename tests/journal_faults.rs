//! Real faults: a writer killed at any moment, a disk that fills up, a directory that can not be written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::domain::id::Digest;
use quarterdeck::journal::{Journal, JournalError, Kind, OpenOptions};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tells a copy of this test binary what to be, and on which directory.
const ROLE: &str = "QUARTERDECK_TEST_JOURNAL_ROLE";
const DIR: &str = "QUARTERDECK_TEST_JOURNAL_DIR";

/// This binary, as a process of its own that runs only [`child`].
fn child_process(role: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored", "--nocapture"]).env(ROLE, role).env(DIR, dir);
    command
}

/// Not a test: what the others start.
#[test]
#[ignore = "it is a process that the other tests start and kill"]
fn child() {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var(DIR)) else { return };
    let dir = Path::new(&dir);
    match role.as_str() {
        "write" => write_for_ever(dir),
        "life" => one_life(dir),
        "refuse" => println!("refused: {}", refused(dir)),
        other => panic!("{other}"),
    }
}

/// Appends from four threads and tells each acknowledged record with its digest, until it is killed.
fn write_for_ever(dir: &Path) {
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 40_000, ..options(dir) }).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let journal = journal.clone();
            std::thread::spawn(move || {
                for n in 0_usize.. {
                    let kind = if n % 5 == 0 { Kind::StepStarted } else { Kind::NoteAdded };
                    let body =
                        json!({"text": format!("{t}/{n} {}", "x".repeat(n * 37 % 900)), "run": "RUN-1", "step": "s"});
                    let drafts = vec![draft(kind, body); 1 + n % 3];
                    let mut told = vec![];
                    for committed in journal.append_blocking(drafts).unwrap() {
                        let digest = Sha256::digest(committed.record.to_bytes().unwrap());
                        writeln!(told, "ack {} {}", committed.seq, Digest::from_bytes(&digest.into())).unwrap();
                    }
                    std::io::stdout().lock().write_all(&told).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    let kills: usize = std::env::var("QUARTERDECK_JOURNAL_KILLS").map_or(40, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut cases = Cases(11);
    let mut acknowledged = BTreeMap::new();
    let (mut in_opening, mut set_aside, mut key) = (0, 0, None);
    for _ in 0..kills {
        let mut child =
            child_process("write", dir.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let before = acknowledged.len();
        let wanted = if cases.below(4) == 0 { 0 } else { 1 + cases.below(120) };
        let mut take = |line: String| {
            // A line that the kill cut off tells nothing.
            let mut words = line.split(' ');
            if let (Some("ack"), Some(seq), Some(digest)) = (words.next(), words.next(), words.next())
                && digest.len() == 64
            {
                acknowledged.insert(seq.parse::<u64>().unwrap(), digest.to_owned());
            }
        };
        let mut heard = 0;
        while heard < wanted {
            let line = lines.next().expect("the writer ended by itself").unwrap();
            heard += usize::from(line.starts_with("ack "));
            take(line);
        }
        // Anywhere in the next few milliseconds, which may be while it opens the log.
        std::thread::sleep(Duration::from_micros(cases.next() % 12_000));
        child.kill().unwrap();
        for line in lines {
            take(line.unwrap());
        }
        child.wait().unwrap();
        in_opening += usize::from(acknowledged.len() == before);

        let (journal, recovered) = open(dir.path());
        set_aside += usize::from(recovered.quarantined.is_some());
        let key = key.get_or_insert_with(|| journal.verifier().clone());
        assert_eq!(journal.verifier(), key);
        assert_verified(dir.path(), key);
        drop(journal);
        let found = records(dir.path());
        for (seq, digest) in &acknowledged {
            let stored = &found[usize::try_from(*seq).unwrap()];
            assert_eq!(Digest::from_bytes(&Sha256::digest(&stored.bytes).into()).as_str(), digest, "record {seq}");
        }
    }
    println!(
        "{kills} kills, {in_opening} of them before anything was acknowledged; {} acknowledged records, all kept; \
         {set_aside} torn batches set aside",
        acknowledged.len()
    );
    assert!(acknowledged.len() > kills, "{}", acknowledged.len());
}

/// A small file system in memory, where this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(dir.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_disk_that_fills_up_intents_stop_first_and_nothing_breaks() {
    let Some(disk) = SmallDisk::mount("16m") else {
        println!("skipped: this process may not mount a small file system");
        return;
    };
    let dir = disk.0.path().join("journal");
    let (journal, _) =
        Journal::open(OpenOptions { low_water: 4 << 20, segment_bytes: 256 << 10, ..options(&dir) }).unwrap();
    let step = |kind| draft(kind, json!({"run": "RUN-1", "step": "s", "summary": "x".repeat(30_000)}));
    let mut intents = 0;
    let refused = loop {
        match journal.append_blocking(vec![step(Kind::StepIntended)]) {
            Ok(_) => intents += 1,
            Err(why) => break why,
        }
    };
    assert!(matches!(refused, JournalError::LowSpace { free_mib: 0..=3, needed_mib: 4, .. }), "{refused}");
    // Somebody else takes what is left. The room for outcomes is the journal's already.
    let filler = disk.0.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[b'x'; 4_096]).is_ok() {}
    let mut outcomes = 0;
    let full = loop {
        match journal.append_blocking(vec![step(Kind::StepFinished)]) {
            Ok(_) => outcomes += 1,
            Err(why) => break why,
        }
    };
    assert_eq!(full, JournalError::DiskFull { dir: dir.clone() });
    assert!(intents > 10 && outcomes >= 16, "{intents} intents, {outcomes} outcomes");
    assert_eq!(journal.status().broken, None);
    assert_verified(&dir, journal.verifier());
    // With room again it goes on, and a full disk at opening is said before anything is attempted.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    journal.append_blocking(vec![step(Kind::StepVerified)]).unwrap();
    let key = journal.verifier().clone();
    drop(journal);
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[b'x'; 4_096]).is_ok() {}
    let (before, why) = (records(&dir), self::refused(&dir));
    assert!(matches!(why, JournalError::DiskFull { .. }), "{why}");
    assert_eq!(records(&dir), before);
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    drop(open(&dir));
    assert_verified(&dir, &key);
    println!("{intents} intents, then {outcomes} outcomes on the full disk");
}

#[test]
fn a_directory_that_can_not_be_written_is_said_before_anything_is_attempted() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can start a process as somebody else");
        return;
    }
    let nobody = 65_534;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let log = dir.path().join("log");
    write_log(&log, &[1], 1 << 20);
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o755)).unwrap();
    let as_nobody = || {
        // The test binary itself has to be where everybody may run it.
        let binary = dir.path().join("binary");
        if !binary.exists() {
            std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
            std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(binary);
        command.args(["--exact", "child", "--ignored", "--nocapture"]).env(ROLE, "refuse").env(DIR, &log);
        let output = command.uid(nobody).gid(nobody).current_dir("/").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let refused = as_nobody();
    assert!(refused.contains("the journal can not be written: ") && refused.contains("/log/lock does"), "{refused}");

    // Somebody else's key, in a directory that may be written.
    for path in [log.clone(), log.join("records")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    for path in [log.join("lock"), segments(&log)[0].clone()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let before = std::fs::read(&segments(&log)[0]).unwrap();
    let refused = as_nobody();
    assert!(refused.contains("log.key"), "{refused}");
    assert_eq!(std::fs::read(&segments(&log)[0]).unwrap(), before);

    // Mounted read-only.
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let mounted = disk.0.path().join("log");
    write_log(&mounted, &[1], 1 << 20);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()).status().unwrap();
    assert!(remounted.success());
    let why = self::refused(&mounted);
    assert!(matches!(why, JournalError::ReadOnly { .. }), "{why}");
    assert_eq!(records(&mounted).len(), 2, "reading needs no writing");
    assert_verified(&mounted, &quarterdeck::journal::verify::own_key(&mounted).unwrap());
}

/// Opens the log, appends, lets a segment be followed, opens it again and closes it; tells what was acknowledged. The
/// calls of each thread are the same in every run.
fn one_life(dir: &Path) {
    for life in 0..2 {
        let opened = Journal::open(OpenOptions { segment_bytes: 6_000, ..options(dir) });
        let Ok((journal, _)) = opened.map_err(|why| println!("opening: {why}")) else { return };
        for n in 0..8_usize {
            let kind = [Kind::NoteAdded, Kind::StepIntended, Kind::StepFinished][n % 3];
            let name = format!("{life}/{n}");
            let body = json!({"append": name, "text": "x".repeat(400 * n)});
            match journal.append_blocking(vec![draft(kind, body); 1 + n % 3]) {
                Ok(committed) => {
                    for c in committed {
                        let digest = Sha256::digest(c.record.to_bytes().unwrap());
                        println!("ack {} {}", c.seq, Digest::from_bytes(&digest.into()));
                    }
                }
                Err(why) => println!("append: {why}"),
            }
        }
        if let Err(why) = journal.close_blocking(options(dir).time) {
            println!("closing: {why}");
        }
    }
}

/// The system calls that the journal makes on its files.
const CALLS: [&str; 19] = [
    "openat",
    "pwrite64",
    "write",
    "fdatasync",
    "fsync",
    "syncfs",
    "ftruncate",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "mkdir",
    "flock",
    "fstatfs",
    "statfs",
    "statx",
    "lseek",
    "read",
    "getdents64",
];

/// Runs [`one_life`] under strace, with a fault at the `n`th call of a kind in each thread.
fn traced(dir: &Path, trace: &Path, inject: Option<&str>) -> Vec<String> {
    let binary = child_process("life", dir);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-s", "0", "-e", &format!("trace={}", CALLS.join(","))]).arg("-o").arg(trace);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(binary.get_program()).args(binary.get_args());
    command.env(ROLE, "life").env(DIR, dir).env("RUST_TEST_THREADS", "1");
    let output = command.stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn an_error_or_a_kill_at_any_system_call_loses_nothing_that_was_acknowledged() {
    let has_strace = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !has_strace.is_ok_and(|status| status.success()) {
        let why = "there is no strace on this machine, or it may not trace";
        assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "{why}");
        println!("SKIP: {why}");
        return;
    }
    let full = std::env::var("QUARTERDECK_CAMPAIGN").is_ok_and(|v| v == "full");
    let scratch = fast_dir();
    let (first, trace) = (scratch.path().join("first"), scratch.path().join("trace"));
    let clean = traced(&first, &trace, None);
    let acknowledged = clean.iter().filter(|l| l.contains("ack ")).count();
    assert_eq!(acknowledged, 30, "{clean:?}");
    // How often each thread makes each call on the log's files, first and last.
    let text = std::fs::read_to_string(&trace).unwrap();
    let mut made = BTreeMap::<(String, String), usize>::new();
    let mut places = BTreeMap::<String, std::collections::BTreeSet<usize>>::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        let count = made.entry((thread.to_owned(), call.to_owned())).or_default();
        *count += 1;
        if line.contains(&*first.to_string_lossy()) {
            places.entry(call.to_owned()).or_default().insert(*count);
        }
    }
    let mut cases = BTreeMap::<&str, usize>::new();
    let (mut kept, mut refused) = (0, 0);
    let mut turn = 0;
    for (call, places) in &places {
        for n in places {
            for fault in ["EIO", "ENOSPC", "SIGKILL"] {
                let fits = fault != "ENOSPC"
                    || ["pwrite64", "write", "openat", "mkdir", "fsync", "fdatasync"].contains(&&**call);
                turn += 1;
                if !fits || (!full && turn % 41 != 0) {
                    continue;
                }
                let case = format!("{call} {n} {fault}");
                let dir = scratch.path().join("log");
                let inject = match fault {
                    "SIGKILL" => format!("{call}:signal=SIGKILL:when={n}"),
                    error => format!("{call}:error={error}:when={n}"),
                };
                let said = traced(&dir, &trace, Some(&inject));
                let mut told = BTreeMap::new();
                for line in said.iter().filter_map(|l| l.split_once("ack ").map(|(_, rest)| rest)) {
                    let Some((seq, digest)) = line.split_once(' ').filter(|(_, d)| d.len() == 64) else { continue };
                    told.insert(seq.parse::<usize>().unwrap(), digest.to_owned());
                }
                refused += usize::from(told.len() < acknowledged && fault != "SIGKILL");
                // Where the fault came before there was a log, there is nothing to lose.
                let (journal, _) = Journal::open(options(&dir)).unwrap_or_else(|why| panic!("{case}: {why}\n{said:?}"));
                assert_verified(&dir, journal.verifier());
                drop(journal);
                let found = records(&dir);
                for (seq, digest) in &told {
                    let stored = found.get(*seq).unwrap_or_else(|| panic!("{case}: record {seq} is gone\n{said:?}"));
                    assert_eq!(Digest::from_bytes(&Sha256::digest(&stored.bytes).into()).as_str(), digest, "{case}");
                }
                let mut appends = BTreeMap::<&str, usize>::new();
                for stored in &found {
                    if let Some(name) = stored.record.body["append"].as_str() {
                        *appends.entry(name).or_default() += 1;
                    }
                }
                for (name, count) in appends {
                    let n: usize = name[2..].parse().unwrap();
                    assert_eq!(count, 1 + n % 3, "{case}: the append {name} is there in part or twice");
                }
                kept += told.len();
                *cases.entry(fault).or_default() += 1;
                std::fs::remove_dir_all(&dir).unwrap();
            }
        }
    }
    let total: usize = cases.values().sum();
    println!(
        "{cases:?}: {total} cases, in {refused} of them something was refused; {kept} acknowledged records, none lost"
    );
    assert!(total > 5, "{total}");
}
