//! The C2SP tlog-proof file (<https://c2sp.org/tlog-proof>): the number of a record, its inclusion proof and the
//! signed checkpoint. It is checked without the log.

use crate::journal::cosignature::{self, BadCosigned, Cosigned, WitnessKey};
use crate::journal::key::VerifierKey;
use crate::journal::tile::MAX_TREE;
use crate::journal::tree::Hash;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt;

/// First line of the file.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Greatest length of a file that is read: the hashes take 2 KiB and an ML-DSA-44 cosignature 3.3 KiB.
const MAX_BYTES: usize = 1 << 18;

/// More hashes than this no proof has.
const MAX_HASHES: usize = 63;

/// What the line of the number must be.
const INDEX: &str = "`index` and the number of a record";

/// What each line after it must be.
const HASH: &str = "a SHA-256 hash in base64, nor the empty line after at most 63 of them";

/// Why a file proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// Too long to be one.
    #[error("it has {0} bytes, and a proof has at most {MAX_BYTES}")]
    TooLong(usize),
    /// Another format.
    #[error("it is no tlog-proof: its first line is not `{HEADER}`")]
    Header,
    /// A line of another form.
    #[error("line {line} is not {expected}")]
    Line {
        /// Number, from 1 on.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// The checkpoint in it is none of the log that the key belongs to.
    #[error("its checkpoint can not be used: {0}")]
    Checkpoint(#[from] BadCosigned),
    /// The record is not in the tree.
    #[error("record {seq} is beyond the {size} records of its checkpoint")]
    Beyond {
        /// The record.
        seq: u64,
        /// Size of the tree.
        size: u64,
    },
    /// The hashes do not lead from the record to the root.
    #[error("it does not prove this record: the hashes do not lead from it to the root of the checkpoint")]
    Inclusion,
}

/// An inclusion proof with the checkpoint it leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What an application adds; nothing vouches for it.
    pub extra: Option<Vec<u8>>,
    /// Number of the record.
    pub seq: u64,
    /// From the sibling of the leaf up.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, with the cosignatures that it came with.
    pub note: String,
}

impl Bundle {
    /// Reads a file.
    pub fn parse(text: &[u8]) -> Result<Self, BadProof> {
        if text.len() > MAX_BYTES {
            return Err(BadProof::TooLong(text.len()));
        }
        let text = std::str::from_utf8(text).map_err(|e| {
            let line = 1 + text.iter().take(e.valid_up_to()).filter(|b| **b == b'\n').count();
            BadProof::Line { line, expected: "UTF-8" }
        })?;
        let mut rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')).ok_or(BadProof::Header)?;
        let mut line = 1;
        let mut next = |expected| {
            line += 1;
            let (found, after) = rest.split_once('\n').ok_or(BadProof::Line { line, expected })?;
            rest = after;
            Ok::<_, BadProof>((line, found))
        };
        let (mut at, mut found) = next(INDEX)?;
        let mut extra = None;
        if let Some(data) = found.strip_prefix("extra ") {
            let bad = BadProof::Line { line: at, expected: "`extra` and base64" };
            extra = Some(BASE64_STANDARD.decode(data).map_err(|_| bad)?);
            (at, found) = next(INDEX)?;
        }
        let seq = found.strip_prefix("index ").and_then(|n| Some((n, n.parse::<u64>().ok()?)));
        let seq = seq.filter(|(text, n)| *n < MAX_TREE && n.to_string() == *text);
        let (_, seq) = seq.ok_or(BadProof::Line { line: at, expected: INDEX })?;
        let mut hashes = vec![];
        loop {
            let (line, found) = next(HASH)?;
            if found.is_empty() {
                break;
            }
            let hash = Hash::parse_hash(found).ok().filter(|_| hashes.len() < MAX_HASHES);
            hashes.push(hash.ok_or(BadProof::Line { line, expected: HASH })?);
        }
        Ok(Self { extra, seq, hashes, note: rest.to_owned() })
    }

    /// Checks everything that can be checked without the log: that the key signed the checkpoint, that no cosignature
    /// by one of these witnesses is false, and that the record whose leaf hash this is stands in the tree under this
    /// number. How many cosignatures are enough is for the caller to say.
    pub fn verify(&self, leaf: Hash, key: &VerifierKey, witnesses: &[WitnessKey]) -> Result<Cosigned, BadProof> {
        let cosigned = cosignature::open(&self.note, key, witnesses)?;
        let checkpoint = &cosigned.checkpoint;
        let (seq, size) = (self.seq, checkpoint.size);
        if seq >= size || size > MAX_TREE {
            return Err(BadProof::Beyond { seq, size });
        }
        match tlog_tiles::check_record(&self.hashes, size, checkpoint.root, seq, leaf) {
            Ok(()) => Ok(cosigned),
            Err(_) => Err(BadProof::Inclusion),
        }
    }
}

/// The file.
impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.seq)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.note)
    }
}
