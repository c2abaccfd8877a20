//! What the journal of the estate tells of rights: who broke the glass, who was given more, who changed the roster or a
//! key, what was deleted, who was turned away. Followed without a lock; nothing is written.

use super::{Deeds, HAPPENED};
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::SourceId;
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Clock};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use crate::journal::Kind;
use crate::journal::describe;
use crate::journal::read::{Filter, Reader};
use crate::observe::poll::Poll;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(5);
/// Reading goes on at the next look when it takes longer than [`READ_FOR`].
const TIMEOUT: Duration = Duration::from_secs(20);
const READ_FOR: Duration = Duration::from_secs(5);

/// What counts as a privileged action.
const COUNT: [Kind; 5] =
    [Kind::GlassBroken, Kind::ElevationGranted, Kind::RosterChanged, Kind::KeyRotated, Kind::Redaction];
/// What tells how such a one went on, and what was tried.
const TELL: [Kind; 4] = [Kind::GlassRestored, Kind::GlassReviewed, Kind::ElevationEnded, Kind::ConsoleRefused];

/// Follows the journal.
pub struct JournalDeeds {
    id: SourceId,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    follower: Option<Follower>,
}

#[derive(Default)]
struct Follower {
    reader: Option<Reader>,
    deeds: Deeds,
}

impl JournalDeeds {
    /// For the journal in a directory; `journal` is the name of the source.
    pub fn new(_: MayObserve, journal: &Path, clock: &Arc<dyn Clock>) -> Self {
        let id = SourceId::new("journal/privileged");
        Self { id, dir: journal.to_owned(), clock: Arc::clone(clock), follower: None }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let (dir, now, subject) = (self.dir.clone(), self.clock.now(), self.subject());
        let follower = self.follower.take().unwrap_or_default();
        let read = tokio::task::spawn_blocking(move || {
            let mut follower = follower;
            let behind = follower.read(&dir, now, &subject);
            (follower, behind)
        });
        let local = |why: String| Failure::new(FailureKind::Local, why);
        let (mut follower, behind) = read.await.map_err(|_| local("reading the journal was broken off".to_owned()))?;
        let behind = behind.map_err(|why| local(format!("the journal can not be read: {why}")))?;
        let mut facts = MeasuredFacts::of(SourceKind::Journal);
        let subject = self.subject();
        follower.deeds.tell(&subject, now, &mut facts);
        if let Some(records) = behind {
            facts.readings.clear();
            let why = format!("the journal is still being read, up to record {records} so far");
            facts.untell(&subject, "privileged.actions", why);
        }
        self.follower = Some(follower);
        Ok(Facts::Measured(facts))
    }

    fn subject(&self) -> Subject {
        Subject::Source { source: self.id.clone() }
    }
}

impl Follower {
    /// Reads what is new; how many records were gone through where the end was not reached. Blocks.
    fn read(&mut self, dir: &Path, now: Timestamp, subject: &Subject) -> Result<Option<u64>, String> {
        let begun = Instant::now();
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            // Before its first record there is no journal, and nothing was done.
            None if !dir.exists() => return Ok(None),
            None => {
                let kinds = COUNT.into_iter().chain(TELL).collect();
                let since = now.checked_sub(HAPPENED).ok();
                let filter = Filter { kinds, since, ..Filter::default() };
                // A new reader tells everything once more.
                self.deeds = Deeds::default();
                Reader::checked(dir, filter).map_err(|e| sanitize(&e.to_string()))?
            }
        };
        let mut behind = None;
        while let Some(stored) = reader.next() {
            let record = stored.map_err(|e| sanitize(&e.to_string()))?.record;
            let what = format!("{}, by {}", describe(&record), sanitize(&record.actor.user));
            self.deeds.add(record.time, subject, what, COUNT.contains(&record.kind));
            if begun.elapsed() > READ_FOR {
                behind = Some(reader.seq());
                break;
            }
        }
        self.reader = Some(reader);
        Ok(behind)
    }
}

impl Poll for JournalDeeds {
    fn spec(&self) -> SourceSpec {
        let address = sanitize(&self.dir.display().to_string());
        SourceSpec { id: self.id.clone(), kind: SourceKind::Journal, interval: INTERVAL, address }
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
