//! What a witness is told of our log: its newest checkpoint, and how it continues an earlier one.

use crate::journal::checkpoint::Checkpoint;
use crate::journal::key::VerifierKey;
use crate::journal::newest::Newest;
use crate::journal::proof;
use crate::journal::tree::Hash;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A log that can be shown to witnesses. Its functions may block.
pub trait Log: Send + Sync + 'static {
    /// The newest checkpoint that is on the disk, with its note; `None` before the first.
    fn newest(&self) -> Result<Option<(Checkpoint, String)>, String>;

    /// The proof that the tree of `new` records continues that of `old`.
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, String>;

    /// The root over the first `size` records.
    fn root(&self, size: u64) -> Result<Hash, String>;
}

/// A log in a journal's directory.
#[derive(Debug)]
pub struct OnDisk {
    dir: PathBuf,
    key: VerifierKey,
    newest: Mutex<Option<Newest>>,
}

impl OnDisk {
    /// The one in `dir`, which `key` signs.
    pub const fn new(dir: PathBuf, key: VerifierKey) -> Self {
        Self { dir, key, newest: Mutex::new(None) }
    }
}

impl Log for OnDisk {
    fn newest(&self) -> Result<Option<(Checkpoint, String)>, String> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match newest.take() {
            Some(reader) => reader,
            None => Newest::open(&self.dir, self.key.clone()).map_err(|e| e.to_string())?,
        };
        // After an error the place is not kept, so that the next question begins anew.
        let reader = newest.insert(reader);
        match reader.read() {
            Ok(found) => Ok(found.cloned()),
            Err(e) => {
                *newest = None;
                Err(e.to_string())
            }
        }
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, String> {
        proof::consistency(&self.dir, old, new).map_err(|e| e.to_string())
    }

    fn root(&self, size: u64) -> Result<Hash, String> {
        proof::root(&self.dir, size).map_err(|e| e.to_string())
    }
}
