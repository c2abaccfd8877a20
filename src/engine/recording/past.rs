//! What a journal keeps of a past incident: its records, and the pieces of what the consoles showed. Nothing here takes
//! the journal's lock or needs its key.

use super::piece::{Frames, MEDIA};
use super::recorder::{begins_with, stands_for};
use crate::domain::id::{Digest, IncidentId};
use crate::domain::incident::IncidentState;
use crate::engine::state::State;
use crate::journal::fold::{Fold as _, replay_kept};
use crate::journal::read::{Filter, Reader};
use crate::journal::verify::own_key;
use crate::journal::{JournalError, Kind, Record, evidence};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How long before its declaration an incident may have been recorded, and how long after its end the last piece of it
/// is named.
const AROUND: SignedDuration = SignedDuration::from_mins(15);

/// A piece that a record names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    from: Timestamp,
    to: Timestamp,
    sha256: Digest,
    seq: u64,
    /// Whether nothing more was kept because of the bound.
    last: bool,
}

impl Kept {
    fn of(record: &Record) -> Option<Self> {
        let body = &record.body;
        if record.kind != Kind::EvidenceCaptured || body.get("media_type")?.as_str()? != MEDIA {
            return None;
        }
        let moment = |name: &str| body.get(name)?.as_str()?.parse().ok();
        let last = body.get("last").and_then(Value::as_bool).unwrap_or(false);
        Some(Self { from: moment("from")?, to: moment("to")?, sha256: evidence::named(body)?, seq: record.seq, last })
    }
}

/// A past incident.
#[derive(Debug)]
pub struct Past {
    dir: PathBuf,
    /// Which.
    pub incident: IncidentId,
    /// Name of the estate.
    pub estate: String,
    /// First moment that is known of it.
    pub from: Timestamp,
    /// Last moment that is known of it; when it is still open, the last record of it.
    pub to: Timestamp,
    /// Its records, oldest first.
    pub records: Vec<Record>,
    kept: Vec<Kept>,
    /// The piece that was read last.
    open: Option<(usize, Frames)>,
}

impl Past {
    /// Finds an incident in a journal; nothing when no record declares it.
    pub fn open(dir: &Path, incident: &IncidentId) -> Result<Option<Self>, JournalError> {
        // The newest incidents stand in the state; an older one is looked for in all records.
        let state: State = replay_kept(dir)?;
        let known = state.incidents().into_iter().find(|i| i.id == *incident);
        let narrow = known.map(|i| Filter {
            since: Some(i.declared_at - AROUND),
            until: i.closed_at.filter(|_| i.state == IncidentState::Closed).map(|t| t + AROUND),
            ..Filter::default()
        });
        let (mut records, mut kept) = (Vec::new(), Vec::new());
        for stored in Reader::checked(dir, narrow.unwrap_or_default())? {
            let record = stored?.record;
            kept.extend(Kept::of(&record));
            if record.incident.as_ref() == Some(incident) {
                records.push(record);
            }
        }
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(None) };
        let (declared, mut to) = (first.time, last.time);
        let is_over = records.iter().any(|r| r.kind == Kind::IncidentClosed);
        kept.retain(|k: &Kept| k.to >= declared - AROUND && (!is_over || k.from <= to));
        let from = kept.first().map_or(declared, |k| k.from.min(declared));
        if !is_over {
            to = kept.last().map_or(to, |k| k.to.max(to));
        }
        let key = own_key(dir)?;
        let name = key.name();
        let estate = crate::domain::text::sanitize(name.rsplit_once('/').map_or(name, |(_, estate)| estate));
        let (dir, incident) = (dir.to_owned(), incident.clone());
        Ok(Some(Self { dir, incident, estate, from, to, records, kept, open: None }))
    }

    /// What the consoles showed at a moment, or why that is not known.
    pub fn shown(&mut self, moment: Timestamp) -> Result<std::sync::Arc<crate::engine::api::Snapshot>, String> {
        let mut after = self.kept.partition_point(|k| k.from <= moment);
        let is_seen = after.checked_sub(1).and_then(|i| self.kept.get(i)).is_some_and(|k| stands_for(k.to, moment));
        if !is_seen && self.kept.get(after).is_some_and(|next| begins_with(next.from, moment)) {
            after += 1;
        }
        let Some(index) = after.checked_sub(1) else {
            return Err(match self.kept.first() {
                Some(first) => format!("what the consoles showed is kept from {} on", first.from),
                None => {
                    "what the consoles showed was not kept (no engine observed, or it was a scripted drill)".to_owned()
                }
            });
        };
        let Some(kept) = self.kept.get(index).cloned() else { return Err("no piece is there".to_owned()) };
        if !stands_for(kept.to, moment.max(kept.from)) {
            let why = match (self.kept.get(after), kept.last) {
                (_, true) => "what is kept of one incident had reached its bound".to_owned(),
                (Some(next), _) => format!("the next that is kept is of {}", next.from),
                (None, _) => "nothing later is kept".to_owned(),
            };
            return Err(format!("what the consoles showed is kept up to {}; {why}", kept.to));
        }
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            let bytes = evidence::open(&self.dir, &kept.sha256).map_err(|e| e.to_string())?;
            let bytes = bytes.ok_or_else(|| {
                format!("the piece that record {} names is gone; `audit evidence list` says why", kept.seq)
            })?;
            let frames =
                Frames::read(&bytes).map_err(|why| format!("the piece that record {} names: {why}", kept.seq))?;
            self.open = Some((index, frames));
        }
        let frames = self.open.as_mut().map(|(_, frames)| frames.at(moment));
        frames.unwrap_or_else(|| Err("no piece is there".to_owned()))
    }

    /// What the records say of the incident by a moment.
    pub fn told(&self, moment: Timestamp) -> State {
        let mut state = State::default();
        for record in self.records.iter().filter(|r| r.time <= moment) {
            state.apply(record);
        }
        state
    }
}
