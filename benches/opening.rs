//! How long it takes to open a journal of 1,000,000 records of 512 bytes with the engine's state: from a snapshot,
//! and rebuilt from the first record on. Prints figures; asserts nothing.
//!
//! `cargo bench --bench opening [-- RECORDS]`. The log is written straight into segments, with valid roots and
//! signatures in batches of 16; each opening runs in a process of its own, so that its memory is its own.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers; it fails by panicking"
)]

mod measured;

use jiff::SignedDuration;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::estate::Environment;
use quarterdeck::domain::id::IncidentId;
use quarterdeck::domain::mode::Mode;
use quarterdeck::engine::state::State;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::LogKey;
use quarterdeck::journal::read::{Filter, Reader};
use quarterdeck::journal::tree::Frontier;
use quarterdeck::journal::verify::{self, Options};
use quarterdeck::journal::{Draft, Kind, OpenOptions, Record, fold};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

const ORIGIN: &str = "quarterdeck/bench";
const BATCH: u64 = 16;
const SEGMENT: usize = 8 << 20;
const RECORD: usize = 512;

fn options(dir: &Path) -> OpenOptions {
    let time = "2026-11-21T14:43:07Z".parse().unwrap();
    let actor = Actor { user: "mara".into(), uid: 1001, via: "cli".into(), host: "bastion-1".into(), console: None };
    OpenOptions::new(dir, ORIGIN, actor, Mode::Live, Environment::Production, time)
}

/// A year of incidents: most records are findings and notes, in one incident after another.
fn record(seq: u64) -> Record {
    let OpenOptions { actor, mode, environment, time, .. } = options(Path::new("/"));
    let number = 1 + seq / 2_000;
    let (kind, body) = match seq % 2_000 {
        0 => (Kind::IncidentDeclared, json!({ "title": "orders stand still", "severity": "SEV2" })),
        1_999 => (Kind::IncidentClosed, json!({ "summary": "lock released" })),
        n if n % 4 == 0 => (Kind::FindingRaised, json!({ "finding": format!("f{}", n % 40), "what": "replica lags" })),
        n if n % 4 == 2 => {
            (Kind::FindingCleared, json!({ "finding": format!("f{}", (n - 2) % 40), "what": "replica lags" }))
        }
        n => (Kind::NoteAdded, json!({ "text": format!("looked at plant {n}") })),
    };
    let incident = Some(IncidentId::new(format!("INC-{number}")));
    let time = time + SignedDuration::from_secs(i64::try_from(seq).unwrap());
    let mut record = Record { v: 1, seq, time, kind, incident, actor, mode, environment, body };
    let missing = RECORD.saturating_sub(record.to_bytes().unwrap().len() + ",\"pad\":\"\"".len());
    record.body["pad"] = "x".repeat(missing).into();
    record
}

/// Writes the log; the records are those of one round of incidents over and over, with their own numbers.
fn write(dir: &Path, records: u64) {
    std::fs::create_dir_all(dir.join("records")).unwrap();
    let key = LogKey::generate(ORIGIN).unwrap();
    std::fs::write(dir.join("log.key"), format!("{}\n", key.secret())).unwrap();
    std::fs::set_permissions(dir.join("log.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(dir.join("log.vkey"), format!("{}\n", key.verifier().as_str())).unwrap();
    let mut tree = Frontier::default();
    let mut out: Option<BufWriter<File>> = None;
    let mut written = 0;
    let mut seq = 0;
    while seq < records {
        if out.is_none() || written >= SEGMENT {
            let path = dir.join("records").join(format!("{seq:020}.jsonl"));
            out = Some(BufWriter::new(File::create(path).unwrap()));
            written = 0;
        }
        let out = out.as_mut().unwrap();
        let from = seq;
        while seq < records && seq - from < BATCH {
            let bytes = record(seq).to_bytes().unwrap();
            tree.append(&bytes);
            out.write_all(&bytes).unwrap();
            out.write_all(b"\n").unwrap();
            written += bytes.len() + 1;
            seq += 1;
        }
        let note = Checkpoint { origin: ORIGIN.into(), size: tree.size(), root: tree.root() }.sign(&key).unwrap();
        let line = format!("{{\"checkpoint\":{},\"from\":{from}}}\n", serde_json::to_string(&note).unwrap());
        out.write_all(line.as_bytes()).unwrap();
        written += line.len();
    }
}

/// A line of this process's status, in MiB.
fn memory(line: &str) -> String {
    format!("{:.1} MiB", measured::memory(std::process::id(), line))
}

/// Opens the log, tells how long it took, and leaves a snapshot when asked to.
fn open(dir: &Path, leave: bool) {
    let begun = Instant::now();
    let (journal, recovered, mut state) = fold::open_kept::<State>(options(dir)).unwrap();
    let took = begun.elapsed();
    let from = recovered.from_snapshot;
    let passed = if recovered.passed_over.is_empty() { String::new() } else { format!(" {:?}", recovered.passed_over) };
    println!(
        "opened {} records in {:.0} ms, {from} from a snapshot{passed}; peak {}, now {}",
        recovered.records,
        took.as_secs_f64() * 1e3,
        memory("VmHWM"),
        memory("VmRSS")
    );
    if leave {
        let begun = Instant::now();
        let body = fold::keep(&journal, &journal.status().place, &state).unwrap();
        let (size, took) = (body["bytes"].clone(), begun.elapsed());
        let OpenOptions { actor, mode, environment, time, .. } = options(dir);
        let draft = Draft { kind: Kind::JournalSnapshot, incident: None, body, actor, mode, environment, time };
        for committed in journal.append_blocking(vec![draft]).unwrap() {
            fold::Fold::apply(&mut state, &committed.record);
        }
        println!("wrote a snapshot of {size} bytes in {:.0} ms", took.as_secs_f64() * 1e3);
    }
    if from > 0 {
        let begun = Instant::now();
        let mut status = journal.watch();
        while status.borrow_and_update().scrub.as_ref().is_some_and(|s| s.bad.is_none() && s.done < s.of) {
            futures::executor::block_on(status.changed()).unwrap();
        }
        let scrub = journal.status().scrub.unwrap();
        let took = begun.elapsed().as_secs_f64();
        println!("scrubbed {} of {} in {took:.1} s, {:?}; peak {}", scrub.done, scrub.of, scrub.bad, memory("VmHWM"));
    }
    journal.close_blocking(options(dir).time).unwrap();
}

/// Shows what a position and a time ask for, beside reading the whole log.
fn show(dir: &Path, records: u64) {
    // What the writer's thread publishes is not there for a log that was written so.
    let out = tempfile::tempdir().unwrap();
    quarterdeck::journal::export(dir, out.path(), &verify::own_key(dir).unwrap()).unwrap();
    copy(&out.path().join("tile"), &dir.join("tile")).unwrap();
    std::fs::copy(out.path().join("checkpoint"), dir.join("checkpoint")).unwrap();
    let read = |filter: Filter| {
        let begun = Instant::now();
        let count = Reader::checked(dir, filter).unwrap().map(Result::unwrap).count();
        (count, begun.elapsed().as_secs_f64() * 1e3)
    };
    let (first, last) = (Some(records - 2_000), Some(records - 1_990));
    let time = |seq: u64| Some(record(seq).time);
    let (_, whole) = read(Filter { kinds: vec![Kind::KeyRotated], ..Filter::default() });
    let (by_number, number) = read(Filter { first, last, ..Filter::default() });
    let (by_time, timed) =
        read(Filter { since: time(records / 2), until: time(records / 2 + 10), ..Filter::default() });
    println!(
        "the whole log {whole:.0} ms; {by_number} records by number {number:.0} ms, {:.0} times less",
        whole / number
    );
    println!("{by_time} records by time {timed:.0} ms, {:.0} times less", whole / timed);
    let begun = Instant::now();
    let state: State = fold::replay_kept(dir).unwrap();
    println!(
        "the state of {} incidents without an engine in {:.0} ms",
        state.incidents().len(),
        begun.elapsed().as_secs_f64() * 1e3
    );
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn main() {
    let args: Vec<String> = std::env::args().filter(|a| a != "--bench").skip(1).collect();
    if let [what, dir] = args.as_slice() {
        return open(Path::new(dir), what == "leave");
    }
    let records = args.first().map_or(1_000_000, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    write(dir.path(), records);
    println!("wrote {records} records in {:.1} s", begun.elapsed().as_secs_f64());
    let again = |what: &str| {
        let exe = std::env::current_exe().unwrap();
        assert!(std::process::Command::new(exe).arg(what).arg(dir.path()).status().unwrap().success());
    };
    for what in ["open", "open", "leave", "open", "open", "open"] {
        again(what);
    }
    show(dir.path(), records);
    let report = verify::verify(dir.path(), &Options::default()).unwrap();
    println!("verify: {:?}, {} records, first bad {:?}", report.verdict, report.records, report.first_bad);
}
