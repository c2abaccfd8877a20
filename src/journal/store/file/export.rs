//! A log as a directory that a static file server can serve: checkpoint, tiles, bundles of entries and the verifier
//! key, and nothing of what only the writer needs. Exported again it grows, and what is damaged there is made anew.

use super::hashes::{MAX_NOTE, cosigned, end};
use super::pruned::{archived, beginning};
use super::publish::{Prefix, Publisher, is_part};
use super::tiles::{Tiles, read_file};
use super::{CHECKPOINT, VERIFIER_KEY};
use crate::domain::text::sanitize;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::error::{JournalError, READING};
use crate::journal::key::VerifierKey;
use crate::journal::proof;
use crate::journal::read::first_key;
use crate::journal::tile::{Content, FOLDER, Tile, WIDTH, nodes};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What an export made. Its serialized form is the output of `audit export --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Exported {
    /// Name of the log.
    pub origin: String,
    /// Where it lies now.
    pub dir: PathBuf,
    /// Number of records.
    pub records: u64,
    /// Root over them, base64.
    pub root: String,
    /// The checkpoint that was written.
    pub checkpoint: String,
    /// Files that were written.
    pub written: u64,
    /// Files that an earlier export had written.
    pub unchanged: u64,
    /// Files that an earlier export had written and that were damaged since; made anew.
    pub rebuilt: Vec<String>,
}

/// Exports the log in `log`, whose key this is, to `dir`. The log should be verified before; that its records hash to
/// the root that the key signed is checked again. The checkpoint is the cosigned one when that covers everything.
pub fn export(log: &Path, dir: &Path, key: &VerifierKey) -> Result<Exported, JournalError> {
    let refused = |why: String| JournalError::ExportTarget { dir: dir.to_owned(), why };
    if !dir.exists() {
        std::fs::create_dir_all(dir).map_err(|e| JournalError::io("making", dir, &e))?;
    }
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|e| JournalError::io(READING, path, &e));
    if real(dir)?.starts_with(real(log)?) {
        return Err(refused("it lies in the journal itself".into()));
    }
    look(log, dir, key).map_err(|e| match e {
        Unfit::Why(why) => refused(why),
        Unfit::Other(e) => e,
    })?;
    let to = Prefix::public(dir);
    to.remove_parts();
    let mut publisher = Publisher::anew(log, to)?;
    publisher.prefix().settle(VERIFIER_KEY, format!("{}\n", key.as_str()).as_bytes())?;
    moved_tiles(log, publisher.prefix())?;
    while publisher.take(u64::MAX)? {}
    let (records, root) = (publisher.size(), publisher.root());
    let witnessed = cosigned(log, key)?.filter(|(c, _)| c.size == records && c.root == root).map(|(_, note)| note);
    publisher.publish(key, witnessed.as_deref())?;
    let checkpoint = witnessed.unwrap_or_else(|| publisher.note().to_owned());
    let Prefix { written, unchanged, rebuilt, .. } = publisher.prefix();
    Ok(Exported {
        origin: key.name().to_owned(),
        dir: dir.to_owned(),
        records,
        root: root.to_string(),
        checkpoint,
        written: *written,
        unchanged: *unchanged,
        rebuilt: std::mem::take(rebuilt),
    })
}

/// The tiles of hashes over what was moved to an archive, which can not be computed any more: from the log's own, each
/// shown to lead to the checkpoint over what was moved. Its entries lie in the archive.
fn moved_tiles(log: &Path, to: &mut Prefix) -> Result<(), JournalError> {
    let (_, base) = beginning(log)?;
    let Some(moved) = base.pruned() else { return Ok(()) };
    let lacking = || archived(moved, 0);
    let signed = Checkpoint::read(moved.note()).map_err(|why| JournalError::KeptCheckpoint { why })?;
    let mut tiles = Tiles::at(log, &signed, moved.edges().to_vec()).ok_or_else(lacking)?;
    for level in (0..u8::MAX).take_while(|level| nodes(moved.size(), *level) >= WIDTH) {
        for n in 0..nodes(moved.size(), level) / WIDTH {
            let hashes = tiles.tile(level, n).ok_or_else(lacking)?;
            let bytes: Vec<u8> = hashes.iter().flat_map(|h| h.0).collect();
            to.put(&Tile { content: Content::Hashes(level), n, width: WIDTH }.path(), &bytes)?;
        }
        tiles.forget();
    }
    Ok(())
}

/// Why nothing can be exported there.
enum Unfit {
    Why(String),
    Other(JournalError),
}

impl From<JournalError> for Unfit {
    fn from(error: JournalError) -> Self {
        Self::Other(error)
    }
}

/// Whether a directory is empty or holds an earlier export of the same log.
fn look(log: &Path, dir: &Path, key: &VerifierKey) -> Result<(), Unfit> {
    let failed = |e: std::io::Error| JournalError::io(READING, dir, &e);
    if !dir.is_dir() {
        return Err(Unfit::Why("it is no directory".into()));
    }
    let mut names = vec![];
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    if names.is_empty() {
        return Ok(());
    }
    if let Some(other) = names.iter().find(|n| ![CHECKPOINT, VERIFIER_KEY, FOLDER].contains(&n.as_str())) {
        return Err(Unfit::Why(format!("`{}` is there, which no export wrote", sanitize(other))));
    }
    let text = |name: &str| {
        let read = read_file(&dir.join(name), MAX_NOTE).ok().flatten();
        read.and_then(|bytes| String::from_utf8(bytes).ok())
    };
    // The very first files of an export that was cut short are the folder and the key.
    let parts = |mut folder: std::fs::ReadDir| folder.all(|e| e.is_ok_and(|e| is_part(&e.file_name())));
    let only_parts = names == [FOLDER] && std::fs::read_dir(dir.join(FOLDER)).is_ok_and(parts);
    let found = text(VERIFIER_KEY).and_then(|text| text.parse::<VerifierKey>().ok());
    let found = match found {
        None if only_parts => return Ok(()),
        Some(found) if found == *key => found,
        // The key was rotated since.
        Some(found) if found.name() == key.name() && first_key(log, &found)? == first_key(log, key)? => found,
        Some(found) => return Err(Unfit::Why(format!("it holds a log with the key {}", found.id()))),
        None => return Err(Unfit::Why(format!("it is not empty, and no `{VERIFIER_KEY}` says whose it is"))),
    };
    let Some(checkpoint) = text(CHECKPOINT).and_then(|note| Checkpoint::open_cosigned(&note, &found).ok()) else {
        // It was cut short, or damaged; what is there is compared file by file.
        return Ok(());
    };
    let size = checkpoint.size;
    let have = end(log)?;
    if size > have {
        return Err(Unfit::Why(format!("it holds {size} records of this log, and the journal only {have}")));
    }
    if proof::root(log, size)? == checkpoint.root {
        Ok(())
    } else {
        Err(Unfit::Why(format!("its checkpoint over {size} records has another root than this journal")))
    }
}
