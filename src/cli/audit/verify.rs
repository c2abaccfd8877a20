//! `audit verify`: everything that a log says of itself, against a key from outside, and against checkpoints and
//! witnesses elsewhere.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::{pins, session};
use super::args::Verify;
use super::directory;
use crate::journal::JournalError;
use crate::journal::verify::{self, Evidence, Options, Progress, Report};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the progress is drawn.
const DRAW: Duration = Duration::from_millis(100);

/// Runs it.
pub fn run(global: &Global, what: &Verify) -> Result<Exit, Error> {
    let dir = directory(global, what.journal.as_deref())?;
    let progress = Arc::new(Progress::default());
    let options = options(global, what, &dir, Arc::clone(&progress))?;
    let report = watched(&progress, || verify::verify(&dir, &options)).map_err(|e| refusal(&e))?;
    if global.format == Format::Json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::Verification })
}

fn options(global: &Global, what: &Verify, dir: &Path, progress: Arc<Progress>) -> Result<Options, Error> {
    let key = pins::outside(global, what.vkey.as_deref(), what.journal.as_deref(), dir)?;
    let kept = what.checkpoint.iter().map(|path| session::read_file(path)).collect::<Result<_, _>>()?;
    let witnesses = what.witness_key.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    check_quorum(what.quorum, witnesses.len())?;
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
        quorum: what.quorum,
        every_signature: what.every_signature,
        range,
        tiles: what.tiles.clone(),
        archive: what.archive.clone(),
        progress: Some(progress),
    })
}

/// Whether so many of `count` witnesses can be asked for.
pub fn check_quorum(quorum: Option<usize>, count: usize) -> Result<(), Error> {
    match quorum {
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

fn print(report: &Report) -> Result<(), Error> {
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
    output::line(&format!("custody: {}", report.custody))?;
    if let Some(bad) = &report.first_bad {
        output::line(&format!("first bad: {bad}"))?;
    }
    Ok(())
}
