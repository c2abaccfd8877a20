//! Evidence: what is too large for a record, or may have to be deleted one day, kept in files that records name by
//! their digest. The engine keeps it; the command line lists, shows and checks it in any journal directory.

use super::error::JournalError;
use super::kind::Kind;
use super::pruned::Pruned;
use super::read::{Filter, Reader, moved};
use super::record::Record;
use super::store::file::evidence as files;
use crate::domain::id::Digest;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub use files::{FOLDER, delete, digest, open, put, put_sparing};

/// How a piece of evidence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is there, with its digest.
    Present,
    /// A record says that it was deleted, and it is gone.
    Redacted,
    /// A record says that it is deleted, and it is still there: the next opening of the journal deletes it.
    Undeleted,
    /// A record names it, none says that it was deleted, and it is gone.
    Missing,
    /// It is there with other bytes.
    Altered,
    /// No record names it: what a crash left between the file and its record, or what somebody put there.
    Unnamed,
}

impl Standing {
    /// Whether the log and the folder disagree in a way that no crash explains.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Missing | Self::Altered)
    }

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Redacted => "redacted",
            Self::Undeleted => "undeleted",
            Self::Missing => "MISSING",
            Self::Altered => "ALTERED",
            Self::Unnamed => "unnamed",
        }
    }
}

/// One piece of evidence, as the records and the folder have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Evidence {
    /// Its digest, which is its name.
    pub sha256: Digest,
    /// How it stands.
    pub standing: Standing,
    /// Length in bytes, as its record says.
    pub bytes: Option<u64>,
    /// What it is.
    pub what: String,
    /// Its media type.
    pub media_type: String,
    /// The record that names it.
    pub record: Option<u64>,
    /// The record that says that it was deleted.
    pub redaction: Option<u64>,
}

/// Where the kind stands in a record, counted from its end.
const TAIL: usize = 160;

/// The kinds that are about a file, as they stand in a canonical record.
const MARKS: [&[u8]; 2] = [b"\"kind\":\"evidence.captured\",\"mode\":", b"\"kind\":\"redaction\",\"mode\":"];

/// What a stored record says of a file: its own number, the file's digest and length, and whether it tells of its
/// deletion. Cheap for every record that is about none.
pub(super) fn told(record: &[u8]) -> Option<(u64, Digest, Option<u64>, bool)> {
    let tail = record.get(record.len().saturating_sub(TAIL)..)?;
    if !MARKS.iter().any(|mark| memchr::memmem::find(tail, mark).is_some()) {
        return None;
    }
    let Record { seq, kind, body, .. } = Record::parse(record).ok()?;
    if !matches!(kind, Kind::EvidenceCaptured | Kind::Redaction) {
        return None;
    }
    Some((seq, named(&body)?, body.get("bytes").and_then(Value::as_u64), kind == Kind::Redaction))
}

/// The body of `evidence.captured`.
pub fn captured(sha256: &Digest, bytes: usize, what: &str, media_type: &str) -> Value {
    json!({ "sha256": sha256, "bytes": bytes, "what": what, "media_type": media_type })
}

/// The digest that a body names, if it names one.
pub fn named(body: &Value) -> Option<Digest> {
    Digest::parse(body.get("sha256")?.as_str()?)
}

/// Every piece of evidence that the records name, in their order, then what no record names. With `read` each file is
/// read and its digest checked; without it, that it is there is enough.
pub fn list(dir: &Path, read: bool) -> Result<Vec<Evidence>, JournalError> {
    let mut order = Vec::new();
    let mut known: BTreeMap<Digest, Evidence> = BTreeMap::new();
    for moved in moved(dir)?.iter().flat_map(Pruned::evidence) {
        order.push(moved.sha256.clone());
        let evidence = Evidence {
            sha256: moved.sha256.clone(),
            standing: Standing::Missing,
            bytes: moved.bytes,
            what: "named by a record in the archive".to_owned(),
            media_type: String::new(),
            record: Some(moved.record),
            redaction: moved.redacted,
        };
        known.insert(moved.sha256.clone(), evidence);
    }
    let kinds = vec![Kind::EvidenceCaptured, Kind::Redaction];
    for stored in Reader::checked(dir, Filter { kinds, ..Filter::default() })? {
        let record = stored?.record;
        let Some(sha256) = named(&record.body) else { continue };
        let text = |name: &str| record.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match (record.kind, known.get_mut(&sha256)) {
            (Kind::Redaction, Some(evidence)) => evidence.redaction = Some(record.seq),
            // The same bytes may be captured again, also after they were deleted.
            (Kind::EvidenceCaptured, Some(evidence)) => evidence.redaction = None,
            (Kind::EvidenceCaptured, None) => {
                order.push(sha256.clone());
                let evidence = Evidence {
                    sha256: sha256.clone(),
                    standing: Standing::Missing,
                    bytes: record.body.get("bytes").and_then(Value::as_u64),
                    what: text("what"),
                    media_type: text("media_type"),
                    record: Some(record.seq),
                    redaction: None,
                };
                known.insert(sha256, evidence);
            }
            _ => {}
        }
    }
    let (there, _) = files::names(dir)?;
    for sha256 in there {
        let standing = match known.get(&sha256) {
            None => Standing::Unnamed,
            Some(evidence) if evidence.redaction.is_some() => Standing::Undeleted,
            Some(_) => Standing::Present,
        };
        let standing = if read && standing == Standing::Present { checked(dir, &sha256)? } else { standing };
        match known.get_mut(&sha256) {
            Some(evidence) => evidence.standing = standing,
            None => {
                order.push(sha256.clone());
                let (what, media_type) = ("no record names it".to_owned(), String::new());
                let evidence = Evidence {
                    sha256: sha256.clone(),
                    standing,
                    bytes: None,
                    what,
                    media_type,
                    record: None,
                    redaction: None,
                };
                known.insert(sha256, evidence);
            }
        }
    }
    for evidence in known.values_mut() {
        if evidence.standing == Standing::Missing && evidence.redaction.is_some() {
            evidence.standing = Standing::Redacted;
        }
    }
    Ok(order.iter().filter_map(|sha256| known.remove(sha256)).collect())
}

fn checked(dir: &Path, sha256: &Digest) -> Result<Standing, JournalError> {
    match open(dir, sha256) {
        Ok(Some(_)) => Ok(Standing::Present),
        Ok(None) => Ok(Standing::Missing),
        // A link is not the file that was kept.
        Err(JournalError::EvidenceAltered { .. } | JournalError::Symlink { .. }) => Ok(Standing::Altered),
        Err(other) => Err(other),
    }
}
