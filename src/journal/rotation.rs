//! How a log changes its key. A `key.rotated` record is alone in its batch. The old key signs the checkpoint of that
//! batch, and so the record; the new key has signed the checkpoint before it, which the record carries: it is held
//! by whoever rotates, and it vouches for everything that it did not sign itself. Every later checkpoint is the new
//! key's. Both signatures are plain C2SP notes, which any tool checks. For those who see the tiles of a log and not its
//! commit lines, the record also carries the handover: a note by the old key that names the new one and the tree before.

use super::checkpoint::{BadNote, Checkpoint};
use super::key::{KeyRing, LogKey, VerifierKey};
use super::kind::Kind;
use super::record::Record;
use super::tree::Hash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the kind stands in a record, counted from its end: after it come only mode, number, time and version, none of
/// which a writer outside chooses.
const TAIL: usize = 160;

/// The word as it stands in a canonical record.
const MARK: &[u8] = b"\"kind\":\"key.rotated\",\"mode\":";

/// What the body of a `key.rotated` record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Body {
    /// The key in force so far.
    from: String,
    /// The key from here on.
    to: String,
    /// The checkpoint over all records before this one, signed by the new key.
    checkpoint: String,
    /// The note by which the old key names the new one; records of earlier programs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handover: Option<String>,
}

/// First line of a handover. No log can have this name, so that a handover is nobody's checkpoint.
const HANDOVER: &str = "quarterdeck key rotation v1";

/// What the old key signs: the log, the tree before the record, and the key that follows.
fn handover(before: &Checkpoint, to: &VerifierKey) -> String {
    format!("{HANDOVER}\n{}\n{}\n{}\n{}\n", before.origin, before.size, before.root, to.as_str())
}

/// Why a `key.rotated` record puts no key in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRotation {
    /// It does not say what it must.
    #[error("the `key.rotated` record can not be understood: {0}")]
    Malformed(String),
    /// It starts from another key.
    #[error("the `key.rotated` record replaces the key {found}, and {expected} is in force")]
    OtherKey {
        /// Named in it.
        found: String,
        /// In force.
        expected: String,
    },
    /// The new key has not signed for the log so far.
    #[error("the `key.rotated` record is not signed by its new key: {0}")]
    Unsigned(BadNote),
    /// What the new key has signed is something else.
    #[error("the new key of the `key.rotated` record signed for another log than this one")]
    OtherTree,
    /// The old key has not handed over, or to another key.
    #[error("the `key.rotated` record has no handover that the old key {0} signed for this log and this new key")]
    NotHandedOver(String),
}

/// A change of keys as a record tells it, not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// Number of its record.
    seq: u64,
    body: Body,
}

impl Rotation {
    /// The body of the record that follows the checkpoint `before` and hands over to the key `to`.
    pub fn draft(before: &Checkpoint, from: &LogKey, to: &LogKey) -> Result<Value, BadNote> {
        let checkpoint = before.sign(to)?;
        let handover = Some(from.sign(&handover(before, to.verifier()))?);
        let (from, to) = (from.verifier().as_str().to_owned(), to.verifier().as_str().to_owned());
        let body = Body { from, to, checkpoint, handover };
        serde_json::to_value(body).map_err(|_| BadNote::Malformed("its encoding"))
    }

    /// The rotation that a batch is, if it is one. Cheap for every other batch.
    pub fn of_batch<'a>(mut records: impl ExactSizeIterator<Item = &'a [u8]>) -> Result<Option<Self>, BadRotation> {
        if records.len() != 1 {
            return Ok(None);
        }
        let Some(bytes) = records.next() else { return Ok(None) };
        let tail = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        if !tail.windows(MARK.len()).any(|w| w == MARK) {
            return Ok(None);
        }
        let record = Record::parse(bytes).map_err(|e| BadRotation::Malformed(e.to_string()))?;
        if record.kind == Kind::KeyRotated { Self::of_record(&record).map(Some) } else { Ok(None) }
    }

    /// The rotation that a record tells of.
    pub fn of_record(record: &Record) -> Result<Self, BadRotation> {
        let body = Body::deserialize(&record.body).map_err(|e| BadRotation::Malformed(e.to_string()))?;
        Ok(Self { seq: record.seq, body })
    }

    /// The key that it replaces.
    pub fn from(&self) -> Result<VerifierKey, BadRotation> {
        self.body.from.parse().map_err(|e: super::key::BadKey| BadRotation::Malformed(e.to_string()))
    }

    /// The key that it puts in force.
    pub fn to(&self) -> Result<VerifierKey, BadRotation> {
        self.body.to.parse().map_err(|e: super::key::BadKey| BadRotation::Malformed(e.to_string()))
    }

    /// Puts its key in force, when both keys say so. The batch that it is must be signed by the key that `ring` has
    /// for it, which is for the caller to check; `root` is the root over the records before it.
    pub fn enter(&self, ring: &mut KeyRing, root: Hash) -> Result<(), BadRotation> {
        let (from, to) = (self.from()?, self.to()?);
        if from != *ring.current() {
            return Err(BadRotation::OtherKey { found: from.id(), expected: ring.current().id() });
        }
        let signed = Checkpoint::open(&self.body.checkpoint, &to).map_err(BadRotation::Unsigned)?;
        if signed.origin != from.name() || signed.size != self.seq || signed.root != root || ring.contains(&to) {
            return Err(BadRotation::OtherTree);
        }
        if let Some(note) = &self.body.handover
            && !from.has_signed(note, &handover(&signed, &to))
        {
            return Err(BadRotation::NotHandedOver(from.id()));
        }
        ring.rotate(self.seq + 1, to);
        Ok(())
    }

    /// As [`Rotation::enter`], for those who do not see the commit line that the old key signed: the record itself has
    /// to have the old key's handover.
    pub fn enter_served(&self, ring: &mut KeyRing, root: Hash) -> Result<(), BadRotation> {
        if self.body.handover.is_none() {
            return Err(BadRotation::NotHandedOver(ring.current().id()));
        }
        self.enter(ring, root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::record::{Ready, tests::draft};
    use crate::journal::tree::record_hash;

    struct Case {
        old: LogKey,
        new: LogKey,
        before: Checkpoint,
    }

    fn case() -> Case {
        let key = || LogKey::generate("log").unwrap();
        let before = Checkpoint { origin: "log".into(), size: 7, root: record_hash(b"x") };
        Case { old: key(), new: key(), before }
    }

    fn written(body: Value, seq: u64) -> Vec<u8> {
        let mut bytes = vec![];
        Ready::new(draft(Kind::KeyRotated, body)).unwrap().write(seq, &mut bytes);
        bytes
    }

    fn enter(case: &Case, body: Value, seq: u64) -> Result<KeyRing, BadRotation> {
        let bytes = written(body, seq);
        let rotation = Rotation::of_batch([&*bytes].into_iter())?.expect("a rotation");
        let mut ring = KeyRing::of(case.old.verifier().clone());
        rotation.enter(&mut ring, case.before.root).map(|()| ring)
    }

    #[test]
    fn a_rotation_that_both_keys_signed_puts_the_new_one_in_force() {
        let case = case();
        let body = Rotation::draft(&case.before, &case.old, &case.new).unwrap();
        let ring = enter(&case, body.clone(), 7).unwrap();
        assert_eq!((ring.at(8), ring.at(9)), (case.old.verifier(), case.new.verifier()));
        let (one, other) = (written(body, 7), written(serde_json::json!({}), 8));
        assert_eq!(Rotation::of_batch([&*one, &*other].into_iter()), Ok(None), "it must be alone in its batch");
    }

    #[test]
    fn a_word_in_a_note_rotates_nothing() {
        let mut bytes = vec![];
        let text =
            serde_json::json!({ "kind": "key.rotated", "mode": "x", "text": "\"kind\":\"key.rotated\",\"mode\":" });
        Ready::new(draft(Kind::NoteAdded, text)).unwrap().write(7, &mut bytes);
        assert_eq!(Rotation::of_batch([&*bytes].into_iter()), Ok(None));
    }

    #[test]
    fn anything_else_is_refused() {
        let case = case();
        let body = |before: &Checkpoint, from: &LogKey, to: &LogKey| Rotation::draft(before, from, to).unwrap();
        let other = Checkpoint { root: record_hash(b"y"), ..case.before.clone() };
        assert_eq!(enter(&case, body(&other, &case.old, &case.new), 7), Err(BadRotation::OtherTree));
        assert_eq!(enter(&case, body(&case.before, &case.old, &case.new), 8), Err(BadRotation::OtherTree));
        assert_eq!(enter(&case, body(&case.before, &case.old, &case.old), 7), Err(BadRotation::OtherTree));
        let from_new = enter(&case, body(&case.before, &case.new, &case.new), 7);
        assert!(matches!(from_new, Err(BadRotation::OtherKey { .. })), "{from_new:?}");
        let mut swapped = body(&case.before, &case.old, &case.new);
        swapped["checkpoint"] = case.before.sign(&case.old).unwrap().into();
        assert!(matches!(enter(&case, swapped, 7), Err(BadRotation::Unsigned(_))));
        let elsewhere = LogKey::generate("elsewhere").unwrap();
        assert!(enter(&case, body(&case.before, &case.old, &elsewhere), 7).is_err());
        assert!(matches!(enter(&case, serde_json::json!({}), 7), Err(BadRotation::Malformed(_))));
        // Without a handover, as earlier programs wrote it, the commit line has to do; with one it has to be true.
        let mut plain = body(&case.before, &case.old, &case.new);
        plain.as_object_mut().unwrap().remove("handover");
        assert!(enter(&case, plain.clone(), 7).is_ok());
        let bytes = written(plain.clone(), 7);
        let rotation = Rotation::of_batch([&*bytes].into_iter()).unwrap().unwrap();
        let mut ring = KeyRing::of(case.old.verifier().clone());
        let served = rotation.enter_served(&mut ring, case.before.root);
        assert_eq!(served, Err(BadRotation::NotHandedOver(case.old.verifier().id())));
        let third = LogKey::generate("log").unwrap();
        for (before, from, to) in
            [(&case.before, &case.old, &third), (&other, &case.old, &case.new), (&case.before, &third, &case.new)]
        {
            plain["handover"] = body(before, from, to)["handover"].clone();
            assert!(matches!(enter(&case, plain.clone(), 7), Err(BadRotation::NotHandedOver(_))));
        }
    }
}
