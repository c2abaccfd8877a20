//! What the first record of a segment says when the segment before it could not be written any more: how much of
//! that one counts. Whatever lies after that was never acknowledged, and stands again in the new segment if
//! anybody had asked for it.

use crate::journal::kind::Kind;
use crate::journal::record::Record;
use serde_json::{Value, json};

/// The part of a segment that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its name below the journal's directory.
    pub segment: String,
    /// Length in bytes of what counts in it.
    pub length: u64,
    /// Number of records of the log up to there.
    pub size: u64,
    /// Root over them, base64.
    pub root: String,
}

impl Accepted {
    /// Body of the `journal.recovered` record that begins the next segment: `why` the segment was left, and the
    /// signed checkpoint after its end that does not count, if there is one.
    pub fn body(&self, why: &str, superseded: Option<&str>, again: usize) -> Value {
        let Self { segment, length, size, root } = self;
        json!({
            "segment": segment, "length": length, "size": size, "root": root, "why": why,
            "superseded": superseded, "again": again,
        })
    }

    /// Reads it from the first record of a segment, if that is such a one.
    pub fn read(record: &[u8]) -> Option<Self> {
        let Record { kind: Kind::JournalRecovered, body, seq, .. } = Record::parse(record).ok()? else { return None };
        let text = |member: &str| body.get(member).and_then(Value::as_str).map(str::to_owned);
        let number = |member: &str| body.get(member).and_then(Value::as_u64);
        let (segment, root) = (text("segment")?, text("root")?);
        let found = Self { segment, length: number("length")?, size: number("size")?, root };
        (found.size == seq).then_some(found)
    }
}
