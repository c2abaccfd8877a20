//! The journal's files for the journal screen: pages of records, a search over all of them, one record in full.

use crate::console::effect::RequestId;
use crate::console::state::{MOST_HITS, ProofView, RecordView, Scanned, Wanted};
use crate::domain::incident::TimelineEntry;
use crate::engine::attach::wire::Shelf;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::key::VerifierKey;
use crate::journal::proof;
use crate::journal::read::{Filter, Reader, find, segment_starts};
use crate::journal::verify::own_key;
use crate::journal::{JournalError, Record, describe};
use crate::terminal::outside::Journal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

/// The files of one journal.
#[derive(Debug)]
pub struct Files {
    /// Where they lie.
    pub dir: PathBuf,
    /// Its key, where that is known from outside.
    pub pin: Option<VerifierKey>,
}

fn entry(record: &Record) -> TimelineEntry {
    TimelineEntry {
        seq: record.seq,
        at: record.time,
        kind: record.kind.word().to_owned(),
        who: record.actor.user.clone(),
        text: describe(record),
        incident: record.incident.clone(),
    }
}

impl Files {
    fn read(&self, first: u64, last: u64) -> Result<Reader, JournalError> {
        Reader::open(&self.dir, Filter { first: Some(first), last: Some(last), ..Filter::default() })
    }

    /// The proof that a record stands in the log, under the key that is pinned or the one beside the records.
    fn prove(&self, seq: u64) -> Result<ProofView, JournalError> {
        let pinned = self.pin.is_some();
        let key = self.pin.clone().map_or_else(|| own_key(&self.dir), Ok)?;
        let (bundle, _) = proof::prove(&self.dir, seq, &key)?;
        let size = Checkpoint::read_cosigned(&bundle.note).map_or(0, |c| c.size);
        let signatures = bundle.note.rsplit_once("\n\n").map_or(0, |(_, lines)| lines.lines().count());
        Ok(ProofView {
            size,
            hashes: bundle.hashes.iter().map(ToString::to_string).collect(),
            key: key.id(),
            pinned,
            cosigned: signatures.saturating_sub(1),
            file: bundle.to_string(),
        })
    }

    /// The wanted records of one segment, oldest first; nothing when it is told to stop.
    fn segment(
        &self,
        first: u64,
        last: u64,
        wanted: &Wanted,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<TimelineEntry>>, JournalError> {
        let mut hits = Vec::new();
        for (n, stored) in self.read(first, last)?.enumerate() {
            if n.is_multiple_of(256) && !goes_on() {
                return Ok(None);
            }
            let entry = entry(&stored?.record);
            if wanted.admits(&entry) {
                hits.push(entry);
            }
        }
        Ok(Some(hits))
    }

    /// The wanted records of the newest segment that begins before a record; nothing when it is told to stop.
    pub fn older(&self, wanted: &Wanted, before: u64, goes_on: &dyn Fn() -> bool) -> Result<Option<Found>, String> {
        let starts = segment_starts(&self.dir).map_err(|e| e.to_string())?;
        let (Some(first), Some(last)) = (starts.into_iter().filter(|s| *s < before).max(), before.checked_sub(1))
        else {
            return Ok(Some(Found { hits: Vec::new(), down_to: 0 }));
        };
        let hits = self.segment(first, last, wanted, goes_on).map_err(|e| e.to_string())?;
        Ok(hits.map(|hits| Found { hits, down_to: first }))
    }
}

/// What one segment held of what was wanted.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// Records, oldest first.
    pub hits: Vec<TimelineEntry>,
    /// Everything from this record on has been looked at.
    pub down_to: u64,
}

/// What an attached console asks about the journal's files; the names of the protocol.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "read", rename_all = "kebab-case")]
pub enum Question {
    /// Up to so many records before one; answered with their lines.
    Records {
        /// Before which.
        before: u64,
        /// How many.
        limit: u16,
    },
    /// What is wanted of the newest segment before a record; answered with a [`Found`].
    Older {
        /// What is wanted.
        wanted: Wanted,
        /// Before which.
        before: u64,
    },
    /// One record with all that can be said of it; answered with a [`RecordView`].
    Open {
        /// Its number.
        seq: u64,
    },
}

impl Shelf for Files {
    fn read(&self, what: &Value) -> Result<Value, String> {
        let written = |found: Result<Value, serde_json::Error>| found.map_err(|e| e.to_string());
        let question = Question::deserialize(what).map_err(|e| format!("the question is not understood: {e}"))?;
        match question {
            Question::Records { before, limit } => written(serde_json::to_value(self.records(before, limit)?)),
            Question::Older { wanted, before } => match self.older(&wanted, before, &|| true)? {
                Some(found) => written(serde_json::to_value(found)),
                None => Err("the search was stopped".to_owned()),
            },
            Question::Open { seq } => written(serde_json::to_value(self.open(seq)?)),
        }
    }
}

/// Writes a new file into the working directory.
pub fn save(name: &str, text: &str) -> Result<String, String> {
    let path = std::env::current_dir().map_err(|e| e.to_string())?.join(name);
    let shown = path.display().to_string();
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(shown),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(format!("{shown} is there already")),
        Err(e) => Err(format!("{shown}: {e}")),
    }
}

impl Journal for Files {
    fn records(&self, before: u64, limit: u16) -> Result<Vec<TimelineEntry>, String> {
        let Some(last) = before.checked_sub(1) else { return Ok(Vec::new()) };
        let reader = self.read(before.saturating_sub(u64::from(limit)), last).map_err(|e| e.to_string())?;
        reader.map(|stored| stored.map(|s| entry(&s.record)).map_err(|e| e.to_string())).collect()
    }

    fn scan(
        &self,
        id: RequestId,
        wanted: &Wanted,
        before: u64,
        goes_on: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Scanned),
    ) {
        let mut down_to = before;
        let mut count = 0;
        loop {
            match self.older(wanted, down_to, goes_on) {
                Ok(None) => return,
                Ok(Some(found)) => {
                    down_to = found.down_to;
                    count += found.hits.len();
                    let done = down_to == 0 || count > MOST_HITS;
                    tell(Scanned { id, hits: found.hits, down_to, done, trouble: None });
                    if done {
                        return;
                    }
                }
                Err(why) => {
                    return tell(Scanned { id, hits: vec![], down_to, done: true, trouble: Some(why) });
                }
            }
        }
    }

    fn save(&self, name: &str, text: &str) -> Result<String, String> {
        save(name, text)
    }

    fn open(&self, seq: u64) -> Result<Box<RecordView>, String> {
        let found = find(&self.dir, seq).map_err(|e| e.to_string())?;
        let located = found.ok_or_else(|| format!("there is no record {seq} on the disk"))?;
        let record = &located.stored.record;
        let actor = &record.actor;
        let mut fields = vec![
            ("incident".to_owned(), record.incident.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)),
            ("from".to_owned(), format!("uid {} by {} on {}", actor.uid, actor.via, actor.host)),
            ("console".to_owned(), actor.console.clone().unwrap_or_else(|| "none".to_owned())),
            ("mode".to_owned(), format!("{}, {}", record.mode, record.environment)),
        ];
        if let Value::Object(members) = &record.body {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            fields.extend(members.iter().map(|(name, value)| (name.clone(), text(value))));
        }
        Ok(Box::new(RecordView {
            seq,
            fields,
            stored: String::from_utf8_lossy(&located.stored.bytes).into_owned(),
            place: format!("{} line {}", located.file, located.line),
            leaf: located.leaf.to_string(),
            batch: (located.batch.0, located.batch.1, located.commit_line),
            checkpoint: located.checkpoint,
            proof: self.prove(seq).map_err(|e| e.to_string()),
        }))
    }
}
