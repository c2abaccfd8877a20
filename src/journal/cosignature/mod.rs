//! Cosignatures: what witnesses say of a checkpoint, per C2SP tlog-cosignature, in both of its forms: Ed25519
//! (`cosignature/v1`) and ML-DSA-44 (`subtree/v1`). Pure. The witness client, the monitor and whoever verifies a
//! proof or a kept checkpoint offline call it; asking witnesses is for `attest::witness`.

mod key;
#[cfg(test)]
mod tests;

pub use key::{Algorithm, WitnessKey};

use super::checkpoint::{BadNote, Checkpoint};
use super::key::VerifierKey;
use jiff::Timestamp;
use signed_note::{Signature, Verifiers as _};

/// Bytes before the signature proper: the time, a big-endian number of seconds.
const TIME_LEN: usize = 8;

/// One witness's valid signature over a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Name and id of the witness's key, as [`WitnessKey::id`] gives them.
    pub key: String,
    /// When the witness says that it signed, to the second.
    pub time: Timestamp,
    /// The signature's line in the note, with its newline.
    line: String,
}

/// A checkpoint that the log has signed, with those signatures of known witnesses that are under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cosigned {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// At most one for each key, in the order of the note.
    pub by: Vec<Cosignature>,
    /// The line of the log's own signature, with its newline.
    log: String,
}

/// Why a note with cosignatures is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCosigned {
    /// It is no checkpoint of the log.
    #[error(transparent)]
    Note(#[from] BadNote),
    /// A known witness is named and the signature is not its.
    #[error("the cosignature of {key} is not valid")]
    Signature {
        /// Name and id of the key.
        key: String,
    },
    /// A witness may sign a checkpoint once in a note: two times of signing can not both be the one.
    #[error("there are two cosignatures of {key}")]
    Twice {
        /// Name and id of the key.
        key: String,
    },
    /// A time that the specification does not allow, or that no clock shows.
    #[error("the cosignature of {key} has the time {time}, which is none (0) or no moment before the year 10000")]
    Time {
        /// Name and id of the key.
        key: String,
        /// Seconds since 1970.
        time: u64,
    },
    /// Two checkpoints that are not the same can not share their signatures.
    #[error("the cosignatures are for another checkpoint")]
    OtherCheckpoint,
}

impl Cosigned {
    /// The note in its only form: the log's signature first, then those of the witnesses.
    pub fn note(&self) -> String {
        let mut note = format!("{}\n{}", self.checkpoint.text(), self.log);
        for cosignature in &self.by {
            note.push_str(&cosignature.line);
        }
        note
    }

    /// Takes over the cosignatures of another note of the same checkpoint; of two by one key the later stays.
    pub fn merge(&mut self, other: Self) -> Result<(), BadCosigned> {
        if self.checkpoint != other.checkpoint {
            return Err(BadCosigned::OtherCheckpoint);
        }
        for new in other.by {
            match self.by.iter_mut().find(|old| old.key == new.key) {
                Some(old) if old.time < new.time => *old = new,
                Some(_) => {}
                None => self.by.push(new),
            }
        }
        Ok(())
    }

    /// The cosignature by a key, if it is there.
    pub fn by(&self, key: &WitnessKey) -> Option<&Cosignature> {
        let id = key.id();
        self.by.iter().find(|c| c.key == id)
    }
}

/// Opens a checkpoint note with any number of signatures: exactly one must be by the log's key, each one by a given
/// witness must be valid, and those by other keys are passed over, as C2SP signed-note asks. Whether the times are
/// plausible *now* is for the caller to say, who has a clock.
pub fn open(note: &str, log: &VerifierKey, witnesses: &[WitnessKey]) -> Result<Cosigned, BadCosigned> {
    let checkpoint = Checkpoint::open_cosigned(note, log)?;
    let signatures = signatures(note)?;
    let mut own = signatures.iter().filter(|s| log.verifier(s.name(), s.id()).is_ok());
    let (Some(line), None) = (own.next().map(line_of), own.next()) else {
        return Err(BadNote::Malformed("it has the log's signature twice").into());
    };
    let text = checkpoint.text();
    let mut cosigned = Cosigned { checkpoint, by: vec![], log: line };
    for signature in signatures {
        let Some(key) = witnesses.iter().find(|k| k.made(&signature)) else { continue };
        let id = key.id();
        if cosigned.by.iter().any(|c| c.key == id) {
            return Err(BadCosigned::Twice { key: id });
        }
        let (time, bytes) = split(&signature, &id)?;
        if !key.verifies(&cosigned.checkpoint, &text, time, bytes) {
            return Err(BadCosigned::Signature { key: id });
        }
        let seconds = i64::try_from(time).ok().filter(|s| *s > 0);
        let Some(at) = seconds.and_then(|s| Timestamp::from_second(s).ok()) else {
            return Err(BadCosigned::Time { key: id, time });
        };
        cosigned.by.push(Cosignature { key: id, time: at, line: line_of(&signature) });
    }
    Ok(cosigned)
}

/// The signature lines of a note, or of a witness's answer: nothing but lines of signatures.
fn signatures(note: &str) -> Result<Vec<Signature>, BadNote> {
    let lines = note.rsplit_once("\n\n").map_or(note, |(_, lines)| lines);
    let parsed = lines.lines().map(|line| Signature::from_bytes(line.as_bytes()));
    parsed.collect::<Result<_, _>>().map_err(|_| BadNote::Malformed("a line of its signatures"))
}

/// Whether a text is what a witness may answer: one or more lines of signatures and nothing else.
pub fn is_answer(text: &str) -> bool {
    text.ends_with('\n') && !text.contains("\n\n") && signatures(text).is_ok_and(|s| !s.is_empty())
}

/// A signature's line in its only encoding, with its newline.
fn line_of(signature: &Signature) -> String {
    String::from_utf8_lossy(&signature.to_bytes()).into_owned()
}

/// The time and the signature proper.
fn split<'a>(signature: &'a Signature, key: &str) -> Result<(u64, &'a [u8]), BadCosigned> {
    let parts = signature.signature().split_first_chunk::<TIME_LEN>();
    let (time, bytes) = parts.ok_or_else(|| BadCosigned::Signature { key: key.to_owned() })?;
    Ok((u64::from_be_bytes(*time), bytes))
}
