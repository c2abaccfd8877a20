//! `report`: the after-action report on an incident, and trends over all of them (`report governance`), from the journal
//! alone.

use super::args::{Format, Global, Report as Asked};
use super::audit::directory;
use super::output::{self, Error, Exit};
use super::{pins, playbook};
use crate::domain::id::IncidentId;
use crate::domain::mode::Mode;
use crate::domain::moment;
use crate::journal::fold;
use crate::journal::read::Filter;
use crate::journal::verify::{self, Options};
use crate::playbook::library::Entry;
use crate::report::{self, Collector, Proof, Report, Stale, Trends};
use jiff::{SignedDuration, Timestamp};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// The word that stands for all incidents.
const GOVERNANCE: &str = "governance";
/// Hours of a year.
const YEAR_HOURS: i64 = 365 * 24;

/// Runs it.
pub fn run(global: &Global, asked: &Asked) -> Result<Exit, Error> {
    let dir = directory(global, asked.journal.as_deref())?;
    if asked.incident == GOVERNANCE {
        return governance(global, asked, &dir);
    }
    if asked.since.is_some() {
        return Err(Error::Usage(format!("--since goes with `report {GOVERNANCE}`, not with an incident")));
    }
    let id = IncidentId::new(asked.incident.clone());
    let mut collector = Collector::new(id.clone());
    fold::replay(&dir, Filter::default(), &mut collector).map_err(|e| Error::journal(&e))?;
    let mut report =
        collector.report().ok_or_else(|| Error::Failed(format!("{} declares no incident {id}", dir.display())))?;
    if report.mode == Mode::Drill {
        // The journal of a drill holds one exercise; without its card (an older one) there is no score.
        report.exercise = super::drill::score::if_any(&dir)?.map(|score| score.told());
    }
    report.proof = Some(proof(global, asked, &dir, &report)?);
    let verdict = report.proof.as_ref().map(|p| p.verdict.clone()).unwrap_or_default();
    let text = match global.format {
        Format::Json => format!("{}\n", serde_json::to_string(&report).map_err(Error::failed)?),
        Format::Html => report::html(&report).map_err(Error::Failed)?,
        Format::Table | Format::Md => report::markdown(&report).map_err(Error::Failed)?,
    };
    put(asked, &text)?;
    if verdict == "damaged" {
        crate::note!("quarterdeck: the journal does not verify; `quarterdeck audit verify` says where");
        return Ok(Exit::Verification);
    }
    Ok(Exit::Done)
}

/// Trends over all incidents.
fn governance(global: &Global, asked: &Asked, dir: &Path) -> Result<Exit, Error> {
    let now = Timestamp::now();
    let since = match &asked.since {
        Some(text) => moment::parse(text, now).map_err(|why| Error::Usage(format!("--since {text}: {why}")))?,
        None => now - SignedDuration::from_hours(YEAR_HOURS),
    };
    let mut trends = Trends::new(since);
    fold::replay(dir, Filter::default(), &mut trends).map_err(|e| Error::journal(&e))?;
    // The exercises of whoever asks; another journal has nothing to do with them.
    if asked.journal.is_none() && global.drill.is_none() {
        for exercise in super::drill::score::held() {
            trends.hold(exercise);
        }
    }
    let (library, problems) = playbook::library()?;
    for problem in problems {
        crate::note!("quarterdeck: {problem}");
    }
    let reviewed = |entry: &Entry| {
        let of = entry.playbook();
        Stale { playbook: of.id.clone(), owner: of.owner.clone(), reviewed: of.last_reviewed }
    };
    let report = trends.report(&library.all().map(reviewed).collect::<Vec<_>>());
    let text = match global.format {
        Format::Json => format!("{}\n", serde_json::to_string(&report).map_err(Error::failed)?),
        Format::Html => report::governance_html(&report).map_err(Error::Failed)?,
        Format::Table | Format::Md => report::governance_markdown(&report).map_err(Error::Failed)?,
    };
    put(asked, &text)?;
    Ok(Exit::Done)
}

fn put(asked: &Asked, text: &str) -> Result<(), Error> {
    match &asked.output {
        Some(path) => write(path, text, asked.force),
        None => output::raw(text.as_bytes()),
    }
}

fn write(path: &Path, text: &str, replace: bool) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(replace).create_new(!replace);
    let written =
        options.open(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => Error::Usage(format!("{} is there already; --force replaces it", path.display())),
        _ => Error::Failed(format!("{} can not be written: {e}", path.display())),
    })
}

/// Verifies the log that the report was made from.
fn proof(global: &Global, asked: &Asked, dir: &Path, report: &Report) -> Result<Proof, Error> {
    let key = pins::outside(global, asked.vkey.as_deref(), asked.journal.as_deref(), dir)?;
    let said = verify::verify(dir, &Options { key, ..Options::default() }).map_err(|e| Error::journal(&e))?;
    let seqs = || report.timeline.iter().map(|s| s.seq).chain(report.findings.iter().map(|f| f.seq));
    let verdict = serde_json::to_value(said.verdict).map_err(Error::failed)?;
    Ok(Proof {
        origin: said.origin,
        first: seqs().min().unwrap_or_default(),
        last: seqs().max().unwrap_or_default(),
        size: said.records,
        root: said.root,
        checkpoint: said.checkpoint,
        verdict: verdict.as_str().unwrap_or_default().to_owned(),
        key: said.key,
    })
}
