//! What `audit monitor` looks for in a served log, one look at a time: a log that shrinks, forks, falls silent or
//! loses its witnesses, a signature or a tile that does not hold, and a broken glass. It goes on under a new key of the
//! log where a record, signed by the old and by the new one, says so. What it remembers between two looks is plain data,
//! so that a restart forgets nothing.

use super::served::{Served, Tree};
use super::witness::COSIGNED;
use crate::domain::text::sanitize;
use crate::journal::Kind;
use crate::journal::checkpoint::{BadNote, Checkpoint};
use crate::journal::cosignature::{self, BadCosigned, Cosigned, WitnessKey};
use crate::journal::key::{KeyRing, VerifierKey};
use crate::journal::record::Record;
use crate::journal::rotation::Rotation;
use crate::journal::tile;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Greatest length of a note: a checkpoint with sixteen cosignatures of the longest kind has 54 KiB.
const MAX_NOTE: usize = 1 << 18;

/// What is watched, and what is still calm.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The key of the log, from outside it.
    pub key: VerifierKey,
    /// Witnesses that must go on cosigning.
    pub witnesses: Vec<WitnessKey>,
    /// How long no record may come; the engine writes a heartbeat every five minutes.
    pub stall: Duration,
    /// How long records may go without the cosignature of a witness.
    pub uncosigned: Duration,
}

/// What was seen last, kept between two looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The last checkpoint that continued those before it, as it was signed.
    pub note: String,
    /// Number of the first record that has not been read.
    pub read: u64,
    /// Time of the last record that has been.
    pub newest: Option<Timestamp>,
    /// Whether that record says that the log was closed in good order.
    pub closed: bool,
    /// For each witness the size that it cosigned last, and when.
    pub cosigned: BTreeMap<String, (u64, Timestamp)>,
    /// The keys that the log has had since the first look, each with the number of records after which it came into
    /// force. Memories of earlier programs have none.
    #[serde(default)]
    pub keys: Vec<(u64, String)>,
}

impl Memory {
    /// The keys, beginning with the one that the first look was given.
    fn ring(&self) -> Option<KeyRing> {
        let keys = self.keys.iter().map(|(after, key)| Some((*after, key.parse().ok()?)));
        KeyRing::kept(keys.collect::<Option<_>>()?)
    }

    /// That it is about the log of this key, which is one of those that it has had.
    pub fn check(&self, key: &VerifierKey) -> Result<(), BadNote> {
        let ring = self.ring().filter(|ring| ring.contains(key)).unwrap_or_else(|| KeyRing::of(key.clone()));
        self.checkpoint(&ring).map(drop)
    }

    fn checkpoint(&self, ring: &KeyRing) -> Result<Checkpoint, BadNote> {
        let size = Checkpoint::read_cosigned(&self.note)?.size;
        Checkpoint::open_cosigned(&self.note, ring.at(size))
    }
}

fn kept(ring: &KeyRing) -> Vec<(u64, String)> {
    ring.keys().map(|(after, key)| (after, key.as_str().to_owned())).collect()
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// The log can not be fetched.
    Unreachable,
    /// The checkpoint is not signed by the key.
    BadSignature,
    /// There are fewer records than there were.
    Shrink,
    /// There are two checkpoints, and one does not continue the other.
    Fork,
    /// Tiles or records are missing or do not hash to the signed root.
    Damage,
    /// No record has come for too long.
    Stall,
    /// A witness has not cosigned for too long.
    Uncosigned,
    /// Somebody broke the glass.
    #[serde(rename = "glass.broken")]
    GlassBroken,
}

impl Wrong {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::BadSignature => "bad-signature",
            Self::Shrink => "shrink",
            Self::Fork => "fork",
            Self::Damage => "damage",
            Self::Stall => "stall",
            Self::Uncosigned => "uncosigned",
            Self::GlassBroken => "glass.broken",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Alert {
    /// What.
    pub alert: Wrong,
    /// Name of the log.
    pub origin: String,
    /// When it was seen.
    pub at: Timestamp,
    /// One sentence.
    pub what: String,
    /// The witness or the record that it is about; empty where it is about the log.
    pub subject: String,
    /// The signed checkpoints that contradict each other: they prove it to others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One look.
pub struct Look<'a> {
    watch: &'a Watch,
    served: &'a Served,
    now: Timestamp,
    /// The keys of the log, as far as they are known.
    ring: KeyRing,
    /// Whether nothing is remembered, so that changes of keys from before the given one may be met.
    is_first: bool,
    alerts: Vec<Alert>,
}

/// Looks once. The memory that comes back is the old one where nothing new could be believed.
pub fn look(watch: &Watch, served: &Served, memory: Option<Memory>, now: Timestamp) -> (Option<Memory>, Vec<Alert>) {
    let known = memory.as_ref().and_then(Memory::ring).filter(|ring| ring.contains(&watch.key));
    let ring = known.unwrap_or_else(|| KeyRing::of(watch.key.clone()));
    let mut look = Look { watch, served, now, ring, is_first: memory.is_none(), alerts: Vec::new() };
    let memory = look.all(memory);
    (memory, look.alerts)
}

impl<'a> Look<'a> {
    fn alert(&mut self, alert: Wrong, subject: impl Into<String>, what: impl Into<String>) {
        self.contradiction(alert, subject, what, Vec::new());
    }

    fn contradiction(&mut self, alert: Wrong, subject: impl Into<String>, what: impl Into<String>, notes: Vec<String>) {
        let origin = self.watch.key.name().to_owned();
        self.alerts.push(Alert { alert, origin, at: self.now, what: what.into(), subject: subject.into(), notes });
    }

    fn all(&mut self, memory: Option<Memory>) -> Option<Memory> {
        // Before the checkpoint, so that what it covers is there by then.
        let cosigned = if self.watch.witnesses.is_empty() { None } else { self.note(COSIGNED).ok().flatten() };
        let (memory, found) = self.checkpoint(memory);
        let cosigned = cosigned.and_then(|note| self.cosigned(&note));
        let mut memory = memory?;
        if let Some((found, tree)) = found {
            self.records(&mut memory, &tree);
            // A checkpoint that was exported has its cosignatures itself.
            for cosigned in cosigned.iter().chain([&found]) {
                self.witnessed(&mut memory, &tree, cosigned);
            }
            self.witnesses(&memory, &found.checkpoint);
            memory.keys = kept(&self.ring);
        }
        self.silence(&memory);
        Some(memory)
    }

    /// The newest note with cosignatures. Where none is served, or no witnesses are asked for, the missing cosignatures
    /// say so.
    fn cosigned(&mut self, note: &str) -> Option<Cosigned> {
        match self.open(note) {
            Ok(cosigned) => Some(cosigned),
            Err(why) => {
                self.alert(Wrong::BadSignature, COSIGNED, format!("the cosigned checkpoint does not hold: {why}"));
                None
            }
        }
    }

    /// Opens a note that the key signed which was in force at its size.
    fn open(&self, note: &str) -> Result<Cosigned, BadCosigned> {
        let size = Checkpoint::read_cosigned(note)?.size;
        cosignature::open(note, self.ring.at(size), &self.watch.witnesses)
    }

    fn note(&self, path: &str) -> Result<Option<String>, String> {
        let bytes = self.served.get(path, MAX_NOTE)?;
        bytes.map(|b| String::from_utf8(b).map_err(|_| format!("{path} is no text"))).transpose()
    }

    /// The checkpoint that is served, if it continues the remembered one.
    fn checkpoint(&mut self, memory: Option<Memory>) -> (Option<Memory>, Option<(Cosigned, Tree<'a>)>) {
        let note = match self.note("checkpoint") {
            Ok(Some(note)) => note,
            Ok(None) => {
                self.alert(Wrong::Unreachable, "", "no checkpoint is served there");
                return (memory, None);
            }
            Err(why) => {
                self.alert(Wrong::Unreachable, "", why);
                return (memory, None);
            }
        };
        let before = match memory.as_ref().map(|m| m.checkpoint(&self.ring)).transpose() {
            Ok(before) => before,
            Err(why) => {
                self.alert(Wrong::BadSignature, "memory", format!("the remembered checkpoint does not hold: {why}"));
                return (memory, None);
            }
        };
        let mut opened = self.open(&note);
        if let Err(BadCosigned::Note(BadNote::OtherKey { .. })) = opened {
            if !self.follow_key(&note, before.as_ref(), memory.as_ref().map_or(0, |m| m.read)) {
                return (memory, None);
            }
            opened = self.open(&note);
        }
        let found = match opened {
            Ok(cosigned) => cosigned,
            Err(why) => {
                let what = format!("the served checkpoint does not hold: {why}");
                self.contradiction(Wrong::BadSignature, "", what, vec![note]);
                return (memory, None);
            }
        };
        let notes = || memory.iter().map(|m| m.note.clone()).chain([note.clone()]).collect();
        let (old, new) = (before.as_ref().map_or(0, |b| b.size), found.checkpoint.size);
        if new < old {
            let what = format!("{new} records are served, and there were {old}");
            self.contradiction(Wrong::Shrink, "", what, notes());
            return (memory, None);
        }
        let fork = || {
            format!(
                "the served checkpoint of {new} records does not continue the remembered one of {old}; both are signed by the \
                 log's key"
            )
        };
        if new == old && before.as_ref().is_some_and(|b| b.root != found.checkpoint.root) {
            self.contradiction(Wrong::Fork, "", fork(), notes());
            return (memory, None);
        }
        let served: &'a Served = self.served;
        let tree = Tree::open(served, &found.checkpoint);
        let continues = tree.and_then(|tree| Ok((before.map_or(Ok(true), |b| continues(&b, &tree))?, tree)));
        let tree = match continues {
            Ok((true, tree)) => tree,
            Ok((false, _)) => {
                self.contradiction(Wrong::Fork, "", fork(), notes());
                return (memory, None);
            }
            Err(why) => {
                self.alert(Wrong::Damage, "tiles", why);
                return (memory, None);
            }
        };
        // At first sight it begins with the last bundle: what is older is for `audit verify`.
        let first = || new.saturating_sub(1) / tile::WIDTH * tile::WIDTH;
        let memory = match memory {
            Some(memory) => Memory { note, ..memory },
            None => {
                let (cosigned, keys) = (BTreeMap::new(), Vec::new());
                Memory { note, read: first(), newest: None, closed: false, cosigned, keys }
            }
        };
        (Some(memory), Some((found, tree)))
    }

    /// Looks for the changes of keys that lead to the key of a checkpoint which no known key has signed: in its tree,
    /// which must continue what was seen, from the first record on that has not been read. Each has to be signed by the
    /// old key and by the new one. Whether nothing was found that contradicts the log; what there is to say has been said.
    fn follow_key(&mut self, note: &str, before: Option<&Checkpoint>, mut next: u64) -> bool {
        // What is no checkpoint, or has no tree that it could be over, is for the signature to speak of.
        let Ok(claimed) = Checkpoint::read_cosigned(note) else { return true };
        let Ok(tree) = Tree::open(self.served, &claimed) else { return true };
        if claimed.origin != self.watch.key.name()
            || before.is_some_and(|b| b.size > claimed.size || !matches!(continues(b, &tree), Ok(true)))
        {
            return true;
        }
        while next < claimed.size {
            // Records that are not there are reported when they are read under a checkpoint that counts.
            let Ok(records) = self.served.records(&tree, next) else { return true };
            for (seq, bytes) in records {
                next = seq + 1;
                let Some(record) = Record::parse(&bytes).ok().filter(|r| r.kind == Kind::KeyRotated) else { continue };
                if !self.rotated(&record, &tree) {
                    return false;
                }
            }
        }
        true
    }

    /// Takes in a record that changes the key, if it is signed by both; else that is a fork.
    fn rotated(&mut self, record: &Record, tree: &Tree<'_>) -> bool {
        let rotation = Rotation::of_record(record).and_then(|r| Ok((r.from()?, r.to()?, r)));
        let (from, to, rotation) = match rotation {
            Ok(rotation) => rotation,
            Err(why) => return self.not_handed_over(record.seq, &why.to_string()),
        };
        // What was taken in already, and at first sight what lies before the key that was given.
        if self.ring.contains(&to) || (self.is_first && from != *self.ring.current()) {
            return true;
        }
        let entered = tree.ask(|tree| tlog_tiles::tree_hash(record.seq, tree));
        let entered = entered.and_then(|root| rotation.enter_served(&mut self.ring, root).map_err(|e| e.to_string()));
        match entered {
            Ok(()) => true,
            Err(why) => self.not_handed_over(record.seq, &why),
        }
    }

    fn not_handed_over(&mut self, seq: u64, why: &str) -> bool {
        let what = format!("record {seq} changes the key of the log, and not both keys have signed that: {why}");
        self.alert(Wrong::Fork, seq.to_string(), what);
        false
    }

    /// Reads the records that came, each shown to be in the tree.
    fn records(&mut self, memory: &mut Memory, tree: &Tree<'_>) {
        while memory.read < tree.checkpoint().size {
            let records = match self.served.records(tree, memory.read) {
                Ok(records) => records,
                Err(why) => return self.alert(Wrong::Damage, "records", why),
            };
            for (seq, bytes) in records {
                let record = match Record::parse(&bytes) {
                    Ok(record) => record,
                    Err(why) => {
                        return self.alert(Wrong::Damage, seq.to_string(), format!("record {seq} is none: {why}"));
                    }
                };
                if record.kind == Kind::GlassBroken {
                    let reason = record.body.get("reason").and_then(serde_json::Value::as_str).unwrap_or_default();
                    let (who, why) = (sanitize(&record.actor.user), sanitize(reason));
                    let what = format!("{who} broke the glass at {} (record {seq}): {why}", record.time);
                    self.alert(Wrong::GlassBroken, seq.to_string(), what);
                }
                if record.kind == Kind::KeyRotated && !self.rotated(&record, tree) {
                    return;
                }
                memory.closed = record.kind == Kind::JournalClosed;
                memory.newest = Some(record.time);
                memory.read = seq + 1;
            }
        }
    }

    /// Takes in what witnesses have signed, if it is a checkpoint of this log.
    fn witnessed(&mut self, memory: &mut Memory, tree: &Tree<'_>, cosigned: &Cosigned) {
        let theirs = &cosigned.checkpoint;
        // The note may be newer than a checkpoint that is still on its way; the next look compares it.
        if theirs.size <= tree.checkpoint().size {
            match continues(theirs, tree) {
                Ok(true) => {}
                Ok(false) => {
                    let what = format!(
                        "the log that is served does not continue the {} records that witnesses have cosigned",
                        theirs.size
                    );
                    let notes = vec![cosigned.note(), memory.note.clone()];
                    return self.contradiction(Wrong::Fork, COSIGNED, what, notes);
                }
                Err(why) => return self.alert(Wrong::Damage, "tiles", why),
            }
        }
        for one in &cosigned.by {
            let kept = memory.cosigned.entry(one.key.clone()).or_insert((theirs.size, one.time));
            if kept.1 <= one.time {
                *kept = (theirs.size, one.time);
            }
        }
    }

    /// Witnesses that have not cosigned for too long, while there is something to cosign.
    fn witnesses(&mut self, memory: &Memory, checkpoint: &Checkpoint) {
        let limit = self.watch.uncosigned;
        for key in self.watch.witnesses.iter().map(WitnessKey::id) {
            match memory.cosigned.get(&key) {
                None => self.alert(Wrong::Uncosigned, &key, format!("no cosignature by {key} is served")),
                Some((size, time)) if *size < checkpoint.size && self.age(*time) > limit => {
                    let what = format!(
                        "{key} cosigned {size} of {} records {} s ago, at most {} s are allowed",
                        checkpoint.size,
                        self.age(*time).as_secs(),
                        limit.as_secs()
                    );
                    self.alert(Wrong::Uncosigned, &key, what);
                }
                Some(_) => {}
            }
        }
    }

    fn silence(&mut self, memory: &Memory) {
        let Some(newest) = memory.newest else { return };
        let age = self.age(newest);
        if age > self.watch.stall {
            let how = if memory.closed { "the log was closed in good order, and " } else { "" };
            let what = format!(
                "{how}no record has come for {} s, since {newest}; at most {} s are allowed",
                age.as_secs(),
                self.watch.stall.as_secs()
            );
            self.alert(Wrong::Stall, "", what);
        }
    }

    /// How long ago; nothing for a moment that is still to come.
    fn age(&self, then: Timestamp) -> Duration {
        Duration::try_from(self.now.duration_since(then)).unwrap_or_default()
    }
}

/// Whether a tree begins with that of an earlier checkpoint, by a consistency proof made of its own tiles.
fn continues(before: &Checkpoint, tree: &Tree<'_>) -> Result<bool, String> {
    let after = tree.checkpoint();
    if before.size == after.size {
        return Ok(before.root == after.root);
    }
    if before.size == 0 {
        return Ok(true);
    }
    let (old, new) = (before.size, after.size);
    let proof = tree.ask(|tree| tlog_tiles::prove_tree(new, old, tree))?;
    Ok(tlog_tiles::check_tree(&proof, new, after.root, old, before.root).is_ok())
}
