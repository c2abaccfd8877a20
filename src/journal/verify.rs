//! Verification of a whole log: canonical form, numbers without gaps, the root of every commit and its
//! signature, against a key that comes from outside the log. It streams: memory does not grow with the log.

use super::checkpoint::Checkpoint;
use super::error::{Damage, JournalError, READING};
use super::key::{KeyRing, VerifierKey};
use super::read::first_key;
use super::rotation::{BadRotation, Rotation};
use super::store::file::VERIFIER_KEY;
use super::store::file::batch::Batch;
use super::store::file::chain::Chain;
use super::store::file::walk::{Step, Walk};
use super::tree::{EMPTY_HASH, Frontier, Hash};
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// What to verify against.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The verifier key, from outside the log: the first one or any that came into force later. Without it the log's
    /// own is used, which proves nothing about who wrote it.
    pub key: Option<VerifierKey>,
    /// A signed checkpoint that was kept elsewhere: the log must contain it.
    pub kept: Option<String>,
}

/// What verification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub enum Verdict {
    /// Everything holds, under a key from outside.
    #[serde(rename = "verified")]
    Verified,
    /// Everything holds among itself; whose key it is nobody has said.
    #[serde(rename = "self-consistent, key unpinned")]
    Unpinned,
    /// Something does not hold.
    #[serde(rename = "damaged")]
    Damaged,
}

/// The result. Its serialized form is the output of `audit verify --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Whether the log is verified: everything holds and the key came from outside.
    pub ok: bool,
    /// The same with its reason.
    pub verdict: Verdict,
    /// Name of the log.
    pub origin: String,
    /// Number of records that hold.
    pub records: u64,
    /// Root over them, base64.
    pub root: String,
    /// The signed checkpoint that covers them; empty when there is none.
    pub checkpoint: String,
    /// Number of signatures that were checked and hold.
    pub signatures: u64,
    /// Name and id of the key that the verification was given.
    pub key: String,
    /// Name and id of the key in force at the end; another one than `key` after a rotation.
    pub key_in_force: String,
    /// The first place that does not hold.
    pub first_bad: Option<Damage>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A commit whose signature is to be checked.
struct Signed {
    note: String,
    place: Damage,
    /// The change of keys that the batch is, with the root before it.
    rotation: Option<(Rotation, Hash)>,
}

/// Verifies the log in `dir`. Nothing is written there. Damage is a result; an error means that the question
/// could not be answered.
pub fn verify(dir: &Path, options: &Options) -> Result<Report, JournalError> {
    let begun = Instant::now();
    let key = match &options.key {
        Some(key) => key.clone(),
        None => own_key(dir)?,
    };
    // What is not there has no first key either, which the walk says.
    let first = first_key(dir, &key).unwrap_or_else(|_| key.clone());
    let unusable = |why| JournalError::KeptCheckpoint { why };
    let kept = options.kept.as_deref().map(Checkpoint::read).transpose().map_err(unusable)?;
    let failed = AtomicBool::new(false);
    let (sender, inbox) = mpsc::sync_channel::<Signed>(1024);
    let (walked, checked) = std::thread::scope(|scope| {
        let failed = &failed;
        let ring = KeyRing::of(first);
        let signatures = scope.spawn(move || Signatures::check(inbox, ring, failed));
        let pass = Pass { chain: Chain::of(key.name()), kept: kept.as_ref(), signed: sender };
        let walked = pass.run(dir, failed);
        (walked, signatures.join())
    });
    let bad_batch = walked?;
    let Signatures { count: signatures, last, bad, ring } =
        checked.map_err(|_| JournalError::Broken { why: "the signature checker ended early".into() })?;
    // A kept checkpoint is of the key that was in force then; which those are is known only now.
    if let Some(note) = &options.kept
        && let Err(why) = Checkpoint::open(note, &key)
        && !ring.keys().any(|(_, key)| Checkpoint::open(note, key).is_ok())
    {
        return Err(unusable(why));
    }
    // A bad signature lies in a batch that the walk found true, so it comes first.
    let first_bad = bad.or(bad_batch).or_else(|| not_led_to(&key, &ring));
    let verdict = match (&first_bad, &options.key) {
        (Some(_), _) => Verdict::Damaged,
        (None, Some(_)) => Verdict::Verified,
        (None, None) => Verdict::Unpinned,
    };
    let (records, root) = last.as_ref().map_or((0, EMPTY_HASH), |(checkpoint, _)| (checkpoint.size, checkpoint.root));
    Ok(Report {
        ok: verdict == Verdict::Verified,
        verdict,
        origin: key.name().to_owned(),
        records,
        root: root.to_string(),
        checkpoint: last.map(|(_, note)| note).unwrap_or_default(),
        signatures,
        key: key.id(),
        key_in_force: ring.current().id(),
        first_bad,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The verifier key beside the records.
pub fn own_key(dir: &Path) -> Result<VerifierKey, JournalError> {
    let path = dir.join(VERIFIER_KEY);
    let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if super::store::file::walk::segments(dir).is_ok_and(|s| s.is_empty()) => {
            JournalError::NoLog { dir: dir.to_owned() }
        }
        std::io::ErrorKind::NotFound => JournalError::NoVerifierKey { dir: dir.to_owned() },
        _ => JournalError::io(READING, &path, &e),
    })?;
    text.parse().map_err(|why| JournalError::KeyMalformed { path, why })
}

/// A key that came later must have come into force by what was verified.
fn not_led_to(key: &VerifierKey, ring: &KeyRing) -> Option<Damage> {
    let why = format!("no rotation leads to the key {}", key.id());
    let file = super::store::file::RECORDS.to_owned();
    (!ring.contains(key)).then_some(Damage { seq: 0, through: 0, file, line: 0, why })
}

/// What the signatures say, in the order of the log.
struct Signatures {
    /// How many hold.
    count: u64,
    /// The last commit that holds in every respect.
    last: Option<(Checkpoint, String)>,
    bad: Option<Damage>,
    /// The keys so far.
    ring: KeyRing,
}

impl Signatures {
    /// Checks what comes in until one does not hold.
    fn check(inbox: mpsc::Receiver<Signed>, ring: KeyRing, failed: &AtomicBool) -> Self {
        let mut found = Self { count: 0, last: None, bad: None, ring };
        for Signed { note, place, rotation } in inbox {
            let entered = match Checkpoint::open(&note, found.ring.current()) {
                Ok(checkpoint) => {
                    found.count += 1;
                    found.last = Some((checkpoint, note));
                    rotation
                        .map_or(Ok(()), |(rotation, root)| rotation.enter(&mut found.ring, root))
                        .map_err(|why| why.to_string())
                }
                Err(why) => Err(format!("its commit line: {why}")),
            };
            if let Err(why) = entered {
                failed.store(true, Ordering::Relaxed);
                found.bad = Some(Damage { why, ..place });
                break;
            }
        }
        found
    }
}

/// One pass over the batches.
struct Pass<'a> {
    chain: Chain,
    kept: Option<&'a Checkpoint>,
    signed: mpsc::SyncSender<Signed>,
}

impl Pass<'_> {
    fn run(mut self, dir: &Path, failed: &AtomicBool) -> Result<Option<Damage>, JournalError> {
        let mut walk = match Walk::open(dir, 0) {
            Ok(walk) => walk,
            Err(e) => return ended(Err(e)),
        };
        if walk.seq() > 0 {
            return ended(Err(walk.missing_before()));
        }
        while !failed.load(Ordering::Relaxed) {
            let batch = match walk.next_settled() {
                Ok(Step::Batch(batch)) => batch,
                Ok(Step::End { torn }) => {
                    let end = self.at_end(torn, &walk);
                    return ended(end);
                }
                Err(e) => return ended(Err(e)),
            };
            let (first, file) = (self.chain.frontier().size(), walk.place().0.name());
            let rotation = self.rotation(&batch);
            let line = batch.line + batch.lines() - 1;
            let kept = self.kept;
            let mut contradicted = false;
            let taken = self
                .chain
                .take_watching(&batch, &file, |tree| contradicted |= kept.is_some_and(|k| contradicts(k, tree)));
            let checkpoint = match taken {
                Ok(checkpoint) => checkpoint,
                Err(e) => return ended(Err(e)),
            };
            if let (true, Some(kept)) = (contradicted, kept) {
                let why = format!("the kept checkpoint over {} records has another root", kept.size);
                let through = kept.size.saturating_sub(1);
                return ended(Err(JournalError::Damaged(Damage { seq: 0, through, file, line: 0, why })));
            }
            let place = Damage { seq: first, through: checkpoint.size - 1, file, line, why: String::new() };
            let rotation = match rotation {
                Ok(rotation) => rotation,
                Err(why) => return ended(Err(JournalError::Damaged(Damage { why: why.to_string(), ..place }))),
            };
            // The checker goes only after it has found something, which the loop then sees.
            let _ = self.signed.send(Signed { note: batch.note, place, rotation });
        }
        Ok(None)
    }

    /// The change of keys that a batch is, with the root before it.
    fn rotation(&self, batch: &Batch) -> Result<Option<(Rotation, Hash)>, BadRotation> {
        Ok(Rotation::of_batch(batch.records())?.map(|rotation| (rotation, self.chain.frontier().root())))
    }

    /// Nothing may lie after the last commit, and a kept checkpoint must have been reached.
    fn at_end(&self, torn: u64, walk: &Walk) -> Result<(), JournalError> {
        let size = self.chain.frontier().size();
        let (segment, _, line) = walk.place();
        let damage = |through, line, why| {
            Err(JournalError::Damaged(Damage { seq: size, through, file: segment.name(), line, why }))
        };
        if torn > 0 {
            return damage(size, line, format!("{torn} bytes after the last commit, torn or put there"));
        }
        match self.kept {
            Some(kept) if kept.size > size => {
                let why = format!("the log ends here, and the kept checkpoint covers {} records", kept.size);
                damage(kept.size - 1, 0, why)
            }
            _ if size == 0 => damage(0, 0, "there is no committed record".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Damage is what is looked for; anything else keeps the question from being answered.
fn ended(end: Result<(), JournalError>) -> Result<Option<Damage>, JournalError> {
    match end {
        Ok(()) => Ok(None),
        Err(JournalError::Damaged(damage)) => Ok(Some(damage)),
        Err(other) => Err(other),
    }
}

fn contradicts(kept: &Checkpoint, tree: &Frontier) -> bool {
    tree.size() == kept.size && tree.root() != kept.root
}
