//! `audit verify`: everything that a log says of itself, against a key from outside, and against checkpoints and
//! witnesses elsewhere.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::{pins, session, witnesses};
use super::args::Verify;
use super::{database, directory, estates};
use crate::attest::anchor;
use crate::journal::JournalError;
use crate::journal::cosignature::WitnessKey;
use crate::journal::verify::{self, Anchored, Evidence, Openings, Options, Progress, Report, Trouble};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the progress is drawn.
const DRAW: Duration = Duration::from_millis(100);

/// Runs it.
pub fn run(global: &Global, what: &Verify) -> Result<Exit, Error> {
    if let Some(several) = estates::to_verify(global, what)? {
        return estates::verify(global, &several, what);
    }
    let report = report(global, what)?;
    if global.format == Format::Json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(exit(&report))
}

/// The exit code that a verdict has.
pub(super) const fn exit(report: &Report) -> Exit {
    if report.ok { Exit::Done } else { Exit::Verification }
}

/// Verifies the log of one estate, or the one that is named.
pub(super) fn report(global: &Global, what: &Verify) -> Result<Report, Error> {
    let Some(database) = database::of(global, what.journal.as_deref())? else {
        return of(global, what, &directory(global, what.journal.as_deref())?, None);
    };
    // Not the copy that this bastion keeps, but what the database holds now; the copy's last checkpoint must be in it.
    let brought = tempfile::tempdir().map_err(Error::failed)?;
    let dir = brought.path().join("journal");
    let own = directory(global, None)?;
    database::fetch(&database, &dir, &own)?;
    of(global, what, &dir, Some(&own))
}

/// Verifies the log in a directory; `copy` is what a bastion has of it.
fn of(global: &Global, what: &Verify, dir: &Path, copy: Option<&Path>) -> Result<Report, Error> {
    let progress = Arc::new(Progress::default());
    let mut options = options(global, what, dir, Arc::clone(&progress))?;
    options.kept.extend(copy.map(|copy| std::fs::read_to_string(copy.join("checkpoint"))).and_then(Result::ok));
    let mut report = watched(&progress, || verify::verify(dir, &options)).map_err(|e| refusal(&e))?;
    if let Some(copies) = &what.anchor {
        report.anchor(anchored(global, copies.as_deref(), dir, &options)?);
    }
    Ok(report)
}

fn options(global: &Global, what: &Verify, dir: &Path, progress: Arc<Progress>) -> Result<Options, Error> {
    let key = pins::outside(global, what.vkey.as_deref(), what.journal.as_deref(), dir)?;
    let kept = what.checkpoint.iter().map(|path| session::read_file(path)).collect::<Result<_, _>>()?;
    let Cosigners { keys: witnesses, administrators, quorum } = cosigners(global, what)?;
    let range = what.from.map(|from| (from, what.to.unwrap_or(from)));
    if let Some((from, to)) = range
        && from > to
    {
        return Err(Error::Usage(format!("--from {from} is greater than --to {to}: no record can fit")));
    }
    if let Some(dir) = what.tiles.iter().find(|dir| !dir.join("tile").is_dir()) {
        return Err(Error::Usage(format!("--tiles {} has no folder `tile`", dir.display())));
    }
    super::whole(dir, what.archive.as_deref())?;
    Ok(Options {
        key,
        kept,
        witnesses,
        administrators,
        quorum,
        every_signature: what.every_signature,
        range,
        tiles: what.tiles.clone(),
        archive: what.archive.clone(),
        progress: Some(progress),
    })
}

/// Who has to have signed for the log.
#[derive(Default)]
struct Cosigners {
    keys: Vec<WitnessKey>,
    administrators: Vec<String>,
    quorum: Option<usize>,
}

/// The witnesses that were named, else those of the configuration, where the log is the configured one.
fn cosigners(global: &Global, what: &Verify) -> Result<Cosigners, Error> {
    let keys = named_keys(&what.witness_key, &what.witness_keys)?;
    if !keys.is_empty() || what.quorum.is_some() || what.journal.is_some() || global.drill.is_some() {
        check_quorum(what.quorum, keys.len())?;
        return Ok(Cosigners { keys, administrators: vec![], quorum: what.quorum });
    }
    let loaded = session::load(global)?;
    let Some(settings) = witnesses::settings(&loaded, &session::home(&loaded.config))? else {
        return Ok(Cosigners::default());
    };
    let quorum = usize::try_from(settings.quorum).ok();
    let administrators = settings.witnesses.iter().map(|w| w.administrator.clone()).collect();
    Ok(Cosigners { keys: settings.keys(), administrators, quorum })
}

/// The keys in files with one each, and in files with one a line. A key that stands twice counts once.
pub fn named_keys(single: &[PathBuf], lists: &[PathBuf]) -> Result<Vec<WitnessKey>, Error> {
    let mut keys = single.iter().map(|path| read(path)).collect::<Result<Vec<WitnessKey>, _>>()?;
    for path in lists {
        let before = keys.len();
        for (n, line) in session::read_file(path)?.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (file, line_number) = (path.display(), n + 1);
            keys.push(line.parse().map_err(|e| Error::Usage(format!("{file}:{line_number}: {e}")))?);
        }
        if keys.len() == before {
            return Err(Error::Usage(format!(
                "{}: no key of a witness is in it, one a line is expected",
                path.display()
            )));
        }
    }
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.id()));
    Ok(keys)
}

/// Compares the log with the copies of its checkpoints.
fn anchored(global: &Global, copies: Option<&Path>, dir: &Path, options: &Options) -> Result<Anchored, Error> {
    let pinned = options.key.is_some();
    let key = options.key.clone().map_or_else(|| verify::own_key(dir), Ok).map_err(|e| refusal(&e))?;
    let report = match copies {
        Some(copies) if !copies.join("checkpoint").is_dir() => {
            return Err(Error::Usage(format!("--anchor {} has no folder `checkpoint`", copies.display())));
        }
        Some(copies) => anchor::compare_directory(copies, dir, &key, pinned),
        None => super::anchors::compare(global, dir, &key, pinned)?,
    };
    report.map(|report| report.to_verification()).map_err(Error::failed)
}

/// Whether so many of `count` witnesses can be asked for.
pub fn check_quorum(quorum: Option<usize>, count: usize) -> Result<(), Error> {
    match quorum {
        Some(_) if count == 0 => {
            Err(Error::Usage("--quorum needs the keys of witnesses: --witness-key FILE or --witness-keys FILE".into()))
        }
        Some(quorum) if !(1..=count).contains(&quorum) => Err(Error::Usage(format!(
            "--quorum {quorum} does not fit: {count} witness keys are given, so 1 to {count}"
        ))),
        _ => Ok(()),
    }
}

/// Reads a key from the file that a person named.
pub fn read<T: FromStr<Err: Display>>(path: &Path) -> Result<T, Error> {
    let text = session::read_file(path)?;
    text.trim().parse().map_err(|e| Error::Usage(format!("{}: {e}", path.display())))
}

/// What was asked for wrongly, what does not hold, and what could not be answered have exit codes of their own.
fn refusal(error: &JournalError) -> Error {
    match error {
        JournalError::Symlink { .. }
        | JournalError::NotADirectory { .. }
        | JournalError::NoLog { .. }
        | JournalError::KeyMalformed { .. }
        | JournalError::KeptCheckpoint { .. }
        | JournalError::Cosignature { .. }
        | JournalError::Archived { .. }
        | JournalError::BeyondTheEnd { .. } => Error::Usage(error.to_string()),
        JournalError::KeyWithoutLog { .. } | JournalError::NoVerifierKey { .. } => Error::Damaged(error.to_string()),
        other => Error::journal(other),
    }
}

/// Draws on a terminal at standard error how far it is.
fn watched<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if bar.is_hidden() {
        return work();
    }
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let begun = Instant::now();
    let (done, waiting) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let bar = &bar;
        scope.spawn(move || {
            while waiting.recv_timeout(DRAW) == Err(RecvTimeoutError::Timeout) {
                let records = progress.records();
                let rate = u128::from(records) * 1000 / begun.elapsed().as_millis().max(1);
                bar.set_length(progress.total());
                bar.set_position(progress.bytes());
                bar.set_message(format!("{records} records, {rate}/s"));
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}

pub(super) fn print(report: &Report) -> Result<(), Error> {
    let verdict = serde_json::to_value(report.verdict).map_err(Error::failed)?;
    output::line(&format!("{}: {}", verdict.as_str().unwrap_or_default(), report.origin))?;
    output::line(&format!("records {}, root {}, key {}", report.records, report.root, report.key))?;
    if report.key_in_force != report.key {
        output::line(&format!("key in force at the end: {}", report.key_in_force))?;
    }
    if let Some(range) = report.range {
        output::line(&format!("only records {} to {} were looked at", range.from, range.to))?;
    }
    if let Some(moved) = &report.archived {
        let places: Vec<String> = moved.places.iter().map(ToString::to_string).collect();
        let how = if moved.verified {
            "verified too"
        } else {
            "not looked at; the rest was verified from the checkpoint over them"
        };
        let (to, segments, places) = (moved.to, moved.segments, places.join(" and "));
        output::line(&format!("records 0 to {to} ({segments} segments) were moved to the archive {places}: {how}"))?;
        if let Some(seq) = moved.named_by {
            output::line(&format!("record {seq} names them with their digests"))?;
        }
    }
    let how = if report.every_signature { "each by itself" } else { "many together" };
    output::line(&format!("{} signatures checked, {how}, in {} ms", report.signatures, report.took_ms))?;
    for size in &report.kept {
        output::line(&format!("held against a kept checkpoint over {size} records"))?;
    }
    let Evidence { files, bytes, redacted } = report.evidence;
    if files + redacted > 0 {
        output::line(&format!("evidence: {files} files with {bytes} bytes, {redacted} deleted as records say"))?;
    }
    let Openings { kept, notes } = &report.openings;
    if kept + notes.len() as u64 > 0 {
        output::line(&format!("openings of secret values: {kept} are there"))?;
    }
    for note in notes {
        let trouble = match note.trouble {
            Trouble::Missing => "is missing: it was deleted, or is not in this copy",
            Trouble::Damaged => "has other bytes than its record says",
        };
        output::line(&format!("note: the opening of {} (record {}) {trouble}", note.commitment, note.record))?;
    }
    output::line(&format!("custody: {}", report.custody))?;
    if let Some(anchored) = &report.custody.anchored {
        if anchored.unlocked > 0 {
            let (unlocked, copies) = (anchored.unlocked, anchored.copies);
            output::line(&format!("{unlocked} of {copies} copies are not under object lock in compliance mode"))?;
        }
        for key in &anchored.strangers {
            output::line(&format!("{key} bears the name of this log and is signed by a key that it does not know"))?;
        }
    }
    if let Some(bad) = &report.first_bad {
        output::line(&format!("first bad: {bad}"))?;
    }
    Ok(())
}
