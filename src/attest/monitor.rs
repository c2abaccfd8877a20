//! What `audit monitor` looks for in a served log, one look at a time: a log that shrinks, forks, falls silent or
//! loses its witnesses, a signature or a tile that does not hold, and a broken glass. What it remembers between two
//! looks is plain data, so that a restart forgets nothing.

use super::served::{Served, Tree};
use super::witness::COSIGNED;
use crate::domain::text::sanitize;
use crate::journal::Kind;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::cosignature::{self, Cosigned, WitnessKey};
use crate::journal::key::VerifierKey;
use crate::journal::record::Record;
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
    alerts: Vec<Alert>,
}

/// Looks once. The memory that comes back is the old one where nothing new could be believed.
pub fn look(watch: &Watch, served: &Served, memory: Option<Memory>, now: Timestamp) -> (Option<Memory>, Vec<Alert>) {
    let mut look = Look { watch, served, now, alerts: Vec::new() };
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
        let cosigned = self.cosigned();
        let (memory, found) = self.checkpoint(memory);
        let mut memory = memory?;
        if let Some((found, tree)) = found {
            self.records(&mut memory, &tree);
            // A checkpoint that was exported has its cosignatures itself.
            for cosigned in cosigned.iter().chain([&found]) {
                self.witnessed(&mut memory, &tree, cosigned);
            }
            self.witnesses(&memory, &found.checkpoint);
        }
        self.silence(&memory);
        Some(memory)
    }

    /// The newest note with cosignatures, where one is served and witnesses are asked for.
    fn cosigned(&mut self) -> Option<Cosigned> {
        if self.watch.witnesses.is_empty() {
            return None;
        }
        // Where it is not served the missing cosignatures say so.
        let note = self.note(COSIGNED).ok()??;
        match cosignature::open(&note, &self.watch.key, &self.watch.witnesses) {
            Ok(cosigned) => Some(cosigned),
            Err(why) => {
                self.alert(Wrong::BadSignature, COSIGNED, format!("the cosigned checkpoint does not hold: {why}"));
                None
            }
        }
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
        let found = match cosignature::open(&note, &self.watch.key, &self.watch.witnesses) {
            Ok(cosigned) => cosigned,
            Err(why) => {
                let what = format!("the served checkpoint does not hold: {why}");
                self.contradiction(Wrong::BadSignature, "", what, vec![note]);
                return (memory, None);
            }
        };
        let before = memory.as_ref().map(|m| Checkpoint::open_cosigned(&m.note, &self.watch.key)).transpose();
        let before = match before {
            Ok(before) => before,
            Err(why) => {
                self.alert(Wrong::BadSignature, "memory", format!("the remembered checkpoint does not hold: {why}"));
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
            None => Memory { note, read: first(), newest: None, closed: false, cosigned: BTreeMap::new() },
        };
        (Some(memory), Some((found, tree)))
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
