//! The handle that the engine and the command line hold: it checks drafts on the caller's thread, hands them to
//! the one writer, and answers when they are on the disk.

use super::error::{Damage, JournalError};
use super::key::{KeyRing, VerifierKey};
use super::kind::Kind;
use super::record::{Committed, Draft, Ready, Record};
use super::snapshot::{self, Place};
use super::store;
use super::store::file::batch::MAX_BATCH_BYTES;
use super::store::file::intake::{AWAKE, Intake, Queue};
use super::store::file::scrub::Scrubber;
use super::store::file::{follow, rotate, snapshots};
use super::store::shared::leads::Leads;
use super::store::shared::{Database, LEASE};
use super::synced::Synced;
use super::tree::Hash;
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::id::Digest;
use crate::domain::mode::Mode;
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// How to open a journal for writing.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Its directory; made when it is missing.
    pub dir: PathBuf,
    /// Its name, which is that of its key: `quarterdeck/ESTATE`.
    pub origin: String,
    /// Who opens it; author of the records that the journal writes of itself.
    pub actor: Actor,
    /// What the process may touch.
    pub mode: Mode,
    /// Class of the estate.
    pub environment: Environment,
    /// Now.
    pub time: Timestamp,
    /// A segment that has reached this length in bytes is followed by another.
    pub segment_bytes: u64,
    /// Bytes that must be free on the disk before anything new may begin.
    pub low_water: u64,
    /// A key of this log that is known from elsewhere: a log that never had it is refused.
    pub pin: Option<VerifierKey>,
    /// The last signed checkpoint of the log that this one follows; only for a log that is made.
    pub follows: Option<String>,
    /// Where the log lies, when it is one that several bastions write; the directory is a copy of it then.
    pub database: Option<Arc<dyn Database>>,
}

impl OpenOptions {
    /// Segments of 8 MiB; 64 MiB must be free before anything new begins.
    pub fn new(
        dir: impl Into<PathBuf>,
        origin: impl Into<String>,
        actor: Actor,
        mode: Mode,
        environment: Environment,
        time: Timestamp,
    ) -> Self {
        let (dir, origin) = (dir.into(), origin.into());
        let (segment_bytes, low_water) = (8 << 20, 64 << 20);
        let (pin, follows, database) = (None, None, None);
        Self { dir, origin, actor, mode, environment, time, segment_bytes, low_water, pin, follows, database }
    }

    /// A record that the journal writes of itself.
    pub(super) fn draft(&self, kind: Kind, body: serde_json::Value, time: Timestamp) -> Draft {
        let Self { actor, mode, environment, .. } = self;
        Draft { kind, incident: None, body, actor: actor.clone(), mode: *mode, environment: *environment, time }
    }
}

/// What opening found.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// Whether the log was made by this opening.
    pub created: bool,
    /// Number of records that were there before this opening wrote its own.
    pub records: u64,
    /// Whether the last writer closed it; a new log counts as closed.
    pub clean: bool,
    /// What had to be set aside.
    pub quarantined: Option<Quarantined>,
    /// Number of records that a snapshot stood for; 0 when all were read.
    pub from_snapshot: u64,
    /// Snapshots that were passed over, each with the reason.
    pub passed_over: Vec<String>,
}

/// A torn or damaged last batch. None of its records was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantined {
    /// File below the journal's directory.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// What was wrong with it.
    pub why: String,
    /// The signed checkpoint that it carried, which the log contradicts from now on.
    pub superseded: Option<String>,
    /// The records in it that could still be read. Each `step.started` among them has become a `step.unknown`.
    pub legible: Vec<Record>,
}

/// What can be said of a log now; only what is on the disk counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Number of records.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// Why nothing can be written, when that is so.
    pub broken: Option<String>,
    /// Where the next batch goes.
    pub place: Place,
    /// How far the records are checked that the opening passed over; absent when it read all.
    pub scrub: Option<Scrub>,
    /// How the disk has kept up.
    pub synced: Synced,
}

/// A change of keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotated {
    /// The key so far.
    pub old: VerifierKey,
    /// The key from here on.
    pub new: VerifierKey,
    /// Number of records up to which, and with which, the old one signs.
    pub after: u64,
}

/// How far the records of before are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// Records that are true.
    pub done: u64,
    /// Records that are to be checked.
    pub of: u64,
    /// The first place that does not hold; nothing new may begin then.
    pub bad: Option<Damage>,
}

impl Scrub {
    /// Whether it is still at work.
    pub const fn is_running(&self) -> bool {
        self.bad.is_none() && self.done < self.of
    }
}

/// What a journal is started with.
pub(super) struct Start {
    pub(super) options: OpenOptions,
    pub(super) ring: KeyRing,
    pub(super) queue: Arc<Queue>,
    /// How often the writer looks around, though nobody asks for anything.
    pub(super) pulse: Option<Duration>,
    pub(super) status: Status,
    pub(super) scrubber: Option<Scrubber>,
    /// What this engine leads, where others could.
    pub(super) leads: Option<Arc<Leads>>,
    /// Where the writer puts every record.
    pub(super) arrivals: Option<mpsc::UnboundedReceiver<Record>>,
}

/// Where the answer to an append goes, and where it is waited for.
pub(super) type Reply = oneshot::Sender<Result<Vec<Committed>, JournalError>>;
type Answer = oneshot::Receiver<Result<Vec<Committed>, JournalError>>;

/// Records that are committed together, or not at all.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) records: Vec<Ready>,
    pub(super) reply: Reply,
}

impl Append {
    pub(super) fn has_intent(&self) -> bool {
        self.records.iter().any(|r| r.kind().is_intent())
    }

    pub(super) fn max_len(&self) -> usize {
        self.records.iter().map(Ready::max_len).sum()
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    Append(Append),
    /// The last append.
    Close(Append),
}

/// A journal that is open for writing. Cheap to clone; the lock is held until it is closed or the last clone is
/// dropped, which waits for what is in hand.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: OpenOptions,
    ring: KeyRing,
    queue: Arc<Queue>,
    status: watch::Receiver<Status>,
    published: watch::Receiver<follow::Published>,
    /// What this engine leads, where others could.
    leads: Option<Arc<Leads>>,
    /// Records as they come, until somebody follows them.
    arrivals: Mutex<Option<mpsc::UnboundedReceiver<Record>>>,
    /// The writer, then the publisher of tiles, then the scrub.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Tells the scrub that nobody waits for it.
    stop: Arc<AtomicBool>,
}

impl Journal {
    /// Opens a journal, or makes one in an empty directory, and holds its lock. Reads the whole log; blocks.
    pub fn open(options: OpenOptions) -> Result<(Self, Recovered), JournalError> {
        store::open(options, None)
    }

    /// Makes a journal where none is yet, and opens it.
    pub fn begin(options: OpenOptions) -> Result<Self, JournalError> {
        store::make_new(options).map(|(journal, _)| journal)
    }

    /// Gives a journal that nobody has open another key: see [`super::rotation`]. Reads the whole log; blocks.
    pub fn rotate(options: &OpenOptions) -> Result<Rotated, JournalError> {
        match &options.database {
            Some(database) => Err(JournalError::OfSeveral { database: database.address().to_owned() }),
            None => rotate::rotate(options),
        }
    }

    /// Starts the writer's thread, with `run` as its body, and the one that scrubs.
    pub(super) fn start(
        start: Start,
        run: impl FnOnce(Intake, watch::Sender<Status>) + Send + 'static,
    ) -> Result<Self, JournalError> {
        let Start { options, ring, queue, pulse, mut status, scrubber, arrivals, leads } = start;
        let intake = Intake::new(queue.clone()).with_pulse(pulse);
        status.scrub = scrubber.as_ref().map(Scrubber::begun);
        let (sender, receiver) = watch::channel(status);
        let (alive, ended) = std::sync::mpsc::channel();
        let (follower, published) = follow::start(&options.dir, options.low_water, receiver.clone(), ended)?;
        let (said, stop) = (sender.clone(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
            run(intake, sender);
            drop(alive);
        });
        let thread = thread.map_err(|e| JournalError::io("starting the writer of", &options.dir, &e))?;
        let scrub = scrubber.map(|scrubber| {
            let stop = stop.clone();
            std::thread::Builder::new().name("journal-scrub".into()).spawn(move || scrubber.run(&said, &stop))
        });
        let scrub = scrub.transpose().map_err(|e| JournalError::io("starting the check of", &options.dir, &e))?;
        let inner = Inner {
            options,
            ring,
            stop,
            queue,
            status: receiver,
            published,
            arrivals: Mutex::new(arrivals),
            leads,
            threads: Mutex::new([Some(thread), Some(follower), scrub].into_iter().flatten().collect()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Appends records, all in one batch, and returns them with their numbers when they are on the disk. They are
    /// written even when the caller stops waiting. Drafts that can not be written are refused before anything is.
    pub async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Committed>, JournalError> {
        let (append, answer) = prepare(drafts)?;
        if append.records.is_empty() {
            return Ok(vec![]);
        }
        self.send(Message::Append(append), answer).await
    }

    /// As [`Journal::append`], for code that is not async; blocks the thread, which stays awake for as long as a sync of
    /// a fast disk takes.
    pub fn append_blocking(&self, drafts: Vec<Draft>) -> Result<Vec<Committed>, JournalError> {
        let mut append = std::pin::pin!(self.append(drafts));
        let until = Instant::now() + AWAKE;
        while Instant::now() < until {
            if let Some(done) = append.as_mut().now_or_never() {
                return done;
            }
            std::thread::yield_now();
        }
        futures::executor::block_on(append)
    }

    /// Writes `journal.closed`, completes the segment and lets go of the lock. Every clone is closed with it.
    pub async fn close(&self, time: Timestamp) -> Result<(), JournalError> {
        let body = serde_json::json!({ "reason": "the writer ended in good order" });
        let (append, answer) = prepare(vec![self.inner.options.draft(Kind::JournalClosed, body, time)])?;
        self.send(Message::Close(append), answer).await.map(|_| ())
    }

    /// As [`Journal::close`], for code that is not async; blocks the thread.
    pub fn close_blocking(&self, time: Timestamp) -> Result<(), JournalError> {
        futures::executor::block_on(self.close(time))
    }

    /// How long a lease of this engine lasts unless it is renewed.
    pub fn lease(&self) -> Duration {
        self.inner.options.database.as_ref().map_or(LEASE, |database| database.lease())
    }

    /// Whether other engines write the log too.
    pub fn is_shared(&self) -> bool {
        self.inner.leads.is_some()
    }

    /// Takes the lead of an incident, or of [`super::ESTATE`], or goes on leading it; see [`super::lead_of`]. Where it is new
    /// to this engine, or new again, a record [`Kind::LeadTaken`] of it has to be written first, before which what this
    /// engine knows of it does not count. A log that is written by one engine is led by it.
    pub async fn lead(&self, name: &str) -> Result<(), JournalError> {
        let name = name.to_owned();
        self.ask_leads((), move |leads| leads.lead(&name)).await
    }

    /// Whether this engine has begun to lead it, and no other can at this moment.
    pub fn leads(&self, name: &str) -> bool {
        self.inner.leads.as_ref().is_none_or(|leads| leads.holds(name))
    }

    /// A number of incidents, runs or the like that no engine has used, at least this.
    pub async fn number(&self, name: &'static str, least: u64) -> Result<u64, JournalError> {
        self.ask_leads(least, move |leads| leads.number(name, least)).await
    }

    /// How far this machine's clock is ahead of that of the log's database at least; behind it where that is negative.
    pub async fn ahead(&self) -> Result<SignedDuration, JournalError> {
        self.ask_leads(SignedDuration::ZERO, Leads::ahead).await
    }

    /// Asks the database apart from the writer; `alone` is the answer where there is none.
    async fn ask_leads<T: Send + 'static>(
        &self,
        alone: T,
        ask: impl FnOnce(&Leads) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let Some(leads) = self.inner.leads.clone() else { return Ok(alone) };
        let asked = tokio::task::spawn_blocking(move || ask(&leads)).await;
        asked.unwrap_or(Err(JournalError::Closed))
    }

    /// Every record from here on in its order, the own ones before their append is answered: those of other engines too,
    /// where several write the log. For one who follows; nothing where this engine is the only one.
    pub fn arrivals(&self) -> Option<mpsc::UnboundedReceiver<Record>> {
        self.inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(&self, message: Message, answer: Answer) -> Result<Vec<Committed>, JournalError> {
        // Whoever asks is not to wait while the writer tries to reach a database.
        if let Some(why) = self.inner.status.borrow().broken.clone() {
            return Err(JournalError::Broken { why });
        }
        if !self.inner.queue.push(message).await {
            return Err(JournalError::Closed);
        }
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// What is on the disk now.
    pub fn status(&self) -> Status {
        self.inner.status.borrow().clone()
    }

    /// Follows what is on the disk.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.inner.status.clone()
    }

    /// What is published of it as tiles, which follows the disk and may be late or hindered.
    pub fn published(&self) -> follow::Published {
        self.inner.published.borrow().clone()
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.inner.options.dir
    }

    /// The public half of the key in force.
    pub fn verifier(&self) -> &VerifierKey {
        self.inner.ring.current()
    }

    /// All keys that it has had.
    pub fn ring(&self) -> &KeyRing {
        &self.inner.ring
    }

    /// Writes a snapshot for a place; see [`super::fold::keep`].
    pub(super) fn snapshot(
        &self,
        place: &Place,
        format: u64,
        state: serde_json::Value,
    ) -> Result<serde_json::Value, JournalError> {
        let refused = |e: serde_json::Error| JournalError::Broken { why: format!("the state can not be written: {e}") };
        let bytes = snapshot::encode(place, &self.inner.ring, format, state).map_err(refused)?;
        let size = place.tree.size();
        snapshots::write(self.dir(), size, &bytes)?;
        Ok(snapshot::body(&snapshots::name(size), size, &snapshot::digest(&bytes), bytes.len()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

/// Checks and encodes drafts.
fn prepare(drafts: Vec<Draft>) -> Result<(Append, Answer), JournalError> {
    let records = drafts.into_iter().map(Ready::new).collect::<Result<Vec<_>, _>>()?;
    let (reply, answer) = oneshot::channel();
    let append = Append { records, reply };
    let bytes = append.max_len();
    if bytes > MAX_BATCH_BYTES {
        return Err(JournalError::TooMuchAtOnce { bytes, limit: MAX_BATCH_BYTES });
    }
    Ok((append, answer))
}
