//! How fast a log is verified. Prints figures and ratios within one run; asserts nothing but that the log holds.
//!
//! `cargo bench --bench verify` writes a log of 1,000,000 records of 512 bytes in batches of 16 into memory (another
//! number with `QUARTERDECK_RECORDS`), runs `quarterdeck audit verify` on it as a process of its own for its time and
//! its memory, and times the hashing part beside Go's sumdb.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a tool for developers; it fails by panicking"
)]

#[path = "../tests/journal_support/mod.rs"]
mod journal_support;

use journal_support::{fast_dir, note, options, segments};
use quarterdeck::journal::tree::{Frontier, record_hash};
use quarterdeck::journal::{Journal, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Writes a log and returns its verifier key.
fn write(dir: &Path, records: usize, batch: usize, bytes: usize) -> String {
    let (journal, _) = Journal::open(OpenOptions { low_water: 0, ..options(dir) }).unwrap();
    journal.append_blocking(vec![note("")]).unwrap();
    let text = std::fs::read_to_string(&segments(dir)[0]).unwrap();
    let bare = text.lines().nth(2).unwrap().len();
    // Numbers of seven digits: the text before the number is what makes a record this long.
    let filler = "the queue of tenant 0817 is not drained; ".repeat(bytes / 40 + 1);
    let text = &filler[..bytes - bare - 6];
    let mut left = records - 2;
    while left > 0 {
        let count = left.min(batch);
        journal.append_blocking((0..count).map(|_| note(text)).collect()).unwrap();
        left -= count;
    }
    journal.verifier().as_str().to_owned()
}

/// Time and greatest resident memory of `audit verify`, and what it said.
fn verify(dir: &Path, vkey: &Path, more: &[&str]) -> (Duration, u64, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command.args(["audit", "verify", "--format", "json", "--journal"]).arg(dir).arg("--vkey").arg(vkey).args(more);
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = begun.elapsed();
    let output = child.wait_with_output().unwrap();
    (took, peak, serde_json::from_slice(&output.stdout).unwrap())
}

/// The hashing part by itself, in one thread: leaves, tree and the root at every commit.
fn hashing(dir: &Path) -> (u64, String, Duration) {
    let (mut tree, mut root, mut took) = (Frontier::default(), String::new(), Duration::ZERO);
    for path in segments(dir) {
        let bytes = std::fs::read(path).unwrap();
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        let begun = Instant::now();
        for line in lines.into_iter().filter(|l| !l.is_empty()) {
            if line.starts_with(b"{\"checkpoint\":") {
                root = tree.root().to_string();
            } else {
                tree.append_hash(record_hash(line));
            }
        }
        took += begun.elapsed();
    }
    (tree.size(), root, took)
}

fn go(dir: &Path) -> Option<(u64, String, Duration)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/verify_go");
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("verify");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).status();
    if !built.is_ok_and(|s| s.success()) {
        println!("Go's sumdb: skipped, the program could not be built");
        return None;
    }
    let output = Command::new(&program).arg(dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words = text.split_whitespace();
    let size = words.next().unwrap().parse().unwrap();
    let root = words.next().unwrap().to_owned();
    Some((size, root, Duration::from_micros(words.next().unwrap().parse().unwrap())))
}

fn rate(records: u64, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64()
}

fn main() {
    let records = std::env::var("QUARTERDECK_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000_usize);
    let dir = fast_dir();
    let vkey = dir.path().join("outside.vkey");
    let log = dir.path().join("log");
    let begun = Instant::now();
    std::fs::write(&vkey, write(&log, records, 16, 512)).unwrap();
    println!("{records} records of 512 bytes in batches of 16, written in {:.1} s", begun.elapsed().as_secs_f64());
    for (what, more, bar) in [("default", &[][..], Some(2.0)), ("--every-signature", &["--every-signature"][..], None)]
    {
        let mut all: Vec<_> = (0..if bar.is_some() { 5 } else { 1 }).map(|_| verify(&log, &vkey, more)).collect();
        all.sort_by_key(|(took, ..)| *took);
        let (took, memory, report) = &all[0];
        assert!(report["ok"] == true, "{report}");
        let ratio = bar.map_or(String::new(), |bar| format!(", {:.2} of the bar of {bar} s", took.as_secs_f64() / bar));
        println!(
            "audit verify, {what}: best of {} {:.2} s{ratio}, {:.2}M records/s, {} signatures, {:.1} MiB ({:.2} of 64)",
            all.len(),
            took.as_secs_f64(),
            rate(records as u64, *took) / 1e6,
            report["signatures"],
            *memory as f64 / 1024.0,
            *memory as f64 / 1024.0 / 64.0,
        );
    }
    let ours = (0..3).map(|_| hashing(&log)).min_by_key(|(.., took)| *took).unwrap();
    println!("hashing part, one thread: {:.2}M records/s", rate(ours.0, ours.2) / 1e6);
    let theirs = (0..3).map(|_| go(&log)).min_by_key(|g| g.as_ref().map(|(.., took)| *took)).unwrap();
    if let Some(theirs) = theirs {
        assert_eq!((ours.0, &ours.1), (theirs.0, &theirs.1), "the two agree on the root");
        let ratio = rate(ours.0, ours.2) / rate(theirs.0, theirs.2);
        println!("Go's sumdb, the same: {:.2}M records/s; ours is {ratio:.2} of it", rate(theirs.0, theirs.2) / 1e6);
    }
    // What takes most memory: batches of the greatest length, of records as short as they get and as long.
    for bytes in [300, 65_000] {
        let log = dir.path().join(format!("wide-{bytes}"));
        std::fs::write(&vkey, write(&log, (64 << 20) / bytes, (4 << 20) / (bytes + 40), bytes)).unwrap();
        let (_, memory, report) = verify(&log, &vkey, &[]);
        assert!(report["ok"] == true, "{report}");
        println!("batches of 4 MiB, records of {bytes} bytes: {:.1} MiB", memory as f64 / 1024.0);
    }
}
