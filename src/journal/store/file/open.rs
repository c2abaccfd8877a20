//! Opening a log for writing, from the directory to the running writer: from a snapshot of the state and what
//! follows it where there is one that counts, else from the first record on.

use super::create::{self, Lies};
use super::intake::Queue;
use super::lock::Lock;
use super::medium::Disk;
use super::recover::End;
use super::scan::{Known, Scanned, scan};
use super::scrub::Scrubber;
use super::walk::segments;
use super::writer::Writer;
use super::{place, pruned, snapshots};
use crate::domain::text::sanitize;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{Holder, JournalError};
use crate::journal::fold::Replay;
use crate::journal::handle::{Journal, OpenOptions, Quarantined, Recovered, Start};
use crate::journal::key::{KeyRing, LogKey, check_origin};
use crate::journal::kind::Kind;
use crate::journal::record::{Committed, Draft, Ready, Record};
use crate::journal::snapshot::{Maker, Place, Snapshot, Unfit};
use crate::journal::store::serve::{Writes, serve};
use crate::journal::store::shared::mark;
use serde_json::{Value, json};

/// Opens or makes a log that lies in a directory, and starts its writer.
pub fn open(options: OpenOptions, replay: Option<&mut dyn Replay>) -> Result<(Journal, Recovered), JournalError> {
    let Begun { writer, lock, ring, recovered, skipped } = begin(&options, replay)?;
    let scrubber = skipped.map(|until| Scrubber {
        dir: options.dir.clone(),
        origin: options.origin.clone(),
        until,
        damaged: writer.damaged(),
    });
    let (queue, status) = (Queue::new(), writer.status());
    let start = Start { options, ring, queue, pulse: None, status, scrubber, arrivals: None, leads: None };
    let run = move |intake, status| serve(writer, intake, &status, lock);
    Ok((Journal::start(start, run)?, recovered))
}

/// Makes a log and starts its writer; one that is there already is left alone.
pub fn make_new(options: OpenOptions) -> Result<(Journal, Recovered), JournalError> {
    if place::exists(&options.dir.join(super::RECORDS)) && !matches!(create::look(&options.dir)?, Lies::Nothing) {
        return Err(JournalError::NotNew { dir: options.dir });
    }
    open(options, None)
}

/// A log with its writer, which does not run yet.
pub struct Begun {
    /// The writer, which has written that the log is open.
    pub writer: Writer<Disk>,
    /// Held as long as this lives.
    pub lock: Lock,
    /// The keys.
    pub ring: KeyRing,
    /// What opening found.
    pub recovered: Recovered,
    /// The end of what was not read, because a snapshot stood for it.
    skipped: Option<Place>,
}

/// Takes the lock, finds the end of the log, and writes that it is open.
pub fn begin(options: &OpenOptions, mut replay: Option<&mut dyn Replay>) -> Result<Begun, JournalError> {
    check_origin(&options.origin)?;
    if let Some(note) = &options.follows {
        Checkpoint::read(note).map_err(|why| JournalError::KeptCheckpoint { why })?;
    }
    if let (Some(pin), false) = (&options.pin, place::exists(&options.dir)) {
        return Err(JournalError::PinnedLogMissing { dir: options.dir.clone(), pinned: pin.id() });
    }
    let handle = place::prepare(&options.dir)?;
    let mut lock = Lock::take(&options.dir)?;
    if let Some(mark) = mark(&options.dir)? {
        return Err(JournalError::IsACopy { dir: options.dir.clone(), database: sanitize(&mark.database) });
    }
    let found = match create::look(&options.dir)? {
        Lies::Nothing => make(options)?,
        Lies::Log(_) | Lies::Unfinished(_) if options.follows.is_some() => {
            return Err(JournalError::NotNew { dir: options.dir.clone() });
        }
        Lies::Log(key) => resume(options, key, false, &mut replay)?,
        Lies::Unfinished(key) => match resume(options, key, true, &mut replay)? {
            found if found.place.tree.size() > 0 => found,
            _ => make(options)?,
        },
    };

    let holder = Holder {
        pid: std::process::id(),
        user: options.actor.user.clone(),
        host: options.actor.host.clone(),
        since: options.time.to_string(),
    };
    lock.tell(&options.dir, &holder)?;
    let Found { key, ring, segment, place, recovered, unfinished, skipped } = found;
    let medium = Disk::new(&options.dir, handle, segment, place.segment);
    let mut writer = Writer::new(medium, options.clone(), key, place);
    let first = opening_records(options, &recovered).into_iter().map(Ready::new).collect::<Result<Vec<_>, _>>()?;
    let committed = writer.commit(first)?;
    if unfinished {
        create::finish(&options.dir)?;
    }
    create::write_verifier_key(&options.dir, ring.current())?;
    if let Some(replay) = &mut replay {
        for Committed { record, .. } in &committed {
            replay.apply(record);
        }
    }
    Ok(Begun { writer, lock, ring, recovered, skipped })
}

/// What the writer goes on from.
pub struct Found {
    /// The key that signs.
    pub key: LogKey,
    /// All keys.
    pub ring: KeyRing,
    /// The last segment, open for writing.
    pub segment: std::fs::File,
    /// The end.
    pub place: Place,
    /// What opening found.
    pub recovered: Recovered,
    /// Whether the key still has its waiting name.
    pub unfinished: bool,
    /// The end of what was not read, because a snapshot stood for it.
    pub skipped: Option<Place>,
}

fn make(options: &OpenOptions) -> Result<Found, JournalError> {
    if let Some(pin) = &options.pin {
        return Err(JournalError::PinnedLogMissing { dir: options.dir.clone(), pinned: pin.id() });
    }
    let (key, segment) = create::begin(&options.dir, &options.origin)?;
    let recovered =
        Recovered { created: true, records: 0, clean: true, quarantined: None, from_snapshot: 0, passed_over: vec![] };
    let ring = KeyRing::of(key.verifier().clone());
    let place = Place { line: 1, ..Place::default() };
    Ok(Found { key, ring, segment, place, recovered, unfinished: true, skipped: None })
}

/// Finds the end of a log and settles it. Nothing is written before it is clear that this is the log that was asked
/// for and that it is true.
pub fn resume(
    options: &OpenOptions,
    key: LogKey,
    unfinished: bool,
    replay: &mut Option<&mut dyn Replay>,
) -> Result<Found, JournalError> {
    let dir = &options.dir;
    if key.verifier().name() != options.origin {
        return Err(JournalError::ForeignLog {
            dir: dir.clone(),
            found: key.verifier().name().to_owned(),
            expected: options.origin.clone(),
        });
    }
    let next = create::next_key(dir);
    let known = Known { dir, origin: &options.origin, key: key.verifier(), next: next.as_ref().map(LogKey::verifier) };
    let (shortened, passed_over) = from_snapshot(known, replay);
    let (scanned, skipped) = match shortened {
        Some((scanned, place)) => (scanned, Some(place)),
        // Reborrowed by hand: the trait object is invariant behind `Option`.
        None => match replay {
            Some(replay) => (scan(known, None, Some(&mut **replay))?, None),
            None => (scan(known, None, None)?, None),
        },
    };
    let Scanned { place, walk, damage, ring, clean, .. } = scanned;
    if let Some(pin) = &options.pin
        && !ring.contains(pin)
    {
        return Err(JournalError::Pinned { dir: dir.clone(), found: ring.current().id(), pinned: pin.id() });
    }
    let segment = walk.place().0.clone();
    if let Some(damage) = &damage
        && (damage.file != segment.name() || segments(dir)?.last() != Some(&segment))
    {
        return Err(JournalError::Damaged(damage.clone()));
    }
    let size = place.tree.size();
    let end = End { segment, good: place.offset, size, damage, unborn: unfinished };
    let (file, quarantined) = end.settle(dir, ring.current())?;
    // A rotation that was cut short is completed where its record is there, and forgotten where it is not.
    let key = match next {
        Some(next) if next.verifier() == ring.current() => {
            create::name_next_key(dir)?;
            next
        }
        _ => {
            create::forget_next_key(dir)?;
            key
        }
    };
    let clean = clean && quarantined.is_none();
    let from_snapshot = skipped.as_ref().map_or(0, |p| p.tree.size());
    let recovered = Recovered { created: false, records: size, clean, quarantined, from_snapshot, passed_over };
    Ok(Found { key, ring, segment: file, place, recovered, unfinished, skipped })
}

/// Reads what follows the newest snapshot that counts, and says of the others why they do not. That nothing before it
/// is read leaves damage there for the scrub to find; whatever is wrong after it is judged by the pass over all.
fn from_snapshot(known: Known<'_>, replay: &mut Option<&mut dyn Replay>) -> (Option<(Scanned, Place)>, Vec<String>) {
    let mut passed_over = vec![];
    let Some(replay) = replay else { return (None, passed_over) };
    let Some(format) = replay.format() else { return (None, passed_over) };
    for (size, path) in snapshots::list(known.dir) {
        match take_up(known, &path, format, &mut **replay) {
            Ok(found) => return (Some(found), passed_over),
            Err(why) => {
                replay.reset();
                passed_over.push(format!("{}: {why}", snapshots::name(size)));
            }
        }
    }
    (None, passed_over)
}

fn take_up(
    known: Known<'_>,
    path: &std::path::Path,
    format: u64,
    replay: &mut dyn Replay,
) -> Result<(Scanned, Place), String> {
    let bytes = snapshots::read(path).map_err(|e| e.to_string())?;
    let maker = if pruned::size(known.dir).is_some() { Maker::Any } else { Maker::This };
    let mut snapshot = Snapshot::decode_of(&bytes, format, maker).map_err(|e| e.to_string())?;
    if snapshot.origin != known.origin {
        return Err(format!("it is of the log `{}`", sanitize(&snapshot.origin)));
    }
    if !replay.restore(snapshot.state.take()) {
        return Err(Unfit::State.to_string());
    }
    let scanned = scan(known, Some(&snapshot), Some(replay)).map_err(|e| e.to_string())?;
    if scanned.named { Ok((scanned, snapshot.place)) } else { Err(Unfit::Unnamed.to_string()) }
}

/// What an opening writes before anything else: that it is open, what it had to set aside, and the steps whose
/// outcome nobody knows because of that.
fn opening_records(options: &OpenOptions, recovered: &Recovered) -> Vec<Draft> {
    let mut opened = json!({
        "origin": options.origin,
        "program": concat!("quarterdeck ", env!("CARGO_PKG_VERSION")),
        "records": recovered.records,
    });
    if let (Some(note), Some(members)) = (&options.follows, opened.as_object_mut()) {
        members.insert("follows".into(), note.clone().into());
    }
    let mut drafts = vec![options.draft(Kind::JournalOpened, opened, options.time)];
    if let Some(quarantined) = &recovered.quarantined {
        let Quarantined { file, bytes, sha256, why, superseded, legible } = quarantined;
        let body = json!({
            "file": file, "bytes": bytes, "sha256": sha256, "why": why, "superseded": superseded,
            "legible": legible.len(),
        });
        drafts.push(options.draft(Kind::JournalRecovered, body, options.time));
        drafts.extend(legible.iter().filter(|r| r.kind == Kind::StepStarted).map(|r| unknown_step(options, r)));
    }
    drafts
}

/// A step whose start stood in what was set aside: it may have been sent.
fn unknown_step(options: &OpenOptions, started: &Record) -> Draft {
    let mut body = serde_json::Map::new();
    for member in ["run", "step", "digest"] {
        if let Some(Value::String(text)) = started.body.get(member) {
            body.insert(member.to_owned(), Value::String(text.chars().take(200).collect()));
        }
    }
    body.insert("why".into(), "its start was in the torn end of the journal, so it may have been sent".into());
    let draft = options.draft(Kind::StepUnknown, Value::Object(body), options.time);
    Draft { incident: started.incident.clone(), ..draft }
}
