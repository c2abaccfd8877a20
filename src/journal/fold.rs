//! State that is a fold over the records: incidents, runs, measures, the broken glass. There is no other store to
//! disagree with it. A snapshot of it only saves the time of folding: see [`super::snapshot`].

use super::error::JournalError;
use super::handle::{Journal, OpenOptions, Recovered};
use super::read::{Filter, Reader};
use super::record::Record;
use super::snapshot::{Maker, Place};
use super::store;
use super::store::file::snapshots;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// State that records change.
pub trait Fold {
    /// Takes in the next record.
    fn apply(&mut self, record: &Record);
}

/// State that can be put aside and taken up again.
pub trait Keep: Fold + Default + Send + Serialize + DeserializeOwned {
    /// Version of its serialized form, and of what `apply` makes of records. It changes with either.
    const FORMAT: u64;
}

/// Rebuilds state from a log, without taking its lock.
pub fn replay(dir: &Path, filter: Filter, state: &mut impl Fold) -> Result<(), JournalError> {
    for stored in Reader::open(dir, filter)? {
        state.apply(&stored?.record);
    }
    Ok(())
}

/// As [`replay`] for all records, from the newest snapshot of this program on that a record names. Where the first
/// records were moved to an archive, one of another program with the same form of the state does too.
pub fn replay_kept<S: Keep>(dir: &Path) -> Result<S, JournalError> {
    let moved = super::read::moved(dir)?;
    let found = match &moved {
        Some(_) => snapshots::named(dir, S::FORMAT, Maker::Any)?,
        // A snapshot only saves time here: whatever is wrong with one, the state is rebuilt without it.
        None => snapshots::named(dir, S::FORMAT, Maker::This).unwrap_or_default(),
    };
    let taken = found.and_then(|s| Some((s.place.tree.size(), serde_json::from_value(s.state).ok()?)));
    let (mut state, first) = match (taken, &moved) {
        (Some((size, kept)), _) => (kept, Some(size)),
        (None, Some(moved)) => return Err(super::archive::lost(moved)),
        (None, None) => (S::default(), None),
    };
    replay(dir, Filter { first, ..Filter::default() }, &mut state)?;
    Ok(state)
}

/// Opens a journal for writing and rebuilds state from it in the same pass, the records that the opening writes
/// included.
pub fn open(options: OpenOptions, state: &mut (impl Fold + Send)) -> Result<(Journal, Recovered), JournalError> {
    store::open(options, Some(&mut Rebuilt(state)))
}

/// As [`open`], but takes the state up from the newest snapshot that counts, and reads only what follows it. The
/// records before it are checked afterwards; [`super::Status::scrub`] tells how far that is.
pub fn open_kept<S: Keep>(options: OpenOptions) -> Result<(Journal, Recovered, S), JournalError> {
    let mut kept = Kept(S::default());
    let (journal, recovered) = store::open(options, Some(&mut kept))?;
    Ok((journal, recovered, kept.0))
}

/// Writes a snapshot of the state that the records before `place` amount to, and returns the body of the
/// `journal.snapshot` record that makes it count. Blocks.
pub fn keep<S: Keep>(journal: &Journal, place: &Place, state: &S) -> Result<Value, JournalError> {
    let state = serde_json::to_value(state);
    let state = state.map_err(|e| JournalError::Broken { why: format!("the state can not be written: {e}") })?;
    journal.snapshot(place, S::FORMAT, state)
}

/// Where an opening puts the records.
pub(super) trait Replay: Send {
    /// Takes in the next record.
    fn apply(&mut self, record: &Record);
    /// Version of the state's form, where it can be taken up from a snapshot.
    fn format(&self) -> Option<u64>;
    /// Takes the state up; whether it could.
    fn restore(&mut self, state: Value) -> bool;
    /// Begins anew.
    fn reset(&mut self);
}

struct Rebuilt<'a, S>(&'a mut S);

impl<S: Fold + Send> Replay for Rebuilt<'_, S> {
    fn apply(&mut self, record: &Record) {
        self.0.apply(record);
    }

    fn format(&self) -> Option<u64> {
        None
    }

    fn restore(&mut self, _state: Value) -> bool {
        false
    }

    fn reset(&mut self) {}
}

struct Kept<S>(S);

impl<S: Keep> Replay for Kept<S> {
    fn apply(&mut self, record: &Record) {
        self.0.apply(record);
    }

    fn format(&self) -> Option<u64> {
        Some(S::FORMAT)
    }

    fn restore(&mut self, state: Value) -> bool {
        serde_json::from_value(state).map(|state| self.0 = state).is_ok()
    }

    fn reset(&mut self) {
        self.0 = S::default();
    }
}
