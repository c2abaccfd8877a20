//! A log with evidence and snapshots, its archive, and the steps in which segments go there.

use crate::anchor_support::wall;
use crate::journal_support::*;
use jiff::{SignedDuration, Timestamp};
use quarterdeck::attest::archive::Archive;
use quarterdeck::config::model::{Archive as Config, Store};
use quarterdeck::journal::archive::{self, Copied, Plan, Retention, Sealed};
use quarterdeck::journal::fold::{self, Fold, Keep};
use quarterdeck::journal::key::VerifierKey;
use quarterdeck::journal::read::{Filter, Reader, Stored, Whole};
use quarterdeck::journal::verify::{self, Options, Report};
use quarterdeck::journal::{Journal, JournalError, Kind, OpenOptions, Record, evidence};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

pub const FORMAT: u64 = Seen::FORMAT;

/// The state: how many records there were, and a digest of them all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub records: u64,
    sum: String,
}

impl Fold for Seen {
    fn apply(&mut self, record: &Record) {
        self.records += 1;
        let text = format!("{}{}", self.sum, String::from_utf8(record.to_bytes().unwrap()).unwrap());
        self.sum = evidence::digest(text.as_bytes()).to_string();
    }
}

impl Keep for Seen {
    const FORMAT: u64 = 4;
}

/// Where a kill comes: after so many files were copied, after each step, after so many segments were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Copied(usize),
    Prepared,
    Recorded,
    Settled,
    Removed(usize),
    Never,
}

pub struct Opened {
    pub journal: Journal,
    pub state: Seen,
}

impl Opened {
    pub fn seen(&self) -> u64 {
        self.state.records
    }

    /// Appends batches and leaves a named snapshot near their end.
    pub fn append(&self, batches: usize) {
        let mut state = self.state.clone();
        for b in 0..batches {
            let drafts = (0..=b % 4).map(|n| note(format!("batch {b} note {n} żółć"))).collect();
            self.take(&mut state, drafts);
            if b + 8 == batches {
                let body = fold::keep(&self.journal, &self.journal.status().place, &state).unwrap();
                self.take(&mut state, vec![draft(Kind::JournalSnapshot, body)]);
            }
        }
    }

    fn take(&self, state: &mut Seen, drafts: Vec<quarterdeck::journal::Draft>) {
        for committed in self.journal.append_blocking(drafts).unwrap() {
            state.apply(&committed.record);
        }
    }
}

pub struct House {
    home: tempfile::TempDir,
    pub key: VerifierKey,
    /// How many segments there were.
    pub segments: usize,
}

pub fn open_seen(dir: &Path) -> Opened {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        match fold::open_kept(OpenOptions { segment_bytes: 4_000, ..options(dir) }) {
            Ok((journal, _, state)) => return Opened { journal, state },
            // A child that another test has just forked holds the descriptor of the lock until it becomes its program.
            Err(JournalError::Locked { .. }) if std::time::Instant::now() < deadline => std::thread::yield_now(),
            Err(why) => panic!("{why}"),
        }
    }
}

pub fn config(dir: &Path) -> Config {
    Config { region: "eu".into(), store: Store::Directory(dir.to_owned()) }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl House {
    /// About a hundred records in a dozen segments or more, and two pieces of evidence, one of them deleted.
    pub fn new() -> Self {
        Self::with(44, 0)
    }

    /// One whose key was changed so many times at its beginning.
    pub fn rotated(times: usize) -> Self {
        Self::with(44, times)
    }

    /// One with about so many records.
    pub fn long(records: usize) -> Self {
        Self::with(records * 2 / 5, 0)
    }

    fn with(batches: usize, rotations: usize) -> Self {
        let home = fast_dir();
        let dir = home.path().join("log");
        let mut opened = open_seen(&dir);
        let key = opened.journal.verifier().clone();
        let kept = evidence::put(&dir, b"the blocking tree").unwrap();
        let deleted = evidence::put(&dir, b"a password").unwrap();
        let mut state = opened.state.clone();
        for (sha256, bytes) in [(&kept, 17), (&deleted, 10)] {
            let body = evidence::captured(sha256, bytes, "seen", "text/plain");
            opened.take(&mut state, vec![draft(Kind::EvidenceCaptured, body)]);
        }
        opened.take(
            &mut state,
            vec![draft(Kind::Redaction, json!({ "sha256": deleted, "bytes": 10, "reason": "secret" }))],
        );
        evidence::delete(&dir, &deleted).unwrap();
        for _ in 0..rotations {
            opened.journal.append_blocking((0..6).map(note).collect()).unwrap();
            drop(opened);
            Journal::rotate(&options(&dir)).unwrap();
            opened = open_seen(&dir);
        }
        let opened = if rotations == 0 {
            drop(opened);
            open_seen(&dir)
        } else {
            opened
        };
        opened.append(batches);
        drop(opened);
        let segments = segments(&dir).len();
        assert!(segments > 6, "{segments}");
        let house = Self { home, key, segments };
        copy(&dir, &house.before());
        house
    }

    pub fn dir(&self) -> &Path {
        Box::leak(self.home.path().join("log").into_boxed_path())
    }

    pub fn archive(&self) -> &Path {
        Box::leak(self.home.path().join("archive").into_boxed_path())
    }

    /// A copy of the log as it was before anything was moved.
    pub fn before(&self) -> PathBuf {
        self.home.path().join("before")
    }

    /// A copy of the log as it is, with its snapshots.
    pub fn copy(&self) -> PathBuf {
        let to = self.home.path().join("copy");
        copy(self.dir(), &to);
        std::fs::create_dir(to.join("snapshot")).unwrap();
        for entry in std::fs::read_dir(self.dir().join("snapshot")).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), to.join("snapshot").join(entry.file_name())).unwrap();
        }
        to
    }

    pub fn reopen(&self) -> Opened {
        open_seen(self.dir())
    }

    /// Number of the first record that counts here.
    pub fn first_here(&self) -> u64 {
        Reader::checked(self.dir(), Filter::default()).unwrap().next().unwrap().unwrap().record.seq
    }

    /// Every record, from the log or from the archive.
    pub fn stored(&self) -> Vec<Stored> {
        let archive = Some(self.archive()).filter(|a| a.exists());
        let reader = Reader::checked(Whole { dir: self.dir(), archive }, Filter::default()).unwrap();
        reader.collect::<Result<_, _>>().unwrap()
    }

    pub fn verify_whole(&self) -> Report {
        let archive = Some(self.archive().to_owned()).filter(|a| a.exists());
        verify::verify(self.dir(), &Options { archive, ..Options::against(&self.key) }).unwrap()
    }

    /// What may go, where so many days and so many records have to stay.
    pub fn plan(&self, retention: Option<(i64, u64)>) -> Plan {
        plan(self.dir(), retention)
    }

    /// Segments as they would be copied.
    pub fn copied(&self, segments: &[Sealed]) -> Vec<Copied> {
        copied(self.archive(), segments)
    }

    /// Makes a named snapshot that says that another program made it.
    pub fn snapshot_by(&self, program: &str) {
        let opened = self.reopen();
        let place = opened.journal.status().place;
        let body = fold::keep(&opened.journal, &place, &opened.state).unwrap();
        let path = self.dir().join(body["file"].as_str().unwrap());
        let ours = concat!("quarterdeck ", env!("CARGO_PKG_VERSION"));
        let bytes = std::fs::read_to_string(&path).unwrap().replace(ours, program).into_bytes();
        std::fs::write(&path, &bytes).unwrap();
        let mut body = body;
        (body["sha256"], body["bytes"]) = (json!(evidence::digest(&bytes)), json!(bytes.len()));
        opened.journal.append_blocking(vec![draft(Kind::JournalSnapshot, body)]).unwrap();
        drop(opened);
        for entry in std::fs::read_dir(self.dir().join("snapshot")).unwrap().map(Result::unwrap) {
            if entry.path() != path {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    /// Moves what may go, where so many records have to stay, and is killed on the way. Returns how many were moved.
    pub fn move_away(&self, records: u64, stop: Stop) -> u64 {
        move_away(self.dir(), self.archive(), records, stop)
    }
}

/// What may go, where so many days and so many records have to stay.
pub fn plan(dir: &Path, retention: Option<(i64, u64)>) -> Plan {
    let retention = retention.map(|(days, records)| Retention { age: SignedDuration::from_hours(24 * days), records });
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    archive::plan(dir, retention, FORMAT, now).unwrap()
}

fn copied(to: &Path, segments: &[Sealed]) -> Vec<Copied> {
    let archive = runtime().block_on(Archive::open(&config(to), ORIGIN, wall())).unwrap();
    let copied = segments.iter().map(|segment| {
        let (sha256, bytes) = archive::digest_of(&segment.path).unwrap();
        Copied { last: segment.last, bytes, sha256, places: vec![archive.place().clone()] }
    });
    copied.collect()
}

/// As [`House::move_away`], for any log and archive.
pub fn move_away(dir: &Path, to: &Path, records: u64, stop: Stop) -> u64 {
    let opened = open_seen(dir);
    let plan = plan(dir, Some((0, records)));
    let runtime = runtime();
    let archive = runtime.block_on(Archive::open(&config(to), ORIGIN, wall())).unwrap();
    let mut files = 0;
    for segment in &plan.sealed {
        let (sha256, _) = archive::digest_of(&segment.path).unwrap();
        let evidence = segment.evidence.iter().map(|digest| (format!("evidence/{digest}"), digest));
        for (name, digest) in evidence.chain([(segment.name.clone(), &sha256)]) {
            if stop == Stop::Copied(files) {
                return 0;
            }
            runtime.block_on(archive.keep(&name, &dir.join(&name), digest)).unwrap();
            runtime.block_on(archive.read(&name, digest)).unwrap();
            files += 1;
        }
    }
    if let Stop::Copied(_) = stop {
        return 0;
    }
    let bytes = if plan.due == 0 && plan.left_over > 0 {
        archive::current(dir).unwrap()
    } else {
        archive::describe(dir, &copied(to, &plan.sealed[..plan.due])).unwrap()
    };
    archive::prepare(dir, &bytes).unwrap();
    if stop == Stop::Prepared {
        return 0;
    }
    let due = archive::check(dir, &evidence::digest(&bytes), FORMAT).unwrap();
    if due.is_new() {
        opened.journal.append_blocking(vec![draft(Kind::JournalArchived, due.pruned.body(due.from))]).unwrap();
    }
    if stop == Stop::Recorded {
        return 0;
    }
    if let Stop::Settled | Stop::Removed(_) = stop {
        std::fs::rename(dir.join("pruned.json.next"), dir.join("pruned.json")).unwrap();
        if let Stop::Removed(count) = stop {
            let due = &plan.sealed[..plan.due.min(count)];
            for segment in due {
                std::fs::remove_file(&segment.path).unwrap();
            }
        }
        return 0;
    }
    archive::finish(dir, &due).unwrap();
    due.pruned.size()
}
