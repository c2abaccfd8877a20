//! Copies of checkpoints in a directory: what a bucket was synced to, or a medium that somebody carried away.

use super::compare::Checkpoints;
use super::copies::{Copy, Judged, judge_note};
use super::error::AnchorError;
use super::keys;
use crate::domain::text::sanitize;
use crate::journal::key::KeyRing;
use jiff::Timestamp;
use std::io::Read as _;
use std::path::Path;

/// Bytes of a note that are taken, as in a bucket.
const NOTE: u64 = 64 << 10;

/// A file among the checkpoints.
#[derive(Debug)]
pub struct Note {
    name: String,
    /// Number of records, when the name is one of a checkpoint.
    pub size: Option<u64>,
    at: Timestamp,
    text: Option<String>,
}

/// Reads every file of the folder `checkpoint`, in the order of their names.
pub fn notes(copies: &Path) -> Result<Vec<Note>, AnchorError> {
    let folder = copies.join("checkpoint");
    let failed =
        |path: &Path, e: &std::io::Error| AnchorError::File(format!("{} can not be read: {e}", path.display()));
    let mut notes = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| failed(&folder, &e))? {
        let entry = entry.map_err(|e| failed(&folder, &e))?;
        let name = format!("checkpoint/{}", entry.file_name().to_string_lossy());
        let is_file = entry.file_type().is_ok_and(|t| t.is_file());
        let size = keys::checkpoint_size("", &format!("/{name}")).filter(|_| is_file);
        let (mut text, mut at) = (None, Timestamp::UNIX_EPOCH);
        if size.is_some() {
            let path = entry.path();
            let file = std::fs::File::open(&path).map_err(|e| failed(&path, &e))?;
            let modified = file.metadata().and_then(|m| m.modified()).map_err(|e| failed(&path, &e))?;
            at = Timestamp::try_from(modified).unwrap_or(at);
            let mut bytes = Vec::new();
            file.take(NOTE).read_to_end(&mut bytes).map_err(|e| failed(&path, &e))?;
            text = String::from_utf8(bytes).ok();
        }
        notes.push(Note { name, size, at, text });
    }
    notes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(notes)
}

/// What they are. A directory keeps nothing under lock.
pub fn judge(notes: Vec<Note>, ring: &KeyRing) -> Checkpoints {
    let mut found = Checkpoints::default();
    for Note { name, size, at, text } in notes {
        let name = sanitize(&name);
        let copy =
            |root, note| Copy { size: size.unwrap_or(0), root, at, version: String::new(), kept: false, over: 0, note };
        match size.zip(text).map(|(size, note)| judge_note(note, size, ring, copy)) {
            Some(Judged::Copy(copy)) => found.copies.push(copy),
            Some(Judged::Stranger) => found.strangers.push(name),
            Some(Judged::Noise) | None => found.foreign.push(name),
        }
    }
    found
}
