//! Real faults while segments are moved: an error or a kill at any system call, and a disk without room.

use crate::house::*;
use crate::journal_support::*;
use quarterdeck::journal::read::{Filter, Reader, Whole};
use quarterdeck::journal::verify::{self, Options};
use quarterdeck::journal::{JournalError, archive};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tells a copy of this test binary which log and archive it is about.
const HOME: &str = "QUARTERDECK_TEST_ARCHIVE_HOME";

/// Not a test: what the others start.
#[test]
#[ignore = "it is a process that another test starts and kills"]
fn child() {
    let Ok(home) = std::env::var(HOME) else { return };
    let home = Path::new(&home);
    let moved = move_away(&home.join("log"), &home.join("archive"), 40, Stop::Never);
    println!("moved {moved}");
}

/// The system calls that are made on the files.
const CALLS: [&str; 20] = [
    "openat",
    "write",
    "pwrite64",
    "fdatasync",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "copy_file_range",
    "sendfile",
    "statx",
    "lseek",
    "read",
    "getdents64",
    "flock",
    "ftruncate",
    "fadvise64",
];

fn traced(home: &Path, trace: &Path, inject: Option<&str>) -> String {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-s", "0", "-e", &format!("trace={}", CALLS.join(","))]).arg("-o").arg(trace);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "faults::child", "--ignored", "--nocapture"]);
    command.env(HOME, home).env("RUST_TEST_THREADS", "1").env("RUST_BACKTRACE", "0");
    let output = command.stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn union(home: &Path) -> Vec<Vec<u8>> {
    let (dir, archive) = (home.join("log"), home.join("archive"));
    let at = Whole { dir: &dir, archive: Some(&*archive).filter(|a| a.exists()) };
    Reader::checked(at, Filter::default()).unwrap().map(|s| s.unwrap().bytes).collect()
}

#[test]
fn an_error_or_a_kill_at_any_system_call_loses_no_record() {
    let has_strace = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !has_strace.is_ok_and(|status| status.success()) {
        let why = "there is no strace on this machine, or it may not trace";
        assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "{why}");
        println!("SKIP: {why}");
        return;
    }
    let full = std::env::var("QUARTERDECK_CAMPAIGN").is_ok_and(|v| v == "full");
    let house = House::new();
    let (scratch, trace) = (fast_dir(), PathBuf::from(house.archive()).with_file_name("trace"));
    let home = scratch.path().join("home");
    let begin = || {
        let _ = std::fs::remove_dir_all(&home);
        copy_all(house.dir(), &home.join("log"));
    };
    begin();
    let before = union(&home);
    assert!(traced(&home, &trace, None).contains("moved "), "a clean run moves");
    let text = std::fs::read_to_string(&trace).unwrap();
    let mut made = BTreeMap::<(String, String), usize>::new();
    let mut places = BTreeMap::<String, BTreeSet<usize>>::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        let count = made.entry((thread.to_owned(), call.to_owned())).or_default();
        *count += 1;
        if line.contains(&*home.to_string_lossy()) {
            places.entry(call.to_owned()).or_default().insert(*count);
        }
    }
    let (mut cases, mut completed, mut turn) = (BTreeMap::<&str, usize>::new(), 0, 0);
    for (call, places) in &places {
        for n in places {
            for fault in ["EIO", "ENOSPC", "SIGKILL"] {
                let fits = fault != "ENOSPC"
                    || ["pwrite64", "write", "openat", "mkdir", "fsync", "renameat2", "copy_file_range"]
                        .contains(&&**call);
                turn += 1;
                // The reads of what is only looked at are many and alike.
                let sparse = if ["read", "statx", "lseek", "openat"].contains(&&**call) { 31 } else { 1 };
                if !fits || turn % (sparse * if full { 1 } else { 23 }) != 0 {
                    continue;
                }
                let case = format!("{call} {n} {fault}");
                begin();
                let inject = match fault {
                    "SIGKILL" => format!("{call}:signal=SIGKILL:when={n}"),
                    error => format!("{call}:error={error}:when={n}"),
                };
                completed += usize::from(traced(&home, &trace, Some(&inject)).contains("moved "));
                let (dir, archive) = (home.join("log"), home.join("archive"));
                for _ in 0..2 {
                    let after = union(&home);
                    assert!(after.starts_with(&before), "{case}: records are gone");
                    // What the child was killed over may be torn; it was acknowledged by nobody.
                    let opened = open_seen(&dir);
                    assert_eq!(opened.journal.status().size, opened.seen(), "{case}");
                    drop(opened);
                    assert_verified(&dir, &house.key);
                    let options = Options { archive: Some(archive.clone()), ..Options::against(&house.key) };
                    assert!(!archive.exists() || verify::verify(&dir, &options).unwrap().ok, "{case}");
                    // The next run completes it.
                    move_away(&dir, &archive, 40, Stop::Never);
                }
                *cases.entry(fault).or_default() += 1;
            }
        }
    }
    let total: usize = cases.values().sum();
    println!("{cases:?}: {total} cases while segments were moved, {completed} came to their end; no record lost");
    assert!(total > 5, "{total}");
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

    /// Takes all that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.path().join("filler")).unwrap();
        while file.write_all(&[b'x'; 4_096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_without_room_for_pruned_json_or_for_the_copies_keeps_everything_where_it_is() {
    let (Some(disk), Some(other)) = (SmallDisk::mount("8m"), SmallDisk::mount("64k")) else {
        println!("SKIP: this process may not mount a small file system");
        return;
    };
    let house = House::new();
    let dir = disk.0.path().join("log");
    copy_all(house.dir(), &dir);
    let before = records(&dir);
    let plan = plan(&dir, Some((0, 40)));
    assert!(plan.due > 0);
    let bytes = archive::describe(&dir, &house.copied(&plan.sealed[..plan.due])).unwrap();
    disk.fill();
    let why = archive::prepare(&dir, &bytes).unwrap_err();
    assert!(matches!(why, JournalError::DiskFull { .. }), "{why}");
    assert!(!dir.join("pruned.json.next").exists(), "half a file does not stay");
    assert_eq!(records(&dir), before);
    assert_verified(&dir, &house.key);
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();

    // An archive that is full when some of the copies are there.
    let to = other.0.path().join("archive");
    let refused = std::panic::catch_unwind(|| move_away(&dir, &to, 40, Stop::Never)).unwrap_err();
    let said = refused.downcast_ref::<String>().unwrap();
    assert!(said.contains("/records/") && said.contains("No space left on device"), "{said}");
    assert_eq!(records(&dir)[..before.len()], before);
    assert!(segments(&to).iter().all(|path| path.extension().is_some_and(|e| e == "jsonl")), "no half copy stays");
    assert!(!segments(&to).is_empty());
    assert_verified(&dir, &house.key);
    let to = disk.0.path().join("archive");
    assert!(move_away(&dir, &to, 40, Stop::Never) > 0);
    assert_verified(&dir, &house.key);
}
