//! Opening a shared log: the copy as far as it is there, what the database holds beyond it, and a record that this bastion
//! has opened it.

use super::copy::{Copy, Mark, mark, write_mark};
use super::leads::Leads;
use super::writer::Writer;
use super::{Database, Head, Heard, LedgerError};
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Holder, JournalError};
use crate::journal::fold::Replay;
use crate::journal::handle::{Journal, OpenOptions, Recovered, Start};
use crate::journal::key::{KeyRing, LogKey, check_origin};
use crate::journal::kind::Kind;
use crate::journal::record::{Ready, Record};
use crate::journal::snapshot::Place;
use crate::journal::store::file::intake::Queue;
use crate::journal::store::file::lock::Lock;
use crate::journal::store::file::medium::Disk;
use crate::journal::store::file::open::{Found, resume};
use crate::journal::store::file::scrub::Scrubber;
use crate::journal::store::file::walk::{Segment, segments};
use crate::journal::store::file::{KEY, RECORDS, create, keyfile, place};
use crate::journal::store::serve::{Writes, serve};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long others may have written before this bastion looks by itself; mostly it is told.
const PULSE: Duration = Duration::from_secs(1);

/// A log that is open, whose writer does not run yet.
pub struct Begun {
    /// The writer, which has written that this bastion has opened the log.
    pub writer: Writer,
    /// Held as long as this lives.
    pub lock: Lock,
    /// The keys.
    pub ring: KeyRing,
    /// What this engine leads: nothing yet.
    pub leads: Arc<Leads>,
    /// Every record that comes from here on.
    pub arrivals: mpsc::UnboundedReceiver<Record>,
    /// What opening found.
    pub recovered: Recovered,
    scrubber: Option<Scrubber>,
}

/// Opens the copy in the options' directory of the log in a database, and starts its writer.
pub fn open(
    options: OpenOptions,
    database: &Arc<dyn Database>,
    replay: Option<&mut dyn Replay>,
) -> Result<(Journal, Recovered), JournalError> {
    let queue = Queue::new();
    let nudge = queue.clone();
    let Begun { writer, lock, ring, leads, arrivals, recovered, scrubber } =
        begin(&options, database, Arc::new(move || nudge.nudge()), replay)?;
    let (status, arrivals, leads) = (writer.status(), Some(arrivals), Some(leads));
    let start = Start { options, ring, queue, pulse: Some(PULSE), status, scrubber, leads, arrivals };
    let run = move |intake, status| serve(writer, intake, &status, lock);
    Ok((Journal::start(start, run)?, recovered))
}

/// Enters the database, brings the copy to what it holds, and writes that this bastion has opened the log.
pub fn begin(
    options: &OpenOptions,
    database: &Arc<dyn Database>,
    news: Heard,
    mut replay: Option<&mut dyn Replay>,
) -> Result<Begun, JournalError> {
    check_origin(&options.origin)?;
    let dir = &options.dir;
    let handle = place::prepare(dir)?;
    let mut lock = Lock::take(dir)?;
    let mark = own_mark(options, database.as_ref())?;
    let mut ledger = database.session(news);
    let unusable =
        |e: &LedgerError| JournalError::Database { database: database.address().to_owned(), why: e.to_string() };
    let head = ledger.enter(&mark.writer, &options.origin).map_err(|e| unusable(&e))?;
    let (key, new) = key(options, &head, database.as_ref())?;
    let found =
        if segments(dir)?.is_empty() { empty(options, key)? } else { resume(options, key, false, &mut replay)? };
    let Found { key, ring, segment, place, mut recovered, skipped, .. } = found;
    let holder = Holder {
        pid: std::process::id(),
        user: options.actor.user.clone(),
        host: options.actor.host.clone(),
        since: options.time.to_string(),
    };
    lock.tell(dir, &holder)?;
    let copy = Copy::new(dir, handle, segment, &place, options.segment_bytes);
    let leads = Leads::new(database.as_ref(), mark.writer.clone());
    let mut writer = Writer::new(ledger, database.clone(), options.clone(), key, place, copy, leads.clone());
    writer.enter()?;
    writer.catch_up_with(|record| {
        if let Some(replay) = &mut replay {
            replay.apply(record);
        }
    })?;
    recovered.created = new;
    recovered.records = writer.status().size;
    // Other engines may write: who comes can not tell a silence from an end.
    recovered.clean = true;
    recovered.quarantined = None;
    let mut opened = json!({
        "origin": options.origin,
        "program": concat!("quarterdeck ", env!("CARGO_PKG_VERSION")),
        "records": recovered.records,
        "database": database.address(),
        "writer": mark.writer,
    });
    if let (Some(note), Some(members)) = (&options.follows, opened.as_object_mut()) {
        members.insert("follows".into(), note.clone().into());
    }
    // From here on others may come in between.
    let mut arrivals = writer.feed();
    let first = Ready::new(options.draft(Kind::JournalOpened, opened, options.time))?;
    writer.commit(&[first], &[])?;
    while let (Some(replay), Ok(record)) = (&mut replay, arrivals.try_recv()) {
        replay.apply(&record);
    }
    if new {
        create::finish(dir)?;
    }
    create::write_verifier_key(dir, ring.current())?;
    let scrubber = skipped.map(|until| Scrubber {
        dir: dir.clone(),
        origin: options.origin.clone(),
        until,
        damaged: writer.damaged(),
    });
    Ok(Begun { writer, lock, ring, leads, arrivals, recovered, scrubber })
}

/// As [`open`], for a log that must not be there yet.
pub fn make_new(options: OpenOptions, database: &Arc<dyn Database>) -> Result<(Journal, Recovered), JournalError> {
    let mut ledger = database.session(Arc::new(|| {}));
    let found = ledger
        .read(0)
        .map_err(|e| JournalError::Database { database: database.address().to_owned(), why: e.to_string() })?;
    if !found.is_empty() || !segments(&options.dir)?.is_empty() {
        return Err(JournalError::NotNew { dir: options.dir });
    }
    open(options, database, None)
}

/// What marks the directory as the copy of this log; made where nothing is there yet.
fn own_mark(options: &OpenOptions, database: &dyn Database) -> Result<Mark, JournalError> {
    let OpenOptions { dir, origin, actor, .. } = options;
    let address = database.address().to_owned();
    match mark(dir)? {
        Some(mark) if mark.origin != *origin => {
            let found = crate::domain::text::sanitize(&mark.origin);
            Err(JournalError::ForeignLog { dir: dir.clone(), found, expected: origin.clone() })
        }
        Some(mark) if mark.database == address && mark.is_of(&actor.host) => Ok(mark),
        // The database has moved, or the directory was brought from another bastion; what is in them is compared.
        Some(mark) => {
            let writer = if mark.is_of(&actor.host) { mark.writer.clone() } else { Mark::name(&actor.host) };
            let mark = Mark { database: address, writer, ..mark };
            write_mark(dir, &mark)?;
            Ok(mark)
        }
        None if !segments(dir)?.is_empty() => Err(JournalError::OwnLog { dir: dir.clone(), database: address }),
        None => {
            let mark = Mark { database: address, origin: origin.clone(), writer: Mark::name(&actor.host) };
            write_mark(dir, &mark)?;
            Ok(mark)
        }
    }
}

/// The key of the log, and whether it is made now, with the log.
fn key(options: &OpenOptions, head: &Head, database: &dyn Database) -> Result<(LogKey, bool), JournalError> {
    let OpenOptions { dir, origin, pin, .. } = options;
    let (path, waiting) = (dir.join(KEY), create::pending(dir));
    let fits = |key: &LogKey| Checkpoint::open(&head.note, key.verifier()).is_ok();
    if head.size == 0 {
        if let Some(pin) = pin {
            return Err(JournalError::PinnedLogMissing { dir: dir.clone(), pinned: pin.id() });
        }
        if place::exists(&path) {
            return named(keyfile::load(&path)?, options).map(|key| (key, false));
        }
        let key = LogKey::generate(origin)?;
        create::remove(&waiting)?;
        keyfile::store(&waiting, &key)?;
        place::sync_dir(dir)?;
        return Ok((key, true));
    }
    if !place::exists(&path) {
        // The making of the log was cut short after its first batch.
        if place::exists(&waiting)
            && let Ok(key) = keyfile::load(&waiting)
            && fits(&key)
        {
            return named(key, options).map(|key| (key, true));
        }
        return Err(JournalError::SharedKeyMissing { database: database.address().to_owned(), key: path });
    }
    let key = named(keyfile::load(&path)?, options)?;
    if !fits(&key) {
        return Err(JournalError::OtherKey { dir: dir.clone(), key: key.verifier().id() });
    }
    match pin {
        Some(pin) if pin != key.verifier() => {
            Err(JournalError::Pinned { dir: dir.clone(), found: key.verifier().id(), pinned: pin.id() })
        }
        _ => Ok((key, false)),
    }
}

fn named(key: LogKey, options: &OpenOptions) -> Result<LogKey, JournalError> {
    if key.verifier().name() == options.origin {
        return Ok(key);
    }
    let (found, expected) = (key.verifier().name().to_owned(), options.origin.clone());
    Err(JournalError::ForeignLog { dir: options.dir.clone(), found, expected })
}

/// A copy that has nothing yet.
fn empty(options: &OpenOptions, key: LogKey) -> Result<Found, JournalError> {
    let dir = &options.dir;
    place::make_folder(&dir.join(RECORDS))?;
    let segment = Disk::make_segment(dir, 0).map_err(|e| JournalError::io("making", &first_segment(dir), &e))?;
    place::sync_dir(dir)?;
    let recovered =
        Recovered { created: false, records: 0, clean: true, quarantined: None, from_snapshot: 0, passed_over: vec![] };
    let ring = KeyRing::of(key.verifier().clone());
    let place = Place { line: 1, ..Place::default() };
    Ok(Found { key, ring, segment, place, recovered, unfinished: false, skipped: None })
}

fn first_segment(dir: &Path) -> std::path::PathBuf {
    Segment::at(dir, 0).path
}
