//! `audit verify` and `audit show` over several estates: each log is read and judged on its own, by what is known of its own
//! estate, and no two are ever shown as one history. What is about one log alone takes `--estate`.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::session::{self, Meant, Several};
use super::args::{Show, Verify};
use super::{show, verify};
use crate::journal::Record;
use crate::journal::verify::Report;
use schemars::JsonSchema;
use serde::Serialize;

/// The output contract of `audit verify --format json` over several estates: an element each, in the order of the configuration.
#[derive(Serialize, JsonSchema)]
pub struct EstateVerified {
    /// Name of the estate.
    estate: String,
    /// What `audit verify` says of its log; absent when that can not be read.
    report: Option<Report>,
    /// Why it can not be.
    why: Option<String>,
}

/// The output contract of each line of `audit show --format json` over several estates.
#[derive(Serialize, JsonSchema)]
pub struct EstateRecord {
    /// Name of the estate.
    estate: String,
    /// A record of its log, as stored; absent in the one line that says why there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Record>,
    /// Why its log can not be read, or not further.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl EstateRecord {
    /// The line for a record whose exact bytes these are.
    pub(super) fn line(estate: &str, stored: &[u8]) -> String {
        let estate = serde_json::Value::from(estate);
        format!("{{\"estate\":{estate},\"record\":{}}}", String::from_utf8_lossy(stored))
    }
}

impl Verify {
    /// Whether what is asked for can be asked of several logs.
    fn is_of_any(&self) -> bool {
        let Self { journal, vkey, checkpoint, witness_key, witness_keys, quorum, anchor, from, tiles, archive, .. } =
            self;
        let files = [checkpoint, witness_key, witness_keys, tiles].iter().all(|files| files.is_empty());
        let one = journal.is_some() || vkey.is_some() || quorum.is_some() || from.is_some() || archive.is_some();
        files && !one && !matches!(anchor, Some(Some(_)))
    }
}

impl Show {
    /// The same.
    fn is_of_any(&self) -> bool {
        let Self { journal, from, to, seq, archive, follow, .. } = self;
        let numbers = [from, to, seq].iter().any(|number| number.is_some());
        !numbers && !follow && journal.is_none() && archive.is_none()
    }
}

/// All estates that the configuration names, where none was chosen.
fn all(global: &Global) -> Result<Option<Several>, Error> {
    if global.drill.is_some() || global.estate.is_some() {
        return Ok(None);
    }
    Ok(match session::meant(global)? {
        Meant::Several(several) => Some(several),
        Meant::One(_) => None,
    })
}

/// The estates of whose logs `audit verify` is asked, where several are meant.
pub(super) fn to_verify(global: &Global, what: &Verify) -> Result<Option<Several>, Error> {
    if what.is_of_any() { all(global) } else { Ok(None) }
}

/// The same for `audit show`.
pub(super) fn to_show(global: &Global, what: &Show) -> Result<Option<Several>, Error> {
    if what.is_of_any() { all(global) } else { Ok(None) }
}

/// What each estate is asked with: its name, and the options of a command about it alone.
fn each(global: &Global, several: &Several) -> Vec<(String, Global)> {
    let one = |name: &str| (name.to_owned(), Global { estate: Some(name.to_owned()), ..global.clone() });
    several.names().into_iter().map(one).collect()
}

/// The exit code of all: that something does not hold is worse than that something can not be read.
fn worst(exits: &[Exit]) -> Exit {
    let order = [Exit::Verification, Exit::Unknown];
    order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Done)
}

/// The exit code of a log of which nothing more is known than an error.
const fn exit_of(error: &Error) -> Exit {
    if matches!(error, Error::Damaged(_)) { Exit::Verification } else { Exit::Unknown }
}

/// `audit verify` of all.
pub(super) fn verify(global: &Global, several: &Several, what: &Verify) -> Result<Exit, Error> {
    let (mut all, mut exits) = (Vec::new(), Vec::new());
    for (estate, one) in each(global, several) {
        let found = verify::report(&one, what);
        exits.push(found.as_ref().map_or_else(exit_of, verify::exit));
        if global.format != Format::Json {
            output::line(&format!("{}{estate}", if all.is_empty() { "" } else { "\n" }))?;
            match &found {
                Ok(report) => verify::print(report)?,
                Err(why) => output::line(&format!("not verified: {why}"))?,
            }
        }
        let (report, why) = match found {
            Ok(report) => (Some(report), None),
            Err(error) => (None, Some(error.to_string())),
        };
        all.push(EstateVerified { estate, report, why });
    }
    if global.format == Format::Json {
        output::json(&all)?;
    }
    Ok(worst(&exits))
}

/// `audit show` of all, one after the other.
pub(super) fn show(global: &Global, several: &Several, what: &Show) -> Result<Exit, Error> {
    show::filter(what)?;
    let mut out = show::Out::new(global.format);
    let mut exits = Vec::new();
    for (estate, one) in each(global, several) {
        if !out.begin(Some(&estate))? {
            break;
        }
        match show::all(&one, what, &mut out) {
            Ok(true) => exits.push(Exit::Done),
            Ok(false) => break,
            Err(error) => {
                exits.push(exit_of(&error));
                let why = error.to_string();
                let line = match global.format {
                    Format::Json => serde_json::to_string(&EstateRecord { estate, record: None, why: Some(why) })
                        .map_err(Error::failed)?,
                    _ => format!("not shown: {why}"),
                };
                if !out.line(&line)? {
                    break;
                }
            }
        }
    }
    out.flush()?;
    Ok(worst(&exits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_worse_than_what_can_not_be_read() {
        assert_eq!(worst(&[Exit::Done, Exit::Done]), Exit::Done);
        assert_eq!(worst(&[Exit::Done, Exit::Unknown]), Exit::Unknown);
        assert_eq!(worst(&[Exit::Unknown, Exit::Verification, Exit::Done]), Exit::Verification);
        assert_eq!(exit_of(&Error::Damaged("x".into())), Exit::Verification);
        assert_eq!(exit_of(&Error::Usage("x".into())), Exit::Unknown);
    }
}
