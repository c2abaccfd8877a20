//! One pass over a log. A walker reads batches in order, workers look at them side by side, and what they found is
//! joined to the tree in order again; signatures go to the same workers once the roots above them are known to be
//! right. What is held at a time does not grow with the log.

use super::evidence::{Named, named};
use super::openings::{Committed, committed};
use super::progress::Progress;
use super::signatures::{Checked, Group, Signed};
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Damage, JournalError};
use crate::journal::key::KeyRing;
use crate::journal::pruned::Pruned;
use crate::journal::rotation::{BadRotation, Rotation};
use crate::journal::store::file::batch::Batch;
use crate::journal::store::file::chain::{Chain, Leaves};
use crate::journal::store::file::walk::{Segment, Spot, Step, Walk, Whole};
use crate::journal::tree::Frontier;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of batches that go from thread to thread together.
const CHUNK: u64 = 256 << 10;

/// Threads that look at batches, at most: more would find the walker and the joiner the bottleneck.
const WORKERS: usize = 4;

/// What to do on the way.
pub struct Task<'a> {
    /// The log.
    pub at: Whole<'a>,
    /// What was moved from it, which a record has to name.
    pub moved: Option<&'a Pruned>,
    /// Checkpoints that were kept elsewhere, in the order of their sizes.
    pub kept: &'a [Checkpoint],
    /// Whether each signature is checked by itself.
    pub every_signature: bool,
    /// The first record whose form is looked at; the ones before it are only hashed.
    pub from: u64,
    /// The last record that is looked at.
    pub to: u64,
    /// Who is told how far it is.
    pub progress: Option<&'a Progress>,
}

/// A batch with the place where it lies.
#[derive(Debug)]
pub struct Located {
    /// The batch.
    pub batch: Batch,
    /// Number of its first record.
    pub first: u64,
    /// Its segment.
    pub segment: Arc<Segment>,
}

impl Located {
    /// The place before it.
    pub fn place(&self) -> Spot {
        let Batch { offset, line, .. } = self.batch;
        Spot { segment: Segment::clone(&self.segment), offset, line, seq: self.first }
    }
}

/// What does not hold.
#[derive(Debug)]
pub enum Bad {
    /// A batch, and the tree before it.
    Batch(Box<(Located, Frontier, Damage)>),
    /// What the walk found between batches, and where it was.
    Walk(Spot, Damage),
    /// A signature.
    Signature(Damage),
    /// The root over this many records, where a kept checkpoint has another.
    Kept(usize),
}

/// What a pass knows so far; it can be taken up again where it ended.
#[derive(Debug)]
pub struct Standing {
    /// The tree over the batches that hold.
    pub chain: Chain,
    /// The keys so far.
    pub ring: KeyRing,
    /// Where the walk goes on.
    pub place: Spot,
    /// Number of signatures that hold.
    pub signatures: u64,
    /// The last commit that holds in every respect.
    pub last: Option<(Checkpoint, String)>,
    /// How many of the kept checkpoints the log contains.
    pub contained: usize,
    /// The files that records name.
    pub evidence: Vec<Named>,
    /// The values that records commit to.
    pub committed: Vec<Committed>,
    /// Number of the record that names what was moved.
    pub named: Option<u64>,
    /// Bytes after the last commit that are not padding.
    pub torn: u64,
}

/// Where the walk ended and how many bytes lie after that, or why it could not go on.
type Ended = Result<(Spot, u64), (Spot, JournalError)>;

enum Job {
    Look(Chunk),
    Check(u64, Box<Group>),
}

enum Done {
    Looked(Chunk),
    Checked(u64, Checked),
    /// The walk has ended after so many chunks.
    Walked(u64, Ended),
}

#[derive(Default)]
struct Chunk {
    index: u64,
    batches: Vec<Located>,
    looked: Vec<Looked>,
}

/// What a worker has found in a batch.
struct Looked {
    leaves: Leaves,
    /// The change of keys that it is.
    rotation: Result<Option<Rotation>, BadRotation>,
    /// The files that its records name.
    evidence: Vec<Named>,
    /// The values that its records commit to.
    committed: Vec<Committed>,
    /// The record that names what was moved.
    named: Option<u64>,
}

impl Looked {
    /// At a batch of which only the records in a range are wanted.
    fn at(located: &Located, from: u64, to: u64, moved: Option<&Pruned>) -> Self {
        let Located { batch, first, segment } = located;
        let is_wanted = first + batch.lines() > from + 1;
        let look = if is_wanted { Leaves::of } else { Leaves::hashed };
        let evidence =
            (*first..).zip(batch.line..).zip(batch.records()).filter(|((seq, _), _)| (from..=to).contains(seq));
        let evidence = evidence.filter_map(|((seq, line), bytes)| {
            named(bytes, || Damage { seq, through: seq, file: segment.name(), line, why: String::new() })
        });
        let evidence = evidence.collect();
        let wanted = (*first..).zip(batch.records()).filter(|(seq, _)| (from..=to).contains(seq));
        let committed = wanted.flat_map(|(seq, bytes)| committed(bytes, seq)).collect();
        let mut numbered = (*first..).zip(batch.records());
        let named = moved.and_then(|moved| numbered.find(|(_, r)| moved.is_named_by(r))).map(|(seq, _)| seq);
        let rotation = Rotation::of_batch(batch.records());
        Self { leaves: look(batch, *first), rotation, evidence, committed, named }
    }
}

impl Standing {
    /// The beginning of what can be read of a log, with the tree before it.
    pub fn new(walk: &Walk, origin: &str, ring: KeyRing, tree: Frontier) -> Self {
        let (chain, place) = (Chain::from(origin, tree), walk.here());
        let (evidence, committed) = (vec![], vec![]);
        Self { chain, ring, place, signatures: 0, last: None, contained: 0, evidence, committed, named: None, torn: 0 }
    }

    /// Goes on to the end of the log, or to what does not hold.
    pub fn advance(&mut self, task: &Task<'_>) -> Result<Option<Bad>, JournalError> {
        let walk = Walk::resume(task.at, self.place.clone())?;
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS);
        let stop = AtomicBool::new(false);
        let (jobs, inbox) = mpsc::channel();
        let (done, results) = mpsc::channel();
        let (empty, empties) = mpsc::channel();
        for _ in 0..workers + 2 {
            let _ = empty.send(Chunk::default());
        }
        let inbox = Mutex::new(inbox);
        std::thread::scope(|scope| {
            let (stop, inbox, every) = (&stop, &inbox, task.every_signature);
            for _ in 0..workers {
                let done = done.clone();
                scope.spawn(move || work(inbox, &done, (task.from, task.to), task.moved, every));
            }
            let to_workers = jobs.clone();
            scope.spawn(move || {
                let (count, end) = read(walk, task.to, &empties, &to_workers, stop);
                let _ = done.send(Done::Walked(count, end));
            });
            let bad = self.join(task, jobs, &results, empty);
            stop.store(true, Ordering::Relaxed);
            bad
        })
    }

    /// Joins what comes from the workers.
    fn join(
        &mut self,
        task: &Task<'_>,
        jobs: Sender<Job>,
        results: &Receiver<Done>,
        empty: Sender<Chunk>,
    ) -> Result<Option<Bad>, JournalError> {
        let mut waiting = BTreeMap::new();
        let mut groups =
            Groups { jobs, open: Group::new(self.ring.current().clone()), sent: 0, results: BTreeMap::new(), next: 0 };
        let (mut next, mut walked) = (0, None);
        let mut found = Ok(None);
        'chunks: loop {
            if let Some((count, _)) = walked
                && count == next
            {
                break;
            }
            match results.recv() {
                Ok(Done::Looked(chunk)) => {
                    waiting.insert(chunk.index, chunk);
                }
                Ok(Done::Checked(index, checked)) => {
                    groups.results.insert(index, checked);
                    found = Ok(groups.settle(self));
                }
                Ok(Done::Walked(count, end)) => walked = Some((count, Some(end))),
                Err(_) => found = Err(JournalError::Broken { why: "a thread of the verification ended early".into() }),
            }
            while let (Ok(None), Some(mut chunk)) = (&found, waiting.remove(&next)) {
                next += 1;
                for (located, looked) in chunk.batches.drain(..).zip(chunk.looked.drain(..)) {
                    found = self.take(task, located, looked, &mut groups);
                    if !matches!(found, Ok(None)) {
                        break 'chunks;
                    }
                }
                let _ = empty.send(chunk);
            }
            if !matches!(found, Ok(None)) {
                break;
            }
        }
        drop(empty);
        groups.close();
        // The signatures of what was joined are waited for: one of them that does not hold comes first.
        while groups.next < groups.sent {
            match results.recv() {
                Ok(Done::Checked(index, checked)) => groups.results.insert(index, checked),
                Ok(_) => continue,
                Err(_) => break,
            };
            if let Some(bad) = groups.settle(self) {
                return Ok(Some(bad));
            }
        }
        match (found, walked.and_then(|(_, end)| end)) {
            (Ok(None), Some(Ok((place, torn)))) => {
                (self.place, self.torn) = (place, torn);
                Ok(None)
            }
            (Ok(None), Some(Err((place, JournalError::Damaged(damage))))) => Ok(Some(Bad::Walk(place, damage))),
            (Ok(None), Some(Err((_, error)))) => Err(error),
            (found, _) => found,
        }
    }

    /// Takes in one batch.
    fn take(
        &mut self,
        task: &Task<'_>,
        located: Located,
        looked: Looked,
        groups: &mut Groups,
    ) -> Result<Option<Bad>, JournalError> {
        let Looked { leaves, rotation, mut evidence, mut committed, named } = looked;
        let Located { batch, first, segment } = &located;
        let file = segment.name();
        let root_before = matches!(rotation, Ok(Some(_))).then(|| self.chain.frontier().root());
        let mut contradicted = None;
        let contained = &mut self.contained;
        let taken = self.chain.join(batch, leaves, &file, |tree| {
            while let (None, Some(kept)) = (contradicted, task.kept.get(*contained))
                && kept.size == tree.size()
            {
                if kept.root == tree.root() {
                    *contained += 1;
                } else {
                    contradicted = Some(*contained);
                }
            }
        });
        let checkpoint = match taken {
            Ok(checkpoint) => checkpoint,
            Err(JournalError::Damaged(damage)) => {
                let before = self.chain.frontier().clone();
                return Ok(Some(Bad::Batch(Box::new((located, before, damage)))));
            }
            Err(other) => return Err(other),
        };
        if let Some(kept) = contradicted {
            return Ok(Some(Bad::Kept(kept)));
        }
        self.evidence.append(&mut evidence);
        self.committed.append(&mut committed);
        self.named = self.named.or(named);
        if let Some(progress) = task.progress {
            progress.advance(checkpoint.size - first, batch.byte_len());
        }
        let line = batch.line + batch.lines() - 1;
        let place = Damage { seq: *first, through: checkpoint.size - 1, file, line, why: String::new() };
        let bad = |why: String| Ok(Some(Bad::Signature(Damage { why, ..place.clone() })));
        let note = located.batch.note;
        match (rotation, root_before) {
            (Err(why), _) => return bad(why.to_string()),
            (Ok(Some(rotation)), Some(root)) => {
                // The key in force signs its own end, and only then is the next one believed.
                if let Err(why) = Checkpoint::open(&note, self.ring.current()) {
                    return bad(format!("its commit line: {why}"));
                }
                if let Err(why) = rotation.enter(&mut self.ring, root) {
                    return bad(why.to_string());
                }
                groups.push(Signed { note, checkpoint, place });
                groups.rotate(&self.ring);
            }
            _ => groups.push(Signed { note, checkpoint, place }),
        }
        Ok(None)
    }
}

/// Signatures on their way to the workers and back.
struct Groups {
    jobs: Sender<Job>,
    open: Group,
    sent: u64,
    results: BTreeMap<u64, Checked>,
    /// The group whose result comes next.
    next: u64,
}

impl Groups {
    fn push(&mut self, signed: Signed) {
        self.open.push(signed);
        if self.open.is_full() {
            self.send();
        }
    }

    fn send(&mut self) {
        let group = self.open.take();
        // The workers go only after this.
        let _ = self.jobs.send(Job::Check(self.sent, Box::new(group)));
        self.sent += 1;
    }

    /// Another key signs from here on.
    fn rotate(&mut self, ring: &KeyRing) {
        self.send();
        self.open = Group::new(ring.current().clone());
    }

    /// Nothing more comes.
    fn close(&mut self) {
        if !self.open.is_empty() {
            self.send();
        }
        let (closed, _) = mpsc::channel();
        self.jobs = closed;
    }

    /// Takes in results in the order of the log, up to the first signature that does not hold.
    fn settle(&mut self, standing: &mut Standing) -> Option<Bad> {
        while let Some(checked) = self.results.remove(&self.next) {
            self.next += 1;
            standing.signatures += checked.count;
            standing.last = checked.last.or(standing.last.take());
            if let Some(damage) = checked.bad {
                return Some(Bad::Signature(damage));
            }
        }
        None
    }
}

/// Reads batches into the chunks that come back, until the log or the wish for more ends.
fn read(mut walk: Walk, to: u64, empties: &Receiver<Chunk>, jobs: &Sender<Job>, stop: &AtomicBool) -> (u64, Ended) {
    let mut segment = Arc::new(walk.here().segment);
    let mut count = 0;
    while let Ok(mut chunk) = empties.recv() {
        let mut bytes = 0;
        let mut end = None;
        while bytes < CHUNK && end.is_none() {
            let first = walk.seq();
            if first > to || stop.load(Ordering::Relaxed) {
                end = Some(Ok((walk.here(), 0)));
                break;
            }
            match walk.next_settled() {
                Ok(Step::Batch(batch)) => {
                    if walk.place().0.first != segment.first {
                        segment = Arc::new(walk.here().segment);
                    }
                    bytes += batch.byte_len();
                    chunk.batches.push(Located { batch, first, segment: Arc::clone(&segment) });
                }
                Ok(Step::End { torn }) => end = Some(Ok((walk.here(), torn))),
                Err(e) => end = Some(Err((walk.here(), e))),
            }
        }
        chunk.index = count;
        count += 1;
        let _ = jobs.send(Job::Look(chunk));
        if let Some(end) = end {
            return (count, end);
        }
    }
    (count, Ok((walk.here(), 0)))
}

/// Does what comes in until nothing more can come.
fn work(
    inbox: &Mutex<Receiver<Job>>,
    done: &Sender<Done>,
    (from, to): (u64, u64),
    moved: Option<&Pruned>,
    every_signature: bool,
) {
    loop {
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let result = match job {
            Ok(Job::Look(mut chunk)) => {
                let Chunk { batches, looked, .. } = &mut chunk;
                looked.extend(batches.iter().map(|located| Looked::at(located, from, to, moved)));
                Done::Looked(chunk)
            }
            Ok(Job::Check(index, group)) => Done::Checked(index, group.check(every_signature)),
            Err(_) => return,
        };
        if done.send(result).is_err() {
            return;
        }
    }
}
