//! The pass over a log that opening makes: every root, the keys in the order of their rotations, the signature at the
//! end, which vouches for all before it, and the records to whoever folds them. Folding runs on a thread of its own,
//! since it costs as much as checking.

use super::batch::Batch;
use super::chain::Chain;
use super::pruned::{Base, beginning};
use super::walk::{Step, Walk};
use crate::domain::text::sanitize;
use crate::journal::archive::lost;
use crate::journal::checkpoint::{BadNote, Checkpoint};
use crate::journal::error::{Damage, JournalError};
use crate::journal::fold::Replay;
use crate::journal::key::{KeyRing, VerifierKey};
use crate::journal::kind::Kind;
use crate::journal::record::Record;
use crate::journal::rotation::Rotation;
use crate::journal::snapshot::{self, Place, Snapshot};
use crate::journal::tree::Hash;
use std::path::Path;
use std::sync::mpsc;

/// Batches that may wait to be folded; one has up to 4 MiB.
const AHEAD: usize = 8;

/// What is known of the log beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The journal's directory.
    pub dir: &'a Path,
    /// Name of the log.
    pub origin: &'a str,
    /// The key that lies beside it.
    pub key: &'a VerifierKey,
    /// The key that waits to follow it, when a rotation was cut short.
    pub next: Option<&'a VerifierKey>,
}

/// What the pass found. Nothing has been written.
#[derive(Debug)]
pub struct Scanned {
    /// Where the good part ends.
    pub place: Place,
    /// The walk, at the end of what is there.
    pub walk: Walk,
    /// What was wrong after the good part, where something was.
    pub damage: Option<Damage>,
    /// The keys; the last one is `key` or `next`.
    pub ring: KeyRing,
    /// Whether the last record says that the writer ended in good order.
    pub clean: bool,
    /// Whether a record names the snapshot that was begun with.
    pub named: bool,
}

/// Goes over the whole log, or over what follows a snapshot.
pub fn scan(
    known: Known<'_>,
    from: Option<&Snapshot>,
    replay: Option<&mut dyn Replay>,
) -> Result<Scanned, JournalError> {
    let (walk, base) = match from {
        Some(snapshot) => (Walk::at(known.dir, &snapshot.place)?, Base::default()),
        None => beginning(known.dir)?,
    };
    let walk = walk.exclusive();
    let chain = match (from, base.pruned()) {
        (Some(snapshot), _) => Chain::from(&snapshot.origin, snapshot.place.tree.clone()),
        (None, Some(pruned)) if replay.is_some() => {
            return Err(lost(pruned));
        }
        (None, Some(pruned)) if pruned.origin() != known.origin => {
            let (found, expected) = (sanitize(pruned.origin()), known.origin.to_owned());
            return Err(JournalError::ForeignLog { dir: known.dir.to_owned(), found, expected });
        }
        (None, Some(pruned)) => Chain::from(pruned.origin(), pruned.tree().clone()),
        (None, None) => Chain::default(),
    };
    std::thread::scope(|scope| {
        let (folded, inbox) = mpsc::sync_channel(AHEAD);
        let folding = replay.map(|replay| scope.spawn(move || fold(inbox, replay)));
        let scan = Scan {
            known,
            from,
            folded: folding.is_some().then_some(folded),
            chain,
            ring: from.map(|s| s.ring.clone()).or_else(|| base.ring()),
            first: None,
            held: None,
            note: from.map_or_else(|| base.note(), |s| s.place.note.clone()),
            clean: false,
            named: None,
        };
        let scanned = scan.run(walk);
        match folding.map(std::thread::ScopedJoinHandle::join) {
            // What could not be folded lies before whatever the pass has come to.
            Some(Ok(Err(why))) => Err(why),
            Some(Err(_)) => Err(JournalError::Broken { why: "rebuilding the state ended early".into() }),
            Some(Ok(Ok(()))) | None => scanned,
        }
    })
}

/// Folds batches, each with the number of its first record, as long as they come.
fn fold(inbox: mpsc::Receiver<(u64, Batch)>, replay: &mut dyn Replay) -> Result<(), JournalError> {
    for (first, batch) in inbox {
        for (seq, bytes) in (first..).zip(batch.records()) {
            let record = Record::parse_checked(bytes);
            replay.apply(&record.map_err(|e| JournalError::Foreign { seq, why: e.to_string() })?);
        }
    }
    Ok(())
}

/// A batch whose root is right, kept back until a later one, or a valid signature of its own, vouches for it.
struct Held {
    batch: Batch,
    file: String,
    chain_before: Chain,
    /// The keys before it, when it changed them.
    ring_before: Option<KeyRing>,
    note_before: String,
}

struct Scan<'a> {
    known: Known<'a>,
    from: Option<&'a Snapshot>,
    folded: Option<mpsc::SyncSender<(u64, Batch)>>,
    chain: Chain,
    /// The keys so far; none as long as the log began with another key than the one beside it.
    ring: Option<KeyRing>,
    /// The note of the first batch in that case: the first rotation has to name the key that signed it.
    first: Option<String>,
    held: Option<Held>,
    note: String,
    clean: bool,
    /// Number of the first record of the batch that names the snapshot.
    named: Option<u64>,
}

impl Scan<'_> {
    fn run(mut self, mut walk: Walk) -> Result<Scanned, JournalError> {
        let (damage, good, line) = loop {
            match walk.next() {
                Ok(Step::Batch(batch)) => {
                    let (offset, line) = (batch.offset, batch.line);
                    if let Some(damage) = self.take(batch, walk.place().0.name())? {
                        break (Some(damage), offset, line);
                    }
                }
                Ok(Step::End { .. }) => break (None, walk.place().1, walk.place().2),
                Err(JournalError::Damaged(damage)) if damage.line > 0 => {
                    break (Some(damage), walk.place().1, walk.place().2);
                }
                Err(other) => return Err(other),
            }
        };
        let (damage, good, line) = match (self.vouch()?, damage) {
            (None, damage) => (damage, good, line),
            (Some((here, good, line)), None) => (Some(here), good, line),
            // Two bad batches in a row are not a torn end.
            (Some((here, ..)), Some(_)) => return Err(JournalError::Damaged(here)),
        };
        let tree = self.chain.frontier().clone();
        let ring = match self.ring.take() {
            Some(ring) => ring,
            None if tree.size() == 0 => KeyRing::of(self.known.key.clone()),
            None => return Err(self.other_key()),
        };
        if ring.current() != self.known.key && Some(ring.current()) != self.known.next {
            return Err(self.other_key());
        }
        let named = self.named.is_some_and(|first| first < tree.size());
        let place = Place { tree, segment: walk.place().0.first, offset: good, line, note: self.note };
        Ok(Scanned { place, walk, damage, ring, clean: self.clean, named })
    }

    /// Takes in a batch, or says why it is not true.
    fn take(&mut self, batch: Batch, file: String) -> Result<Option<Damage>, JournalError> {
        let chain_before = self.chain.clone();
        let checkpoint = match self.chain.take(&batch, &file) {
            Ok(checkpoint) => checkpoint,
            Err(JournalError::Damaged(damage)) => return Ok(Some(damage)),
            Err(other) => return Err(other),
        };
        if chain_before.origin().is_none() {
            self.begin(&checkpoint, &batch)?;
        }
        let first = chain_before.frontier().size();
        let ring_before = match self.rotate(&batch, chain_before.frontier().root()) {
            Ok(ring_before) => ring_before,
            Err(why) => {
                let (through, line) = (checkpoint.size.saturating_sub(1), batch.line);
                self.chain = chain_before;
                return Ok(Some(Damage { seq: first, through, file, line, why }));
            }
        };
        if let Some(snapshot) = self.from
            && self.named.is_none()
            && batch.records().any(|r| snapshot::is_named_by(r, snapshot.place.tree.size(), &snapshot.digest))
        {
            self.named = Some(first);
        }
        let note_before = std::mem::replace(&mut self.note, batch.note.clone());
        if let Some(held) = self.held.replace(Held { batch, file, chain_before, ring_before, note_before }) {
            self.hand_on(held);
        }
        Ok(None)
    }

    /// The first batch tells whose log it is.
    fn begin(&mut self, checkpoint: &Checkpoint, batch: &Batch) -> Result<(), JournalError> {
        if checkpoint.origin != self.known.origin {
            let (found, expected) = (sanitize(&checkpoint.origin), self.known.origin.to_owned());
            return Err(JournalError::ForeignLog { dir: self.known.dir.to_owned(), found, expected });
        }
        match Checkpoint::open(&batch.note, self.known.key) {
            Err(BadNote::OtherKey { .. }) => self.first = Some(batch.note.clone()),
            _ => self.ring = Some(KeyRing::of(self.known.key.clone())),
        }
        Ok(())
    }

    /// Changes the keys, when the batch is a rotation, and returns those before it. The old key must have signed it.
    fn rotate(&mut self, batch: &Batch, root: Hash) -> Result<Option<KeyRing>, String> {
        let Some(rotation) = Rotation::of_batch(batch.records()).map_err(|e| e.to_string())? else { return Ok(None) };
        let before = match &self.ring {
            Some(ring) => ring.clone(),
            None => {
                let first = rotation.from().map_err(|e| e.to_string())?;
                let note = self.first.as_deref().unwrap_or_default();
                Checkpoint::open(note, &first).map_err(|e| format!("the first commit line: {e}"))?;
                KeyRing::of(first)
            }
        };
        Checkpoint::open(&batch.note, before.current()).map_err(|e| format!("its commit line: {e}"))?;
        let mut ring = before.clone();
        rotation.enter(&mut ring, root).map_err(|e| e.to_string())?;
        self.ring = Some(ring);
        Ok(Some(before))
    }

    /// Checks the signature of the last batch, which vouches for all before it. When it is not valid the batch is
    /// taken back, and what is wrong and where it begins, as offset and line, is the answer.
    fn vouch(&mut self) -> Result<Option<(Damage, u64, u64)>, JournalError> {
        let Some(held) = self.held.take() else { return Ok(None) };
        let size = self.chain.frontier().size();
        let Some(ring) = &self.ring else { return Err(self.other_key()) };
        if let Err(why) = Checkpoint::open(&held.batch.note, ring.at(size)) {
            let Held { batch, file, chain_before, ring_before, note_before } = held;
            let seq = chain_before.frontier().size();
            let line = batch.line + batch.lines() - 1;
            let why = format!("its commit line: {why}");
            let damage = Damage { seq, through: size.saturating_sub(1), file, line, why };
            (self.chain, self.note) = (chain_before, note_before);
            self.ring = ring_before.or_else(|| self.ring.take());
            return Ok(Some((damage, batch.offset, batch.line)));
        }
        let last = held.batch.records().last().unwrap_or_default();
        self.clean = Record::parse(last).is_ok_and(|r| r.kind == Kind::JournalClosed);
        self.hand_on(held);
        Ok(None)
    }

    fn hand_on(&mut self, held: Held) {
        if let Some(folded) = &self.folded {
            // Whoever folds goes only after an error, which is then the answer.
            let _ = folded.send((held.chain_before.frontier().size(), held.batch));
        }
    }

    fn other_key(&self) -> JournalError {
        JournalError::OtherKey { dir: self.known.dir.to_owned(), key: self.known.key.id() }
    }
}
