//! A log that is changed in every way, line by line, and what verification has to say of it.

use crate::journal_support::*;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::{LogKey, VerifierKey};
use quarterdeck::journal::tree::{Frontier, Hash, record_hash};
use quarterdeck::journal::verify::{Report, Verdict};
use quarterdeck::journal::{Journal, Kind, OpenOptions};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How many places to try: all of them in a campaign, an eighth where time is short.
pub fn places(all: usize) -> usize {
    if std::env::var("QUARTERDECK_CAMPAIGN").is_ok_and(|v| v == "full") { all } else { all.div_ceil(8) }
}

/// One line of one segment, with the records of the batch that it belongs to.
#[derive(Clone)]
pub struct Line {
    pub file: usize,
    pub bytes: Vec<u8>,
    pub batch: RangeInclusive<u64>,
    /// Number of the record, when it is one.
    pub seq: Option<u64>,
}

pub struct Log {
    pub dir: tempfile::TempDir,
    pub key: VerifierKey,
    pub files: Vec<PathBuf>,
    pub lines: Vec<Line>,
}

impl Log {
    /// About eighty records in two dozen batches and several segments, closed.
    pub fn new() -> Self {
        let dir = fast_dir();
        let (journal, _) = Journal::open(OpenOptions { segment_bytes: 4_000, ..options(dir.path()) }).unwrap();
        for b in 0..22 {
            let record = |n: u32| match n {
                2 => draft(
                    Kind::ApprovalGranted,
                    json!({ "nonce": format!("n{b}"), "signature": format!("s{b}"), "namespace": format!("batch {b}@quarterdeck") }),
                ),
                n => note(format!("batch {b} note {n} żółć")),
            };
            journal.append_blocking((0..=b % 7).map(record).collect()).unwrap();
        }
        journal.close_blocking("2026-11-21T15:00:00Z".parse().unwrap()).unwrap();
        let key = journal.verifier().clone();
        drop(journal);
        // What is published beside the records would show a cut by itself; tests that want it put it there.
        std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
        let files = segments(dir.path());
        let (mut lines, mut seq, mut open) = (Vec::<Line>::new(), 0, 0);
        for (file, path) in files.iter().enumerate() {
            for bytes in std::fs::read(path).unwrap().split_inclusive(|b| *b == b'\n') {
                let is_commit = bytes.starts_with(b"{\"checkpoint\"");
                lines.push(Line { file, bytes: bytes.to_vec(), batch: 0..=0, seq: (!is_commit).then_some(seq) });
                seq += u64::from(!is_commit);
                if is_commit {
                    let first = lines[open].seq.unwrap();
                    lines[open..].iter_mut().for_each(|l| l.batch = first..=seq - 1);
                    open = lines.len();
                }
            }
        }
        assert!(files.len() > 3 && lines.len() > 80, "{} files, {} lines", files.len(), lines.len());
        Self { dir, key, files, lines }
    }

    /// Number of records.
    pub fn size(&self) -> usize {
        self.lines.iter().filter(|l| l.seq.is_some()).count()
    }

    /// Which line a record is.
    pub fn index(&self, seq: usize) -> usize {
        self.lines.iter().position(|l| l.seq == Some(seq as u64)).unwrap()
    }

    pub fn record(&self, seq: usize) -> &Line {
        &self.lines[self.index(seq)]
    }

    pub fn text(&self, seq: usize) -> String {
        String::from_utf8(self.record(seq).bytes.clone()).unwrap()
    }

    pub fn leaves(&self) -> Vec<Hash> {
        leaves(&self.lines)
    }

    /// Last record of the batch after the one of a line.
    pub fn next_batch_end(&self, n: usize) -> u64 {
        self.lines.get(n + 1).map_or(*self.lines[n].batch.end(), |l| *l.batch.end())
    }

    /// The batch of a line and the one after it.
    pub fn around(&self, n: usize) -> RangeInclusive<u64> {
        *self.lines[n].batch.start()..=self.next_batch_end(n)
    }

    /// Does something with a copy in which the lines are these; a file without any is not there.
    pub fn changed<T>(&self, lines: &[Line], judge: impl FnOnce(&Path) -> T) -> T {
        let copied = fast_dir();
        copy(self.dir.path(), copied.path());
        for (file, path) in self.files.iter().enumerate() {
            let bytes: Vec<u8> = lines.iter().filter(|l| l.file == file).flat_map(|l| l.bytes.clone()).collect();
            let path = copied.path().join("records").join(path.file_name().unwrap());
            if bytes.is_empty() {
                std::fs::remove_file(path).unwrap();
            } else {
                std::fs::write(path, bytes).unwrap();
            }
        }
        at_rest(copied.path());
        judge(copied.path())
    }

    /// Verifies a copy in which the lines are these.
    pub fn with(&self, lines: &[Line]) -> Report {
        self.changed(lines, |dir| check(dir, &self.key))
    }

    /// Verifies a copy after a change to its files.
    pub fn altered(&self, change: impl FnOnce(&Path)) -> Report {
        self.changed(&self.lines, |dir| {
            change(dir);
            at_rest(dir);
            check(dir, &self.key)
        })
    }
}

/// Makes the files look as if nobody had written to them for an hour: no writer is waited for.
pub fn at_rest(dir: &Path) {
    let then = SystemTime::now() - Duration::from_hours(1);
    for path in segments(dir) {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }
}

/// The place that was named. What still holds ends before it.
pub fn found(report: &Report, what: &str) -> RangeInclusive<u64> {
    assert!(!report.ok && report.verdict == Verdict::Damaged, "{what} was not found");
    let bad = report.first_bad.as_ref().unwrap();
    println!("{what}: {bad}");
    assert!(bad.seq <= bad.through, "{what}: {bad}");
    bad.seq..=bad.through
}

/// Exactly these records were named.
pub fn exactly(bad: &RangeInclusive<u64>, expected: RangeInclusive<u64>, what: &str) {
    assert_eq!(*bad, expected, "{what}");
}

/// What was named lies within `bound` and holds all of `change`.
pub fn within(bad: &RangeInclusive<u64>, bound: RangeInclusive<u64>, change: RangeInclusive<u64>, what: &str) {
    let is_in = |inner: &RangeInclusive<u64>, outer: &RangeInclusive<u64>| {
        outer.start() <= inner.start() && inner.end() <= outer.end()
    };
    assert!(
        is_in(bad, &bound) && is_in(&change, bad),
        "{what}: {change:?} was changed, {bad:?} named, {bound:?} allowed"
    );
}

/// A record with another number.
pub fn renumbered(line: &[u8], from: u64, to: u64) -> Vec<u8> {
    let text = String::from_utf8(line.to_vec()).unwrap();
    assert!(text.contains(&format!("\"seq\":{from},")), "{text}");
    text.replace(&format!("\"seq\":{from},"), &format!("\"seq\":{to},")).into_bytes()
}

/// Exchanges the bytes of two lines.
pub fn swap(lines: &mut [Line], a: usize, b: usize) {
    let bytes = lines[a].bytes.clone();
    lines[a].bytes = std::mem::replace(&mut lines[b].bytes, bytes);
}

/// Leaf hashes of the records among lines.
pub fn leaves(lines: &[Line]) -> Vec<Hash> {
    lines.iter().filter(|l| l.seq.is_some()).map(|l| record_hash(l.bytes.strip_suffix(b"\n").unwrap())).collect()
}

pub fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    for leaf in leaves {
        tree.append_hash(*leaf);
    }
    tree.root()
}

/// Writes the tile of level 0 that holds these leaves, fewer than 256, per C2SP tlog-tiles.
pub fn write_tiles(dir: &Path, leaves: &[Hash]) {
    assert!(leaves.len() < 256);
    let folder = dir.join("tile/0/000.p");
    std::fs::create_dir_all(&folder).unwrap();
    let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.0).collect();
    std::fs::write(folder.join(leaves.len().to_string()), bytes).unwrap();
}

/// The note in a commit line.
pub fn checkpoint(line: &[u8]) -> String {
    let commit: Value = serde_json::from_slice(line).unwrap();
    commit["checkpoint"].as_str().unwrap().to_owned()
}

fn with_note(line: &[u8], note: &str) -> Vec<u8> {
    let mut commit: Value = serde_json::from_slice(line).unwrap();
    commit["checkpoint"] = note.into();
    [serde_json::to_vec(&commit).unwrap(), b"\n".to_vec()].concat()
}

/// The signature of a commit line, base64 with the key's id before it.
pub fn signature(line: &[u8]) -> String {
    checkpoint(line).trim_end().rsplit_once(' ').unwrap().1.to_owned()
}

pub fn with_signature(line: &[u8], signature: &str) -> Vec<u8> {
    let note = checkpoint(line);
    with_note(line, &format!("{} {signature}\n", note.trim_end().rsplit_once(' ').unwrap().0))
}

pub fn with_root(line: &[u8], root: &Hash) -> Vec<u8> {
    let note = checkpoint(line);
    let old = note.lines().nth(2).unwrap();
    with_note(line, &note.replace(old, &root.to_string()))
}

/// The log as the holder of its key would write it with other records.
pub fn resigned(lines: &[Line], key: &LogKey, edit: impl Fn(u64, String) -> String) -> Vec<Line> {
    let mut tree = Frontier::default();
    let mut written = lines.to_vec();
    for line in &mut written {
        if let Some(seq) = line.seq {
            line.bytes = edit(seq, String::from_utf8(line.bytes.clone()).unwrap()).into_bytes();
            tree.append(line.bytes.strip_suffix(b"\n").unwrap());
        } else {
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: tree.size(), root: tree.root() };
            line.bytes = with_note(&line.bytes, &checkpoint.sign(key).unwrap());
        }
    }
    written
}
