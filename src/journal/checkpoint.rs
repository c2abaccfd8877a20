//! Signed checkpoints: C2SP tlog-checkpoint text (origin, size, root) in a C2SP signed note with one Ed25519
//! signature by the log's key. Any tool that reads those formats can check one.

use super::key::{LogKey, VerifierKey};
use super::tree::Hash;
use signed_note::Note;

/// What a log says of itself at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Name of the log, which is the name of its key too.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// Why a note is no checkpoint of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// Not a note, or not a checkpoint.
    #[error("it is no signed checkpoint ({0})")]
    Malformed(&'static str),
    /// Signed by a key other than the one asked for.
    #[error("it is not signed by the key {expected}")]
    OtherKey {
        /// Name and id of the key asked for.
        expected: String,
    },
    /// The key is named but the signature is not its.
    #[error("its signature is not valid")]
    Signature,
}

impl Checkpoint {
    /// The text that is signed: three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// The checkpoint as a note signed with the log's key.
    pub fn sign(&self, key: &LogKey) -> Result<String, BadNote> {
        key.sign(&self.text())
    }

    /// Reads a note without looking at its signature.
    pub fn read(note: &str) -> Result<Self, BadNote> {
        Self::of(&parse(note)?)
    }

    /// As [`Checkpoint::read`], with any number of signatures.
    pub fn read_cosigned(note: &str) -> Result<Self, BadNote> {
        Self::of(&parse_any(note)?)
    }

    /// Reads a note that has exactly one signature, by this key.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, BadNote> {
        Self::verified(&parse(note)?, key)
    }

    /// Reads a note that this key signed and that others may have signed too; theirs are not looked at.
    pub fn open_cosigned(note: &str, key: &VerifierKey) -> Result<Self, BadNote> {
        Self::verified(&parse_any(note)?, key)
    }

    fn verified(parsed: &Note, key: &VerifierKey) -> Result<Self, BadNote> {
        parsed.verify(key).map_err(|e| match e {
            signed_note::NoteError::InvalidSignature { .. } => BadNote::Signature,
            _ => BadNote::OtherKey { expected: key.id() },
        })?;
        let checkpoint = Self::of(parsed)?;
        if checkpoint.origin == key.name() { Ok(checkpoint) } else { Err(BadNote::OtherKey { expected: key.id() }) }
    }

    fn of(note: &Note) -> Result<Self, BadNote> {
        let text = tlog_tiles::Checkpoint::from_bytes(note.text()).map_err(|_| BadNote::Malformed("its text"))?;
        if !text.extension().is_empty() {
            return Err(BadNote::Malformed("it has lines after the root"));
        }
        Ok(Self { origin: text.origin().to_owned(), size: text.size(), root: *text.hash() })
    }
}

/// Parses a note with one signature, written in its only form.
fn parse(note: &str) -> Result<Note, BadNote> {
    let signatures = note.rsplit_once("\n\n").map_or(0, |(_, lines)| lines.lines().count());
    let parsed = parse_any(note)?;
    if signatures == 1 { Ok(parsed) } else { Err(BadNote::Malformed("it has not exactly one signature")) }
}

/// Parses a note with any number of signatures, written in its only form.
fn parse_any(note: &str) -> Result<Note, BadNote> {
    let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| BadNote::Malformed("its form"))?;
    if parsed.to_bytes() == note.as_bytes() { Ok(parsed) } else { Err(BadNote::Malformed("its encoding")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tree::{EMPTY_HASH, record_hash};

    fn key() -> LogKey {
        LogKey::generate("example.com/log").unwrap()
    }

    /// The example note of golang.org/x/mod/sumdb/note (also in the README of the `signed_note` crate).
    #[test]
    fn a_verifier_key_of_another_implementation_is_read() {
        let vkey: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\n\
            — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(parse(note).unwrap().verify(&vkey).is_ok());
        assert_eq!(Checkpoint::open(note, &vkey), Err(BadNote::Malformed("its text")));
    }

    #[test]
    fn a_checkpoint_goes_there_and_back() {
        let key = key();
        let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 3, root: record_hash(b"x") };
        let note = checkpoint.sign(&key).unwrap();
        assert!(note.starts_with("example.com/log\n3\n"), "{note}");
        assert_eq!(Checkpoint::open(&note, key.verifier()), Ok(checkpoint.clone()));
        assert_eq!(Checkpoint::read(&note), Ok(checkpoint));
    }

    #[test]
    fn every_changed_bit_of_a_note_is_noticed() {
        let key = key();
        let note = Checkpoint { origin: "example.com/log".into(), size: 3, root: EMPTY_HASH }.sign(&key).unwrap();
        let mut tried = 0;
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert!(Checkpoint::open(&text, key.verifier()).is_err(), "byte {at} bit {bit}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 1_000, "{tried}");
    }

    #[test]
    fn other_keys_and_more_signatures_are_refused() {
        let (key, other) = (key(), key());
        let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 0, root: EMPTY_HASH };
        let note = checkpoint.sign(&key).unwrap();
        assert!(matches!(Checkpoint::open(&note, other.verifier()), Err(BadNote::OtherKey { .. })));
        let other_note = checkpoint.sign(&other).unwrap();
        let second = other_note.lines().last().unwrap();
        let both = format!("{note}{second}\n");
        assert_eq!(
            Checkpoint::open(&both, key.verifier()),
            Err(BadNote::Malformed("it has not exactly one signature"))
        );
        let foreign = Checkpoint { origin: "example.com/elsewhere".into(), size: 0, root: EMPTY_HASH };
        assert!(matches!(
            Checkpoint::open(&foreign.sign(&key).unwrap(), key.verifier()),
            Err(BadNote::OtherKey { .. })
        ));
    }
}
