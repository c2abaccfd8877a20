//! What a log says of its records that were moved to an archive: the file `pruned.json` beside those that are left. It
//! holds what the rest is verified from (the tile frontier before it, the signed checkpoint over what is gone, the
//! proofs of the keys) and names every segment that is gone with its digest and its places. A `journal.archived`
//! record in what is left names the digest of this file, so that nothing in it can be changed.

use super::checkpoint::{BadNote, Checkpoint};
use super::key::{KeyRing, VerifierKey};
use super::kind::Kind;
use super::record::Record;
use super::rotation::{BadRotation, Rotation};
use super::tile::{self, WIDTH};
use super::tree::{Frontier, Hash, record_hash};
use crate::domain::id::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// Name of the file below a journal's directory.
pub const FILE: &str = "pruned.json";

/// Version of its layout.
const FORMAT: u64 = 1;

/// Where the kind stands in a record, counted from its end.
const TAIL: usize = 160;

/// The kind as it stands in a canonical record.
const MARK: &[u8] = b"\"kind\":\"journal.archived\",\"mode\":";

/// Where a copy lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Name of the region, as the configuration has it.
    pub region: String,
    /// Directory, or bucket with its prefix.
    pub location: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::domain::text::sanitize;
        write!(f, "{} in {}", sanitize(&self.location), sanitize(&self.region))
    }
}

/// A segment that was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Number of its first record, which is its name.
    pub first: u64,
    /// Number of its last record.
    pub last: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Digest of the file.
    pub sha256: Digest,
    /// Where its copies lie.
    pub places: Vec<Place>,
}

/// A file of evidence that a moved record names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Its digest, which is its name.
    pub sha256: Digest,
    /// Its length, as the record says.
    pub bytes: Option<u64>,
    /// The record that names it first.
    pub record: u64,
    /// A moved record that tells of its deletion, where none after it captures it again.
    pub redacted: Option<u64>,
}

/// A change of keys in what was moved, with all that proves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    /// Number of records before it, and the peaks of the tree over them.
    size: u64,
    peaks: Vec<String>,
    /// The record, and the checkpoint over it, which the old key signed.
    record: String,
    note: String,
}

/// The file as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u64,
    origin: String,
    size: u64,
    /// The hashes of the last tile of each level, which is not full.
    edges: Vec<Vec<String>>,
    note: String,
    first_key: String,
    rotations: Vec<Turn>,
    segments: Vec<Segment>,
    evidence: Vec<Evidence>,
}

/// Why a file is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPruned {
    /// It is no such file.
    #[error("it can not be understood: {0}")]
    Malformed(String),
    /// A later program wrote it.
    #[error("it has format {0}, which this version of quarterdeck does not know; use a newer quarterdeck")]
    Future(u64),
    /// Its frontier does not have the root that was signed.
    #[error("its tree over {0} records does not have the root that was signed")]
    OtherRoot(u64),
    /// The signature under its checkpoint does not hold.
    #[error("its checkpoint: {0}")]
    Note(BadNote),
    /// A change of keys that it tells of is not proven.
    #[error("a change of keys in it: {0}")]
    Rotation(BadRotation),
    /// What it lists does not fit together.
    #[error("{0}")]
    List(String),
}

/// What was moved, read and with its parts in agreement. Whether the log names it is still to be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    stored: Stored,
    tree: Frontier,
    edges: Vec<Vec<Hash>>,
    ring: KeyRing,
    digest: Digest,
}

impl Pruned {
    /// Reads the bytes of a file.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadPruned> {
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let malformed = |e: serde_json::Error| BadPruned::Malformed(e.to_string());
        let Version { format } = serde_json::from_slice(bytes).map_err(malformed)?;
        if format != FORMAT {
            return Err(BadPruned::Future(format));
        }
        let stored: Stored = serde_json::from_slice(bytes).map_err(malformed)?;
        let edges: Option<Vec<Vec<Hash>>> = stored.edges.iter().map(|edge| hashes(edge)).collect();
        let edges = edges.ok_or_else(|| BadPruned::Malformed("its frontier".into()))?;
        let size = stored.size;
        let tree = tile::frontier(size, &edges).ok_or(BadPruned::OtherRoot(size))?;
        let ring = ring(&stored)?;
        let signed = Checkpoint::open(&stored.note, ring.at(size)).map_err(BadPruned::Note)?;
        if (signed.size, signed.root) != (size, tree.root()) {
            return Err(BadPruned::OtherRoot(size));
        }
        if signed.origin != stored.origin {
            return Err(BadPruned::List("it names another log than its checkpoint".into()));
        }
        check_list(&stored)?;
        Ok(Self { tree, edges, ring, digest: super::snapshot::digest(bytes), stored })
    }

    /// Name of the log.
    pub fn origin(&self) -> &str {
        &self.stored.origin
    }

    /// Number of records that were moved: all before the first that is left.
    pub const fn size(&self) -> u64 {
        self.stored.size
    }

    /// The tree over them.
    pub const fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The hashes of the last tile of each level, which is not full.
    pub fn edges(&self) -> &[Vec<Hash>] {
        &self.edges
    }

    /// The keys up to there.
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The signed checkpoint over them.
    pub fn note(&self) -> &str {
        &self.stored.note
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.stored.segments
    }

    /// The evidence that they name.
    pub fn evidence(&self) -> &[Evidence] {
        &self.stored.evidence
    }

    /// Digest of the file.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Where they lie, each place once.
    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.stored.segments.iter().flat_map(|s| s.places.iter().cloned()).collect();
        places.sort();
        places.dedup();
        places
    }

    /// The same for a sentence about one record.
    pub fn place_of(&self, seq: u64) -> String {
        let segment = self.stored.segments.iter().find(|s| (s.first..=s.last).contains(&seq));
        let places = segment.map(|s| s.places.iter().map(ToString::to_string).collect::<Vec<_>>());
        places.unwrap_or_default().join(" and ")
    }

    /// Whether a stored record names this file; anything else is passed over cheaply.
    pub fn is_named_by(&self, record: &[u8]) -> bool {
        named(record).is_some_and(|(size, digest)| size == self.stored.size && digest == self.digest)
    }

    /// The body of the `journal.archived` record that names it, with the segments from `first` on.
    pub fn body(&self, first: u64) -> Value {
        let segments = self.stored.segments.iter().filter(|s| s.first >= first);
        let listed = segments.map(|s| json!({ "first": s.first, "last": s.last, "sha256": s.sha256 }));
        let places: Vec<String> = self.places().iter().map(ToString::to_string).collect();
        json!({
            "file": FILE, "size": self.stored.size, "sha256": self.digest, "places": places,
            "segments": listed.collect::<Vec<_>>(),
        })
    }

    /// Whether it says the same as `earlier` of everything that `earlier` names.
    pub fn continues(&self, earlier: &Self) -> bool {
        self.origin() == earlier.origin() && self.segments().starts_with(earlier.segments())
    }
}

/// Size and digest that a `journal.archived` record names.
fn named(record: &[u8]) -> Option<(u64, Digest)> {
    let tail = record.get(record.len().saturating_sub(TAIL)..)?;
    memchr::memmem::find(tail, MARK)?;
    let record = Record::parse(record).ok().filter(|r| r.kind == Kind::JournalArchived)?;
    let digest = Digest::parse(record.body.get("sha256")?.as_str()?)?;
    Some((record.body.get("size")?.as_u64()?, digest))
}

fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    texts.iter().map(|text| Hash::parse_hash(text).ok()).collect()
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}

/// The keys, each one proven by both of its rotation's signatures.
fn ring(stored: &Stored) -> Result<KeyRing, BadPruned> {
    let first: Result<VerifierKey, _> = stored.first_key.parse();
    let mut ring = KeyRing::of(first.map_err(|e| BadPruned::Malformed(e.to_string()))?);
    for turn in &stored.rotations {
        let peaks = hashes(&turn.peaks).and_then(|peaks| Frontier::of(turn.size, peaks));
        let before = peaks.ok_or(BadPruned::OtherRoot(turn.size))?;
        let mut after = before.clone();
        after.append(turn.record.as_bytes());
        let signed = Checkpoint::open(&turn.note, ring.current()).map_err(BadPruned::Note)?;
        if (signed.size, signed.root) != (after.size(), after.root()) || after.size() > stored.size {
            return Err(BadPruned::OtherRoot(after.size()));
        }
        let rotation = Rotation::of_batch(std::iter::once(turn.record.as_bytes())).map_err(BadPruned::Rotation)?;
        let rotation = rotation.ok_or_else(|| BadPruned::Malformed("a change of keys is none".into()))?;
        rotation.enter(&mut ring, before.root()).map_err(BadPruned::Rotation)?;
    }
    Ok(ring)
}

/// The segments follow each other from the first record to the last that was moved.
fn check_list(stored: &Stored) -> Result<(), BadPruned> {
    let mut next = 0;
    let digests = stored.segments.iter().map(|s| &s.sha256).chain(stored.evidence.iter().map(|e| &e.sha256));
    if let Some(other) = digests.into_iter().find(|d| Digest::parse(d.as_str()).is_none()) {
        let other = crate::domain::text::sanitize(other.as_str());
        return Err(BadPruned::List(format!("it names `{other}`, which is no digest")));
    }
    for segment in &stored.segments {
        if segment.first != next || segment.last < segment.first {
            let why =
                format!("it lists the segment of record {} where that of record {next} was to come", segment.first);
            return Err(BadPruned::List(why));
        }
        if segment.places.is_empty() {
            return Err(BadPruned::List(format!("it does not say where the segment of record {next} lies")));
        }
        next = segment.last.saturating_add(1);
    }
    if next == 0 || next != stored.size {
        let why = format!("it lists segments up to record {next}, and its checkpoint covers {} records", stored.size);
        return Err(BadPruned::List(why));
    }
    Ok(())
}

/// Makes the file, batch by batch and segment by segment.
#[derive(Clone, Debug)]
pub struct Builder {
    stored: Stored,
    tree: Frontier,
    edges: Vec<Vec<Hash>>,
}

impl Builder {
    /// Begins with the first record of a log that was made with this key.
    pub fn new(first_key: &VerifierKey) -> Self {
        let stored = Stored {
            format: FORMAT,
            origin: first_key.name().to_owned(),
            size: 0,
            edges: vec![],
            note: String::new(),
            first_key: first_key.as_str().to_owned(),
            rotations: vec![],
            segments: vec![],
            evidence: vec![],
        };
        Self { stored, tree: Frontier::default(), edges: vec![] }
    }

    /// Goes on after what was moved before.
    pub fn from(pruned: &Pruned) -> Self {
        Self { stored: pruned.stored.clone(), tree: pruned.tree.clone(), edges: pruned.edges.clone() }
    }

    /// The tree so far.
    pub const fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// Takes in the records of a batch that was verified, and its note.
    pub fn take<'a>(&mut self, records: impl ExactSizeIterator<Item = &'a [u8]> + Clone, note: &str) {
        if matches!(Rotation::of_batch(records.clone()), Ok(Some(_)))
            && let Some(record) = records.clone().next()
        {
            self.stored.rotations.push(Turn {
                size: self.tree.size(),
                peaks: texts(self.tree.peaks()),
                record: String::from_utf8_lossy(record).into_owned(),
                note: note.to_owned(),
            });
        }
        for record in records {
            self.note_evidence(record);
            let leaf = record_hash(record);
            self.tree.append_hash(leaf);
            push(&mut self.edges, 0, leaf);
        }
        note.clone_into(&mut self.stored.note);
    }

    /// Remembers what a record says of a file of evidence.
    fn note_evidence(&mut self, record: &[u8]) {
        let Some((seq, sha256, bytes, is_deleted)) = super::evidence::told(record) else { return };
        let known = self.stored.evidence.iter_mut().find(|e| e.sha256 == sha256);
        match (known, is_deleted) {
            (Some(known), deleted) => known.redacted = deleted.then_some(seq),
            (None, true) => {}
            (None, false) => self.stored.evidence.push(Evidence { sha256, bytes, record: seq, redacted: None }),
        }
    }

    /// The evidence so far.
    pub fn evidence(&self) -> &[Evidence] {
        &self.stored.evidence
    }

    /// The segment that the last batches lie in ends here.
    pub fn end(&mut self, bytes: u64, sha256: Digest, places: Vec<Place>) {
        let first = self.stored.segments.last().map_or(0, |s| s.last + 1);
        let last = self.tree.size().saturating_sub(1);
        self.stored.segments.push(Segment { first, last, bytes, sha256, places });
        self.stored.size = self.tree.size();
    }

    /// The bytes of the file.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let edges = self.edges.iter().map(|edge| texts(edge)).collect();
        let mut bytes = serde_json::to_vec_pretty(&Stored { edges, ..self.stored.clone() })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Appends a hash to the edge of a level, and what a full tile hashes to to the level above.
fn push(edges: &mut Vec<Vec<Hash>>, level: usize, hash: Hash) {
    if edges.len() <= level {
        edges.push(vec![]);
    }
    let Some(edge) = edges.get_mut(level) else { return };
    edge.push(hash);
    if edge.len() as u64 == WIDTH {
        let above = tile::subtree(edge);
        edge.clear();
        push(edges, level + 1, above);
    }
}
