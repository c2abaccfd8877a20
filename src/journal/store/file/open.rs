//! Opening a log for writing, from the directory to the running writer.

use super::batch::Batch;
use super::chain::Chain;
use super::create::{self, Lies};
use super::lock::Lock;
use super::medium::Disk;
use super::place;
use super::recover::End;
use super::walk::{Step, Walk, segments};
use super::writer::Writer;
use crate::domain::text::sanitize;
use crate::journal::checkpoint::{BadNote, Checkpoint};
use crate::journal::error::{Damage, Holder, JournalError};
use crate::journal::handle::{Journal, OpenOptions, Quarantined, Recovered};
use crate::journal::key::{LogKey, VerifierKey, check_origin};
use crate::journal::kind::Kind;
use crate::journal::record::{Committed, Draft, Ready, Record};
use crate::journal::tree::Frontier;
use serde_json::{Value, json};

/// Where replayed records go.
pub type Fold<'a> = &'a mut dyn FnMut(&Record);

/// Opens or makes a log and starts its writer.
pub fn open(options: OpenOptions, mut fold: Option<Fold<'_>>) -> Result<(Journal, Recovered), JournalError> {
    check_origin(&options.origin)?;
    let handle = place::prepare(&options.dir)?;
    let holder = Holder {
        pid: std::process::id(),
        user: options.actor.user.clone(),
        host: options.actor.host.clone(),
        since: options.time.to_string(),
    };
    let lock = Lock::take(&options.dir, &holder)?;
    let found = match create::look(&options.dir)? {
        Lies::Nothing => make(&options)?,
        Lies::Log(key) => resume(&options, key, false, &mut fold)?,
        Lies::Unfinished(key) => match resume(&options, key, true, &mut fold)? {
            found if found.frontier.size() > 0 => found,
            _ => make(&options)?,
        },
    };

    let Found { key, segment, first, frontier, len, recovered, unfinished } = found;
    let verifier = key.verifier().clone();
    let medium = Disk::new(&options.dir, handle, segment, first);
    let mut writer = Writer::new(medium, options.clone(), key, frontier, first, len);
    let opening = opening_records(&options, &recovered).into_iter().map(Ready::new).collect::<Result<Vec<_>, _>>()?;
    let committed = writer.commit(opening)?;
    if unfinished {
        create::finish(&options.dir)?;
    }
    create::write_verifier_key(&options.dir, &verifier)?;
    if let Some(fold) = &mut fold {
        for Committed { record, .. } in &committed {
            fold(record);
        }
    }
    let status = writer.status();
    let journal = Journal::start(options, verifier, status, move |inbox, status| writer.run(inbox, &status, lock))?;
    Ok((journal, recovered))
}

/// What the writer goes on from.
struct Found {
    key: LogKey,
    segment: std::fs::File,
    /// Number of that segment's first record.
    first: u64,
    frontier: Frontier,
    /// Length of the segment that counts.
    len: u64,
    recovered: Recovered,
    /// Whether the key still has its waiting name.
    unfinished: bool,
}

fn make(options: &OpenOptions) -> Result<Found, JournalError> {
    let (key, segment) = create::begin(&options.dir, &options.origin)?;
    let recovered = Recovered { created: true, records: 0, clean: true, quarantined: None };
    Ok(Found { key, segment, first: 0, frontier: Frontier::default(), len: 0, recovered, unfinished: true })
}

/// Reads a log up to its end, checks every root, and settles the end.
fn resume(
    options: &OpenOptions,
    key: LogKey,
    unfinished: bool,
    fold: &mut Option<Fold<'_>>,
) -> Result<Found, JournalError> {
    if key.verifier().name() != options.origin {
        return Err(JournalError::ForeignLog {
            dir: options.dir.clone(),
            found: key.verifier().name().to_owned(),
            expected: options.origin.clone(),
        });
    }
    let mut walk = Walk::open(&options.dir, 0)?.exclusive();
    if walk.seq() > 0 {
        return Err(walk.missing_before());
    }
    let mut scan = Scan { options, key: key.verifier(), fold, chain: Chain::default(), held: None, clean: false };
    let (damage, good) = loop {
        match walk.next() {
            Ok(Step::Batch(batch)) => {
                let offset = batch.offset;
                if let Some(damage) = scan.take(batch, walk.place().0.name())? {
                    break (Some(damage), offset);
                }
            }
            Ok(Step::End { .. }) => break (None, walk.place().1),
            Err(JournalError::Damaged(damage)) if damage.line > 0 => break (Some(damage), walk.place().1),
            Err(other) => return Err(other),
        }
    };
    let (damage, good) = match (scan.vouch()?, damage) {
        (None, damage) => (damage, good),
        (Some((here, offset)), None) => (Some(here), offset),
        // Two bad batches in a row are not a torn end.
        (Some((here, _)), Some(_)) => return Err(JournalError::Damaged(here)),
    };
    let segment = walk.place().0.clone();
    if let Some(damage) = &damage
        && (damage.file != segment.name() || segments(&options.dir)?.last() != Some(&segment))
    {
        return Err(JournalError::Damaged(damage.clone()));
    }
    let (frontier, clean) = (scan.chain.frontier().clone(), scan.clean);
    let size = frontier.size();
    let first = segment.first;
    let end = End { segment, good, size, damage, unborn: unfinished };
    let (file, quarantined) = end.settle(&options.dir, key.verifier())?;
    let clean = clean && quarantined.is_none();
    let recovered = Recovered { created: false, records: size, clean, quarantined };
    Ok(Found { key, segment: file, first, frontier, len: good, recovered, unfinished })
}

/// A batch whose root is right, kept back until a later one, or a valid signature of its own, vouches for it.
struct Held {
    batch: Batch,
    file: String,
    before: Chain,
}

struct Scan<'a, 'f> {
    options: &'a OpenOptions,
    key: &'a VerifierKey,
    fold: &'a mut Option<Fold<'f>>,
    chain: Chain,
    held: Option<Held>,
    /// Whether the last record says that the writer ended in good order.
    clean: bool,
}

impl Scan<'_, '_> {
    /// Takes in a batch, or says why it is not true.
    fn take(&mut self, batch: Batch, file: String) -> Result<Option<Damage>, JournalError> {
        let before = self.chain.clone();
        match self.chain.take(&batch, &file) {
            Ok(checkpoint) if before.origin().is_none() => self.is_ours(&checkpoint, &batch)?,
            Ok(_) => {}
            Err(JournalError::Damaged(damage)) => return Ok(Some(damage)),
            Err(other) => return Err(other),
        }
        if let Some(held) = self.held.replace(Held { batch, file, before }) {
            self.replay(&held)?;
        }
        Ok(None)
    }

    /// The first batch tells whose log it is.
    fn is_ours(&self, checkpoint: &Checkpoint, batch: &Batch) -> Result<(), JournalError> {
        let dir = self.options.dir.clone();
        if checkpoint.origin != self.options.origin {
            let (found, expected) = (sanitize(&checkpoint.origin), self.options.origin.clone());
            return Err(JournalError::ForeignLog { dir, found, expected });
        }
        match Checkpoint::open(&batch.note, self.key) {
            Err(BadNote::OtherKey { expected }) => Err(JournalError::OtherKey { dir, key: expected }),
            _ => Ok(()),
        }
    }

    /// Checks the signature of the last batch, which vouches for all before it. When it is not valid the batch is
    /// taken back, and what is wrong and where it begins is the answer.
    fn vouch(&mut self) -> Result<Option<(Damage, u64)>, JournalError> {
        let Some(held) = self.held.take() else { return Ok(None) };
        if let Err(why) = Checkpoint::open(&held.batch.note, self.key) {
            let (seq, size) = (held.before.frontier().size(), self.chain.frontier().size());
            let line = held.batch.line + held.batch.lines() - 1;
            let why = format!("its commit line: {why}");
            let damage = Damage { seq, through: size.saturating_sub(1), file: held.file, line, why };
            self.chain = held.before;
            return Ok(Some((damage, held.batch.offset)));
        }
        self.replay(&held)?;
        let last = held.batch.records().last().unwrap_or_default();
        self.clean = Record::parse(last).is_ok_and(|r| r.kind == Kind::JournalClosed);
        Ok(None)
    }

    fn replay(&mut self, held: &Held) -> Result<(), JournalError> {
        let Some(fold) = self.fold else { return Ok(()) };
        for (seq, bytes) in (held.before.frontier().size()..).zip(held.batch.records()) {
            fold(&Record::parse(bytes).map_err(|e| JournalError::Foreign { seq, why: e.to_string() })?);
        }
        Ok(())
    }
}

/// What an opening writes before anything else: that it is open, what it had to set aside, and the steps whose
/// outcome nobody knows because of that.
fn opening_records(options: &OpenOptions, recovered: &Recovered) -> Vec<Draft> {
    let opened = json!({
        "origin": options.origin,
        "program": concat!("quarterdeck ", env!("CARGO_PKG_VERSION")),
        "records": recovered.records,
    });
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
