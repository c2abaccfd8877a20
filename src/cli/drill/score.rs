//! `drill score`: the score of an exercise from its journal alone.

use crate::cli::args::{Format, Global};
use crate::cli::audit::directory;
use crate::cli::output::{self, Error, Exit};
use crate::drill::score::{Ledger, Score};
use crate::journal::Record;
use crate::journal::fold::{self, Fold};
use crate::journal::read::Filter;
use crate::report::Exercised;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};

/// The fold of a journal.
#[derive(Default)]
struct Reading(Ledger);

impl Fold for Reading {
    fn apply(&mut self, record: &Record) {
        self.0.apply(record);
    }
}

/// The score that the journal in a directory amounts to; nothing where it tells of no exercise.
///
/// # Errors
/// Why it can not be read.
pub fn if_any(dir: &Path) -> Result<Option<Score>, Error> {
    let mut reading = Reading::default();
    fold::replay(dir, Filter::default(), &mut reading).map_err(|e| Error::journal(&e))?;
    Ok(reading.0.score())
}

/// The same, of the journal of an exercise.
///
/// # Errors
/// Why it can not be read, or that it tells of no exercise.
pub fn of(dir: &Path) -> Result<Score, Error> {
    let none =
        || Error::Failed(format!("{} tells of no exercise: only the journal of a drill has a score", dir.display()));
    if_any(dir)?.ok_or_else(none)
}

/// The exercises of this user that can be read. The records of one have its own time; its directory says when it was held.
pub fn held() -> Vec<Exercised> {
    let one = |dir: PathBuf| {
        let stamp = dir.file_name()?.to_str()?.get(..15)?.to_owned();
        let at = DateTime::strptime("%Y%m%dT%H%M%S", &stamp).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let score = if_any(&dir).ok()??;
        Some(Exercised { at, scenario: score.scenario, score: score.score, of: score.of, ended: score.ended })
    };
    crate::cli::session::drills().into_iter().filter_map(one).collect()
}

/// Runs it: on a directory, else on the journal of the newest drill.
pub fn run(global: &Global, of_dir: Option<&Path>, journal: Option<&Path>) -> Result<Exit, Error> {
    // A drill's journal holds one exercise, so that an incident of it names the same score.
    let is_incident = of_dir.and_then(Path::to_str).is_some_and(|word| word.starts_with("INC-"));
    let named: Option<PathBuf> = of_dir.filter(|_| !is_incident).or(journal).map(Path::to_path_buf);
    let dir = match named.or_else(crate::cli::session::newest_drill) {
        Some(dir) => dir,
        None => directory(global, None)?,
    };
    let score = of(&dir)?;
    match global.format {
        Format::Json => output::json(&score)?,
        _ => {
            for line in score.lines() {
                output::line(&line)?;
            }
        }
    }
    Ok(Exit::Done)
}
