//! `audit show` and `audit verify`: they read any journal directory, also a copied or a read-only one; no lock, no
//! configuration, no private key, and nothing is written.

use super::args::{Audit, AuditShow, Format, Global};
use super::output::{self, Error, Exit};
use super::session;
use crate::domain::id::IncidentId;
use crate::journal::read::{Filter, Reader, Stored};
use crate::journal::verify::{self, Options};
use crate::journal::{Kind, describe};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a followed log is asked for more.
const FOLLOW: Duration = Duration::from_millis(250);

/// Runs it.
pub fn run(global: &Global, what: &Audit) -> Result<Exit, Error> {
    match what {
        Audit::Show(show) => records(global, show),
        Audit::Verify { journal, vkey, checkpoint } => {
            check(global, journal.as_deref(), vkey.as_deref(), checkpoint.as_deref())
        }
    }
}

/// The directory that was named, else that of the configured estate.
fn directory(global: &Global, named: Option<&Path>) -> Result<PathBuf, Error> {
    match named {
        Some(dir) if dir.is_dir() => Ok(dir.to_path_buf()),
        Some(dir) => Err(Error::Usage(format!("--journal {} is not a directory", dir.display()))),
        None if global.drill.is_some() => {
            Err(Error::Usage("each drill has a journal of its own; name it with --journal DIR".into()))
        }
        None => Ok(session::home(&session::load(global)?.config).journal),
    }
}

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

fn records(global: &Global, show: &AuditShow) -> Result<Exit, Error> {
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

fn check(
    global: &Global,
    journal: Option<&Path>,
    vkey: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<Exit, Error> {
    let dir = directory(global, journal)?;
    let key = match vkey {
        Some(path) => {
            let text = session::read_file(path)?;
            Some(text.trim().parse().map_err(|e| Error::Usage(format!("{}: {e}", path.display())))?)
        }
        None => None,
    };
    let kept = checkpoint.map(session::read_file).transpose()?;
    let report = verify::verify(&dir, &Options { key, kept }).map_err(Error::failed)?;
    if global.format == Format::Json {
        output::json(&report)?;
    } else {
        let verdict = serde_json::to_value(report.verdict).map_err(Error::failed)?;
        let verdict = verdict.as_str().unwrap_or_default();
        output::line(&format!("{verdict}: {}", report.origin))?;
        output::line(&format!("records {}, root {}, key {}", report.records, report.root, report.key))?;
        output::line(&format!("{} signatures checked in {} ms", report.signatures, report.took_ms))?;
        if let Some(bad) = &report.first_bad {
            output::line(&format!("first bad: {bad}"))?;
        }
    }
    Ok(if report.ok { Exit::Done } else { Exit::Verification })
}
