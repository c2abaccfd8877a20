//! `audit anchors`: the log beside its copies in object storage.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::{pins, session};
use super::args::Anchors;
use super::directory;
use crate::attest::anchor::{self, AnchorError, Bucket, Report};
use crate::config::model::Anchor as Config;
use crate::engine::adapters::Wall;
use crate::journal::key::VerifierKey;
use crate::journal::verify;
use std::path::Path;
use std::sync::Arc;

/// Runs it.
pub fn run(global: &Global, what: &Anchors) -> Result<Exit, Error> {
    if let Some(dir) = &what.fetch {
        return fetch(global, &configured(global)?, dir);
    }
    let dir = directory(global, what.journal.as_deref())?;
    let outside = pins::outside(global, what.vkey.as_deref(), what.journal.as_deref(), &dir)?;
    let pinned = outside.is_some();
    let key = outside.map_or_else(|| verify::own_key(&dir), Ok).map_err(|e| Error::journal(&e))?;
    let report = compare(global, &dir, &key, pinned)?.map_err(Error::failed)?;
    if global.format == Format::Json {
        output::json(&report)?;
    } else {
        print(&report, what.list)?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::Verification })
}

/// The bucket of the configuration.
fn configured(global: &Global) -> Result<Config, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a drill has no copies; leave --drill out".into()));
    }
    let loaded = session::load(global)?;
    loaded.config.journal.anchor.ok_or_else(|| {
        let file = loaded.path.display();
        Error::Usage(format!("{file} has no table [journal.anchor], so the log has no copies"))
    })
}

/// Compares a log with its copies in the bucket of the configuration.
pub fn compare(
    global: &Global,
    dir: &Path,
    key: &VerifierKey,
    pinned: bool,
) -> Result<Result<Report, AnchorError>, Error> {
    let config = configured(global)?;
    Ok(session::runtime()?.block_on(async {
        let bucket = Bucket::connect(&config, Arc::new(Wall)).await?;
        anchor::compare(&bucket, &config.prefix, dir, key, pinned).await
    }))
}

fn fetch(global: &Global, config: &Config, dir: &Path) -> Result<Exit, Error> {
    let fetched = session::runtime()?.block_on(async {
        let bucket = Bucket::connect(config, Arc::new(Wall)).await?;
        anchor::fetch(&bucket, &config.prefix, dir).await
    });
    let fetched = fetched.map_err(Error::failed)?;
    if global.format == Format::Json {
        output::json(&fetched)?;
    } else {
        let (segments, bytes, evidence) = (fetched.segments, fetched.bytes, fetched.evidence);
        output::line(&format!("{segments} segments with {bytes} bytes and {evidence} files of evidence"))?;
        for trouble in &fetched.trouble {
            output::line(trouble)?;
        }
        output::line(&format!("check them: quarterdeck audit verify --journal {} --vkey FILE", dir.display()))?;
    }
    Ok(if fetched.trouble.is_empty() && fetched.segments > 0 { Exit::Done } else { Exit::Verification })
}

fn print(report: &Report, all: bool) -> Result<(), Error> {
    let Report { origin, key, bucket, prefix, records, covered, copies, strangers, foreign, .. } = report;
    let verdict = match (&report.rewritten, &report.damage, covered) {
        (Some(_), ..) => "the log and its copies part",
        (_, Some(_), _) => "the log can not be read to its end",
        (_, _, 0) => "no copy vouches for the log",
        _ if !strangers.is_empty() => "some copies are by a key that the log does not know",
        _ if !report.pinned => "the copies agree, key unpinned",
        _ => "the copies agree",
    };
    output::line(&format!("{verdict}: {origin}"))?;
    output::line(&format!("records {records}, covered {covered}, copies {}, key {key}", copies.len()))?;
    output::line(&format!("bucket {bucket}, prefix {prefix}, {} ms", report.took_ms))?;
    if let Some(rewritten) = &report.rewritten {
        let place = format!("between the copies over {} and {} records", rewritten.after, rewritten.before);
        output::line(&format!("{place}: {}", rewritten.why))?;
    }
    if let Some(damage) = &report.damage {
        output::line(&format!("first bad: {damage}"))?;
    }
    let unlocked = copies.iter().filter(|c| !c.locked).count();
    if unlocked > 0 {
        output::line(&format!("{unlocked} copies are not under object lock in compliance mode now"))?;
    }
    let over: Vec<_> = copies.iter().filter(|c| c.over > 0).collect();
    for copy in &over {
        let (size, over) = (copy.size, copy.over);
        output::line(&format!("over the copy at {size} lie {over} newer versions or marks of deletion; it counts"))?;
    }
    for key in strangers {
        let who = "bears the name of this log and is signed by a key that the log does not know";
        output::line(&format!("{key} {who}: another log, a forgery, or one of this log before it was rewritten"))?;
    }
    for key in foreign {
        output::line(&format!("{key} is no checkpoint of this log and does not count"))?;
    }
    if all {
        output::line(&format!("{:>10}  {:<20}  {:<44}  AGREES", "RECORDS", "COPIED", "ROOT"))?;
        for copy in copies {
            let agrees = match copy.agrees {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "not reached",
            };
            output::line(&format!("{:>10}  {:<20}  {:<44}  {agrees}", copy.size, copy.at.to_string(), copy.root))?;
        }
    }
    Ok(())
}
