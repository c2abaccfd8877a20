//! The journal's files for the journal screen: pages of records, a search over all of them, one record in full.

use crate::console::effect::RequestId;
use crate::console::state::{MOST_HITS, ProofView, RecordView, Scanned, Wanted};
use crate::domain::incident::TimelineEntry;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::key::VerifierKey;
use crate::journal::proof;
use crate::journal::read::{Filter, Reader, find, segment_starts};
use crate::journal::verify::own_key;
use crate::journal::{JournalError, Record, describe};
use crate::terminal::console::Journal;
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
        let starts = segment_starts(&self.dir).map(|all| all.into_iter().rev().filter(|s| *s < before).collect());
        let starts: Vec<u64> = match starts {
            Ok(starts) => starts,
            Err(why) => return tell(Scanned { id, hits: vec![], down_to, done: true, trouble: Some(why.to_string()) }),
        };
        for first in starts {
            let Some(last) = down_to.checked_sub(1) else { break };
            match self.segment(first, last, wanted, goes_on) {
                Ok(None) => return,
                Ok(Some(hits)) => {
                    down_to = first;
                    count += hits.len();
                    let done = count > MOST_HITS;
                    tell(Scanned { id, hits, down_to, done, trouble: None });
                    if done {
                        return;
                    }
                }
                Err(why) => {
                    return tell(Scanned { id, hits: vec![], down_to, done: true, trouble: Some(why.to_string()) });
                }
            }
        }
        tell(Scanned { id, hits: vec![], down_to, done: true, trouble: None });
    }

    fn save(&self, name: &str, text: &str) -> Result<String, String> {
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
