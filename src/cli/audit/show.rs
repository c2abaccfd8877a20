//! `audit show`: records as a table, or as stored.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::args::Show;
use super::directory;
use crate::domain::id::IncidentId;
use crate::journal::read::{Filter, Reader, Stored};
use crate::journal::{Kind, describe};
use std::time::Duration;

/// How often a followed log is asked for more.
const FOLLOW: Duration = Duration::from_millis(250);

/// Kinds by word: one (`step.started`) or all of a group (`step`).
fn kinds(word: Option<&str>) -> Result<Vec<Kind>, Error> {
    let Some(word) = word else { return Ok(Vec::new()) };
    let kinds: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|k| k.word() == word || k.word().split('.').next() == Some(word)).collect();
    if kinds.is_empty() {
        let words: Vec<&str> = Kind::ALL.iter().map(|k| k.word()).collect();
        return Err(Error::Usage(format!("there is no kind `{word}`; there are {}", words.join(", "))));
    }
    Ok(kinds)
}

/// Runs it.
pub fn run(global: &Global, show: &Show) -> Result<Exit, Error> {
    let dir = directory(global, show.journal.as_deref())?;
    let filter = Filter {
        incident: show.incident.as_deref().map(IncidentId::from),
        actor: show.actor.clone(),
        kinds: kinds(show.kind.as_deref())?,
        since: show.since,
        until: show.until,
        first: show.from,
        last: show.to,
    };
    let mut reader = Reader::open(&dir, filter).map_err(Error::failed)?;
    if global.format == Format::Table {
        output::line(&row(["SEQ", "TIME", "KIND", "INCIDENT", "WHO", "WHAT"]))?;
    }
    loop {
        for stored in reader.by_ref() {
            print(global.format, &stored.map_err(Error::failed)?)?;
        }
        if !show.follow {
            return Ok(Exit::Done);
        }
        std::thread::sleep(FOLLOW);
    }
}

fn row(cells: [&str; 6]) -> String {
    let [seq, time, kind, incident, who, what] = cells;
    format!("{seq:>6}  {time:<24}  {kind:<24}  {incident:<8}  {who:<12}  {what}").trim_end().to_owned()
}

fn print(format: Format, stored: &Stored) -> Result<(), Error> {
    if format == Format::Json {
        return output::line(&String::from_utf8_lossy(&stored.bytes));
    }
    let record = &stored.record;
    let time = record.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let incident = record.incident.as_ref().map_or("-", |i| i.as_str());
    let (seq, what) = (record.seq.to_string(), describe(record));
    output::line(&row([&seq, &time, record.kind.word(), incident, &record.actor.user, &what]))
}
