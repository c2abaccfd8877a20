//! The writer on a disk whose faults are switched on one by one.

use super::*;
use crate::journal::record::Draft;
use crate::journal::record::tests::draft;
use crate::journal::store::file::batch::{self, Found};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// A disk in memory: `synced` is what a power loss would leave.
#[derive(Default)]
struct Sim {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    sealed: Vec<Vec<u8>>,
    /// What a power loss would leave of segments that failed.
    left: Vec<Vec<u8>>,
    /// How many of the next syncs fail.
    failing_syncs: usize,
    published: Vec<u64>,
    elsewhere: bool,
    capacity: usize,
    free: u64,
    fail_write: Option<io::ErrorKind>,
    fail_sync: Option<io::ErrorKind>,
    fail_begin: Option<io::ErrorKind>,
    syncs: usize,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Sim>>);

impl Shared {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Sim { capacity: 1 << 30, free: 1 << 30, ..Sim::default() })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Sim) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    /// Records that a reader of the synced bytes finds.
    fn durable(&self) -> usize {
        let left = self.with(|sim| [&sim.sealed[..], &sim.left, std::slice::from_ref(&sim.synced)].concat());
        left.iter().map(|file| Self::read(file).len()).sum()
    }

    fn read(mut file: &[u8]) -> Vec<Vec<u8>> {
        let mut records = vec![];
        while let Found::Batch(found) = batch::read(&mut file, 0, 1).unwrap() {
            records.extend(found.records().map(<[u8]>::to_vec));
        }
        records
    }
}

impl Medium for Shared {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|sim| {
            if let Some(kind) = sim.fail_write {
                return Err(kind.into());
            }
            let offset = usize::try_from(offset).unwrap();
            let end = offset + bytes.len();
            let fits = end.min(sim.capacity.max(sim.bytes.len()));
            if sim.bytes.len() < fits {
                sim.bytes.resize(fits, 0);
            }
            sim.bytes[offset.min(fits)..fits].copy_from_slice(&bytes[..fits.saturating_sub(offset)]);
            if fits < end { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|sim| {
            sim.syncs += 1;
            if sim.failing_syncs > 0 {
                sim.failing_syncs -= 1;
                return Err(io::ErrorKind::Other.into());
            }
            if let Some(kind) = sim.fail_sync {
                return Err(kind.into());
            }
            sim.synced.clone_from(&sim.bytes);
            Ok(())
        })
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.with(|sim| sim.free))
    }

    fn seal(&mut self, len: u64) -> io::Result<()> {
        self.with(|sim| sim.bytes.truncate(usize::try_from(len).unwrap()));
        self.sync()
    }

    fn begin(&mut self, _first: u64) -> io::Result<()> {
        self.with(|sim| {
            if let Some(kind) = sim.fail_begin {
                return Err(kind.into());
            }
            let sealed = std::mem::take(&mut sim.bytes);
            sim.sealed.push(sealed);
            sim.synced.clear();
            Ok(())
        })
    }

    fn set_apart(&mut self) -> io::Result<()> {
        self.with(|sim| {
            let left = std::mem::take(&mut sim.synced);
            sim.left.push(left);
            sim.bytes.clear();
            Ok(())
        })
    }

    fn publish(&mut self, first: u64) -> io::Result<()> {
        self.with(|sim| sim.published.push(first));
        Ok(())
    }

    fn in_place(&self) -> io::Result<bool> {
        Ok(!self.with(|sim| sim.elsewhere))
    }
}

fn writer(disk: &Shared, segment_bytes: u64, low_water: u64) -> Writer<Shared> {
    let key = LogKey::generate("test/log").unwrap();
    let Draft { actor, mode, environment, time, .. } = draft(Kind::NoteAdded, json!({}));
    let mut options = OpenOptions::new("/journal", "test/log", actor, mode, environment, time);
    (options.segment_bytes, options.low_water) = (segment_bytes, low_water);
    Writer::new(disk.clone(), options, key, Place { line: 1, ..Place::default() })
}

fn ready(kind: Kind) -> Ready {
    Ready::new(draft(kind, json!({"text": "x".repeat(400)}))).unwrap()
}

type Answer = oneshot::Receiver<Result<Vec<Committed>, JournalError>>;

fn append(kinds: &[Kind]) -> (Append, Answer) {
    let (reply, answer) = oneshot::channel();
    (Append { records: kinds.iter().map(|k| ready(*k)).collect(), reply }, answer)
}

/// Sends one group and gives the results in the order in which they were asked for.
fn group(writer: &mut Writer<Shared>, asked: &[&[Kind]]) -> Vec<Result<Vec<u64>, JournalError>> {
    let (batch, answers): (Vec<_>, Vec<_>) = asked.iter().map(|kinds| append(kinds)).unzip();
    for (reply, result) in writer.group(batch) {
        reply.send(result).unwrap();
    }
    let seqs = |committed: Vec<Committed>| committed.iter().map(|c| c.seq).collect();
    answers.into_iter().map(|mut a| a.try_recv().unwrap().map(seqs)).collect()
}

#[test]
fn what_waits_together_is_one_batch_and_one_sync() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    group(&mut writer, &[&[Kind::NoteAdded]]);
    let before = disk.with(|sim| sim.syncs);
    let results = group(&mut writer, &[&[Kind::StepIntended], &[Kind::NoteAdded; 3], &[Kind::StepStarted]]);
    assert_eq!(results, [Ok(vec![1]), Ok(vec![2, 3, 4]), Ok(vec![5])]);
    assert_eq!(disk.with(|sim| sim.syncs), before + 1);
    assert_eq!(disk.durable(), 6);
    assert_eq!(writer.status().size, 6);
}

#[test]
fn when_every_sync_fails_nothing_is_acknowledged_and_nothing_more_is_taken() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    group(&mut writer, &[&[Kind::NoteAdded]]);
    disk.with(|sim| sim.fail_sync = Some(io::ErrorKind::Other));
    let results = group(&mut writer, &[&[Kind::NoteAdded], &[Kind::StepStarted]]);
    assert!(results.iter().all(|r| matches!(r, Err(JournalError::Broken { .. }))), "{results:?}");
    assert_eq!(disk.with(|sim| (sim.left.len(), sim.published.len())), (1, 0), "one new segment was tried");
    disk.with(|sim| sim.fail_sync = None);
    let syncs = disk.with(|sim| sim.syncs);
    for kind in [Kind::StepFinished, Kind::StepIntended] {
        let [Err(JournalError::Broken { why })] = &group(&mut writer, &[&[kind]])[..] else { panic!() };
        assert!(why.contains("syncing"), "{why}");
    }
    assert_eq!(disk.with(|sim| sim.syncs), syncs, "the same file is not synced again");
    assert_eq!((disk.durable(), writer.status().size), (1, 1));
    assert!(writer.status().broken.is_some());
}

#[test]
fn when_every_write_fails_nothing_more_is_taken() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    group(&mut writer, &[&[Kind::NoteAdded]]);
    disk.with(|sim| sim.fail_write = Some(io::ErrorKind::Other));
    assert!(group(&mut writer, &[&[Kind::NoteAdded]])[0].is_err());
    disk.with(|sim| sim.fail_write = None);
    assert!(matches!(group(&mut writer, &[&[Kind::NoteAdded]])[0], Err(JournalError::Broken { .. })));
    assert_eq!(disk.durable(), 1);
}

#[test]
fn after_one_failed_sync_a_new_segment_says_what_counts_and_holds_what_was_not_acknowledged() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    group(&mut writer, &[&[Kind::NoteAdded; 3]]);
    let before = writer.status();
    disk.with(|sim| sim.failing_syncs = 1);
    assert_eq!(group(&mut writer, &[&[Kind::StepStarted], &[Kind::NoteAdded; 2]]), [Ok(vec![4]), Ok(vec![5, 6])]);
    assert_eq!((writer.status().size, writer.status().broken), (7, None));
    assert_eq!(disk.with(|sim| (sim.published.clone(), sim.left.len())), (vec![3], 1));
    let records = disk.with(|sim| Shared::read(&sim.synced));
    let accepted = Accepted::read(&records[0]).unwrap();
    let length = disk.with(|sim| sim.left[0].iter().rposition(|b| *b != b'\n').unwrap() + 2);
    let (length, root) = (u64::try_from(length).unwrap(), before.root.to_string());
    let segment = "records/00000000000000000000.jsonl".to_owned();
    assert_eq!(accepted, Accepted { segment, length, size: 3, root });
    let told = crate::journal::Record::parse(&records[0]).unwrap();
    assert!(told.body["superseded"].as_str().unwrap().starts_with("test/log\n6\n"), "{:?}", told.body);
    assert_eq!(told.body["again"], 3);
    assert!(crate::journal::describe(&told).contains("left for a new segment (syncing to the disk failed: "));
    assert_eq!(group(&mut writer, &[&[Kind::NoteAdded]]), [Ok(vec![7])]);

    // When that one fails as well, it is over.
    disk.with(|sim| sim.failing_syncs = 1);
    let [Err(JournalError::Broken { why })] = &group(&mut writer, &[&[Kind::NoteAdded]])[..] else { panic!() };
    assert!(why.contains("in the segment that followed a failed one too"), "{why}");
    assert_eq!((disk.durable(), writer.status().size), (8, 8));
}

#[test]
fn a_segment_in_which_no_room_can_be_made_is_left_before_the_intent_is_taken() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    group(&mut writer, &[&[Kind::NoteAdded]]);
    let filled = writer.filled;
    writer.len = filled;
    disk.with(|sim| sim.failing_syncs = 1);
    assert_eq!(group(&mut writer, &[&[Kind::StepIntended]]), [Ok(vec![2])]);
    assert!(writer.filled >= writer.len + RESERVE - 1_000, "outcomes have their room in the new segment");
}

#[test]
fn a_segment_that_was_moved_away_is_noticed_before_anything_is_acknowledged() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    group(&mut writer, &[&[Kind::NoteAdded]]);
    disk.with(|sim| sim.elsewhere = true);
    let [Err(JournalError::Broken { why })] = &group(&mut writer, &[&[Kind::StepStarted]])[..] else { panic!() };
    assert!(why.contains("00000000000000000000.jsonl was removed, replaced or moved"), "{why}");
    assert_eq!(writer.status().size, 1);
}

#[test]
fn at_low_water_intents_are_refused_and_outcomes_are_written() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 64 << 20);
    disk.with(|sim| sim.free = 10 << 20);
    let results =
        group(&mut writer, &[&[Kind::StepIntended], &[Kind::StepFinished], &[Kind::StepVerified, Kind::RunResumed]]);
    let low = JournalError::LowSpace { dir: "/journal".into(), free_mib: 10, needed_mib: 64 };
    assert_eq!(results, [Err(low.clone()), Ok(vec![0]), Err(low)]);
    disk.with(|sim| sim.free = 65 << 20);
    assert_eq!(group(&mut writer, &[&[Kind::StepIntended]]), [Ok(vec![1])]);
}

#[test]
fn an_accepted_intent_leaves_room_for_outcomes_on_a_disk_that_then_fills_up() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    assert_eq!(group(&mut writer, &[&[Kind::StepIntended, Kind::StepStarted]]), [Ok(vec![0, 1])]);
    // Somebody else takes the rest of the disk.
    disk.with(|sim| sim.capacity = sim.bytes.len());
    let largest = json!({"summary": "x".repeat(60_000)});
    // One step is 17 of the longest; after nine, less than the reserve of eight is left.
    for _ in 0..9 {
        let outcome = Ready::new(draft(Kind::StepFinished, largest.clone())).unwrap();
        writer.commit(vec![outcome]).unwrap();
    }
    assert_eq!(disk.durable(), 11);
    // Before the room is used up, nothing new may begin.
    assert!(matches!(group(&mut writer, &[&[Kind::StepIntended]])[0], Err(JournalError::LowSpace { .. })));
}

#[test]
fn on_a_full_disk_the_batch_is_refused_whole_and_the_next_one_may_go() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 1 << 20, 0);
    disk.with(|sim| sim.capacity = 2_000);
    assert_eq!(group(&mut writer, &[&[Kind::StepFinished]]), [Ok(vec![0])]);
    let full = Err(JournalError::DiskFull { dir: "/journal".into() });
    assert_eq!(group(&mut writer, &[&[Kind::StepFinished; 4]]), [full]);
    assert_eq!((disk.durable(), writer.status().broken), (1, None));
    disk.with(|sim| sim.capacity = 1 << 30);
    assert_eq!(group(&mut writer, &[&[Kind::StepFinished; 4]]), [Ok(vec![1, 2, 3, 4])]);
    assert_eq!(disk.durable(), 5);
}

#[test]
fn a_segment_that_is_long_enough_is_trimmed_and_followed() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 2_000, 0);
    for _ in 0..12 {
        group(&mut writer, &[&[Kind::NoteAdded]]);
    }
    let sealed = disk.with(|sim| sim.sealed.clone());
    assert!(sealed.len() >= 2, "{}", sealed.len());
    assert!(sealed.iter().all(|s| s.ends_with(b"}\n") && !s.ends_with(b"\n\n") && s.len() >= 2_000));
    // Where the next one can not be begun, it is begun as one that follows a failed one.
    disk.with(|sim| sim.fail_begin = Some(io::ErrorKind::Other));
    while disk.with(|sim| sim.published.is_empty()) {
        assert!(group(&mut writer, &[&[Kind::NoteAdded]])[0].is_ok());
    }
    let told = disk.with(|sim| Shared::read(&sim.synced)).swap_remove(0);
    let told = crate::journal::Record::parse(&told).unwrap();
    assert!(told.body["why"].as_str().unwrap().contains("beginning the segment of record"), "{:?}", told.body);
}

#[test]
fn on_a_nearly_full_disk_the_segment_goes_on() {
    let disk = Shared::new();
    let mut writer = writer(&disk, 2_000, 0);
    disk.with(|sim| sim.free = 4_096);
    for _ in 0..12 {
        assert!(group(&mut writer, &[&[Kind::NoteAdded]])[0].is_ok());
    }
    assert!(disk.with(|sim| sim.sealed.is_empty()));
    assert_eq!(disk.durable(), 12);
}
