//! `audit verify`: everything that a log says of itself, against a key from outside.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::{pins, session};
use super::args::Verify;
use super::directory;
use crate::journal::verify::{self, Options};

/// Runs it.
pub fn run(global: &Global, what: &Verify) -> Result<Exit, Error> {
    let dir = directory(global, what.journal.as_deref())?;
    let key = pins::outside(global, what.vkey.as_deref(), what.journal.as_deref(), &dir)?;
    let kept = what.checkpoint.as_deref().map(session::read_file).transpose()?;
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
