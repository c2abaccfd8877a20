//! `audit prove` and `audit verify --proof`: one record, and that it stands in the log, for somebody who has the
//! verifier key and not the log.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::args::{Prove, Verify};
use super::directory;
use super::verify::{check_quorum, named_keys, read as read_key};
use crate::domain::text::sanitize;
use crate::journal::cosignature::Cosignature;
use crate::journal::key::VerifierKey;
use crate::journal::proof::{self, BadProof, Bundle};
use crate::journal::record::{MAX_BYTES, Record};
use crate::journal::tree::record_hash;
use crate::journal::verify::own_key;
use crate::journal::{JournalError, describe};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Greatest length of a proof that is read, some more than the parser takes.
const MAX_PROOF: u64 = 1 << 20;

/// The output contract of `audit prove --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Proved {
    /// The record.
    seq: u64,
    /// Name of the log.
    origin: String,
    /// Number of records under the checkpoint.
    size: u64,
    /// Root over them, base64.
    root: String,
    /// Name and id of the log's key.
    key: String,
    /// The file that was written.
    output: Option<PathBuf>,
    /// The proof itself.
    proof: String,
}

/// The output contract of `audit verify PROOF --format json` when it holds; else an error says why.
#[derive(Serialize, JsonSchema)]
pub struct Verified<'a> {
    /// True.
    ok: bool,
    /// Name of the log.
    origin: &'a str,
    /// The record.
    seq: u64,
    /// Number of records under the checkpoint.
    size: u64,
    /// Root over them, base64.
    root: String,
    /// Name and id of the log's key.
    key: String,
    /// Witnesses whose cosignatures hold.
    cosigned: Vec<Cosigned>,
    /// The record's exact bytes.
    record: std::borrow::Cow<'a, str>,
}

/// A cosignature that holds.
#[derive(Serialize, JsonSchema)]
struct Cosigned {
    /// The witness.
    key: String,
    /// When it signed.
    time: Timestamp,
}

/// Writes a proof.
pub fn prove(global: &Global, what: &Prove) -> Result<Exit, Error> {
    let dir = directory(global, what.journal.as_deref())?;
    let key = own_key(&dir).map_err(|e| Error::journal(&e))?;
    let at = super::whole(&dir, what.archive.as_deref())?;
    let (mut bundle, stored) = proof::prove(at, what.seq, &key).map_err(|e| match e {
        JournalError::NotInTree { .. } => Error::Usage(e.to_string()),
        JournalError::Unproved { .. } | JournalError::KeptCheckpoint { .. } => Error::Damaged(e.to_string()),
        e => Error::journal(&e),
    })?;
    if what.with_record {
        bundle.extra = Some(stored.bytes);
    }
    let text = bundle.to_string();
    if let Some(path) = &what.output {
        let written = OpenOptions::new().write(true).create_new(true).open(path);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|e| Error::Failed(format!("{} can not be written: {e}", path.display())))?;
    }
    let checkpoint = crate::journal::checkpoint::Checkpoint::read_cosigned(&bundle.note).map_err(Error::failed)?;
    match (global.format, &what.output) {
        (Format::Json, output) => output::json(&Proved {
            seq: bundle.seq,
            origin: checkpoint.origin,
            size: checkpoint.size,
            root: checkpoint.root.to_string(),
            key: key.id(),
            output: output.clone(),
            proof: text,
        })?,
        (_, Some(path)) => output::line(&format!(
            "record {} of {} under the checkpoint over {} records: {}",
            bundle.seq,
            checkpoint.origin,
            checkpoint.size,
            path.display()
        ))?,
        (_, None) => output::line(text.trim_end_matches('\n'))?,
    }
    Ok(Exit::Done)
}

/// Checks a proof without a log.
pub fn verify(global: &Global, file: &Path, what: &Verify) -> Result<Exit, Error> {
    let Some(vkey) = &what.vkey else {
        return Err(Error::Usage("a proof is verified with the log's verifier key: name its file with --vkey".into()));
    };
    let key: VerifierKey = read_key(vkey)?;
    let witnesses = named_keys(&what.witness_key, &what.witness_keys)?;
    check_quorum(what.quorum, witnesses.len())?;
    let refused = |why: &BadProof| Error::Damaged(format!("{}: {why}", file.display()));
    let bundle = Bundle::parse(&read(file, MAX_PROOF)?).map_err(|why| refused(&why))?;
    let record = match (&what.record, &bundle.extra) {
        (Some(path), _) => {
            let mut bytes = read(path, MAX_BYTES as u64 + 1)?;
            // As `audit show --format json` prints it.
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            bytes
        }
        (None, Some(extra)) => extra.clone(),
        (None, None) => {
            let why = "the proof does not carry its record: name a file with the record's exact bytes with --record";
            return Err(Error::Usage(why.into()));
        }
    };
    let cosigned = bundle.verify(record_hash(&record), &key, &witnesses).map_err(|why| refused(&why))?;
    let (signed, quorum) = (cosigned.by.len(), what.quorum.unwrap_or(witnesses.len()));
    if signed < quorum {
        let why = format!("{signed} of the {} given witnesses have signed, and {quorum} must", witnesses.len());
        return Err(Error::Damaged(format!("{}: {why}", file.display())));
    }
    let checkpoint = &cosigned.checkpoint;
    let parsed = Record::parse(&record);
    if global.format == Format::Json {
        let by = |c: &Cosignature| Cosigned { key: c.key.clone(), time: c.time };
        output::json(&Verified {
            ok: true,
            origin: &checkpoint.origin,
            seq: bundle.seq,
            size: checkpoint.size,
            root: checkpoint.root.to_string(),
            key: key.id(),
            cosigned: cosigned.by.iter().map(by).collect(),
            record: String::from_utf8_lossy(&record),
        })?;
        return Ok(Exit::Done);
    }
    output::line(&format!("verified: record {} of {}", bundle.seq, checkpoint.origin))?;
    output::line(&format!("under {} records, root {}, key {}", checkpoint.size, checkpoint.root, key.id()))?;
    for cosignature in &cosigned.by {
        output::line(&format!("cosigned by {} at {}", cosignature.key, cosignature.time))?;
    }
    match parsed {
        Ok(record) => {
            let (kind, who) = (record.kind.word(), sanitize(&record.actor.user));
            output::line(&format!("{} {kind} by {who}: {}", record.time, describe(&record)))?;
        }
        Err(why) => output::line(&format!("what it says this version can not tell: {why}"))?,
    }
    Ok(Exit::Done)
}

/// Reads a file that a person named, which need not be text.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let failed = |e: std::io::Error| Error::Usage(format!("{} can not be read: {e}", path.display()));
    let mut bytes = vec![];
    std::fs::File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Error::Usage(format!("{} is longer than {most} bytes", path.display())));
    }
    Ok(bytes)
}
