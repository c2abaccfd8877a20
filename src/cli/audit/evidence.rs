//! `audit evidence`: the files that records name, in any journal directory.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::args::Evidence as What;
use super::directory;
use crate::domain::text::sanitize;
use crate::journal::JournalError;
use crate::journal::evidence::{self, Evidence, Standing};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

/// Fewest digits by which a piece of evidence may be named.
const FEWEST: usize = 8;

/// Runs it.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    match what {
        What::List { journal } => {
            let all = list(global, journal.as_deref(), false)?;
            print(&all, global.format)?;
            Ok(Exit::Done)
        }
        What::Show { digest, journal } => show(global, journal.as_deref(), digest),
        What::Check { journal } => {
            let all = list(global, journal.as_deref(), true)?;
            print(&all, global.format)?;
            let bad = all.iter().filter(|e| e.standing.is_bad()).count();
            if bad == 0 {
                return Ok(Exit::Done);
            }
            let count = all.iter().filter(|e| e.record.is_some()).count();
            Err(Error::Damaged(format!("of {count} files that records name {bad} are missing or altered")))
        }
    }
}

fn list(global: &Global, named: Option<&Path>, read: bool) -> Result<Vec<Evidence>, Error> {
    evidence::list(&directory(global, named)?, read).map_err(|e| Error::journal(&e))
}

fn print(all: &[Evidence], format: Format) -> Result<(), Error> {
    if format == Format::Json {
        return output::json(&all);
    }
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let row = |e: &Evidence| {
        vec![
            e.sha256.to_string(),
            e.standing.word().to_owned(),
            number(e.bytes),
            number(e.record),
            number(e.redaction),
            sanitize(&e.media_type),
            sanitize(&e.what),
        ]
    };
    let heads = ["SHA256", "STANDING", "BYTES", "RECORD", "REDACTION", "TYPE", "WHAT"];
    output::table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}

fn show(global: &Global, named: Option<&Path>, digest: &str) -> Result<Exit, Error> {
    if digest.len() < FEWEST || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        let digest = sanitize(digest);
        return Err(Error::Usage(format!(
            "`{digest}` is no digest: name all 64 hexadecimal digits or at least {FEWEST}"
        )));
    }
    let dir = directory(global, named)?;
    let all = evidence::list(&dir, false).map_err(|e| Error::journal(&e))?;
    let wanted = digest.to_ascii_lowercase();
    let fits: Vec<&Evidence> = all.iter().filter(|e| e.sha256.as_str().starts_with(&wanted)).collect();
    let one = match fits.as_slice() {
        [one] => one,
        [] => {
            return Err(Error::Failed(format!(
                "no record names evidence that begins with {wanted}, and no such file is there"
            )));
        }
        more => {
            return Err(Error::Usage(format!(
                "{} pieces of evidence begin with {wanted}; name more digits",
                more.len()
            )));
        }
    };
    let bytes = match evidence::open(&dir, &one.sha256) {
        Ok(Some(bytes)) => bytes,
        Ok(None) if one.standing == Standing::Redacted => {
            let record = one.redaction.unwrap_or_default();
            return Err(Error::Failed(format!("{} was deleted; record {record} says why", one.sha256)));
        }
        Ok(None) => {
            return Err(Error::Damaged(format!("the file of {} is missing, and no record says why", one.sha256)));
        }
        Err(error @ JournalError::EvidenceAltered { .. }) => return Err(Error::Damaged(error.to_string())),
        Err(error) => return Err(Error::journal(&error)),
    };
    write(&bytes)
}

/// The exact bytes; on a terminal as text that can not move its cursor.
fn write(bytes: &[u8]) -> Result<Exit, Error> {
    let mut out = io::stdout().lock();
    let written = if out.is_terminal() {
        String::from_utf8_lossy(bytes).lines().try_for_each(|line| writeln!(out, "{}", sanitize(line)))
    } else {
        out.write_all(bytes)
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::failed(error)),
        _ => Ok(Exit::Done),
    }
}
