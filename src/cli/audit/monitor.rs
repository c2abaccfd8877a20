//! `audit monitor`: follows a log from elsewhere and says what is wrong with it, one line an alert.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::args::Monitor;
use super::verify::{named_keys, read as key};
use crate::attest::monitor::{self, Alert, Memory, Watch, Wrong};
use crate::attest::served::Served;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

/// Greatest length of the file with what was seen.
const MAX_STATE: u64 = 1 << 20;

/// Runs it: once, or until it is interrupted.
pub fn run(global: &Global, what: &Monitor) -> Result<Exit, Error> {
    let served = match (&what.url, &what.journal) {
        (Some(url), _) => Served::remote(checked(url)?).map_err(Error::Failed)?,
        (None, Some(dir)) if dir.is_dir() => Served::local(dir.clone()),
        (None, Some(dir)) => return Err(Error::Usage(format!("--journal {} is not a directory", dir.display()))),
        (None, None) => return Err(Error::Usage("say where the log is served: --url URL or --journal DIR".into())),
    };
    let witnesses = named_keys(&what.witness_key, &[])?;
    let (stall, uncosigned) = (what.stall, what.uncosigned);
    let watch = Watch { key: key(&what.vkey)?, witnesses, stall, uncosigned };
    let mut memory = what.state.as_deref().map(|path| remembered(path, &watch)).transpose()?.flatten();
    let mut raised: BTreeSet<(Wrong, String)> = BTreeSet::new();
    loop {
        let (seen, alerts) = monitor::look(&watch, &served, memory.clone(), Timestamp::now());
        for alert in alerts.iter().filter(|a| !raised.contains(&subject(a))) {
            print(global.format, alert)?;
        }
        // After the alerts: one that is said twice is better than one that is lost.
        if let (Some(path), Some(seen)) = (&what.state, &seen)
            && memory.as_ref() != Some(seen)
        {
            remember(path, seen)?;
        }
        memory = seen;
        if what.once {
            return Ok(if alerts.is_empty() { Exit::Done } else { Exit::Verification });
        }
        raised = alerts.iter().map(subject).collect();
        std::thread::sleep(what.interval);
    }
}

fn subject(alert: &Alert) -> (Wrong, String) {
    (alert.alert, alert.subject.clone())
}

fn print(format: Format, alert: &Alert) -> Result<(), Error> {
    if format == Format::Json {
        return output::json(alert);
    }
    let at = alert.at.strftime("%Y-%m-%dT%H:%M:%SZ");
    output::line(&format!("{at}  {:<13}  {}: {}", alert.alert.word(), alert.origin, alert.what))
}

fn checked(url: &str) -> Result<&str, Error> {
    let fine = reqwest::Url::parse(url)
        .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.password().is_none() && u.query().is_none());
    if fine {
        Ok(url)
    } else {
        Err(Error::Usage("--url is no URL that starts with http:// or https://, without password and query".into()))
    }
}

/// What was seen before; nothing where the file is not there yet.
fn remembered(path: &Path, watch: &Watch) -> Result<Option<Memory>, Error> {
    let bad = |why: String| Error::Usage(format!("--state {} can not be used: {why}", path.display()));
    let text = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(bad(e.to_string())),
        Ok(meta) if meta.len() > MAX_STATE => {
            return Err(bad("it is too long to be what a monitor has written".into()));
        }
        Ok(_) => std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?,
    };
    let memory: Memory = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    memory.check(&watch.key).map_err(|e| {
        bad(format!(
            "it is about another log, or --vkey is not the key that it began with nor one that came after it: {e}"
        ))
    })?;
    Ok(Some(memory))
}

/// Writes it whole or not at all.
fn remember(path: &Path, memory: &Memory) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::Failed(format!("--state {} can not be written: {e}", path.display()));
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    let text = serde_json::to_string(memory).map_err(Error::failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_data().map_err(failed)?;
    file.persist(path).map(drop).map_err(|e| failed(e.error))
}
