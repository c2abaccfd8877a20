//! The writer on a simulated disk with one fault in each case, then the real recovery, reader and verifier on what
//! the fault left. `QUARTERDECK_CAMPAIGN=full` tries every call with several outcomes of chance, otherwise some.

use super::disk::{Choices, Fault, Simulated};
use super::*;
use crate::journal::read::{Filter, Reader};
use crate::journal::record::{Draft, tests::draft};
use crate::journal::store::file::chain::Chain;
use crate::journal::store::file::walk::{Step, Walk};
use crate::journal::verify;
use crate::journal::{Journal, Record};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tokio::sync::oneshot;

const ORIGIN: &str = "test/log";

/// A log of a few records, from which every case goes on.
struct Seed {
    dir: tempfile::TempDir,
    secret: String,
    first: u64,
    frontier: Frontier,
    bytes: Vec<u8>,
}

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn options(dir: &Path) -> OpenOptions {
    let Draft { actor, mode, environment, time, .. } = draft(Kind::NoteAdded, json!({}));
    let mut options = OpenOptions::new(dir, ORIGIN, actor, mode, environment, time);
    (options.segment_bytes, options.low_water) = (24_000, 0);
    options
}

impl Seed {
    fn new() -> Self {
        let dir = scratch();
        let (journal, _) = Journal::open(options(dir.path())).unwrap();
        for n in 0..3 {
            journal.append_blocking(vec![draft(Kind::NoteAdded, json!({"text": n})); 4]).unwrap();
        }
        drop(journal);
        let (mut walk, mut chain) = (Walk::open(dir.path(), 0).unwrap().exclusive(), Chain::default());
        while let Step::Batch(batch) = walk.next().unwrap() {
            chain.take(&batch, "seed").unwrap();
        }
        let (segment, len, _) = walk.place();
        let mut bytes = std::fs::read(&segment.path).unwrap();
        bytes.truncate(usize::try_from(len).unwrap());
        let (first, frontier) = (segment.first, chain.frontier().clone());
        let secret = std::fs::read_to_string(dir.path().join("log.key")).unwrap();
        Self { dir, secret, first, frontier, bytes }
    }

    /// Lays files down beside the log's key.
    fn lay(&self, dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
        std::fs::create_dir_all(dir.join("records")).unwrap();
        for name in ["log.key", "log.vkey"] {
            std::fs::copy(self.dir.path().join(name), dir.join(name)).unwrap();
        }
        for (name, bytes) in files {
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

/// What was asked of the writer, and what it said.
#[derive(Default)]
struct Told {
    /// Number of records of each append that was asked for, by its name.
    asked: BTreeMap<String, usize>,
    /// Bytes of each acknowledged record.
    acknowledged: BTreeMap<u64, Vec<u8>>,
    /// How often the clock went back.
    steps_back: usize,
}

impl Told {
    /// Adds what a writer acknowledged.
    fn acknowledge(&mut self, committed: Vec<Committed>) {
        for Committed { seq, record } in committed {
            assert!(self.acknowledged.insert(seq, record.to_bytes().unwrap()).is_none(), "record {seq} twice");
        }
    }
}

/// Goes on from the seed with groups of appends, on a clock that steps back now and then.
fn write(seed: &Seed, disk: &Simulated, script: u64) -> Told {
    let mut choices = Choices(script);
    let key = LogKey::parse(&seed.secret).unwrap();
    let (tree, offset) = (seed.frontier.clone(), seed.bytes.len() as u64);
    let place = Place { tree, segment: seed.first, offset, ..Place::default() };
    let mut writer = Writer::new(disk.clone(), options(Path::new("/journal")), key, place);
    let mut told = Told::default();
    let mut time = draft(Kind::NoteAdded, json!({})).time;
    for group in 0..12 {
        let (mut batch, mut answers) = (vec![], vec![]);
        for n in 0..=choices.below(3) {
            let name = format!("{group}/{n}");
            let hours = i64::try_from(choices.below(5)).unwrap() - 1;
            told.steps_back += usize::from(hours < 0);
            time += jiff::SignedDuration::from_hours(hours);
            let records: Vec<Ready> = (0..=choices.below(4))
                .map(|_| {
                    let kind = [Kind::NoteAdded, Kind::StepFinished, Kind::StepIntended][choices.below(3)];
                    let body = json!({"append": name, "text": "x".repeat(choices.below(2_500))});
                    Ready::new(Draft { time, ..draft(kind, body) }).unwrap()
                })
                .collect();
            told.asked.insert(name, records.len());
            let (reply, answer) = oneshot::channel();
            batch.push(Append { records, reply });
            answers.push(answer);
        }
        for (reply, result) in writer.group(batch) {
            reply.send(result).unwrap();
        }
        for mut answer in answers {
            if let Ok(committed) = answer.try_recv().unwrap() {
                told.acknowledge(committed);
            }
        }
    }
    told
}

/// Opens what is left. A child that another test has just forked holds the descriptor of the lock until it becomes its
/// program: that is waited for.
fn opened(dir: &Path, case: &str) -> Journal {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match Journal::open(options(dir)) {
            Ok((journal, _)) => return journal,
            Err(JournalError::Locked { .. }) if std::time::Instant::now() < deadline => std::thread::yield_now(),
            Err(why) => panic!("{case}: {why}"),
        }
    }
}

/// Opens what is left and checks it: every acknowledged record, no append in part or twice, all of it verified.
fn check(dir: &Path, told: &mut Told, case: &str) {
    let journal = opened(dir, case);
    told.acknowledge(journal.append_blocking(vec![draft(Kind::StepFinished, json!({"append": "after"}))]).unwrap());
    let key = journal.verifier().clone();
    drop(journal);
    let found: Vec<_> = Reader::open(dir, Filter::default()).unwrap().map(Result::unwrap).collect();
    for (seq, bytes) in &told.acknowledged {
        let stored = found.get(usize::try_from(*seq).unwrap()).unwrap_or_else(|| panic!("{case}: {seq} is gone"));
        assert!(stored.bytes == *bytes, "{case}: record {seq} is another");
    }
    let mut appends = BTreeMap::<&str, usize>::new();
    for Record { body, .. } in found.iter().map(|s| &s.record) {
        if let Some(name) = body["append"].as_str() {
            *appends.entry(name).or_default() += 1;
        }
    }
    for (name, count) in appends.into_iter().filter(|(name, _)| *name != "after") {
        assert_eq!(count, told.asked[name], "{case}: the append {name} is there in part or twice");
    }
    let report = verify::verify(dir, &verify::Options::against(&key)).unwrap();
    assert!(report.ok, "{case}: {:?}", report.first_bad);
}

/// Restarts on the machine that goes on, which may see what its disk does not hold, and takes the power away after
/// that: files that the recovery did not write anew are then as the disk held them before.
fn restart_and_lose_power(seed: &Seed, disk: &Simulated, told: &mut Told, case: &str) {
    let dir = scratch();
    let cached = disk.seen();
    seed.lay(dir.path(), &cached);
    let inode = |name: &str| std::fs::metadata(dir.path().join(name)).map(|m| m.ino()).ok();
    let before: BTreeMap<_, _> = cached.keys().map(|name| (name, inode(name))).collect();
    let journal = opened(dir.path(), case);
    told.acknowledge(journal.append_blocking(vec![draft(Kind::StepFinished, json!({"append": "between"}))]).unwrap());
    told.asked.insert("between".to_owned(), 1);
    drop(journal);
    let left = disk.after_power_loss();
    for (name, was) in before.into_iter().filter(|(name, _)| name.starts_with("records/")) {
        if was.is_some() && inode(name) == was {
            std::fs::write(dir.path().join(name), left.get(name).map_or(&[][..], Vec::as_slice)).unwrap();
        }
    }
    check(dir.path(), told, case);
}

/// How a case ends.
#[derive(Clone, Copy)]
enum Then {
    PowerLoss,
    Restart,
    RestartThenPowerLoss,
}

fn run(seed: &Seed, plan: Option<(usize, Fault)>, then: Then, script: u64, chance: u64, case: &str) -> (usize, Told) {
    let disk = Simulated::new(seed.first, &seed.bytes, plan, chance);
    let mut told = write(seed, &disk, script);
    let calls = disk.calls();
    let dir = scratch();
    match then {
        Then::PowerLoss => {
            seed.lay(dir.path(), &disk.after_power_loss());
            check(dir.path(), &mut told, case);
        }
        Then::Restart => {
            seed.lay(dir.path(), &disk.seen());
            check(dir.path(), &mut told, case);
        }
        Then::RestartThenPowerLoss => restart_and_lose_power(seed, &disk, &mut told, case),
    }
    (calls, told)
}

#[test]
fn whatever_a_disk_loses_no_acknowledged_record_is_lost() {
    use io::ErrorKind::{Other, StorageFull};
    let full = std::env::var("QUARTERDECK_CAMPAIGN").is_ok_and(|v| v == "full");
    let seed = Seed::new();
    let (scripts, chances) = if full { (3, 2) } else { (1, 1) };
    let classes = [
        (
            "power lost before a call: pages that were not synced are gone, there or torn",
            Fault::GoneBefore,
            Then::PowerLoss,
        ),
        ("power lost after a call", Fault::GoneAfter, Then::PowerLoss),
        ("process killed at a call", Fault::GoneBefore, Then::Restart),
        ("EIO at one call, the writer goes on, power lost later", Fault::Fails(Other), Then::PowerLoss),
        ("ENOSPC at one call, the writer goes on, power lost later", Fault::Fails(StorageFull), Then::PowerLoss),
        ("EIO at one call, restart without a reboot, power lost", Fault::Fails(Other), Then::RestartThenPowerLoss),
        (
            "EIO from a call on, restart without a reboot, power lost",
            Fault::FailsForEver(Other),
            Then::RestartThenPowerLoss,
        ),
        ("ENOSPC from a call on, restart", Fault::FailsForEver(StorageFull), Then::Restart),
    ];
    let (mut total, mut acknowledged, mut steps_back) = (0, 0, 0);
    for (name, fault, then) in classes {
        let mut cases = 0;
        for script in 0..scripts {
            let (calls, told) = run(&seed, None, Then::PowerLoss, script, 0, "no fault");
            assert_eq!(told.acknowledged.len(), told.asked.values().sum::<usize>() + 1);
            for call in (0..calls).step_by(if full { 1 } else { 5 }) {
                for chance in 0..chances {
                    let case = format!("{name}: script {script}, call {call}, chance {chance}");
                    let chance = script * 1_000_003 + u64::try_from(call).unwrap() * 17 + chance;
                    let (_, told) = run(&seed, Some((call, fault)), then, script, chance, &case);
                    cases += 1;
                    acknowledged += told.acknowledged.len();
                    steps_back += told.steps_back;
                }
            }
        }
        println!("{cases:6} cases: {name}");
        total += cases;
    }
    println!(
        "{total:6} cases on a simulated disk; {acknowledged} acknowledged records, none lost; the clock went back {steps_back} times"
    );
    assert!(total > 200);
}

#[test]
fn a_reader_at_the_end_of_a_segment_that_fails_goes_on_in_the_next() {
    let seed = Seed::new();
    let mut left = 0;
    for call in 0..60 {
        let dir = scratch();
        let first = BTreeMap::from([(format!("records/{:020}.jsonl", seed.first), seed.bytes.clone())]);
        seed.lay(dir.path(), &first);
        let mut live = Reader::open(dir.path(), Filter::default()).unwrap();
        let mut read: Vec<_> = live.by_ref().map(|s| s.unwrap().bytes).collect();
        let disk = Simulated::new(seed.first, &seed.bytes, Some((call, Fault::Fails(io::ErrorKind::Other))), 5);
        let told = write(&seed, &disk, 3);
        let files = disk.seen();
        left += usize::from(files.values().any(|f| f.windows(14).any(|w| w == b"\"superseded\":\"")));
        // The file that it reads is written on in place.
        seed.lay(dir.path(), &files);
        read.extend(live.by_ref().map(|s| s.unwrap().bytes));
        let found: Vec<_> = Reader::open(dir.path(), Filter::default()).unwrap().map(|s| s.unwrap().bytes).collect();
        assert!(read == found, "call {call}: {} records read, {} there", read.len(), found.len());
        assert!(told.acknowledged.iter().all(|(seq, bytes)| found[usize::try_from(*seq).unwrap()] == *bytes));
    }
    assert!(left > 20, "{left}");
}
