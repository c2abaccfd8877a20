//! `audit keys`: the key of a log, the pin of it that this user has, and its rotation.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::pins::{self, Pins};
use super::super::{opening, session};
use super::args::Keys;
use super::directory;
use crate::journal::key::VerifierKey;
use crate::journal::read::{first_key, rotations};
use crate::journal::verify::own_key;
use crate::journal::{Journal, JournalError};
use serde::Serialize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Runs it.
pub fn run(global: &Global, what: &Keys) -> Result<Exit, Error> {
    match what {
        Keys::Show { journal } => show(global, journal.as_deref()),
        Keys::Pin { journal, vkey } => pin(global, journal.as_deref(), vkey.as_deref()),
        Keys::Export { journal, output } => export(global, journal.as_deref(), output.as_deref()),
        Keys::Rotate => rotate(global),
    }
}

/// A verifier key.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Shown {
    vkey: String,
    id: String,
    /// SHA-256 of the encoding.
    fingerprint: String,
}

impl Shown {
    fn of(key: &VerifierKey) -> Self {
        Self { vkey: key.as_str().to_owned(), id: key.id(), fingerprint: key.fingerprint() }
    }
}

/// The private half, where it lies beside the records.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Private {
    path: PathBuf,
    /// Permission bits, octal.
    mode: String,
    owner_uid: u32,
    /// Whether it is the user's who asks.
    own: bool,
}

/// A change of keys, as the log tells it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Rotation {
    /// Number of records up to which, and with which, the old key signs.
    after: u64,
    from: String,
    to: String,
}

/// The output contract of `audit keys rotate --format json`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Rotated {
    #[serde(flatten)]
    rotation: Rotation,
    key: Shown,
}

/// A key that is known from outside the log.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Known {
    /// `configuration`, or the file of the pin.
    source: String,
    id: String,
    /// Whether it is one of the keys that the log names.
    agrees: bool,
}

/// Everything about the keys of a log.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Report {
    origin: String,
    dir: PathBuf,
    key: Shown,
    private: Option<Private>,
    rotations: Vec<Rotation>,
    known: Vec<Known>,
}

fn show(global: &Global, journal: Option<&Path>) -> Result<Exit, Error> {
    let dir = directory(global, journal)?;
    let key = own_key(&dir).map_err(|e| Error::journal(&e))?;
    let told = rotations(&dir).map_err(|e| Error::journal(&e))?;
    let of_log = |k: &VerifierKey| *k == key || told.iter().any(|(_, from, to)| k == from || k == to);
    let mut known = vec![];
    let configured = if journal.is_none() { pins::configured(&session::load(global)?.config)? } else { None };
    if let Some(k) = configured {
        known.push(Known { source: "configuration".into(), id: k.id(), agrees: of_log(&k) });
    }
    let pins = Pins::own();
    if let Some(k) = pins.get(key.name())? {
        known.push(Known { source: pins.path(key.name()).display().to_string(), id: k.id(), agrees: of_log(&k) });
    }
    let path = dir.join("log.key");
    let private = std::fs::symlink_metadata(&path).ok().map(|meta| Private {
        path,
        mode: format!("{:04o}", meta.mode() & 0o7777),
        owner_uid: meta.uid(),
        own: meta.uid() == rustix::process::geteuid().as_raw(),
    });
    let rotation =
        |(after, from, to): &(u64, VerifierKey, VerifierKey)| Rotation { after: *after, from: from.id(), to: to.id() };
    let rotations = told.iter().map(rotation).collect();
    let report = Report { origin: key.name().to_owned(), dir, key: Shown::of(&key), private, rotations, known };
    if global.format == Format::Json {
        output::json(&report)?;
    } else {
        for line in lines(&report) {
            output::line(&line)?;
        }
    }
    Ok(if report.known.iter().all(|k| k.agrees) { Exit::Done } else { Exit::Verification })
}

fn lines(report: &Report) -> Vec<String> {
    let Report { origin, dir, key, private, rotations, known } = report;
    let mut lines = vec![
        format!("log          {origin} in {}", dir.display()),
        format!("key          {}", key.vkey),
        format!("id           {}", key.id),
        format!("fingerprint  {}", key.fingerprint),
    ];
    lines.push(match private {
        Some(Private { path, mode, owner_uid, own }) => {
            let whose = if *own { "you" } else { "another user" };
            format!("private key  {}, mode {mode}, of user id {owner_uid} ({whose})", path.display())
        }
        None => "private key  none lies here".to_owned(),
    });
    for Rotation { after, from, to } in rotations {
        lines.push(format!("rotation     after {after} records, from {from} to {to}"));
    }
    if rotations.is_empty() {
        lines.push("rotation     none so far".to_owned());
    }
    for Known { source, id, agrees } in known {
        let says = if *agrees { "a key of this log" } else { "NOT A KEY OF THIS LOG" };
        lines.push(format!("known        {id} ({source}): {says}"));
    }
    if known.is_empty() {
        lines.push("known        nothing outside the log; `audit keys pin` pins it".to_owned());
    }
    lines
}

fn pin(global: &Global, journal: Option<&Path>, vkey: Option<&Path>) -> Result<Exit, Error> {
    let dir = directory(global, journal)?;
    let own = own_key(&dir).map_err(|e| Error::journal(&e))?;
    let key = match vkey {
        None => own.clone(),
        Some(path) => {
            let key = pins::read(path)?;
            // A log without the named key would be refused from now on: better said at once.
            let told = rotations(&dir).map_err(|e| Error::journal(&e))?;
            if key != own && !told.iter().any(|(_, from, to)| key == *from || key == *to) {
                return Err(other_key(&dir, &own, &key));
            }
            key
        }
    };
    let pins = Pins::own();
    let path = pins.path(key.name());
    let done = match pins.get(key.name())? {
        Some(pin) if pin == key => format!("{} is pinned already in {}", key.id(), path.display()),
        Some(pin) if leads(&dir, &pin, &key)? => {
            pins.put(&key)?;
            format!("the pin follows the rotation from {} to {} in {}", pin.id(), key.id(), path.display())
        }
        Some(pin) => return Err(other_key(&dir, &key, &pin)),
        None => format!("{} is pinned in {}", key.id(), pins.put(&key)?.display()),
    };
    output::line(&done)?;
    Ok(Exit::Done)
}

/// Whether verified rotations lead from the pin to a key.
fn leads(dir: &Path, pin: &VerifierKey, key: &VerifierKey) -> Result<bool, Error> {
    use crate::journal::verify::{Options, verify};
    if first_key(dir, key).map_err(|e| Error::journal(&e))? == *key {
        return Ok(false);
    }
    let report = verify(dir, &Options::against(pin)).map_err(|e| Error::journal(&e))?;
    Ok(report.ok && report.key_in_force == key.id())
}

fn other_key(dir: &Path, found: &VerifierKey, pinned: &VerifierKey) -> Error {
    Error::journal(&JournalError::Pinned { dir: dir.to_owned(), found: found.id(), pinned: pinned.id() })
}

fn export(global: &Global, journal: Option<&Path>, output: Option<&Path>) -> Result<Exit, Error> {
    let key = own_key(&directory(global, journal)?).map_err(|e| Error::journal(&e))?;
    match output {
        None => output::line(key.as_str())?,
        Some(path) => {
            let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
            let written = made.and_then(|mut file| {
                use std::io::Write as _;
                writeln!(file, "{}", key.as_str()).and_then(|()| file.sync_all())
            });
            written.map_err(|e| Error::Failed(format!("{} can not be written: {e}", path.display())))?;
        }
    }
    Ok(Exit::Done)
}

fn rotate(global: &Global) -> Result<Exit, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage(
            "the key of a drill is not rotated: each drill has a journal and a key of its own".into(),
        ));
    }
    let loaded = session::load(global)?;
    let options = opening::options(&loaded, "cli")?;
    let rotated = Journal::rotate(&options).map_err(|e| Error::journal(&e))?;
    let pins = Pins::own();
    if pins.get(rotated.new.name())?.is_none_or(|pin| pin == rotated.old) {
        pins.put(&rotated.new)?;
    }
    let (old, new) = (rotated.old.id(), rotated.new.id());
    if global.format == Format::Json {
        output::json(&Rotated {
            rotation: Rotation { after: rotated.after, from: old, to: new },
            key: Shown::of(&rotated.new),
        })?;
    } else {
        output::line(&format!("rotated after {} records from {old} to {new}", rotated.after))?;
        output::line(&format!("verifier key {}", rotated.new.as_str()))?;
        output::line(
            "the old private key was removed; on a disk that does not overwrite in place its bytes may stay for a while",
        )?;
    }
    if pins::configured(&loaded.config)?.is_some_and(|key| key == rotated.old) {
        crate::note!(
            "quarterdeck: `[journal] vkey` names the old key: it still leads to the new one, and is better renewed"
        );
    }
    Ok(Exit::Done)
}
